//! Envoy's `x-forwarded-client-cert` header (XFCC).
//!
//! The header has one element for each proxy on the way, separated by `,`. An element has `key=value` pairs, separated by `;`. A value that
//! contains `,`, `;` or `=` is in double quotes. Inside quotes, a backslash makes the next character an ordinary one.
//!
//! Only `Hash` and `Cert` are read. `Subject` is text that cannot be compared (DN-07). Envoy writes the keys in the order `By`, `Hash`,
//! `Cert`, `Chain`, `Subject`, `URI`, `DNS`, and it copies `By`, `URI` and `DNS` from certificates **without quotes**:
//!
//! - `By` is the proxy's own name, and it may hold `,`, `;` and `=`. If an element starts with `By`, the value ends at the first `;Hash=`.
//!   This is so only if the text before that place holds no `"`, and no `,` or `;` with one of the seven keys and a `=` behind it (a second
//!   `;By=` is allowed, because a proxy may have several names). Otherwise the value ends at the first `,` or `;`. So a `By` that a client
//!   wrote cannot reach into the element that the proxy added behind it.
//! - `URI` and `DNS` are the client's names. A client could put a whole element into them. So only the last element may have them, and
//!   behind them no other key may follow. A header that breaks this can be read in two ways and is refused, also where an earlier proxy
//!   wrote the names. A proxy in front should be configured to write `cert`, and neither `uri` nor `dns`
//!   (`set_current_client_cert_details`).

use std::fmt;

use super::certificate::{Certificate, CertificateError, Thumbprint};

/// The longest header that is read, in octets. Envoy's default limit for all headers together is 60 KiB.
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// The most elements that are read. No mesh has that many proxies in a row.
const MAX_ELEMENTS: usize = 16;

/// The keys that Envoy writes, in its order.
const KEYS: [&str; 7] = [BY, HASH, CERT, "Chain", "Subject", URI, DNS];
const BY: &str = "By";
const HASH: &str = "Hash";
const CERT: &str = "Cert";
const URI: &str = "URI";
const DNS: &str = "DNS";

/// The statement of one proxy about the certificate that it received.
#[derive(Debug, Clone, Default)]
pub struct Element {
    /// `Hash=`: SHA-256 of the certificate's DER.
    pub hash: Option<Thumbprint>,
    /// `Cert=`: the certificate. This code does not check that it has this `hash`.
    pub certificate: Option<Certificate>,
}

/// Reads the header's value. The elements are in the header's order, so the last one is from the nearest proxy.
///
/// One fault anywhere makes the whole header unusable, because the elements on the left may come from the client itself. If faults were
/// ignored, an unbalanced quote could swallow the element that the trusted proxy added.
///
/// # Errors
/// The first fault, as an [`XfccError`].
pub fn parse(header: &[u8]) -> Result<Vec<Element>, XfccError> {
    if header.len() > MAX_HEADER_BYTES {
        return Err(XfccError::TooLong);
    }
    let mut rest = std::str::from_utf8(header).map_err(|_| XfccError::Syntax)?;
    let mut elements = Vec::new();
    loop {
        if elements.len() == MAX_ELEMENTS {
            return Err(XfccError::TooManyElements);
        }
        let (element, behind) = element(rest)?;
        elements.push(element);
        match behind {
            Some(behind) => rest = behind,
            None => return Ok(elements),
        }
    }
}

/// Why text is not an acceptable `x-forwarded-client-cert` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XfccError {
    /// The header is longer than 64 KiB.
    TooLong,
    /// The header has more than 16 elements.
    TooManyElements,
    /// The header does not consist of `key=value` pairs, or quotes do not close where they should.
    Syntax,
    /// Behind `URI` or `DNS` follows another key or another element. The client may have written it into its certificate.
    Ambiguous,
    /// An element names `Hash` or `Cert` twice.
    Repeated,
    /// `Hash` is not 64 hexadecimal digits.
    Hash,
    /// `Cert` is not URL-encoded.
    UrlEncoding,
    /// `Cert` is URL-encoded, but not a certificate in PEM.
    Certificate(CertificateError),
}

impl fmt::Display for XfccError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => f.write_str("x-forwarded-client-cert is longer than allowed"),
            Self::TooManyElements => f.write_str("x-forwarded-client-cert has more elements than allowed"),
            Self::Syntax => f.write_str("x-forwarded-client-cert is not a list of key=value pairs"),
            Self::Ambiguous => {
                f.write_str("x-forwarded-client-cert goes on behind URI or DNS, which may hold any text of the client")
            }
            Self::Repeated => f.write_str("an element of x-forwarded-client-cert has two Hash or two Cert"),
            Self::Hash => f.write_str("Hash of x-forwarded-client-cert is not a SHA-256 digest in hexadecimal"),
            Self::UrlEncoding => f.write_str("Cert of x-forwarded-client-cert is not URL-encoded"),
            Self::Certificate(why) => write!(f, "Cert of x-forwarded-client-cert cannot be read: {why}"),
        }
    }
}

impl std::error::Error for XfccError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Certificate(why) => Some(why),
            _ => None,
        }
    }
}

/// Reads one element, and the text behind the comma that ends it. The text is `None` at the end of the header.
fn element(text: &str) -> Result<(Element, Option<&str>), XfccError> {
    let mut element = Element::default();
    let mut rest = behind_by(text).unwrap_or(text);
    let mut has_client_names = false;
    loop {
        let (key, behind) = rest.split_once('=').ok_or(XfccError::Syntax)?;
        let key = key.trim_matches(' ');
        if key.is_empty() || !key.bytes().all(|octet| octet.is_ascii_alphanumeric()) {
            return Err(XfccError::Syntax);
        }
        let is_client_name = key.eq_ignore_ascii_case(URI) || key.eq_ignore_ascii_case(DNS);
        if has_client_names && !is_client_name {
            return Err(XfccError::Ambiguous);
        }
        has_client_names = is_client_name;
        let (value, end) = value(behind)?;
        element.set(key, &value)?;
        match end {
            EndOf::Pair(behind) => rest = behind,
            EndOf::Element(_) if has_client_names => return Err(XfccError::Ambiguous),
            EndOf::Element(behind) => return Ok((element, Some(behind))),
            EndOf::Header => return Ok((element, None)),
        }
    }
}

/// The text from `Hash` on, if the element starts with `By` and the value of `By` ends there.
fn behind_by(element: &str) -> Option<&str> {
    let value = behind_key(element, BY)?;
    for (place, delimiter) in value.match_indices([';', ',', '"']) {
        let behind = value.get(place + 1..)?;
        let key = KEYS.into_iter().find(|key| behind_key(behind, key).is_some());
        match (delimiter, key) {
            (";", Some(HASH)) => return Some(behind),
            (";", Some(BY)) | (";" | ",", None) => {}
            _ => return None,
        }
    }
    None
}

/// The text behind `key=`.
fn behind_key<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let (start, behind) = text.trim_start_matches(' ').split_at_checked(key.len())?;
    if start.eq_ignore_ascii_case(key) { behind.trim_start_matches(' ').strip_prefix('=') } else { None }
}

impl Element {
    /// Keys are compared without regard to case.
    fn set(&mut self, key: &str, value: &str) -> Result<(), XfccError> {
        if key.eq_ignore_ascii_case(HASH) {
            let hash = Thumbprint::from_hex(value).ok_or(XfccError::Hash)?;
            return once(&mut self.hash, hash);
        }
        if key.eq_ignore_ascii_case(CERT) {
            let pem = url_decode(value).ok_or(XfccError::UrlEncoding)?;
            let certificate = Certificate::from_pem(&pem).map_err(XfccError::Certificate)?;
            return once(&mut self.certificate, certificate);
        }
        Ok(())
    }
}

fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), XfccError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(XfccError::Repeated),
    }
}

/// The character that ended a value, and the text behind it.
enum EndOf<'a> {
    Pair(&'a str),
    Element(&'a str),
    Header,
}

fn value(text: &str) -> Result<(String, EndOf<'_>), XfccError> {
    let mut value = String::new();
    let mut rest = text.chars();
    if let Some(behind) = text.strip_prefix('"') {
        rest = behind.chars();
        loop {
            match rest.next().ok_or(XfccError::Syntax)? {
                '"' => break,
                '\\' => value.push(rest.next().ok_or(XfccError::Syntax)?),
                plain => value.push(plain),
            }
        }
        return Ok((value, end(rest.next(), rest.as_str())?));
    }
    loop {
        match rest.next() {
            Some('"') => return Err(XfccError::Syntax),
            delimiter @ (None | Some(';' | ',')) => return Ok((value, end(delimiter, rest.as_str())?)),
            Some(plain) => value.push(plain),
        }
    }
}

fn end(delimiter: Option<char>, behind: &str) -> Result<EndOf<'_>, XfccError> {
    match delimiter {
        None => Ok(EndOf::Header),
        Some(';') => Ok(EndOf::Pair(behind)),
        Some(',') => Ok(EndOf::Element(behind)),
        Some(_) => Err(XfccError::Syntax),
    }
}

/// RFC 3986 section 2.1. A `+` stays a plus, because base64 contains it and this is not a form.
fn url_decode(text: &str) -> Option<Vec<u8>> {
    let mut octets = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(octet) = octets.next() {
        decoded.push(match octet {
            b'%' => super::hex::pair(octets.next()?, octets.next()?)?,
            plain => plain,
        });
    }
    Some(decoded)
}
