//! A whole gateway on loopback: a real Envoy with the filter, the store, a mock directory, and a backend that describes each request.
//! `make demo` and `make run` start it, and the end-to-end tests call it.
//!
//! ```no_run
//! # async fn example() -> Result<(), dcr_dev::Error> {
//! use std::sync::Arc;
//! use dcr_mint::pki::Pki;
//! use dcr_dev::Gateway;
//!
//! let pki = Arc::new(Pki::generate()?);
//! let gateway = Gateway::builder(pki.clone()).plugin(serde_json::json!({ "clock_skew": "5s" })).start().await?;
//!
//! let request = gateway.registration_request(&pki.tpp)?.sign(&pki.tpp.signing)?;
//! let answer = gateway.client(Some(&pki.tpp.transport))?.register(&request).await?;
//! assert_eq!(answer.status, 201);
//! # Ok(()) }
//! ```

pub mod backend;
pub mod envoy;
mod error;
mod gateway;
pub mod installation;
pub mod process;

pub use error::Error;
pub use gateway::{Gateway, GatewayBuilder, Ports, Store};
