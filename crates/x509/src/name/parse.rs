//! The text form of distinguished names: RFC 4514, and the additions of RFC 2253, RFC 1779 and real tools.

use std::fmt;
use std::iter::Peekable;
use std::str::Chars;

use der::asn1::ObjectIdentifier;

use super::value::Value;
use super::{Attribute, AttributeValue, DistinguishedName, Rdn};
use crate::hex;

/// The longest text that is read, in octets.
const MAX_TEXT_BYTES: usize = 4096;

/// Why text is not a distinguished name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameError {
    /// The text is empty.
    Empty,
    /// The text is longer than 4096 octets.
    TooLong,
    /// An attribute is not written as `type=value`, or its type is neither a name nor an object identifier.
    Attribute,
    /// The short name of an attribute is unknown. Its object identifier would be accepted.
    UnknownAttribute,
    /// A value contains `"`, `<`, `>` or NUL without a backslash (RFC 4514 section 2.4).
    Unescaped,
    /// A backslash is followed by neither a special character nor two hexadecimal digits.
    Escape,
    /// The octets of a value are not UTF-8.
    NotUtf8,
    /// A quoted value has no end, or something follows its end.
    Quote,
    /// The text after `#` is not the hexadecimal form of one DER value.
    Hex,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the distinguished name is empty",
            Self::TooLong => "the distinguished name is longer than 4096 octets",
            Self::Attribute => "an attribute of the distinguished name is not written type=value",
            Self::UnknownAttribute => "an attribute type of the distinguished name is not known: write its OID",
            Self::Unescaped => "a value of the distinguished name holds \", <, > or NUL without a backslash before it",
            Self::Escape => "a backslash in the distinguished name escapes nothing",
            Self::NotUtf8 => "a value of the distinguished name is not UTF-8",
            Self::Quote => "a quoted value of the distinguished name does not end where it should",
            Self::Hex => "a value of the distinguished name that begins with # is not the hexadecimal form of DER",
        })
    }
}

impl std::error::Error for NameError {}

/// Reads a whole name. [`DistinguishedName::parse`] lists the accepted forms.
pub(super) fn distinguished_name(text: &str) -> Result<DistinguishedName, NameError> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(NameError::TooLong);
    }
    let text = without_label(text);
    if text.trim().is_empty() {
        return Err(NameError::Empty);
    }

    let mut rest = text.chars().peekable();
    let mut rdns = Vec::new();
    let mut attributes = Vec::new();
    loop {
        attributes.push(attribute_value(&mut rest)?);
        match rest.next() {
            Some('+') => {}
            Some(',' | ';') => rdns.push(Rdn { attributes: std::mem::take(&mut attributes) }),
            None => break,
            // `attribute_value` stops at a separator or at the end only.
            Some(_) => return Err(NameError::Attribute),
        }
    }
    rdns.push(Rdn { attributes });

    // RFC 4514 section 2.1: the text starts with the last RDN of the sequence.
    rdns.reverse();
    Ok(DistinguishedName { rdns })
}

/// The text without a leading `subject=`, which `openssl x509 -subject` prints. No attribute type has that name.
fn without_label(text: &str) -> &str {
    match text.split_once('=') {
        Some((label, name)) if label.trim().eq_ignore_ascii_case("subject") => name,
        _ => text,
    }
}

type Rest<'a> = Peekable<Chars<'a>>;

/// Reads `type=value` and stops at a separator or at the end.
fn attribute_value(rest: &mut Rest<'_>) -> Result<AttributeValue, NameError> {
    let attribute = attribute_type(rest)?;
    skip_blanks(rest);
    let value = match rest.peek() {
        Some('#') => hex_value(rest)?,
        Some('"') => quoted_value(rest)?,
        _ => string_value(rest)?,
    };
    Ok(AttributeValue { attribute, value })
}

/// Reads the type, and skips the `=` behind it.
fn attribute_type(rest: &mut Rest<'_>) -> Result<Attribute, NameError> {
    let mut name = String::new();
    loop {
        match rest.next() {
            Some('=') => break,
            Some(character) if !is_separator(character) => name.push(character),
            _ => return Err(NameError::Attribute),
        }
    }
    let name = name.trim_matches(is_blank);
    let dotted = match name.get(..4) {
        Some(prefix) if prefix.eq_ignore_ascii_case("OID.") => name.get(4..).unwrap_or_default(),
        _ => name,
    };
    if dotted.starts_with(|first: char| first.is_ascii_digit()) {
        return ObjectIdentifier::new(dotted).map(Attribute::from_oid).map_err(|_| NameError::Attribute);
    }
    let is_keyword = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.chars().all(|character| character.is_ascii_alphanumeric() || character == '-');
    if !is_keyword {
        return Err(NameError::Attribute);
    }
    Attribute::from_name(name).ok_or(NameError::UnknownAttribute)
}

/// `hexstring` of RFC 4514.
fn hex_value(rest: &mut Rest<'_>) -> Result<Value, NameError> {
    rest.next();
    let mut digits = String::new();
    while let Some(digit) = rest.next_if(|next| !is_separator(*next)) {
        digits.push(digit);
    }
    let der = hex::decode(digits.trim_end_matches(is_blank)).ok_or(NameError::Hex)?;
    Value::from_der(&der).ok_or(NameError::Hex)
}

/// The `"…"` of RFC 1779. Separators inside it are ordinary characters.
fn quoted_value(rest: &mut Rest<'_>) -> Result<Value, NameError> {
    rest.next();
    let mut octets = Octets::default();
    loop {
        match rest.next() {
            Some('"') => break,
            Some('\\') => octets.push_octet(escaped(rest)?),
            Some(character) => octets.push(character),
            None => return Err(NameError::Quote),
        }
    }
    skip_blanks(rest);
    match rest.peek() {
        Some(next) if !is_separator(*next) => Err(NameError::Quote),
        _ => octets.into_value(),
    }
}

/// `string` of RFC 4514. White space at its end belongs to the separator unless it is escaped.
fn string_value(rest: &mut Rest<'_>) -> Result<Value, NameError> {
    let mut octets = Octets::default();
    let mut end = 0;
    while let Some(character) = rest.next_if(|next| !is_separator(*next)) {
        match character {
            '\\' => octets.push_octet(escaped(rest)?),
            '"' | '<' | '>' | '\0' => return Err(NameError::Unescaped),
            plain => octets.push(plain),
        }
        if !is_blank(character) {
            end = octets.0.len();
        }
    }
    octets.0.truncate(end);
    octets.into_value()
}

/// The octet that a backslash sequence means: a special character, or the octet of two hexadecimal digits.
fn escaped(rest: &mut Rest<'_>) -> Result<u8, NameError> {
    let first = rest.next().and_then(ascii).ok_or(NameError::Escape)?;
    if br##" "#+,;<=>\"##.contains(&first) {
        return Ok(first);
    }
    let second = rest.next().and_then(ascii).ok_or(NameError::Escape)?;
    hex::pair(first, second).ok_or(NameError::Escape)
}

fn ascii(character: char) -> Option<u8> {
    u8::try_from(character).ok().filter(u8::is_ascii)
}

fn skip_blanks(rest: &mut Rest<'_>) {
    while rest.next_if(|next| is_blank(*next)).is_some() {}
}

/// White space around separators and at the ends. People paste names with line breaks, tabs and no-break spaces.
pub(super) fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r' | '\u{A0}')
}

fn is_separator(character: char) -> bool {
    matches!(character, ',' | ';' | '+')
}

/// A value that is being read. It holds octets, because one `\HH` may be only a part of a character.
#[derive(Default)]
struct Octets(Vec<u8>);

impl Octets {
    fn push(&mut self, character: char) {
        self.0.extend(character.encode_utf8(&mut [0; 4]).bytes());
    }

    fn push_octet(&mut self, octet: u8) {
        self.0.push(octet);
    }

    fn into_value(self) -> Result<Value, NameError> {
        String::from_utf8(self.0).map(Value::Text).map_err(|_| NameError::NotUtf8)
    }
}
