use serde_json::json;

use super::*;
use crate::tests::assert_refused;

const TOKEN: &str = "invalid_token";

fn introspection(members: &Value) -> Introspection {
    dcr_json::read(members).unwrap()
}

#[test]
fn the_token_stands_in_the_authorization_header() {
    assert_eq!(presented(Some(b"Bearer abc-._~+/0="), None).unwrap(), "abc-._~+/0=");
    assert_eq!(presented(Some(b"bEARER  abc"), Some("x=y")).unwrap(), "abc");
}

#[test]
fn cm_02_a_garbled_header_is_refused() {
    for header in
        [&b"Bearer"[..], b"Bearer ", b"Bearer a b", b"Bearer a,b", b"Basic abc", b"Bearer \xff", b"", b"Bearer ==="]
    {
        assert_refused(presented(Some(header), None), 401, TOKEN, "bearer_malformed");
    }
    let long = ["Bearer ", &"a".repeat(TOKEN_BYTES + 1)].concat();
    assert_refused(presented(Some(long.as_bytes()), None), 401, TOKEN, "bearer_malformed");
}

#[test]
fn at_04_a_token_in_the_query_is_refused_even_beside_a_good_one() {
    for (header, query) in [(Some(&b"Bearer abc"[..]), "access_token=abc"), (None, "a=b&access%5ftoken=abc")] {
        assert_refused(presented(header, Some(query)), 400, "invalid_request", "token_in_two_places");
    }
}

#[test]
fn at_05_no_token_at_all() {
    assert_refused(presented(None, None), 401, TOKEN, "token_missing");
}

#[test]
fn at_01_a_token_is_active() {
    assert_eq!(at_01_active(&introspection(&json!({ "active": true }))), Ok(()));
    assert_refused(at_01_active(&introspection(&json!({ "active": false }))), 401, TOKEN, "token_inactive");
}

#[test]
fn cm_01_each_kind_of_token_has_its_use() {
    let (access, registration) = (ManagementToken::AccessToken, ManagementToken::RegistrationAccessToken);
    let kind = |token_use: Value, needed| {
        cm_01_kind(&introspection(&json!({ "active": true, "token_use": token_use })), needed)
    };
    assert_eq!(kind(json!("access"), access), Ok(()));
    assert_eq!(kind(json!(null), access), Ok(()));
    assert_eq!(kind(json!("registration"), registration), Ok(()));
    assert_refused(kind(json!("registration"), access), 401, TOKEN, "token_of_another_kind");
    assert_refused(kind(json!("access"), registration), 401, TOKEN, "token_of_another_kind");
    assert_refused(kind(json!(null), registration), 401, TOKEN, "token_of_another_kind");
}

#[test]
fn cm_03_cm_04_a_token_manages_the_registration_of_its_client() {
    let token = introspection(&json!({ "active": true, "client_id": "client" }));
    assert_eq!(cm_03_cm_04_own(&token, "client", true), Ok(()));
    assert_refused(cm_03_cm_04_own(&token, "another", true), 401, TOKEN, "client_of_another");
    for unknown in ["client", "another"] {
        assert_refused(cm_03_cm_04_own(&token, unknown, false), 401, TOKEN, "client_unknown");
    }
}

#[test]
fn at_07_a_token_has_the_scope_of_management() {
    let scope =
        |scope: &str| at_07_scope(&introspection(&json!({ "active": true, "scope": scope })), Some("cdr:registration"));
    assert_eq!(scope("openid cdr:registration"), Ok(()));
    assert_refused(scope("openid cdr:registrations"), 403, "insufficient_scope", "scope_insufficient");
    assert_eq!(at_07_scope(&introspection(&json!({ "active": true })), None), Ok(()));
}
