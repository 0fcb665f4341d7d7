//! The token request (RFC 6749 section 4.4.2): a form with one client authentication method and one grant.

use dcr_x509::{Attribute, Certificate};

use super::catalogue::{
    CA_01, CA_01_AMBIGUOUS, CA_02, CA_03, CA_03_BASIC, CA_04, CA_16, CA_17, CA_20, CA_20_CLIENT, CA_20_UNKNOWN, CA_21,
};
use super::client_metadata::{AuthMethod, ClientMetadata};
use super::{Refusal, scope};

/// The grant that this token endpoint serves.
pub const CLIENT_CREDENTIALS: &str = "client_credentials";

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The most parameters that a form may have.
const PARAMETERS: usize = 64;

/// The form. Each parameter occurs at most once, and empty parameters count as absent (RFC 6749 section 3.2).
#[derive(Debug, Default)]
pub struct TokenRequest {
    grant_type: Option<String>,
    scope: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    client_assertion: Option<String>,
    client_assertion_type: Option<String>,
}

/// The way in which the client authenticates.
#[derive(Debug, PartialEq, Eq)]
pub enum Credential<'a> {
    /// A client assertion.
    Assertion {
        /// The JWT.
        token: &'a str,
        /// The `client_id` parameter.
        client_id: Option<&'a str>,
    },
    /// The transport certificate. The client is named by the `client_id` parameter.
    Certificate {
        /// The `client_id` parameter.
        client_id: &'a str,
    },
}

impl TokenRequest {
    /// Reads the form (CA-01).
    ///
    /// # Errors
    /// CA-01 if the body is not a form, repeats a parameter that is read, or has too many parameters.
    pub fn ca_01_parse(body: &[u8]) -> Result<Self, Refusal> {
        let mut request = Self::default();
        if std::str::from_utf8(body).is_err() {
            return Err(Refusal::by(&CA_01));
        }
        for (count, (name, value)) in form_urlencoded::parse(body).enumerate() {
            if count >= PARAMETERS {
                return Err(Refusal::by(&CA_01));
            }
            let Some((slot, claim)) = request.slot(&name) else {
                ca_01_unlike_ours(&name)?;
                continue;
            };
            ca_01_one_reading(claim, &value)?;
            if slot.replace(value.into_owned()).is_some() {
                return Err(Refusal::by(&CA_01).claim(claim));
            }
        }
        for name in NAMES {
            if let Some((slot, _)) = request.slot(name) {
                slot.take_if(|value| value.is_empty());
            }
        }
        Ok(request)
    }

    /// The query of a token request has none of our parameters (CA-01): a server that reads parameters there too could take other values
    /// than those in the body.
    ///
    /// # Errors
    /// CA-01.
    pub fn ca_01_query(query: Option<&str>) -> Result<(), Refusal> {
        for (name, _) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if Self::default().slot(&name).is_some() {
                return Err(Refusal::by(&CA_01_AMBIGUOUS));
            }
            ca_01_unlike_ours(&name)?;
        }
        Ok(())
    }

    /// The only authentication method in the request (CA-02, CA-03, CA-04, CA-16).
    ///
    /// # Errors
    /// CA-02 for several methods, CA-03 for a secret, CA-04 for an assertion of an unknown type, CA-16 for no method.
    pub fn ca_02_credential(&self, has_authorization: bool) -> Result<Credential<'_>, Refusal> {
        let has_assertion = self.client_assertion.is_some() || self.client_assertion_type.is_some();
        let methods = [has_authorization, self.client_secret.is_some(), has_assertion];
        match methods.into_iter().filter(|method| *method).count() {
            0 => self.ca_16_certificate(),
            1 if has_assertion => self.ca_04_assertion(),
            1 if has_authorization => Err(Refusal::by(&CA_03_BASIC)),
            1 => Err(Refusal::by(&CA_03)),
            _ => Err(Refusal::by(&CA_02)),
        }
    }

    /// Whether the request names a grant that this endpoint does not serve.
    pub fn names_another_grant(&self) -> bool {
        self.grant_type.as_deref().is_some_and(|grant| grant != CLIENT_CREDENTIALS)
    }

    /// The request names the grant that this endpoint serves (CA-20).
    ///
    /// # Errors
    /// CA-20.
    pub fn ca_20_grant(&self) -> Result<(), Refusal> {
        match self.grant_type.as_deref() {
            Some(CLIENT_CREDENTIALS) => Ok(()),
            Some(_) => Err(Refusal::by(&CA_20_UNKNOWN).claim("grant_type")),
            None => Err(Refusal::by(&CA_20).claim("grant_type")),
        }
    }

    /// The scope to grant: the requested part of the registered scope; without a requested scope, the whole registered scope (CA-21).
    ///
    /// A request may ask for the `universal` scopes, such as `openid`, even if the client did not register them. They are granted only if
    /// it did.
    ///
    /// # Errors
    /// CA-21.
    pub fn ca_21_scope(&self, client: &ClientMetadata, universal: &[String]) -> Result<String, Refusal> {
        let Some(asked_for) = &self.scope else { return Ok(client.scope.clone()) };
        let refuse = || Refusal::by(&CA_21).claim("scope");
        let asked_for = scope::words(asked_for).ok_or_else(refuse)?;
        let registered: Vec<&str> = client.scope.split(' ').collect();
        if !asked_for.iter().all(|word| registered.contains(word) || universal.iter().any(|scope| scope == word)) {
            return Err(refuse());
        }
        let granted: Vec<&str> = asked_for.into_iter().filter(|word| registered.contains(word)).collect();
        if granted.is_empty() { Err(refuse()) } else { Ok(granted.join(" ")) }
    }

    fn ca_04_assertion(&self) -> Result<Credential<'_>, Refusal> {
        if self.client_assertion_type.as_deref() != Some(JWT_BEARER) {
            return Err(Refusal::by(&CA_04).claim("client_assertion_type"));
        }
        match &self.client_assertion {
            Some(token) => Ok(Credential::Assertion { token, client_id: self.client_id.as_deref() }),
            None => Err(Refusal::by(&CA_04).claim("client_assertion")),
        }
    }

    fn ca_16_certificate(&self) -> Result<Credential<'_>, Refusal> {
        match &self.client_id {
            Some(client_id) => Ok(Credential::Certificate { client_id }),
            None => Err(Refusal::by(&CA_16).claim("client_id")),
        }
    }

    fn slot(&mut self, name: &str) -> Option<(&mut Option<String>, &'static str)> {
        Some(match name {
            "grant_type" => (&mut self.grant_type, "grant_type"),
            "scope" => (&mut self.scope, "scope"),
            "client_id" => (&mut self.client_id, "client_id"),
            "client_secret" => (&mut self.client_secret, "client_secret"),
            "client_assertion" => (&mut self.client_assertion, "client_assertion"),
            "client_assertion_type" => (&mut self.client_assertion_type, "client_assertion_type"),
            _ => return None,
        })
    }
}

/// The names of the parameters that this endpoint reads.
const NAMES: [&str; 6] =
    ["grant_type", "scope", "client_id", "client_secret", "client_assertion", "client_assertion_type"];

/// A parameter that is not ours is not one that another server could take for ours (CA-01). Servers are known that ignore letter case,
/// white space, NUL and brackets, and that turn dots and spaces into underscores.
fn ca_01_unlike_ours(name: &str) -> Result<(), Refusal> {
    let loose = loosest_name(name);
    if NAMES.contains(&loose.as_str()) { Err(Refusal::by(&CA_01_AMBIGUOUS)) } else { Ok(()) }
}

/// A value whose meaning decides how the request is handled is written in one way only (CA-01).
fn ca_01_one_reading(name: &'static str, value: &str) -> Result<(), Refusal> {
    let known = match name {
        "grant_type" => CLIENT_CREDENTIALS,
        "client_assertion_type" => JWT_BEARER,
        _ => return Ok(()),
    };
    let plain: String = value.chars().filter(|c| !c.is_whitespace() && !c.is_control()).collect();
    if value != known && plain.eq_ignore_ascii_case(known) {
        return Err(Refusal::by(&CA_01_AMBIGUOUS).claim(name));
    }
    Ok(())
}

/// The name as the most tolerant server would read it.
fn loosest_name(name: &str) -> String {
    let name = name.split(['[', '\0']).next().unwrap_or_default();
    let name = name.trim_matches(|c: char| c.is_whitespace() || c.is_control());
    name.chars().map(|c| if matches!(c, '.' | ' ' | '-') { '_' } else { c.to_ascii_lowercase() }).collect()
}

/// The client uses the authentication method that it registered (CA-03), so an attacker cannot use a weaker one.
///
/// # Errors
/// CA-03.
pub fn ca_03_registered_method(client: &ClientMetadata, used: AuthMethod) -> Result<(), Refusal> {
    if client.token_endpoint_auth_method == used { Ok(()) } else { Err(Refusal::by(&CA_03)) }
}

/// The certificate has the registered subject (CA-17, DN-03). If `attributes` is not empty, only these must match (DN-05).
///
/// # Errors
/// CA-17.
pub fn ca_17_subject(
    client: &ClientMetadata,
    certificate: &Certificate,
    attributes: &[Attribute],
) -> Result<(), Refusal> {
    client
        .certificate_subject()
        .filter(|registered| registered.matches(certificate, attributes))
        .map(|_| ())
        .ok_or_else(|| Refusal::by(&CA_17))
}

/// The client has registered the grant (CA-20).
///
/// # Errors
/// CA-20.
pub fn ca_20_registered_grant(client: &ClientMetadata) -> Result<(), Refusal> {
    if client.grant_types.iter().any(|grant| grant == CLIENT_CREDENTIALS) {
        Ok(())
    } else {
        Err(Refusal::by(&CA_20_CLIENT).claim("grant_type"))
    }
}

#[cfg(test)]
mod tests;
