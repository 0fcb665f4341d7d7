use rcgen::{CertificateParams, DnType, KeyPair};
use serde_json::json;

use super::*;
use crate::software_statement::tests::checked as statement_of;
use crate::tests::{
    assert_refused, evaluation, object, public_keys, request, settings, settings_of, settings_of_keys_by_value,
    statement, statement_holding, with, without,
};

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
    let certificate = certificate_of(&[
        (DnType::CountryName, "GB"),
        (DnType::OrganizationName, "Harbour Budgeting Ltd"),
        (DnType::CommonName, "harbour"),
    ]);
    registered_over(request, statement, settings, &certificate)
}

fn registered_over(
    request: &Value,
    statement: &Value,
    settings: &Settings,
    certificate: &Certificate,
) -> Result<ClientMetadata, Refusal> {
    let claims = Claims::of(Document::RegistrationRequest, object(request));
    let statement = statement_of(statement, settings).unwrap();
    let dialect = &settings.directories[0].dialect;
    ClientMetadata::check(&claims, &statement, dialect, Some(certificate), settings, &evaluation())
}

fn certificate_of(subject: &[(DnType, &str)]) -> Certificate {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    for (kind, value) in subject {
        parameters.distinguished_name.push(kind.clone(), *value);
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
    refused(&without(by_subject(""), "tls_client_auth_subject_dn"), "subject_dn_missing");
    refused(&by_subject(""), "subject_dn_missing");
    refused(&by_subject(&format!("{SUBJECT},L={}", "x".repeat(128))), "subject_dn_too_long");
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
    let description = |name: &str| registered(&by_subject(name)).unwrap_err().description();
    assert!(description("CN=harbour,nonsense=x").contains("object identifier"));
    assert!(description("CN=har<bour").contains("backslash"));
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
fn md_12_an_id_token_needs_implicit_where_the_profile_says_so() {
    let mut settings = settings();
    settings.profile.client_metadata.id_token_needs_implicit = true;
    let registered = registered_by(&request(), &statement(), &settings);
    assert_refused(registered, 400, METADATA, "response_type_without_implicit");
}

#[test]
fn md_11_response_types_that_are_left_out_follow_from_the_grants() {
    let types = |grants: Value, settings: &Settings| {
        let request = with(without(request(), "response_types"), "grant_types", grants);
        registered_by(&request, &statement(), settings).unwrap().response_types
    };
    let mut settings = settings();
    assert_eq!(types(json!(["client_credentials"]), &settings), [""; 0]);
    assert_eq!(types(json!(["authorization_code"]), &settings), ["code id_token"]);
    settings.profile.client_metadata.id_token_needs_implicit = true;
    assert_eq!(types(json!(["authorization_code"]), &settings), ["code"]);
}

#[test]
fn md_04_md_05_md_10_md_20_what_the_profile_has_a_default_for_may_be_left_out() {
    let mut settings = settings();
    let rules = &mut settings.profile.client_metadata;
    rules.default_token_endpoint_auth_method = Some("private_key_jwt".to_owned());
    rules.token_endpoint_auth_signing_alg_required = false;
    rules.default_grant_types = vec!["authorization_code".to_owned()];
    rules.default_signing_algs.insert("request_object_signing_alg".to_owned(), "PS256".to_owned());
    let members =
        ["token_endpoint_auth_method", "token_endpoint_auth_signing_alg", "grant_types", "request_object_signing_alg"];
    let registered = registered_by(&members.into_iter().fold(request(), without), &statement(), &settings).unwrap();
    assert_eq!(registered.token_endpoint_auth_method, AuthMethod::PrivateKeyJwt);
    assert_eq!(registered.token_endpoint_auth_signing_alg, None);
    assert_eq!(registered.grant_types, ["authorization_code"]);
    assert_eq!(registered.request_object_signing_alg.as_deref(), Some("PS256"));
    refused(&without(request(), "request_object_signing_alg"), "signing_alg_metadata");
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
    for alg in ["", "dir", "A128KW", "RSA-OAEP ", "rsa-oaep", "none"] {
        refused(&with(request(), "id_token_encrypted_response_alg", alg), "encryption_metadata");
    }
    let encrypted = with(request(), "id_token_encrypted_response_alg", "RSA-OAEP-256");
    for enc in ["", "A256CBC", "none"] {
        refused(&with(encrypted.clone(), "id_token_encrypted_response_enc", enc), "encryption_metadata");
    }
    refused(&with(request(), "id_token_encrypted_response_enc", "A256GCM"), "encryption_without_alg");
    assert!(registered(&with(encrypted, "id_token_encrypted_response_enc", "A256GCM")).is_ok());
}

#[test]
fn md_20_md_05_ed25519_is_a_name_of_eddsa() {
    let settings = settings_of("fapi2");
    for member in ["token_endpoint_auth_signing_alg", "id_token_signed_response_alg", "request_object_signing_alg"] {
        let request = without(with(request(), member, "Ed25519"), "response_types");
        let registered = registered_by(&request, &statement(), &settings).unwrap();
        assert_eq!(json!(registered)[member], "Ed25519", "{member}");
        assert!(super::tests::registered(&request).is_err(), "{member}: the profile does not allow EdDSA");
    }
}

/// A profile that registers every further member.
fn with_further_members() -> Settings {
    let mut settings = settings();
    let rules = &mut settings.profile.client_metadata;
    rules.further_members = FURTHER_MEMBERS.into_iter().map(|(name, _)| name.to_owned()).collect();
    rules.subject_types = vec!["pairwise".to_owned()];
    settings
}

#[test]
fn md_20_md_21_md_25_md_28_further_members_are_registered_or_refused() {
    let further = [
        ("subject_type", json!("pairwise"), json!("public"), "subject_type"),
        ("authorization_encrypted_response_alg", json!("RSA-OAEP"), json!("RSA1_5"), "encryption_metadata"),
        ("request_object_encryption_alg", json!("ECDH-ES"), json!(""), "encryption_metadata"),
        ("userinfo_encrypted_response_alg", json!("RSA-OAEP-256"), json!("dir"), "encryption_metadata"),
        ("userinfo_signed_response_alg", json!("PS256"), json!("RS256"), "signing_alg_metadata"),
        ("require_signed_request_object", json!(true), json!("true"), "metadata_type"),
        ("require_pushed_authorization_requests", json!(false), json!(0), "metadata_type"),
        ("require_auth_time", json!(true), json!(null), "metadata_type"),
    ];
    let settings = with_further_members();
    for (member, good, bad, reason) in further {
        let of_profile = registered_by(&with(request(), member, good.clone()), &statement(), &settings).unwrap();
        assert_eq!(json!(of_profile)[member], good, "{member}");
        let read: ClientMetadata = dcr_json::read(&json!(of_profile)).unwrap();
        assert_eq!(read, of_profile, "a record keeps it");
        assert_refused(registered_by(&with(request(), member, bad), &statement(), &settings), 400, METADATA, reason);
        assert!(json!(registered(&with(request(), member, good)).unwrap()).get(member).is_none(), "{member}");
    }
    let enc = with(request(), "authorization_encrypted_response_enc", "A256GCM");
    assert_refused(registered_by(&enc, &statement(), &settings), 400, METADATA, "encryption_without_alg");
}

/// A request and a statement of Open Finance Brasil, whose software has these roles.
fn brazilian(roles: Value) -> (Value, Value) {
    let statement = with(statement(), "software_statement_roles", roles);
    let statement = with(statement, "software_jwks_uri", "https://keystore.example/software.jwks");
    (without(with(request(), "response_types", json!(["code"])), "scope"), statement)
}

fn role(role: &str, domain: Value) -> Value {
    json!({ "role": role, "authorisation_domain": domain, "status": "Active" })
}

#[test]
fn md_27_webhook_uris_are_the_statements() {
    let settings = settings_of("br-openfinance");
    let listed = json!(["https://harbour.example/a", "https://harbour.example/b"]);
    let (request, statement) = brazilian(json!([role("DADOS", json!("Open Banking"))]));
    let statement = with(statement, "software_api_webhook_uris", listed.clone());
    let of = |uris: Value| registered_by(&with(request.clone(), "webhook_uris", uris), &statement, &settings);
    assert_eq!(registered_by(&request, &statement, &settings).unwrap().webhook_uris, None);
    for same in [listed, json!(["https://harbour.example/b", "https://harbour.example/a"])] {
        assert_eq!(json!(of(same.clone()).unwrap().webhook_uris), same);
    }
    for other in [
        json!([]),
        json!(["https://harbour.example/a"]),
        json!(["https://harbour.example/a", "https://harbour.example/b", "https://thief.example"]),
        json!(["https://harbour.example/A", "https://harbour.example/b"]),
    ] {
        assert_refused(of(other), 400, "invalid_webhook_uris", "webhook_uris");
    }
    assert_refused(of(json!("https://harbour.example/a")), 400, METADATA, "metadata_type");
}

#[test]
fn ss_10_a_role_in_another_ecosystem_gives_nothing() {
    let settings = settings_of("br-openfinance");
    let has_payments = |roles: Value| {
        let (request, statement) = brazilian(roles);
        let scope = registered_by(&request, &statement, &settings).unwrap().scope;
        scope.split(' ').any(|word| word == "payments")
    };
    let dados = role("DADOS", json!("Open Banking"));
    assert!(has_payments(json!([dados, role("PAGTO", json!("Open Banking"))])));
    for domain in [json!("Open Insurance"), json!("open banking"), json!(""), json!(null), json!(7)] {
        assert!(!has_payments(json!([dados, role("PAGTO", domain)])));
    }
    assert!(!has_payments(json!([dados, { "role": "PAGTO", "status": "Active" }])));
}

#[test]
fn ss_15_people_see_no_character_that_hides_or_reorders_others() {
    let shown = |name: &str| {
        let statement = with(statement(), "software_client_name", name);
        registered_by(&request(), &statement, &settings()).unwrap().descriptive["client_name"].clone()
    };
    for unseen in [
        '\u{200b}',
        '\u{202e}',
        '\u{2066}',
        '\u{feff}',
        '\u{ad}',
        '\u{34f}',
        '\u{115f}',
        '\u{3164}',
        '\u{e0041}',
        '\u{fe0f}',
        '\u{180e}',
        '\u{fff9}',
        '\u{2028}',
        '\u{7}',
        '\u{85}',
    ] {
        assert_eq!(shown(&format!("Har{unseen}bour")), "Harbour", "{}", unseen.escape_unicode());
        let request = with(request(), "client_name", format!("Har{unseen}bour"));
        assert_eq!(registered(&request).unwrap().descriptive["client_name"], "Harbour");
    }
    for seen in ["Hafen Fu\u{df}", "\u{6e2f}\u{53e3}", "\u{5de}\u{5e1}\u{5e4}\u{5e8}", "Cafe\u{301}"] {
        assert_eq!(shown(seen), seen);
    }
}

#[test]
fn ss_15_uris_that_people_follow_are_https_and_a_version_is_text() {
    let statement = with(statement(), "software_version", 1.5);
    let statement = with(statement, "software_logo_uri", "http://harbour.example/logo.png");
    let statement = with(statement, "software_tos_uri", "javascript:alert(1)");
    let request = with(request(), "tos_uri", "https://harbour.example/terms");
    let descriptive = registered_by(&request, &statement, &settings()).unwrap().descriptive;
    assert_eq!(descriptive["software_version"], "1.5");
    assert!(!descriptive.contains_key("logo_uri"));
    assert_eq!(descriptive["tos_uri"], "https://harbour.example/terms");
}

#[test]
fn md_06_the_name_is_counted_and_not_its_spelling() {
    let octets = |text: &str| text.bytes().map(|b| format!("{b:02x}")).collect::<String>();
    let name = "x".repeat(100);
    let hexadecimal = format!("2.5.4.10=#0c{:02x}{}", name.len(), octets(&name));
    let metadata = |subject: &str| {
        let claims = Claims::of(Document::RegistrationRequest, object(&by_subject(subject)));
        let settings = settings();
        let statement = statement_of(&statement(), &settings).unwrap();
        let dialect = &settings.directories[0].dialect;
        ClientMetadata::check(&claims, &statement, dialect, None, &settings, &evaluation())
    };
    assert!(hexadecimal.len() > 128);
    assert!(metadata(&format!("CN=harbour,{hexadecimal}")).is_ok(), "Java and Go print it so");
    assert!(metadata(&format!("CN=harbour,{}O={name}", " ".repeat(300))).is_ok());
    assert_refused(metadata(&format!("CN=harbour,O={name},OU={name}")), 400, METADATA, "subject_dn_too_long");
}

#[test]
fn md_06_the_first_attribute_is_the_profiles_and_not_its_spelling() {
    let settings = settings_of("uk-obie-3.4");
    let of = |subject: &str| registered_by(&by_subject(subject), &statement(), &settings);
    for subject in [
        SUBJECT,
        "cn=harbour,O=Harbour Budgeting Ltd,C=GB",
        "2.5.4.3=harbour,O=Harbour Budgeting Ltd,C=GB",
        " commonName = harbour,O=Harbour Budgeting Ltd,C=GB",
        "subject=CN=harbour,O=Harbour Budgeting Ltd,C=GB",
    ] {
        assert!(of(subject).is_ok(), "{subject}");
    }
    assert_refused(of("C=GB,O=Harbour Budgeting Ltd,CN=harbour"), 400, METADATA, "subject_dn_order");
}

#[test]
fn md_06_a_refused_subject_is_answered_with_the_callers_own() {
    let refusal = registered(&by_subject("CN=meadow,O=Harbour Budgeting Ltd,C=GB")).unwrap_err();
    assert!(refusal.description().contains(SUBJECT), "{}", refusal.description());

    let long = certificate_of(&[(DnType::CommonName, "harbour"), (DnType::OrganizationName, &"a".repeat(400))]);
    let refusal = registered_over(&by_subject("CN=meadow"), &statement(), &settings(), &long).unwrap_err();
    assert_eq!(refusal.rule.reason, "subject_dn_not_of_certificate");
    assert!(refusal.description().contains("too long for this answer"), "{}", refusal.description());
}

#[test]
fn md_22_the_key_set_is_the_statements() {
    refused(&with(request(), "jwks", json!({ "keys": [] })), "key_set_in_request");
    refused(&with(request(), "jwks_uri", "https://thief.example/keys.jwks"), "key_set_in_request");
    assert!(registered(&with(request(), "jwks_uri", statement()["software_jwks_endpoint"].clone())).is_ok());
}

#[test]
fn md_22_keys_by_value_may_be_repeated() {
    let (settings, keys) = (settings_of_keys_by_value(), public_keys("a"));
    let of = |name: &str, value: Value| {
        registered_by(&with(request(), name, value), &statement_holding(keys.clone()), &settings)
    };
    assert!(of("jwks", keys.clone()).is_ok());
    // What the registration keeps of a key may be sent back, and so may the set as the directory wrote it.
    let mut as_written = keys.clone();
    as_written["keys"][0]["issued"] = json!(1);
    assert!(of("jwks", as_written).is_ok());
    let mut private = keys.clone();
    private["keys"][0]["d"] = json!("AAAA");
    for other in [public_keys("b"), json!({ "keys": [] }), json!({}), json!(7), json!(null), private] {
        assert_refused(of("jwks", other), 400, METADATA, "key_set_in_request");
    }
    for uri in ["https://keystore.example/software.jwks", ""] {
        assert_refused(of("jwks_uri", json!(uri)), 400, METADATA, "key_set_in_request");
    }
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
        ("backchannel_user_code_parameter_supported", json!(true)),
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
        ("backchannel_user_code_parameter_supported", json!("false")),
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
