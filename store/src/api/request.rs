//! Reads requests and checks their bounds. Each extractor here yields a value that the database can use unchanged, or a [`Problem`].

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use dcr_store_protocol::bounds::{
    MAX_BATCH, MAX_JTI, MAX_JTI_COUNT, MAX_LIFETIME, MAX_SOFTWARE, MAX_TOKEN, is_client_id, is_name, is_request_id,
    is_scope, is_thumbprint, is_traceparent,
};
use dcr_store_protocol::{self as protocol, Clients, RETURN_MINIMAL, Tokens, version_of_entity_tag};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::problem::Problem;
use crate::database::Refusal;
use crate::model::{Jti, NewClient, NewToken, Record, Replacement, Software};

/// The longest time in which a body must arrive, because a graceful stop waits for it.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// The `client_id` in the path. An id that the store cannot have made is unknown.
pub(super) struct ClientId(pub(super) String);

/// The version in `If-Match`: one entity tag, in the form that the store writes (RFC 9110 section 13.1.1).
pub(super) struct IfMatch(pub(super) i64);

/// Whether the caller wants only what it does not know yet: `Prefer: return=minimal` (RFC 7240 section 4.2).
pub(super) struct PrefersMinimal(pub(super) bool);

/// A JSON body. It is read as a shape, and checks turn it into a `T`.
pub(super) struct Checked<T>(pub(super) T);

/// The `token` parameter of a form (RFC 7662 section 2.1, RFC 7009 section 2.1).
pub(super) struct TokenForm(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for ClientId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(client_id) = Path::<String>::from_request_parts(parts, state).await.map_err(|_| unknown_client())?;
        if is_client_id(&client_id) { Ok(Self(client_id)) } else { Err(unknown_client()) }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PrefersMinimal {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let preferences = parts.headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
        let mut preferences = preferences.flat_map(|value| value.split(',')).map(str::trim);
        Ok(Self(preferences.any(|preference| preference.eq_ignore_ascii_case(RETURN_MINIMAL))))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let malformed = Problem::Invalid("`If-Match` must be one entity tag as the store's ETag shows it, like \"3\"");
        let mut values = parts.headers.get_all(header::IF_MATCH).iter();
        let Some(value) = values.next() else { return Err(Problem::PreconditionRequired) };
        if values.next().is_some() {
            return Err(malformed);
        }
        value.to_str().ok().and_then(version_of_entity_tag).map(Self).ok_or(malformed)
    }
}

impl<S: Send + Sync, T: FromBody> FromRequest<S> for Checked<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        expect_media_type(request.headers(), "application/json", "the body must be `application/json`")?;
        let body = read_body(request, state).await?;
        let shape = serde_json::from_slice(&body).map_err(|_| Problem::Invalid(T::TAKES))?;
        T::check(shape).map(Self)
    }
}

impl<S: Send + Sync> FromRequest<S> for TokenForm {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        const FORM: &str = "application/x-www-form-urlencoded";
        expect_media_type(request.headers(), FORM, "the body must be `application/x-www-form-urlencoded`")?;
        let body = read_body(request, state).await?;
        let mut tokens = form_urlencoded::parse(&body).filter(|(name, _)| name == "token").map(|(_, value)| value);
        match (tokens.next(), tokens.next()) {
            (Some(token), None) if (1..=MAX_TOKEN).contains(&token.len()) => Ok(Self(token.into_owned())),
            _ => Err(Problem::Invalid("the form must hold the parameter `token` once, 1 to 4096 bytes long")),
        }
    }
}

/// A value that is sent as a JSON body.
pub(super) trait FromBody: Sized {
    /// The JSON in the form that is sent.
    type Shape: DeserializeOwned;
    /// The expected form of the body, for callers that sent another one.
    const TAKES: &'static str;
    /// Checks what the type of the shape cannot express.
    fn check(shape: Self::Shape) -> Result<Self, Problem>;
}

impl FromBody for Replacement {
    type Shape = protocol::Replacement<Box<RawValue>>;
    const TAKES: &'static str = "the body must be a JSON object with exactly `software` ({`issuer`, `id`}), \
        `consume_jti` (a list of {`issuer`, `jti`, `expires_at`}) and `record` (an object)";

    fn check(shape: Self::Shape) -> Result<Self, Problem> {
        let protocol::Replacement { software, consume_jti, record } = shape;
        check_software(&software)?;
        check_jti(&consume_jti)?;
        let record = Record::of_body(record).ok_or(Problem::Invalid(Self::TAKES))?;
        Ok(Self { software, consume_jti, record })
    }
}

/// The requests of several callers of a gateway, in one request. Each item is read on its own, so a fault in one does not affect the
/// others.
pub(super) struct Batch<T>(pub(super) Vec<BatchItem<T>>);

/// One item of a batch.
pub(super) struct BatchItem<T> {
    /// The request of the gateway's caller.
    pub(super) origin: Origin,
    /// The request, or the problem with it.
    pub(super) new: Result<T, Problem>,
}

/// What names a request of the gateway's caller in the log and in its trace. A malformed text is left out.
#[derive(Default)]
pub(super) struct Origin {
    /// Its id.
    pub(super) request_id: Option<String>,
    /// The trace that it belongs to.
    pub(super) traceparent: Option<String>,
}

impl Origin {
    fn of(request_id: &mut Option<String>, traceparent: &mut Option<String>) -> Self {
        Self {
            request_id: request_id.take().filter(|id| is_request_id(id)),
            traceparent: traceparent.take().filter(|parent| is_traceparent(parent)),
        }
    }
}

/// A value that can be an item of a batch.
pub(super) trait FromItem: Sized {
    /// The JSON in the form that is sent.
    type Shape: DeserializeOwned;
    /// The expected form of an item, for callers that sent another one.
    const TAKES: &'static str;
    /// Takes what names the request out of the shape.
    fn take_origin(shape: &mut Self::Shape) -> Origin;
    /// Checks what the type of the shape cannot express.
    fn check(shape: Self::Shape) -> Result<Self, Problem>;
}

impl<T: FromItem> Batch<T> {
    fn read(texts: &[Box<RawValue>], takes: &'static str) -> Result<Self, Problem> {
        if !(1..=MAX_BATCH).contains(&texts.len()) {
            return Err(Problem::Invalid(takes));
        }
        Ok(Self(texts.iter().map(|text| BatchItem::read(text.get())).collect()))
    }
}

impl<T: FromItem> BatchItem<T> {
    fn read(text: &str) -> Self {
        match serde_json::from_str(text) {
            Ok(mut shape) => {
                let origin = T::take_origin(&mut shape);
                Self { origin, new: T::check(shape) }
            }
            Err(_) => Self { origin: Origin::default(), new: Err(Problem::Invalid(T::TAKES)) },
        }
    }
}

impl FromBody for Batch<NewClient> {
    type Shape = Clients<Box<RawValue>>;
    const TAKES: &'static str = "the body must be a JSON object with exactly `clients`, a list of 1 to 64 objects";

    fn check(Clients { clients }: Self::Shape) -> Result<Self, Problem> {
        Self::read(&clients, Self::TAKES)
    }
}

impl FromItem for NewClient {
    type Shape = protocol::NewClient<Box<RawValue>>;
    const TAKES: &'static str = "each of `clients` must be an object with exactly `software` ({`issuer`, `id`}), `single_registration` \
        (true or false), `consume_jti` (a list of {`issuer`, `jti`, `expires_at`}), `record` (an object) and, if you like, \
        `registration_access_token` (true or false), `request_id` and `traceparent` (strings)";

    fn take_origin(shape: &mut Self::Shape) -> Origin {
        Origin::of(&mut shape.request_id, &mut shape.traceparent)
    }

    fn check(shape: Self::Shape) -> Result<Self, Problem> {
        let protocol::NewClient {
            request_id,
            traceparent,
            software,
            single_registration,
            registration_access_token,
            consume_jti,
            record,
        } = shape;
        check_software(&software)?;
        check_jti(&consume_jti)?;
        let record = Record::of_body(record).ok_or(Problem::Invalid("`record` must be a JSON object"))?;
        Ok(Self {
            request_id,
            traceparent,
            software,
            single_registration,
            registration_access_token,
            consume_jti,
            record,
        })
    }
}

impl FromBody for Batch<NewToken> {
    type Shape = Tokens<Box<RawValue>>;
    const TAKES: &'static str = "the body must be a JSON object with exactly `tokens`, a list of 1 to 64 objects";

    fn check(Tokens { tokens }: Self::Shape) -> Result<Self, Problem> {
        Self::read(&tokens, Self::TAKES)
    }
}

impl FromItem for NewToken {
    type Shape = Self;
    const TAKES: &'static str = "each of `tokens` must be an object with exactly `client_id`, `scope` (strings), `expires_in` (seconds), \
        `cnf` ({`x5t#S256`}), `consume_jti` (a list of {`issuer`, `jti`, `expires_at`}) and, if you like, `version` (a number), \
        `request_id` and `traceparent` (strings)";

    fn take_origin(shape: &mut Self) -> Origin {
        Origin::of(&mut shape.request_id, &mut shape.traceparent)
    }

    fn check(shape: Self) -> Result<Self, Problem> {
        if !is_scope(&shape.scope) {
            return Err(Problem::Invalid(
                "`scope` must be scope tokens with one space between them (RFC 6749 section 3.3), 4096 bytes at most",
            ));
        }
        if !(1..=MAX_LIFETIME).contains(&shape.expires_in) {
            return Err(Problem::Invalid("`expires_in` must be 1 to 31622400 seconds (366 days)"));
        }
        // Only the form is checked. The gateway compares thumbprints, and the store returns them unchanged.
        if !is_thumbprint(&shape.cnf.certificate_thumbprint) {
            return Err(Problem::Invalid(
                "`cnf.x5t#S256` must be a SHA-256 digest as base64url without padding, 43 characters",
            ));
        }
        check_jti(&shape.consume_jti)?;
        if is_client_id(&shape.client_id) { Ok(shape) } else { Err(unknown_client()) }
    }
}

fn unknown_client() -> Problem {
    Problem::Failed(Refusal::UnknownClient.into())
}

fn check_software(software: &Software) -> Result<(), Problem> {
    if is_name(&software.issuer, MAX_SOFTWARE) && is_name(&software.id, MAX_SOFTWARE) {
        return Ok(());
    }
    Err(Problem::Invalid("`software.issuer` and `software.id` must be 1 to 512 bytes without control characters"))
}

fn check_jti(every: &[Jti]) -> Result<(), Problem> {
    if every.len() > MAX_JTI_COUNT {
        return Err(Problem::Invalid("`consume_jti` may hold 8 jti at most"));
    }
    if every.iter().all(|one| is_name(&one.issuer, MAX_JTI) && is_name(&one.jti, MAX_JTI)) {
        return Ok(());
    }
    Err(Problem::Invalid("`issuer` and `jti` in `consume_jti` must be 1 to 1024 bytes without control characters"))
}

fn expect_media_type(headers: &HeaderMap, expected: &str, otherwise: &'static str) -> Result<(), Problem> {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(Problem::UnsupportedMediaType(otherwise));
    };
    let essence = value.to_str().ok().and_then(|value| value.split(';').next()).map(str::trim);
    if essence.is_some_and(|essence| essence.eq_ignore_ascii_case(expected)) {
        return Ok(());
    }
    Err(Problem::UnsupportedMediaType(otherwise))
}

async fn read_body<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    match tokio::time::timeout(BODY_TIMEOUT, Bytes::from_request(request, state)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(rejection)) => Err(unreadable(&rejection)),
        Err(_elapsed) => Err(Problem::BodyTooSlow),
    }
}

fn unreadable(rejection: &BytesRejection) -> Problem {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return Problem::BodyTooLarge;
    }
    Problem::Invalid("the body ended before it was whole")
}
