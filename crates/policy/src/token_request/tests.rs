use serde_json::json;

use super::*;
use crate::client_metadata::tests::registered;
use crate::tests::{assert_refused, request, with};

const REQUEST: &str = "invalid_request";
const CLIENT: &str = "invalid_client";

fn parse(body: &str) -> Result<TokenRequest, Refusal> {
    TokenRequest::ca_01_parse(body.as_bytes())
}

#[test]
fn ca_01_each_parameter_once_and_empty_ones_absent() {
    let request = parse("grant_type=client_credentials&scope=&client_id=a%20b&x=1&x=2").unwrap();
    assert_eq!(
        (request.grant_type.as_deref(), request.scope, request.client_id.as_deref()),
        (Some(CLIENT_CREDENTIALS), None, Some("a b"))
    );
    for body in ["scope=a&scope=b", "scope=&scope=b", &"x=1&".repeat(PARAMETERS + 1)] {
        assert_refused(parse(body), 400, REQUEST, "token_request_malformed");
    }
    assert_refused(TokenRequest::ca_01_parse(b"scope=\xff"), 400, REQUEST, "token_request_malformed");
}

const TYPE: &str = "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";

fn assertion() -> String {
    format!("client_assertion=x&{TYPE}")
}

#[track_caller]
fn credential_refused(body: &str, has_authorization: bool, status: u16, error: &str, reason: &str) {
    assert_refused(parse(body).unwrap().ca_02_credential(has_authorization), status, error, reason);
}

#[test]
fn a_client_authenticates_in_one_way() {
    let request = parse("client_id=a").unwrap();
    assert_eq!(request.ca_02_credential(false).unwrap(), Credential::Certificate { client_id: "a" });
    let request = parse(&assertion()).unwrap();
    assert_eq!(request.ca_02_credential(false).unwrap(), Credential::Assertion { token: "x", client_id: None });
}

#[test]
fn ca_02_two_ways_to_authenticate_are_refused() {
    for (body, authorization) in [
        (format!("{}&client_secret=s", assertion()), false),
        (assertion(), true),
        ("client_id=a&client_secret=s".to_owned(), true),
    ] {
        credential_refused(&body, authorization, 400, REQUEST, "several_authentication_methods");
    }
}

#[test]
fn ca_03_a_secret_or_another_method_than_the_registered_one_is_refused() {
    credential_refused("client_id=a&client_secret=s", false, 401, CLIENT, "authentication_method_not_registered");
    credential_refused("client_id=a", true, 401, CLIENT, "basic_authentication_refused");
    let client = registered(&request()).unwrap();
    assert_eq!(ca_03_registered_method(&client, AuthMethod::PrivateKeyJwt), Ok(()));
    let fallen_back = ca_03_registered_method(&client, AuthMethod::TlsClientAuth);
    assert_refused(fallen_back, 401, CLIENT, "authentication_method_not_registered");
}

#[test]
fn ca_04_an_assertion_has_its_type_and_a_type_its_assertion() {
    for body in ["client_assertion=x", TYPE, "client_assertion=x&client_assertion_type=foo"] {
        credential_refused(body, false, 401, CLIENT, "client_assertion_type");
    }
}

#[test]
fn ca_16_without_an_assertion_the_client_says_its_id() {
    credential_refused("scope=x", false, 401, CLIENT, "client_id_missing");
}

#[test]
fn ca_20_the_grant_is_served_and_registered() {
    let grant = |body: &str| parse(body).unwrap().ca_20_grant();
    assert_eq!(grant("grant_type=client_credentials"), Ok(()));
    assert_refused(grant("scope=x"), 400, REQUEST, "grant_type_missing");
    assert_refused(grant("grant_type=password"), 400, "unsupported_grant_type", "grant_type_unsupported");
    assert_eq!(ca_20_registered_grant(&registered(&request()).unwrap()), Ok(()));
    let code_only = registered(&with(request(), "grant_types", json!(["authorization_code"]))).unwrap();
    assert_refused(ca_20_registered_grant(&code_only), 400, "unauthorized_client", "grant_type_not_registered");
}

#[test]
fn ca_21_the_scope_is_registered() {
    let client = registered(&with(request(), "scope", "accounts")).unwrap();
    let universal = ["openid".to_owned()];
    let granted = |scope: &str| parse(&format!("scope={scope}")).unwrap().ca_21_scope(&client, &universal);
    assert_eq!((granted(""), granted("openid+accounts")), (Ok("accounts".to_owned()), Ok("accounts".to_owned())));
    for scope in ["payments", "accounts+payments", "accounts++accounts", "account", "openid"] {
        assert_refused(granted(scope), 400, "invalid_scope", "scope_not_registered");
    }
}

#[test]
fn ca_01_another_server_reads_the_same_parameters() {
    let parse = |form: &str| TokenRequest::ca_01_parse(form.as_bytes());
    let ambiguous = |form: &str| assert_refused(parse(form), 400, "invalid_request", "token_request_ambiguous");
    for name in [
        "Grant_Type",
        "GRANT_TYPE",
        "%20grant_type",
        "grant_type%20",
        "grant_type%00",
        "grant_type%00x",
        "grant_type%0D%0A",
        "grant_type[]",
        "grant_type%5B0%5D",
        "grant.type",
        "grant+type",
        "client-assertion",
        "Client_ID",
        "client_secret[]",
        "%C2%A0scope",
    ] {
        ambiguous(&format!("grant_type=authorization_code&{name}=client_credentials"));
        assert_refused(
            TokenRequest::ca_01_query(Some(&format!("x=1&{name}=y"))),
            400,
            "invalid_request",
            "token_request_ambiguous",
        );
    }
    for grant in ["Client_Credentials", "client_credentials%00", "%20client_credentials", "client_credentials%0A"] {
        ambiguous(&format!("grant_type={grant}"));
    }
    ambiguous("client_assertion_type=URN:ietf:params:oauth:client-assertion-type:jwt-bearer");
    for form in
        ["grant_type=authorization_code&code=x&redirect_uri=y", "grants_type=x", "type=client_credentials", "x[]=1"]
    {
        assert!(parse(form).is_ok(), "{form}");
    }
    assert_refused(
        TokenRequest::ca_01_query(Some("grant_type=authorization_code")),
        400,
        "invalid_request",
        "token_request_ambiguous",
    );
    assert_eq!(TokenRequest::ca_01_query(Some("tenant=uk&x")), Ok(()));
    assert_eq!(TokenRequest::ca_01_query(None), Ok(()));
}
