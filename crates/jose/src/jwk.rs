//! JWK sets (RFC 7517): reading them, choosing a key, verifying with it; and what else a set tells, which certificates
//! and which keys it holds.

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

/// What a key set may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySetLimits {
    /// Longest document, in octets. Default 256 KiB (262144).
    pub bytes: usize,
    /// Most entries of `keys`, usable or not. Default 100.
    pub keys: usize,
    /// Deepest nesting of the JSON, the set itself being 1. Default 16.
    pub json_depth: usize,
}

impl Default for KeySetLimits {
    fn default() -> Self {
        Self { bytes: 256 * 1024, keys: 100, json_depth: 16 }
    }
}

/// The keys of a JWK set that can verify a signature here, and the certificates and keys that it lists at all.
///
/// An entry that cannot verify is skipped and counted, never fatal (RFC 7517 section 5, JO-16): sets of the Open Banking
/// directory also hold `use: "tls"` and `use: "enc"` keys. Skipped are private and symmetric keys, other key types and
/// curves, RSA keys and points that are out of bounds, and keys whose `use`, `key_ops` or `alg` mean something else.
#[derive(Debug, Clone)]
pub struct KeySet {
    keys: Vec<VerificationKey>,
    /// One for each skipped entry: its `kid`, so that "unknown" and "known, but unfit" stay apart.
    skipped: Vec<Option<String>>,
    /// One for each entry with a certificate, usable or not.
    certificates: Vec<ListedCertificate>,
    /// One for each entry whose public key can be read, usable or not.
    identities: Vec<KeyIdentity>,
}

impl KeySet {
    /// Reads a JWK set document.
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

    /// The keys that may verify a signature made with `alg`.
    ///
    /// With a `kid`, exactly the one key it names (JO-13, JO-15). Without, every key that fits, in the set's order
    /// (JO-14), if they are few; try them one after the other. `Ok` is never empty.
    pub fn select(&self, kid: Option<&str>, alg: Algorithm) -> Result<Vec<&VerificationKey>, SelectError> {
        let fitting: Vec<_> = self.keys.iter().filter(|key| key.algorithm() == alg).collect();
        match kid {
            Some(kid) => self.jo_13_jo_15_jo_16_named(kid, fitting),
            None => jo_14_jo_16_without_kid(fitting),
        }
    }

    /// Whether the set lists this certificate for TLS: the first of an entry's `x5c`, with `use: tls` (CB-07).
    pub fn holds_tls_certificate(&self, certificate: &Thumbprint) -> bool {
        self.certificates.iter().any(|listed| listed.is_for_tls && listed.thumbprint == *certificate)
    }

    /// Whether the set lists this key under any `kid`, for any purpose: in a set of revoked keys, whether it is revoked
    /// (SS-14).
    pub fn holds_key(&self, key: &KeyIdentity) -> bool {
        self.identities.contains(key)
    }

    /// How many entries can verify signatures.
    pub fn usable(&self) -> usize {
        self.keys.len()
    }

    /// How many entries were passed over.
    pub fn skipped(&self) -> usize {
        self.skipped.len()
    }

    /// The one of the keys that fit which has this `kid`. No such key: the set does not know the `kid` (JO-13), or its key does not fit
    /// (JO-16). Several: the `kid` does not choose (JO-15).
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

/// A public key that may verify signatures of exactly one [`Algorithm`].
#[derive(Debug, Clone)]
pub struct VerificationKey {
    kid: Option<String>,
    identity: KeyIdentity,
    material: Material,
}

impl VerificationKey {
    /// Whether `signature` was made over `signing_input` with this key.
    ///
    /// PS256: RFC 7518 section 3.5 (JO-07). ES256: RFC 7518 section 3.4 (JO-08), 64 octets R‖S with both numbers in
    /// [1, n-1]; DER is refused, a high S is not. EdDSA: RFC 8032 section 5.1.7 as strict as it can be read: 64 octets, S
    /// below the group's order, R of full order and compared octet by octet. So nobody can make a second signature of one.
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

    /// Whether `jws` was signed with this key: [`verify`](Self::verify) of its parts.
    pub fn verify_jws(&self, jws: &Jws) -> Result<(), BadSignature> {
        match &self.material {
            // Whoever keeps verdicts asks for the digest too.
            Material::Rsa(key) => key.verify_pss_sha256_digest(jws.signing_digest(), jws.signature()),
            Material::P256(_) | Material::Ed25519(_) => self.verify(jws.signing_input(), jws.signature()),
        }
    }

    /// The `kid` of the JWK.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Which key it is, whatever a set calls it.
    pub fn identity(&self) -> KeyIdentity {
        self.identity
    }

    /// The algorithm the key is good for: its type and curve leave one.
    pub fn algorithm(&self) -> Algorithm {
        match self.material {
            Material::Rsa(_) => Algorithm::Ps256,
            Material::P256(_) => Algorithm::Es256,
            Material::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    /// `None` where the JWK cannot verify signatures here.
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

/// Which public key it is: equal for equal keys, whatever their entries are called, good for or adorned with.
///
/// Not the thumbprint of RFC 7638, which takes an RSA modulus with a leading zero, or another exponent beside it, for
/// another key. Whoever can sign with the one can sign with the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyIdentity([u8; 32]);

impl KeyIdentity {
    /// `None` where the members that make the key are missing or cannot be read.
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
            // Digested one by one, so that no octet can move from one number to the next.
            digest.update(Sha256::digest(without_leading_zeros(&number)));
        }
        Some(KeyIdentity(digest.finalize().into()))
    }
}

/// Why a document is not a JWK set this gateway reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySetError {
    /// Longer than [`KeySetLimits::bytes`].
    TooLong,
    /// Not an object of strict JSON.
    Json(JsonError),
    /// `keys` is missing or not an array (RFC 7517 section 5.1).
    KeysMissing,
    /// More entries than [`KeySetLimits::keys`].
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
    /// No entry has this `kid`. The set may be out of date: fetch it again.
    UnknownKid,
    /// The `kid` exists, but `use`, `key_ops`, `alg`, `kty`, the curve or the size do not allow this algorithm.
    Unfit,
    /// Several keys that fit share the `kid` (JO-15).
    Ambiguous,
    /// The token names no `kid`, and no key of the set fits its algorithm.
    NoneFits,
    /// The token names no `kid`, and more keys fit than are worth trying.
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

/// How many keys a token without `kid` is tried with. Each costs a signature check, and anybody can send such a token.
const KEYS_TRIED: usize = 8;

/// Members of private and symmetric keys (RFC 7518 sections 6.2.2, 6.3.2 and 6.4). A set that publishes one is broken,
/// and what is public cannot prove who signed.
const PRIVATE_MEMBERS: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

/// All the keys that fit: one at least (JO-16), and no more than are tried (JO-14).
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
    /// `None` where the entry has no certificate, or one that is not base64 as RFC 4648 section 4 writes it.
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

/// RFC 8037 section 2: 32 octets that are the one encoding of a point on the curve (RFC 8032 section 5.1.3). Under a
/// point of small order one signature holds for many messages, so such a key proves nothing.
fn ed25519_point(x: &[u8]) -> Option<Material> {
    let key = ed25519_dalek::VerifyingKey::from_bytes(x.try_into().ok()?).ok()?;
    let is_canonical = key.to_edwards().compress().as_bytes() == key.as_bytes();
    (is_canonical && !key.is_weak()).then_some(Material::Ed25519(key))
}

/// RFC 7517 sections 4.2 and 4.3: an absent `use` or `key_ops` permits, a present one must permit.
fn jo_16_is_for_verifying(jwk: &Map<String, Value>) -> bool {
    let usage = jwk.get("use").is_none_or(|usage| usage.as_str() == Some("sig"));
    let operations = jwk.get("key_ops").is_none_or(|operations| {
        operations.as_array().is_some_and(|operations| operations.iter().any(|one| one.as_str() == Some("verify")))
    });
    usage && operations
}

/// `Some(None)` where the member is absent, `None` where it is present and `read` cannot use it.
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
