//! MD-01 to MD-03: the URIs to which codes may be sent.

use dcr_cli::mint::Token;
use dcr_policy::profile::Profile;
use serde_json::{Value, json};

use super::Case;
use crate::PKI;

const REDIRECT: &str = "invalid_redirect_uri";

pub(super) fn cases(profile: &Profile) -> Vec<Case> {
    let mut cases = beyond_the_statement(profile);
    cases.extend(unacceptable(profile));
    cases.extend(missing(profile));
    cases
}

fn beyond_the_statement(profile: &Profile) -> Vec<Case> {
    let allowed = profile.client_metadata.danger_redirect_uris_beyond_statement;
    let known = || PKI.tpp.software.redirect_uris[0].clone();
    [
        ("one good, one foreign", vec![known(), "https://thief.example/cb".to_owned()]),
        ("another letter case", vec![known().replace("callback", "Callback")]),
        ("a slash more", vec![format!("{}/", known())]),
        ("a query more", vec![format!("{}?x", known())]),
    ]
    .into_iter()
    .map(|(name, uris)| {
        broken(name, "redirect_uri_not_in_statement", move |token| token.claim("redirect_uris", uris.clone()))
            .accepted_where(allowed, 201)
    })
    .collect()
}

fn unacceptable(profile: &Profile) -> Vec<Case> {
    let longest = profile.client_metadata.redirect_uri_max_chars;
    let of_length = |length: usize| {
        let site = "https://harbour.example/";
        vec![format!("{site}{}", "x".repeat(length - site.len()))]
    };
    let too_many: Vec<String> = (0..33).map(|i| format!("https://harbour.example/callback/{i}")).collect();
    let localhost = vec![PKI.tpp.software.redirect_uris[0].clone(), "https://localhost/callback".to_owned()];
    vec![
        broken("null", "redirect_uris_type", |token| token.claim("redirect_uris", Value::Null)),
        broken("a string", "redirect_uris_type", |token| token.claim("redirect_uris", "https://a.example")),
        broken("http", "redirect_uri_unacceptable", |token| {
            token.claim("redirect_uris", json!(["http://harbour.example/callback"]))
        }),
        in_both(profile, "localhost", Some("redirect_uri_unacceptable"), localhost),
        in_both(profile, "one too long", Some("redirect_uri_unacceptable"), of_length(longest + 1)),
        in_both(profile, "as long as it may be", None, of_length(longest)),
        in_both(profile, "33 of them", Some("redirect_uris_too_many"), too_many.clone()),
        in_both(profile, "32 of them", None, too_many[..32].to_vec()),
        broken("33 of them, all alike", "redirect_uris_too_many", |token| {
            token.claim("redirect_uris", vec![PKI.tpp.software.redirect_uris[0].clone(); 33])
        }),
    ]
}

fn missing(profile: &Profile) -> Vec<Case> {
    let claim = profile.software_statement.claims.redirect_uris.clone();
    let whole = json!(PKI.tpp.software.redirect_uris);
    let taken_from_statement = |case: Case| {
        let case = case.accepted_where(!profile.client_metadata.redirect_uris_required, 201);
        if case.reason.is_none() { case.answering("redirect_uris", whole.clone()) } else { case }
    };
    vec![
        Case::refused("none anywhere", ("redirect_uris_missing", 400, REDIRECT), move |scene| {
            let statement = scene.statement().claim(&claim, json!([])).sign(&PKI.directory).unwrap();
            scene.post_request(&scene.request_with(&statement).without("redirect_uris"))
        }),
        taken_from_statement(broken("left out", "redirect_uris_missing", |token| token.without("redirect_uris"))),
        taken_from_statement(broken("an empty list", "redirect_uris_missing", |token| {
            token.claim("redirect_uris", json!([]))
        })),
        Case::accepted("a part of the statement's", 201, |scene| {
            scene.post_request(&scene.request().claim("redirect_uris", json!([PKI.tpp.software.redirect_uris[1]])))
        }),
    ]
}

fn broken(name: &'static str, reason: &'static str, change: impl Fn(Token) -> Token + 'static) -> Case {
    Case::refused(name, (reason, 400, REDIRECT), move |scene| scene.post_request(&change(scene.request())))
}

/// The same URIs in the statement and in the request. They are refused for this reason, or accepted.
fn in_both(profile: &Profile, name: &'static str, reason: Option<&'static str>, uris: Vec<String>) -> Case {
    let claim = profile.software_statement.claims.redirect_uris.clone();
    Case::refused(name, (reason.unwrap_or_default(), 400, REDIRECT), move |scene| {
        let statement = scene.statement().claim(&claim, uris.clone()).sign(&PKI.directory).unwrap();
        scene.post_request(&scene.request_with(&statement).claim("redirect_uris", uris.clone()))
    })
    .accepted_where(reason.is_none(), 201)
}
