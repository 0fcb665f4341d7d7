use serde_json::json;

use super::*;
use crate::dialect::HeaderMember;
use crate::jwt::tests::verified;
use crate::software_statement::tests::checked as statement_of;
use crate::tests::{
    DIRECTORY, ISSUER, NOW, assert_refused, evaluation, header, request, settings, settings_of, statement, token, with,
    without,
};

const METADATA: &str = "invalid_client_metadata";

fn checked(claims: &Value) -> Result<RegistrationRequest, Refusal> {
    let statement = statement_of(&statement(), &settings()).unwrap();
    let verified = verified(Document::RegistrationRequest, claims);
    RegistrationRequest::check(verified, &[0xa5; 32], &statement, &settings(), NOW, &evaluation())
}

#[track_caller]
fn refused(claims: &Value, reason: &str) {
    assert_refused(checked(claims), 400, METADATA, reason);
}

fn open(claims: &Value) -> Result<UnverifiedRequest, Refusal> {
    UnverifiedRequest::open(token(&header(), claims).as_bytes(), &settings(), NOW, &evaluation())
}

/// The statement in a request, or the refusal if the request has no statement.
fn statement_in(claims: &Value) -> Result<String, Refusal> {
    let opened = open(claims).unwrap();
    opened.ss_01_statement(&settings(), &evaluation()).map(str::to_owned)
}

#[test]
fn a_request_that_breaks_no_rule_is_taken() {
    assert_eq!(statement_in(&request()).unwrap(), "statement");
    assert_eq!(checked(&request()).unwrap().single_use().unwrap().jti, "request-1");
}

#[test]
fn jw_02_jw_03_an_expired_request_is_refused_before_the_signature_check() {
    assert_refused(open(&with(request(), "exp", NOW)), 400, METADATA, "expired");
    assert_refused(open(&with(request(), "exp", "soon")), 400, METADATA, "date_malformed");
    refused(&with(request(), "exp", NOW), "expired");
}

#[test]
fn jo_14_jo_18_the_profile_demands_members_of_the_header() {
    let mut settings = settings();
    settings.profile.required_header = vec![HeaderMember::Typ, HeaderMember::Kid];
    for (member, reason) in [("kid", "kid_needed"), ("typ", "typ_missing")] {
        let token = token(&without(header(), member), &request());
        let opened = UnverifiedRequest::open(token.as_bytes(), &settings, NOW, &evaluation());
        assert_refused(opened, 400, METADATA, reason);
    }
}

#[test]
fn ss_01_a_request_carries_a_statement() {
    for statement in [json!(""), json!({}), json!(null), json!(7)] {
        let claims = with(request(), "software_statement", statement);
        assert_refused(statement_in(&claims), 400, METADATA, "statement_missing");
    }
    assert_refused(statement_in(&without(request(), "software_statement")), 400, METADATA, "statement_missing");
}

#[test]
fn jw_08_a_statement_or_an_assertion_is_no_request() {
    let bare = without(request(), "software_statement");
    let assertion = with(bare.clone(), "sub", request()["iss"].clone());
    for claims in [with(bare, "iss", DIRECTORY), assertion] {
        assert_refused(statement_in(&claims), 400, METADATA, "token_confused");
    }
}

#[test]
fn jw_04_jw_05_a_request_is_of_now() {
    let ahead = NOW + 31;
    refused(&with(request(), "nbf", ahead), "not_yet_valid");
    refused(&with(request(), "iat", ahead), "issued_in_the_future");
}

#[test]
fn jw_06_a_request_does_not_live_longer_than_its_id_is_remembered() {
    let day = 24 * 60 * 60;
    let lifetime =
        |seconds: u64| checked(&with(request(), "exp", NOW + seconds)).unwrap().jw_06_lifetime(&settings(), NOW);
    // The clock of its author may be ahead by the skew.
    let skew = settings().profile.clock_skew.as_secs();
    assert_refused(lifetime(day + skew + 1), 400, METADATA, "lifetime_too_long");
    assert_eq!(lifetime(day + skew), Ok(()));
}

#[test]
fn rq_02_the_software_asks_for_itself() {
    for issuer in [json!("another"), json!(""), json!(null)] {
        refused(&with(request(), "iss", issuer), "request_issuer");
    }
}

#[test]
fn jw_07_rq_03_the_request_is_for_this_server() {
    refused(&with(request(), "aud", "https://other.example"), "request_audience");
    refused(&with(request(), "aud", format!("{ISSUER}/")), "request_audience");
    refused(&without(request(), "aud"), "request_audience");
    refused(&with(request(), "aud", 7), "aud_malformed");
}

#[test]
fn rq_04_a_request_has_an_id() {
    for jti in [json!(null), json!(""), json!(7), json!("j".repeat(129)), json!("a\u{0}b")] {
        refused(&with(request(), "jti", jti), "request_jti");
    }
}

#[test]
fn rq_04_a_profile_may_do_without_the_id() {
    let mut settings = settings();
    settings.profile.registration.jti_required = false;
    let id = |claims: &Value| {
        let statement = statement_of(&crate::tests::statement(), &settings).unwrap();
        let verified = verified(Document::RegistrationRequest, claims);
        let checked = RegistrationRequest::check(verified, &[0xa5; 32], &statement, &settings, NOW, &evaluation());
        checked.map(|request| request.single_use().unwrap().jti.clone())
    };
    let digest = format!("sha-256:{}", "a5".repeat(32));
    assert_eq!(id(&without(request(), "jti")), Ok(digest.clone()));
    assert_eq!(id(&with(request(), "jti", json!(null))), Ok(digest));
    assert_eq!(id(&request()).unwrap(), "request-1");
    for jti in [json!(""), json!(7), json!("j".repeat(129))] {
        assert_refused(id(&with(request(), "jti", jti)), 400, METADATA, "request_jti");
    }
}

#[test]
fn rq_05_a_request_has_dates() {
    for date in ["iat", "exp"] {
        refused(&without(request(), date), "request_dates");
        refused(&with(request(), date, json!(null)), "request_dates");
    }
    for exp in [json!(1_700_000_100.5), json!(1_700_000_100.0), json!(1.7000001e9)] {
        assert_eq!(checked(&with(request(), "exp", exp)).unwrap().single_use().unwrap().expires_at, 1_700_000_100);
    }
}

#[test]
fn rq_06_an_unsigned_request_is_one_object() {
    let settings = settings_of("br-openfinance");
    let open = |body: &[u8]| UnverifiedRequest::open(body, &settings, NOW, &evaluation());
    assert!(matches!(open(br#"{"a":1}"#), Ok(UnverifiedRequest::Unsigned(_))));
    for body in [&b""[..], b"[]", br#"{"a":1,"a":1}"#, b"{} {}", b"{\"a\":\"\xff\"}"] {
        assert_refused(open(body), 400, METADATA, "request_malformed");
    }
}
