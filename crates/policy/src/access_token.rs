//! The access token of a management call (RFC 6750), bound to the transport certificate (RFC 8705 section 3).

use dcr_json::{FromJson, Members, ReadError, json_struct};
use dcr_x509::Certificate;
use serde_json::Value;

use super::Refusal;
use super::catalogue::{AT_01, AT_02, AT_04, AT_05, AT_07, CM_01, CM_02, CM_03, CM_04};
use super::profile::ManagementToken;

/// The longest access token that is read, in bytes.
const TOKEN_BYTES: usize = 2048;

/// The store's answer about a token (RFC 7662 section 2.2).
#[derive(Debug, Clone, Default)]
pub struct Introspection {
    /// Whether the token can be used now.
    pub active: bool,
    /// The client that the token was issued to.
    pub client_id: Option<String>,
    /// `access` or `registration`. A store that issues only access tokens may leave it out.
    pub token_use: Option<String>,
    /// The scope that the token was issued for.
    pub scope: Option<String>,
    /// The certificate that the token is bound to.
    pub cnf: Option<Confirmation>,
}

json_struct!(Introspection { active, client_id, token_use, scope, cnf, .. });

/// The confirmation of a token (RFC 8705 section 3.1).
#[derive(Debug, Clone)]
pub struct Confirmation {
    /// The thumbprint of the certificate: SHA-256 of its DER, as base64url.
    pub x5t_s256: String,
}

impl FromJson for Confirmation {
    fn from_json(value: &Value) -> Result<Self, ReadError> {
        Ok(Self { x5t_s256: Members::of(value, "struct Confirmation")?.read("x5t#S256")? })
    }
}

/// The token in the authorization header, which is the only place for it (CM-02, AT-04, AT-05).
///
/// # Errors
/// AT-05 if there is no token, CM-02 if the header is malformed, AT-04 if there is a token in the query.
pub fn presented<'a>(authorization: Option<&'a [u8]>, query: Option<&str>) -> Result<&'a str, Refusal> {
    at_04_not_in_query(query)?;
    cm_02_bearer(at_05_header(authorization)?)
}

/// The token can be used now (AT-01).
///
/// # Errors
/// AT-01.
pub fn at_01_active(token: &Introspection) -> Result<(), Refusal> {
    if token.active { Ok(()) } else { Err(Refusal::by(&AT_01)) }
}

/// The token has the kind that manages registrations in this profile (CM-01). A registration access token is not an access token, and an
/// access token is not a registration access token.
///
/// # Errors
/// CM-01.
pub fn cm_01_kind(token: &Introspection, needed: ManagementToken) -> Result<(), Refusal> {
    let is_of_registration = token.token_use.as_deref() == Some("registration");
    if is_of_registration == (needed == ManagementToken::RegistrationAccessToken) {
        Ok(())
    } else {
        Err(Refusal::by(&CM_01))
    }
}

/// The token is bound to this certificate (AT-02).
///
/// # Errors
/// AT-02.
pub fn at_02_bound(token: &Introspection, certificate: &Certificate) -> Result<(), Refusal> {
    let thumbprint = certificate.thumbprint().x5t_s256();
    match &token.cnf {
        Some(cnf) if cnf.x5t_s256 == thumbprint => Ok(()),
        _ => Err(Refusal::by(&AT_02)),
    }
}

/// The token was issued to the client in the path (CM-03, CM-04). `is_registered` says whether that client exists. Both rules have the same
/// answer, so callers cannot find out which clients exist.
///
/// # Errors
/// CM-03 or CM-04. The caller must then revoke the token.
pub fn cm_03_cm_04_own(token: &Introspection, client_id: &str, is_registered: bool) -> Result<(), Refusal> {
    match (token.client_id.as_deref() == Some(client_id), is_registered) {
        (true, true) => Ok(()),
        (false, true) => Err(Refusal::by(&CM_04)),
        (_, false) => Err(Refusal::by(&CM_03)),
    }
}

/// The token was issued for the scope `needed` (AT-07, CM-05). With `None`, managing a registration needs no scope.
///
/// # Errors
/// AT-07.
pub fn at_07_scope(token: &Introspection, needed: Option<&str>) -> Result<(), Refusal> {
    let has = |needed: &str| token.scope.as_deref().is_some_and(|scope| scope.split(' ').any(|word| word == needed));
    if needed.is_none_or(has) { Ok(()) } else { Err(Refusal::by(&AT_07)) }
}

fn at_04_not_in_query(query: Option<&str>) -> Result<(), Refusal> {
    let is_token = |query: &str| form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "access_token");
    if query.is_some_and(is_token) { Err(Refusal::by(&AT_04).claim("access_token")) } else { Ok(()) }
}

fn at_05_header(authorization: Option<&[u8]>) -> Result<&[u8], Refusal> {
    authorization.ok_or_else(|| Refusal::by(&AT_05).claim("authorization"))
}

fn cm_02_bearer(header: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(header)
        .ok()
        .and_then(|header| header.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim_matches(' '))
        .filter(|token| is_b64token(token))
        .ok_or_else(|| Refusal::by(&CM_02).claim("authorization"))
}

/// Whether a token has the form in which it can be presented (RFC 6750 section 2.1), and at most 2048 bytes.
pub fn is_b64token(token: &str) -> bool {
    let body = token.trim_end_matches('=');
    !body.is_empty()
        && token.len() <= TOKEN_BYTES
        && body.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b))
}

#[cfg(test)]
mod tests;
