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
    let key = key_set(&[jwk("known")]).select(None, Algorithm::Es256).unwrap()[0].identity();
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
    for (member, reason) in [("typ", "typ_wrong"), ("kid", "kid_needed")] {
        let opened = open(Document::RegistrationRequest, &of_header(&without(header(), member))).unwrap();
        assert_eq!(opened.require_header(&[], &evaluation()), Ok(()));
        assert_refused(opened.require_header(&required, &evaluation()), 400, METADATA, reason);
    }
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
    assert_refused(verify(&header(), &[jwk("another")]), 400, METADATA, "kid_unknown");
    assert_refused(verify(&header(), &[jwk("known"), jwk("known")]), 400, METADATA, "kid_ambiguous");
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
    assert_eq!(claims(json!({ "exp": null })).jw_02_date("exp"), Ok(None));
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
    let names = |aud: Value| claims(json!({ "aud": aud })).jw_07_names_audience(&["a".to_owned()]);
    for malformed in [json!(7), json!(["a", 7]), json!({ "a": 1 }), json!(null)] {
        assert_refused(names(malformed), 400, METADATA, "aud_malformed");
    }
    assert_eq!((names(json!(["b", "a"])), names(json!("b"))), (Ok(true), Ok(false)));
}
