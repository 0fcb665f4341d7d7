//! The signed documents.

use super::error_code::ErrorCode;

/// The signed documents that a caller sends. Each kind has its own answer to a broken JOSE or JWT rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Document {
    /// The directory's statement about a software (RFC 7591 section 2.3).
    SoftwareStatement,
    /// The JWT that asks for a registration.
    RegistrationRequest,
    /// The JWT by which a client authenticates (RFC 7523).
    ClientAssertion,
}

impl Document {
    /// The name of the document in descriptions.
    pub fn name(self) -> &'static str {
        match self {
            Self::SoftwareStatement => "software statement",
            Self::RegistrationRequest => "registration request",
            Self::ClientAssertion => "client assertion",
        }
    }

    pub(super) fn answer(self) -> (u16, ErrorCode) {
        match self {
            Self::SoftwareStatement => (400, ErrorCode::InvalidSoftwareStatement),
            Self::RegistrationRequest => (400, ErrorCode::InvalidClientMetadata),
            Self::ClientAssertion => (401, ErrorCode::InvalidClient),
        }
    }
}
