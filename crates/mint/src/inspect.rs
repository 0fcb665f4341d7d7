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

/// The three kinds of token in Dynamic Client Registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A software statement. The directory signs it, and it describes the software of a third party.
    SoftwareStatement,
    /// A registration request. It is sent to the registration endpoint.
    RegistrationRequest,
    /// A client assertion. It is sent to the token endpoint.
    ClientAssertion,
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
        Ok(Self { kind: Kind::of(&claims), header: Map::new(), claims, compact: None, signature_bytes: None })
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
            kind: Kind::of(&claims),
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
            Self::Other => "JWT",
        }
    }

    fn of(claims: &Map<String, Value>) -> Self {
        let has = |name| claims.contains_key(name);
        if has("software_statement") || has("token_endpoint_auth_method") {
            Self::RegistrationRequest
        } else if has("software_roles") || has("software_jwks_endpoint") || has("org_id") {
            Self::SoftwareStatement
        } else if has("sub") && claims.get("sub") == claims.get("iss") {
            Self::ClientAssertion
        } else {
            Self::Other
        }
    }
}

fn object(part: &'static str, text: &str) -> Result<Map<String, Value>, Error> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(not_base64url(part))?;
    serde_json::from_slice(&bytes).map_err(|error| Error::Token(format!("the {part} is not a JSON object: {error}")))
}

fn not_base64url(part: &'static str) -> impl Fn(base64::DecodeError) -> Error {
    move |_| Error::Token(format!("the {part} is not base64url without padding"))
}
