//! MD and DN: the client metadata.

use dcr_cli::mint::Token;
use serde_json::{Value, json};

use super::Case;
use crate::PKI;

const METADATA: &str = "invalid_client_metadata";
const REDIRECT: &str = "invalid_redirect_uri";
const CIBA: &str = "urn:openid:params:grant-type:ciba";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = redirect_uris();
    cases.extend(authentication());
    cases.extend(grants_and_scopes());
    cases.extend(algorithms_and_keys());
    cases.extend(ciba());
    cases
}

fn redirect_uris() -> Vec<Case> {
    let uri = || PKI.tpp.software.redirect_uris[0].clone();
    vec![
        broken("one good, one foreign", "redirect_uri_not_in_statement", REDIRECT, |token| {
            token.claim("redirect_uris", json!([PKI.tpp.software.redirect_uris[0], "https://thief.example/cb"]))
        }),
        broken("another letter case", "redirect_uri_not_in_statement", REDIRECT, |token| {
            token.claim("redirect_uris", json!([PKI.tpp.software.redirect_uris[0].replace("callback", "Callback")]))
        }),
        broken("a slash more", "redirect_uri_not_in_statement", REDIRECT, |token| {
            token.claim("redirect_uris", json!([format!("{}/", PKI.tpp.software.redirect_uris[0])]))
        }),
        Case::refused("none anywhere", ("redirect_uris_missing", 400, REDIRECT), |scene| {
            let statement = scene.statement().claim("software_redirect_uris", json!([])).sign(&PKI.directory).unwrap();
            let request = scene.request().without("redirect_uris").claim("software_statement", statement);
            scene.post(request.sign(&PKI.tpp.signing).unwrap())
        }),
        broken("null", "redirect_uris_type", REDIRECT, |token| token.claim("redirect_uris", Value::Null)),
        broken("a string", "redirect_uris_type", REDIRECT, |token| token.claim("redirect_uris", "https://a.example")),
        broken("http", "redirect_uri_unacceptable", REDIRECT, |token| {
            token.claim("redirect_uris", json!(["http://harbour.example/callback"]))
        }),
        Case::refused("localhost in the statement", ("redirect_uri_unacceptable", 400, REDIRECT), move |scene| {
            let uris = json!([uri(), "https://localhost/callback"]);
            scene.post_statement(scene.statement().claim("software_redirect_uris", uris).sign(&PKI.directory).unwrap())
        }),
        broken("33 of them", "redirect_uris_too_many", REDIRECT, |token| {
            token.claim("redirect_uris", vec![PKI.tpp.software.redirect_uris[0].clone(); 33])
        }),
        accepted("left out: the whole of the statement's", |token| token.without("redirect_uris")),
        accepted("a part of the statement's", |token| {
            token.claim("redirect_uris", json!([PKI.tpp.software.redirect_uris[1]]))
        }),
        Case::accepted("32 of them", 201, |scene| {
            let uris: Vec<String> = (0..32).map(|i| format!("https://harbour.example/callback/{i}")).collect();
            let statement =
                scene.statement().claim("software_redirect_uris", uris.clone()).sign(&PKI.directory).unwrap();
            let request = scene.request().claim("redirect_uris", uris).claim("software_statement", statement);
            scene.post(request.sign(&PKI.tpp.signing).unwrap())
        }),
    ]
}

fn authentication() -> Vec<Case> {
    let subject = |token: Token| token.for_tls_client_auth(&PKI.tpp.transport.subject_dn().unwrap());
    vec![
        broken("client_secret_basic", "auth_method", METADATA, |token| {
            token.claim("token_endpoint_auth_method", "client_secret_basic")
        }),
        broken("none", "auth_method", METADATA, |token| token.claim("token_endpoint_auth_method", "none")),
        broken("missing", "auth_method", METADATA, |token| token.without("token_endpoint_auth_method")),
        broken("no signing alg", "auth_signing_alg", METADATA, |token| {
            token.without("token_endpoint_auth_signing_alg")
        }),
        broken("RS256", "auth_signing_alg", METADATA, |token| token.claim("token_endpoint_auth_signing_alg", "RS256")),
        broken("tls_client_auth without a DN", "subject_dn", METADATA, |token| {
            token.without("token_endpoint_auth_signing_alg").claim("token_endpoint_auth_method", "tls_client_auth")
        }),
        broken("private_key_jwt with a DN", "subject_dn", METADATA, |token| {
            token.claim("tls_client_auth_subject_dn", "CN=x")
        }),
        broken("a DN of 129 characters", "subject_dn", METADATA, |token| {
            token.for_tls_client_auth(&format!("CN={}", "x".repeat(126)))
        }),
        broken("another's DN", "subject_dn_not_of_certificate", METADATA, |token| {
            token.for_tls_client_auth(&PKI.other_tpp.transport.subject_dn().unwrap())
        }),
        broken("a DN and a SAN", "subject_identifiers", METADATA, move |token| {
            token
                .for_tls_client_auth(&PKI.tpp.transport.subject_dn().unwrap())
                .claim("tls_client_auth_san_dns", "a.example")
        }),
        broken("no DN at all", "dn_malformed", METADATA, |token| token.for_tls_client_auth("no name")),
        accepted("the certificate's DN", subject),
        accepted("the DN in other spelling", |token| {
            let dn = PKI.tpp.transport.subject_dn().unwrap();
            token.for_tls_client_auth(&dn.replace("O=OpenBanking", "o = openbanking").replace("CN=", "cn="))
        }),
    ]
}

fn grants_and_scopes() -> Vec<Case> {
    vec![
        broken("no grant", "grant_types", METADATA, |token| token.claim("grant_types", json!([]))),
        broken("implicit", "grant_types", METADATA, |token| {
            token.claim("grant_types", json!(["client_credentials", "implicit"]))
        }),
        broken("a bad response type among good ones", "response_types", METADATA, |token| {
            token.claim("response_types", json!(["code id_token", "id_token token"]))
        }),
        broken("code without its grant", "response_type_without_grant", METADATA, |token| {
            token.claim("grant_types", json!(["client_credentials"]))
        }),
        broken("another software_id", "software_id_mismatch", METADATA, |token| token.claim("software_id", "another")),
        broken("an empty scope", "scope_malformed", METADATA, |token| token.claim("scope", "")),
        broken("two spaces", "scope_malformed", METADATA, |token| token.claim("scope", "openid  accounts")),
        broken("257 characters", "scope_malformed", METADATA, |token| {
            token.claim("scope", format!("openid openids {}", ["accounts"; 27].join(" ")))
        }),
        broken("beyond the roles", "scope_beyond_roles", METADATA, |token| {
            token.claim("scope", "openid fundsconfirmations")
        }),
        broken("a part of a word", "scope_beyond_roles", METADATA, |token| token.claim("scope", "openid accounts_all")),
        broken("desktop", "application_type", METADATA, |token| token.claim("application_type", "desktop")),
        broken("no application_type", "application_type", METADATA, |token| token.without("application_type")),
        broken("grant_types is a string", "metadata_type", METADATA, |token| {
            token.claim("grant_types", "client_credentials")
        }),
        broken("scope is null", "metadata_type", METADATA, |token| token.claim("scope", Value::Null)),
        accepted("mobile", |token| token.claim("application_type", "mobile")),
        accepted("response type in another order", |token| {
            token.claim("response_types", json!(["id_token code", "code"]))
        }),
        accepted("no response types", |token| token.without("response_types")),
        accepted("no scope", |token| token.without("scope")),
        accepted("256 characters of scope", |token| {
            token.claim("scope", format!("openid openid {}", ["accounts"; 27].join(" ")))
        }),
    ]
}

fn algorithms_and_keys() -> Vec<Case> {
    vec![
        broken("RS256 ID tokens", "signing_alg_metadata", METADATA, |token| {
            token.claim("id_token_signed_response_alg", "RS256")
        }),
        broken("no request object alg", "signing_alg_metadata", METADATA, |token| {
            token.without("request_object_signing_alg")
        }),
        broken("enc without alg", "encryption_metadata", METADATA, |token| {
            token.claim("id_token_encrypted_response_enc", "A256GCM")
        }),
        broken("RSA1_5", "encryption_metadata", METADATA, |token| {
            token.claim("id_token_encrypted_response_alg", "RSA1_5")
        }),
        broken("jwks by value", "key_set_in_request", METADATA, |token| token.claim("jwks", json!({ "keys": [] }))),
        broken("another jwks_uri", "key_set_in_request", METADATA, |token| {
            token.claim("jwks_uri", "https://thief.example/k")
        }),
        broken("bound tokens as a string", "bound_access_tokens", METADATA, |token| {
            token.claim("tls_client_certificate_bound_access_tokens", "true")
        }),
        accepted("encrypted ID tokens", |token| {
            token
                .claim("id_token_encrypted_response_alg", "RSA-OAEP")
                .claim("id_token_encrypted_response_enc", "A256GCM")
        }),
    ]
}

fn ciba() -> Vec<Case> {
    let poll = |token: Token| {
        token
            .claim("grant_types", json!(["authorization_code", "client_credentials", CIBA]))
            .claim("backchannel_token_delivery_mode", "poll")
            .claim("backchannel_authentication_request_signing_alg", "PS256")
    };
    vec![
        broken("members without the grant", "ciba_metadata", METADATA, |token| {
            token.claim("backchannel_token_delivery_mode", "poll")
        }),
        broken("push", "ciba_metadata", METADATA, move |token| {
            poll(token).claim("backchannel_token_delivery_mode", "push")
        }),
        broken("ping without an endpoint", "ciba_metadata", METADATA, move |token| {
            poll(token).claim("backchannel_token_delivery_mode", "ping")
        }),
        broken("user code", "ciba_metadata", METADATA, move |token| {
            poll(token).claim("backchannel_user_code_parameter", true)
        }),
        accepted("poll", poll),
        accepted("ping", move |token| {
            poll(token)
                .claim("backchannel_token_delivery_mode", "ping")
                .claim("backchannel_client_notification_endpoint", "https://harbour.example/ciba")
        }),
    ]
}

fn broken(
    name: &'static str,
    reason: &'static str,
    error: &'static str,
    change: impl Fn(Token) -> Token + 'static,
) -> Case {
    Case::refused(name, (reason, 400, error), move |scene| {
        scene.post(change(scene.request()).sign(&PKI.tpp.signing).unwrap())
    })
}

fn accepted(name: &'static str, change: impl Fn(Token) -> Token + 'static) -> Case {
    Case::accepted(name, 201, move |scene| scene.post(change(scene.request()).sign(&PKI.tpp.signing).unwrap()))
}
