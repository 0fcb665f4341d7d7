//! Members of a registration request that have no meaning here. RFC 7591 section 2 has a server ignore them, so a request with `scopes` in
//! place of `scope` is registered with the default. The gateway says which members it did not understand, for the operator and the developer.

use super::client_metadata::{DESCRIPTIVE_MEMBERS, FURTHER_MEMBERS, SERVER_MEMBERS};
use super::jwt::{Claims, TOKEN_CLAIMS};
use super::profile::SubjectMember;
use super::settings::Settings;

/// The members that a request can have in every profile.
const OTHERS: [&str; 24] = [
    "software_statement",
    "software_id",
    "redirect_uris",
    "token_endpoint_auth_method",
    "token_endpoint_auth_signing_alg",
    "grant_types",
    "response_types",
    "application_type",
    "scope",
    "jwks",
    "jwks_uri",
    "contacts",
    "id_token_signed_response_alg",
    "id_token_encrypted_response_alg",
    "id_token_encrypted_response_enc",
    "authorization_signed_response_alg",
    "request_object_signing_alg",
    "tls_client_certificate_bound_access_tokens",
    "backchannel_token_delivery_mode",
    "backchannel_client_notification_endpoint",
    "backchannel_authentication_request_signing_alg",
    "backchannel_user_code_parameter",
    "backchannel_user_code_parameter_supported",
    "webhook_uris",
];

/// The members and claims of a request that every profile knows.
fn known() -> impl Iterator<Item = &'static str> {
    TOKEN_CLAIMS.into_iter().chain(OTHERS).chain(SERVER_MEMBERS).chain(DESCRIPTIVE_MEMBERS)
}

/// The most members that are told.
const MOST: usize = 8;

/// The longest name that is told, in characters.
const LONGEST_NAME: usize = 64;

/// A member that the gateway did not understand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotUnderstood {
    /// The member, as the request names it.
    pub member: String,
    /// The member that was probably meant. `None` if it is a known member that this profile does not register.
    pub likely: Option<&'static str>,
}

/// The members of a request that are probably errors: those whose names are almost those of known members, and known members that the
/// profile does not register. Other unknown members are often claims of the statement, so they are not told.
pub fn of_request(claims: &Claims, settings: &Settings) -> Vec<NotUnderstood> {
    let further = &settings.profile.client_metadata.further_members;
    let is_registered = |member: &str| further.iter().any(|known| known == member);
    let mut found = Vec::new();
    for member in claims.members().keys() {
        let member = member.as_str();
        if known().any(|known| known == member) || SubjectMember::ALL.iter().any(|known| known.name() == member) {
            continue;
        }
        let is_further = FURTHER_MEMBERS.iter().any(|(known, _)| *known == member);
        let likely = likely(member);
        if (is_further && !is_registered(member)) || (!is_further && likely.is_some()) {
            found.push(NotUnderstood { member: member.to_owned(), likely: likely.filter(|_| !is_further) });
        }
        if found.len() == MOST {
            break;
        }
    }
    found
}

/// The same as one text of letters, digits and `_-:,.`, for an access log: `scopes:scope,redirect_uri:redirect_uris`.
pub fn told(claims: &Claims, settings: &Settings) -> String {
    let printed = |name: &str| {
        let is_plain = |c: &char| c.is_ascii_alphanumeric() || "_-.".contains(*c);
        name.chars().filter(is_plain).take(LONGEST_NAME).collect::<String>()
    };
    let one = |found: NotUnderstood| match found.likely {
        Some(likely) => format!("{}:{likely}", printed(&found.member)),
        None => printed(&found.member),
    };
    of_request(claims, settings).into_iter().map(one).collect::<Vec<_>>().join(",")
}

/// The known member whose name differs from `member` only in letter case, signs between words, or by one or two letters.
fn likely(member: &str) -> Option<&'static str> {
    if member.len() > LONGEST_NAME {
        return None;
    }
    let member = plain(member);
    let most = if member.len() < 8 { 1 } else { 2 };
    let further = FURTHER_MEMBERS.iter().map(|(name, _)| *name);
    let names = known().chain(further).filter(|name| name.len() > SHORTEST);
    let distances = names.filter_map(|name| {
        let plain = plain(name);
        // Names of too different lengths need no closer look.
        let is_near = plain.len().abs_diff(member.len()) <= most;
        Some((is_near.then(|| distance(&member, &plain))?, name))
    });
    distances.filter(|(distance, _)| *distance <= most).min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// Names up to this length are not compared: too many words are almost the same.
const SHORTEST: usize = 4;

fn plain(name: &str) -> Vec<u8> {
    name.bytes().filter(u8::is_ascii_alphanumeric).map(|b| b.to_ascii_lowercase()).collect()
}

/// How many letters have to be changed, added or removed (Levenshtein).
fn distance(one: &[u8], other: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut diagonal = std::mem::replace(row.first_mut().unwrap_or(&mut 0), i + 1);
        let mut left = i + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(other) {
            let change = diagonal + usize::from(a != b);
            diagonal = *cell;
            left = change.min(diagonal + 1).min(left + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::Document;
    use crate::tests::{object, request, settings, settings_of, with};

    fn found(request: &Value, settings: &Settings) -> Vec<(String, Option<&'static str>)> {
        let claims = Claims::of(Document::RegistrationRequest, object(request));
        of_request(&claims, settings).into_iter().map(|found| (found.member, found.likely)).collect()
    }

    #[test]
    fn a_member_that_is_almost_a_known_one_is_told() {
        for (member, likely) in [
            ("scopes", "scope"),
            ("redirect_uri", "redirect_uris"),
            ("redirectUris", "redirect_uris"),
            ("grant_type", "grant_types"),
            ("grantTypes", "grant_types"),
            ("response-types", "response_types"),
            ("token_endpoint_auth_methods", "token_endpoint_auth_method"),
            ("request_object_signing_algo", "request_object_signing_alg"),
        ] {
            assert_eq!(found(&with(request(), member, "x"), &settings()), [(member.to_owned(), Some(likely))]);
        }
    }

    #[test]
    fn other_members_are_not_told() {
        assert_eq!(found(&request(), &settings()), []);
        for member in
            ["software_roles", "org_id", "software_client_name", "x", "iat2", "", "\u{e9}", "initiate_login_uri"]
        {
            assert_eq!(found(&with(request(), member, "x"), &settings()), [], "{member}");
        }
        assert_eq!(found(&with(request(), &"scope".repeat(10_000), "x"), &settings()), []);
    }

    #[test]
    fn a_known_member_that_the_profile_does_not_register_is_told() {
        let request = with(request(), "subject_type", "public");
        assert_eq!(found(&request, &settings()), [("subject_type".to_owned(), None)]);
        assert_eq!(found(&request, &settings_of("au-cdr")), []);
    }

    #[test]
    fn the_text_for_a_log_is_plain_and_short() {
        let request = with(with(request(), "scop\u{e9}s\r\n", "x"), "redirect uri", json!([]));
        let claims = Claims::of(Document::RegistrationRequest, object(&request));
        assert_eq!(told(&claims, &settings()), "scops:scope,redirecturi:redirect_uris");
        let many = (0..100).fold(request, |request, i| with(request, &format!("scopes{}", "_".repeat(i)), "x"));
        let claims = Claims::of(Document::RegistrationRequest, object(&many));
        assert!(told(&claims, &settings()).len() < 1200);
    }
}
