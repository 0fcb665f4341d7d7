//! Where a token comes from: its ecosystem, and the built-in profiles whose demands it meets.

use dcr_policy::profile::{Profile, RequestBody};
use serde_json::{Map, Value};

use super::{CompareWithProfile, Inspected, Kind, State};

/// An ecosystem that a built-in profile belongs to, and what only its tokens have.
#[derive(Debug, PartialEq, Eq)]
pub struct Ecosystem {
    /// Its name, for people.
    pub name: &'static str,
    /// Its family in the profiles.
    pub family: &'static str,
    /// How the `iss` of its software statements begins.
    issuers: &'static [&'static str],
    /// Claims that others do not have.
    claims: &'static [&'static str],
    /// How values begin that others do not have.
    values: &'static [&'static str],
}

/// The ecosystems of the built-in profiles.
pub const ECOSYSTEMS: [Ecosystem; 3] = [
    Ecosystem {
        name: "Open Banking UK",
        family: "UK",
        issuers: &["OpenBanking Ltd"],
        claims: &[
            "software_jwks_endpoint",
            "software_jwks_revoked_endpoint",
            "org_jwks_endpoint",
            "org_jwks_revoked_endpoint",
            "openbanking_intent_id",
        ],
        values: &["urn:openbanking:psd2:"],
    },
    Ecosystem {
        name: "Open Finance Brasil",
        family: "BR",
        issuers: &["Open Banking Open Banking Brasil"],
        claims: &[
            "software_statement_roles",
            "software_jwks_uri",
            "software_jwks_inactive_uri",
            "software_jwks_transport_uri",
            "software_api_webhook_uris",
        ],
        values: &["urn:brasil:openbanking:"],
    },
    Ecosystem {
        name: "Consumer Data Right, Australia",
        family: "AU",
        issuers: &["cdr-register"],
        claims: &["recipient_base_uri", "revocation_uri", "cdr_arrangement_id", "sharing_duration"],
        values: &["data-recipient-software-product", "urn:cds.au:cdr:"],
    },
];

/// The ecosystem of a token, and what shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The ecosystem.
    pub ecosystem: &'static Ecosystem,
    /// A claim, or a value, that only this ecosystem has.
    pub shown_by: String,
}

/// A profile, and what it demands and the token does not have.
#[derive(Clone, Debug)]
pub struct Fit {
    /// The profile.
    pub profile: Profile,
    /// The claims that are missing or cannot be right, `alg`, `is signed`, `is not signed`, or `private_key_jwt`. Those of the statement inside
    /// begin with `software_statement.`. Dates that lie in the past or in the future are not counted: they say nothing about the profile. If
    /// it is empty, the profile fits.
    pub unmet: Vec<String>,
}

/// The ecosystem of a token, or of the statement inside. `None` if nothing shows it.
pub(super) fn origin(token: &Inspected) -> Option<Origin> {
    let statement = token.software_statement().map(|statement| statement.claims);
    let documents = || statement.iter().chain([&token.claims]);
    // What a directory calls itself says less than what it writes: a test directory may take the name of another.
    documents().find_map(by_content).or_else(|| documents().find_map(by_issuer))
}

/// The profiles of the token's ecosystem, or all if it has none, each with the demands that the token does not meet.
pub(super) fn fits(token: &Inspected, profiles: Vec<Profile>) -> Vec<Fit> {
    let origin = origin(token);
    let is_candidate = |profile: &Profile| {
        origin.as_ref().is_none_or(|origin| profile.families.iter().any(|family| family == origin.ecosystem.family))
    };
    let fit = |profile: Profile| {
        let mut unmet = unmet(token, &profile);
        let of_statement =
            token.software_statement().into_iter().flat_map(|statement| self::unmet(&statement, &profile));
        unmet.extend(of_statement.map(|name| format!("software_statement.{name}")));
        Fit { profile, unmet }
    };
    profiles.into_iter().filter(is_candidate).map(fit).collect()
}

/// The ecosystem of which most is found, and the first of it.
fn by_content(claims: &Map<String, Value>) -> Option<Origin> {
    let (mut names, mut values) = (Vec::new(), Vec::new());
    claims.iter().for_each(|(name, value)| collect(name, value, &mut names, &mut values));
    let found = |ecosystem: &'static Ecosystem| {
        let name = ecosystem.claims.iter().filter(|claim| names.contains(*claim));
        let value = ecosystem.values.iter().filter(|start| values.iter().any(|value| value.starts_with(**start)));
        let mut shown_by = name.chain(value).map(|mark| (*mark).to_owned());
        let first = shown_by.next()?;
        Some((shown_by.count(), Origin { ecosystem, shown_by: first }))
    };
    ECOSYSTEMS.iter().filter_map(found).max_by_key(|(more, _)| *more).map(|(_, origin)| origin)
}

fn by_issuer(claims: &Map<String, Value>) -> Option<Origin> {
    let issuer = claims.get("iss")?.as_str()?;
    let is_its = |ecosystem: &&Ecosystem| ecosystem.issuers.iter().any(|start| issuer.starts_with(start));
    ECOSYSTEMS.iter().find(is_its).map(|ecosystem| Origin { ecosystem, shown_by: format!("iss {issuer}") })
}

/// All names of members, and all words of texts. A request object, for example, has them deep inside.
fn collect<'v>(name: &'v str, value: &'v Value, names: &mut Vec<&'v str>, values: &mut Vec<&'v str>) {
    names.push(name);
    match value {
        Value::String(text) => values.extend(text.split(' ')),
        Value::Array(entries) => entries.iter().for_each(|entry| collect(name, entry, names, values)),
        Value::Object(members) => members.iter().for_each(|(name, value)| collect(name, value, names, values)),
        _ => (),
    }
}

fn unmet(token: &Inspected, profile: &Profile) -> Vec<String> {
    // A finding about a date depends on the time only if the date is there.
    let is_unmet = |claim: &str, state: State| match state {
        State::Missing => true,
        State::Wrong => claim != "iat" && claim != "exp",
        State::Present | State::Absent => false,
    };
    let findings = token.findings(profile, 0).into_iter();
    let claims = findings.filter(|finding| is_unmet(&finding.claim, finding.state)).map(|finding| finding.claim);

    let alg = token.header.get("alg").and_then(Value::as_str);
    let is_allowed = profile.signing_algorithms.iter().any(|known| known.names().iter().any(|name| alg == Some(name)));
    let wants_signature = profile.registration.body == RequestBody::Jwt;
    let other_form = match (token.kind, token.is_signed()) {
        (Kind::RegistrationRequest, true) if !wants_signature => Some("is signed"),
        (Kind::RegistrationRequest, false) if wants_signature => Some("is not signed"),
        _ => None,
    };
    let methods = &profile.client_metadata.token_endpoint_auth_methods;
    let has_no_assertions = !methods.iter().any(|method| method == "private_key_jwt");
    let about_signature = [
        (token.is_signed() && !is_allowed).then_some("alg"),
        other_form,
        (token.kind == Kind::ClientAssertion && has_no_assertions).then_some("private_key_jwt"),
    ];
    about_signature.into_iter().flatten().map(str::to_owned).chain(claims).collect()
}
