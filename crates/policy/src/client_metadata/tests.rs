use rcgen::{CertificateParams, DnType, KeyPair};
use serde_json::json;

use super::*;
use crate::software_statement::tests::checked as statement_of;
use crate::tests::{assert_refused, evaluation, object, request, settings, settings_of, statement, with, without};

const METADATA: &str = "invalid_client_metadata";
const SUBJECT: &str = "CN=harbour,O=Harbour Budgeting Ltd,C=GB";

/// The metadata that this request registers. The certificate has the subject [`SUBJECT`].
pub(crate) fn registered(request: &Value) -> Result<ClientMetadata, Refusal> {
    registered_by(request, &statement(), &settings())
}

pub(crate) fn registered_by(
    request: &Value,
    statement: &Value,
    settings: &Settings,
) -> Result<ClientMetadata, Refusal> {
    let claims = Claims::of(Document::RegistrationRequest, object(request));
    let statement = statement_of(statement, settings).unwrap();
    let dialect = &settings.directories[0].dialect;
    ClientMetadata::check(&claims, &statement, dialect, Some(&certificate()), settings, &evaluation())
}

fn certificate() -> Certificate {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    for (kind, value) in [
        (DnType::CountryName, "GB"),
        (DnType::OrganizationName, "Harbour Budgeting Ltd"),
        (DnType::CommonName, "harbour"),
    ] {
        parameters.distinguished_name.push(kind, value);
    }
    let key = KeyPair::generate().unwrap();
    Certificate::from_der(parameters.self_signed(&key).unwrap().der()).unwrap()
}

/// A request for `tls_client_auth` by this subject.
fn by_subject(subject: &str) -> Value {
    let request = without(request(), "token_endpoint_auth_signing_alg");
    let request = with(request, "token_endpoint_auth_method", TLS_CLIENT_AUTH);
    with(request, "tls_client_auth_subject_dn", subject)
}

#[track_caller]
fn refused(request: &Value, reason: &str) {
    assert_refused(registered(request), 400, METADATA, reason);
}

#[test]
fn metadata_that_breaks_no_rule_is_registered() {
    assert_eq!(registered(&request()).unwrap().scope, "openid accounts");
    assert_eq!(registered(&by_subject(SUBJECT)).unwrap().tls_client_auth_subject_dn.as_deref(), Some(SUBJECT));
}

#[test]
fn md_04_the_profile_has_the_authentication_method() {
    for method in ["none", "client_secret_basic", "self_signed_tls_client_auth"] {
        refused(&with(request(), "token_endpoint_auth_method", method), "auth_method");
    }
    refused(&without(request(), "token_endpoint_auth_method"), "auth_method");
}

#[test]
fn md_05_assertions_have_an_algorithm() {
    refused(&with(request(), "token_endpoint_auth_signing_alg", "RS256"), "auth_signing_alg");
    refused(&without(request(), "token_endpoint_auth_signing_alg"), "auth_signing_alg");
}

#[test]
fn md_06_the_subject_is_written_for_tls_client_auth_and_is_the_certificates() {
    refused(&with(request(), "tls_client_auth_subject_dn", SUBJECT), "subject_dn");
    refused(&without(by_subject(""), "tls_client_auth_subject_dn"), "subject_dn");
    refused(&by_subject(""), "subject_dn");
    refused(&by_subject(&format!("{SUBJECT}{}", " ".repeat(128))), "subject_dn");
    refused(&by_subject("CN=meadow,O=Harbour Budgeting Ltd,C=GB"), "subject_dn_not_of_certificate");
}

#[test]
fn md_07_one_member_names_the_subject() {
    refused(&with(by_subject(SUBJECT), "tls_client_auth_san_dns", "harbour.example"), "subject_identifiers");
}

#[test]
fn md_08_the_profile_takes_the_member() {
    let request = without(by_subject(""), "tls_client_auth_subject_dn");
    for member in ["tls_client_auth_san_dns", "tls_client_auth_san_ip", "tls_client_auth_dn"] {
        refused(&with(request.clone(), member, "harbour.example"), "subject_identifier_not_taken");
    }
}

#[test]
fn dn_01_the_subject_is_a_name() {
    for name in ["harbour", "CN=harbour,,C=GB", "CN"] {
        refused(&by_subject(name), "dn_malformed");
    }
}

#[test]
fn md_10_the_profile_has_the_grants() {
    for grants in [json!([]), json!(["password"]), json!(["client_credentials", "implicit"])] {
        refused(&with(request(), "grant_types", grants), "grant_types");
    }
    refused(&without(request(), "grant_types"), "grant_types");
}

#[test]
fn md_11_the_profile_has_the_response_types() {
    for types in [json!(["token"]), json!(["code", "code token"])] {
        refused(&with(request(), "response_types", types), "response_types");
    }
    assert!(registered(&with(request(), "response_types", json!(["id_token code"]))).is_ok());
}

#[test]
fn md_12_a_code_needs_its_grant() {
    refused(&with(request(), "grant_types", json!(["client_credentials"])), "response_type_without_grant");
}

#[test]
fn md_13_the_software_is_the_statements() {
    refused(&with(request(), "software_id", "another"), "software_id_mismatch");
}

#[test]
fn md_14_a_scope_is_words_with_single_spaces() {
    for scope in ["", " ", "openid  accounts", "openid accounts ", "openid\taccounts"] {
        refused(&with(request(), "scope", scope), "scope_malformed");
    }
    refused(&with(request(), "scope", "openid ".repeat(40).trim()), "scope_malformed");
}

#[test]
fn md_15_the_roles_give_the_scope() {
    for scope in ["openid payments", "accounts_all", "account", "OpenID"] {
        refused(&with(request(), "scope", scope), "scope_beyond_roles");
    }
}

#[test]
fn md_17_the_statement_gives_a_known_scope() {
    let mut settings = settings();
    let dialect = &mut settings.directories[0].dialect;
    dialect.scopes_from = ScopesFrom::Statement;
    dialect.claims.scope = Some("scope".to_owned());
    let registered =
        |scope: &str| registered_by(&without(request(), "scope"), &with(statement(), "scope", scope), &settings);
    assert_eq!(registered("unheard:of accounts").unwrap().scope, "accounts");
    assert_refused(registered("unheard:of"), 400, METADATA, "scope_of_statement_unknown");
}

#[test]
fn md_19_the_profile_has_the_application_type() {
    refused(&with(request(), "application_type", "desktop"), "application_type");
    refused(&without(request(), "application_type"), "application_type");
}

#[test]
fn md_20_signing_algorithms_are_those_of_the_profile() {
    for member in ["id_token_signed_response_alg", "request_object_signing_alg"] {
        refused(&without(request(), member), "signing_alg_metadata");
        refused(&with(request(), member, "RS256"), "signing_alg_metadata");
    }
    refused(&with(request(), "authorization_signed_response_alg", "none"), "signing_alg_metadata");
}

#[test]
fn md_21_id_tokens_are_encrypted_safely_or_not_at_all() {
    refused(&with(request(), "id_token_encrypted_response_alg", "RSA1_5"), "encryption_metadata");
    refused(&with(request(), "id_token_encrypted_response_enc", "A256GCM"), "encryption_metadata");
}

#[test]
fn md_22_the_key_set_is_the_statements() {
    refused(&with(request(), "jwks", json!({ "keys": [] })), "key_set_in_request");
    refused(&with(request(), "jwks_uri", "https://thief.example/keys.jwks"), "key_set_in_request");
    assert!(registered(&with(request(), "jwks_uri", statement()["software_jwks_endpoint"].clone())).is_ok());
}

#[test]
fn md_23_backchannel_members_go_with_their_grant() {
    let ciba = with(request(), "grant_types", json!(["authorization_code", CIBA_GRANT]));
    let ciba = with(ciba, "backchannel_token_delivery_mode", "poll");
    let ciba = with(ciba, "backchannel_authentication_request_signing_alg", "PS256");
    assert!(registered(&ciba).is_ok());
    refused(&with(request(), "backchannel_token_delivery_mode", "poll"), "ciba_metadata");
    for (member, value) in [
        ("backchannel_token_delivery_mode", json!("push")),
        ("backchannel_token_delivery_mode", json!("ping")),
        ("backchannel_client_notification_endpoint", json!("https://harbour.example/ciba")),
        ("backchannel_authentication_request_signing_alg", json!("RS256")),
        ("backchannel_user_code_parameter", json!(true)),
    ] {
        refused(&with(ciba.clone(), member, value), "ciba_metadata");
    }
}

#[test]
fn md_24_bound_access_tokens_are_true_or_false() {
    for value in [json!("true"), json!(1), json!(null)] {
        refused(&with(request(), "tls_client_certificate_bound_access_tokens", value), "bound_access_tokens");
    }
}

#[test]
fn md_25_members_have_their_types() {
    for (member, value) in [
        ("token_endpoint_auth_method", json!(null)),
        ("grant_types", json!("client_credentials")),
        ("response_types", json!([7])),
        ("scope", json!(["openid"])),
        ("application_type", json!(7)),
        ("software_id", json!(null)),
        ("jwks_uri", json!({})),
        ("backchannel_user_code_parameter", json!("false")),
    ] {
        refused(&with(request(), member, value), "metadata_type");
    }
    assert!(registered_by(&with(revolut(), "scope", json!(["openid"])), &statement(), &settings_of("revolut")).is_ok());
    let mixed = with(revolut(), "scope", json!(["openid", 7]));
    assert_refused(registered_by(&mixed, &statement(), &settings_of("revolut")), 400, METADATA, "metadata_type");
}

fn revolut() -> Value {
    with(without(by_subject(""), "tls_client_auth_subject_dn"), "tls_client_auth_dn", SUBJECT)
}

#[test]
fn ss_16_uris_for_people_are_on_hosts_of_the_redirect_uris() {
    let mut settings = settings();
    settings.directories[0].dialect.uris_on_redirect_hosts = true;
    assert!(registered_by(&request(), &statement(), &settings).is_ok());
    let elsewhere = with(statement(), "software_logo_uri", "https://elsewhere.example/logo.png");
    assert_refused(registered_by(&request(), &elsewhere, &settings), 400, METADATA, "uri_on_another_host");
}
