use serde_json::json;

use super::*;
use crate::dialect::HeaderMember;
use crate::jwt::tests::verified;
use crate::tests::{
    ISSUER, NOW, assert_refused, assertion, evaluation, header, settings, settings_of, token, with, without,
};

const CLIENT: &str = "invalid_client";

fn open_beside(claims: &Value, client_id: Option<&str>, settings: &Settings) -> Result<UnverifiedAssertion, Refusal> {
    UnverifiedAssertion::open(&token(&header(), claims), client_id, settings, NOW, &evaluation())
}

fn open(claims: &Value) -> Result<UnverifiedAssertion, Refusal> {
    open_beside(claims, None, &settings())
}

#[track_caller]
fn refused(claims: &Value, reason: &str) {
    assert_refused(open(claims), 401, CLIENT, reason);
    // The signature check takes time, so the claims are checked again after it.
    let verified = verified(Document::ClientAssertion, claims);
    assert_refused(ClientAssertion::check(&verified, &settings(), NOW, &evaluation()), 401, CLIENT, reason);
}

#[test]
fn an_assertion_that_breaks_no_rule_is_opened() {
    assert_eq!(open(&assertion()).unwrap().client_id(), "client");
}

#[test]
fn jw_08_a_request_is_no_assertion() {
    for member in ["software_statement", "response_type", "redirect_uri"] {
        refused(&with(assertion(), member, "x"), "token_confused");
    }
}

#[test]
fn ca_05_iss_and_sub_are_the_client() {
    for claims in [
        with(assertion(), "iss", "another"),
        with(assertion(), "sub", "another"),
        with(with(assertion(), "iss", ""), "sub", ""),
        without(assertion(), "sub"),
        without(assertion(), "iss"),
    ] {
        refused(&claims, "assertion_subject");
    }
}

#[test]
fn ca_06_the_parameter_names_the_same_client() {
    let beside = |client_id: &str| open_beside(&assertion(), Some(client_id), &settings());
    assert!(beside("client").is_ok());
    assert_refused(beside("another"), 401, CLIENT, "client_id_differs");
}

#[test]
fn jw_07_ca_07_the_assertion_is_for_this_server() {
    refused(&with(assertion(), "aud", "https://other.example"), "assertion_audience");
    refused(&without(assertion(), "aud"), "assertion_audience");
    refused(&with(assertion(), "aud", json!([ISSUER, 7])), "aud_malformed");
    let in_array = with(assertion(), "aud", json!([ISSUER]));
    assert!(open(&in_array).is_ok());
    let fapi2 = settings_of("fapi2");
    assert_refused(open_beside(&in_array, None, &fapi2), 401, CLIENT, "assertion_audience_array");
}

#[test]
fn ca_09_an_assertion_ends_and_not_too_late() {
    refused(&without(assertion(), "exp"), "assertion_exp");
    let longest = settings().profile.client_assertion.max_lifetime.as_secs();
    // The clock of its author may be ahead by the skew.
    let skew = settings().profile.clock_skew.as_secs();
    refused(&with(assertion(), "exp", NOW + skew + longest + 1), "assertion_exp");
    let ahead = with(assertion(), "iat", NOW + skew);
    assert!(open(&with(ahead, "exp", NOW + skew + longest)).is_ok());
}

#[test]
fn ca_10_an_assertion_ends_after_it_was_issued() {
    refused(&with(with(assertion(), "exp", NOW + 5), "iat", NOW + 6), "assertion_dates");
}

#[test]
fn jw_02_jw_03_jw_04_jw_05_an_assertion_is_of_now() {
    refused(&with(assertion(), "exp", "soon"), "date_malformed");
    refused(&with(with(assertion(), "iat", NOW - 60), "exp", NOW), "expired");
    refused(&with(assertion(), "nbf", NOW + 31), "not_yet_valid");
    refused(&with(assertion(), "iat", NOW + 31), "issued_in_the_future");
}

#[test]
fn ca_12_an_assertion_has_an_id() {
    for jti in [json!(null), json!(""), json!(7), json!("j".repeat(129))] {
        refused(&with(assertion(), "jti", jti), "assertion_jti");
    }
}

#[test]
fn ca_13_the_algorithm_is_the_registered_one() {
    let opened = open(&assertion()).unwrap();
    assert_eq!(opened.ca_13_registered_algorithm(Some("ES256")), Ok(()));
    assert_eq!(opened.ca_13_registered_algorithm(None), Ok(()));
    assert_refused(opened.ca_13_registered_algorithm(Some("PS256")), 401, CLIENT, "assertion_alg");
    let token = token(&with(header(), "alg", "EdDSA"), &assertion());
    let eddsa = UnverifiedAssertion::open(&token, None, &settings_of("fapi2"), NOW, &evaluation()).unwrap();
    assert_eq!(eddsa.ca_13_registered_algorithm(Some("Ed25519")), Ok(()), "both are names of one algorithm");
}

#[test]
fn jo_14_jo_18_the_profile_demands_members_of_the_header() {
    let mut settings = settings();
    settings.profile.required_header = vec![HeaderMember::Typ, HeaderMember::Kid];
    for (member, reason) in [("kid", "kid_needed"), ("typ", "typ_missing")] {
        let token = token(&without(header(), member), &assertion());
        let opened = UnverifiedAssertion::open(&token, None, &settings, NOW, &evaluation());
        assert_refused(opened, 401, CLIENT, reason);
    }
}
