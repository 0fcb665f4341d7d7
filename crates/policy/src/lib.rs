//! The rules of Dynamic Client Registration.
//!
//! The input of a rule is a document, the [`Settings`](settings::Settings) and the time. Its output is a value, or a [`Refusal`] with the
//! broken rule. The [`Evaluation`] of a request records the checks and applies the mode of each rule. This crate knows no host and no
//! store, and it sends nothing.
//!
//! Types make sure that a check was done: only a signature check makes a [`jwt::Verified`], and only verified tokens make a
//! [`software_statement::SoftwareStatement`] or a [`registration_request::RegistrationRequest`].
//!
//! ```
//! use dcr_policy::catalogue::{CA_20, CA_20_UNKNOWN};
//! use dcr_policy::evaluation::Evaluation;
//! use dcr_policy::profile::Profile;
//! use dcr_policy::settings::Settings;
//! use dcr_policy::token_request::TokenRequest;
//!
//! let settings = Settings::new(Profile::named("uk-obie-3.3").unwrap());
//! let evaluation = Evaluation::new(settings.modes.clone());
//! let request = TokenRequest::ca_01_parse(b"grant_type=password").unwrap();
//!
//! let refusal = evaluation.require(&[&CA_20, &CA_20_UNKNOWN], request.ca_20_grant()).unwrap_err();
//! assert_eq!((refusal.rule.id, refusal.status()), ("CA-20", 400));
//! ```

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
pub mod near_misses;
pub mod profile;
pub mod redirect_uris;
mod refusal;
pub mod registration_request;
pub mod scope;
pub mod settings;
pub mod software_keys;
pub mod software_statement;
pub mod token_request;
pub mod url;

pub use catalogue::Rule;
pub use document::Document;
pub use error_code::ErrorCode;
pub use evaluation::Evaluation;
pub use refusal::Refusal;

/// Unix time in seconds. Functions take the current time as an argument.
pub type Timestamp = u64;

#[cfg(test)]
mod tests;
