use serde_json::{Value, json};

use super::md_03_acceptable;
use crate::Refusal;
use crate::client_metadata::tests::{registered, registered_by};
use crate::tests::{CALLBACK, assert_refused, request, settings, statement, with, without};

const REDIRECT: &str = "invalid_redirect_uri";

/// The redirect URIs of a registration whose request asks for these.
fn of_request(uris: Value) -> Result<Vec<String>, Refusal> {
    registered(&with(request(), "redirect_uris", uris)).map(|metadata| metadata.redirect_uris)
}

/// The same, with these URIs in the statement too.
fn of_both(uris: Value) -> Result<Vec<String>, Refusal> {
    let statement = with(statement(), "software_redirect_uris", uris.clone());
    let registered = registered_by(&with(request(), "redirect_uris", uris), &statement, &settings());
    registered.map(|metadata| metadata.redirect_uris)
}

#[test]
fn md_01_each_redirect_uri_is_in_the_statement() {
    for uri in
        ["https://thief.example/callback", "https://harbour.example/Callback", "https://harbour.example/callback/"]
    {
        assert_refused(of_request(json!([CALLBACK, uri])), 400, REDIRECT, "redirect_uri_not_in_statement");
    }
    assert_eq!(of_request(json!([CALLBACK])).unwrap(), [CALLBACK]);
}

#[test]
fn md_02_there_is_a_redirect_uri() {
    assert_eq!(of_request(json!([])).unwrap(), [CALLBACK], "all of the statement's");
    assert_refused(of_both(json!([])), 400, REDIRECT, "redirect_uris_missing");
}

#[test]
fn md_03_unacceptable_redirect_uris_are_refused_in_the_statement_and_in_the_request() {
    let unacceptable = "http://harbour.example/callback";
    assert_refused(of_request(json!([unacceptable])), 400, REDIRECT, "redirect_uri_unacceptable");
    assert_refused(of_both(json!([CALLBACK, unacceptable])), 400, REDIRECT, "redirect_uri_unacceptable");
    let of_statement = with(statement(), "software_redirect_uris", json!([CALLBACK, unacceptable]));
    let all_of_them = registered_by(&without(request(), "redirect_uris"), &of_statement, &settings());
    assert_refused(all_of_them, 400, REDIRECT, "redirect_uri_unacceptable");
}

#[test]
fn md_03_a_redirect_uri_that_the_request_does_not_ask_for_is_not_judged() {
    for other in ["https://localhost/callback", "http://harbour.example/callback", "harbour.app://callback"] {
        let of_statement = with(statement(), "software_redirect_uris", json!([other, CALLBACK]));
        let registered = registered_by(&request(), &of_statement, &settings()).unwrap();
        assert_eq!(registered.redirect_uris, [CALLBACK], "{other}");
        let asked_for = with(request(), "redirect_uris", json!([CALLBACK, other]));
        let registered = registered_by(&asked_for, &of_statement, &settings());
        assert_refused(registered, 400, REDIRECT, "redirect_uri_unacceptable");
    }
}

#[test]
fn ss_04_redirect_uris_may_be_one_string_where_the_dialect_says_so() {
    let mut settings = settings();
    settings.directories[0].dialect.redirect_uri_string = true;
    let of_statement = with(statement(), "software_redirect_uris", CALLBACK);
    assert_eq!(registered_by(&request(), &of_statement, &settings).unwrap().redirect_uris, [CALLBACK]);
}

#[test]
fn md_03_redirect_uris_are_not_more_than_the_limit() {
    assert_refused(of_request(json!(vec![CALLBACK; 33])), 400, REDIRECT, "redirect_uris_too_many");
    let statement = with(statement(), "software_redirect_uris", json!(vec![CALLBACK; 33]));
    let all_of_them = registered_by(&without(request(), "redirect_uris"), &statement, &settings());
    assert_refused(all_of_them, 400, REDIRECT, "redirect_uris_too_many");
    assert!(registered_by(&request(), &statement, &settings()).is_ok());
    assert!(of_request(json!(vec![CALLBACK; 32])).is_ok());
}

#[test]
fn md_25_redirect_uris_are_an_array_of_strings() {
    for malformed in [json!(CALLBACK), json!([7]), json!(null)] {
        assert_refused(of_request(malformed), 400, REDIRECT, "redirect_uris_type");
    }
}

#[test]
fn md_03_public_https_uris_are_acceptable() {
    for uri in [
        "https://wso2.com",
        "https://www.mockcompany.com/redirects/redirect1",
        "https://app.example:8443/cb?x=1&y=%20",
        "https://192.0.2.7/cb",
        "https://[2001:db8::1]/cb",
        "https://localhost.example/cb",
    ] {
        assert!(md_03_acceptable(uri, 256), "{uri}");
    }
    assert!(md_03_acceptable(&format!("https://a.example/{}", "p".repeat(238)), 256), "256 characters");
}

#[test]
fn md_03_everything_else_is_not() {
    for uri in [
        "",
        "https://",
        "https:///cb",
        "/cb",
        "app.example/cb",
        "http://app.example/cb",
        "javascript:alert(1)",
        "https://app.example/cb#part",
        "https://app.example/#",
        "https://user@app.example/cb",
        "https://app.example@evil.example/cb",
        "https://localhost/cb",
        "https://LOCALHOST/cb",
        "https://localhost./cb",
        "https://app.localhost/cb",
        "https://127.0.0.1/cb",
        "https://127.1/cb",
        "https://2130706433/cb",
        "https://0x7f000001/cb",
        "https://0.0.0.0/cb",
        "https://[::1]/cb",
        "https://[::ffff:127.0.0.1]/cb",
        "https://%6cocalhost/cb",
        "https://app.example/c b",
        "https://app.example/cb\r\n",
        "https://app.example\\@evil.example",
        "https://app.example:99999/cb",
        "https://*.example/cb",
        "https://app..example/cb",
        "https://caf\u{e9}.example/cb",
    ] {
        assert!(!md_03_acceptable(uri, 256), "{uri}");
    }
    assert!(!md_03_acceptable(&format!("https://a.example/{}", "p".repeat(239)), 256), "257 characters");
}
