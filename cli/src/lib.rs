//! Tools for a developer of Dynamic Client Registration: keys and certificates, software statements and requests that are signed with them
//! (or broken on purpose), a directory that publishes the key sets, and a third party. Tokens can be inspected, and judged by the gateway's
//! own code.
//!
//! The tokens come from `dcr-mint` and the parties from `dcr-parties`. This crate re-exports the modules of both.

pub mod configuration;
pub mod inspect;
pub mod judge;
pub mod registration;
pub mod signature;

pub use dcr_mint::{self as mint, ecosystem, keys, pki, software};
pub use dcr_parties::{Error, background, client, directory, environment};
