//! Software statements, registration requests and client assertions. They are valid by default, and each part can be broken on its own.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use ring::hmac;
use serde_json::{Map, Value, json};

use crate::Error;
use crate::inspect::Inspected;
use crate::keys::{Algorithm, SigningKey};
use crate::software::Software;

/// `iss` of software statements: Open Banking's directory.
pub const DIRECTORY_ISSUER: &str = "OpenBanking Ltd";

/// `iss` of software statements in Brazil: the sandbox of Open Finance Brasil's directory.
pub const BRAZIL_DIRECTORY_ISSUER: &str = "Open Banking Open Banking Brasil sandbox SSA issuer";

/// `authority_id` of the Banco Central in the Brazilian directory.
const BANCO_CENTRAL: &str = "687a1c94-b360-4e04-9589-0fa5cb16451b";

/// The lifetime of a registration request, in seconds.
const REQUEST_LIFETIME: u64 = 600;

/// The lifetime of a client assertion, in seconds.
const ASSERTION_LIFETIME: u64 = 300;

/// Unsigned claims, and the changes to the header.
#[derive(Clone, Debug)]
pub struct Token {
    claims: Map<String, Value>,
    /// `None` removes the parameter.
    header: Vec<(String, Option<Value>)>,
    payload: Option<Vec<u8>>,
}

/// A software statement in the form of Open Banking's directory (UK profile): without `exp`, with key sets below `directory_url`.
pub fn software_statement(software: &Software, directory_url: &str) -> Token {
    let site = software.redirect_uris.first().map_or("", String::as_str).trim_end_matches("/callback");
    let key_sets = format!("{directory_url}/{}", software.org_id);
    let revoked = format!("{directory_url}/{}/revoked", software.org_id);
    let contact = json!({
        "name": "Technical", "type": "Technical", "email": "developers@example.org", "phone": "+441632960000"
    });
    Token::of(json!({
        "iss": DIRECTORY_ISSUER,
        "iat": now(),
        "jti": short_id(),
        "software_environment": "sandbox",
        "software_mode": "Test",
        "software_id": software.software_id,
        "software_client_id": software.software_id,
        "software_client_name": software.client_name,
        "software_client_description": format!("{} by {}", software.client_name, software.org_name),
        "software_version": 1.0,
        "software_client_uri": site,
        "software_redirect_uris": software.redirect_uris,
        "software_roles": software.roles,
        "software_logo_uri": format!("{site}/logo.png"),
        "software_policy_uri": format!("{site}/policy"),
        "software_tos_uri": format!("{site}/terms"),
        "software_on_behalf_of_org": null,
        "software_jwks_endpoint": format!("{directory_url}{}", software.key_set_path()),
        "software_jwks_revoked_endpoint": format!("{revoked}/{}.jwks", software.software_id),
        "organisation_competent_authority_claims": {
            "authority_id": "FCAGBR",
            "registration_id": software.registration_id,
            "status": "Active",
            "authorisations": [{ "member_state": "GB", "roles": software.roles }]
        },
        "org_status": "Active",
        "org_id": software.org_id,
        "org_name": software.org_name,
        "org_contacts": [contact],
        "org_jwks_endpoint": format!("{key_sets}/{}.jwks", software.org_id),
        "org_jwks_revoked_endpoint": format!("{revoked}/{}.jwks", software.org_id)
    }))
}

/// A software statement in the form of the register of the Australian Consumer Data Right: valid for ten minutes, with claims named as in
/// RFC 7591, one role, and the scopes that the software may have.
pub fn cdr_software_statement(software: &Software, directory_url: &str) -> Token {
    let site = software.redirect_uris.first().map_or("", String::as_str).trim_end_matches("/callback");
    Token::of(json!({
        "iss": DIRECTORY_ISSUER,
        "iat": now(),
        "exp": now() + 600,
        "jti": short_id(),
        "org_id": software.org_id,
        "org_name": software.org_name,
        "client_name": software.client_name,
        "client_description": format!("{} by {}", software.client_name, software.org_name),
        "client_uri": site,
        "redirect_uris": software.redirect_uris,
        "logo_uri": format!("{site}/logo.png"),
        "policy_uri": format!("{site}/policy"),
        "tos_uri": null,
        "jwks_uri": format!("{directory_url}{}", software.key_set_path()),
        "revocation_uri": format!("{site}/revocation"),
        "recipient_base_uri": site,
        "software_id": software.software_id,
        "software_roles": "data-recipient-software-product",
        "scope": "openid bank:accounts.basic:read bank:transactions:read common:customer.basic:read cdr:registration"
    }))
}

/// A software statement in the form of the directory of Open Finance Brasil (Dynamic Client Registration 1.0, section 8.1), without `exp`
/// and `jti`. Make `software` with [`Software::in_brazil`].
pub fn brazil_software_statement(software: &Software, directory_url: &str) -> Token {
    const DOMAIN: &str = "Open Banking";
    let site = software.redirect_uris.first().map_or("", String::as_str).trim_end_matches("/callback");
    let active_role = |role: &String| json!({ "role": role, "authorisation_domain": DOMAIN, "status": "Active" });
    // The participant's number at the Banco Central is the first half of its CNPJ.
    let number: String = software.registration_id.chars().take(8).collect();
    let authority_claim = |role: &String| {
        json!({
            "authorisation_domain": DOMAIN,
            "authorisations": [],
            "registration_id": format!("{number}-OBB-{role}"),
            "authority_id": BANCO_CENTRAL,
            "authority_name": "Banco Central",
            "authorisation_role": role,
            "authority_code": "BCB",
            "status": "Active"
        })
    };
    let inactive = format!("{directory_url}/{}/{}/inactive", software.org_id, software.software_id);
    Token::of(json!({
        "iss": BRAZIL_DIRECTORY_ISSUER,
        "iat": now(),
        "software_mode": "Live",
        "software_environment": "sandbox",
        "software_id": software.software_id,
        "software_client_id": software.software_id,
        "software_client_name": software.client_name,
        "software_client_description": format!("{} by {}", software.client_name, software.org_name),
        "software_version": "1.1",
        "software_client_uri": site,
        "software_redirect_uris": software.redirect_uris,
        "software_roles": software.roles,
        "software_statement_roles": software.roles.iter().map(active_role).collect::<Vec<_>>(),
        "software_logo_uri": format!("{site}/logo.png"),
        "software_policy_uri": format!("{site}/policy"),
        "software_tos_uri": format!("{site}/terms"),
        "software_jwks_uri": format!("{directory_url}{}", software.application_key_set_path()),
        "software_jwks_inactive_uri": format!("{inactive}/application.jwks"),
        "software_jwks_transport_uri": format!("{directory_url}{}", software.transport_key_set_path()),
        "software_jwks_transport_inactive_uri": format!("{inactive}/transport.jwks"),
        "organisation_competent_authority_claims": software.roles.iter().map(authority_claim).collect::<Vec<_>>(),
        "org_status": "Active",
        "org_id": software.org_id,
        "org_name": software.org_name,
        "org_number": software.registration_id
    }))
}

/// A registration request (UK profile 3.3) for `private_key_jwt`, with all redirect URIs of the statement and the scope of its roles.
/// `audience` is the authorization server's issuer.
pub fn registration_request(software: &Software, audience: &str, software_statement: &str) -> Token {
    let scope_of_role = |role: &String| match role.as_str() {
        "AISP" => Some("accounts"),
        "PISP" => Some("payments"),
        "CBPII" => Some("fundsconfirmations"),
        _ => None,
    };
    let scopes: Vec<&str> = ["openid"].into_iter().chain(software.roles.iter().filter_map(scope_of_role)).collect();
    Token::of(json!({
        "iss": software.software_id,
        "iat": now(),
        "exp": now() + REQUEST_LIFETIME,
        "jti": uuid::Uuid::new_v4().to_string(),
        "aud": audience,
        "scope": scopes.join(" "),
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "PS256",
        "grant_types": ["authorization_code", "client_credentials", "refresh_token"],
        "response_types": ["code id_token"],
        "id_token_signed_response_alg": "PS256",
        "request_object_signing_alg": "PS256",
        "application_type": "web",
        "software_id": software.software_id,
        "redirect_uris": software.redirect_uris,
        "software_statement": software_statement
    }))
}

/// A registration request of the Consumer Data Right for `private_key_jwt`. Its scope is that of the statement, and authorization responses
/// are signed.
pub fn cdr_registration_request(software: &Software, audience: &str, software_statement: &str) -> Token {
    registration_request(software, audience, software_statement)
        .without("scope")
        .without("application_type")
        .claim("response_types", json!(["code"]))
        .claim("authorization_signed_response_alg", "PS256")
}

/// A registration request of Open Finance Brasil for `private_key_jwt`, with all redirect URIs and the key set of the statement. It is sent
/// unsigned: see [`Token::to_json`]. It has no `scope`, so the client gets the scopes of its roles.
pub fn brazil_registration_request(software: &Software, software_statement: &str) -> Token {
    let statement = Inspected::parse_jws(software_statement).map(|statement| statement.claims).unwrap_or_default();
    let request = Token::of(json!({
        "redirect_uris": software.redirect_uris,
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "PS256",
        "grant_types": ["authorization_code", "implicit", "refresh_token", "client_credentials"],
        "response_types": ["code id_token"],
        "id_token_signed_response_alg": "PS256",
        "request_object_signing_alg": "PS256",
        "require_signed_request_object": true,
        "software_statement": software_statement
    }));
    match statement.get("software_jwks_uri") {
        Some(key_set_uri) => request.claim("jwks_uri", key_set_uri.clone()),
        None => request,
    }
}

/// A client assertion for `private_key_jwt` (RFC 7523, section 3). `audience` is the authorization server's issuer or its token endpoint.
pub fn client_assertion(client_id: &str, audience: &str) -> Token {
    Token::of(json!({
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "iat": now(),
        "exp": now() + ASSERTION_LIFETIME,
        "jti": uuid::Uuid::new_v4().to_string()
    }))
}

impl Token {
    /// Any JWT. The members of a JSON object become its claims; any other value gives no claims.
    pub fn of(claims: Value) -> Self {
        let claims = match claims {
            Value::Object(claims) => claims,
            _ => Map::new(),
        };
        Self { claims, header: Vec::new(), payload: None }
    }

    /// Sets a claim, of any JSON type.
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.into(), value.into());
        self
    }

    /// Removes a claim.
    pub fn without(mut self, name: &str) -> Self {
        self.claims.shift_remove(name);
        self
    }

    /// Turns a registration request into one for `tls_client_auth` (RFC 8705, section 2.1) with this certificate subject.
    pub fn for_tls_client_auth(self, subject_dn: &str) -> Self {
        self.without("token_endpoint_auth_signing_alg")
            .claim("token_endpoint_auth_method", "tls_client_auth")
            .claim("tls_client_auth_subject_dn", subject_dn)
    }

    /// Sets a header parameter. Another `alg` changes only the header, not the signature.
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.push((name.into(), Some(value.into())));
        self
    }

    /// Removes a header parameter, such as `kid`.
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.push((name.into(), None));
        self
    }

    /// Signs these bytes instead of the claims, for example white space, duplicate members, or text that is not JSON.
    pub fn payload(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.payload = Some(bytes.into());
        self
    }

    /// The claims.
    pub fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// The claims as the JSON object of an unsigned request, or the bytes that replace them.
    pub fn to_json(&self) -> String {
        String::from_utf8_lossy(&self.content()).into_owned()
    }

    /// Signs with the key's own algorithm.
    pub fn sign(&self, key: &SigningKey) -> Result<String, Error> {
        self.sign_as(key, key.algorithm())
    }

    /// Signs with another algorithm for this type of key, such as RS256 with an RSA key. The header names it.
    pub fn sign_as(&self, key: &SigningKey, algorithm: Algorithm) -> Result<String, Error> {
        let input = self.signing_input(algorithm.name(), Some(key.kid()));
        let signature = key.sign(algorithm, input.as_bytes())?;
        Ok(compact(&input, &signature))
    }

    /// "Signs" with HMAC SHA-256 and this secret. With a public key's PEM as the secret, it is the well-known algorithm confusion attack.
    pub fn sign_with_secret(&self, secret: &[u8], kid: &str) -> String {
        let input = self.signing_input("HS256", Some(kid));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), input.as_bytes());
        compact(&input, tag.as_ref())
    }

    /// An unsecured JWT: `alg` is `none`, and the signature is empty (RFC 7519, section 6).
    pub fn unsigned(&self) -> String {
        compact(&self.signing_input("none", None), &[])
    }

    /// The header and the payload as base64url, with a dot between them.
    fn signing_input(&self, algorithm: &str, kid: Option<&str>) -> String {
        let mut header = Map::new();
        header.insert("alg".into(), algorithm.into());
        header.insert("typ".into(), "JWT".into());
        if let Some(kid) = kid {
            header.insert("kid".into(), kid.into());
        }
        for (name, value) in &self.header {
            match value {
                Some(value) => header.insert(name.clone(), value.clone()),
                None => header.shift_remove(name),
            };
        }
        let header = Value::Object(header).to_string();
        format!("{}.{}", encode(header.as_bytes()), encode(&self.content()))
    }

    fn content(&self) -> Vec<u8> {
        self.payload.clone().unwrap_or_else(|| Value::Object(self.claims.clone()).to_string().into_bytes())
    }
}

/// Unix time, in seconds.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

fn compact(signing_input: &str, signature: &[u8]) -> String {
    format!("{signing_input}.{}", encode(signature))
}

fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// A `jti` of 16 hexadecimal digits, as in the directory's statements.
fn short_id() -> String {
    uuid::Uuid::new_v4().simple().to_string().chars().take(16).collect()
}

#[cfg(test)]
mod tests;
