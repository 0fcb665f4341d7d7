//! Several clients or tokens in one request. The answer has a reply for each of them, in the same order.

use serde::{Deserialize, Serialize};

#[cfg(feature = "schema")]
use crate::bounds::MAX_BATCH;
use crate::error::ErrorBody;
use crate::path;

/// What a request can ask for several of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Registrations.
    Clients,
    /// Access tokens.
    Tokens,
}

impl Kind {
    /// The path of the request.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Clients => path::CLIENTS,
            Self::Tokens => path::TOKENS,
        }
    }

    /// The name of the list, in the request and in the answer.
    #[must_use]
    pub const fn member(self) -> &'static str {
        match self {
            Self::Clients => "clients",
            Self::Tokens => "tokens",
        }
    }

    /// The word for one of them, as the store's log has it.
    #[must_use]
    pub const fn singular(self) -> &'static str {
        match self {
            Self::Clients => "client",
            Self::Tokens => "token",
        }
    }
}

/// Several clients: the body of the request and of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "{T}Batch"))]
#[serde(deny_unknown_fields)]
pub struct Clients<T> {
    /// 1 to 64 of them. Each is handled as if it had come alone.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_BATCH)))]
    pub clients: Vec<T>,
}

/// Several tokens: the body of the request and of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "{T}Batch"))]
#[serde(deny_unknown_fields)]
pub struct Tokens<T> {
    /// 1 to 64 of them. Each is handled as if it had come alone.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_BATCH)))]
    pub tokens: Vec<T>,
}

/// What became of one client or token: the body that an answer of its own would have had, with the status as a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "{T}Reply"))]
pub struct Reply<T> {
    /// What was made, or why it was refused.
    #[serde(flatten)]
    pub outcome: Outcome<T>,
    /// 201 when it was made, or a status of the error.
    pub status: u16,
}

/// What was made, or why it was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "{T}Outcome"))]
#[serde(untagged)]
pub enum Outcome<T> {
    /// It was made.
    Made(T),
    /// It was refused, and nothing of it has happened.
    Refused(ErrorBody),
}

impl<T> Reply<T> {
    /// The reply for what was made: status 201.
    pub const fn made(made: T) -> Self {
        Self { outcome: Outcome::Made(made), status: 201 }
    }

    /// The reply for what was refused.
    pub const fn refused(status: u16, error: ErrorBody) -> Self {
        Self { outcome: Outcome::Refused(error), status }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Confirmation, ErrorCode, IssuedToken, TokenType};

    #[test]
    fn a_reply_is_the_body_with_its_status() {
        let token = IssuedToken {
            client_id: "client".to_owned(),
            access_token: "token".to_owned(),
            token_type: TokenType::Bearer,
            expires_in: 600,
            scope: "accounts".to_owned(),
            cnf: Confirmation { certificate_thumbprint: "thumbprint".to_owned() },
        };
        let refused =
            ErrorBody { error: ErrorCode::Replayed, error_description: "used before".to_owned(), replayed: Some(1) };
        let tokens = Tokens { tokens: vec![Reply::made(token), Reply::refused(409, refused)] };
        let text = serde_json::to_string(&tokens).unwrap();
        assert_eq!(
            text,
            r#"{"tokens":[{"client_id":"client","access_token":"token","token_type":"Bearer","expires_in":600,"scope":"accounts","cnf":{"x5t#S256":"thumbprint"},"status":201},{"error":"replayed","error_description":"used before","replayed":1,"status":409}]}"#
        );
        assert_eq!(serde_json::from_str::<Tokens<Reply<IssuedToken>>>(&text).unwrap(), tokens);
    }

    #[test]
    fn the_list_has_the_name_that_the_path_ends_with() {
        assert_eq!(json!(Clients { clients: [0].to_vec() }), json!({ Kind::Clients.member(): [0] }));
        assert_eq!(json!(Tokens { tokens: [0].to_vec() }), json!({ Kind::Tokens.member(): [0] }));
        for kind in [Kind::Clients, Kind::Tokens] {
            assert_eq!(kind.path(), format!("/v1/{}", kind.member()));
        }
    }
}
