//! The demands of a profile on a token's claims, made from the profile's values.

use std::time::Duration;

use dcr_policy::dialect::RolesShape;
use dcr_policy::profile::{Audience, Profile};
use serde_json::{Map, Value};

use super::{Inspected, Kind};

/// A claim that a profile makes demands on.
pub(super) struct Wish {
    pub(super) claim: String,
    /// The rule's id.
    pub(super) rule: &'static str,
    /// The demand of the profile, for people.
    pub(super) wanted: String,
    /// Whether the token must have the claim.
    pub(super) demanded: bool,
    /// Whether a value can be right.
    pub(super) plausible: Box<dyn Fn(&Value) -> bool>,
}

impl Wish {
    fn demanded(claim: &str, rule: &'static str, wanted: &str, plausible: impl Fn(&Value) -> bool + 'static) -> Self {
        Self { claim: claim.into(), rule, wanted: wanted.into(), demanded: true, plausible: Box::new(plausible) }
    }

    fn optional(claim: &str, rule: &'static str, wanted: &str, plausible: impl Fn(&Value) -> bool + 'static) -> Self {
        Self { demanded: false, ..Self::demanded(claim, rule, wanted, plausible) }
    }

    fn demanded_if(self, demanded: bool) -> Self {
        Self { demanded, ..self }
    }
}

/// The demands of the profile on this token, in the order in which people read a token. `now` is in Unix seconds.
pub(super) fn expectations(token: &Inspected, profile: &Profile, now: u64) -> Vec<Wish> {
    match token.kind {
        Kind::SoftwareStatement => of_statement(&token.claims, profile, now),
        Kind::RegistrationRequest => of_request(token, profile, now),
        Kind::ClientAssertion => of_assertion(profile, now),
        Kind::RequestObject | Kind::AccessToken | Kind::IdentityToken | Kind::Other => Vec::new(),
    }
}

fn of_statement(claims: &Map<String, Value>, profile: &Profile, now: u64) -> Vec<Wish> {
    let rules = &profile.software_statement;
    let names = &rules.claims;
    let required = |name: &str| rules.required_claims.iter().any(|claim| claim == name);
    let key_set = names.key_set_uris.iter().find(|name| claims.contains_key(*name)).or(names.key_set_uris.first());
    let age = rules.max_age.map_or(String::new(), |age| format!(", at most {} ago", humantime::format_duration(age)));
    let roles = match rules.roles_shape {
        RolesShape::Array => filled_array,
        RolesShape::String => text,
        RolesShape::Objects => any_active,
    };

    let mut expectations = vec![
        Wish::demanded("iss", "SS-03", "the directory", text),
        Wish::optional(
            "iat",
            "SS-07",
            &format!("when it was signed, not in the future{age}"),
            signed_by(now, rules.max_age),
        )
        .demanded_if(required("iat") || rules.max_age.is_some()),
        Wish::optional("exp", "SS-05", "in the future", after(now)).demanded_if(required("exp")),
        Wish::demanded(&names.software_id, "SS-04", "the software's id", text),
        Wish::demanded(&names.organisation_id, "SS-04", "the organisation's id", text),
        Wish::optional(&names.redirect_uris, "MD-03", "https URIs, not on localhost, without fragment", redirect_uris)
            .demanded_if(required(&names.redirect_uris)),
        Wish::demanded(&names.roles, "SS-10", "at least one role", roles),
    ];
    let has = |name: &String| claims.contains_key(name);
    let is_by_value =
        |name: &&String| !names.key_set_uris.iter().any(has) && (has(name) || names.key_set_uris.is_empty());
    expectations.extend(match names.key_set.as_ref().filter(is_by_value) {
        Some(name) => {
            let is_key_set = |value: &Value| value.get("keys").is_some_and(Value::is_array);
            Some(Wish::demanded(name, "SS-13", "the software's keys: a JWK set", is_key_set))
        }
        None => key_set.map(|name| Wish::demanded(name, "SS-13", "where the software's keys are", https)),
    });
    let status = names.organisation_status.iter();
    expectations.extend(status.map(|name| Wish::demanded(name, "SS-09", "`Active`", |value| value == "Active")));
    let scope = names.scope.iter();
    expectations.extend(scope.map(|name| Wish::demanded(name, "MD-17", "the scopes the software may have", text)));
    let authority_claims = names.authority_claims.iter().map(|name| {
        let one_or_more = |value: &Value| is_active(value) || any_active(value);
        Wish::optional(name, "SS-11", "one with status `Active`", one_or_more).demanded_if(required(name))
    });
    expectations.extend(authority_claims);
    for claim in &rules.required_claims {
        if !expectations.iter().any(|wish| wish.claim == *claim) {
            expectations.push(Wish::demanded(claim, "SS-04", "must be there", |value| !value.is_null()));
        }
    }
    expectations
}

fn of_request(request: &Inspected, profile: &Profile, now: u64) -> Vec<Wish> {
    let rules = &profile.client_metadata;
    let method = request.claims.get("token_endpoint_auth_method").and_then(Value::as_str).unwrap_or_default();
    let (by_key, by_certificate) = (method == "private_key_jwt", method == "tls_client_auth");
    let algorithms: Vec<String> = profile.signing_algorithms.iter().map(|known| known.name().to_owned()).collect();
    let any_algorithm = algorithms.join(" or ");
    let subject = rules.subject_dn_member().name();

    let mut expectations = Vec::new();
    if request.is_signed() {
        let issuer = request.claims.get("iss").cloned();
        expectations.extend([
            Wish::demanded("iss", "RQ-02", "the statement's software_id", text),
            Wish::demanded("aud", "RQ-03", &format!("the bank: {}", named(&profile.registration.audiences)), audience),
            Wish::demanded("iat", "RQ-05", "when it was signed, not in the future", signed_by(now, None)),
            Wish::demanded("exp", "JW-03", "in the future", after(now)),
            Wish::optional("jti", "RQ-04", "an identifier used once", text)
                .demanded_if(profile.registration.jti_required),
            Wish::optional("software_id", "MD-13", "the statement's software_id", move |value| {
                Some(value) == issuer.as_ref()
            }),
        ]);
    }
    expectations.extend([
        Wish::demanded("software_statement", "SS-01", "a compact JWS", |value| {
            value.as_str().is_some_and(|token| Inspected::parse_jws(token).is_ok())
        }),
        Wish::optional("redirect_uris", "MD-01", "among those of the statement", redirect_uris)
            .demanded_if(rules.redirect_uris_required),
        Wish::demanded(
            "token_endpoint_auth_method",
            "MD-04",
            &rules.token_endpoint_auth_methods.join(" or "),
            one_of(&rules.token_endpoint_auth_methods),
        ),
        Wish::optional(
            "token_endpoint_auth_signing_alg",
            "MD-05",
            &format!("{any_algorithm} with private_key_jwt, else absent"),
            one_of(&algorithms),
        )
        .demanded_if(by_key),
        Wish::optional(subject, "MD-06", "the certificate's subject with tls_client_auth, else absent", move |value| {
            text(value) && by_certificate
        })
        .demanded_if(by_certificate),
        Wish::optional("grant_types", "MD-10", &rules.grant_types.join(", "), all_of(&rules.grant_types))
            .demanded_if(rules.default_grant_types.is_empty()),
        Wish::optional("response_types", "MD-11", &rules.response_types.join(", "), all_of(&rules.response_types)),
        scope(profile),
        Wish::optional(
            "application_type",
            "MD-19",
            &rules.application_types.join(" or "),
            one_of(&rules.application_types),
        )
        .demanded_if(rules.application_type_required),
    ]);
    let signing_algs = rules.required_signing_algs.iter();
    expectations.extend(signing_algs.map(|name| Wish::demanded(name, "MD-20", &any_algorithm, one_of(&algorithms))));
    expectations
}

fn scope(profile: &Profile) -> Wish {
    let (longest, arrays) = (profile.client_metadata.scope_max_chars, profile.client_metadata.scope_arrays);
    let wanted = format!("scopes that the software may have, at most {longest} characters");
    Wish::optional("scope", "MD-14", &wanted, move |value| match value {
        Value::String(scope) => !scope.is_empty() && scope.chars().count() <= longest,
        Value::Array(scopes) => arrays && scopes.iter().all(text),
        _ => false,
    })
}

fn of_assertion(profile: &Profile, now: u64) -> Vec<Wish> {
    let rules = &profile.client_assertion;
    let arrays = rules.audience_arrays;
    vec![
        Wish::demanded("iss", "CA-05", "the client_id", text),
        Wish::demanded("sub", "CA-05", "the client_id", text),
        Wish::demanded(
            "aud",
            "CA-07",
            &format!("the authorization server: {}", named(&rules.audiences)),
            move |value| if arrays { audience(value) } else { text(value) },
        ),
        Wish::demanded("exp", "CA-09", "in the future", after(now)),
        Wish::demanded("jti", "CA-12", "an identifier used once", text),
        Wish::optional("iat", "CA-11", "when it was signed, not in the future", signed_by(now, None)),
    ]
}

fn named(audiences: &[Audience]) -> String {
    let name = |audience: &Audience| match audience {
        Audience::Issuer => "its issuer",
        Audience::RegistrationEndpoint => "its registration endpoint",
        Audience::TokenEndpoint => "its token endpoint",
    };
    audiences.iter().map(name).collect::<Vec<_>>().join(" or ")
}

fn text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}

fn audience(value: &Value) -> bool {
    text(value) || value.as_array().is_some_and(|values| values.iter().any(Value::is_string))
}

fn filled_array(value: &Value) -> bool {
    value.as_array().is_some_and(|values| !values.is_empty())
}

fn any_active(value: &Value) -> bool {
    value.as_array().is_some_and(|entries| entries.iter().any(is_active))
}

fn is_active(value: &Value) -> bool {
    value.get("status").is_some_and(|status| status == "Active")
}

fn https(value: &Value) -> bool {
    value.as_str().is_some_and(|uri| uri.starts_with("https://"))
}

fn redirect_uris(value: &Value) -> bool {
    let plausible = |uri: &Value| {
        let fine =
            |uri: &str| !uri.starts_with("https://localhost") && !uri.starts_with("https://127.") && !uri.contains('#');
        https(uri) && uri.as_str().is_some_and(fine)
    };
    value.as_array().is_some_and(|uris| !uris.is_empty() && uris.iter().all(plausible))
}

fn one_of(allowed: &[String]) -> impl Fn(&Value) -> bool + use<> {
    let allowed = allowed.to_vec();
    move |value| allowed.iter().any(|known| value == known)
}

/// An entry is a set of words: the order in `code id_token` has no meaning.
fn all_of(allowed: &[String]) -> impl Fn(&Value) -> bool + use<> {
    let words = |entry: &str| {
        let mut words: Vec<String> = entry.split(' ').map(str::to_owned).collect();
        words.sort();
        words
    };
    let allowed: Vec<_> = allowed.iter().map(|entry| words(entry)).collect();
    let known = move |value: &Value| value.as_str().is_some_and(|entry| allowed.contains(&words(entry)));
    move |value| value.as_array().is_some_and(|entries| !entries.is_empty() && entries.iter().all(&known))
}

fn signed_by(now: u64, max_age: Option<Duration>) -> impl Fn(&Value) -> bool {
    move |value| {
        let age = value.as_u64().and_then(|time| now.checked_sub(time));
        age.is_some_and(|age| max_age.is_none_or(|longest| age <= longest.as_secs()))
    }
}

fn after(now: u64) -> impl Fn(&Value) -> bool {
    move |value| value.as_u64().is_some_and(|time| time > now)
}
