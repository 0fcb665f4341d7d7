//! Real tokens of the Open Banking sandbox. The tests run only if these are available.

use std::fs;
use std::path::Path;

use dcr_json as json;
use dcr_test_support::vectors;
use serde_json::Value;

use crate::Algorithm;
use crate::jwk::{KeySet, KeySetLimits};
use crate::jws::{Jws, Limits};

#[test]
fn every_signature_verdict_is_as_expected() {
    let Some(folder) = vectors() else { return };
    let keys = KeySet::parse(&fs::read(folder.join("jwks.json")).unwrap(), &KeySetLimits::default()).unwrap();
    assert_eq!(keys.skipped(), 0);

    let expected = json::parse_object(&fs::read(folder.join("expected.json")).unwrap(), 16).unwrap();
    let signatures = expected["signatures"].as_array().unwrap();
    assert!(!signatures.is_empty());
    for signature in signatures {
        let token = read_token(&folder, signature["file"].as_str().unwrap());
        assert_eq!(holds(&token, &keys), signature["valid"].as_bool().unwrap(), "{signature}");
        if let Some(valid) = signature.get("software_statement_valid") {
            assert_eq!(holds(&software_statement(&token), &keys), valid.as_bool().unwrap(), "{signature}");
        }
    }
}

#[test]
fn a_real_payload_may_have_white_space_around_it() {
    let Some(folder) = vectors() else { return };
    let token = read_token(&folder, "jws/003-05.jwt");
    let jws = Jws::parse(&token, &Limits::default()).unwrap();
    assert!(jws.payload().starts_with(b"\n"));
    assert_eq!(jws.header().typ, None);
    assert!(json::parse_object(jws.payload(), 16).is_ok());
}

fn read_token(folder: &Path, file: &str) -> Vec<u8> {
    fs::read(folder.join(file)).unwrap().trim_ascii().to_vec()
}

fn software_statement(token: &[u8]) -> Vec<u8> {
    let jws = Jws::parse(token, &Limits::default()).unwrap();
    let claims = json::parse_object(jws.payload(), 16).unwrap();
    claims.get("software_statement").and_then(Value::as_str).unwrap().as_bytes().to_vec()
}

fn holds(token: &[u8], keys: &KeySet) -> bool {
    let Ok(jws) = Jws::parse(token, &Limits::default()) else { return false };
    let alg = Algorithm::from_name(&jws.header().alg).unwrap();
    let key = keys.select(jws.header().kid.as_deref(), alg).unwrap()[0];
    key.verify(jws.signing_input(), jws.signature()).is_ok()
}
