//! CM and AT: managing a registration with a token bound to the client's certificate.

use reqwest::Method;

use super::{Case, Scene, Shot};
use crate::PKI;

const TOKEN: &str = "invalid_token";
const METADATA: &str = "invalid_client_metadata";

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::refused("a bearer without token", ("bearer_malformed", 401, TOKEN), |scene| authorised(scene, "Bearer")),
        Case::refused("Basic", ("bearer_malformed", 401, TOKEN), |scene| authorised(scene, "Basic Zm9vOmJhcg==")),
        Case::refused("no token", ("token_missing", 401, TOKEN), |scene| Shot {
            client: scene.tpp.clone(),
            request: scene.tpp.request(Method::GET, &scene.tpp.endpoints.client(&scene.client_id)),
        }),
        Case::refused("an unknown token", ("token_inactive", 401, TOKEN), |scene| {
            authorised(scene, "Bearer unheard-of")
        }),
        Case::refused("a token in the query", ("token_in_two_places", 400, "invalid_request"), |scene| {
            let url = format!("{}?access_token={}", scene.tpp.endpoints.client(&scene.client_id), scene.access_token);
            Shot { client: scene.tpp.clone(), request: scene.tpp.request(Method::GET, &url) }
        }),
        Case::refused("a stolen token", ("token_bound_to_another_certificate", 401, TOKEN), |scene| {
            scene.manage(Method::GET, &scene.other)
        }),
        Case::refused("a token without certificate", ("token_without_certificate", 401, TOKEN), |scene| {
            scene.manage(Method::DELETE, &scene.anonymous)
        }),
        Case::accepted("retrieve", 200, |scene| scene.manage(Method::GET, &scene.tpp)),
        Case::refused("an update for another client_id", ("client_id_mismatch", 400, METADATA), |scene| {
            update(scene, "client_id", "another")
        }),
        Case::refused("an update with the server's members", ("server_member_in_update", 400, METADATA), |scene| {
            update(scene, "registration_access_token", "mine")
        }),
        Case::accepted("update", 200, |scene| update(scene, "client_id", &scene.client_id)),
        Case::refused("PATCH", ("method_not_allowed", 405, "invalid_request"), |scene| {
            scene.manage(Method::PATCH, &scene.tpp)
        }),
        Case::accepted("the token survives the update", 200, |scene| scene.manage(Method::GET, &scene.tpp)),
        // This one ends the token, so it stands last.
        Case::refused("another client's registration", ("client_of_another", 401, TOKEN), |scene| {
            let url = scene.tpp.endpoints.client(&scene.tls_client_id);
            let request = scene.tpp.request(Method::GET, &url).bearer_auth(&scene.access_token);
            Shot { client: scene.tpp.clone(), request }
        }),
        Case::refused("the token was revoked", ("token_inactive", 401, TOKEN), |scene| {
            scene.manage(Method::GET, &scene.tpp)
        }),
    ]
}

fn authorised(scene: &Scene, authorization: &str) -> Shot {
    let request = scene.tpp.request(Method::GET, &scene.tpp.endpoints.client(&scene.client_id));
    Shot { client: scene.tpp.clone(), request: request.header("authorization", authorization) }
}

fn update(scene: &Scene, claim: &str, value: &str) -> Shot {
    let body = scene.request().claim(claim, value).sign(&PKI.tpp.signing).unwrap();
    let shot = scene.manage(Method::PUT, &scene.tpp);
    Shot { request: shot.request.header("content-type", "application/jwt").body(body), ..shot }
}
