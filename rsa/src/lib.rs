//! PS256 verification: the RSA public-key operation (RFC 8017, section 5.2.2) and EMSA-PSS (section 9.1.2).
//!
//! This code takes most of the filter's time. In Envoy's V8 the existing libraries take two to sixteen times as long. It works on public
//! data only, so it need not run in constant time. These are the reasons for the arithmetic in `montgomery`. It is a crate of its own so
//! that it can be compiled for speed while the rest of the filter is compiled for size. Other crates use it as `dcr_jose::rsa`.

mod montgomery;
mod pss;
#[cfg(test)]
mod tests;

use core::fmt;

pub use montgomery::Arithmetic;
use montgomery::{Modulus, bit_length};
use sha2::{Digest, Sha256};

const MIN_MODULUS_BITS: usize = 2048;
const MAX_MODULUS_BITS: usize = 4096;
/// The largest exponent. Larger ones give no more security. With them, the owner of a key would decide how long the gateway must compute.
const MAX_EXPONENT: u32 = 65537;

/// The signature does not verify with this message and key.
///
/// The error has no details on purpose: the reason (length, range, padding, digest) would be useful only to a forger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadSignature;

impl fmt::Display for BadSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the signature does not verify with this key")
    }
}

impl core::error::Error for BadSignature {}

/// An RSA public key, with the constants for its arithmetic, which are computed once.
#[derive(Clone, Debug)]
pub struct RsaPublicKey {
    modulus: Modulus,
    modulus_bits: usize,
    exponent: u32,
}

/// Why a key is refused (RFC 7518, section 3.5, and the limits of this crate).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RsaKeyError {
    /// The modulus is shorter than 2048 bits.
    TooSmall,
    /// The modulus is longer than 4096 bits.
    TooLarge,
    /// The exponent is even, below 3 or above 65537.
    Exponent,
    /// The modulus is even, so it is not a product of odd primes.
    EvenModulus,
}

impl RsaPublicKey {
    /// A key from the big-endian octets of `n` and `e`, as in a JWK. Leading zero octets are allowed.
    ///
    /// `n` must be odd and have 2048 to 4096 bits. `e` must be odd and from 3 to 65537. Nearly all keys have 65537, for which verification
    /// needs 18 multiplications. Other exponents, such as 3 and 17, need at most two for each bit. It cannot be checked that `n` is a
    /// product of two primes.
    ///
    /// # Errors
    /// The condition that the key does not meet.
    pub fn from_components(n: &[u8], e: &[u8]) -> Result<RsaPublicKey, RsaKeyError> {
        Self::computing(Arithmetic::chosen(), n, e)
    }

    /// Like [`from_components`](Self::from_components), with this arithmetic instead of the chosen one.
    ///
    /// # Errors
    /// As [`from_components`](Self::from_components).
    pub fn computing(arithmetic: Arithmetic, n: &[u8], e: &[u8]) -> Result<RsaPublicKey, RsaKeyError> {
        let n = without_leading_zeros(n);
        let modulus_bits = bit_length(n);
        if modulus_bits < MIN_MODULUS_BITS {
            return Err(RsaKeyError::TooSmall);
        }
        if modulus_bits > MAX_MODULUS_BITS {
            return Err(RsaKeyError::TooLarge);
        }
        if n.last().is_none_or(|octet| octet % 2 == 0) {
            return Err(RsaKeyError::EvenModulus);
        }
        let exponent = exponent(e)?;
        Ok(RsaPublicKey { modulus: Modulus::new(arithmetic, n), modulus_bits, exponent })
    }

    /// The length of the modulus in bits: 2048 to 4096.
    pub fn modulus_bits(&self) -> usize {
        self.modulus_bits
    }

    /// The message representative of a signature: RSAVP1 of RFC 8017, section 5.2.2. It has as many octets as the modulus.
    ///
    /// # Errors
    /// [`BadSignature`] if the signature does not have the length of the modulus, or is not a number below it.
    pub fn public_operation(&self, signature: &[u8]) -> Result<Vec<u8>, BadSignature> {
        if signature.len() != self.modulus_bits.div_ceil(8) {
            return Err(BadSignature);
        }
        self.modulus.power(signature, self.exponent).ok_or(BadSignature)
    }

    /// Verifies a PS256 signature (RFC 7518, section 3.5): RSASSA-PSS with SHA-256, MGF1 with SHA-256 and a salt of 32 octets.
    ///
    /// # Errors
    /// [`BadSignature`] for every reason: the signature does not have the length of the modulus, is not a number below it, or was not made
    /// with this message and key.
    pub fn verify_pss_sha256(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        self.verify_pss_sha256_digest(&Sha256::digest(message).into(), signature)
    }

    /// Like [`verify_pss_sha256`](Self::verify_pss_sha256), for a message whose SHA-256 digest is known.
    ///
    /// # Errors
    /// As [`verify_pss_sha256`](Self::verify_pss_sha256).
    pub fn verify_pss_sha256_digest(&self, digest: &[u8; 32], signature: &[u8]) -> Result<(), BadSignature> {
        let representative = self.public_operation(signature)?;

        // The encoded message is one bit shorter than the modulus. If that bit is alone in the first octet, the first octet must be zero
        // and is dropped.
        let encoded_bits = self.modulus_bits - 1;
        let (excess, encoded) =
            representative.split_at_checked(representative.len() - encoded_bits.div_ceil(8)).ok_or(BadSignature)?;
        if excess.iter().any(|&octet| octet != 0) {
            return Err(BadSignature);
        }
        pss::verify(digest, encoded, encoded_bits)
    }
}

fn exponent(e: &[u8]) -> Result<u32, RsaKeyError> {
    e.iter()
        .try_fold(0_u32, |value, &octet| value.checked_mul(256).map(|shifted| shifted | u32::from(octet)))
        .filter(|&exponent| (3..=MAX_EXPONENT).contains(&exponent) && exponent % 2 == 1)
        .ok_or(RsaKeyError::Exponent)
}

fn without_leading_zeros(octets: &[u8]) -> &[u8] {
    let zeros = octets.iter().take_while(|&&octet| octet == 0).count();
    octets.split_at_checked(zeros).map_or(&[], |(_, rest)| rest)
}

impl fmt::Display for RsaKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RsaKeyError::TooSmall => "RSA modulus is shorter than 2048 bits; use a key of 2048 to 4096 bits",
            RsaKeyError::TooLarge => "RSA modulus is longer than 4096 bits; use a key of 2048 to 4096 bits",
            RsaKeyError::Exponent => "RSA exponent must be odd and from 3 to 65537; use 65537",
            RsaKeyError::EvenModulus => "RSA modulus is even, so this is not an RSA key",
        })
    }
}

impl core::error::Error for RsaKeyError {}
