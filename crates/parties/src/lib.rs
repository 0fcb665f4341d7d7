//! The parties that meet a gateway: a third party that registers, gets tokens and manages its registration, and a mock directory that
//! publishes the key sets.
//!
//! ```no_run
//! # async fn example() -> Result<(), dcr_parties::Error> {
//! use dcr_mint::pki::Pki;
//! use dcr_parties::client::{Endpoints, Tpp};
//! use dcr_parties::directory::Directory;
//!
//! let pki = Pki::generate()?;
//! let directory = Directory::start(&pki, ([127, 0, 0, 1], 0).into())?;
//! let endpoints = Endpoints::of("https://localhost:8443");
//!
//! let statement = dcr_mint::software_statement(&pki.tpp.software, &directory.url()).sign(&pki.directory)?;
//! let request = dcr_mint::registration_request(&pki.tpp.software, &endpoints.issuer, &statement).sign(&pki.tpp.signing)?;
//! let answer = Tpp::new(endpoints, &pki.server_ca.certificate_pem, Some(&pki.tpp.transport))?.register(&request).await?;
//! assert_eq!(answer.status, 201);
//! # Ok(()) }
//! ```

pub mod background;
pub mod client;
pub mod directory;
pub mod environment;
mod error;

pub use error::Error;
