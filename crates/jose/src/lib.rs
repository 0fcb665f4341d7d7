//! JSON Object Signing: compact JWS (RFC 7515), JWK sets (RFC 7517) and the three signature algorithms of FAPI
//! (RFC 7518: PS256 and ES256; RFC 8037: EdDSA with Ed25519).
//!
//! This room knows bytes only: no HTTP, no clock, no claims. It says what a token's parts are, which key of a set may
//! verify it, and whether the signature holds. What the claims must say is policy.
//!
//! ```text
//! Jws::parse ─> Algorithm::from_name(header.alg) ─> KeySet::select ─> VerificationKey::verify
//! ```

pub mod es256;
pub mod jwk;
pub mod jws;

#[cfg(test)]
pub(crate) mod tests;

use std::fmt;

use dcr_json::{FromJson, ReadError, string};
use serde_json::Value;

pub use dcr_rsa as rsa;
pub use dcr_rsa::BadSignature;

/// A signature algorithm this gateway can verify (RFC 7518 section 3.1, RFC 8037 section 3.1).
///
/// FAPI 1 Advanced section 8.6 leaves the first two of the JWA registry, FAPI 2.0 section 5.4.1 all three. There is no
/// variant for `none`, HMAC or RSASSA-PKCS1-v1_5, so no configuration can let them in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RSASSA-PSS with SHA-256, MGF1 with SHA-256 and a 32 octet salt.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// EdDSA with Ed25519; not with Ed448, which FAPI 2.0 leaves out.
    EdDsa,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ps256, Self::Es256, Self::EdDsa];

    /// The algorithm of this JWA name, compared octet by octet; `None` for every other name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "PS256" => Some(Self::Ps256),
            "ES256" => Some(Self::Es256),
            "EdDSA" => Some(Self::EdDsa),
            _ => None,
        }
    }

    /// The JWA name, as `alg` carries it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

impl FromJson for Algorithm {
    fn from_json(value: &Value) -> Result<Self, ReadError> {
        let algorithm = Self::from_name(string(value, "a string")?);
        algorithm.ok_or_else(|| ReadError::new("the signing algorithms are PS256, ES256 and EdDSA"))
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
