//! Reads client certificates as the TLS layer passes them on: subject, alternative names, validity, PSD2 roles and thumbprint.
//!
//! The input is the PEM or DER of a [`Certificate`], or the value of Envoy's `x-forwarded-client-cert` header ([`xfcc::parse`]). These
//! values bind a request to a certificate: distinguished names (RFC 4514, RFC 4517), alternative names and thumbprints (RFC 8705). Envoy's
//! TLS layer checks chains, trust anchors and revocation before this code runs.
//!
//! Two tools rarely print the same subject in the same way, so names are compared by their meaning:
//!
//! ```
//! use dcr_x509::DistinguishedName;
//!
//! let registered = DistinguishedName::parse("CN=00158,O=Example Bank,C=GB")?;
//! let presented = DistinguishedName::parse("commonName=00158; O=example  bank; C=GB")?;
//! assert!(registered.matches(&presented));
//! # Ok::<(), dcr_x509::NameError>(())
//! ```

pub mod certificate;
mod fields;
mod hex;
pub mod name;
mod psd2;
mod public_key;
pub mod xfcc;

pub use certificate::{AlternativeName, Certificate, CertificateError, Thumbprint};
pub use name::{Attribute, DistinguishedName, NameError};
pub use psd2::Psd2Role;
pub use public_key::PublicKey;

/// Octets as hexadecimal text: two lower-case digits for each octet.
pub fn hex_text(octets: &[u8]) -> String {
    hex::encode(octets)
}

/// The octets of hexadecimal text: two digits of either case for each octet, with or without colons between octets. `None` for other text.
pub fn hex_octets(text: &str) -> Option<Vec<u8>> {
    hex::decode(&text.replace(':', ""))
}

#[cfg(test)]
pub(crate) mod tests;
