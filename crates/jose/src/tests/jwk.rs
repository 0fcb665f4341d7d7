//! Choosing a key and verifying with it.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use dcr_json::JsonError;
use serde_json::{Value, json};

use super::support::{EcKey, base64url, key_set_document, with};
use super::wycheproof::rsa_jwk;
use crate::jwk::{KeySet, KeySetError, KeySetLimits, SelectError, Unfit};
use crate::jws::{Jws, Limits};
use crate::{Algorithm, BadSignature};

fn key_set(keys: &[Value]) -> KeySet {
    KeySet::parse(&key_set_document(keys), &KeySetLimits::default()).unwrap()
}

fn refusal(set: &KeySet, kid: Option<&str>, alg: Algorithm) -> SelectError {
    set.select(kid, alg).map(|keys| keys.len()).unwrap_err()
}

/// The public key of RFC 8037 appendix A.2.
fn ed25519_jwk() -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
}

fn assert_skipped(jwk: Value) {
    let set = key_set(&[with(jwk.clone(), json!({"kid": "k"}))]);
    assert_eq!((set.usable(), set.skipped()), (0, 1), "{jwk}");
    for alg in [Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa] {
        assert!(matches!(refusal(&set, Some("k"), alg), SelectError::Unfit(_)), "{jwk}");
        assert_eq!(refusal(&set, None, alg), SelectError::NoneFits, "{jwk}");
    }
}

fn assert_usable(jwk: Value, alg: Algorithm) {
    let set = key_set(&[with(jwk.clone(), json!({"kid": "k"}))]);
    assert_eq!((set.usable(), set.skipped()), (1, 0), "{jwk}");
    assert_eq!(set.select(Some("k"), alg).unwrap().len(), 1, "{jwk}");
}

#[test]
fn a_document_that_is_no_key_set_is_refused() {
    for (document, why) in [
        ("", KeySetError::Json(JsonError::Syntax)),
        ("[]", KeySetError::Json(JsonError::NotAnObject)),
        (r#"{"keys":[],"keys":[]}"#, KeySetError::Json(JsonError::DuplicateMember)),
        (r#"{"keys":[{"kid":"a","kid":"b"}]}"#, KeySetError::Json(JsonError::DuplicateMember)),
        ("{}", KeySetError::KeysMissing),
        (r#"{"keys":{}}"#, KeySetError::KeysMissing),
        (r#"{"error":"try again"}"#, KeySetError::KeysMissing),
    ] {
        assert_eq!(KeySet::parse(document.as_bytes(), &KeySetLimits::default()).unwrap_err(), why, "{document}");
    }
}

#[test]
fn a_set_inside_another_document_is_read_within_its_bound() {
    let document = json!({ "keys": [EcKey::named("a").jwk(), ed25519_jwk()], "other": 1 });
    let of = |most| KeySet::of_object(document.as_object().unwrap(), most);
    let set = of(2).unwrap();
    assert_eq!((set.usable(), set.has_private_key()), (2, false));
    assert_eq!(of(1).unwrap_err(), KeySetError::TooManyKeys);
}

#[test]
fn jo_16_a_set_says_whether_it_has_a_private_key() {
    for (member, is_private) in [("d", true), ("k", true), ("oth", true), ("x5c", false), ("exp", false)] {
        let set = key_set(&[ed25519_jwk(), with(ed25519_jwk(), json!({ member: "x" }))]);
        assert_eq!(set.has_private_key(), is_private, "{member}");
    }
}

#[test]
fn a_key_set_is_bounded() {
    let one = key_set_document(&[EcKey::named("a").jwk()]);
    let limits = KeySetLimits { bytes: one.len(), keys: 1, json_depth: 3 };
    assert!(KeySet::parse(&one, &limits).is_ok());
    let parse = |limits| KeySet::parse(&one, &limits).unwrap_err();
    assert_eq!(parse(KeySetLimits { bytes: one.len() - 1, ..limits }), KeySetError::TooLong);
    assert_eq!(parse(KeySetLimits { keys: 0, ..limits }), KeySetError::TooManyKeys);
    assert_eq!(parse(KeySetLimits { json_depth: 2, ..limits }), KeySetError::Json(JsonError::TooDeep));
    assert_eq!(KeySetLimits::default(), KeySetLimits { bytes: 262_144, keys: 100, json_depth: 16 });
}

#[test]
fn an_empty_set_fits_nothing() {
    assert_eq!(refusal(&key_set(&[]), None, Algorithm::Es256), SelectError::NoneFits);
    assert_eq!(refusal(&key_set(&[]), Some("k"), Algorithm::Es256), SelectError::UnknownKid);
}

#[test]
fn jo_06_a_symmetric_key_is_skipped() {
    assert_skipped(json!({"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ", "alg": "HS256"}));
    assert_skipped(EcKey::named("a").jwk_with(json!({"alg": "HS256"})));
    assert_skipped(EcKey::named("a").jwk_with(json!({"k": "AyM1"})));
}

#[test]
fn private_keys_are_skipped() {
    assert_skipped(EcKey::named("a").jwk_with(json!({"d": base64url(&[1; 32])})));
    assert_skipped(with(rsa_jwk(), json!({"d": "AQAB"})));
    assert_skipped(with(rsa_jwk(), json!({"p": "AQAB"})));
}

#[test]
fn entries_of_other_kinds_are_skipped() {
    assert_skipped(with(ed25519_jwk(), json!({"crv": "X25519"})));
    assert_skipped(with(ed25519_jwk(), json!({"crv": "Ed448"})));
    assert_skipped(json!({"kty": "RSA", "x5c": ["MIIB"]}));
    assert_skipped(json!({"kty": "ec"}));
    assert_skipped(json!({}));
    assert_skipped(EcKey::named("a").jwk_with(json!({"crv": "P-384"})));
    assert_skipped(EcKey::named("a").jwk_with(json!({"crv": "secp256k1"})));
    let set = key_set(&[json!(null), json!("key"), json!([]), EcKey::named("a").jwk_with(json!({"kid": 1}))]);
    assert_eq!((set.usable(), set.skipped()), (0, 4));
}

#[test]
fn jo_08_a_point_off_the_curve_is_skipped() {
    let good = EcKey::named("a").jwk();
    assert_usable(good.clone(), Algorithm::Es256);
    assert_skipped(with(good.clone(), json!({"x": good["y"], "y": good["x"]})));
    assert_skipped(with(good.clone(), json!({"x": base64url(&[0; 32]), "y": base64url(&[0; 32])})));
    assert_skipped(with(good.clone(), json!({"x": base64url(&[0xff; 32])})));
    assert_skipped(with(good.clone(), json!({"y": base64url(&[1; 31])})));
    assert_skipped(with(good, json!({"y": base64url(&[0; 33])})));
}

#[test]
fn an_ed25519_key_is_one_canonical_point_of_full_order() {
    let good = ed25519_jwk();
    assert_usable(good.clone(), Algorithm::EdDsa);
    assert_usable(with(good.clone(), json!({"alg": "EdDSA", "use": "sig"})), Algorithm::EdDsa);
    assert_usable(with(good.clone(), json!({"alg": "Ed25519"})), Algorithm::EdDsa);
    for alg in [json!("ES256"), json!("Ed448"), json!("eddsa"), json!("ed25519")] {
        assert_skipped(with(good.clone(), json!({"alg": alg})));
    }
    assert_skipped(with(good.clone(), json!({"kty": "EC"})));
    assert_skipped(with(good.clone(), json!({"d": base64url(&[1; 32])})));

    let x = |octets: &[u8]| with(good.clone(), json!({"x": base64url(octets)}));
    let y = |number: u8| {
        let mut octets = [0; 32];
        octets[0] = number;
        octets
    };
    // p + 3 in little-endian order: a second encoding of y = 3.
    let mut beyond_p = [0xff; 32];
    (beyond_p[0], beyond_p[31]) = (0xf0, 0x7f);
    assert_usable(x(&y(3)), Algorithm::EdDsa);
    assert_skipped(x(&beyond_p));
    assert_skipped(x(&y(2))); // not on the curve
    assert_skipped(x(&y(1))); // of order 1
    assert_skipped(x(&y(0))); // of order 4
    assert_skipped(x(&y(3)[..31]));
    assert_skipped(x(&[0; 33]));
    assert_skipped(x(&[]));
}

#[test]
fn jo_08_a_der_signature_is_refused() {
    let key = EcKey::named("a");
    let set = key_set(&[key.jwk()]);
    let verifier = set.select(None, Algorithm::Es256).unwrap()[0];
    let raw = key.sign(b"message");
    let der = p256::ecdsa::Signature::from_slice(&raw).unwrap().to_der();
    assert_eq!(verifier.verify(b"message", &raw), Ok(()));
    assert_eq!(verifier.verify(b"message", der.as_bytes()), Err(BadSignature));
    assert_eq!(verifier.verify(b"massage", &raw), Err(BadSignature));
    assert_eq!(verifier.verify(b"message", &[raw.as_slice(), &[0]].concat()), Err(BadSignature));
    assert_eq!(verifier.verify(b"message", &raw[..63]), Err(BadSignature));
    assert_eq!(verifier.verify(b"message", &[0; 64]), Err(BadSignature));
}

#[test]
fn jo_09_rsa_keys_out_of_bounds_are_skipped() {
    assert_usable(rsa_jwk(), Algorithm::Ps256);
    let modulus_of = |octets| base64url(&vec![0xff; octets]);
    assert_skipped(with(rsa_jwk(), json!({"n": modulus_of(255)})));
    assert_skipped(with(rsa_jwk(), json!({"n": modulus_of(513)})));
    assert_skipped(with(rsa_jwk(), json!({"n": ""})));
    assert_skipped(with(rsa_jwk(), json!({"e": "AQ"})));
    assert_skipped(with(rsa_jwk(), json!({"e": "Ag"})));
    assert_skipped(with(rsa_jwk(), json!({"e": ""})));
    assert_skipped(with(rsa_jwk(), json!({"e": 65537})));
    assert_skipped(with(rsa_jwk(), json!({"e": "AQAB="})));
}

#[test]
fn the_eddsa_token_of_rfc_8037_verifies() {
    // RFC 8037 appendix A.4.
    let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
        hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let jws = Jws::parse(token.as_bytes(), &Limits::default()).unwrap();
    let set = key_set(&[ed25519_jwk()]);
    let key = set.select(None, Algorithm::from_name(&jws.header().alg).unwrap()).unwrap()[0];
    assert_eq!(key.verify(jws.signing_input(), jws.signature()), Ok(()));
    assert_eq!(key.verify(b"another", jws.signature()), Err(BadSignature));

    // The same signature with S + L, and a signature with a point of small order.
    let order = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut malleated = jws.signature().to_vec();
    let mut carry = 0;
    for (octet, addend) in malleated[32..].iter_mut().zip(order) {
        let sum = u16::from(*octet) + addend + carry;
        *octet = u8::try_from(sum & 0xff).unwrap();
        carry = sum >> 8;
    }
    assert_eq!(key.verify(jws.signing_input(), &malleated), Err(BadSignature));
    let neutral = [&[1][..], &[0; 63]].concat();
    assert_eq!(key.verify(jws.signing_input(), &neutral), Err(BadSignature));
    assert_eq!(key.verify(jws.signing_input(), &jws.signature()[..63]), Err(BadSignature));
    assert_eq!(key.verify(jws.signing_input(), &[&**jws.signature(), &[0]].concat()), Err(BadSignature));
}

#[test]
fn jo_12_a_key_in_the_header_verifies_nothing() {
    let attacker = EcKey::named("attacker");
    let header = format!(r#"{{"alg":"ES256","kid":"k","jwk":{}}}"#, attacker.jwk_with(json!({"kid": "k"})));
    let jws = Jws::parse(attacker.token(&header, b"{}").as_bytes(), &Limits::default()).unwrap();
    let set = key_set(&[EcKey::named("owner").jwk_with(json!({"kid": "k"}))]);
    let key = set.select(jws.header().kid.as_deref(), Algorithm::Es256).unwrap()[0];
    assert_eq!(key.verify(jws.signing_input(), jws.signature()), Err(BadSignature));
}

#[test]
fn jo_13_the_kid_is_compared_octet_by_octet() {
    let kids = ["xfSk77s+9I=", "/HFQNRpv/=", "abc", "ABC", "abc "];
    let keys: Vec<_> = kids.iter().map(|kid| EcKey::named(kid).jwk_with(json!({"kid": kid}))).collect();
    let set = key_set(&keys);
    for kid in kids {
        let chosen = set.select(Some(kid), Algorithm::Es256).unwrap();
        assert_eq!(chosen.iter().map(|key| key.kid()).collect::<Vec<_>>(), [Some(kid)]);
        assert_eq!(chosen[0].verify(b"m", &EcKey::named(kid).sign(b"m")), Ok(()));
    }
    for unknown in ["Abc", "abc  ", "", "xfSk77s+9I"] {
        assert_eq!(refusal(&set, Some(unknown), Algorithm::Es256), SelectError::UnknownKid, "{unknown}");
    }
}

#[test]
fn jo_13_a_kid_does_not_choose_a_key_without_one() {
    let set = key_set(&[EcKey::named("a").jwk()]);
    assert_eq!(refusal(&set, Some("a"), Algorithm::Es256), SelectError::UnknownKid);
    assert_eq!(refusal(&set, Some(""), Algorithm::Es256), SelectError::UnknownKid);
}

#[test]
fn jo_14_without_a_kid_every_fitting_key_is_a_candidate() {
    let [a, b] = ["a", "b"].map(EcKey::named);
    let set = key_set(&[
        a.jwk_with(json!({"kid": "a"})),
        rsa_jwk(),
        EcKey::named("tls").jwk_with(json!({"use": "tls"})),
        b.jwk(),
    ]);
    assert_eq!((set.usable(), set.skipped()), (3, 1));
    let candidates = set.select(None, Algorithm::Es256).unwrap();
    let verdicts: Vec<_> = candidates.iter().map(|key| key.verify(b"m", &b.sign(b"m"))).collect();
    assert_eq!(verdicts, [Err(BadSignature), Ok(())]);
    assert_eq!(set.select(None, Algorithm::Ps256).unwrap().len(), 1);
}

#[test]
fn jo_15_a_kid_of_two_fitting_keys_is_ambiguous() {
    let [a, b] = ["a", "b"].map(|name| EcKey::named(name).jwk_with(json!({"kid": "k"})));
    let set = key_set(&[a.clone(), b]);
    assert_eq!(refusal(&set, Some("k"), Algorithm::Es256), SelectError::Ambiguous);
}

#[test]
fn jo_15_a_key_that_is_listed_twice_under_its_kid_is_one_key() {
    let key = EcKey::named("a").jwk_with(json!({"kid": "k"}));
    let set = key_set(&[key.clone(), with(key, json!({"use": "sig"}))]);
    assert_eq!(set.select(Some("k"), Algorithm::Es256).unwrap().len(), 1);
}

/// As writers of .NET print a JWK: every member that it can have.
#[test]
fn jo_16_a_member_that_is_null_is_absent() {
    for member in ["use", "key_ops", "alg", "kid", "x5c", "x5t", "d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        let null = json!({ (member): null });
        let set = key_set(&[EcKey::named("a").jwk_with(null.clone()), with(rsa_jwk(), null)]);
        assert_eq!((set.usable(), set.skipped()), (2, 0), "{member}");
    }
    assert_skipped(EcKey::named("a").jwk_with(json!({"x": null})));
    assert_skipped(with(rsa_jwk(), json!({"n": null})));
    assert_skipped(with(rsa_jwk(), json!({"kty": null})));
}

#[test]
fn jo_16_why_a_key_is_unfit() {
    let key = EcKey::named("a");
    for (jwk, unfit) in [
        (key.jwk_with(json!({"d": base64url(&[1; 32])})), Unfit::Private),
        (key.jwk_with(json!({"use": "enc"})), Unfit::Purpose),
        (key.jwk_with(json!({"key_ops": ["sign"]})), Unfit::Purpose),
        (key.jwk_with(json!({"alg": "ES384"})), Unfit::Purpose),
        (key.jwk_with(json!({"crv": "P-384"})), Unfit::Kind),
        (key.jwk_with(json!({"kty": "OKP"})), Unfit::Kind),
        (key.jwk_with(json!({"x": base64url(&[1; 31])})), Unfit::Numbers),
        (key.jwk_with(json!({"x": "AQ=="})), Unfit::Numbers),
        (with(rsa_jwk(), json!({"n": base64url(&[0xff; 128])})), Unfit::Numbers),
    ] {
        let set = key_set(&[with(jwk.clone(), json!({"kid": "k"}))]);
        assert_eq!(refusal(&set, Some("k"), Algorithm::Es256), SelectError::Unfit(unfit), "{jwk}");
    }
}

#[test]
fn jo_15_of_two_keys_with_one_kid_the_fitting_one_is_chosen() {
    let ec = EcKey::named("a").jwk_with(json!({"kid": "k"}));
    let tls = EcKey::named("b").jwk_with(json!({"kid": "k", "use": "tls"}));
    let set = key_set(&[ec, with(rsa_jwk(), json!({"kid": "k"})), tls]);
    for alg in [Algorithm::Es256, Algorithm::Ps256] {
        let chosen = set.select(Some("k"), alg).unwrap();
        assert_eq!(chosen.iter().map(|key| key.algorithm()).collect::<Vec<_>>(), [alg]);
    }
}

#[test]
fn jo_16_use_must_allow_signatures() {
    let key = EcKey::named("a");
    assert_usable(key.jwk_with(json!({"use": "sig"})), Algorithm::Es256);
    for usage in [json!("enc"), json!("tls"), json!("SIG"), json!(""), json!(["sig"])] {
        assert_skipped(key.jwk_with(json!({"use": usage})));
    }
}

#[test]
fn jo_16_key_ops_must_allow_verify() {
    let key = EcKey::named("a");
    assert_usable(key.jwk_with(json!({"key_ops": ["verify"]})), Algorithm::Es256);
    assert_usable(key.jwk_with(json!({"key_ops": ["sign", "verify"]})), Algorithm::Es256);
    for operations in [json!(["sign"]), json!([]), json!("verify"), json!([["verify"]]), json!(["Verify"])] {
        assert_skipped(key.jwk_with(json!({"key_ops": operations})));
    }
    assert_skipped(key.jwk_with(json!({"use": "enc", "key_ops": ["verify"]})));
}

#[test]
fn jo_16_alg_of_the_key_must_be_the_tokens() {
    assert_usable(EcKey::named("a").jwk_with(json!({"alg": "ES256"})), Algorithm::Es256);
    assert_usable(with(rsa_jwk(), json!({"alg": "PS256"})), Algorithm::Ps256);
    for alg in [json!("PS256"), json!("ES384"), json!("es256"), json!("none"), json!("ECDH-ES")] {
        assert_skipped(EcKey::named("a").jwk_with(json!({"alg": alg})));
    }
    for alg in ["ES256", "RS256", "PS384", "RSA-OAEP", "HS256"] {
        assert_skipped(with(rsa_jwk(), json!({"alg": alg})));
    }
}

#[test]
fn jo_16_type_and_curve_must_be_the_algorithms() {
    let set = key_set(&[EcKey::named("a").jwk_with(json!({"kid": "ec"})), with(rsa_jwk(), json!({"kid": "rsa"}))]);
    assert_eq!(refusal(&set, Some("ec"), Algorithm::Ps256), SelectError::Unfit(Unfit::Kind));
    assert_eq!(refusal(&set, Some("rsa"), Algorithm::Es256), SelectError::Unfit(Unfit::Kind));
    assert_skipped(EcKey::named("a").jwk_with(json!({"kty": "RSA"})));
    assert_skipped(with(rsa_jwk(), json!({"kty": "EC"})));
}

#[test]
fn jo_16_an_unfit_key_beside_a_good_one_does_no_harm() {
    let good = EcKey::named("good").jwk_with(json!({"kid": "good"}));
    let set = key_set(&[json!({"kty": "RSA", "kid": "bad", "n": "!", "e": "AQAB"}), good]);
    assert_eq!((set.usable(), set.skipped()), (1, 1));
    assert_eq!(set.select(Some("good"), Algorithm::Es256).unwrap().len(), 1);
    assert_eq!(refusal(&set, Some("bad"), Algorithm::Ps256), SelectError::Unfit(Unfit::Numbers));
}

#[test]
fn jo_20_alg_may_be_absent_and_rsa_numbers_may_begin_with_zeros() {
    let n = rsa_jwk()["n"].as_str().unwrap().to_owned();
    let octets = BASE64_URL_SAFE_NO_PAD.decode(&n).unwrap();
    let with_zero = base64url(&[&[0, 0], octets.as_slice()].concat());
    assert_usable(with(rsa_jwk(), json!({"n": with_zero, "e": "AAEAAQ"})), Algorithm::Ps256);
}
