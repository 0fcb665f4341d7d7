//! The other lists of a key set: certificates, and keys of any purpose.

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine};
use dcr_x509::Thumbprint;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use super::support::{EcKey, base64url, key_set_document, with};
use super::wycheproof::rsa_jwk;
use crate::Algorithm;
use crate::jwk::{KeySet, KeySetLimits, UnreadableEntry};

const CERTIFICATE: &[u8] = b"the DER of a certificate, its \xfb\xff octets in base64 with + and /";

fn key_set(keys: &[Value]) -> KeySet {
    KeySet::parse(&key_set_document(keys), &KeySetLimits::default()).unwrap()
}

fn entry(usage: Value, chain: Value) -> Value {
    let members = match usage {
        Value::Null => json!({ "x5c": chain }),
        usage => json!({ "use": usage, "x5c": chain }),
    };
    with(rsa_jwk(), members)
}

fn chain(certificates: &[&[u8]]) -> Value {
    certificates.iter().map(|der| BASE64_STANDARD.encode(der)).collect()
}

/// Whether a set with this entry lists [`CERTIFICATE`] for TLS.
fn holds(entry: Value) -> bool {
    key_set(&[entry]).holds_tls_certificate(&Thumbprint::of_der(CERTIFICATE))
}

#[test]
fn cb_07_a_tls_entry_holds_its_certificate() {
    assert!(holds(entry(json!("tls"), chain(&[CERTIFICATE]))));
    assert!(holds(entry(json!("tls"), chain(&[CERTIFICATE, b"its issuer"]))));
    let tls = json!({"kty": "unheard-of", "use": "tls", "x5c": chain(&[CERTIFICATE])});
    assert!(holds(tls), "whatever its key is");
    for usage in [json!("enc"), json!("sig"), json!("TLS"), json!(["tls"]), Value::Null] {
        assert!(!holds(entry(usage.clone(), chain(&[CERTIFICATE]))), "{usage}");
    }
}

#[test]
fn only_the_first_certificate_of_a_chain_is_the_entrys() {
    for other in [
        chain(&[b"another", CERTIFICATE]),
        chain(&[]),
        json!(BASE64_STANDARD.encode(CERTIFICATE)),
        json!([base64url(CERTIFICATE)]),
        json!([format!("{}\n", BASE64_STANDARD.encode(CERTIFICATE))]),
        json!([7]),
        json!({}),
    ] {
        assert!(!holds(entry(json!("tls"), other.clone())), "{other}");
    }
    assert!(!holds(with(rsa_jwk(), json!({"use": "tls"}))));
}

/// The certificate of a key.
fn certified(algorithm: &'static rcgen::SignatureAlgorithm) -> (KeyPair, Vec<u8>) {
    let key = KeyPair::generate_for(algorithm).unwrap();
    let certificate = CertificateParams::default().self_signed(&key).unwrap().der().to_vec();
    (key, certificate)
}

#[test]
fn ss_14_a_revoked_key_is_known_by_its_value() {
    let [signer, other] = ["signer", "other"].map(EcKey::named);
    let ed25519 = |x: &str| json!({"kty": "OKP", "crv": "Ed25519", "x": x});
    let ed = ed25519("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    for (key, alg) in [(signer.jwk(), Algorithm::Es256), (rsa_jwk(), Algorithm::Ps256), (ed, Algorithm::EdDsa)] {
        let current = key_set(&[with(key.clone(), json!({"kid": "current"}))]);
        let signer = current.select(Some("current"), alg).unwrap()[0].signer();
        assert_eq!(current.revokes(&signer), Ok(true));
        for revoked in [
            json!({}),
            json!({"kid": "another"}),
            json!({"kid": 7}),
            json!({"use": "enc"}),
            json!({"alg": "RS256"}),
            json!({"key_ops": []}),
            json!({"x5c": ["not a certificate"]}),
        ] {
            let set = key_set(&[other.jwk(), with(key.clone(), revoked.clone())]);
            assert_eq!(set.revokes(&signer), Ok(true), "{alg} {revoked}");
        }
        assert_eq!(key_set(&[with(other.jwk(), json!({"kid": "another"}))]).revokes(&signer), Ok(false));
        assert_eq!(key_set(&[]).revokes(&signer), Ok(false));
    }
}

#[test]
fn ss_14_a_revoked_key_is_known_by_its_kid() {
    let key = EcKey::named("signer").jwk_with(json!({"kid": "current"}));
    let signer = key_set(&[key]).select(None, Algorithm::Es256).unwrap()[0].signer();
    assert_eq!(key_set(&[json!({"kid": "current"})]).revokes(&signer), Ok(true));
    assert_eq!(key_set(&[json!({"kid": "Current"})]).revokes(&signer), Ok(false));
    let nameless = key_set(&[EcKey::named("signer").jwk()]).select(None, Algorithm::Es256).unwrap()[0].signer();
    assert_eq!(key_set(&[EcKey::named("other").jwk()]).revokes(&nameless), Ok(false), "no kid is not a kid");
}

#[test]
fn ss_14_a_revoked_key_is_known_by_its_certificate() {
    for (algorithm, alg) in
        [(&rcgen::PKCS_ECDSA_P256_SHA256, Algorithm::Es256), (&rcgen::PKCS_ED25519, Algorithm::EdDsa)]
    {
        let (key, certificate) = certified(algorithm);
        let raw = key.public_key_raw();
        let jwk = match alg {
            Algorithm::Es256 => json!({
                "kty": "EC", "crv": "P-256", "x": base64url(&raw[1..33]), "y": base64url(&raw[33..])
            }),
            _ => json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(raw)}),
        };
        let signer = key_set(&[jwk]).select(None, alg).unwrap()[0].signer();
        let x5c = |certificates: &[&[u8]]| json!({"kty": "RSA", "x5c": chain(certificates)});
        assert_eq!(key_set(&[x5c(&[&certificate, b"its issuer"])]).revokes(&signer), Ok(true), "{alg}");
        let (_, other) = certified(algorithm);
        assert_eq!(key_set(&[x5c(&[&other])]).revokes(&signer), Ok(false), "{alg}");
    }
}

#[test]
fn ss_14_a_list_with_an_entry_that_means_no_certain_key_is_of_no_use() {
    let signer = key_set(&[EcKey::named("signer").jwk()]).select(None, Algorithm::Es256).unwrap()[0].signer();
    for entry in [
        json!(null),
        json!("key"),
        json!({}),
        json!({"kid": 7}),
        json!({"kty": "oct", "k": "AA"}),
        json!({"kty": "RSA", "e": "AQAB"}),
        with(rsa_jwk(), json!({"n": "AQ=="})),
        json!({"kid": "known", "kty": "RSA", "n": "!", "e": "AQAB"}),
        json!({"x5c": []}),
        json!({"x5c": ["MIIB"]}),
        json!({"x5c": "MIIB", "kid": "known"}),
    ] {
        assert_eq!(key_set(std::slice::from_ref(&entry)).revokes(&signer), Err(UnreadableEntry), "{entry}");
        let with_signer = key_set(&[entry.clone(), EcKey::named("signer").jwk()]);
        assert_eq!(with_signer.revokes(&signer), Ok(true), "{entry}: what is listed is revoked");
    }
}

#[test]
fn ss_14_one_modulus_is_one_key() {
    let n = rsa_jwk()["n"].as_str().unwrap().to_owned();
    let octets = BASE64_URL_SAFE_NO_PAD.decode(&n).unwrap();
    let zero_before = base64url(&[&[0], octets.as_slice()].concat());
    let signer = key_set(&[rsa_jwk()]).select(None, Algorithm::Ps256).unwrap()[0].signer();
    assert_eq!(key_set(&[with(rsa_jwk(), json!({"n": zero_before}))]).revokes(&signer), Ok(true));
    assert_eq!(key_set(&[with(rsa_jwk(), json!({"e": "Aw"}))]).revokes(&signer), Ok(true));
    let shorter = json!({"n": base64url(&octets[..octets.len() - 1])});
    assert_eq!(key_set(&[with(rsa_jwk(), shorter)]).revokes(&signer), Ok(false));
}
