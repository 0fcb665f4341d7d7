//! CA: client authentication at the token endpoint.

use dcr_cli::client::JWT_BEARER;
use dcr_cli::mint::{self, Token};
use serde_json::json;

use super::scene::renamed;
use super::{Case, Scene, Shot};
use crate::PKI;

const CLIENT: &str = "invalid_client";
const REQUEST: &str = "invalid_request";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = forms();
    cases.extend(assertions());
    cases.extend(clients());
    cases
}

fn forms() -> Vec<Case> {
    vec![
        Case::refused("a JSON body", ("token_request_malformed", 400, REQUEST), |scene| {
            let request = scene.tpp.request(reqwest::Method::POST, &scene.tpp.endpoints.token);
            Shot { client: scene.tpp.clone(), request: request.json(&json!({ "grant_type": "client_credentials" })) }
        }),
        Case::refused("a repeated parameter", ("token_request_malformed", 400, REQUEST), |scene| {
            scene.post_form(
                &scene.tpp,
                &[("grant_type", "client_credentials"), ("scope", "openid"), ("scope", "accounts")],
            )
        }),
        Case::refused("an assertion and a secret", ("several_authentication_methods", 400, REQUEST), |scene| {
            with_assertion(scene, &[("client_secret", "secret")])
        }),
        Case::refused("an assertion and Basic", ("several_authentication_methods", 400, REQUEST), |scene| {
            let shot = with_assertion(scene, &[]);
            Shot { request: shot.request.basic_auth("client", Some("secret")), ..shot }
        }),
        Case::refused("Basic", ("basic_authentication_refused", 401, CLIENT), |scene| {
            let shot = scene.post_form(&scene.tpp, &[("grant_type", "client_credentials")]);
            Shot { request: shot.request.basic_auth(&scene.client_id, Some("secret")), ..shot }
        }),
        Case::refused("a form over the limit", ("form_too_large", 413, REQUEST), |scene| {
            scene.post_form(&scene.tpp, &[("grant_type", "client_credentials"), ("x", &"x".repeat(64 * 1024))])
        }),
        Case::refused("a secret", ("authentication_method_not_registered", 401, CLIENT), |scene| {
            scene.post_form(
                &scene.tpp,
                &[("grant_type", "client_credentials"), ("client_id", &scene.client_id), ("client_secret", "s")],
            )
        }),
        Case::refused("the certificate alone", ("authentication_method_not_registered", 401, CLIENT), |scene| {
            scene.post_form(&scene.tpp, &[("grant_type", "client_credentials"), ("client_id", &scene.client_id)])
        }),
        Case::refused("another assertion type", ("client_assertion_type", 401, CLIENT), |scene| {
            let assertion = scene.assertion().sign(&PKI.tpp.signing).unwrap();
            let form = [
                ("grant_type", "client_credentials"),
                ("client_assertion_type", "foo"),
                ("client_assertion", &assertion),
            ];
            scene.post_form(&scene.tpp, &form)
        }),
        Case::refused("nobody says who it is", ("client_id_missing", 401, CLIENT), |scene| {
            scene.post_form(&scene.tpp, &[("grant_type", "client_credentials")])
        }),
        Case::refused("no grant_type", ("grant_type_missing", 400, REQUEST), |scene| {
            scene.post_form(&scene.tpp, &[("client_id", &scene.tls_client_id)])
        }),
        Case::refused("another grant", ("grant_type_unsupported", 400, "unsupported_grant_type"), |scene| {
            scene.post_form(&scene.tpp, &[("grant_type", "password"), ("client_id", &scene.tls_client_id)])
        }),
        Case::refused("a scope never registered", ("scope_not_registered", 400, "invalid_scope"), |scene| {
            with_assertion(scene, &[("scope", "accounts fundsconfirmations")])
        }),
        Case::accepted("an empty scope is none", 200, |scene| with_assertion(scene, &[("scope", "")])),
        Case::accepted("a part of the scope", 200, |scene| with_assertion(scene, &[("scope", "accounts openid")])),
        Case::accepted("the client_id beside the assertion", 200, |scene| {
            with_assertion(scene, &[("client_id", &scene.client_id)])
        }),
        Case::accepted("parameters nobody knows", 200, |scene| {
            with_assertion(scene, &[("redirect_uri", "https://harbour.example/callback")])
        }),
        Case::accepted("tls_client_auth", 200, |scene| {
            scene.post_form(&scene.tpp, &[("grant_type", "client_credentials"), ("client_id", &scene.tls_client_id)])
        }),
    ]
}

fn assertions() -> Vec<Case> {
    vec![
        broken("no sub", "assertion_subject", |token| token.without("sub")),
        broken("iss is another", "assertion_subject", |token| token.claim("iss", "another")),
        Case::refused("the client_id is another", ("client_id_differs", 401, CLIENT), |scene| {
            with_assertion(scene, &[("client_id", &scene.tls_client_id)])
        }),
        broken("another server's audience", "assertion_audience", |token| {
            token.claim("aud", "https://other.example/api")
        }),
        broken("no audience", "assertion_audience", |token| token.without("aud")),
        broken("no exp", "assertion_exp", |token| token.without("exp")),
        broken("exp in eleven hours", "assertion_exp", |token| token.claim("exp", mint::now() + 11 * 3600)),
        broken("exp before iat", "assertion_dates", |token| {
            token.claim("exp", mint::now() + 5).claim("iat", mint::now() + 6)
        }),
        broken("no jti", "assertion_jti", |token| token.without("jti")),
        Case::refused("used before", ("assertion_replayed", 401, CLIENT), |scene| {
            scene.post_assertion(&scene.used_assertion)
        }),
        Case::refused("another's key", ("assertion_signature", 401, CLIENT), |scene| {
            let key = renamed(&PKI.other_tpp.signing, PKI.tpp.signing.kid());
            scene.post_assertion(&scene.assertion().sign(&key).unwrap())
        }),
        Case::accepted("exp in an hour", 200, |scene| {
            scene.post_assertion(&scene.assertion().claim("exp", mint::now() + 3600).sign(&PKI.tpp.signing).unwrap())
        }),
        Case::accepted("the token endpoint among the audiences", 200, |scene| {
            let audience = json!(["https://other.example", scene.tpp.endpoints.token]);
            scene.post_assertion(&scene.assertion().claim("aud", audience).sign(&PKI.tpp.signing).unwrap())
        }),
    ]
}

fn clients() -> Vec<Case> {
    vec![
        Case::refused("an ES256 assertion of a PS256 client", ("assertion_alg", 401, CLIENT), |scene| {
            let key = dcr_cli::keys::SigningKey::generate_es256();
            scene.post_assertion(&scene.assertion().sign(&key).unwrap())
        }),
        Case::refused("an unknown client's assertion", ("assertion_client_unknown", 401, CLIENT), |scene| {
            scene.post_assertion(&scene.gateway.client_assertion("nobody").sign(&PKI.tpp.signing).unwrap())
        }),
        Case::refused("an unknown client's certificate", ("certificate_client_unknown", 401, CLIENT), |scene| {
            scene.post_form(&scene.tpp, &[("grant_type", "client_credentials"), ("client_id", "../no/body")])
        }),
        Case::refused("no certificate", ("client_certificate_missing", 401, CLIENT), |scene| {
            scene.post_form(
                &scene.anonymous,
                &[("grant_type", "client_credentials"), ("client_id", &scene.tls_client_id)],
            )
        }),
        Case::refused("another certificate of its own", ("certificate_subject", 401, CLIENT), |scene| {
            scene.post_form(&scene.obwac, &[("grant_type", "client_credentials"), ("client_id", &scene.tls_client_id)])
        }),
        Case::refused("another's certificate", ("certificate_of_another_client", 401, CLIENT), |scene| {
            scene.post_form(&scene.other, &[("grant_type", "client_credentials"), ("client_id", &scene.tls_client_id)])
        }),
        Case::refused(
            "a good assertion over another's certificate",
            ("assertion_over_foreign_certificate", 401, CLIENT),
            |scene| {
                let assertion = scene.assertion().sign(&PKI.tpp.signing).unwrap();
                let form = [
                    ("grant_type", "client_credentials"),
                    ("client_assertion_type", JWT_BEARER),
                    ("client_assertion", &assertion),
                ];
                scene.post_form(&scene.other, &form)
            },
        ),
        Case::refused(
            "not registered for client_credentials",
            ("grant_type_not_registered", 400, "unauthorized_client"),
            |scene| {
                scene.post_assertion(
                    &scene.gateway.client_assertion(&scene.code_only_client_id).sign(&PKI.tpp.signing).unwrap(),
                )
            },
        ),
    ]
}

fn broken(name: &'static str, reason: &'static str, change: fn(Token) -> Token) -> Case {
    Case::refused(name, (reason, 401, CLIENT), move |scene| {
        scene.post_assertion(&change(scene.assertion()).sign(&PKI.tpp.signing).unwrap())
    })
}

fn with_assertion(scene: &Scene, more: &[(&str, &str)]) -> Shot {
    let assertion = scene.assertion().sign(&PKI.tpp.signing).unwrap();
    let mut form = vec![
        ("grant_type", "client_credentials"),
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", assertion.as_str()),
    ];
    form.extend_from_slice(more);
    scene.post_form(&scene.tpp, &form)
}
