//! Fast signing. A round needs thousands of tokens, and each is signed once and used once.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use dcr_cli::keys::{Algorithm, SigningKey};
use dcr_cli::mint::Token;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PSS_SHA256, RsaKeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use crate::error::Error;

/// A signing key that is parsed only once.
pub(crate) struct Signer {
    /// The protected header, encoded, with the dot behind it.
    header: String,
    key: Key,
    random: SystemRandom,
}

enum Key {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
}

impl Signer {
    /// Reads the key and its `kid`.
    pub(crate) fn new(key: &SigningKey) -> Result<Self, Error> {
        let random = SystemRandom::new();
        let der = PrivatePkcs8KeyDer::from_pem_slice(key.to_pem().as_bytes())?;
        let pkcs8 = der.secret_pkcs8_der();
        let pair = match key.algorithm() {
            Algorithm::Es256 => {
                Key::P256(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &random).map_err(refused)?)
            }
            _ => Key::Rsa(RsaKeyPair::from_pkcs8(pkcs8).map_err(refused)?),
        };
        let header = json!({ "alg": key.algorithm().name(), "typ": "JWT", "kid": key.kid() });
        Ok(Self { header: format!("{}.", encode(header.to_string().as_bytes())), key: pair, random })
    }

    /// Signs the token's claims. Changes to its header are ignored.
    pub(crate) fn sign(&self, token: &Token) -> Result<String, Error> {
        let claims = Value::Object(token.claims().clone()).to_string();
        let input = format!("{}{}", self.header, encode(claims.as_bytes()));
        let signature = match &self.key {
            Key::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PSS_SHA256, &self.random, input.as_bytes(), &mut signature).map_err(refused)?;
                signature
            }
            Key::P256(pair) => pair.sign(&self.random, input.as_bytes()).map_err(refused)?.as_ref().to_vec(),
        };
        Ok(format!("{input}.{}", encode(&signature)))
    }
}

fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn refused(error: impl std::fmt::Display) -> Error {
    format!("a signing key cannot be used: {error}").into()
}
