//! What a developer of Dynamic Client Registration needs on a laptop: keys and certificates, software statements and
//! requests signed with them (or broken on purpose), a directory that publishes the key sets, and a third party to act with.
//!
//! ```no_run
//! # async fn example() -> Result<(), dcr_cli::Error> {
//! use dcr_cli::{client::{Endpoints, Tpp}, directory::Directory, mint, pki::Pki};
//!
//! let pki = Pki::generate()?;
//! let directory = Directory::start(&pki, ([127, 0, 0, 1], 0).into())?;
//! let endpoints = Endpoints::of("https://localhost:8443");
//!
//! let statement = mint::software_statement(&pki.tpp.software, &directory.url()).sign(&pki.directory)?;
//! let request = mint::registration_request(&pki.tpp.software, &endpoints.issuer, &statement).sign(&pki.tpp.signing)?;
//! let answer = Tpp::new(endpoints, &pki.server_ca.certificate_pem, Some(&pki.tpp.transport))?.register(&request).await?;
//! assert_eq!(answer.status, 201);
//! # Ok(()) }
//! ```

pub mod background;
pub mod client;
pub mod directory;
pub mod ecosystem;
pub mod environment;
mod error;
pub mod inspect;
pub mod judge;
pub mod keys;
pub mod mint;
pub mod pki;
pub mod registration;
pub mod software;

pub use error::Error;
