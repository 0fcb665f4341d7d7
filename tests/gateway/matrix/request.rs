//! RG and RQ: the HTTP request to the registration endpoint, and the claims that are not metadata.

use dcr_cli::client::Tpp;
use dcr_cli::mint::{self, Token};
use dcr_policy::profile::Profile;
use reqwest::Method;
use serde_json::{Value, json};

use super::dialect::{AUDIENCES, is_unsigned};
use super::scene::renamed;
use super::{Case, Scene, Shot};
use crate::PKI;

const METADATA: &str = "invalid_client_metadata";

pub(super) fn cases(profile: &Profile) -> Vec<Case> {
    let mut cases = envelope();
    cases.extend(media_types(profile));
    if is_unsigned(profile) {
        cases.extend(objects(profile));
    } else {
        cases.extend(signed());
        cases.extend(claims(profile));
        cases.extend(audiences(profile));
    }
    cases.extend(distinguished_name(profile));
    cases
}

/// The endpoint at which a third party reads its certificate's subject.
fn distinguished_name(profile: &Profile) -> Vec<Case> {
    let Some(path) = profile.paths.distinguished_name.clone() else { return Vec::new() };
    let ask = move |scene: &Scene, method: Method, client: &Tpp| {
        let request = client.request(method, &format!("{}{path}", scene.gateway.url()));
        Shot { client: client.clone(), request }
    };
    let (over_certificate, anonymous, posted) = (ask.clone(), ask.clone(), ask);
    vec![
        Case::accepted("the subject's name", 200, move |scene| over_certificate(scene, Method::GET, &scene.tpp)),
        Case::refused("a name, no certificate", ("client_certificate_missing", 401, "invalid_client"), move |scene| {
            anonymous(scene, Method::GET, &scene.anonymous)
        }),
        Case::refused("POST of a name", ("method_not_allowed", 405, "invalid_request"), move |scene| {
            posted(scene, Method::POST, &scene.tpp)
        }),
    ]
}

fn envelope() -> Vec<Case> {
    vec![
        Case::refused("no certificate", ("client_certificate_missing", 401, "invalid_client"), |scene| {
            scene.post_by(&scene.anonymous, scene.body(&scene.request()))
        }),
        Case::refused("a body over the limit", ("body_too_large", 413, METADATA), |scene| {
            scene.post("x".repeat(64 * 1024 + 1))
        }),
        Case::refused("GET of the collection", ("method_not_allowed", 405, "invalid_request"), |scene| {
            let request = scene.tpp.request(Method::GET, &scene.tpp.endpoints.registration);
            Shot { client: scene.tpp.clone(), request }
        }),
        Case::refused("a content coding", ("content_coding", 415, "invalid_request"), |scene| {
            let shot = scene.post_request(&scene.request());
            Shot { request: shot.request.header("content-encoding", "gzip"), ..shot }
        }),
        Case::accepted("unknown metadata", 201, |scene| {
            scene.post_request(&scene.request().claim("unheard_of", json!({ "a": [1] })))
        }),
    ]
}

/// The claims that show that the software sends the request now.
fn signed() -> Vec<Case> {
    vec![
        Case::refused("another's key", ("request_signature", 400, METADATA), |scene| {
            let key = renamed(&PKI.other_tpp.signing, PKI.tpp.signing.kid());
            scene.post(scene.request().sign(&key).unwrap())
        }),
        Case::refused("used before", ("request_replayed", 400, METADATA), |scene| {
            scene.post(scene.used_request.clone())
        }),
        Case::accepted("a second before exp", 201, |scene| {
            // Two seconds, because the clock may advance before the request reaches Envoy.
            scene.post_request(&scene.request().claim("exp", mint::now() + 2))
        }),
    ]
}

/// An unsigned request.
fn objects(profile: &Profile) -> Vec<Case> {
    let malformed = |name: &'static str, body: fn(&Scene) -> String| {
        Case::refused(name, ("request_malformed", 400, METADATA), move |scene| scene.post(body(scene)))
    };
    let mut cases = vec![
        malformed("nothing", |_| String::new()),
        malformed("no JSON", |_| "grant_types=client_credentials".to_owned()),
        malformed("an array", |scene| format!("[{}]", scene.request().to_json())),
        malformed("something behind it", |scene| format!("{} {{}}", scene.request().to_json())),
        malformed("a repeated member", |scene| with_first_member(scene, r#""software_statement":"e30.e30.e30""#)),
        malformed("deeply nested", |scene| {
            let nested = format!("{}{}", "[".repeat(25), "]".repeat(25));
            with_first_member(scene, &format!(r#""x":{nested}"#))
        }),
        malformed("a JWT", |scene| scene.request().sign(&PKI.tpp.signing).unwrap()),
        Case::accepted("white space around it", 201, |scene| {
            scene.post(format!("\n  {}\n", scene.request().to_json()))
        }),
    ];
    if !profile.software_statement.single_use {
        cases.push(Case::accepted("sent once more", 201, |scene| scene.post(scene.used_request.clone())));
    }
    cases
}

/// A valid object with this member before the others.
fn with_first_member(scene: &Scene, member: &str) -> String {
    let request = scene.request().to_json();
    format!("{{{member},{}", request.strip_prefix('{').unwrap())
}

fn media_types(profile: &Profile) -> Vec<Case> {
    let reason = if is_unsigned(profile) { "media_type_not_json" } else { "media_type_unsupported" };
    let refused = (reason, 400, METADATA);
    let mut cases: Vec<Case> = ["application/jwt", "application/jose", "application/json", "text/plain"]
        .into_iter()
        .map(|media_type| {
            let allowed = profile.registration.media_types.iter().any(|known| known == media_type);
            Case::refused(media_type, refused, move |scene| typed(scene, Some(media_type))).accepted_where(allowed, 201)
        })
        .collect();
    cases.push(Case::refused("no media type", refused, |scene| typed(scene, None)));
    cases.push(Case::accepted("a parameter and capitals", 201, |scene| {
        typed(scene, Some(&format!("{}; charset=ISO-8859-1", scene.media_type().replace("application", "Application"))))
    }));
    cases
}

fn claims(profile: &Profile) -> Vec<Case> {
    vec![
        broken("iss is not the software_id", "request_issuer", |token| token.claim("iss", "foo.is/invalid")),
        broken("iss is empty", "request_issuer", |token| token.claim("iss", "")),
        broken("no jti", "request_jti", |token| token.without("jti"))
            .accepted_where(!profile.registration.jti_required, 201),
        broken("a jti that is a number", "request_jti", |token| token.claim("jti", 7)),
        broken("a jti of 129 characters", "request_jti", |token| token.claim("jti", "j".repeat(129))),
        broken("a control character in jti", "request_jti", |token| token.claim("jti", "a\u{0}b")),
        broken("no iat", "request_dates", |token| token.without("iat")),
        broken("no exp", "request_dates", |token| token.without("exp")),
        Case::accepted("dates with a fraction, and whole ones in other spellings", 201, |scene| {
            let (iat, exp) = (mint::now() as f64 - 0.5, format!("{}.0e0", mint::now() + 60));
            let exp: Value = serde_json::from_str(&exp).unwrap();
            scene.post_request(&scene.request().claim("iat", iat).claim("exp", exp))
        }),
    ]
}

fn audiences(profile: &Profile) -> Vec<Case> {
    let of_name = |(name, audience)| {
        let allowed = profile.registration.audiences.contains(&audience);
        Case::refused(format!("aud is {name}"), ("request_audience", 400, METADATA), move |scene| {
            scene.post_request(&scene.request().claim("aud", scene.audience(audience)))
        })
        .accepted_where(allowed, 201)
    };
    let mut cases: Vec<Case> = AUDIENCES.into_iter().map(of_name).collect();
    let known = profile.registration.audiences[0];
    cases.extend([
        broken("aud is another server", "request_audience", |token| token.claim("aud", "https://other.example")),
        broken("no aud", "request_audience", |token| token.without("aud")),
        Case::accepted("several audiences", 201, move |scene| {
            let audience = json!([scene.audience(known), "https://other.example"]);
            scene.post_request(&scene.request().claim("aud", audience))
        }),
    ]);
    cases
}

fn broken(name: &'static str, reason: &'static str, change: fn(Token) -> Token) -> Case {
    Case::refused(name, (reason, 400, METADATA), move |scene| scene.post_request(&change(scene.request())))
}

fn typed(scene: &Scene, media_type: Option<&str>) -> Shot {
    let body = scene.body(&scene.request());
    let request = scene.tpp.request(Method::POST, &scene.tpp.endpoints.registration).body(body);
    let request = match media_type {
        Some(media_type) => request.header("content-type", media_type),
        None => request,
    };
    Shot { client: scene.tpp.clone(), request }
}
