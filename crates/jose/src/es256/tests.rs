//! Verification by the host: the question that it receives, and the use of its answers. Tests in Envoy check that Envoy's answers are
//! correct.

use p256::ecdsa::signature::Signer;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::DecodePublicKey;

use super::*;

fn key() -> Es256PublicKey {
    Es256PublicKey::from_coordinates(&known::X, &known::Y).unwrap()
}

/// A correct host: it verifies with p256 and reads the encodings of the question.
fn good_host(question: &HostQuestion<'_>) -> Option<bool> {
    let key = VerifyingKey::from_public_key_der(question.subject_public_key_info).unwrap();
    let signature = DerSignature::from_bytes(question.signature).unwrap();
    Some(key.verify(question.message, &signature).is_ok())
}

#[test]
fn both_ways_take_the_known_signature_and_no_other() {
    let mut changed = known::SIGNATURE;
    changed[63] ^= 1;
    let ways: [Option<HostVerifier>; 2] = [None, Some(good_host)];
    for host in ways {
        assert_eq!(key().verify_by(host, known::MESSAGE, &known::SIGNATURE), Ok(()));
        assert_eq!(key().verify_by(host, known::ANOTHER_MESSAGE, &known::SIGNATURE), Err(BadSignature));
        assert_eq!(key().verify_by(host, known::MESSAGE, &changed), Err(BadSignature));
    }
}

#[test]
fn the_host_understands_the_question_whatever_the_numbers_length() {
    for seed in 1..=200_u8 {
        let signing = SigningKey::from_slice(&[seed; 32]).unwrap();
        let point = signing.verifying_key().to_sec1_point(false);
        let (x, y) = point.as_bytes()[1..].split_at(32);
        let key = Es256PublicKey::from_coordinates(x, y).unwrap();
        let signature: Signature = signing.sign(&[seed]);
        assert_eq!(key.verify_by(Some(good_host), &[seed], &signature.to_bytes()), Ok(()));
    }
}

#[test]
fn only_a_yes_verifies() {
    let hosts: [(HostVerifier, Result<(), BadSignature>); 3] =
        [(|_| Some(true), Ok(())), (|_| Some(false), Err(BadSignature)), (|_| None, Err(BadSignature))];
    for (host, verdict) in hosts {
        assert_eq!(key().verify_by(Some(host), known::MESSAGE, &known::SIGNATURE), verdict);
    }
}

#[test]
fn a_signature_out_of_shape_or_range_is_not_even_shown_to_the_host() {
    let yes: HostVerifier = |_| Some(true);
    let order: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad,
        0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let mut last = order;
    last[31] -= 1;
    let one = [[0; 31].as_slice(), &[1]].concat();
    let verdict = |r: &[u8], s: &[u8]| key().verify_by(Some(yes), b"", &[r, s].concat());
    assert_eq!(verdict(&one, &one), Ok(()));
    assert_eq!(verdict(&last, &last), Ok(()));
    for (r, s) in [(&one, order.as_slice()), (&one, &[0; 32]), (&one, &[0xff; 32]), (&one, &one[1..])] {
        assert_eq!(verdict(r, s), Err(BadSignature), "{s:02x?}");
        assert_eq!(verdict(s, r), Err(BadSignature), "{s:02x?}");
    }
    assert_eq!(verdict(&[], &[]), Err(BadSignature));
    assert_eq!(verdict(&[&[0], one.as_slice()].concat(), &one), Err(BadSignature));
    let der = Signature::from_slice(&known::SIGNATURE).unwrap().to_der();
    assert_eq!(verdict(der.as_bytes(), &[]), Err(BadSignature));
}

#[test]
fn a_host_is_used_only_if_it_judges_both_ways_rightly() {
    assert!(passes_self_test(good_host));
    let unfit: [HostVerifier; 4] =
        [|_| Some(true), |_| Some(false), |_| None, |question| good_host(question).map(|verdict| !verdict)];
    for unfit in unfit {
        assert!(!passes_self_test(unfit));
    }
}
