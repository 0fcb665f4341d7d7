//! Every answer that is not a success, and the one place that makes it: `{"error": …, "error_description": …}`, for a replay with
//! `"replayed": …` beside it.
//!
//! Descriptions are written here or are a [`Refusal`]'s own words; they never repeat what the caller sent nor what the database
//! said.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::database::{Failure, Refusal};

/// Why a request is not answered with success.
#[derive(Debug)]
pub(super) enum Problem {
    /// The request is not one this operation takes; says what it takes.
    Invalid(&'static str),
    /// The body is not of the media type named.
    UnsupportedMediaType(&'static str),
    /// The body is larger than the limit.
    BodyTooLarge,
    /// The body did not arrive in time.
    BodyTooSlow,
    /// No credential, or another one.
    Unauthorized,
    /// An update without `If-Match`.
    PreconditionRequired,
    /// No such route.
    NotFound,
    /// The route is there, the method is not.
    MethodNotAllowed,
    /// The database's answer was a failure or a refusal.
    Failed(Failure),
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        match self {
            Self::Invalid(description) => answer(StatusCode::BAD_REQUEST, "invalid_request", description),
            Self::UnsupportedMediaType(expected) => {
                answer(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid_request", expected)
            }
            Self::BodyTooLarge => {
                answer(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request", "the body may be 256 KiB at most")
            }
            Self::BodyTooSlow => {
                answer(StatusCode::REQUEST_TIMEOUT, "invalid_request", "the body did not arrive within 5 seconds")
            }
            Self::Unauthorized => with_header(
                answer(
                    StatusCode::UNAUTHORIZED,
                    "unauthorized",
                    "send `Authorization: Bearer` with the content of the store's credential file",
                ),
                header::WWW_AUTHENTICATE,
                "Bearer",
            ),
            Self::PreconditionRequired => answer(
                StatusCode::PRECONDITION_REQUIRED,
                "precondition_required",
                "send `If-Match` with the ETag of the version you read",
            ),
            Self::NotFound => answer(StatusCode::NOT_FOUND, "not_found", "there is no such route"),
            Self::MethodNotAllowed => {
                answer(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this route does not take this method")
            }
            Self::Failed(Failure::Refused(refusal)) => refused(refusal),
            Self::Failed(failure) => unavailable(&failure),
        }
    }
}

fn refused(refusal: Refusal) -> Response {
    let (status, error) = match refusal {
        Refusal::UnknownClient => (StatusCode::NOT_FOUND, "unknown_client"),
        Refusal::Replayed { .. } => (StatusCode::CONFLICT, "replayed"),
        Refusal::DuplicateSoftware => (StatusCode::CONFLICT, "duplicate_software"),
        Refusal::SoftwareMismatch => (StatusCode::CONFLICT, "software_mismatch"),
        Refusal::VersionMismatch => (StatusCode::PRECONDITION_FAILED, "version_mismatch"),
        Refusal::JtiExpired | Refusal::JtiTooFarAhead => (StatusCode::BAD_REQUEST, "invalid_request"),
    };
    let description = refusal.to_string();
    match refusal {
        Refusal::Replayed { index } => {
            let body = json!({ "error": error, "error_description": description, "replayed": index });
            (status, Json(body)).into_response()
        }
        _ => answer(status, error, &description),
    }
}

fn unavailable(failure: &Failure) -> Response {
    tracing::error!(%failure, "an operation failed and was undone");
    with_header(
        answer(
            StatusCode::SERVICE_UNAVAILABLE,
            "temporarily_unavailable",
            "the store cannot do this now; nothing was changed, try again",
        ),
        header::RETRY_AFTER,
        "1",
    )
}

fn answer(status: StatusCode, error: &str, description: &str) -> Response {
    (status, Json(json!({ "error": error, "error_description": description }))).into_response()
}

fn with_header(mut response: Response, name: header::HeaderName, value: &'static str) -> Response {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}
