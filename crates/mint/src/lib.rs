//! Mints what a third party and a directory send: keys, certificates, software statements, registration requests and client assertions.
//! They are valid, or broken on purpose.
//!
//! ```
//! # fn main() -> Result<(), dcr_mint::Error> {
//! use dcr_mint::keys::SigningKey;
//!
//! let key = SigningKey::generate_es256();
//! let good = dcr_mint::client_assertion("client", "https://bank.example").sign(&key)?;
//! let expired = dcr_mint::client_assertion("client", "https://bank.example").claim("exp", 1).sign(&key)?;
//! let nameless = dcr_mint::client_assertion("client", "https://bank.example").without_header("kid").sign(&key)?;
//! # Ok(()) }
//! ```

pub mod ecosystem;
mod error;
pub mod inspect;
pub mod keys;
pub mod pki;
pub mod software;
mod token;

pub use error::Error;
pub use token::{
    BRAZIL_DIRECTORY_ISSUER, DIRECTORY_ISSUER, Token, brazil_registration_request, brazil_software_statement,
    cdr_registration_request, cdr_software_statement, client_assertion, now, registration_request, software_statement,
};
