//! JWK sets (RFC 7517). This module reads a set, chooses a key and verifies with it. It also says whether a set lists a certificate or a
//! key.

use std::fmt;

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine};
use dcr_json::{self as json, JsonError};
use dcr_x509::Thumbprint;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::es256::Es256PublicKey;
use super::jws::Jws;
use super::rsa::RsaPublicKey;
use super::{Algorithm, BadSignature};

/// Limits for a key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySetLimits {
    /// The longest document, in octets. Default 256 KiB (262144).
    pub bytes: usize,
    /// The most entries of `keys`, usable or not. Default 100.
    pub keys: usize,
    /// The deepest nesting of the JSON; the set itself counts as 1. Default 16.
    pub json_depth: usize,
}

impl Default for KeySetLimits {
    fn default() -> Self {
        Self { bytes: 256 * 1024, keys: 100, json_depth: 16 }
    }
}

/// The keys of a JWK set that can verify a signature here, and all certificates and keys that the set lists.
///
/// An entry that cannot verify is skipped and counted, and the set stays usable (RFC 7517 section 5, JO-16). For example, sets of the Open
/// Banking directory also hold `use: "tls"` and `use: "enc"` keys. These entries are skipped: private and symmetric keys, other key types
/// and curves, RSA keys and points out of bounds, and keys whose `use`, `key_ops` or `alg` has another purpose.
#[derive(Debug, Clone)]
pub struct KeySet {
    keys: Vec<VerificationKey>,
    /// The `kid` of each skipped entry. By it, [`select`](Self::select) distinguishes an unknown key from a known key that cannot be used.
    skipped: Vec<Option<String>>,
    /// The certificate of each entry that has one, usable or not.
    certificates: Vec<ListedCertificate>,
    /// The identity of each entry whose public key can be read, usable or not.
    identities: Vec<KeyIdentity>,
}

impl KeySet {
    /// Reads a JWK set document.
    ///
    /// # Errors
    /// The fault, as a [`KeySetError`].
    pub fn parse(bytes: &[u8], limits: &KeySetLimits) -> Result<KeySet, KeySetError> {
        if bytes.len() > limits.bytes {
            return Err(KeySetError::TooLong);
        }
        let document = json::parse_object(bytes, limits.json_depth).map_err(KeySetError::Json)?;
        let Some(Value::Array(entries)) = document.get("keys") else {
            return Err(KeySetError::KeysMissing);
        };
        if entries.len() > limits.keys {
            return Err(KeySetError::TooManyKeys);
        }

        let mut set =
            KeySet { keys: Vec::new(), skipped: Vec::new(), certificates: Vec::new(), identities: Vec::new() };
        for entry in entries {
            let jwk = entry.as_object();
            set.certificates.extend(jwk.and_then(ListedCertificate::of_jwk));
            set.identities.extend(jwk.and_then(KeyIdentity::of_jwk));
            match jwk.and_then(VerificationKey::from_jwk) {
                Some(key) => set.keys.push(key),
                None => set.skipped.push(entry.get("kid").and_then(Value::as_str).map(str::to_owned)),
            }
        }
        Ok(set)
    }

    /// The keys that may verify a signature made with `alg`. `Ok` is never empty.
    ///
    /// With a `kid`, the result is the one key with this name (JO-13, JO-15). Without a `kid`, it is every key that fits, in the order of
    /// the set (JO-14), if these keys are few enough to try them all. The caller tries them one after the other.
    ///
    /// # Errors
    /// The reason why no key can be used, as a [`SelectError`].
    pub fn select(&self, kid: Option<&str>, alg: Algorithm) -> Result<Vec<&VerificationKey>, SelectError> {
        let fitting: Vec<_> = self.keys.iter().filter(|key| key.algorithm() == alg).collect();
        match kid {
            Some(kid) => self.jo_13_jo_15_jo_16_named(kid, fitting),
            None => jo_14_jo_16_without_kid(fitting),
        }
    }

    /// Whether the set lists this certificate for TLS: as the first of an entry's `x5c`, with `use: tls` (CB-07).
    pub fn holds_tls_certificate(&self, certificate: &Thumbprint) -> bool {
        self.certificates.iter().any(|listed| listed.is_for_tls && listed.thumbprint == *certificate)
    }

    /// Whether the set lists this key, under any `kid` and for any purpose. In a set of revoked keys it means that the key is revoked
    /// (SS-14).
    pub fn holds_key(&self, key: &KeyIdentity) -> bool {
        self.identities.contains(key)
    }

    /// How many entries can verify signatures.
    pub fn usable(&self) -> usize {
        self.keys.len()
    }

    /// How many entries were skipped.
    pub fn skipped(&self) -> usize {
        self.skipped.len()
    }

    /// The key with this `kid` among those that fit. If there is no such key, either the set does not know the `kid` (JO-13) or its key
    /// does not fit (JO-16). If there are several, the `kid` is ambiguous (JO-15).
    fn jo_13_jo_15_jo_16_named<'k>(
        &self,
        kid: &str,
        fitting: Vec<&'k VerificationKey>,
    ) -> Result<Vec<&'k VerificationKey>, SelectError> {
        let named: Vec<_> = fitting.into_iter().filter(|key| key.kid() == Some(kid)).collect();
        match named.len() {
            1 => Ok(named),
            0 if self.knows(kid) => Err(SelectError::Unfit),
            0 => Err(SelectError::UnknownKid),
            _ => Err(SelectError::Ambiguous),
        }
    }

    fn knows(&self, kid: &str) -> bool {
        let usable = self.keys.iter().map(VerificationKey::kid);
        let skipped = self.skipped.iter().map(Option::as_deref);
        usable.chain(skipped).any(|known| known == Some(kid))
    }
}

/// A public key that can verify signatures of exactly one [`Algorithm`].
#[derive(Debug, Clone)]
pub struct VerificationKey {
    kid: Option<String>,
    identity: KeyIdentity,
    material: Material,
}

impl VerificationKey {
    /// Verifies that `signature` was made over `signing_input` with this key.
    ///
    /// PS256: RFC 7518 section 3.5 (JO-07). ES256: RFC 7518 section 3.4 (JO-08), 64 octets R‖S with both numbers in [1, n-1]; DER is
    /// refused, a high S is accepted. EdDSA: RFC 8032 section 5.1.7 in its strictest reading: 64 octets, S below the group's order, R of
    /// full order and compared octet by octet. So only the signer can make a second EdDSA signature for the same message.
    ///
    /// # Errors
    /// The signature is malformed or does not verify.
    pub fn verify(&self, signing_input: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        match &self.material {
            Material::Rsa(key) => key.verify_pss_sha256(signing_input, signature),
            Material::P256(key) => key.verify(signing_input, signature),
            Material::Ed25519(key) => {
                let signature = ed25519_dalek::Signature::from_slice(signature).map_err(|_| BadSignature)?;
                key.verify_strict(signing_input, &signature).map_err(|_| BadSignature)
            }
        }
    }

    /// Verifies that `jws` was signed with this key, as [`verify`](Self::verify) does.
    ///
    /// # Errors
    /// The signature is malformed or does not verify.
    pub fn verify_jws(&self, jws: &Jws) -> Result<(), BadSignature> {
        match &self.material {
            // The digest is computed once per token. The cache of verified signatures uses it too.
            Material::Rsa(key) => key.verify_pss_sha256_digest(jws.signing_digest(), jws.signature()),
            Material::P256(_) | Material::Ed25519(_) => self.verify(jws.signing_input(), jws.signature()),
        }
    }

    /// The `kid` of the JWK.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The identity of the key, which does not depend on its name in a set.
    pub fn identity(&self) -> KeyIdentity {
        self.identity
    }

    /// The algorithm of the key. The type and the curve allow only one.
    pub fn algorithm(&self) -> Algorithm {
        match self.material {
            Material::Rsa(_) => Algorithm::Ps256,
            Material::P256(_) => Algorithm::Es256,
            Material::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    /// `None` if the JWK cannot verify signatures here.
    fn from_jwk(jwk: &Map<String, Value>) -> Option<VerificationKey> {
        if PRIVATE_MEMBERS.iter().any(|name| jwk.contains_key(*name)) || !jo_16_is_for_verifying(jwk) {
            return None;
        }
        let kid = optional(jwk, "kid", |kid| kid.as_str().map(str::to_owned))?;
        let alg = optional(jwk, "alg", |alg| Algorithm::from_name(alg.as_str()?))?;
        let material = Material::from_jwk(jwk)?;
        let key = VerificationKey { kid, identity: KeyIdentity::of_jwk(jwk)?, material };
        alg.is_none_or(|alg| alg == key.algorithm()).then_some(key)
    }
}

/// The identity of a public key. Equal keys have equal identities, even if their entries have different names, purposes or other members.
///
/// It is not the thumbprint of RFC 7638. Two RSA keys that differ only in a leading zero or in the exponent have different thumbprints, but
/// the holder of one of them can sign for the other too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyIdentity([u8; 32]);

impl KeyIdentity {
    /// `None` if the members of the public key are missing or malformed.
    fn of_jwk(jwk: &Map<String, Value>) -> Option<KeyIdentity> {
        let kind = jwk.get("kty")?.as_str()?;
        let (kind, numbers) = match kind {
            "RSA" => (kind, vec![octets(jwk, "n")?]),
            "EC" => (jwk.get("crv")?.as_str()?, vec![octets(jwk, "x")?, octets(jwk, "y")?]),
            "OKP" => (jwk.get("crv")?.as_str()?, vec![octets(jwk, "x")?]),
            _ => return None,
        };
        let mut digest = Sha256::new().chain_update(Sha256::digest(kind));
        for number in numbers {
            // Each number is digested separately, so that no octet can move from one number to the next.
            digest.update(Sha256::digest(without_leading_zeros(&number)));
        }
        Some(KeyIdentity(digest.finalize().into()))
    }
}

/// Why a document is not an acceptable JWK set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySetError {
    /// The document is longer than [`KeySetLimits::bytes`].
    TooLong,
    /// The document is not an object in strict JSON.
    Json(JsonError),
    /// `keys` is missing or not an array (RFC 7517 section 5.1).
    KeysMissing,
    /// The set has more entries than [`KeySetLimits::keys`].
    TooManyKeys,
}

impl fmt::Display for KeySetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => f.write_str("the JWK set is longer than allowed"),
            Self::Json(why) => write!(f, "the JWK set cannot be read: {why}"),
            Self::KeysMissing => f.write_str("the JWK set has no keys array"),
            Self::TooManyKeys => f.write_str("the JWK set has more keys than allowed"),
        }
    }
}

impl std::error::Error for KeySetError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Json(why) => Some(why),
            _ => None,
        }
    }
}

/// Why no key of the set can be used for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SelectError {
    /// No entry has this `kid`. The set may be out of date, so fetch it again.
    UnknownKid,
    /// The `kid` exists, but the `use`, `key_ops`, `alg`, `kty`, curve or size of the key does not allow this algorithm.
    Unfit,
    /// Several usable keys have this `kid` (JO-15).
    Ambiguous,
    /// The token names no `kid`, and no key of the set fits its algorithm.
    NoneFits,
    /// The token names no `kid`, and too many keys fit to try them all.
    TooMany,
}

impl fmt::Display for SelectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownKid => "no key of the set has the token's kid",
            Self::Unfit => "the key of the token's kid is not one for verifying the token's alg",
            Self::Ambiguous => "several keys of the set have the token's kid",
            Self::NoneFits => "the token has no kid, and no key of the set fits its alg",
            Self::TooMany => "the token has no kid, and too many keys of the set fit its alg",
        })
    }
}

impl std::error::Error for SelectError {}

/// The most keys that are tried for a token without `kid`. Each costs a signature check, and any caller can send such a token.
const KEYS_TRIED: usize = 8;

/// The members of private and symmetric keys (RFC 7518 sections 6.2.2, 6.3.2 and 6.4). A set that publishes such a key has a fault: if
/// everyone knows the key, a signature does not prove who signed.
const PRIVATE_MEMBERS: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

/// All the keys that fit. There must be at least one (JO-16) and at most [`KEYS_TRIED`] (JO-14).
fn jo_14_jo_16_without_kid(fitting: Vec<&VerificationKey>) -> Result<Vec<&VerificationKey>, SelectError> {
    match fitting.len() {
        0 => Err(SelectError::NoneFits),
        1..=KEYS_TRIED => Ok(fitting),
        _ => Err(SelectError::TooMany),
    }
}

/// The certificate of an entry: the first of its `x5c`, which holds the entry's key (RFC 7517 section 4.7).
#[derive(Debug, Clone)]
struct ListedCertificate {
    thumbprint: Thumbprint,
    is_for_tls: bool,
}

impl ListedCertificate {
    /// `None` if the entry has no certificate, or if the certificate is not base64 as in RFC 4648 section 4.
    fn of_jwk(jwk: &Map<String, Value>) -> Option<ListedCertificate> {
        let der = BASE64_STANDARD.decode(jwk.get("x5c")?.as_array()?.first()?.as_str()?).ok()?;
        let is_for = |usage: &str| jwk.get("use").is_some_and(|known| known.as_str() == Some(usage));
        Some(ListedCertificate { thumbprint: Thumbprint::of_der(&der), is_for_tls: is_for("tls") })
    }
}

#[derive(Debug, Clone)]
enum Material {
    Rsa(RsaPublicKey),
    P256(Es256PublicKey),
    Ed25519(ed25519_dalek::VerifyingKey),
}

impl Material {
    fn from_jwk(jwk: &Map<String, Value>) -> Option<Material> {
        match jwk.get("kty")?.as_str()? {
            "RSA" => {
                let key = RsaPublicKey::from_components(&octets(jwk, "n")?, &octets(jwk, "e")?).ok()?;
                Some(Material::Rsa(key))
            }
            "EC" if jwk.get("crv")?.as_str()? == "P-256" => {
                Es256PublicKey::from_coordinates(&octets(jwk, "x")?, &octets(jwk, "y")?).map(Material::P256)
            }
            "OKP" if jwk.get("crv")?.as_str()? == "Ed25519" => ed25519_point(&octets(jwk, "x")?),
            _ => None,
        }
    }
}

/// RFC 8037 section 2: 32 octets in the only valid encoding of a point on the curve (RFC 8032 section 5.1.3). A point of small order is
/// refused: one signature is then valid for many messages, so such a key proves nothing.
fn ed25519_point(x: &[u8]) -> Option<Material> {
    let key = ed25519_dalek::VerifyingKey::from_bytes(x.try_into().ok()?).ok()?;
    let is_canonical = key.to_edwards().compress().as_bytes() == key.as_bytes();
    (is_canonical && !key.is_weak()).then_some(Material::Ed25519(key))
}

/// RFC 7517 sections 4.2 and 4.3: if `use` or `key_ops` is present, it must permit verifying.
fn jo_16_is_for_verifying(jwk: &Map<String, Value>) -> bool {
    let usage = jwk.get("use").is_none_or(|usage| usage.as_str() == Some("sig"));
    let operations = jwk.get("key_ops").is_none_or(|operations| {
        operations.as_array().is_some_and(|operations| operations.iter().any(|one| one.as_str() == Some("verify")))
    });
    usage && operations
}

/// `Some(None)` if the member is absent. `None` if it is present and `read` cannot read it.
fn optional<T>(jwk: &Map<String, Value>, name: &str, read: impl FnOnce(&Value) -> Option<T>) -> Option<Option<T>> {
    match jwk.get(name) {
        None => Some(None),
        Some(value) => read(value).map(Some),
    }
}

fn octets(jwk: &Map<String, Value>, name: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(jwk.get(name)?.as_str()?).ok()
}

fn without_leading_zeros(octets: &[u8]) -> &[u8] {
    let zeros = octets.iter().take_while(|&&octet| octet == 0).count();
    octets.get(zeros..).unwrap_or_default()
}
