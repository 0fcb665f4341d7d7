//! Answers that are not a success.

use serde::{Deserialize, Serialize};

/// The one table of error codes: the code, its word in `error`, and the statuses it is answered with.
macro_rules! error_codes {
    ($($(#[$doc:meta])+ $code:ident, $word:literal, [$status:literal $(, $other:literal)*];)+) => {
        /// Why the store did not do what was asked: the member `error`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum ErrorCode {
            $($(#[$doc])+ #[serde(rename = $word)] $code,)+
        }

        impl ErrorCode {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$code),+];

            /// Its word in `error`.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$code => $word,)+
                }
            }

            /// The status that it is answered with, unless one of the other [`Self::statuses`] says more.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self {
                    $(Self::$code => $status,)+
                }
            }

            /// All statuses that it is answered with.
            #[must_use]
            pub const fn statuses(self) -> &'static [u16] {
                match self {
                    $(Self::$code => &[$status $(, $other)*],)+
                }
            }
        }
    };
}

error_codes! {
    /// The request is malformed, or breaks a bound; 413: its body is too large, 415: of another media type, 408: not there in time.
    InvalidRequest, "invalid_request", [400, 408, 413, 415];
    /// A `jti` would expire in the past: the clock of the caller, or that of the store, is wrong.
    ClocksApart, "clocks_apart", [400];
    /// The credential is missing or another.
    Unauthorized, "unauthorized", [401];
    /// No client has this `client_id`.
    UnknownClient, "unknown_client", [404];
    /// No route has this path.
    NotFound, "not_found", [404];
    /// The route does not take this method.
    MethodNotAllowed, "method_not_allowed", [405];
    /// A `jti` was used before and has not expired.
    Replayed, "replayed", [409];
    /// `single_registration`, and the software has a client.
    DuplicateSoftware, "duplicate_software", [409];
    /// An update under another software than the client was created for.
    SoftwareMismatch, "software_mismatch", [409];
    /// The client is not at the version that was named.
    VersionMismatch, "version_mismatch", [412];
    /// An update without `If-Match`.
    PreconditionRequired, "precondition_required", [428];
    /// The database cannot do it now.
    TemporarilyUnavailable, "temporarily_unavailable", [503];
}

/// The body of an answer that is not a success. Nothing of what was asked has happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Error"))]
#[serde(deny_unknown_fields)]
pub struct ErrorBody<S = String> {
    /// What is wrong, for programs.
    pub error: ErrorCode,
    /// What is wrong, for people. It never repeats what was sent.
    pub error_description: S,
    /// For `replayed`: the place in `consume_jti` of the `jti` that was used before. The first is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "usize"))]
    pub replayed: Option<usize>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_code_is_written_and_read_as_its_word() {
        for code in ErrorCode::ALL {
            assert_eq!(json!(code), json!(code.word()));
            assert_eq!(serde_json::from_value::<ErrorCode>(json!(code.word())).unwrap(), *code);
            assert!(code.statuses().contains(&code.status()));
        }
        assert!(serde_json::from_value::<ErrorCode>(json!("unknown")).is_err());
    }

    #[test]
    fn only_a_replay_says_which() {
        let mut body = ErrorBody { error: ErrorCode::Replayed, error_description: "used before", replayed: Some(0) };
        assert_eq!(json!(body).to_string(), r#"{"error":"replayed","error_description":"used before","replayed":0}"#);
        body = ErrorBody { error: ErrorCode::UnknownClient, replayed: None, ..body };
        assert_eq!(json!(body).to_string(), r#"{"error":"unknown_client","error_description":"used before"}"#);
    }
}
