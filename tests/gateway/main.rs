//! End-to-end tests: a real Envoy with the filter, the real store, a directory over TLS, and third parties over mutual TLS.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    reason = "clippy takes helpers beside tests for code"
)]

mod brazil;
mod clients;
mod directories;
mod forwarded;
mod journeys;
mod manifests;
mod matrix;
mod mistakes;
mod probe;
mod shadow;
mod third_party;
mod tracing;
mod traps;
mod watching;

use std::sync::{Arc, LazyLock};

use dcr_cli::pki::Pki;
use dcr_dev::{Gateway, GatewayBuilder};

/// The keys and certificates of all tests.
static PKI: LazyLock<Arc<Pki>> = LazyLock::new(|| Arc::new(Pki::generate().unwrap()));

/// A gateway that hands headers and certificates over as this run of the tests wants it: see [`forwarded`].
fn gateway() -> GatewayBuilder {
    forwarded::as_this_run_wants(Gateway::builder(PKI.clone()))
}
