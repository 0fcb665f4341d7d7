//! The software statement (SSA): the claims of a trusted directory about a software.

use std::rc::Rc;

use serde_json::{Map, Value};

use super::catalogue::{
    JW_02, JW_04, JW_08, SS_03, SS_04, SS_05, SS_06, SS_07, SS_09, SS_10, SS_11, SS_12, SS_13, SS_13_VALUE,
    SS_14_LOCATION,
};
use super::dialect::{Dialect, RolesShape};
use super::jwt::{Claims, Jti, Unverified, Verified};
use super::settings::{Directory, Settings};
use super::software_keys::{KeysByValue, SoftwareKeys};
use super::url::KeySetUrl;
use super::{Document, Evaluation, Refusal, Timestamp};

/// A software statement whose signature is not verified yet.
#[derive(Debug)]
pub struct UnverifiedStatement(Unverified);

/// A software statement that its directory signed. Its claims are valid now.
#[derive(Debug)]
pub struct SoftwareStatement {
    token: Rc<str>,
    claims: Rc<Map<String, Value>>,
    issuer: String,
    software_id: String,
    organisation_id: String,
    registrations: Vec<Registration>,
    redirect_uris: Vec<String>,
    webhook_uris: Vec<String>,
    roles: Vec<String>,
    keys: SoftwareKeys,
    revoked_key_set_uri: Option<String>,
    single_use: Option<Jti>,
}

/// A registration of the organisation with a competent authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The number of the registration.
    pub id: String,
    /// The authority as the directory writes it, such as `FCAGBR`: the authority's letters and the country. `None` if the statement does
    /// not tell it.
    pub authority_id: Option<String>,
}

impl UnverifiedStatement {
    /// Reads the format of a statement and finds the directory whose key set must verify it (SS-03). The claims are not trusted yet.
    ///
    /// # Errors
    /// The first broken JOSE rule. SS-03 if the issuer is missing or is not a directory of the configuration. JO-14 or JO-18 if the header
    /// lacks a member that the directory's dialect requires. JW-08 if the token is of another kind.
    pub fn open<'c>(
        token: &str,
        settings: &'c Settings,
        evaluation: &Evaluation,
    ) -> Result<(Self, &'c Directory), Refusal> {
        let evaluation = evaluation.within(Document::SoftwareStatement);
        let unverified = Unverified::open(Document::SoftwareStatement, token.as_bytes(), settings, &evaluation)?;
        let claims = unverified.unverified_claims();
        evaluation.require(&[&JW_08], jw_08_kind(claims))?;
        let directory = evaluation.require(&[&SS_03], ss_03_directory(claims, settings))?;
        unverified.require_header(&directory.dialect.required_header, &evaluation)?;
        Ok((Self(unverified), directory))
    }

    /// Refuses a statement that has expired or is too old before the signature check, which costs much time (SS-05, SS-06). These dates
    /// are not verified yet, so [`SoftwareStatement::check`] checks them again.
    ///
    /// # Errors
    /// SS-05 or SS-06.
    pub fn ss_05_ss_06_early(
        &self,
        directory: &Directory,
        now: Timestamp,
        evaluation: &Evaluation,
    ) -> Result<(), Refusal> {
        let (evaluation, claims) = (evaluation.within(Document::SoftwareStatement), self.0.unverified_claims());
        let date = |name| claims.jw_02_date(name).ok().flatten();
        evaluation.check_early(ss_05_not_expired(claims, date("exp"), now))?;
        match date("iat") {
            // A missing date breaks another rule.
            None => Ok(()),
            issued_at => evaluation.check_early(ss_06_age(claims, &directory.dialect, issued_at, now)),
        }
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
        skew: u64,
        now: Timestamp,
        evaluation: &Evaluation,
    ) -> Result<Self, Refusal> {
        let evaluation = evaluation.within(Document::SoftwareStatement);
        let (rules, claims) = (&directory.dialect, verified.claims());
        evaluation.require(&[&SS_04], ss_04_required(claims, rules))?;
        let expires_at = evaluation.require(&[&JW_02], claims.jw_02_date("exp"))?;
        evaluation.check(&[&SS_05], ss_05_not_expired(claims, expires_at, now))?;
        let issued_at = evaluation.require(&[&JW_02], claims.jw_02_date("iat"))?;
        evaluation.check(&[&SS_07], ss_07_already_issued(claims, issued_at, now, skew))?;
        evaluation.check(&[&SS_06], ss_06_age(claims, rules, issued_at, now))?;
        evaluation.check(&[&JW_02, &JW_04], claims.jw_04_already_valid(now, skew))?;
        evaluation.check(&[&SS_09], ss_09_organisation_active(claims, rules))?;
        let roles = evaluation.check_or(&[&SS_10], ss_10_roles(claims, rules), Vec::new)?;
        let registrations = evaluation.check_or(&[&SS_11], ss_11_authority_claims(claims, rules), Vec::new)?;
        evaluation.check(&[&SS_12], ss_12_mode(claims, rules))?;
        let software_id = evaluation.require(&[&SS_04], ss_04_text(claims, &rules.claims.software_id))?;
        let organisation_id = evaluation.require(&[&SS_04], ss_04_text(claims, &rules.claims.organisation_id))?;
        let redirect_uris = evaluation.require(&[&SS_04], ss_04_redirect_uris(claims, rules))?;
        let webhook_uris = evaluation.require(&[&SS_04], ss_04_webhook_uris(claims, rules))?;
        let keys = evaluation.require(&[&SS_13, &SS_13_VALUE], ss_13_keys(claims, directory))?;
        let revoked_key_set_uri =
            evaluation.require(&[&SS_14_LOCATION], ss_14_revoked_key_set_uri(claims, directory))?;
        let single_use = evaluation.require(&[&SS_04], ss_08_id(claims, rules, expires_at, issued_at))?;
        let issuer = directory.issuer.clone();
        let (token, claims) = verified.into_parts();
        Ok(Self {
            token,
            claims,
            issuer,
            software_id,
            organisation_id,
            registrations,
            redirect_uris,
            webhook_uris,
            roles,
            keys,
            revoked_key_set_uri,
            single_use,
        })
    }

    /// The statement as the directory issued it.
    pub fn token(&self) -> &Rc<str> {
        &self.token
    }

    /// All its claims.
    pub fn claims(&self) -> &Rc<Map<String, Value>> {
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

    /// The organisation's active registrations with competent authorities, if the statement has them (CB-05).
    pub fn registrations(&self) -> &[Registration] {
        &self.registrations
    }

    /// The URIs to which the client may have notifications sent (MD-27).
    pub fn webhook_uris(&self) -> &[String] {
        &self.webhook_uris
    }

    /// The redirect URIs in the statement.
    pub fn redirect_uris(&self) -> &[String] {
        &self.redirect_uris
    }

    /// The URL of the software's revoked keys, if the statement has one (SS-14).
    pub fn revoked_key_set_uri(&self) -> Option<&str> {
        self.revoked_key_set_uri.as_deref()
    }

    /// The id by which the store remembers the statement, if it may be used only once (SS-08).
    pub fn single_use(&self) -> Option<&Jti> {
        self.single_use.as_ref()
    }

    /// The roles that the directory grants.
    pub fn roles(&self) -> &[String] {
        &self.roles
    }

    /// The software's keys. If they are at a URL, its host is in the configuration of the directory.
    pub fn keys(&self) -> &SoftwareKeys {
        &self.keys
    }
}

/// A registration request contains a statement. A statement never contains one, so a token with this claim is not a statement.
fn jw_08_kind(claims: &Claims) -> Result<(), Refusal> {
    match claims.get("software_statement") {
        Some(_) => Err(claims.refuse(&JW_08, "software_statement")),
        None => Ok(()),
    }
}

fn ss_03_directory<'c>(claims: &Claims, settings: &'c Settings) -> Result<&'c Directory, Refusal> {
    claims.text("iss").and_then(|issuer| settings.directory(issuer)).ok_or_else(|| claims.refuse(&SS_03, "iss"))
}

fn ss_04_required(claims: &Claims, rules: &Dialect) -> Result<(), Refusal> {
    match rules.required_claims.iter().find(|name| claims.get(name).is_none()) {
        None => Ok(()),
        Some(missing) => Err(claims.refuse(&SS_04, missing.clone())),
    }
}

fn ss_04_text(claims: &Claims, name: &str) -> Result<String, Refusal> {
    match claims.text(name) {
        Some(text) if (1..=256).contains(&text.len()) && !text.chars().any(char::is_control) => Ok(text.to_owned()),
        _ => Err(claims.refuse(&SS_04, name.to_owned())),
    }
}

/// The statement's redirect URIs: an array of strings. It may be empty or absent. MD-03 checks each URI later.
fn ss_04_redirect_uris(claims: &Claims, rules: &Dialect) -> Result<Vec<String>, Refusal> {
    let name = &rules.claims.redirect_uris;
    match claims.get(name) {
        None => Ok(Vec::new()),
        Some(Value::String(uri)) if rules.redirect_uri_string => Ok(vec![uri.clone()]),
        Some(value) => strings(value).ok_or_else(|| claims.refuse(&SS_04, name.clone())),
    }
}

/// The statement's webhook URIs: an array of strings, empty or absent.
fn ss_04_webhook_uris(claims: &Claims, rules: &Dialect) -> Result<Vec<String>, Refusal> {
    let Some(name) = &rules.claims.webhook_uris else { return Ok(Vec::new()) };
    match claims.get(name) {
        None => Ok(Vec::new()),
        Some(value) => strings(value).ok_or_else(|| claims.refuse(&SS_04, name.clone())),
    }
}

fn ss_05_not_expired(claims: &Claims, expires_at: Option<Timestamp>, now: Timestamp) -> Result<(), Refusal> {
    match expires_at {
        Some(exp) if exp <= now => Err(claims.refuse(&SS_05, "exp")),
        _ => Ok(()),
    }
}

fn ss_06_age(claims: &Claims, rules: &Dialect, issued_at: Option<Timestamp>, now: Timestamp) -> Result<(), Refusal> {
    let Some(max_age) = rules.max_age else { return Ok(()) };
    match issued_at {
        Some(iat) if now.saturating_sub(iat) <= max_age.as_secs() => Ok(()),
        _ => Err(claims.refuse(&SS_06, "iat")),
    }
}

fn ss_07_already_issued(
    claims: &Claims,
    issued_at: Option<Timestamp>,
    now: Timestamp,
    skew: u64,
) -> Result<(), Refusal> {
    match issued_at {
        Some(iat) if iat > now.saturating_add(skew) => Err(claims.refuse(&SS_07, "iat")),
        _ => Ok(()),
    }
}

/// The id by which the store remembers the statement, if it may be used only once. The store keeps the id until the statement expires or
/// is too old, whichever comes first.
fn ss_08_id(
    claims: &Claims,
    rules: &Dialect,
    expires_at: Option<Timestamp>,
    issued_at: Option<Timestamp>,
) -> Result<Option<Jti>, Refusal> {
    if !rules.single_use {
        return Ok(None);
    }
    let too_old_at = rules.max_age.zip(issued_at).map(|(max_age, iat)| iat.saturating_add(max_age.as_secs()));
    let ends = expires_at.into_iter().chain(too_old_at).min().ok_or_else(|| claims.refuse(&SS_04, "exp"))?;
    Ok(Some(Jti { jti: ss_04_text(claims, "jti")?, expires_at: ends }))
}

fn ss_09_organisation_active(claims: &Claims, rules: &Dialect) -> Result<(), Refusal> {
    let Some(name) = &rules.claims.organisation_status else { return Ok(()) };
    match claims.text(name) {
        Some("Active") => Ok(()),
        _ => Err(claims.refuse(&SS_09, name.clone())),
    }
}

fn ss_10_roles(claims: &Claims, rules: &Dialect) -> Result<Vec<String>, Refusal> {
    let name = &rules.claims.roles;
    let read = |roles: &Value| match rules.roles_shape {
        RolesShape::Array => strings(roles),
        RolesShape::String => roles.as_str().filter(|role| !role.is_empty()).map(|role| vec![role.to_owned()]),
        RolesShape::Objects => active_roles(roles, rules.role_domains.as_deref()),
    };
    claims.get(name).and_then(read).filter(|roles| !roles.is_empty()).ok_or_else(|| claims.refuse(&SS_10, name.clone()))
}

/// The roles of those entries that are Active, in one of the `domains` if there are any. If one entry has another shape, no entry counts.
fn active_roles(roles: &Value, domains: Option<&[String]>) -> Option<Vec<String>> {
    let member = |entry: &Value, name: &str| entry.get(name)?.as_str().map(str::to_owned);
    let mut active = Vec::new();
    for entry in roles.as_array()? {
        let (role, status) = (member(entry, "role")?, member(entry, "status")?);
        let is_of_domain =
            |domains: &[String]| member(entry, "authorisation_domain").is_some_and(|domain| domains.contains(&domain));
        if status == "Active" && domains.is_none_or(is_of_domain) {
            active.push(role);
        }
    }
    Some(active)
}

/// The registration ids of the entries with the status Active. The directory has used two forms: one object, and an array of objects.
fn ss_11_authority_claims(claims: &Claims, rules: &Dialect) -> Result<Vec<Registration>, Refusal> {
    let Some(name) = &rules.claims.authority_claims else { return Ok(Vec::new()) };
    let Some(value) = claims.get(name) else { return Ok(Vec::new()) };
    let refuse = || claims.refuse(&SS_11, name.clone());
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
    let text = |entry: &Map<String, Value>, name: &str| entry.get(name)?.as_str().map(str::to_owned);
    let registration = |entry: &&Map<String, Value>| {
        Some(Registration { id: text(entry, "registration_id")?, authority_id: text(entry, "authority_id") })
    };
    Ok(active.iter().filter_map(registration).collect())
}

/// If the operator limits the modes, a statement without a mode is refused.
fn ss_12_mode(claims: &Claims, rules: &Dialect) -> Result<(), Refusal> {
    let (Some(modes), Some(name)) = (&rules.modes, &rules.claims.mode) else { return Ok(()) };
    match claims.text(name) {
        Some(mode) if modes.iter().any(|known| known == mode) => Ok(()),
        _ => Err(claims.refuse(&SS_12, name.clone())),
    }
}

/// The software's keys. A claim with a URL comes before a claim with the keys: of a set that is fetched, a withdrawn key ends soon.
///
/// The gateway fetches the key set only from a host that the operator listed for this directory. The signature of the statement does not
/// make a URL on another host acceptable.
fn ss_13_keys(claims: &Claims, directory: &Directory) -> Result<SoftwareKeys, Refusal> {
    let names = &directory.dialect.claims;
    let uri = names.key_set_uris.iter().find(|name| claims.get(name).is_some());
    match (uri.or(names.key_set_uris.first()), &names.key_set) {
        (_, Some(name)) if uri.is_none() && claims.get(name).is_some() => ss_13_by_value(claims, name),
        (None, Some(name)) => Err(claims.refuse(&SS_13_VALUE, name.clone())),
        (name, _) => {
            let name = name.cloned().unwrap_or_default();
            let uri = key_set_uri(claims, &name, directory);
            uri.map(SoftwareKeys::Uri).ok_or_else(|| claims.refuse(&SS_13, name))
        }
    }
}

/// A JWK set within its bounds. The bank must not keep a private key, so a set with one is refused whole.
fn ss_13_by_value(claims: &Claims, name: &str) -> Result<SoftwareKeys, Refusal> {
    let keys = claims.get(name).and_then(|value| KeysByValue::read(value).ok());
    let keys = keys.filter(|keys| !keys.key_set().has_private_key());
    keys.map(SoftwareKeys::ByValue).ok_or_else(|| claims.refuse(&SS_13_VALUE, name.to_owned()))
}

/// The URL of the software's revoked keys. It is required if revoked keys are refused. Otherwise it is kept in case the operator refuses
/// them later.
fn ss_14_revoked_key_set_uri(claims: &Claims, directory: &Directory) -> Result<Option<String>, Refusal> {
    let dialect = &directory.dialect;
    let Some(name) = &dialect.claims.revoked_key_set_uri else { return Ok(None) };
    match key_set_uri(claims, name, directory) {
        None if dialect.refuse_revoked_keys => Err(claims.refuse(&SS_14_LOCATION, name.clone())),
        uri => Ok(uri),
    }
}

fn key_set_uri(claims: &Claims, name: &str, directory: &Directory) -> Option<String> {
    let on_listed_host = |url: &KeySetUrl<'_>| directory.key_set_hosts.iter().any(|host| host == url.authority);
    let uri = claims.text(name)?;
    KeySetUrl::parse(uri).filter(on_listed_host).map(|_| uri.to_owned())
}

/// The strings of an array. `None` if the value is not an array, or if an entry is not a string.
pub(super) fn strings(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|entry| entry.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
pub(crate) mod tests;
