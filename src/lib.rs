//! Open Banking Dynamic Client Registration, enforced inside Envoy.
//!
//! Knowledge points one way: `filter` → [`journey`] → {[`policy`], [`jwks`], [`store_client`]} → {[`jose`], [`x509`]}.
//! [`policy`], [`jose`] and [`x509`] never see HTTP or the host; a [`journey`] reads like its specification; `filter` is the only room
//! that knows proxy-wasm, and exists only in the WebAssembly build.

pub mod cache;
pub mod config;
pub mod host;
pub mod journey;
pub mod jwks;
mod shared_once;
pub mod store_client;

#[cfg(target_os = "wasi")]
pub mod filter;
