//! The rules. Pure: input, settings and clock in, outcome out. Nothing here knows HTTP, the host or the store.
//!
//! What lies behind a check can only be reached with a value that the check made: [`jwt::Verified`] comes from a signature check,
//! [`software_statement::SoftwareStatement`] and [`registration_request::RegistrationRequest`] from verified tokens only.

pub mod access_token;
pub mod catalogue;
pub mod certificate_binding;
pub mod certificate_subject;
pub mod client_assertion;
pub mod client_metadata;
pub mod dialect;
mod document;
mod error_code;
pub mod evaluation;
pub mod jwt;
pub mod mode;
pub mod profile;
pub mod redirect_uris;
mod refusal;
pub mod registration_request;
pub mod scope;
pub mod settings;
pub mod software_statement;
pub mod token_request;
pub mod url;

pub use catalogue::Rule;
pub use document::Document;
pub use error_code::ErrorCode;
pub use evaluation::Evaluation;
pub use refusal::Refusal;

/// Unix time in seconds. Time is always an argument.
pub type Timestamp = u64;

#[cfg(test)]
mod tests;
