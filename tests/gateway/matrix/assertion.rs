//! CA: client authentication at the token endpoint.

use dcr_cli::client::Tpp;
use dcr_cli::keys::SigningKey;
use dcr_cli::mint::{self, Token};
use dcr_policy::profile::Profile;
use serde_json::json;

use super::dialect::{ALTERNATIVE_NAMES, AUDIENCES, PRIVATE_KEY_JWT, TLS_CLIENT_AUTH, allows, scopes};
use super::scene::renamed;
use super::{Case, Scene, Shot};
use crate::PKI;

const CLIENT: &str = "invalid_client";
const REQUEST: &str = "invalid_request";

pub(super) fn cases(profile: &Profile) -> Vec<Case> {
    let mut cases = forms(profile);
    cases.extend(scope(profile));
    if allows(profile, PRIVATE_KEY_JWT) {
        cases.extend(assertions(profile));
        cases.extend(dates(profile));
        cases.extend(signatures(profile));
    }
    if allows(profile, TLS_CLIENT_AUTH) {
        cases.extend(certificates(profile));
    }
    cases
}

fn forms(profile: &Profile) -> Vec<Case> {
    let scope = scopes(profile).0[0].clone();
    vec![
        Case::refused("a JSON body", ("token_request_malformed", 400, REQUEST), |scene| {
            let request = scene.tpp.request(reqwest::Method::POST, &scene.tpp.endpoints.token);
            Shot { client: scene.tpp.clone(), request: request.json(&json!({ "grant_type": "client_credentials" })) }
        }),
        Case::refused("a repeated parameter", ("token_request_malformed", 400, REQUEST), move |scene| {
            with_credential(scene, &[("scope", &scope), ("scope", &scope)])
        }),
        Case::refused(
            "a parameter that another server could read",
            ("token_request_ambiguous", 400, REQUEST),
            |scene| with_credential(scene, &[("grant.type", "authorization_code")]),
        ),
        Case::refused("a parameter in the query", ("token_request_ambiguous", 400, REQUEST), |scene| {
            let shot = with_credential(scene, &[]);
            Shot { request: shot.request.query(&[("grant_type", "authorization_code")]), ..shot }
        }),
        Case::refused("a form over the limit", ("form_too_large", 413, REQUEST), |scene| {
            with_credential(scene, &[("x", &"x".repeat(64 * 1024))])
        }),
        Case::refused("two methods", ("several_authentication_methods", 400, REQUEST), |scene| {
            let shot = with_credential(scene, &[("client_secret", "secret")]);
            Shot { request: shot.request.basic_auth("client", Some("secret")), ..shot }
        }),
        Case::refused("Basic", ("basic_authentication_refused", 401, CLIENT), |scene| {
            let shot = scene.post_form(&scene.tpp, &[("grant_type", "client_credentials")]);
            Shot { request: shot.request.basic_auth(&scene.client_id, Some("secret")), ..shot }
        }),
        Case::refused("a secret", ("authentication_method_not_registered", 401, CLIENT), |scene| {
            let form =
                [("grant_type", "client_credentials"), ("client_id", scene.client_id.as_str()), ("client_secret", "s")];
            scene.post_form(&scene.tpp, &form)
        }),
        Case::refused("no client id", ("client_id_missing", 401, CLIENT), |scene| {
            scene.post_form(&scene.tpp, &[("grant_type", "client_credentials")])
        }),
        Case::refused("no grant_type", ("grant_type_missing", 400, REQUEST), |scene| {
            let form: Vec<_> = scene.credential().into_iter().filter(|(name, _)| name != "grant_type").collect();
            scene.post_form(&scene.tpp, &form)
        }),
        Case::refused("another grant", ("grant_type_unsupported", 400, "unsupported_grant_type"), |scene| {
            let mut form = scene.credential();
            form.retain(|(name, _)| name != "grant_type");
            form.push(("grant_type".to_owned(), "password".to_owned()));
            scene.post_form(&scene.tpp, &form)
        }),
        Case::refused("no certificate", ("client_certificate_missing", 401, CLIENT), |scene| {
            scene.post_form(&scene.anonymous, &scene.credential())
        }),
        Case::refused("an unknown client's certificate", ("certificate_client_unknown", 401, CLIENT), |scene| {
            scene.post_form(&scene.tpp, &[("grant_type", "client_credentials"), ("client_id", "../no/body")])
        }),
        Case::refused(
            "not registered for client_credentials",
            ("grant_type_not_registered", 400, "unauthorized_client"),
            |scene| scene.post_form(&scene.tpp, &scene.credential_of(&scene.code_only_client_id)),
        ),
        Case::accepted("unknown parameters", 200, |scene| {
            with_credential(scene, &[("redirect_uri", "https://harbour.example/callback")])
        }),
    ]
}

fn scope(profile: &Profile) -> Vec<Case> {
    let (allowed, beyond) = scopes(profile);
    let more = format!("{} {beyond}", allowed[0]);
    let part = allowed[0].clone();
    vec![
        Case::refused("a scope never registered", ("scope_not_registered", 400, "invalid_scope"), move |scene| {
            with_credential(scene, &[("scope", &more)])
        }),
        Case::accepted("an empty scope", 200, |scene| with_credential(scene, &[("scope", "")])),
        Case::accepted("a part of the scope", 200, move |scene| with_credential(scene, &[("scope", &part)])),
        Case::accepted("all of the scope", 200, move |scene| with_credential(scene, &[("scope", &allowed.join(" "))])),
    ]
}

fn assertions(profile: &Profile) -> Vec<Case> {
    let rules = &profile.client_assertion;
    let known = rules.audiences[0];
    let mut cases = vec![
        Case::refused("an assertion and a secret", ("several_authentication_methods", 400, REQUEST), |scene| {
            with_credential(scene, &[("client_secret", "secret")])
        }),
        Case::refused("an assertion and Basic", ("several_authentication_methods", 400, REQUEST), |scene| {
            let shot = with_credential(scene, &[]);
            Shot { request: shot.request.basic_auth("client", Some("secret")), ..shot }
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
        broken("no sub", "assertion_subject", |token| token.without("sub")),
        broken("iss is another", "assertion_subject", |token| token.claim("iss", "another")),
        Case::refused("the client_id is another", ("client_id_differs", 401, CLIENT), |scene| {
            with_credential(scene, &[("client_id", &scene.code_only_client_id)])
        }),
        Case::accepted("the client_id beside the assertion", 200, |scene| {
            with_credential(scene, &[("client_id", &scene.client_id)])
        }),
        broken("another server's audience", "assertion_audience", |token| {
            token.claim("aud", "https://other.example/api")
        }),
        broken("no audience", "assertion_audience", |token| token.without("aud")),
        Case::refused("one of several audiences", ("assertion_audience_array", 401, CLIENT), move |scene| {
            let audience = json!(["https://other.example", scene.audience(known)]);
            post(scene, &scene.assertion().claim("aud", audience))
        })
        .accepted_where(rules.audience_arrays, 200),
    ];
    cases.extend(AUDIENCES.map(|(name, audience)| {
        Case::refused(format!("the audience is {name}"), ("assertion_audience", 401, CLIENT), move |scene| {
            post(scene, &scene.assertion().claim("aud", scene.audience(audience)))
        })
        .accepted_where(rules.audiences.contains(&audience), 200)
    }));
    if rules.audience_arrays {
        cases.push(broken("aud holds a number", "aud_malformed", |token| token.claim("aud", json!([7]))));
    }
    cases
}

fn dates(profile: &Profile) -> Vec<Case> {
    let longest = profile.client_assertion.max_lifetime.as_secs();
    vec![
        broken("no exp", "assertion_exp", |token| token.without("exp")),
        broken("exp too far ahead", "assertion_exp", move |token| token.claim("exp", mint::now() + longest + 60)),
        broken("exp before iat", "assertion_dates", |token| {
            token.claim("exp", mint::now() + 5).claim("iat", mint::now() + 6)
        }),
        broken("no jti", "assertion_jti", |token| token.without("jti")),
        Case::accepted("exp as far ahead as it may be", 200, move |scene| {
            post(scene, &scene.assertion().claim("exp", mint::now() + longest))
        }),
        Case::accepted("exp as far ahead as it may be, by a clock that is ahead", 200, move |scene| {
            let now = mint::now() + 10;
            post(scene, &scene.assertion().claim("iat", now).claim("exp", now + longest))
        }),
        Case::accepted("a fraction of a second in its dates, as MSAL for Python writes them", 200, move |scene| {
            let now = mint::now() as f64 - 0.25;
            post(scene, &scene.assertion().claim("iat", now).claim("nbf", now).claim("exp", now + 60.0))
        }),
        Case::accepted("the type of assertions", 200, |scene| {
            post(scene, &scene.assertion().header("typ", "client-authentication+jwt"))
        }),
        Case::refused("used before", ("assertion_replayed", 401, CLIENT), |scene| {
            scene.post_assertion(&scene.used_assertion)
        }),
    ]
}

fn signatures(profile: &Profile) -> Vec<Case> {
    let mut cases = vec![
        Case::refused("another's key", ("assertion_signature", 401, CLIENT), |scene| {
            let key = renamed(&PKI.other_tpp.signing, PKI.tpp.signing.kid());
            scene.post_assertion(&scene.assertion().sign(&key).unwrap())
        }),
        Case::refused("an unknown client's assertion", ("assertion_client_unknown", 401, CLIENT), |scene| {
            post(scene, &scene.gateway.client_assertion("unknown"))
        }),
        Case::refused(
            "a good assertion over another's certificate",
            ("assertion_over_foreign_certificate", 401, CLIENT),
            |scene| scene.post_form(&scene.other, &scene.credential()),
        )
        .accepted_where(!profile.software_statement.binds_certificates(), 200),
    ];
    for key in [SigningKey::generate_es256(), SigningKey::generate_eddsa()] {
        let name = key.algorithm().name();
        let is_allowed = profile.signing_algorithms.iter().any(|allowed| allowed.name() == name);
        let reason = if is_allowed { "assertion_alg" } else { "alg_not_allowed" };
        cases.push(Case::refused(
            format!("an assertion of a PS256 client with {name}"),
            (reason, 401, CLIENT),
            move |scene| scene.post_assertion(&scene.assertion().sign(&key).unwrap()),
        ));
    }
    cases
}

fn certificates(profile: &Profile) -> Vec<Case> {
    let form =
        |scene: &Scene| [("grant_type", "client_credentials".to_owned()), ("client_id", scene.tls_client_id.clone())];
    let foreign = if profile.software_statement.binds_certificates() {
        "certificate_of_another_client"
    } else {
        "certificate_subject"
    };
    let mut cases = vec![
        Case::accepted(TLS_CLIENT_AUTH, 200, move |scene| scene.post_form(&scene.tpp, &form(scene))),
        Case::refused("an assertion of its own", ("authentication_method_not_registered", 401, CLIENT), |scene| {
            post(scene, &scene.gateway.client_assertion(&scene.tls_client_id))
        }),
        Case::refused("no certificate", ("client_certificate_missing", 401, CLIENT), move |scene| {
            scene.post_form(&scene.anonymous, &form(scene))
        }),
        Case::refused("another certificate of its own", ("certificate_subject", 401, CLIENT), move |scene| {
            scene.post_form(&scene.spare, &form(scene))
        }),
        Case::refused("another's certificate", (foreign, 401, CLIENT), move |scene| {
            scene.post_form(&scene.other, &form(scene))
        }),
    ];
    for (member, _) in ALTERNATIVE_NAMES {
        if profile.client_metadata.subject_members.contains(&member) {
            let by_name = move |scene: &Scene, client: &Tpp| {
                let (_, client_id) = scene.named_clients.iter().find(|(known, _)| *known == member).unwrap();
                scene.post_form(client, &[("grant_type", "client_credentials"), ("client_id", client_id)])
            };
            cases.push(Case::accepted(format!("known by {}", member.name()), 200, move |scene| {
                by_name(scene, scene.named.as_ref().unwrap())
            }));
            let name = format!("a certificate without {}", member.name());
            cases.push(Case::refused(name, ("certificate_subject", 401, CLIENT), move |scene| {
                by_name(scene, &scene.tpp)
            }));
        }
    }
    cases
}

fn broken(name: &'static str, reason: &'static str, change: impl Fn(Token) -> Token + 'static) -> Case {
    Case::refused(name, (reason, 401, CLIENT), move |scene| post(scene, &change(scene.assertion())))
}

fn post(scene: &Scene, assertion: &Token) -> Shot {
    scene.post_assertion(&assertion.sign(&PKI.tpp.signing).unwrap())
}

fn with_credential(scene: &Scene, more: &[(&str, &str)]) -> Shot {
    let mut form = scene.credential();
    form.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    scene.post_form(&scene.tpp, &form)
}
