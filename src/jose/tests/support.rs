//! What several tests need: keys made on the spot, tokens put together by hand, and changed bytes.

use std::path::PathBuf;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub(crate) fn base64url(octets: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(octets)
}

/// A compact token of these parts; the header is sent as it is written.
pub(crate) fn token(header: &str, payload: &[u8], signature: &[u8]) -> String {
    [header.as_bytes(), payload, signature].map(base64url).join(".")
}

/// A P-256 key pair for tests, the same for the same name.
pub(crate) struct EcKey(SigningKey);

impl EcKey {
    pub(crate) fn named(name: &str) -> Self {
        Self(SigningKey::from_slice(&Sha256::digest(name)).unwrap())
    }

    /// The public key as a JWK without `kid`, `use` or `alg`.
    pub(crate) fn jwk(&self) -> Value {
        let point = self.0.verifying_key().to_sec1_point(false);
        let (x, y) = point.as_bytes()[1..].split_at(32);
        json!({"kty": "EC", "crv": "P-256", "x": base64url(x), "y": base64url(y)})
    }

    /// The public key as a JWK with these members besides.
    pub(crate) fn jwk_with(&self, members: Value) -> Value {
        with(self.jwk(), members)
    }

    /// R‖S.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature: Signature = self.0.sign(message);
        signature.to_bytes().to_vec()
    }

    pub(crate) fn token(&self, header: &str, payload: &[u8]) -> String {
        let signing_input = [header.as_bytes(), payload].map(base64url).join(".");
        let signature = base64url(&self.sign(signing_input.as_bytes()));
        format!("{signing_input}.{signature}")
    }
}

/// `base` with the members of `more` added or replaced.
pub(crate) fn with(mut base: Value, more: Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        base[name] = value.clone();
    }
    base
}

pub(crate) fn key_set_document(keys: &[Value]) -> Vec<u8> {
    json!({ "keys": keys }).to_string().into_bytes()
}

/// The folder of real tokens and certificates, if there is one: `DCR_VECTORS`, or `shared/vectors` beside the
/// repository. They are not part of it; without them a test says so and passes.
pub(crate) fn vectors() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/vectors");
    let folder = std::env::var_os("DCR_VECTORS").map_or_else(|| PathBuf::from(beside), PathBuf::from);
    let found = folder.is_dir();
    if !found {
        eprintln!("skipped: no real tokens and certificates in {}", folder.display());
    }
    found.then_some(folder)
}

/// `count` variations of `original`: bits flipped, octets replaced, stretches removed, doubled or moved. The same every
/// time, so that a failure can be repeated.
pub(crate) fn mutations(original: &[u8], count: usize) -> impl Iterator<Item = Vec<u8>> {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    (0..count).map(move |_| {
        let mut octets = original.to_vec();
        for _ in 0..=random.below(3) {
            mutate(&mut octets, &mut random);
        }
        octets
    })
}

/// Octets that mean something to one of the parsers.
const SPECIAL: &[u8] = b"\0\t\n \"#%+,-./0:;<=>A[\\]_a{}~\x02\x13\x30\x31\x7f\x80\x82\xc3\xe2\xff";

fn mutate(octets: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(octets.len() + 1);
    let length = random.below(octets.len() - at + 1).min(40);
    let special = SPECIAL[random.below(SPECIAL.len())];
    match random.below(6) {
        0 if at < octets.len() => octets[at] ^= 1 << random.below(8),
        1 if at < octets.len() => octets[at] = special,
        2 => drop(octets.drain(at..at + length)),
        3 => {
            let copy = octets[at..at + length].to_vec();
            let target = random.below(octets.len() + 1);
            octets.splice(target..target, copy);
        }
        4 => octets.truncate(at),
        _ => octets.insert(at, special),
    }
}

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }
}
