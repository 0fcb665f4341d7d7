//! Signing keys: PS256 (RSA 2048), ES256 (P-256) and EdDSA (Ed25519), each with its `kid`.

use jwt_simple::prelude::{
    ECDSAP256KeyPairLike, ES256KeyPair, Ed25519KeyPair, EdDSAKeyPairLike, JWTClaims, PS256KeyPair, RSAKeyPairLike,
};
use ring::rand::SystemRandom;
use ring::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair,
};
use serde_json::{Map, Value};

use crate::Error;

/// The modulus of generated RSA keys, in bits: the least FAPI allows.
const RSA_BITS: usize = 2048;

/// A private key that signs software statements, registration requests or client assertions.
pub struct SigningKey {
    kid: String,
    pair: KeyPair,
}

enum KeyPair {
    Ps256(Box<PS256KeyPair>),
    Es256(Box<ES256KeyPair>),
    EdDsa(Box<Ed25519KeyPair>),
}

/// How a compact JWS is signed, by its name in the `alg` header (RFC 7518 section 3.1, RFC 8037 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PSS with SHA-256 and a salt of 32 bytes.
    Ps256,
    /// ECDSA on P-256 with SHA-256, as 64 bytes R and S.
    Es256,
    /// EdDSA with Ed25519.
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256: what FAPI refuses. Only for requests that are meant to be refused.
    Rs256,
}

impl Algorithm {
    /// The name in the `alg` header.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
        }
    }
}

impl SigningKey {
    /// Makes a new PS256 key of 2048 bits. Its `kid` is the thumbprint of RFC 7638.
    pub fn generate_ps256() -> Result<Self, Error> {
        let pair = PS256KeyPair::generate(RSA_BITS).map_err(unusable)?;
        Ok(Self::with_thumbprint(KeyPair::Ps256(Box::new(pair))))
    }

    /// Makes a new ES256 key. Its `kid` is the thumbprint of RFC 7638.
    pub fn generate_es256() -> Self {
        Self::with_thumbprint(KeyPair::Es256(Box::new(ES256KeyPair::generate())))
    }

    /// Makes a new EdDSA key on Ed25519. Its `kid` is the thumbprint of RFC 7638.
    pub fn generate_eddsa() -> Self {
        Self::with_thumbprint(KeyPair::EdDsa(Box::new(Ed25519KeyPair::generate())))
    }

    /// Reads a PKCS#8 PEM: an RSA key becomes a PS256 key, a P-256 key an ES256 key, an Ed25519 key an EdDSA key. Its `kid` is the
    /// thumbprint of RFC 7638 until [`with_kid`](Self::with_kid) says otherwise.
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        let rsa = PS256KeyPair::from_pem(pem).map(|pair| KeyPair::Ps256(Box::new(pair)));
        let pair = rsa.or_else(|_| ES256KeyPair::from_pem(pem).map(|pair| KeyPair::Es256(Box::new(pair))));
        let pair = pair.or_else(|_| Ed25519KeyPair::from_pem(pem).map(|pair| KeyPair::EdDsa(Box::new(pair))));
        let pair = pair.map_err(|_| {
            Error::Key(
                "no RSA key of 2048 to 4096 bits, P-256 key or Ed25519 key in PKCS#8 PEM (`BEGIN PRIVATE KEY`)".into(),
            )
        })?;
        Ok(Self::with_thumbprint(pair))
    }

    /// The same key under another `kid`.
    pub fn with_kid(self, kid: impl Into<String>) -> Self {
        let kid = kid.into();
        let pair = match self.pair {
            KeyPair::Ps256(pair) => KeyPair::Ps256(Box::new(pair.with_key_id(&kid))),
            KeyPair::Es256(pair) => KeyPair::Es256(Box::new(pair.with_key_id(&kid))),
            KeyPair::EdDsa(pair) => KeyPair::EdDsa(Box::new(pair.with_key_id(&kid))),
        };
        Self { kid, pair }
    }

    /// The key's name in the `kid` header and in key sets.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The algorithm this key signs with when nothing else is asked for.
    pub fn algorithm(&self) -> Algorithm {
        match self.pair {
            KeyPair::Ps256(_) => Algorithm::Ps256,
            KeyPair::Es256(_) => Algorithm::Es256,
            KeyPair::EdDsa(_) => Algorithm::EdDsa,
        }
    }

    /// The private key as PKCS#8 PEM.
    pub fn to_pem(&self) -> Result<String, Error> {
        match &self.pair {
            KeyPair::Ps256(pair) => pair.to_pem(),
            KeyPair::Es256(pair) => pair.to_pem(),
            KeyPair::EdDsa(pair) => Ok(pair.to_pem()),
        }
        .map_err(unusable)
    }

    /// The public key as SubjectPublicKeyInfo PEM.
    pub fn public_pem(&self) -> Result<String, Error> {
        match &self.pair {
            KeyPair::Ps256(pair) => pair.public_key().to_pem(),
            KeyPair::Es256(pair) => pair.public_key().to_pem(),
            KeyPair::EdDsa(pair) => Ok(pair.public_key().to_pem()),
        }
        .map_err(unusable)
    }

    /// The public key as a JWK with `use: sig` and its `kid` (RFC 7517).
    pub fn public_jwk(&self) -> Result<Value, Error> {
        let jwk = match &self.pair {
            KeyPair::Ps256(pair) => pair.public_key().with_key_id(&self.kid).to_jwk(),
            KeyPair::Es256(pair) => pair.public_key().with_key_id(&self.kid).to_jwk(),
            KeyPair::EdDsa(pair) => pair.public_key().with_key_id(&self.kid).to_jwk(),
        };
        let mut jwk: Value = serde_json::from_str(&jwk).map_err(unusable)?;
        if let Some(members) = jwk.as_object_mut() {
            members.insert("use".into(), "sig".into());
        }
        Ok(jwk)
    }

    /// Signs a JWT as it should be: header `alg`, `typ: JWT` and `kid`, made by jwt-simple.
    pub(crate) fn sign_claims(&self, claims: &Map<String, Value>) -> Result<String, Error> {
        // Every claim is in `custom`, so that a test can give any of them any JSON type.
        let claims = JWTClaims {
            issued_at: None,
            expires_at: None,
            invalid_before: None,
            issuer: None,
            subject: None,
            audiences: None,
            jwt_id: None,
            nonce: None,
            custom: claims.clone(),
        };
        match &self.pair {
            KeyPair::Ps256(pair) => pair.sign(claims),
            KeyPair::Es256(pair) => pair.sign(claims),
            KeyPair::EdDsa(pair) => pair.sign(claims),
        }
        .map_err(unusable)
    }

    /// The signature over the given bytes, whatever they are. For tokens that jwt-simple would not make.
    pub(crate) fn sign_bytes(&self, algorithm: Algorithm, input: &[u8]) -> Result<Vec<u8>, Error> {
        let random = SystemRandom::new();
        let rsa_padding: &dyn ring::signature::RsaEncoding = match algorithm {
            Algorithm::Rs256 => &RSA_PKCS1_SHA256,
            _ => &RSA_PSS_SHA256,
        };
        match (&self.pair, algorithm) {
            (KeyPair::Ps256(pair), Algorithm::Ps256 | Algorithm::Rs256) => {
                let pair = RsaKeyPair::from_pkcs8(&pair.to_der().map_err(unusable)?).map_err(unusable)?;
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(rsa_padding, &random, input, &mut signature).map_err(unusable)?;
                Ok(signature)
            }
            (KeyPair::Es256(pair), Algorithm::Es256) => {
                let pkcs8 = pair.to_der().map_err(unusable)?;
                let pair =
                    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8, &random).map_err(unusable)?;
                Ok(pair.sign(&random, input).map_err(unusable)?.as_ref().to_vec())
            }
            (KeyPair::EdDsa(pair), Algorithm::EdDsa) => {
                let pair = signature::Ed25519KeyPair::from_pkcs8_maybe_unchecked(&pair.to_der()).map_err(unusable)?;
                Ok(pair.sign(input).as_ref().to_vec())
            }
            _ => Err(Error::Key(format!("a key for {} cannot sign {}", self.algorithm().name(), algorithm.name()))),
        }
    }

    fn with_thumbprint(pair: KeyPair) -> Self {
        let kid = match &pair {
            KeyPair::Ps256(pair) => pair.jwk_thumbprint(),
            KeyPair::Es256(pair) => pair.jwk_thumbprint(),
            KeyPair::EdDsa(pair) => pair.jwk_thumbprint(),
        };
        Self { kid: String::new(), pair }.with_kid(kid)
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({}, kid {})", self.algorithm().name(), self.kid)
    }
}

fn unusable(error: impl std::fmt::Display) -> Error {
    Error::Key(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_of_each() -> [SigningKey; 3] {
        [SigningKey::generate_ps256().unwrap(), SigningKey::generate_es256(), SigningKey::generate_eddsa()]
    }

    #[test]
    fn a_key_survives_its_pem() {
        for key in one_of_each() {
            let pem = key.to_pem().unwrap();
            assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----"), "PKCS#8, not PKCS#1 or SEC 1");
            let read = SigningKey::from_pem(&pem).unwrap();
            assert_eq!(read.kid(), key.kid());
            assert_eq!(read.public_jwk().unwrap(), key.public_jwk().unwrap());
        }
    }

    #[test]
    fn the_public_jwk_has_no_private_part() {
        for key in one_of_each() {
            let jwk = key.with_kid("a/b+c=").public_jwk().unwrap();
            assert_eq!(jwk["kid"], "a/b+c=");
            assert_eq!(jwk["use"], "sig");
            assert!(["d", "p", "q", "dp", "dq", "qi"].iter().all(|private| jwk.get(private).is_none()), "{jwk}");
        }
    }

    #[test]
    fn what_is_not_a_key_is_refused_with_what_is_expected() {
        let error = SigningKey::from_pem("-----BEGIN RSA PRIVATE KEY-----").unwrap_err();
        assert!(error.to_string().contains("PKCS#8 PEM"), "{error}");
    }
}
