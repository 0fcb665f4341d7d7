//! Envoy's `x-forwarded-client-cert` header (XFCC).
//!
//! Elements are separated by `,`, one for each proxy on the way; an element is `key=value` pairs separated by `;`. A
//! value with one of `,` `;` `=` in it is in double quotes, and a backslash inside quotes takes the next character's
//! meaning away.
//!
//! Only `Hash` and `Cert` are read. `Subject` is text that cannot be compared (DN-07). Envoy writes `By`, `URI` and
//! `DNS` **without quotes**, straight out of certificates: a client whose certificate holds a URI with commas could add
//! an element of its own. A proxy in front must therefore be set to write `cert`, and neither `uri` nor `dns`
//! (`set_current_client_cert_details`).

use std::fmt;

use super::certificate::{Certificate, CertificateError, Thumbprint};

/// Longest header read, in octets. Envoy's own limit for all headers together is 60 KiB unless it is raised.
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// Most elements read: more proxies in a row than any mesh has.
const MAX_ELEMENTS: usize = 16;

/// What one proxy said about the certificate that was presented to it.
#[derive(Debug, Clone, Default)]
pub struct Element {
    /// `Hash=`: SHA-256 of the certificate's DER.
    pub hash: Option<Thumbprint>,
    /// `Cert=`: the certificate. Whether it is the one of `hash` is not checked here.
    pub certificate: Option<Certificate>,
}

/// Reads the header's value, left to right: the nearest proxy's element is the last one.
///
/// One fault anywhere makes the whole header unusable. The elements on the left may come from the client itself; if
/// they were forgiven, an unbalanced quote could swallow what the trusted proxy wrote behind it.
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

/// Why a header is not an `x-forwarded-client-cert`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XfccError {
    /// Longer than 64 KiB.
    TooLong,
    /// More than 16 elements.
    TooManyElements,
    /// Not `key=value` pairs, or quotes that do not close where they should.
    Syntax,
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

/// Reads one element and what is behind the comma that ends it; `None` at the header's end.
fn element(mut rest: &str) -> Result<(Element, Option<&str>), XfccError> {
    let mut element = Element::default();
    loop {
        let (key, behind) = rest.split_once('=').ok_or(XfccError::Syntax)?;
        let key = key.trim_matches(' ');
        if key.is_empty() || !key.bytes().all(|octet| octet.is_ascii_alphanumeric()) {
            return Err(XfccError::Syntax);
        }
        let (value, end) = value(behind)?;
        element.set(key, &value)?;
        match end {
            EndOf::Pair(behind) => rest = behind,
            EndOf::Element(behind) => return Ok((element, Some(behind))),
            EndOf::Header => return Ok((element, None)),
        }
    }
}

impl Element {
    /// Keys are compared without regard to case.
    fn set(&mut self, key: &str, value: &str) -> Result<(), XfccError> {
        if key.eq_ignore_ascii_case("Hash") {
            let hash = Thumbprint::from_hex(value).ok_or(XfccError::Hash)?;
            return once(&mut self.hash, hash);
        }
        if key.eq_ignore_ascii_case("Cert") {
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

/// What ended a value, and what is behind it.
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

/// RFC 3986 section 2.1. A `+` is a plus: base64 has it, and this is not a form.
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
