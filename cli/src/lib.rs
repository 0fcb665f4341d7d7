//! What a developer of Dynamic Client Registration needs on a laptop: keys and certificates, software statements and
//! requests signed with them (or broken on purpose), a directory that publishes the key sets, and a third party to act with.
//! Then a look at what they made, and a judgement of it by the gateway's own code.
//!
//! What is minted comes from `dcr-mint`, who acts from `dcr-parties`; both are here under the names of their modules.

pub mod inspect;
pub mod judge;
pub mod registration;

pub use dcr_mint::{self as mint, ecosystem, keys, pki, software};
pub use dcr_parties::{Error, background, client, directory, environment};
