use super::super::catalogue::CA_01;
use super::*;

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
        assert_eq!(parse(body).unwrap_err().rule, &CA_01);
    }
    assert_eq!(TokenRequest::ca_01_parse(b"scope=\xff").unwrap_err().rule, &CA_01);
}

#[test]
fn ca_02_exactly_one_way_to_authenticate() {
    let assertion =
        "client_assertion=x&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
    for (body, authorization, reason) in [
        (format!("{assertion}&client_secret=s"), false, "several_authentication_methods"),
        (assertion.to_owned(), true, "several_authentication_methods"),
        ("client_id=a&client_secret=s".to_owned(), true, "several_authentication_methods"),
        ("client_id=a&client_secret=s".to_owned(), false, "authentication_method_not_registered"),
        ("client_id=a".to_owned(), true, "basic_authentication_refused"),
        ("client_assertion=x".to_owned(), false, "client_assertion_type"),
        (
            "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer".to_owned(),
            false,
            "client_assertion_type",
        ),
        ("scope=x".to_owned(), false, "client_id_missing"),
    ] {
        assert_eq!(parse(&body).unwrap().ca_02_credential(authorization).unwrap_err().rule.reason, reason, "{body}");
    }
    let request = parse("client_id=a").unwrap();
    assert_eq!(request.ca_02_credential(false).unwrap(), Credential::Certificate { client_id: "a" });
    let request = parse(assertion).unwrap();
    assert_eq!(request.ca_02_credential(false).unwrap(), Credential::Assertion { token: "x", client_id: None });
}
