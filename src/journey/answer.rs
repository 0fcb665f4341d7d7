//! Answers. A refusal becomes an HTTP answer here and nowhere else.

use dcr_json as json;
use dcr_policy::catalogue::{AT_05, CA_03_BASIC, GW_05, GW_07, GW_08, JO_19_MALFORMED, SS_14_UNREADABLE};
use dcr_policy::client_metadata::SERVER_MEMBERS;
use dcr_policy::jwt::TOKEN_CLAIMS;
use dcr_policy::profile::{InteractionId, JsonType, ManagementToken, Profile, SubjectMember};
use dcr_policy::software_keys::SoftwareKeys;
use dcr_policy::{ErrorCode, Refusal};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Map, Value};

use super::Request;
use crate::client_store::{Client, IssuedToken, Record};
use crate::config::Config;

/// How many seconds a caller should wait before it tries again, if a service behind the gate was not reachable.
const RETRY_AFTER: &str = "5";

/// An HTTP answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// `:status`.
    pub status: u16,
    /// The headers, in visible ASCII. They contain only fixed text of this program.
    pub headers: Vec<(&'static str, &'static str)>,
    /// The challenge of a 401, if it has one.
    pub www_authenticate: Option<String>,
    /// `x-fapi-interaction-id`, if the ecosystem uses it (RG-15).
    pub interaction_id: Option<String>,
    /// The body. It is empty if the answer has none.
    pub body: Vec<u8>,
}

impl Answer {
    fn new(status: u16, headers: Vec<(&'static str, &'static str)>, body: Vec<u8>) -> Self {
        Self { status, headers, www_authenticate: None, interaction_id: None, body }
    }

    /// A JSON answer that must not be cached (RFC 7591 section 3.2.1, RFC 6749 section 5.1).
    pub(super) fn json(status: u16, body: &impl Serialize) -> Self {
        let headers = vec![("content-type", "application/json"), ("cache-control", "no-store"), ("pragma", "no-cache")];
        Self::new(status, headers, json::text(body))
    }

    /// An answer without a body (RFC 7592 section 2.3).
    pub(super) fn no_content() -> Self {
        Self::new(204, vec![("cache-control", "no-store"), ("pragma", "no-cache")], Vec::new())
    }

    /// A registration (RFC 7591 section 3.2.1): the client, its metadata, the unchanged statement, and the statement's claims. If the
    /// ecosystem has registration access tokens, the answer contains `token` too (RFC 7592 section 3): a new one after a registration, or
    /// the one that the caller sent.
    pub(super) fn registration(status: u16, client: &Client, config: &Config, token: Option<&str>) -> Self {
        Self::json(status, &Registration { client, config, token })
    }

    /// An access token (RFC 6749 section 5.1).
    pub(super) fn token(token: &IssuedToken) -> Self {
        Self::json(200, token)
    }

    /// The metadata document. Any cache may keep it for five minutes.
    pub(super) fn metadata(body: &Value) -> Self {
        let headers = vec![("content-type", "application/json"), ("cache-control", "public, max-age=300")];
        Self::new(200, headers, json::text(body))
    }

    /// The same answer with the request's interaction id, if the ecosystem asks for it (RG-15).
    pub(super) fn with_interaction_id(self, profile: &Profile, request: &Request) -> Self {
        match profile.answers.interaction_id {
            InteractionId::Ignore => self,
            InteractionId::Echo | InteractionId::Require => {
                Self { interaction_id: request.interaction_id().map(str::to_owned), ..self }
            }
        }
    }

    /// A refusal: exactly `error` and `error_description`. Refusals of bearer tokens have the challenge of RFC 6750 too.
    pub(super) fn refused(refusal: &Refusal, allow: Option<&'static str>, profile: &Profile) -> Self {
        #[derive(Serialize)]
        struct Error<'a> {
            error: &'a str,
            error_description: &'a str,
        }
        let (error, description) = (refusal.error_in(profile), refusal.description());
        let mut answer =
            Self::json(refusal.status(), &Error { error: error.as_str(), error_description: &description });
        answer.www_authenticate = match error {
            // RFC 6750 section 3.1: a caller without a token is told only that a token is needed.
            ErrorCode::InvalidToken if refusal.rule == &AT_05 => Some("Bearer".to_owned()),
            ErrorCode::InvalidToken | ErrorCode::InsufficientScope => {
                Some(format!("Bearer error=\"{}\", error_description=\"{description}\"", error.as_str()))
            }
            // RFC 6749 section 5.2: if the caller used the authorization header, the challenge names the same scheme.
            ErrorCode::InvalidClient if refusal.rule == &CA_03_BASIC => Some("Basic".to_owned()),
            _ => None,
        };
        // The operator or the publisher has to mend these faults, and that takes time.
        let is_lasting = [&GW_05, &GW_07, &GW_08, &JO_19_MALFORMED, &SS_14_UNREADABLE].contains(&refusal.rule);
        if error == ErrorCode::TemporarilyUnavailable && !is_lasting {
            answer.headers.push(("retry-after", RETRY_AFTER));
        }
        answer.headers.extend(allow.map(|methods| ("allow", methods)));
        answer
    }
}

/// A registration in the form that the client gets.
struct Registration<'a> {
    client: &'a Client,
    config: &'a Config,
    token: Option<&'a str>,
}

impl Serialize for Registration<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (client, record, profile) = (self.client, &self.client.record, &self.config.settings.profile);
        let mut members = serializer.serialize_map(None)?;
        members.serialize_entry("client_id", &client.client_id)?;
        match profile.answers.client_id_issued_at {
            JsonType::Number => members.serialize_entry("client_id_issued_at", &client.client_id_issued_at)?,
            JsonType::String => {
                members.serialize_entry("client_id_issued_at", &client.client_id_issued_at.to_string())?
            }
        }
        let metadata = named_metadata(record, profile);
        for (name, value) in &metadata {
            members.serialize_entry(name, value)?;
        }
        match &record.keys {
            SoftwareKeys::Uri(uri) => members.serialize_entry("jwks_uri", uri)?,
            SoftwareKeys::ByValue(keys) => members.serialize_entry("jwks", keys)?,
        }
        if profile.registration.management_token == ManagementToken::RegistrationAccessToken {
            let uri = format!("{}/{}", self.config.registration_endpoint(), client.client_id);
            members.serialize_entry("registration_client_uri", &uri)?;
            if let Some(token) = self.token {
                members.serialize_entry("registration_access_token", token)?;
            }
        }
        members.serialize_entry("software_statement", &record.software_statement)?;
        // The registered values come first. A claim of the statement is added only if no registered member has its name (RG-06).
        // RFC 7591 section 2: an answer has jwks_uri or jwks, never both.
        let others = ["jwks_uri", "jwks", "software_statement"];
        let is_given = |name: &str| metadata.contains_key(name) || others.contains(&name);
        let is_of_software = |name: &str| !TOKEN_CLAIMS.contains(&name) && !SERVER_MEMBERS.contains(&name);
        for (name, value) in &*record.statement_claims {
            if is_of_software(name) && !is_given(name) {
                members.serialize_entry(name, value)?;
            }
        }
        members.end()
    }
}

/// The registered metadata. The member with the subject of the certificate has the name that the ecosystem uses (MD-09).
fn named_metadata(record: &Record, profile: &Profile) -> Map<String, Value> {
    let Ok(Value::Object(metadata)) = serde_json::to_value(&record.metadata) else { return Map::new() };
    let subject = profile.client_metadata.subject_dn_member().name();
    let named = |name: String| if name == SubjectMember::Dn.name() { subject.to_owned() } else { name };
    metadata.into_iter().map(|(name, value)| (named(name), value)).collect()
}
