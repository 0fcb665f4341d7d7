//! Parsing arbitrary input ends in a value or an error. The tests pass if parsing returns at all: a panic would end the filter's whole VM.

use dcr_test_support::{mutations, scaled};
use serde_json::json;

use super::support::{EcKey, key_set_document};
use super::wycheproof::rsa_jwk;
use crate::Algorithm;
use crate::jwk::{KeySet, KeySetLimits};
use crate::jws::{Jws, Limits};

#[test]
fn a_changed_token_never_panics_and_never_verifies() {
    let key = EcKey::named("a");
    let set = KeySet::parse(&key_set_document(&[key.jwk()]), &KeySetLimits::default()).unwrap();
    let verifier = set.select(None, Algorithm::Es256).unwrap()[0];
    let genuine = key.token(r#"{"alg":"ES256","kid":"a"}"#, br#"{"iss":"a","aud":["b"]}"#);
    let mut read = 0;
    for changed in mutations(genuine.as_bytes(), 4000) {
        let Ok(jws) = Jws::parse(&changed, &Limits::default()) else { continue };
        let verified = verifier.verify(jws.signing_input(), jws.signature()).is_ok();
        assert_eq!(verified, changed == genuine.as_bytes());
        read += 1;
    }
    assert!(read > scaled(100), "the changes are too coarse to reach the signature: {read}");
}

#[test]
fn a_changed_key_set_never_panics() {
    let ec = EcKey::named("a").jwk_with(json!({"kid": "a", "use": "sig", "key_ops": ["verify"]}));
    let document = key_set_document(&[ec, rsa_jwk()]);
    let mut read = 0;
    for changed in mutations(&document, 4000) {
        let Ok(set) = KeySet::parse(&changed, &KeySetLimits::default()) else { continue };
        for key in set.select(None, Algorithm::Es256).unwrap_or_default() {
            let _ = key.verify(b"message", &[1; 64]);
        }
        read += 1;
    }
    assert!(read > scaled(10), "{read}");
}
