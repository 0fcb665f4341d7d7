//! The public key in a certificate (RFC 5280 section 4.1.2.7), of the kinds that sign tokens.

use der::asn1::{AnyRef, BitStringRef, ObjectIdentifier, UintRef};
use der::{Decode, Tag};

use super::fields::{Fields, elements};

/// `rsaEncryption` (RFC 8017 appendix A.1).
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// `id-ecPublicKey` (RFC 5480 section 2.1.1).
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// `secp256r1` (RFC 5480 section 2.1.1.1).
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");

/// `id-Ed25519` (RFC 8410 section 3).
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// The length of a coordinate of P-256, in octets.
const COORDINATE_BYTES: usize = 32;

/// A public key as a certificate contains it. Its numbers are in big-endian order and without leading zeros, except coordinates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicKey {
    /// RSA.
    Rsa {
        /// `n`.
        modulus: Vec<u8>,
    },
    /// Elliptic curve P-256.
    P256 {
        /// `x`, 32 octets.
        x: Vec<u8>,
        /// `y`, 32 octets.
        y: Vec<u8>,
    },
    /// Ed25519.
    Ed25519 {
        /// The encoded point, 32 octets.
        x: Vec<u8>,
    },
}

impl PublicKey {
    /// The key in a DER certificate. `None` if the certificate is malformed, or the key is of another kind.
    pub fn of_certificate(der: &[u8]) -> Option<Self> {
        let [algorithm, key] = *elements(Fields::read(der)?.public_key, Tag::Sequence)? else { return None };
        let algorithm = elements(algorithm, Tag::Sequence)?;
        let [id, parameters @ ..] = algorithm.as_slice() else { return None };
        let key = key.decode_as::<BitStringRef<'_>>().ok()?.as_bytes()?;
        match id.decode_as::<ObjectIdentifier>().ok()? {
            RSA => Self::rsa(key),
            EC if parameters.first()?.decode_as::<ObjectIdentifier>().ok()? == P256 => Self::p256(key),
            ED25519 => (key.len() == 32).then(|| Self::Ed25519 { x: key.to_vec() }),
            _ => None,
        }
    }

    /// `RSAPublicKey` (RFC 8017 appendix A.1.1).
    fn rsa(key: &[u8]) -> Option<Self> {
        let [modulus, _exponent] = *elements(AnyRef::from_der(key).ok()?, Tag::Sequence)? else { return None };
        Some(Self::Rsa { modulus: modulus.decode_as::<UintRef<'_>>().ok()?.as_bytes().to_vec() })
    }

    /// An uncompressed point (RFC 5480 section 2.2).
    fn p256(key: &[u8]) -> Option<Self> {
        let (x, y) = key.strip_prefix(&[4])?.split_at_checked(COORDINATE_BYTES)?;
        (y.len() == COORDINATE_BYTES).then(|| Self::P256 { x: x.to_vec(), y: y.to_vec() })
    }
}
