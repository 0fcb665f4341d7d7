//! The rules of JSON object signing. Each rule that this crate implements has at least one test.

mod arbitrary_bytes;
mod jwk;
mod jws;
mod listed;
pub(crate) mod support;
mod vectors;
mod wycheproof;

use super::Algorithm;

#[test]
fn jo_05_only_the_algorithms_of_fapi_have_a_verifier() {
    assert_eq!(Algorithm::from_name("PS256"), Some(Algorithm::Ps256));
    assert_eq!(Algorithm::from_name("ES256"), Some(Algorithm::Es256));
    assert_eq!(Algorithm::from_name("EdDSA"), Some(Algorithm::EdDsa));
    assert_eq!(Algorithm::from_name("Ed25519"), Some(Algorithm::EdDsa), "RFC 9864");
    for refused in
        ["ps256", "ES256 ", "", "none", "RS256", "PS384", "ES384", "ES256K", "EDDSA", "ed25519", "Ed448", "RSA-OAEP"]
    {
        assert_eq!(Algorithm::from_name(refused), None, "{refused}");
    }
}

#[test]
fn jo_06_no_hmac_algorithm_has_a_verifier() {
    for hmac in ["HS256", "HS384", "HS512"] {
        assert_eq!(Algorithm::from_name(hmac), None, "{hmac}");
    }
}

#[test]
fn algorithm_names_round_trip() {
    for algorithm in [Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa] {
        assert_eq!(Algorithm::from_name(algorithm.name()), Some(algorithm));
        assert_eq!(algorithm.to_string(), algorithm.name());
        assert_eq!(algorithm.names().first(), Some(&algorithm.name()));
        assert!(algorithm.names().iter().all(|name| Algorithm::from_name(name) == Some(algorithm)));
    }
}
