//! The fields of a certificate that bind a request to it.

use std::fmt;
use std::net::IpAddr;

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine};
use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode, Tag, TagNumber, Tagged};
use sha2::{Digest, Sha256};

use super::fields::{Fields, elements};
use super::hex;
use super::name::DistinguishedName;
use super::psd2::{self, Psd2Role};

/// The longest certificate that is read, in octets of DER. Certificates with a hundred names stay below 8 KiB.
const MAX_DER_BYTES: usize = 64 * 1024;

/// The longest PEM text that is read, in octets. A certificate of the longest size fits in base64, with a short chain behind it.
const MAX_PEM_BYTES: usize = 256 * 1024;

/// A parsed X.509 certificate (RFC 5280). This code checks neither its signature nor its chain.
#[derive(Debug, Clone)]
pub struct Certificate {
    subject: DistinguishedName,
    issuer: DistinguishedName,
    authority_key_identifier: Option<Vec<u8>>,
    thumbprint: Thumbprint,
    not_before: u64,
    not_after: u64,
    alternative_names: Vec<AlternativeName>,
    /// `None` if the statement is malformed.
    psd2_roles: Option<Vec<Psd2Role>>,
}

impl Certificate {
    /// Reads the first `CERTIFICATE` block of a PEM text (RFC 7468). Other text is ignored, because Envoy and other tools write the rest of
    /// the chain behind the holder's certificate.
    ///
    /// # Errors
    /// The fault, as a [`CertificateError`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, CertificateError> {
        if pem.len() > MAX_PEM_BYTES {
            return Err(CertificateError::TooLong);
        }
        let text = first_block(pem).ok_or(CertificateError::Pem)?;
        let text: Vec<u8> = text.iter().copied().filter(|octet| !octet.is_ascii_whitespace()).collect();
        Self::from_der(&BASE64_STANDARD.decode(text).map_err(|_| CertificateError::Pem)?)
    }

    /// Reads one DER certificate. Nothing may follow it.
    ///
    /// # Errors
    /// The fault, as a [`CertificateError`].
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > MAX_DER_BYTES {
            return Err(CertificateError::TooLong);
        }
        let fields = Fields::read(der).ok_or(CertificateError::Der)?;
        Ok(Self {
            subject: DistinguishedName::from_asn1(fields.subject).ok_or(CertificateError::Der)?,
            issuer: DistinguishedName::from_asn1(fields.issuer).unwrap_or_default(),
            authority_key_identifier: authority_key_identifier(&fields),
            thumbprint: Thumbprint::of_der(der),
            not_before: fields.not_before,
            not_after: fields.not_after,
            alternative_names: alternative_names(&fields),
            psd2_roles: psd2_roles(&fields),
        })
    }

    /// The subject. It is empty if the certificate names its holder only by alternative names. An empty name matches no other name.
    pub fn subject(&self) -> &DistinguishedName {
        &self.subject
    }

    /// The name of the issuer, as the certificate states it. It is empty, and so matches no name, if it cannot be read.
    pub fn issuer(&self) -> &DistinguishedName {
        &self.issuer
    }

    /// The id of the issuer's key (`keyIdentifier`, RFC 5280 section 4.2.1.1), as the certificate states it. `None` if the extension is
    /// absent, malformed or repeated, or names no id.
    pub fn authority_key_identifier(&self) -> Option<&[u8]> {
        self.authority_key_identifier.as_deref()
    }

    /// SHA-256 of the DER (RFC 8705 section 3.1).
    pub fn thumbprint(&self) -> Thumbprint {
        self.thumbprint
    }

    /// Start of validity, in Unix seconds.
    pub fn not_before(&self) -> u64 {
        self.not_before
    }

    /// End of validity, in Unix seconds; that second is still valid (RFC 5280 section 4.1.2.5).
    pub fn not_after(&self) -> u64 {
        self.not_after
    }

    /// The subject alternative names of the kinds in RFC 8705 section 2.1.2, in the certificate's order. A name that cannot be read is left
    /// out. The list is empty if the extension is absent, malformed or repeated.
    pub fn subject_alternative_names(&self) -> &[AlternativeName] {
        &self.alternative_names
    }

    /// The roles in the certificate's qualified statement for PSD2 (ETSI TS 119 495 section 5.1), each once, in the certificate's order.
    /// The list is empty if there is no such statement, or if it is malformed.
    pub fn psd2_roles(&self) -> &[Psd2Role] {
        self.psd2_roles.as_deref().unwrap_or_default()
    }

    /// Whether the certificate has qualified statements that cannot be read as the standard writes them, so that they grant no role. Some
    /// issuers put all roles into one sequence, or leave out the list around a single role.
    pub fn psd2_statement_is_malformed(&self) -> bool {
        self.psd2_roles.is_none()
    }
}

/// A subject alternative name (RFC 5280 section 4.2.1.6), as the certificate writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlternativeName {
    /// `dNSName`. Compare it without regard to ASCII case.
    Dns(String),
    /// `uniformResourceIdentifier`.
    Uri(String),
    /// `rfc822Name`.
    Email(String),
    /// `iPAddress`.
    Ip(IpAddr),
}

/// SHA-256 of a certificate's DER.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Thumbprint([u8; 32]);

impl Thumbprint {
    /// The thumbprint of these octets, which should be the DER of a certificate. The octets are not checked.
    pub fn of_der(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }

    /// The thumbprint as 43 characters of base64url without padding: `x5t#S256` of RFC 8705 section 3.1 (AT-01).
    pub fn x5t_s256(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.0)
    }

    /// The thumbprint as 64 lower-case hexadecimal digits, the form of Envoy's `connection.sha256_peer_certificate_digest` and of `Hash=`
    /// in XFCC.
    pub fn hex(&self) -> String {
        hex::encode(&self.0)
    }

    /// Reads 64 hexadecimal digits of either case. `None` for any other text.
    pub fn from_hex(hex: &str) -> Option<Self> {
        hex::decode(hex)?.try_into().ok().map(Self)
    }
}

/// Why bytes are not an acceptable certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateError {
    /// The DER is longer than 64 KiB, or the PEM is longer than 256 KiB.
    TooLong,
    /// There is no `CERTIFICATE` block, or it is not valid PEM.
    Pem,
    /// The bytes are not an X.509 certificate in DER, or something follows it.
    Der,
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "the certificate is longer than allowed",
            Self::Pem => "no PEM block CERTIFICATE that can be read",
            Self::Der => "not a DER-encoded X.509 certificate",
        })
    }
}

impl std::error::Error for CertificateError {}

/// The text between the first `BEGIN CERTIFICATE` and the next `END CERTIFICATE`. It is base64 and may contain white space anywhere (RFC
/// 7468 section 3, `laxbase64text`).
fn first_block(pem: &[u8]) -> Option<&[u8]> {
    const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
    const END: &[u8] = b"-----END CERTIFICATE-----";
    let block = pem.get(position(pem, BEGIN)?..)?.strip_prefix(BEGIN)?;
    block.get(..position(block, END)?)
}

fn position(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

const SUBJECT_ALTERNATIVE_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");

const AUTHORITY_KEY_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.35");

/// Reads `AuthorityKeyIdentifier`, of which `keyIdentifier` is the first field.
fn authority_key_identifier(fields: &Fields<'_>) -> Option<Vec<u8>> {
    const KEY_IDENTIFIER: Tag = Tag::ContextSpecific { constructed: false, number: TagNumber(0) };
    let identifier = AnyRef::from_der(fields.extension_value(AUTHORITY_KEY_IDENTIFIER)?).ok()?;
    let fields = elements(identifier, Tag::Sequence)?;
    let key = fields.first().filter(|first| first.tag() == KEY_IDENTIFIER)?;
    (!key.value().is_empty()).then(|| key.value().to_vec())
}

/// Without a readable list the certificate stays usable for requests that need no alternative name: no other name matches one.
fn alternative_names(fields: &Fields<'_>) -> Vec<AlternativeName> {
    let names = fields.extension_value(SUBJECT_ALTERNATIVE_NAME).and_then(|der| AnyRef::from_der(der).ok());
    let names = names.and_then(|list| elements(list, Tag::Sequence)).unwrap_or_default();
    names.into_iter().filter_map(general_name).collect()
}

/// `None` for a malformed statement. It grants no role; the certificate stays usable for requests that need no role.
fn psd2_roles(fields: &Fields<'_>) -> Option<Vec<Psd2Role>> {
    if fields.has_extension(psd2::QC_STATEMENTS) {
        psd2::roles(fields.extension_value(psd2::QC_STATEMENTS)?)
    } else {
        Some(Vec::new())
    }
}

/// Reads one `GeneralName`. `None` for a kind that RFC 8705 does not know, and for a name that cannot be read.
fn general_name(name: AnyRef<'_>) -> Option<AlternativeName> {
    let Tag::ContextSpecific { number, constructed: false } = name.tag() else {
        return None;
    };
    let octets = name.value();
    match number.value() {
        1 => ia5_string(octets).map(AlternativeName::Email),
        2 => ia5_string(octets).map(AlternativeName::Dns),
        6 => ia5_string(octets).map(AlternativeName::Uri),
        7 => ip_address(octets).map(AlternativeName::Ip),
        _ => None,
    }
}

fn ia5_string(octets: &[u8]) -> Option<String> {
    String::from_utf8(octets.to_vec()).ok().filter(|text| text.is_ascii())
}

fn ip_address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    let v6 = <[u8; 16]>::try_from(octets).map(IpAddr::from);
    v4.or(v6).ok()
}
