//! RG and RQ: the envelope of the registration endpoint, and the claims of the request that are not metadata.

use reqwest::Method;
use serde_json::json;

use super::{Case, Scene, Shot};
use crate::PKI;

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::refused("no certificate", ("client_certificate_missing", 401, "invalid_client"), |scene| {
            scene.post_by(&scene.anonymous, scene.request().sign(&PKI.tpp.signing).unwrap())
        }),
        Case::refused("a JSON body", ("media_type_unsupported", 400, "invalid_client_metadata"), |scene| {
            typed(scene, Some("application/json"))
        }),
        Case::refused("no media type", ("media_type_unsupported", 400, "invalid_client_metadata"), |scene| {
            typed(scene, None)
        }),
        Case::accepted("application/jose", 201, |scene| typed(scene, Some("application/jose"))),
        Case::accepted("a parameter and capitals", 201, |scene| {
            typed(scene, Some("Application/JWT; charset=ISO-8859-1"))
        }),
        Case::refused("a body over the limit", ("body_too_large", 413, "invalid_client_metadata"), |scene| {
            scene.post("x".repeat(64 * 1024 + 1))
        }),
        Case::refused("GET of the collection", ("method_not_allowed", 405, "invalid_request"), |scene| {
            let request = scene.tpp.request(Method::GET, &scene.tpp.endpoints.registration);
            Shot { client: scene.tpp.clone(), request }
        }),
        Case::refused("another's key", ("request_signature", 400, "invalid_client_metadata"), |scene| {
            let key = super::scene::renamed(&PKI.other_tpp.signing, PKI.tpp.signing.kid());
            scene.post(scene.request().sign(&key).unwrap())
        }),
        broken("iss is not the software_id", "request_issuer", |token| token.claim("iss", "foo.is/invalid")),
        broken("iss is empty", "request_issuer", |token| token.claim("iss", "")),
        broken("aud is somebody else", "request_audience", |token| token.claim("aud", "https://other.example")),
        broken("no aud", "request_audience", |token| token.without("aud")),
        broken("no jti", "request_jti", |token| token.without("jti")),
        broken("a jti of 129 characters", "request_jti", |token| token.claim("jti", "j".repeat(129))),
        broken("a control character in jti", "request_jti", |token| token.claim("jti", "a\u{0}b")),
        broken("no iat", "request_dates", |token| token.without("iat")),
        broken("no exp", "request_dates", |token| token.without("exp")),
        broken("iat with a fraction", "request_dates", |token| token.claim("iat", dcr_cli::mint::now() as f64 - 0.5)),
        Case::refused("used before", ("request_replayed", 400, "invalid_client_metadata"), |scene| {
            scene.post(scene.used_request.clone())
        }),
        Case::accepted("several audiences", 201, |scene| {
            let audience = json!([scene.gateway.url(), "https://other.example"]);
            scene.post(scene.request().claim("aud", audience).sign(&PKI.tpp.signing).unwrap())
        }),
        Case::accepted("a second before exp", 201, |scene| {
            // Two seconds, for a clock that ticks between here and Envoy.
            scene.post(scene.request().claim("exp", dcr_cli::mint::now() + 2).sign(&PKI.tpp.signing).unwrap())
        }),
        Case::accepted("unknown metadata", 201, |scene| {
            scene.post(scene.request().claim("unheard_of", json!({ "a": [1] })).sign(&PKI.tpp.signing).unwrap())
        }),
    ]
}

fn broken(name: &'static str, reason: &'static str, change: fn(dcr_cli::mint::Token) -> dcr_cli::mint::Token) -> Case {
    Case::refused(name, (reason, 400, "invalid_client_metadata"), move |scene| {
        scene.post(change(scene.request()).sign(&PKI.tpp.signing).unwrap())
    })
}

fn typed(scene: &Scene, media_type: Option<&str>) -> Shot {
    let body = scene.request().sign(&PKI.tpp.signing).unwrap();
    let request = scene.tpp.request(Method::POST, &scene.tpp.endpoints.registration).body(body);
    let request = match media_type {
        Some(media_type) => request.header("content-type", media_type),
        None => request,
    };
    Shot { client: scene.tpp.clone(), request }
}
