//! The software statement (SSA): what a trusted directory says about a piece of software.

use serde_json::{Map, Value};

use super::catalogue::{JO_18, JW_08, SS_03, SS_04, SS_05, SS_06, SS_07, SS_09, SS_10, SS_11, SS_13};
use super::jwt::{Claims, Unverified, Verified};
use super::profile::{Profile, RolesShape, SoftwareStatementProfile};
use super::{Document, Refusal, Timestamp};
use crate::config::{Config, Directory, KeySetUrl, Limits};

/// A software statement that nobody has vouched for yet.
#[derive(Debug)]
pub struct UnverifiedStatement(Unverified);

/// A software statement whose directory signed it and whose claims hold now.
#[derive(Debug)]
pub struct SoftwareStatement {
    token: String,
    claims: Map<String, Value>,
    issuer: String,
    software_id: String,
    organisation_id: String,
    registration_ids: Vec<String>,
    redirect_uris: Vec<String>,
    roles: Vec<String>,
    key_set_uri: String,
}

impl UnverifiedStatement {
    /// Reads the statement's shape; nothing in it is believed.
    ///
    /// # Errors
    /// The first JOSE rule broken, JO-18 where the profile demands `typ`, JW-08 where it is another kind of token.
    pub fn open(token: &str, profile: &Profile, limits: &Limits) -> Result<Self, Refusal> {
        let unverified =
            Unverified::open(Document::SoftwareStatement, token.as_bytes(), &profile.signing_algorithms, limits)?;
        if profile.software_statement.required_typ && unverified.header().typ.is_none() {
            return Err(unverified.unverified_claims().refuse(&JO_18, "typ"));
        }
        // A registration request carries a statement; a statement never does.
        if unverified.unverified_claims().get("software_statement").is_some() {
            return Err(unverified.unverified_claims().refuse(&JW_08, "software_statement"));
        }
        Ok(Self(unverified))
    }

    /// The directory whose key set must verify this statement (SS-03).
    ///
    /// # Errors
    /// SS-03 where the issuer is missing or not on the operator's list.
    pub fn ss_03_directory<'c>(&self, config: &'c Config) -> Result<&'c Directory, Refusal> {
        let claims = self.0.unverified_claims();
        claims
            .text("iss")
            .and_then(|issuer| config.directories.iter().find(|directory| directory.issuer == issuer))
            .ok_or_else(|| claims.refuse(&SS_03, "iss"))
    }

    /// The token to verify.
    pub fn unverified(&self) -> &Unverified {
        &self.0
    }
}

impl SoftwareStatement {
    /// Checks the claims of a statement that its directory signed (SS-04 to SS-13).
    ///
    /// # Errors
    /// The first broken rule.
    pub fn check(
        verified: Verified,
        directory: &Directory,
        profile: &Profile,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        let rules = &profile.software_statement;
        let claims = verified.claims();
        ss_04_required(claims, rules)?;
        ss_05_not_expired(claims, now)?;
        ss_06_ss_07_age(claims, rules, now, profile.clock_skew.as_secs())?;
        claims.jw_04_already_valid(now, profile.clock_skew.as_secs())?;
        ss_09_organisation_active(claims, rules)?;
        let roles = ss_10_roles(claims, rules)?;
        let registration_ids = ss_11_authority_claims(claims, rules)?;
        let software_id = ss_04_text(claims, &rules.claims.software_id, "software_id")?;
        let organisation_id = ss_04_text(claims, &rules.claims.organisation_id, "org_id")?;
        let redirect_uris = ss_04_redirect_uris(claims, rules)?;
        let key_set_uri = ss_13_key_set_uri(claims, rules, directory)?;
        let issuer = directory.issuer.clone();
        let (token, claims) = verified.into_parts();
        Ok(Self {
            token,
            claims,
            issuer,
            software_id,
            organisation_id,
            registration_ids,
            redirect_uris,
            roles,
            key_set_uri,
        })
    }

    /// The statement as the directory issued it.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// All its claims.
    pub fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// The directory that signed it.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The software's id in the directory.
    pub fn software_id(&self) -> &str {
        &self.software_id
    }

    /// The organisation's id in the directory.
    pub fn organisation_id(&self) -> &str {
        &self.organisation_id
    }

    /// The organisation's active registrations with competent authorities, where the statement has them (CB-05).
    pub fn registration_ids(&self) -> &[String] {
        &self.registration_ids
    }

    /// The redirect URIs the directory knows.
    pub fn redirect_uris(&self) -> &[String] {
        &self.redirect_uris
    }

    /// The roles the directory grants.
    pub fn roles(&self) -> &[String] {
        &self.roles
    }

    /// The software's key set, on a host the directory's operator listed.
    pub fn key_set_uri(&self) -> &str {
        &self.key_set_uri
    }
}

fn ss_04_required(claims: &Claims, rules: &SoftwareStatementProfile) -> Result<(), Refusal> {
    // The name comes from the profile, not from the caller, but a claim in a refusal is one of the program's own words.
    const NAMED: [&str; 7] = ["software_id", "iss", "iat", "jti", "org_id", "software_roles", "exp"];
    match rules.required_claims.iter().find(|name| claims.get(name).is_none()) {
        None => Ok(()),
        Some(missing) => {
            let refusal = Refusal::by(&SS_04).in_document(Document::SoftwareStatement);
            Err(match NAMED.into_iter().find(|name| name == missing) {
                Some(name) => refusal.claim(name),
                None => refusal,
            })
        }
    }
}

fn ss_04_text(claims: &Claims, name: &str, shown: &'static str) -> Result<String, Refusal> {
    match claims.text(name) {
        Some(text) if (1..=256).contains(&text.len()) && !text.chars().any(char::is_control) => Ok(text.to_owned()),
        _ => Err(claims.refuse(&SS_04, shown)),
    }
}

/// The statement's redirect URIs: an array of strings, possibly empty or absent. Whether each is acceptable is MD-03's business.
fn ss_04_redirect_uris(claims: &Claims, rules: &SoftwareStatementProfile) -> Result<Vec<String>, Refusal> {
    match claims.get(&rules.claims.redirect_uris) {
        None => Ok(Vec::new()),
        Some(value) => strings(value).ok_or_else(|| claims.refuse(&SS_04, "software_redirect_uris")),
    }
}

fn ss_05_not_expired(claims: &Claims, now: Timestamp) -> Result<(), Refusal> {
    match claims.jw_02_date("exp")? {
        Some(exp) if exp <= now => Err(claims.refuse(&SS_05, "exp")),
        _ => Ok(()),
    }
}

fn ss_06_ss_07_age(
    claims: &Claims,
    rules: &SoftwareStatementProfile,
    now: Timestamp,
    skew: u64,
) -> Result<(), Refusal> {
    let Some(iat) = claims.jw_02_date("iat")? else { return Ok(()) };
    if iat > now.saturating_add(skew) {
        return Err(claims.refuse(&SS_07, "iat"));
    }
    match rules.max_age {
        Some(max_age) if now.saturating_sub(iat) > max_age.as_secs() => Err(claims.refuse(&SS_06, "iat")),
        _ => Ok(()),
    }
}

fn ss_09_organisation_active(claims: &Claims, rules: &SoftwareStatementProfile) -> Result<(), Refusal> {
    let Some(name) = &rules.claims.organisation_status else { return Ok(()) };
    match claims.text(name) {
        Some("Active") => Ok(()),
        _ => Err(claims.refuse(&SS_09, "org_status")),
    }
}

fn ss_10_roles(claims: &Claims, rules: &SoftwareStatementProfile) -> Result<Vec<String>, Refusal> {
    let read = |roles: &Value| match rules.roles_shape {
        RolesShape::Array => strings(roles),
        RolesShape::String => roles.as_str().filter(|role| !role.is_empty()).map(|role| vec![role.to_owned()]),
    };
    claims
        .get(&rules.claims.roles)
        .and_then(read)
        .filter(|roles| !roles.is_empty())
        .ok_or_else(|| claims.refuse(&SS_10, "software_roles"))
}

/// Both shapes the directory has used: an object, and an array of such objects. Answers the registration ids of those that are Active.
fn ss_11_authority_claims(claims: &Claims, rules: &SoftwareStatementProfile) -> Result<Vec<String>, Refusal> {
    let refuse = || claims.refuse(&SS_11, "organisation_competent_authority_claims");
    let Some(value) = rules.claims.authority_claims.as_deref().and_then(|name| claims.get(name)) else {
        return Ok(Vec::new());
    };
    let entries: Vec<&Map<String, Value>> = match value {
        Value::Object(entry) => vec![entry],
        Value::Array(entries) => entries.iter().map(Value::as_object).collect::<Option<_>>().ok_or_else(refuse)?,
        _ => return Err(refuse()),
    };
    let is_active = |entry: &&Map<String, Value>| entry.get("status").and_then(Value::as_str) == Some("Active");
    let active: Vec<_> = entries.into_iter().filter(is_active).collect();
    if active.is_empty() {
        return Err(refuse());
    }
    let ids = active.iter().filter_map(|entry| entry.get("registration_id")?.as_str());
    Ok(ids.map(str::to_owned).collect())
}

/// The key set may only be fetched from a host that the operator listed for this directory: a URL is believed for its host, not for
/// standing in a signed statement.
fn ss_13_key_set_uri(
    claims: &Claims,
    rules: &SoftwareStatementProfile,
    directory: &Directory,
) -> Result<String, Refusal> {
    rules
        .claims
        .key_set_uris
        .iter()
        .find_map(|name| claims.get(name))
        .and_then(Value::as_str)
        .filter(|uri| {
            KeySetUrl::parse(uri)
                .is_some_and(|url| directory.software_key_sets.iter().any(|host| host.host == url.authority))
        })
        .map(str::to_owned)
        .ok_or_else(|| claims.refuse(&SS_13, "software_jwks_endpoint"))
}

/// An array of strings, or nothing.
pub(super) fn strings(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|entry| entry.as_str().map(str::to_owned)).collect()
}
