use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use serde_json::json;

use super::*;
use crate::tests::{
    NOW, assert_refused, evaluation, header, jwk, key_set, object, request, settings, token, with, without,
};

const METADATA: &str = "invalid_client_metadata";
const STATEMENT: &str = "invalid_software_statement";
const CLIENT: &str = "invalid_client";

/// A document with these claims, as if a key had signed it.
pub(crate) fn verified(document: Document, claims: &Value) -> Verified {
    let key = key_set(&[jwk("known")]).select(None, Algorithm::Es256).unwrap()[0].signer();
    Verified { claims: Claims::of(document, object(claims)), token: token(&header(), claims).into(), key }
}

fn open(document: Document, token: &str) -> Result<Unverified, Refusal> {
    Unverified::open(document, token.as_bytes(), &settings(), &evaluation())
}

#[track_caller]
fn request_refused(token: &str, reason: &str) {
    assert_refused(open(Document::RegistrationRequest, token), 400, METADATA, reason);
}

fn of_header(header: &Value) -> String {
    token(header, &request())
}

fn claims(members: Value) -> Claims {
    Claims::of(Document::RegistrationRequest, object(&members))
}

#[test]
fn a_token_that_breaks_no_rule_is_opened() {
    let good = token(&header(), &request());
    assert!(open(Document::RegistrationRequest, &good).is_ok());
}

#[test]
fn jo_01_a_token_is_three_parts_and_no_longer_than_the_limit() {
    let good = token(&header(), &request());
    for broken in [format!("{good}="), format!("{good}\n"), "a.b".to_owned(), format!("{good}.e30")] {
        request_refused(&broken, "jws_malformed");
    }
    request_refused(&of_header(&with(header(), "x", "x".repeat(50_000))), "jws_too_long");
}

#[test]
fn jo_02_jo_03_the_header_is_one_object_with_an_alg() {
    request_refused(&of_header(&json!([])), "jose_header_malformed");
    request_refused(&of_header(&with(header(), "kid", 7)), "jose_header_malformed");
    request_refused(&of_header(&with(header(), "typ", 7)), "jose_header_malformed");
    request_refused(&of_header(&without(header(), "alg")), "alg_missing");
}

#[test]
fn jo_04_a_token_is_signed() {
    request_refused(&of_header(&with(header(), "alg", "nOnE")), "unsigned");
    let (input, _) = token(&header(), &request()).rsplit_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    request_refused(&format!("{input}."), "unsigned");
}

#[test]
fn jo_05_the_profile_allows_the_algorithm() {
    for alg in ["RS256", "HS256", "ps256", "EdDSA"] {
        request_refused(&of_header(&with(header(), "alg", alg)), "alg_not_allowed");
    }
    let mut settings = settings();
    settings.profile.signing_algorithms = vec![Algorithm::Ps256];
    let es256 = of_header(&header());
    let opened = Unverified::open(Document::ClientAssertion, es256.as_bytes(), &settings, &evaluation());
    assert_refused(opened, 401, CLIENT, "alg_not_allowed");
}

#[test]
fn jo_10_jo_11_jo_12_what_a_header_must_not_have() {
    request_refused(&of_header(&with(header(), "crit", json!(["exp"]))), "crit_not_understood");
    request_refused(&of_header(&with(header(), "b64", true)), "unencoded_payload");
    for member in ["jwk", "jku", "x5u", "x5c"] {
        request_refused(&of_header(&with(header(), member, "x")), "key_in_header");
    }
}

#[test]
fn jo_17_an_encrypted_token_is_refused() {
    let five_parts = format!("{}.e30.e30", token(&header(), &request()));
    assert_refused(open(Document::SoftwareStatement, &five_parts), 400, STATEMENT, "encrypted");
}

#[test]
fn jo_14_jo_18_members_that_the_header_must_have() {
    for typ in ["at+jwt", "", "application/at+jwt"] {
        request_refused(&of_header(&with(header(), "typ", typ)), "typ_wrong");
    }
    for typ in ["JWT", "jwt", "application/jwt"] {
        assert!(open(Document::RegistrationRequest, &of_header(&with(header(), "typ", typ))).is_ok(), "{typ}");
    }
    let required = [HeaderMember::Typ, HeaderMember::Kid];
    for (member, reason) in [("typ", "typ_missing"), ("kid", "kid_needed")] {
        let opened = open(Document::RegistrationRequest, &of_header(&without(header(), member))).unwrap();
        assert_eq!(opened.require_header(&[], &evaluation()), Ok(()));
        assert_refused(opened.require_header(&required, &evaluation()), 400, METADATA, reason);
    }
}

#[test]
fn jo_18_an_assertion_may_have_the_type_of_assertions() {
    for typ in ["client-authentication+jwt", "application/client-authentication+jwt", "Client-Authentication+JWT"] {
        let token = of_header(&with(header(), "typ", typ));
        assert!(open(Document::ClientAssertion, &token).is_ok(), "{typ}");
        request_refused(&token, "typ_wrong");
        assert_refused(open(Document::SoftwareStatement, &token), 400, STATEMENT, "typ_wrong");
    }
}

#[test]
fn jo_05_ed25519_is_eddsa() {
    let token = of_header(&with(header(), "alg", "Ed25519"));
    request_refused(&token, "alg_not_allowed");
    let opened = Unverified::open(
        Document::RegistrationRequest,
        token.as_bytes(),
        &crate::tests::settings_of("fapi2"),
        &evaluation(),
    );
    assert_eq!(opened.unwrap().algorithm(), Algorithm::EdDsa);
}

#[test]
fn jw_01_the_payload_is_one_object() {
    request_refused(&token(&header(), &json!([])), "claims_malformed");
    let deep = (0..20).fold(json!(1), |value, _| json!([value]));
    request_refused(&token(&header(), &json!({ "a": deep })), "claims_malformed");
}

#[test]
fn jo_13_jo_14_jo_15_jo_16_which_key_verifies() {
    let verify = |header: &Value, keys: &[Value]| {
        let opened = open(Document::RegistrationRequest, &of_header(header)).unwrap();
        opened.verify(&key_set(keys), || ()).map_err(|unverifiable| unverifiable.refusal)
    };
    let unfit = with(jwk("known"), "use", "enc");
    let many = vec![jwk("known"); 9];
    let twin = json!({
        "kty": "EC", "crv": "P-256", "kid": "known",
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"
    });
    assert_refused(verify(&header(), &[jwk("another")]), 400, METADATA, "kid_unknown");
    assert_refused(verify(&header(), &[jwk("known"), twin]), 400, METADATA, "kid_ambiguous");
    for (member, value, reason) in [
        ("d", json!("AQAB"), "key_private"),
        ("crv", json!("P-384"), "key_of_another_type"),
        ("x", json!("AQ=="), "key_malformed"),
    ] {
        assert_refused(verify(&header(), &[with(jwk("known"), member, value)]), 400, METADATA, reason);
    }
    assert_refused(verify(&header(), std::slice::from_ref(&unfit)), 400, METADATA, "key_unfit");
    assert_refused(verify(&without(header(), "kid"), &[unfit]), 400, METADATA, "key_unfit");
    assert_refused(verify(&without(header(), "kid"), &many), 400, METADATA, "kid_needed");
}

#[test]
fn ss_02_rq_01_ca_13_a_signature_of_no_key_verifies_nothing() {
    for (document, status, error, reason) in [
        (Document::SoftwareStatement, 400, STATEMENT, "statement_signature"),
        (Document::RegistrationRequest, 400, METADATA, "request_signature"),
        (Document::ClientAssertion, 401, CLIENT, "assertion_signature"),
    ] {
        let opened = open(document, &token(&header(), &request())).unwrap();
        let verified = opened.verify(&key_set(&[jwk("known")]), || ()).map_err(|unverifiable| unverifiable.refusal);
        assert_refused(verified, status, error, reason);
        let damaged = format!("{}*", token(&header(), &request()));
        assert_refused(open(document, &damaged), status, error, reason);
    }
}

#[test]
fn jw_02_dates_are_numbers_of_seconds() {
    for date in [json!("1700000000"), json!(NOW * 1000), json!(-1), json!(true), json!([NOW])] {
        assert_refused(claims(json!({ "exp": date })).jw_02_date("exp"), 400, METADATA, "date_malformed");
    }
    assert_eq!(claims(json!({ "exp": 1.5 })).jw_02_date("exp"), Ok(Some(1)));
    for spelling in ["1795000000", "1795000000.0", "1.795e9", "17950000.00e2"] {
        let exp: Value = serde_json::from_str(spelling).unwrap();
        assert_eq!(claims(json!({ "exp": exp })).jw_02_date("exp"), Ok(Some(1_795_000_000)), "{spelling}");
    }
    assert_eq!(claims(json!({ "exp": null })).jw_02_date("exp"), Ok(None));
}

#[test]
fn jw_02_a_fraction_is_refused_where_the_profile_takes_whole_seconds() {
    let mut settings = settings();
    for date in ["iat", "nbf", "exp"] {
        let open = |settings: &Settings, value: f64| {
            let token = token(&header(), &with(request(), date, value));
            Unverified::open(Document::RegistrationRequest, token.as_bytes(), settings, &evaluation())
        };
        settings.profile.fractional_dates = true;
        assert!(open(&settings, 1.5).is_ok(), "{date}");
        settings.profile.fractional_dates = false;
        assert_refused(open(&settings, 1.5), 400, METADATA, "date_fraction");
        assert!(open(&settings, 1.0e9).is_ok(), "{date}");
    }
}

#[test]
fn ss_02_rq_01_ca_13_a_signature_of_a_form_that_no_key_makes_is_told() {
    let description = |alg: &str, signature: &[u8]| {
        let token = of_header(&with(header(), "alg", alg));
        let (input, _) = token.rsplit_once('.').unwrap();
        let token = format!("{input}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature));
        let opened =
            Unverified::open(Document::RegistrationRequest, token.as_bytes(), &settings(), &evaluation()).unwrap();
        ss_02_rq_01_ca_13_form(opened.algorithm(), opened.jws.signature()).unwrap_or_default()
    };
    let der = [&[0x30, 0x45, 0x02, 0x20][..], &[1; 67]].concat();
    assert!(description("ES256", &der).contains("DER"));
    assert!(description("ES256", &[1; 63]).contains("64 octets"));
    assert!(description("PS256", &[1; 64]).contains("256 to 512 octets"));
    for (alg, length) in [("ES256", 64), ("PS256", 256), ("PS256", 384), ("PS256", 512)] {
        assert_eq!(description(alg, &vec![1; length]), "", "{alg} {length}");
    }
}

#[test]
fn jw_03_exp_lies_ahead() {
    let of = |exp: Timestamp| claims(json!({ "exp": exp })).jw_03_not_expired(NOW);
    assert_refused(of(NOW), 400, METADATA, "expired");
    assert_eq!(of(NOW + 1), Ok(Some(NOW + 1)));
}

#[test]
fn jw_04_jw_05_nbf_and_iat_are_not_further_ahead_than_the_skew() {
    let skew = 30;
    let nbf = |nbf: Timestamp| claims(json!({ "nbf": nbf })).jw_04_already_valid(NOW, skew);
    assert_refused(nbf(NOW + skew + 1), 400, METADATA, "not_yet_valid");
    assert_eq!(nbf(NOW + skew), Ok(()));
    let iat = |iat: Timestamp| claims(json!({ "iat": iat })).jw_05_already_issued(NOW, skew);
    assert_refused(iat(NOW + skew + 1), 400, METADATA, "issued_in_the_future");
    assert_eq!(iat(NOW + skew), Ok(Some(NOW + skew)));
}

#[test]
fn jw_07_aud_is_a_string_or_an_array_of_strings() {
    let accepted = ["a".to_owned(), "c".to_owned()];
    let names =
        |aud: Value| claims(json!({ "aud": aud })).jw_07_named_audience(&accepted).map(|name| name.map(str::to_owned));
    for malformed in [json!(7), json!(["a", 7]), json!({ "a": 1 }), json!(null)] {
        assert_refused(names(malformed), 400, METADATA, "aud_malformed");
    }
    assert_eq!(names(json!(["b", "c", "a"])), Ok(Some("a".to_owned())), "the first of the accepted ones");
    assert_eq!((names(json!("c")), names(json!("b"))), (Ok(Some("c".to_owned())), Ok(None)));
}
