//! Tokens: what issues one, what is answered, and what is known of one.

use serde::{Deserialize, Serialize};

#[cfg(feature = "schema")]
use crate::bounds::{
    CLIENT_ID_PATTERN, MAX_CLIENT_ID, MAX_JTI_COUNT, MAX_LIFETIME, MAX_REQUEST_ID, MAX_SCOPE, MAX_TOKEN,
    REQUEST_ID_PATTERN, SCOPE_PATTERN, THUMBPRINT_LENGTH, THUMBPRINT_PATTERN, TRACEPARENT_LENGTH, TRACEPARENT_PATTERN,
};
use crate::client::Jti;

/// What a token request asks to be issued.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "NewToken"))]
#[serde(deny_unknown_fields)]
pub struct NewToken<S = String, J = Vec<Jti<S>>> {
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
    /// To whom.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_CLIENT_ID), regex(pattern = CLIENT_ID_PATTERN)))]
    pub client_id: S,
    /// The version of the client by which the gateway decided: the token is refused when the client is at another. Left out, any will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// The granted scope (RFC 6749 section 3.3).
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_SCOPE), regex(pattern = SCOPE_PATTERN)))]
    pub scope: S,
    /// Lifetime in seconds.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = MAX_LIFETIME)))]
    pub expires_in: i64,
    /// The certificate that the token is bound to.
    pub cnf: Confirmation<S>,
    /// The `jti` to consume: all of them, or none.
    #[cfg_attr(feature = "schema", schemars(length(max = MAX_JTI_COUNT)))]
    pub consume_jti: J,
}

/// The certificate that a token is bound to (RFC 8705 section 3.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Confirmation"))]
#[serde(deny_unknown_fields)]
pub struct Confirmation<S = String> {
    /// The SHA-256 digest of the certificate's DER as base64url without padding.
    #[serde(rename = "x5t#S256")]
    #[cfg_attr(
        feature = "schema",
        schemars(length(min = THUMBPRINT_LENGTH, max = THUMBPRINT_LENGTH), regex(pattern = THUMBPRINT_PATTERN))
    )]
    pub certificate_thumbprint: S,
}

/// A token that was just issued. This is the only time it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct IssuedToken {
    /// Whose it is.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_CLIENT_ID), regex(pattern = CLIENT_ID_PATTERN)))]
    pub client_id: String,
    /// 256 random bits as base64url without padding.
    pub access_token: String,
    /// How it is presented.
    pub token_type: TokenType,
    /// Lifetime in seconds.
    pub expires_in: i64,
    /// The granted scope.
    pub scope: String,
    /// The certificate that it is bound to, as asked for.
    pub cnf: Confirmation,
}

/// How a token is presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum TokenType {
    /// In the `Authorization` header (RFC 6750 section 2.1).
    Bearer,
}

/// The form of introspection and revocation. Other parameters, such as `token_type_hint`, may stand beside `token` and are not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "TokenForm"))]
pub struct TokenForm<S = String> {
    /// The token, of either use (RFC 7662 section 2.1, RFC 7009 section 2.1); at most 4096 bytes. It must be there once.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_TOKEN)))]
    pub token: S,
}

/// What is known of a token (RFC 7662 section 2.2). Of a token that is not active, the answer says only that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Introspection {
    /// Whether the token may be used now. `false`: it is unknown, expired or revoked.
    pub active: bool,
    /// The client that it was issued to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub client_id: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "TokenUse"))]
    pub token_use: Option<TokenUse>,
    /// The granted scope of an access token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub scope: Option<String>,
    /// How an access token is presented.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "TokenType"))]
    pub token_type: Option<TokenType>,
    /// When it was issued, in Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "i64"))]
    pub iat: Option<i64>,
    /// When an access token expires, in Unix seconds. At this second it is no longer active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "i64"))]
    pub exp: Option<i64>,
    /// The certificate that an access token is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Confirmation"))]
    pub cnf: Option<Confirmation>,
}

impl Introspection {
    /// The answer for a token that is unknown, expired or revoked.
    pub const INACTIVE: Self = Self {
        active: false,
        client_id: None,
        token_use: None,
        scope: None,
        token_type: None,
        iat: None,
        exp: None,
        cnf: None,
    };
}

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TokenUse {
    /// An access token (RFC 6749 section 1.4).
    Access,
    /// A registration access token (RFC 7592 section 3), which lives as long as its client and has no scope, `cnf` or `exp`.
    Registration,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_token_is_asked_for_with_borrowed_text() {
        let none: &[Jti] = &[];
        let asked = NewToken {
            request_id: None,
            traceparent: None,
            client_id: "client",
            version: Some(2),
            scope: "accounts",
            expires_in: 600,
            cnf: Confirmation { certificate_thumbprint: "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2" },
            consume_jti: none,
        };
        let expected = json!({
            "client_id": "client",
            "version": 2,
            "scope": "accounts",
            "expires_in": 600,
            "cnf": { "x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2" },
            "consume_jti": [],
        });
        assert_eq!(json!(asked), expected);
        assert_eq!(json!(serde_json::from_value::<NewToken>(expected.clone()).unwrap()), expected);
    }

    #[test]
    fn of_an_inactive_token_the_answer_says_only_that() {
        assert_eq!(json!(Introspection::INACTIVE), json!({ "active": false }));
        let read = |value: Value| serde_json::from_value::<Introspection>(value);
        assert_eq!(read(json!({ "active": false })).unwrap(), Introspection::INACTIVE);
        let registration = json!({ "active": true, "client_id": "client", "token_use": "registration", "iat": 1 });
        assert_eq!(json!(read(registration.clone()).unwrap()), registration);
        assert!(read(json!({ "active": true, "surprise": 1 })).is_err());
    }

    #[test]
    fn the_form_has_one_parameter() {
        assert_eq!(json!(TokenForm { token: "t" }), json!({ "token": "t" }));
        let with_hint = json!({ "token": "t", "token_type_hint": "access_token" });
        assert_eq!(serde_json::from_value::<TokenForm>(with_hint).unwrap().token, "t");
    }
}
