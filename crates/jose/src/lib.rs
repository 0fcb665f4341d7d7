//! JSON Object Signing: compact JWS (RFC 7515), JWK sets (RFC 7517) and the three signature algorithms of FAPI (RFC 7518: PS256 and ES256;
//! RFC 8037: EdDSA with Ed25519).
//!
//! This crate works on octets only. It knows no HTTP, no clock and no claims. It reads the parts of a token, chooses the keys of a set that
//! may verify it, and verifies its signature. The rules about claims are in the policy crate.
//!
//! 1. [`jws::Jws::parse`] reads a compact token.
//! 2. [`Algorithm::from_name`] accepts the `alg` of its header, or refuses it.
//! 3. [`jwk::KeySet::parse`] reads a key set, and [`jwk::KeySet::select`] chooses the keys.
//! 4. [`jwk::VerificationKey::verify_jws`] verifies the signature.
//!
//! ```
//! use dcr_jose::Algorithm;
//! use dcr_jose::jwk::{KeySet, KeySetLimits};
//! use dcr_jose::jws::{Jws, Limits};
//!
//! // The key and the token of RFC 8037 appendix A.
//! let key_set = br#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
//! let token = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
//!     hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
//!
//! let keys = KeySet::parse(key_set, &KeySetLimits::default())?;
//! let jws = Jws::parse(token, &Limits::default())?;
//! let key = keys.select(None, Algorithm::EdDsa)?[0];
//! assert!(key.verify_jws(&jws).is_ok());
//! assert_eq!(jws.payload(), b"Example of Ed25519 signing");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod es256;
pub mod jwk;
pub mod jws;

#[cfg(test)]
pub(crate) mod tests;

use std::fmt;

use dcr_json::schema::{self, Definitions};
use dcr_json::{FromJson, ReadError, string};
use serde_json::Value;

pub use dcr_rsa as rsa;
pub use dcr_rsa::BadSignature;

/// A signature algorithm that the gateway can verify (RFC 7518 section 3.1, RFC 8037 section 3.1).
///
/// FAPI 1 Advanced section 8.6 allows the first two, FAPI 2.0 section 5.4.1 all three. There is no variant for `none`, HMAC or
/// RSASSA-PKCS1-v1_5, so no configuration can allow them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RSASSA-PSS with SHA-256, MGF1 with SHA-256 and a 32 octet salt.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// EdDSA with Ed25519. FAPI 2.0 does not allow Ed448.
    EdDsa,
}

impl Algorithm {
    /// All algorithms.
    pub const ALL: [Self; 3] = [Self::Ps256, Self::Es256, Self::EdDsa];

    /// The algorithm with this JWA name, compared octet by octet. `None` for any other name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "PS256" => Some(Self::Ps256),
            "ES256" => Some(Self::Es256),
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            _ => None,
        }
    }

    /// The JWA name, as in `alg`. Of several names it is the older one.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// All JWA names, the one of [`name`](Self::name) first. RFC 9864 section 2.2 registered `Ed25519` for the one kind of EdDSA that is
    /// taken here.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::Ps256 => &["PS256"],
            Self::Es256 => &["ES256"],
            Self::EdDsa => &["EdDSA", "Ed25519"],
        }
    }
}

impl FromJson for Algorithm {
    fn from_json(value: &Value) -> Result<Self, ReadError> {
        let algorithm = Self::from_name(string(value, "a string")?);
        algorithm.ok_or_else(|| {
            ReadError::new("the signing algorithms are PS256, ES256 and EdDSA, which is also called Ed25519")
        })
    }

    fn schema(_: &mut Definitions) -> Value {
        schema::one_of(&Self::ALL.map(Self::names).concat())
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
