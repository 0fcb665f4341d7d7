//! Compact JWS (RFC 7515 section 7.1): the three parts, their encoding and the protected header.

use std::cell::OnceCell;
use std::fmt;
use std::rc::Rc;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use dcr_json::{self as json, JsonError};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// Limits for a token. They are checked first, so that reading a token costs little.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest token, in octets of its compact form. Default 48 KiB (49152).
    pub token_bytes: usize,
    /// The deepest nesting of the header's JSON. The header itself counts as 1. Default 16.
    pub json_depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { token_bytes: 48 * 1024, json_depth: 16 }
    }
}

/// A JWS with a correct format and header. **Its signature is not verified.**
///
/// Do not trust its contents before [`VerificationKey::verify`](super::jwk::VerificationKey::verify) has accepted
/// [`signing_input`](Self::signing_input) and [`signature`](Self::signature).
#[derive(Debug, Clone)]
pub struct Jws {
    compact: Rc<str>,
    signing_input_length: usize,
    header: Header,
    payload: Vec<u8>,
    signature: Rc<[u8]>,
    signing_digest: OnceCell<[u8; 32]>,
}

impl Jws {
    /// Splits a compact JWS into its parts and decodes them. White space around or inside the token is an error.
    ///
    /// `alg` is only read here. The caller must check that it is allowed ([`Algorithm::from_name`](super::Algorithm::from_name)) before it
    /// looks for a key. Header members that hold a key or the location of a key (`jwk`, `jku`, `x5c`, `x5u`) remain in [`Header::members`]
    /// and are never used.
    ///
    /// # Errors
    /// The first fault, as a [`JwsError`].
    pub fn parse(token: &[u8], limits: &Limits) -> Result<Jws, JwsError> {
        jo_01_length(token, limits)?;
        let compact = std::str::from_utf8(token).map_err(|_| JwsError::NotCompact)?;
        let parts = parts(compact);
        jo_17_not_encrypted(compact, &parts)?;
        let [header, payload, signature] = jo_01_three_parts(&parts)?;

        let header = Header::parse(&jo_01_base64url(header)?, limits.json_depth)?;
        let payload = jo_01_base64url(payload)?;
        let signature_bytes = jo_04_signed(signature)?;
        let signing_input_length = compact.len().saturating_sub(signature.len()).saturating_sub(".".len());
        let (compact, signature) = (compact.into(), signature_bytes.into());
        Ok(Jws { compact, signing_input_length, header, payload, signature, signing_digest: OnceCell::new() })
    }

    /// The protected header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The decoded payload.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The decoded signature. It is never empty.
    pub fn signature(&self) -> &Rc<[u8]> {
        &self.signature
    }

    /// The octets that were signed: the first two parts, unchanged, with the dot between them (RFC 7515 section 5.1).
    pub fn signing_input(&self) -> &[u8] {
        self.compact.as_bytes().get(..self.signing_input_length).unwrap_or_default()
    }

    /// SHA-256 of [`signing_input`](Self::signing_input). It is computed only once.
    pub fn signing_digest(&self) -> &[u8; 32] {
        self.signing_digest.get_or_init(|| Sha256::digest(self.signing_input()).into())
    }

    /// The token as it was sent.
    pub fn compact(&self) -> &Rc<str> {
        &self.compact
    }
}

/// The protected header of a JWS (RFC 7515 section 4.1).
#[derive(Debug, Clone)]
pub struct Header {
    /// `alg` as it was sent: any string except `none`.
    pub alg: String,
    /// `kid`, an opaque string (JO-13).
    pub kid: Option<String>,
    /// `typ` as it was sent.
    pub typ: Option<String>,
    /// All members, including those above.
    pub members: Map<String, Value>,
}

impl Header {
    fn parse(bytes: &[u8], max_depth: usize) -> Result<Header, JwsError> {
        let members = jo_02_header(bytes, max_depth)?;
        let alg = jo_03_alg(&members)?;
        jo_04_not_none(alg)?;
        jo_10_no_crit(&members)?;
        jo_11_not_unencoded(&members)?;
        let kid = jo_02_string(&members, "kid")?;
        let typ = jo_02_string(&members, "typ")?;
        Ok(Header { alg: alg.to_owned(), kid, typ, members })
    }
}

/// Why bytes are not an acceptable JWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JwsError {
    /// The token is longer than [`Limits::token_bytes`].
    TooLong,
    /// The token does not have three parts with dots between them (JO-01).
    NotCompact,
    /// The token has five parts, so it is encrypted (JWE) and not signed (JO-17).
    Encrypted,
    /// A part is not base64url: it has padding, white space, another character, or trailing bits that are not zero (JO-01).
    Base64,
    /// The header is not an object of strict JSON (JO-02).
    HeaderJson(JsonError),
    /// `alg` is missing or not a string (JO-03).
    AlgMissing,
    /// `alg` is `none`, in any letter case (JO-04).
    AlgNone,
    /// The signature part is empty (JO-04).
    SignatureEmpty,
    /// The signature part has no padding and no white space, but it is not base64url. The signature cannot verify.
    SignatureDamaged,
    /// The header has `crit` (JO-10, RFC 7515 section 4.1.11). This code supports no extension, and an empty or wrong list is an error too.
    Critical,
    /// The header has `b64` (JO-11, RFC 7797).
    UnencodedPayload,
    /// `kid` or `typ` is not a string.
    MemberType,
}

impl fmt::Display for JwsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => f.write_str("the token is longer than allowed"),
            Self::NotCompact => {
                f.write_str("not a compact JWS: send three base64url parts with dots between them, nothing else")
            }
            Self::Encrypted => f.write_str("the token is encrypted (JWE): send a signed one (JWS)"),
            Self::Base64 => f.write_str("a part of the JWS is not base64url without padding"),
            Self::HeaderJson(why) => write!(f, "the JWS header cannot be read: {why}"),
            Self::AlgMissing => f.write_str("the JWS header has no alg string"),
            Self::AlgNone => f.write_str("the JWS header's alg is none: sign the token"),
            Self::SignatureEmpty => f.write_str("the JWS has no signature"),
            Self::SignatureDamaged => f.write_str("the JWS's signature is damaged"),
            Self::Critical => f.write_str("the JWS header has crit: no extension is supported"),
            Self::UnencodedPayload => f.write_str("the JWS header has b64: unencoded payloads are not supported"),
            Self::MemberType => f.write_str("kid or typ of the JWS header is not a string"),
        }
    }
}

impl std::error::Error for JwsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::HeaderJson(why) => Some(why),
            _ => None,
        }
    }
}

fn jo_01_length(token: &[u8], limits: &Limits) -> Result<(), JwsError> {
    if token.len() > limits.token_bytes { Err(JwsError::TooLong) } else { Ok(()) }
}

/// The parts of a token, at most one more than a JWE has. A token with a thousand dots is not split further.
fn parts(compact: &str) -> [Option<&str>; 6] {
    let mut parts = compact.splitn(6, '.');
    [(); 6].map(|()| parts.next())
}

/// Refuses a JWE. A JSON object can also contain four dots, but it contains other characters too.
fn jo_17_not_encrypted(compact: &str, parts: &[Option<&str>; 6]) -> Result<(), JwsError> {
    match parts {
        [.., Some(_), None] if compact.bytes().all(is_compact) => Err(JwsError::Encrypted),
        _ => Ok(()),
    }
}

fn jo_01_three_parts<'t>(parts: &[Option<&'t str>; 6]) -> Result<[&'t str; 3], JwsError> {
    match *parts {
        [Some(header), Some(payload), Some(signature), None, ..] => Ok([header, payload, signature]),
        _ => Err(JwsError::NotCompact),
    }
}

/// Whether a compact serialisation may contain this byte: base64url and dots (RFC 7515 section 7.1, RFC 7516 section 7.1).
fn is_compact(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)
}

fn jo_01_base64url(part: &str) -> Result<Vec<u8>, JwsError> {
    BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| JwsError::Base64)
}

fn jo_02_header(bytes: &[u8], max_depth: usize) -> Result<Map<String, Value>, JwsError> {
    json::parse_object(bytes, max_depth).map_err(JwsError::HeaderJson)
}

fn jo_03_alg(members: &Map<String, Value>) -> Result<&str, JwsError> {
    members.get("alg").and_then(Value::as_str).ok_or(JwsError::AlgMissing)
}

fn jo_04_not_none(alg: &str) -> Result<(), JwsError> {
    if alg.eq_ignore_ascii_case("none") { Err(JwsError::AlgNone) } else { Ok(()) }
}

/// The signature, which must not be empty. Padding and white space break its format (JO-01), as in the other parts. If it cannot be decoded
/// for another reason, the signature is damaged and does not verify.
fn jo_04_signed(part: &str) -> Result<Vec<u8>, JwsError> {
    let is_malformed = |part: &str| part.contains(|c: char| c == '=' || c.is_whitespace() || c.is_control());
    match jo_01_base64url(part) {
        Ok(signature) if signature.is_empty() => Err(JwsError::SignatureEmpty),
        Err(_) if !is_malformed(part) => Err(JwsError::SignatureDamaged),
        signature => signature,
    }
}

fn jo_10_no_crit(members: &Map<String, Value>) -> Result<(), JwsError> {
    if members.contains_key("crit") { Err(JwsError::Critical) } else { Ok(()) }
}

fn jo_11_not_unencoded(members: &Map<String, Value>) -> Result<(), JwsError> {
    if members.contains_key("b64") { Err(JwsError::UnencodedPayload) } else { Ok(()) }
}

fn jo_02_string(members: &Map<String, Value>, name: &str) -> Result<Option<String>, JwsError> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(value)) => Ok(Some(value.clone())),
        Some(_) => Err(JwsError::MemberType),
    }
}
