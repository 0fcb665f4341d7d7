//! Certificates as the TLS layer hands them over: their subject, alternative names, validity, PSD2 roles and thumbprint.
//!
//! Chains, trust anchors and revocation belong to Envoy's TLS layer, which ends the handshake before this code runs.
//! What is read here binds a request to a certificate: distinguished names (RFC 4514, RFC 4517), alternative names and
//! thumbprints (RFC 8705).

pub mod certificate;
mod fields;
mod hex;
pub mod name;
mod psd2;
pub mod xfcc;

pub use certificate::{AlternativeName, Certificate, CertificateError, Thumbprint};
pub use name::{Attribute, DistinguishedName, NameError};
pub use psd2::Psd2Role;

#[cfg(test)]
pub(crate) mod tests;
