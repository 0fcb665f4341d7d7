//! Attribute values: decoding (ASN.1 strings), preparation for comparison (RFC 4518) and printing (RFC 4514).

use std::fmt;

use der::asn1::{AnyRef, Utf8StringRef};
use der::{Decode, Encode, Length, Reader, SliceReader, Tag, Tagged};

use super::decomposition::push_decomposed;
use super::parse::is_blank;
use crate::hex;

/// The value of one attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// An ASN.1 string of any type, or a value written as text.
    Text(String),
    /// The DER of any other ASN.1 value, and of text that cannot be decoded.
    Der(Vec<u8>),
}

/// A value in the form in which equal values are equal.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Prepared {
    Text(String),
    Der(Vec<u8>),
}

impl Value {
    /// Reads a value of a certificate, or the octets of RFC 4514's `#hex` form. A value that is not text, and text that cannot be decoded,
    /// is kept as DER. `None` if the octets are not one DER value.
    pub(super) fn from_der(der: &[u8]) -> Option<Self> {
        let text = AnyRef::from_der(der).ok().and_then(|value| decode_string(value.tag(), value.value()));
        text.map(Self::Text).or_else(|| is_one_value(der).then(|| Self::Der(der.to_vec())))
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Der(_) => None,
        }
    }

    /// The value in printable ASCII without backslashes: as RFC 4514 prints it, or else the hexadecimal form of its DER.
    pub(super) fn to_plain_ascii(&self) -> String {
        let printed = self.to_string();
        if printed.bytes().all(|octet| matches!(octet, b' '..=b'~') && octet != b'\\') {
            return printed;
        }
        let der = self.text().and_then(|text| Utf8StringRef::new(text).ok()?.to_der().ok());
        // A value that is not text is printed in this form already.
        der.map_or(printed, |der| format!("#{}", hex::encode(&der)))
    }

    /// Prepares text for caseIgnoreMatch (RFC 4517 section 4.2.11), and other values for the comparison of octets.
    ///
    /// caseIgnoreIA5Match (section 4.2.3), the rule of `DC` and `emailAddress`, prepares text in the same way. `None` if RFC 4518 section
    /// 2.4 prohibits a character of the value: such a value equals nothing.
    pub(super) fn prepare(&self) -> Option<Prepared> {
        match self {
            Self::Text(text) => prepare_text(text).map(Prepared::Text),
            Self::Der(der) => Some(Prepared::Der(der.clone())),
        }
    }
}

/// Whether the octets are one value, with a tag of one octet. The crate `der` does not know every tag: it refuses `UniversalString`.
fn is_one_value(der: &[u8]) -> bool {
    let Some((tag, Ok(mut behind))) = der.split_first().map(|(tag, behind)| (tag, SliceReader::new(behind))) else {
        return false;
    };
    let length = Length::decode(&mut behind);
    tag & 0x1f != 0x1f && length.is_ok_and(|length| length == behind.remaining_len())
}

/// The text of an ASN.1 string: one of the types in RFC 5280's DirectoryString, or IA5String. `None` if it cannot be decoded.
fn decode_string(tag: Tag, octets: &[u8]) -> Option<String> {
    match tag {
        Tag::Utf8String => String::from_utf8(octets.to_vec()).ok(),
        // Some certificates have a PrintableString with `@` or `_`. That is a mistake of their issuer. The name is still the same.
        Tag::PrintableString | Tag::Ia5String | Tag::NumericString | Tag::VisibleString => {
            octets.is_ascii().then(|| String::from_utf8(octets.to_vec()).ok())?
        }
        // The standard says T.61, but every certificate and every tool uses ISO 8859-1.
        Tag::TeletexString => Some(octets.iter().copied().map(char::from).collect()),
        Tag::BmpString => {
            let (units, []) = octets.as_chunks::<2>() else {
                return None;
            };
            char::decode_utf16(units.iter().copied().map(u16::from_be_bytes)).collect::<Result<_, _>>().ok()
        }
        _ => None,
    }
}

/// RFC 4518: map (section 2.2, with case folding), normalise (2.3), prohibit (2.4), handle insignificant spaces (2.6.1).
///
/// The normalisation covers Latin, Greek and Cyrillic letters with marks, see [`push_decomposed`]. The only effect is that a name with
/// other code points of another script may not match.
fn prepare_text(text: &str) -> Option<String> {
    let mut mapped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            prohibited if is_prohibited(prohibited) => return None,
            nothing if is_mapped_to_nothing(nothing) => {}
            space if space.is_whitespace() => mapped.push(' '),
            // The sharp s is the only letter in use that folds to two letters.
            'ß' | 'ẞ' => mapped.push_str("ss"),
            'ς' => mapped.push('σ'),
            other => other.to_lowercase().for_each(|letter| push_decomposed(&mut mapped, letter)),
        }
    }
    Some(mapped.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "))
}

/// RFC 4518 section 2.4. Unassigned code points are not checked.
fn is_prohibited(character: char) -> bool {
    let private_use = matches!(character, '\u{E000}'..='\u{F8FF}' | '\u{F0000}'..='\u{10FFFF}');
    let not_a_character = matches!(character, '\u{FDD0}'..='\u{FDEF}' | '\u{FFFD}'..='\u{FFFF}');
    private_use || not_a_character
}

/// RFC 4518 section 2.2, first three paragraphs.
fn is_mapped_to_nothing(character: char) -> bool {
    matches!(character,
        '\u{AD}' | '\u{1806}' | '\u{34F}' | '\u{180B}'..='\u{180D}' | '\u{FE00}'..='\u{FE0F}' | '\u{FFFC}'
        | '\u{0}'..='\u{8}' | '\u{E}'..='\u{1F}' | '\u{7F}'..='\u{84}' | '\u{86}'..='\u{9F}'
        | '\u{6DD}' | '\u{70F}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{2063}' | '\u{206A}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}'
        | '\u{1D173}'..='\u{1D17A}' | '\u{E0001}' | '\u{E0020}'..='\u{E007F}')
}

/// RFC 4514 section 2.4. Control characters, and white space at the ends, are printed as hexadecimal pairs.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Text(text) => text,
            Self::Der(der) => return write!(f, "#{}", hex::encode(der)),
        };
        let last = text.chars().count().saturating_sub(1);
        // White space there would be read as a part of the separator.
        let is_edge = |index| index == 0 || index == last;
        for (index, character) in text.chars().enumerate() {
            match character {
                '"' | '+' | ',' | ';' | '<' | '>' | '\\' => write!(f, "\\{character}")?,
                '#' if index == 0 => f.write_str("\\#")?,
                ' ' if is_edge(index) => f.write_str("\\ ")?,
                octets if is_unsafe_in_logs(octets) || (is_edge(index) && is_blank(octets)) => {
                    octets.encode_utf8(&mut [0; 4]).bytes().try_for_each(|octet| write!(f, "\\{octet:02X}"))?;
                }
                plain => write!(f, "{plain}")?,
            }
        }
        Ok(())
    }
}

/// Control characters can end a log line or control a terminal. Invisible ones can reverse or hide the text behind them.
fn is_unsafe_in_logs(character: char) -> bool {
    character.is_control()
        || is_mapped_to_nothing(character)
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{2066}'..='\u{2069}')
}
