//! Reads a compact JWS, or the JSON object of an unsigned registration request, without verifying it.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use serde_json::{Map, Value};

use crate::Error;

/// The parts of a token. Nothing is verified.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// The JOSE header. It is empty if the token is not signed.
    pub header: Map<String, Value>,
    /// The claims.
    pub claims: Map<String, Value>,
    /// The kind of token, judged by its claims.
    pub kind: Kind,
    /// The compact JWS. `None` for a JSON object.
    pub compact: Option<String>,
    /// The length of the signature, in bytes. `None` for a JSON object.
    pub signature_bytes: Option<usize>,
}

/// The kinds of token around Dynamic Client Registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A software statement. The directory signs it, and it describes the software of a third party.
    SoftwareStatement,
    /// A registration request. It is sent to the registration endpoint.
    RegistrationRequest,
    /// A client assertion. It is sent to the token endpoint.
    ClientAssertion,
    /// The parameters of an authorization request (RFC 9101).
    RequestObject,
    /// An access token (RFC 9068).
    AccessToken,
    /// An identity token (OpenID Connect Core section 2).
    IdentityToken,
    /// Any other token.
    Other,
}

impl Inspected {
    /// Reads a compact JWS or a JSON object. White space around it is ignored.
    pub fn parse(token: &str) -> Result<Self, Error> {
        if !token.trim_start().starts_with('{') {
            return Self::parse_jws(token);
        }
        let claims: Map<String, Value> = serde_json::from_str(token)
            .map_err(|error| Error::Token(format!("it begins like a JSON object, but is not one: {error}")))?;
        Ok(Self {
            kind: Kind::of(&Map::new(), &claims),
            header: Map::new(),
            claims,
            compact: None,
            signature_bytes: None,
        })
    }

    /// Reads a compact JWS. White space around it is ignored.
    pub fn parse_jws(token: &str) -> Result<Self, Error> {
        let token = token.trim();
        let parts: Vec<&str> = token.split('.').collect();
        let [header, claims, signature] = parts.as_slice() else {
            return Err(Error::Token(format!("{} parts between dots, and a compact JWS has three", parts.len())));
        };
        let (header, claims) = (object("header", header)?, object("payload", claims)?);
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).map_err(not_base64url("signature"))?;
        Ok(Self {
            kind: Kind::of(&header, &claims),
            header,
            claims,
            compact: Some(token.into()),
            signature_bytes: Some(signature.len()),
        })
    }

    /// Whether it is a JWS. Otherwise it is a JSON object.
    pub fn is_signed(&self) -> bool {
        self.signature_bytes.is_some()
    }

    /// The software statement inside a registration request. `None` if there is no readable statement.
    pub fn software_statement(&self) -> Option<Self> {
        Self::parse_jws(self.claims.get("software_statement")?.as_str()?).ok()
    }
}

impl Kind {
    /// The name of the kind, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::SoftwareStatement => "software statement",
            Self::RegistrationRequest => "registration request",
            Self::ClientAssertion => "client assertion",
            Self::RequestObject => "request object",
            Self::AccessToken => "access token",
            Self::IdentityToken => "identity token",
            Self::Other => "JWT",
        }
    }

    /// The kind that the header says, or else the kind that has such claims.
    fn of(header: &Map<String, Value>, claims: &Map<String, Value>) -> Self {
        let typ = header.get("typ").and_then(Value::as_str).and_then(Self::of_typ);
        typ.unwrap_or_else(|| Self::of_claims(claims))
    }

    /// The kind with this `typ`. `JWT`, for example, belongs to no kind.
    fn of_typ(typ: &str) -> Option<Self> {
        let typ = typ.to_ascii_lowercase();
        match typ.strip_prefix("application/").unwrap_or(&typ) {
            "at+jwt" => Some(Self::AccessToken),
            "client-authentication+jwt" => Some(Self::ClientAssertion),
            "oauth-authz-req+jwt" => Some(Self::RequestObject),
            _ => None,
        }
    }

    fn of_claims(claims: &Map<String, Value>) -> Self {
        let has_one = |names: &[&str]| names.iter().any(|name| claims.contains_key(*name));
        // The order matters: the claims of one kind may be in a token of a later kind too.
        if has_one(&OF_REQUESTS) {
            Self::RegistrationRequest
        } else if has_one(&OF_STATEMENTS) {
            Self::SoftwareStatement
        } else if has_one(&METADATA) {
            Self::RegistrationRequest
        } else if claims.get("sub").is_some_and(|subject| claims.get("iss") == Some(subject)) {
            Self::ClientAssertion
        } else if has_one(&OF_REQUEST_OBJECTS) {
            Self::RequestObject
        } else if has_one(&OF_IDENTITY_TOKENS) {
            Self::IdentityToken
        } else if has_one(&OF_ACCESS_TOKENS) {
            Self::AccessToken
        } else if has_one(&OF_AUTHENTICATION) {
            Self::IdentityToken
        } else {
            Self::Other
        }
    }
}

/// Claims of registration requests alone.
const OF_REQUESTS: [&str; 2] = ["software_statement", "token_endpoint_auth_method"];

/// Claims of software statements: those of the UK directory, of Open Finance Brasil's and of the register of the Consumer Data Right. A
/// registration request may have a `software_id` too.
const OF_STATEMENTS: [&str; 13] = [
    "org_id",
    "org_name",
    "org_status",
    "org_jwks_endpoint",
    "organisation_competent_authority_claims",
    "software_roles",
    "software_statement_roles",
    "software_jwks_endpoint",
    "software_jwks_uri",
    "software_redirect_uris",
    "software_client_id",
    "recipient_base_uri",
    "revocation_uri",
];

/// Metadata of clients (RFC 7591 section 2). The statements of some ecosystems have it too.
const METADATA: [&str; 5] = [
    "redirect_uris",
    "grant_types",
    "response_types",
    "token_endpoint_auth_signing_alg",
    "id_token_signed_response_alg",
];

/// Parameters of authorization requests alone (RFC 6749 section 4.1.1, RFC 7636 section 4.3).
const OF_REQUEST_OBJECTS: [&str; 3] = ["response_type", "redirect_uri", "code_challenge"];

/// Claims of identity tokens alone (OpenID Connect Core section 3.3.2.11, FAPI 1.0 Advanced section 5.1).
const OF_IDENTITY_TOKENS: [&str; 3] = ["at_hash", "c_hash", "s_hash"];

/// Claims of access tokens (RFC 9068 section 2.2, RFC 7800 section 3.1).
const OF_ACCESS_TOKENS: [&str; 3] = ["scope", "client_id", "cnf"];

/// Claims about an authentication. Access tokens may have some of them too (RFC 9068 section 2.2.1).
const OF_AUTHENTICATION: [&str; 5] = ["nonce", "auth_time", "acr", "amr", "azp"];

fn object(part: &'static str, text: &str) -> Result<Map<String, Value>, Error> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(not_base64url(part))?;
    serde_json::from_slice(&bytes).map_err(|error| Error::Token(format!("the {part} is not a JSON object: {error}")))
}

fn not_base64url(part: &'static str) -> impl Fn(base64::DecodeError) -> Error {
    move |_| Error::Token(format!("the {part} is not base64url without padding"))
}
