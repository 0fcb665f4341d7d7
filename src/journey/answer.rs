//! Answers. A refusal becomes an HTTP answer here and nowhere else.

use serde_json::{Map, Value, json};

use super::Request;
use crate::config::Config;
use crate::policy::catalogue::{AT_05, CA_03_BASIC};
use crate::policy::profile::{InteractionId, JsonType, ManagementToken, Profile, SubjectMember};
use crate::policy::{ErrorCode, Refusal};
use crate::store::{Client, IssuedToken};

/// Seconds after which a caller may try again what failed for an unreachable service.
const RETRY_AFTER: &str = "5";

/// Claims of the statement that are about the statement as a token, not about the software.
const TOKEN_CLAIMS: [&str; 7] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti"];

/// An HTTP answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// `:status`.
    pub status: u16,
    /// Headers, in visible ASCII: they hold the program's own words only.
    pub headers: Vec<(&'static str, &'static str)>,
    /// The challenge of a 401, if it has one.
    pub www_authenticate: Option<String>,
    /// `x-fapi-interaction-id`, where the ecosystem has it (RG-15).
    pub interaction_id: Option<String>,
    /// The body; empty for none.
    pub body: Vec<u8>,
}

impl Answer {
    /// A JSON answer that nobody may keep (RFC 7591 section 3.2.1, RFC 6749 section 5.1).
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            headers: vec![("content-type", "application/json"), ("cache-control", "no-store"), ("pragma", "no-cache")],
            www_authenticate: None,
            interaction_id: None,
            body: body.to_string().into_bytes(),
        }
    }

    /// An answer without a body (RFC 7592 section 2.3).
    pub(super) fn no_content() -> Self {
        let headers = vec![("cache-control", "no-store"), ("pragma", "no-cache")];
        Self { status: 204, headers, www_authenticate: None, interaction_id: None, body: Vec::new() }
    }

    /// A registration (RFC 7591 section 3.2.1): the client, its metadata, the statement unmodified, and the statement's claims. With it goes
    /// the token that manages it, where the ecosystem has one (RFC 7592 section 3): the one just made, or the one the caller came with.
    pub(super) fn registration(status: u16, client: &Client, config: &Config, token: Option<&str>) -> Self {
        let profile = &config.profile;
        let issued_at = match profile.answers.client_id_issued_at {
            JsonType::Number => json!(client.client_id_issued_at),
            JsonType::String => json!(client.client_id_issued_at.to_string()),
        };
        let mut members = Map::new();
        members.insert("client_id".to_owned(), json!(client.client_id));
        members.insert("client_id_issued_at".to_owned(), issued_at);
        if let Ok(Value::Object(metadata)) = serde_json::to_value(&client.record.metadata) {
            // The subject bears the name that the ecosystem has for it (MD-09).
            let is_short = profile.client_metadata.subject_members.contains(&SubjectMember::ShortDn);
            let shown = if is_short { SubjectMember::ShortDn } else { SubjectMember::Dn }.name();
            let named = |name: String| if name == SubjectMember::Dn.name() { shown.to_owned() } else { name };
            members.extend(metadata.into_iter().map(|(name, value)| (named(name), value)));
        }
        members.insert("jwks_uri".to_owned(), json!(client.record.key_set_uri));
        if profile.registration.management_token == ManagementToken::RegistrationAccessToken {
            let uri = format!("{}/{}", config.registration_endpoint(), client.client_id);
            members.insert("registration_client_uri".to_owned(), json!(uri));
            members.extend(token.map(|token| ("registration_access_token".to_owned(), json!(token))));
        }
        members.insert("software_statement".to_owned(), json!(client.record.software_statement));
        let of_software = client
            .record
            .statement_claims
            .iter()
            .filter(|(name, _)| !TOKEN_CLAIMS.contains(&name.as_str()) && !SERVER_MEMBERS.contains(&name.as_str()));
        for (name, value) in of_software {
            // What was registered stands as it was registered; the statement's claims come beside it (RG-06).
            members.entry(name.clone()).or_insert_with(|| value.clone());
        }
        Self::json(status, &Value::Object(members))
    }

    /// An access token (RFC 6749 section 5.1).
    pub(super) fn token(token: &IssuedToken) -> Self {
        Self::json(200, &json!(token))
    }

    /// The metadata document, which anybody may keep for a while.
    pub(super) fn metadata(body: &Value) -> Self {
        let headers = vec![("content-type", "application/json"), ("cache-control", "public, max-age=300")];
        Self { status: 200, headers, www_authenticate: None, interaction_id: None, body: body.to_string().into_bytes() }
    }

    /// The same answer with the request's interaction id, where the ecosystem wants it back (RG-15).
    pub(super) fn with_interaction_id(self, profile: &Profile, request: &Request) -> Self {
        match profile.answers.interaction_id {
            InteractionId::Ignore => self,
            InteractionId::Echo | InteractionId::Require => {
                Self { interaction_id: request.interaction_id().map(str::to_owned), ..self }
            }
        }
    }

    /// A refusal: exactly `error` and `error_description`. Bearer refusals carry RFC 6750's challenge too.
    pub(super) fn refused(refusal: &Refusal, allow: Option<&'static str>, profile: &Profile) -> Self {
        let (error, description) = (refusal.error_in(profile), refusal.description());
        let mut answer =
            Self::json(refusal.status(), &json!({ "error": error.as_str(), "error_description": description }));
        answer.www_authenticate = match error {
            // RFC 6750 section 3.1: who sent no token learns only that one is needed.
            ErrorCode::InvalidToken if refusal.rule == &AT_05 => Some("Bearer".to_owned()),
            ErrorCode::InvalidToken | ErrorCode::InsufficientScope => {
                Some(format!("Bearer error=\"{}\", error_description=\"{description}\"", error.as_str()))
            }
            // RFC 6749 section 5.2: who tried the authorization header is answered in its scheme.
            ErrorCode::InvalidClient if refusal.rule == &CA_03_BASIC => Some("Basic".to_owned()),
            _ => None,
        };
        if error == ErrorCode::TemporarilyUnavailable {
            answer.headers.push(("retry-after", RETRY_AFTER));
        }
        answer.headers.extend(allow.map(|methods| ("allow", methods)));
        answer
    }
}

/// Members that only this server gives (RFC 7591 section 3.2.1, RFC 7592 section 3).
pub(super) const SERVER_MEMBERS: [&str; 6] = [
    "client_id",
    "client_id_issued_at",
    "client_secret",
    "client_secret_expires_at",
    "registration_access_token",
    "registration_client_uri",
];
