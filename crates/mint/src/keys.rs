//! Signing keys for PS256 (RSA 2048), ES256 (P-256) and EdDSA (Ed25519), each with its `kid`.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use getrandom::SysRng;
use rcgen::KeyPair;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaEncoding, RsaKeyPair, RsaPublicKeyComponents,
};
use rsa::PrivateKey;
use rsa::pkcs8::EncodePrivateKey;
use serde_json::{Map, Value};

use crate::Error;

/// The modulus of generated RSA keys, in bits. It is the smallest size that FAPI allows.
const RSA_BITS: usize = 2048;

/// A private key that signs software statements, registration requests or client assertions.
pub struct SigningKey {
    kid: String,
    /// The private and the public part of the same key.
    pair: KeyPair,
    signer: Signer,
}

enum Signer {
    Ps256(Box<RsaKeyPair>),
    Es256(Box<EcdsaKeyPair>),
    EdDsa(Box<Ed25519KeyPair>),
}

/// A signature algorithm of compact JWS (RFC 7518 section 3.1, RFC 8037 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PSS with SHA-256 and a salt of 32 bytes.
    Ps256,
    /// ECDSA on P-256 with SHA-256. The signature is R and S, 64 bytes.
    Es256,
    /// EdDSA with Ed25519.
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256. FAPI refuses it. It is only for requests that should be refused.
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
        Self::of(generate_rsa()?)
    }

    /// Makes a new ES256 key. Its `kid` is the thumbprint of RFC 7638.
    pub fn generate_es256() -> Self {
        Self::generate(&rcgen::PKCS_ECDSA_P256_SHA256)
    }

    /// Makes a new EdDSA key on Ed25519. Its `kid` is the thumbprint of RFC 7638.
    pub fn generate_eddsa() -> Self {
        Self::generate(&rcgen::PKCS_ED25519)
    }

    #[expect(clippy::expect_used, reason = "without random numbers from the system nothing here can be done")]
    fn generate(algorithm: &'static rcgen::SignatureAlgorithm) -> Self {
        KeyPair::generate_for(algorithm).map_err(unusable).and_then(Self::of).expect("a new key")
    }

    /// Reads a PKCS#8 PEM. An RSA key becomes a PS256 key, a P-256 key an ES256 key, and an Ed25519 key an EdDSA key. Its `kid` is the
    /// thumbprint of RFC 7638, unless [`with_kid`](Self::with_kid) sets another one.
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        KeyPair::from_pem(pem).map_err(unusable).and_then(Self::of).map_err(|_| {
            Error::Key(
                "no RSA key of 2048 to 4096 bits, P-256 key or Ed25519 key in PKCS#8 PEM (`BEGIN PRIVATE KEY`)".into(),
            )
        })
    }

    /// The same key with another `kid`.
    pub fn with_kid(self, kid: impl Into<String>) -> Self {
        Self { kid: kid.into(), ..self }
    }

    /// The name of the key in the `kid` header and in key sets.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The default algorithm of this key.
    pub fn algorithm(&self) -> Algorithm {
        match self.signer {
            Signer::Ps256(_) => Algorithm::Ps256,
            Signer::Es256(_) => Algorithm::Es256,
            Signer::EdDsa(_) => Algorithm::EdDsa,
        }
    }

    /// The private key as PKCS#8 PEM.
    pub fn to_pem(&self) -> String {
        self.pair.serialize_pem()
    }

    /// The public key as SubjectPublicKeyInfo PEM.
    pub fn public_pem(&self) -> String {
        self.pair.public_key_pem()
    }

    /// The public key as a JWK with `use: sig`, its `alg` and its `kid` (RFC 7517).
    pub fn public_jwk(&self) -> Value {
        let described = [("alg", self.algorithm().name()), ("use", "sig"), ("kid", self.kid())];
        let described = described.map(|(name, value)| (name.to_string(), value.into()));
        Value::Object(self.signer.public_members().into_iter().chain(described).collect())
    }

    /// The signature over these bytes.
    ///
    /// # Errors
    /// The algorithm needs another type of key.
    pub(crate) fn sign(&self, algorithm: Algorithm, input: &[u8]) -> Result<Vec<u8>, Error> {
        let random = SystemRandom::new();
        match (&self.signer, algorithm) {
            (Signer::Ps256(pair), Algorithm::Ps256 | Algorithm::Rs256) => {
                let encoding: &dyn RsaEncoding = match algorithm {
                    Algorithm::Rs256 => &RSA_PKCS1_SHA256,
                    _ => &RSA_PSS_SHA256,
                };
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(encoding, &random, input, &mut signature).map_err(unusable)?;
                Ok(signature)
            }
            (Signer::Es256(pair), Algorithm::Es256) => {
                Ok(pair.sign(&random, input).map_err(unusable)?.as_ref().to_vec())
            }
            (Signer::EdDsa(pair), Algorithm::EdDsa) => Ok(pair.sign(input).as_ref().to_vec()),
            _ => Err(Error::Key(format!("a key for {} cannot sign {}", self.algorithm().name(), algorithm.name()))),
        }
    }

    fn of(pair: KeyPair) -> Result<Self, Error> {
        let signer = Signer::of(&pair)?;
        Ok(Self { kid: signer.thumbprint(), pair, signer })
    }
}

impl Signer {
    fn of(pair: &KeyPair) -> Result<Self, Error> {
        let der = pair.serialized_der();
        if pair.is_compatible(&rcgen::PKCS_RSA_SHA256) {
            Ok(Self::Ps256(Box::new(RsaKeyPair::from_pkcs8(der).map_err(unusable)?)))
        } else if pair.is_compatible(&rcgen::PKCS_ECDSA_P256_SHA256) {
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &SystemRandom::new());
            Ok(Self::Es256(Box::new(pair.map_err(unusable)?)))
        } else {
            Ok(Self::EdDsa(Box::new(Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(unusable)?)))
        }
    }

    /// The JWK members of the public key (RFC 7518 sections 6.2.1 and 6.3.1, RFC 8037 section 2), in the order of their names.
    fn public_members(&self) -> Map<String, Value> {
        let members = match self {
            Self::Ps256(pair) => {
                let RsaPublicKeyComponents { n, e } = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public());
                vec![("e", base64url(&e)), ("kty", "RSA".into()), ("n", base64url(&n))]
            }
            Self::Es256(pair) => {
                // An uncompressed point: the octet 4, then x, then y.
                let (x, y) = pair.public_key().as_ref().get(1..).unwrap_or_default().split_at(32);
                vec![("crv", "P-256".into()), ("kty", "EC".into()), ("x", base64url(x)), ("y", base64url(y))]
            }
            Self::EdDsa(pair) => {
                vec![("crv", "Ed25519".into()), ("kty", "OKP".into()), ("x", base64url(pair.public_key().as_ref()))]
            }
        };
        members.into_iter().map(|(name, value)| (name.to_string(), value.into())).collect()
    }

    /// The thumbprint of the key (RFC 7638).
    fn thumbprint(&self) -> String {
        base64url(digest(&SHA256, Value::Object(self.public_members()).to_string().as_bytes()).as_ref())
    }
}

/// Makes a new RSA key of 2048 bits.
pub(crate) fn generate_rsa() -> Result<KeyPair, Error> {
    let key = PrivateKey::new(&mut SysRng, RSA_BITS).map_err(unusable)?;
    let der = key.to_pkcs8_der().map_err(unusable)?;
    KeyPair::try_from(der.as_bytes()).map_err(unusable)
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({}, kid {})", self.algorithm().name(), self.kid)
    }
}

fn base64url(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn unusable(error: impl std::fmt::Display) -> Error {
    Error::Key(error.to_string())
}

#[cfg(test)]
mod tests {
    use jwt_simple::prelude::{ES256PublicKey, Ed25519PublicKey, PS256PublicKey};

    use super::*;

    fn one_of_each() -> [SigningKey; 3] {
        [SigningKey::generate_ps256().unwrap(), SigningKey::generate_es256(), SigningKey::generate_eddsa()]
    }

    #[test]
    fn a_key_survives_its_pem() {
        for key in one_of_each() {
            let pem = key.to_pem();
            assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----"), "PKCS#8, not PKCS#1 or SEC 1");
            let read = SigningKey::from_pem(&pem).unwrap();
            assert_eq!(read.kid(), key.kid());
            assert_eq!(read.public_jwk(), key.public_jwk());
        }
    }

    #[test]
    fn the_kid_is_the_thumbprint_that_jwt_simple_computes() {
        let [ps256, es256, eddsa] = one_of_each();
        assert_eq!(PS256PublicKey::from_pem(&ps256.public_pem()).unwrap().jwk_thumbprint(), ps256.kid());
        assert_eq!(ES256PublicKey::from_pem(&es256.public_pem()).unwrap().jwk_thumbprint(), es256.kid());
        assert_eq!(Ed25519PublicKey::from_pem(&eddsa.public_pem()).unwrap().jwk_thumbprint(), eddsa.kid());
    }

    #[test]
    fn the_public_jwk_has_no_private_part() {
        for key in one_of_each() {
            let jwk = key.with_kid("a/b+c=").public_jwk();
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
