//! Clients: what creates one, what replaces its record, and what is answered.

use serde::{Deserialize, Serialize};

#[cfg(feature = "schema")]
use crate::bounds::{
    CLIENT_ID_PATTERN, MAX_CLIENT_ID, MAX_JTI, MAX_JTI_COUNT, MAX_REQUEST_ID, MAX_SOFTWARE, NAME_PATTERN,
    REQUEST_ID_PATTERN, TRACEPARENT_LENGTH, TRACEPARENT_PATTERN,
};

/// The preference by which an update is answered without the record (RFC 7240 section 4.2): the value of `Prefer`.
pub const RETURN_MINIMAL: &str = "return=minimal";

/// The software that a client is a registration of, as a directory's software statement names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Software"))]
#[serde(deny_unknown_fields)]
pub struct Software<S = String> {
    /// `iss` of the software statement; at most 512 bytes.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_SOFTWARE), regex(pattern = NAME_PATTERN)))]
    pub issuer: S,
    /// `software_id` of the software statement (RFC 7591 section 2); at most 512 bytes.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_SOFTWARE), regex(pattern = NAME_PATTERN)))]
    pub id: S,
}

/// One `jti` (RFC 7519 section 4.1.7) to consume: it can be consumed once until it expires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Jti"))]
#[serde(deny_unknown_fields)]
pub struct Jti<S = String> {
    /// The scope within which the `jti` is unique; the gateway composes it. At most 1024 bytes.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_JTI), regex(pattern = NAME_PATTERN)))]
    pub issuer: S,
    /// The identifier itself; at most 1024 bytes.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_JTI), regex(pattern = NAME_PATTERN)))]
    pub jti: S,
    /// The last second, in Unix time, in which the token that carried the `jti` could be accepted, clock skew included. It must not be
    /// past, and must be at most 366 days ahead.
    pub expires_at: i64,
}

/// What a registration asks to be created.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "NewClient"))]
#[serde(deny_unknown_fields)]
pub struct NewClient<R, S = String, J = Vec<Jti<S>>> {
    /// The request of the gateway's caller, for the log: 1 to 64 letters, digits and dashes. Any other text is not logged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_REQUEST_ID), regex(pattern = REQUEST_ID_PATTERN)))]
    pub request_id: Option<S>,
    /// The trace of that request (W3C Trace Context, version 00), for the store's log and its spans. Any other text is ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schema",
        schemars(length(min = TRACEPARENT_LENGTH, max = TRACEPARENT_LENGTH), regex(pattern = TRACEPARENT_PATTERN))
    )]
    pub traceparent: Option<S>,
    /// Whose registration it is.
    pub software: Software<S>,
    /// Whether to refuse when this software has a client already.
    pub single_registration: bool,
    /// Whether to make a registration access token (RFC 7592 section 3) with it.
    #[serde(default)]
    pub registration_access_token: bool,
    /// The `jti` to consume: all of them, or none.
    #[cfg_attr(feature = "schema", schemars(length(max = MAX_JTI_COUNT)))]
    pub consume_jti: J,
    /// The JSON object that the gateway wants back. The store never looks inside.
    pub record: R,
}

/// What an update puts in place of a client's record.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Replacement"))]
#[serde(deny_unknown_fields)]
pub struct Replacement<R, S = String, J = Vec<Jti<S>>> {
    /// The software that the client was created for.
    pub software: Software<S>,
    /// The `jti` to consume: all of them, or none.
    #[cfg_attr(feature = "schema", schemars(length(max = MAX_JTI_COUNT)))]
    pub consume_jti: J,
    /// The whole new record.
    pub record: R,
}

/// A registered client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Client"))]
#[serde(deny_unknown_fields)]
pub struct Client<R> {
    /// Made by the store.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_CLIENT_ID), regex(pattern = CLIENT_ID_PATTERN)))]
    pub client_id: String,
    /// When it was created, in Unix seconds.
    pub client_id_issued_at: i64,
    /// 1 at creation, one more with every update.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub version: i64,
    /// Whose registration it is.
    pub software: Software,
    /// The record as the gateway sent it.
    pub record: R,
}

/// A client that was just written. The caller that wrote it knows the record, so it is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct WrittenClient {
    /// Made by the store.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_CLIENT_ID), regex(pattern = CLIENT_ID_PATTERN)))]
    pub client_id: String,
    /// When it was created, in Unix seconds.
    pub client_id_issued_at: i64,
    /// 1 at creation, one more with every update.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub version: i64,
    /// Whose registration it is.
    pub software: Software,
    /// The registration access token, where one was asked for. This is the only time it is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub registration_access_token: Option<String>,
}

impl<R> From<Client<R>> for WrittenClient {
    fn from(client: Client<R>) -> Self {
        let Client { client_id, client_id_issued_at, version, software, record: _ } = client;
        Self { client_id, client_id_issued_at, version, software, registration_access_token: None }
    }
}

/// A client's version as an entity tag (RFC 9110 section 8.8.3): the value of `ETag` and `If-Match`.
#[must_use]
pub fn entity_tag(version: i64) -> String {
    format!("\"{version}\"")
}

/// The version in an entity tag, if it is one that [`entity_tag`] makes.
#[must_use]
pub fn version_of_entity_tag(tag: &str) -> Option<i64> {
    let digits = tag.strip_prefix('"')?.strip_suffix('"')?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn new_client() -> Value {
        json!({
            "software": { "issuer": "OpenBanking Ltd", "id": "sgsMuc8ACBgBzinpr8oJ8B" },
            "single_registration": false,
            "registration_access_token": false,
            "consume_jti": [{ "issuer": "OpenBanking Ltd", "jti": "a", "expires_at": 1 }],
            "record": {},
        })
    }

    #[test]
    fn what_is_sent_is_what_is_read() {
        let read: NewClient<Value> = serde_json::from_value(new_client()).unwrap();
        assert_eq!(read.request_id, None);
        let borrowed = NewClient {
            request_id: read.request_id.as_deref(),
            traceparent: read.traceparent.as_deref(),
            software: Software { issuer: read.software.issuer.as_str(), id: &read.software.id },
            single_registration: read.single_registration,
            registration_access_token: read.registration_access_token,
            consume_jti: read.consume_jti.as_slice(),
            record: &read.record,
        };
        assert_eq!(json!(borrowed), new_client());
        assert_eq!(json!(read), new_client());
    }

    #[test]
    fn other_members_are_refused_and_only_two_may_be_missing() {
        for place in ["", "/software", "/consume_jti/0"] {
            let mut extended = new_client();
            extended.pointer_mut(place).unwrap()["surprise"] = json!(1);
            assert!(serde_json::from_value::<NewClient<Value>>(extended).is_err(), "{place}");
        }
        for member in ["software", "single_registration", "consume_jti", "record"] {
            let mut reduced = new_client();
            reduced.as_object_mut().unwrap().remove(member).unwrap();
            assert!(serde_json::from_value::<NewClient<Value>>(reduced).is_err(), "{member}");
        }
        let mut reduced = new_client();
        reduced.as_object_mut().unwrap().remove("registration_access_token").unwrap();
        assert!(!serde_json::from_value::<NewClient<Value>>(reduced).unwrap().registration_access_token);
    }

    #[test]
    fn an_entity_tag_is_read_only_as_it_is_written() {
        for version in [0, 1, i64::MAX] {
            assert_eq!(version_of_entity_tag(&entity_tag(version)), Some(version));
        }
        for other in
            ["1", "*", "W/\"1\"", "\"\"", "\"", "\"1", "\"1\", \"2\"", "\"-1\"", "\"+1\"", "\"99999999999999999999\""]
        {
            assert_eq!(version_of_entity_tag(other), None, "{other}");
        }
    }
}
