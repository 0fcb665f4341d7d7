//! CM and AT: managing a registration with the token that the ecosystem uses for it.

use dcr_cli::mint::Token;
use dcr_policy::profile::Profile;
use reqwest::Method;

use super::dialect::{Dialect, by_subject, has_registration_tokens, scopes};
use super::{Case, Scene, Shot};
use crate::PKI;

const TOKEN: &str = "invalid_token";
const METADATA: &str = "invalid_client_metadata";

pub(super) fn cases(profile: &Profile) -> Vec<Case> {
    let mut cases = tokens(profile);
    cases.extend(updates(profile));
    // This revokes the token, so it comes last.
    cases.extend(of_another_client());
    cases
}

fn tokens(profile: &Profile) -> Vec<Case> {
    let wanted = profile.access_token.management_scope.clone();
    let has_scope = wanted.is_none_or(|wanted| scopes(profile).0[0] == wanted);
    // A registration access token is not bound to a certificate, but its user needs a certificate of the software.
    let of_registration = has_registration_tokens(profile);
    let stolen = if of_registration { "certificate_not_of_client" } else { "token_bound_to_another_certificate" };
    let mut cases = vec![
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
            let url =
                format!("{}?access_token={}", scene.tpp.endpoints.client(&scene.client_id), scene.management_token);
            Shot { client: scene.tpp.clone(), request: scene.tpp.request(Method::GET, &url) }
        }),
        Case::refused("a stolen token", (stolen, 401, TOKEN), |scene| scene.manage(Method::GET, &scene.other)),
        Case::refused("a token of the other kind", ("token_of_another_kind", 401, TOKEN), |scene| {
            authorised(scene, &format!("Bearer {}", scene.other_kind_of_token))
        }),
        Case::refused("a token without certificate", ("token_without_certificate", 401, TOKEN), |scene| {
            scene.manage(Method::DELETE, &scene.anonymous)
        }),
        Case::accepted("retrieve", 200, |scene| scene.manage(Method::GET, &scene.tpp)),
        Case::refused("PATCH", ("method_not_allowed", 405, "invalid_request"), |scene| {
            scene.manage(Method::PATCH, &scene.tpp)
        }),
    ];
    if !of_registration {
        let narrow = Case::refused("another scope", ("scope_insufficient", 403, "insufficient_scope"), |scene| {
            authorised(scene, &format!("Bearer {}", scene.narrow_token))
        });
        cases.push(narrow.accepted_where(has_scope, 200));
    }
    cases
}

fn updates(profile: &Profile) -> Vec<Case> {
    let mut cases = vec![
        Case::refused("an update for another client_id", ("client_id_mismatch", 400, METADATA), |scene| {
            update(scene, &scene.request().claim("client_id", "another"))
        }),
        Case::refused("an update with the server's members", ("server_member_in_update", 400, METADATA), |scene| {
            update(scene, &scene.request().claim("registration_access_token", "mine"))
        }),
        Case::accepted("update", 200, |scene| {
            update(scene, &scene.request().claim("client_id", scene.client_id.as_str()))
        }),
        Case::accepted("the token survives the update", 200, |scene| scene.manage(Method::GET, &scene.tpp)),
    ];
    if !profile.software_statement.names_software() {
        cases.push(another_software(profile));
    }
    if profile.client_metadata.subject_changes_over_old_certificate {
        let by_subject = by_subject(profile);
        let spare = Dialect::of(profile.clone()).unwrap().spare().subject_dn().unwrap();
        cases.push(Case::accepted("a new subject, over the old certificate", 200, move |scene| {
            update(scene, &by_subject(scene.request(), &spare))
        }));
        let refused = ("certificate_subject_not_registered", 401, TOKEN);
        cases.push(Case::refused("the old certificate after that", refused, |scene| {
            scene.manage(Method::GET, &scene.tpp)
        }));
    }
    cases
}

/// A certificate that names no software is accepted for all software of the organisation. But a registration belongs to one software only.
fn another_software(profile: &Profile) -> Case {
    let claim = profile.software_statement.claims.software_id.clone();
    Case::refused("another software of the organisation", ("software_changed", 400, METADATA), move |scene| {
        let statement = scene.statement().claim(&claim, "another").sign(&PKI.directory).unwrap();
        let request = scene.request_with(&statement).claim("iss", "another").claim("software_id", "another");
        let request = scene.over(&PKI.tpp.obwac, request);
        let url = scene.spare.endpoints.client(&scene.spare_client_id);
        let put = scene.spare.request(Method::PUT, &url).bearer_auth(&scene.spare_token);
        let put = put.header("content-type", scene.media_type()).body(scene.body(&request));
        Shot { client: scene.spare.clone(), request: put }
    })
}

fn of_another_client() -> Vec<Case> {
    vec![
        Case::refused("another client's registration", ("client_of_another", 401, TOKEN), |scene| {
            let url = scene.tpp.endpoints.client(&scene.code_only_client_id);
            let request = scene.tpp.request(Method::GET, &url).bearer_auth(&scene.management_token);
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

fn update(scene: &Scene, request: &Token) -> Shot {
    let shot = scene.manage(Method::PUT, &scene.tpp);
    let put = shot.request.header("content-type", scene.media_type()).body(scene.body(request));
    Shot { request: put, ..shot }
}
