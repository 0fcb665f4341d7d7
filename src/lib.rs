//! Open Banking Dynamic Client Registration, enforced inside Envoy. The root crate joins the rules to Envoy.
//!
//! A request enters through `filter`. `filter` hands it to a [`journey`], one for each endpoint, and carries out the decision that the
//! journey returns: answer the request, or hand it on to the upstream.
//!
//! - [`config`] reads the operator's configuration and refuses what is unknown, inconsistent or unsafe.
//! - [`host`] is the trait for what a journey needs from its surroundings: a clock, calls, background work, shared values, counters and a
//!   log. In tests a mock implements it.
//! - [`journey`] holds the steps of each endpoint in the order of its specification.
//! - [`jwks`] fetches and keeps the key sets of directories and of software.
//! - [`client_store`] is the trait for keeping client records and tokens; [`store_client`] implements it over the API of the store service.
//! - [`cache`] is a bounded map. The key sets, the clients, the verified statements and the certificates are kept in it.
//! - `filter` implements [`host::Host`] over Envoy. It is the only module that knows proxy-wasm, and it exists only in the WebAssembly
//!   build.
//!
//! The crates below do not know Envoy: [`dcr_policy`] holds the rules, [`dcr_jose`] verifies JWTs, [`dcr_x509`] reads certificates,
//! [`dcr_json`] reads JSON, and [`dcr_store_protocol`] holds the messages between the gate and the store.

pub mod cache;
pub mod client_store;
pub mod config;
pub mod host;
pub mod journey;
pub mod jwks;
mod shared_once;
pub mod store_client;

#[cfg(target_os = "wasi")]
pub mod filter;
