//! The other lists of a key set: certificates, and keys of any purpose.

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine};
use dcr_x509::Thumbprint;
use serde_json::{Value, json};

use super::support::{EcKey, base64url, key_set_document, with};
use super::wycheproof::rsa_jwk;
use crate::Algorithm;
use crate::jwk::{KeySet, KeySetLimits};

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

#[test]
fn ss_14_a_revoked_key_is_known_by_its_value() {
    let [signer, other] = ["signer", "other"].map(EcKey::named);
    let ed25519 = |x: &str| json!({"kty": "OKP", "crv": "Ed25519", "x": x});
    let ed = ed25519("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    for (key, alg) in [(signer.jwk(), Algorithm::Es256), (rsa_jwk(), Algorithm::Ps256), (ed, Algorithm::EdDsa)] {
        let current = key_set(&[with(key.clone(), json!({"kid": "current"}))]);
        let identity = current.select(Some("current"), alg).unwrap()[0].identity();
        assert!(current.holds_key(&identity));
        for revoked in [
            json!({}),
            json!({"kid": "another"}),
            json!({"kid": 7}),
            json!({"use": "enc"}),
            json!({"alg": "RS256"}),
            json!({"key_ops": []}),
        ] {
            assert!(
                key_set(&[other.jwk(), with(key.clone(), revoked.clone())]).holds_key(&identity),
                "{alg} {revoked}"
            );
        }
        assert!(!key_set(&[with(other.jwk(), json!({"kid": "current"}))]).holds_key(&identity));
        assert!(
            !key_set(&[json!({"kid": "current"}), json!(null), json!({"kty": "oct", "k": "AA"})]).holds_key(&identity)
        );
        assert!(!key_set(&[]).holds_key(&identity));
    }
}

#[test]
fn ss_14_one_modulus_is_one_key() {
    let n = rsa_jwk()["n"].as_str().unwrap().to_owned();
    let octets = BASE64_URL_SAFE_NO_PAD.decode(&n).unwrap();
    let zero_before = base64url(&[&[0], octets.as_slice()].concat());
    let identity = key_set(&[rsa_jwk()]).select(None, Algorithm::Ps256).unwrap()[0].identity();
    assert!(key_set(&[with(rsa_jwk(), json!({"n": zero_before}))]).holds_key(&identity));
    assert!(key_set(&[with(rsa_jwk(), json!({"e": "Aw"}))]).holds_key(&identity));
    assert!(!key_set(&[with(rsa_jwk(), json!({"n": base64url(&octets[..octets.len() - 1])}))]).holds_key(&identity));
}
