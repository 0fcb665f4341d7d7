//! JWK sets (RFC 7517). This module reads a set, chooses a key and verifies with it. It also says whether a set lists a certificate or a
//! key.

use std::fmt;

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine};
use dcr_json::{self as json, JsonError};
use dcr_x509::{PublicKey, Thumbprint};
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
    /// The `kid` of each skipped entry, and why the entry was skipped. By them, [`select`](Self::select) distinguishes an unknown key from
    /// a known key that cannot be used.
    skipped: Vec<(Option<String>, Unfit)>,
    /// The certificate of each entry that has one, usable or not.
    certificates: Vec<ListedCertificate>,
    /// The key of each entry, usable or not; `None` if the entry does not say which key it means.
    listed: Vec<Option<ListedKey>>,
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
        Self::of_object(&document, limits.keys)
    }

    /// Reads a JWK set that is a part of another document. It has at most `most` entries.
    ///
    /// # Errors
    /// The fault, as a [`KeySetError`].
    pub fn of_object(document: &Map<String, Value>, most: usize) -> Result<KeySet, KeySetError> {
        let Some(Value::Array(entries)) = document.get("keys") else {
            return Err(KeySetError::KeysMissing);
        };
        if entries.len() > most {
            return Err(KeySetError::TooManyKeys);
        }

        let mut set = KeySet { keys: Vec::new(), skipped: Vec::new(), certificates: Vec::new(), listed: Vec::new() };
        for entry in entries {
            let jwk = entry.as_object();
            set.certificates.extend(jwk.and_then(ListedCertificate::of_jwk));
            set.listed.push(jwk.and_then(ListedKey::of_jwk));
            match jwk.ok_or(Unfit::Kind).and_then(VerificationKey::from_jwk) {
                Ok(key) => set.keys.push(key),
                Err(unfit) => set.skipped.push((entry.get("kid").and_then(Value::as_str).map(str::to_owned), unfit)),
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

    /// Whether this set of revoked keys lists the key (SS-14): by its numbers, by the certificate in its `x5c`, or by its `kid`. The purpose
    /// of an entry has no meaning here.
    ///
    /// # Errors
    /// The key is not listed, but the set has an entry that does not say which key it means. That entry can mean any key.
    pub fn revokes(&self, key: &Signer) -> Result<bool, UnreadableEntry> {
        let is_it = |listed: &ListedKey| {
            listed.identity == Some(key.identity) || (listed.kid.is_some() && listed.kid == key.kid)
        };
        if self.listed.iter().flatten().any(is_it) {
            return Ok(true);
        }
        if self.listed.iter().all(Option::is_some) { Ok(false) } else { Err(UnreadableEntry) }
    }

    /// Whether an entry has members of a private or symmetric key. Such an entry is skipped (JO-16).
    pub fn has_private_key(&self) -> bool {
        self.skipped.iter().any(|(_, unfit)| *unfit == Unfit::Private)
    }

    /// The keys that can verify signatures, in the order of the set.
    pub fn keys(&self) -> &[VerificationKey] {
        &self.keys
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
        let mut named: Vec<_> = fitting.into_iter().filter(|key| key.kid() == Some(kid)).collect();
        // A key that is listed twice is one key.
        named.dedup_by_key(|key| key.identity);
        match named.len() {
            1 => Ok(named),
            0 => Err(self.jo_13_jo_16_unusable(kid)),
            _ => Err(SelectError::Ambiguous),
        }
    }

    /// Why no key with this `kid` can be used.
    fn jo_13_jo_16_unusable(&self, kid: &str) -> SelectError {
        let is_named = |known: &Option<String>| known.as_deref() == Some(kid);
        if self.keys.iter().any(|key| is_named(&key.kid)) {
            return SelectError::Unfit(Unfit::Kind);
        }
        let unfit = self.skipped.iter().find(|(known, _)| is_named(known));
        unfit.map_or(SelectError::UnknownKid, |(_, unfit)| SelectError::Unfit(*unfit))
    }
}

/// Why an entry of a key set cannot verify a signature (JO-16).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// It contains members of a private or symmetric key, so everybody can sign with it.
    Private,
    /// Its `use`, `key_ops` or `alg` has another purpose.
    Purpose,
    /// Its `kty` or `crv` does not belong to the algorithm.
    Kind,
    /// The numbers of the key are missing, not base64url without padding, or of a length that is not allowed.
    Numbers,
}

/// An entry of a set of revoked keys has no numbers that can be read, no certificate and no `kid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnreadableEntry;

impl fmt::Display for UnreadableEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an entry of the set of revoked keys does not say which key it means")
    }
}

impl std::error::Error for UnreadableEntry {}

/// The key that verified a signature: enough to ask whether it is revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    identity: KeyIdentity,
    kid: Option<String>,
}

/// What an entry says about its key, whether or not the key can be used here.
#[derive(Debug, Clone)]
struct ListedKey {
    kid: Option<String>,
    /// By its numbers, or else by its certificate, which certifies the same key (RFC 7517 section 4.7).
    identity: Option<KeyIdentity>,
}

impl ListedKey {
    /// `None` if the entry does not say which key it means: it has neither numbers nor a certificate nor a `kid`, or its numbers or its
    /// certificate cannot be read.
    fn of_jwk(jwk: &Map<String, Value>) -> Option<ListedKey> {
        let kid = member(jwk, "kid").and_then(Value::as_str).map(str::to_owned);
        let has_numbers = ["n", "x", "y"].iter().any(|number| member(jwk, number).is_some());
        let identity = if has_numbers {
            Some(KeyIdentity::of_jwk(jwk)?)
        } else if member(jwk, "x5c").is_some() {
            Some(KeyIdentity::of_certificate(&certificate_of_jwk(jwk)?)?)
        } else {
            None
        };
        (kid.is_some() || identity.is_some()).then_some(ListedKey { kid, identity })
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

    /// The numbers of an RSA key. `None` for a key of another type.
    pub fn rsa(&self) -> Option<&RsaPublicKey> {
        match &self.material {
            Material::Rsa(key) => Some(key),
            Material::P256(_) | Material::Ed25519(_) => None,
        }
    }

    /// Which key it is, for asking whether it is revoked.
    pub fn signer(&self) -> Signer {
        Signer { identity: self.identity, kid: self.kid.clone() }
    }

    /// The algorithm of the key. The type and the curve allow only one.
    pub fn algorithm(&self) -> Algorithm {
        match self.material {
            Material::Rsa(_) => Algorithm::Ps256,
            Material::P256(_) => Algorithm::Es256,
            Material::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    /// Reads a JWK that can verify signatures here.
    fn from_jwk(jwk: &Map<String, Value>) -> Result<VerificationKey, Unfit> {
        if PRIVATE_MEMBERS.iter().any(|name| member(jwk, name).is_some()) {
            return Err(Unfit::Private);
        }
        if !jo_16_is_for_verifying(jwk) {
            return Err(Unfit::Purpose);
        }
        let kid = optional(jwk, "kid", |kid| kid.as_str().map(str::to_owned)).ok_or(Unfit::Kind)?;
        let alg = optional(jwk, "alg", |alg| Algorithm::from_name(alg.as_str()?)).ok_or(Unfit::Purpose)?;
        let material = Material::from_jwk(jwk)?;
        let identity = KeyIdentity::of_jwk(jwk).ok_or(Unfit::Numbers)?;
        let key = VerificationKey { kid, identity, material };
        if alg.is_none_or(|alg| alg == key.algorithm()) { Ok(key) } else { Err(Unfit::Purpose) }
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
        let kind = member(jwk, "kty")?.as_str()?;
        let (kind, numbers) = match kind {
            "RSA" => (kind, vec![octets(jwk, "n")?]),
            "EC" => (member(jwk, "crv")?.as_str()?, vec![octets(jwk, "x")?, octets(jwk, "y")?]),
            "OKP" => (member(jwk, "crv")?.as_str()?, vec![octets(jwk, "x")?]),
            _ => return None,
        };
        Some(KeyIdentity::of_numbers(kind, &numbers))
    }

    /// The key that a certificate certifies; `None` if its kind is not known here.
    fn of_certificate(der: &[u8]) -> Option<KeyIdentity> {
        let (kind, numbers) = match PublicKey::of_certificate(der)? {
            PublicKey::Rsa { modulus } => ("RSA", vec![modulus]),
            PublicKey::P256 { x, y } => ("P-256", vec![x, y]),
            PublicKey::Ed25519 { x } => ("Ed25519", vec![x]),
        };
        Some(KeyIdentity::of_numbers(kind, &numbers))
    }

    fn of_numbers(kind: &str, numbers: &[Vec<u8>]) -> KeyIdentity {
        let mut digest = Sha256::new().chain_update(Sha256::digest(kind));
        for number in numbers {
            // Each number is digested separately, so that no octet can move from one number to the next.
            digest.update(Sha256::digest(without_leading_zeros(number)));
        }
        KeyIdentity(digest.finalize().into())
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
    /// The `kid` exists, but its key cannot be used for this algorithm.
    Unfit(Unfit),
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
            Self::Unfit(Unfit::Private) => "the key of the token's kid is published with its private members",
            Self::Unfit(Unfit::Purpose) => "the key of the token's kid is not for verifying the token's alg",
            Self::Unfit(Unfit::Kind) => "the key of the token's kid is of another type than the token's alg",
            Self::Unfit(Unfit::Numbers) => "the numbers of the key of the token's kid cannot be used",
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
        let der = certificate_of_jwk(jwk)?;
        let is_for = |usage: &str| member(jwk, "use").is_some_and(|known| known.as_str() == Some(usage));
        Some(ListedCertificate { thumbprint: Thumbprint::of_der(&der), is_for_tls: is_for("tls") })
    }
}

/// The DER of an entry's certificate: the first of its `x5c`, in base64 as in RFC 4648 section 4 (RFC 7517 section 4.7).
fn certificate_of_jwk(jwk: &Map<String, Value>) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(member(jwk, "x5c")?.as_array()?.first()?.as_str()?).ok()
}

#[derive(Debug, Clone)]
enum Material {
    Rsa(RsaPublicKey),
    P256(Es256PublicKey),
    Ed25519(ed25519_dalek::VerifyingKey),
}

impl Material {
    fn from_jwk(jwk: &Map<String, Value>) -> Result<Material, Unfit> {
        let text = |name| member(jwk, name).and_then(Value::as_str);
        let material = match (text("kty"), text("crv")) {
            (Some("RSA"), _) => Self::rsa(jwk),
            (Some("EC"), Some("P-256")) => Self::p256(jwk),
            (Some("OKP"), Some("Ed25519")) => octets(jwk, "x").and_then(|x| ed25519_point(&x)),
            _ => return Err(Unfit::Kind),
        };
        material.ok_or(Unfit::Numbers)
    }

    fn rsa(jwk: &Map<String, Value>) -> Option<Material> {
        RsaPublicKey::from_components(&octets(jwk, "n")?, &octets(jwk, "e")?).ok().map(Material::Rsa)
    }

    fn p256(jwk: &Map<String, Value>) -> Option<Material> {
        Es256PublicKey::from_coordinates(&octets(jwk, "x")?, &octets(jwk, "y")?).map(Material::P256)
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
    let usage = member(jwk, "use").is_none_or(|usage| usage.as_str() == Some("sig"));
    let operations = member(jwk, "key_ops").is_none_or(|operations| {
        operations.as_array().is_some_and(|operations| operations.iter().any(|one| one.as_str() == Some("verify")))
    });
    usage && operations
}

/// `Some(None)` if the member is absent. `None` if it is present and `read` cannot read it.
fn optional<T>(jwk: &Map<String, Value>, name: &str, read: impl FnOnce(&Value) -> Option<T>) -> Option<Option<T>> {
    match member(jwk, name) {
        None => Some(None),
        Some(value) => read(value).map(Some),
    }
}

/// A member of a JWK. A member that is null counts as absent: writers such as those of .NET write every member that a JWK can have.
fn member<'j>(jwk: &'j Map<String, Value>, name: &str) -> Option<&'j Value> {
    jwk.get(name).filter(|value| !value.is_null())
}

fn octets(jwk: &Map<String, Value>, name: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(member(jwk, name)?.as_str()?).ok()
}

fn without_leading_zeros(octets: &[u8]) -> &[u8] {
    let zeros = octets.iter().take_while(|&&octet| octet == 0).count();
    octets.get(zeros..).unwrap_or_default()
}
