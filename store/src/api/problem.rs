//! Every answer that is not a success is made here: an [`ErrorBody`] with its status.
//!
//! Descriptions are fixed texts of this module or of a [`Refusal`]. They never repeat what the caller or the database said.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use dcr_store_protocol::{ErrorBody, ErrorCode, Reply};

use crate::database::{Failure, Refusal};
use crate::metrics::NOT_READY;

/// Why a request is not answered with success.
#[derive(Debug)]
pub(super) enum Problem {
    /// The request is not valid for this operation. The text says what the operation accepts.
    Invalid(&'static str),
    /// The body does not have this media type.
    UnsupportedMediaType(&'static str),
    /// The body is larger than the limit.
    BodyTooLarge,
    /// The body did not arrive in time.
    BodyTooSlow,
    /// The credential is missing or wrong.
    Unauthorized,
    /// The update has no `If-Match`.
    PreconditionRequired,
    /// No route has this path.
    NotFound,
    /// The route exists, but it does not accept this method.
    MethodNotAllowed,
    /// A write that proves the readiness failed. The failure is in the log already, once for all that ask.
    NotReady,
    /// The database failed or refused the operation.
    Failed(Failure),
}

/// The cause of an answer that is a failure of the store, in one word. It goes with the answer to where requests are observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cause(pub(super) &'static str);

/// Logs nothing: code may build a problem and then not use it. [`Problem::log`] is called where the answer is made.
impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Problem {
    /// Its status.
    fn status(&self) -> u16 {
        match self {
            Self::UnsupportedMediaType(_) => 415,
            Self::BodyTooLarge => 413,
            Self::BodyTooSlow => 408,
            _ => self.code().status(),
        }
    }

    /// The reply for one item of a batch.
    pub(super) fn into_reply<T>(self) -> Reply<T> {
        self.log();
        Reply::refused(self.status(), self.body())
    }

    /// The cause, if the failure lies with the store.
    fn cause(&self) -> Option<Cause> {
        match self {
            Self::NotReady => Some(Cause(NOT_READY)),
            Self::Failed(failure) => failure.cause().map(Cause),
            _ => None,
        }
    }

    /// Logs a failure that lies with the store. What lies with the caller is in the line of the request.
    fn log(&self) {
        match self {
            Self::Failed(Failure::Refused(_)) => {}
            Self::Failed(failure) => tracing::error!(%failure, "an operation failed and was undone"),
            _ => {}
        }
    }

    fn body(&self) -> ErrorBody {
        let replayed = match self {
            Self::Failed(Failure::Refused(Refusal::Replayed { index })) => Some(*index),
            _ => None,
        };
        ErrorBody { error: self.code(), error_description: self.description(), replayed }
    }

    fn code(&self) -> ErrorCode {
        match self {
            Self::Invalid(_) | Self::UnsupportedMediaType(_) | Self::BodyTooLarge | Self::BodyTooSlow => {
                ErrorCode::InvalidRequest
            }
            Self::Unauthorized => ErrorCode::Unauthorized,
            Self::PreconditionRequired => ErrorCode::PreconditionRequired,
            Self::NotFound => ErrorCode::NotFound,
            Self::MethodNotAllowed => ErrorCode::MethodNotAllowed,
            Self::Failed(Failure::Refused(refusal)) => code_of(*refusal),
            Self::NotReady | Self::Failed(_) => ErrorCode::TemporarilyUnavailable,
        }
    }

    fn description(&self) -> String {
        let text = match self {
            Self::Invalid(description) | Self::UnsupportedMediaType(description) => description,
            Self::BodyTooLarge => "the body may be 256 KiB at most",
            Self::BodyTooSlow => "the body did not arrive within 5 seconds",
            Self::Unauthorized => "send `Authorization: Bearer` with the content of the store's credential file",
            Self::PreconditionRequired => "send `If-Match` with the ETag of the version you read",
            Self::NotFound => "there is no such route",
            Self::MethodNotAllowed => "this route does not take this method",
            Self::Failed(Failure::Refused(refusal)) => return refusal.to_string(),
            Self::NotReady => "the database cannot be written to",
            Self::Failed(_) => "the store cannot do this now; nothing was changed, try again",
        };
        text.to_owned()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.log();
        let status = StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self.body())).into_response();
        if let Some(cause) = self.cause() {
            response.extensions_mut().insert(cause);
        }
        match status {
            StatusCode::UNAUTHORIZED => with_header(response, header::WWW_AUTHENTICATE, "Bearer"),
            StatusCode::SERVICE_UNAVAILABLE => with_header(response, header::RETRY_AFTER, "1"),
            _ => response,
        }
    }
}

fn code_of(refusal: Refusal) -> ErrorCode {
    match refusal {
        Refusal::UnknownClient => ErrorCode::UnknownClient,
        Refusal::Replayed { .. } => ErrorCode::Replayed,
        Refusal::DuplicateSoftware => ErrorCode::DuplicateSoftware,
        Refusal::SoftwareMismatch => ErrorCode::SoftwareMismatch,
        Refusal::VersionMismatch => ErrorCode::VersionMismatch,
        Refusal::JtiExpired => ErrorCode::ClocksApart,
        Refusal::JtiTooFarAhead => ErrorCode::InvalidRequest,
    }
}

fn with_header(mut response: Response, name: header::HeaderName, value: &'static str) -> Response {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_log::TestLog;

    #[test]
    fn a_problem_is_logged_when_it_is_answered_and_not_when_it_is_built() {
        let (log, _guard) = TestLog::start();
        let built = [(); 2].map(|()| Problem::from(Failure::Closed));
        assert_eq!(log.lines(), [""; 0]);
        let [first, second] = built;
        drop(first.into_response());
        drop(second.into_reply::<()>());
        let lines = log.lines();
        assert!(lines.len() == 2 && lines.iter().all(|line| line.contains("ERROR")), "{lines:?}");
    }

    #[test]
    fn a_refusal_is_not_an_error_of_the_store() {
        let (log, _guard) = TestLog::start();
        drop(Problem::from(Failure::from(Refusal::UnknownClient)).into_response());
        assert_eq!(log.lines(), [""; 0]);
    }
}
