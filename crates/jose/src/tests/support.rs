//! Helpers for several tests: generated keys, handmade tokens and changed bytes.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub(crate) fn base64url(octets: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(octets)
}

/// A compact token with these parts. The header is sent unchanged.
pub(crate) fn token(header: &str, payload: &[u8], signature: &[u8]) -> String {
    [header.as_bytes(), payload, signature].map(base64url).join(".")
}

/// A P-256 key pair for tests. Equal names give equal keys.
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

    /// The public key as a JWK with these further members.
    pub(crate) fn jwk_with(&self, members: Value) -> Value {
        with(self.jwk(), members)
    }

    /// The signature as R‖S.
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

/// `base` with the members of `more`, which replace members with the same name.
pub(crate) fn with(mut base: Value, more: Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        base[name] = value.clone();
    }
    base
}

pub(crate) fn key_set_document(keys: &[Value]) -> Vec<u8> {
    json!({ "keys": keys }).to_string().into_bytes()
}
