//! The routes of the API, with what each accepts and answers. `request` checks what comes in. `problem` makes every answer that is not a
//! success.

mod observe;
mod problem;
mod readiness;
mod request;

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use dcr_store_protocol::bounds::MAX_BODY;
use dcr_store_protocol::{self as protocol, Clients, Introspection, RETURN_MINIMAL, Reply, Tokens, entity_tag, path};
use serde_json::json;

use self::observe::Observers;
use self::problem::Problem;
use self::readiness::Readiness;
use self::request::{Batch, BatchItem, Checked, ClientId, IfMatch, Origin, PrefersMinimal, TokenForm};
use crate::clock::Clock;
use crate::credential::Credential;
use crate::database::{Database, Failure, Refusal};
use crate::metrics::{self, Metrics};
use crate::model::{
    ActiveToken, Client, Confirmation, Kind, NewClient, NewToken, Replacement, TokenType, TokenUse, WrittenClient,
};
use crate::spans::{self, Spans};

/// The whole API over a database. With a credential, each call under `/v1` must present it. `/healthz`, `/readyz` and `/metrics` stay open.
/// `clock` is only shown in the metrics.
pub fn router(database: Database, clock: Clock, credential: Option<Credential>, spans: Spans) -> Router {
    let readiness = Readiness::of(database.clone());
    let metrics = Metrics::new();
    let observers = Observers { metrics: metrics.clone(), spans: spans.clone() };
    let store = Arc::new(Store { database, readiness, metrics, spans, clock, credential });
    Router::new()
        .route(path::CLIENTS, post(create_clients))
        .route(path::CLIENT, get(read_client).put(replace_client).delete(delete_client))
        .route(path::TOKENS, post(issue_tokens))
        .route(path::INTROSPECT, post(introspect_token))
        .route(path::REVOKE, post(revoke_token))
        .route_layer(from_fn_with_state(store.clone(), authorize))
        .route(path::HEALTH, get(alive))
        .route(path::READY, get(ready))
        .route(path::METRICS, get(metrics_text))
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed)
        .fallback(async || Problem::NotFound)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(map_response(uncached))
        .layer(from_fn_with_state(observers, observe::observe))
        .with_state(store)
}

/// A request clones the state several times. With one `Arc`, a clone changes one counter instead of one for each member.
type Shared = Arc<Store>;

struct Store {
    database: Database,
    readiness: Readiness,
    metrics: Metrics,
    spans: Spans,
    clock: Clock,
    credential: Option<Credential>,
}

type Answer = Result<Response, Problem>;

async fn create_clients(State(store): State<Shared>, Checked(batch): Checked<Batch<NewClient>>) -> Answer {
    let create = async |new| store.database.create_clients(new).await;
    let clients = store.reply_to_each(Kind::Clients, batch, create).await?;
    Ok(Json(Clients { clients }).into_response())
}

async fn read_client(State(store): State<Shared>, ClientId(client_id): ClientId) -> Answer {
    Ok(described(&store.database.client(client_id).await?))
}

async fn replace_client(
    State(store): State<Shared>,
    ClientId(client_id): ClientId,
    IfMatch(version): IfMatch,
    minimal: PrefersMinimal,
    Checked(new): Checked<Replacement>,
) -> Answer {
    let client = store.database.replace_client(client_id, version, new).await?;
    let tag = etag(&client);
    Ok((tag, minimal.body(client)).into_response())
}

async fn delete_client(State(store): State<Shared>, ClientId(client_id): ClientId) -> Answer {
    store.database.delete_client(client_id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn issue_tokens(State(store): State<Shared>, Checked(batch): Checked<Batch<NewToken>>) -> Answer {
    let issue = async |new| store.database.issue_tokens(new).await;
    let tokens = store.reply_to_each(Kind::Tokens, batch, issue).await?;
    Ok(Json(Tokens { tokens }).into_response())
}

impl Store {
    /// Handles each item as if it had come alone. The items that are valid go to the database together. For the others the reply is known
    /// already.
    async fn reply_to_each<N, D>(
        &self,
        kind: Kind,
        Batch(items): Batch<N>,
        all: impl AsyncFnOnce(Vec<N>) -> Result<Vec<Result<D, Refusal>>, Failure>,
    ) -> Result<Vec<Reply<D>>, Problem> {
        let started = SystemTime::now();
        let mut new = Vec::with_capacity(items.len());
        let checked = |item: BatchItem<N>| (item.origin, item.new.map(|one| new.push(one)));
        let items: Vec<(Origin, Result<(), Problem>)> = items.into_iter().map(checked).collect();
        let mut done = all(new).await?.into_iter();
        let replies = items.into_iter().map(|(origin, item)| {
            let next = |()| done.next().ok_or(Failure::Closed)?.map_err(|refusal| Failure::from(refusal).into());
            let reply = match item.and_then(next) {
                Ok(done) => Reply::made(done),
                Err(problem) => problem.into_reply(),
            };
            self.metrics.batch_item(kind, reply.status);
            self.tell(kind, &origin, reply.status, started);
            reply
        });
        Ok(replies.collect())
    }
}

impl Store {
    /// Logs one item of a batch, and writes its span.
    fn tell(&self, kind: Kind, Origin { request_id, traceparent }: &Origin, status: u16, started: SystemTime) {
        let trace_id = traceparent.as_deref().and_then(spans::trace_id);
        tracing::info!(request_id, trace_id, status, "{}", kind.singular());
        // Without a trace of its own it is told by the span of the whole request.
        if traceparent.is_none() {
            return;
        }
        if let Some(mut span) = self.spans.begin(kind.singular().to_owned(), traceparent.as_deref(), started) {
            span.set_status(status);
            if let Some(request_id) = request_id {
                span.set_text("dcr.request_id", request_id.as_str());
            }
        }
    }
}

async fn introspect_token(State(store): State<Shared>, TokenForm(token): TokenForm) -> Answer {
    let known = store.database.introspect(&token).await?;
    Ok(Json(known.map_or(Introspection::INACTIVE, introspection)).into_response())
}

fn introspection(ActiveToken { client_id, issued_at, token_use }: ActiveToken) -> Introspection {
    let active =
        Introspection { active: true, client_id: Some(client_id), iat: Some(issued_at), ..Introspection::INACTIVE };
    match token_use {
        TokenUse::Registration => Introspection { token_use: Some(protocol::TokenUse::Registration), ..active },
        TokenUse::Access { scope, certificate_thumbprint, expires_at } => Introspection {
            token_use: Some(protocol::TokenUse::Access),
            scope: Some(scope),
            token_type: Some(TokenType::Bearer),
            exp: Some(expires_at),
            cnf: Some(Confirmation { certificate_thumbprint }),
            ..active
        },
    }
}

async fn revoke_token(State(store): State<Shared>, TokenForm(token): TokenForm) -> Answer {
    store.database.revoke(&token).await?;
    Ok(Json(json!({})).into_response())
}

async fn alive() -> Response {
    Json(json!({ "status": "alive" })).into_response()
}

async fn ready(State(store): State<Shared>) -> Answer {
    store.readiness.check().await?;
    Ok(Json(json!({ "status": "ready" })).into_response())
}

/// The counters are useful while the database fails. The gauges then keep their last values.
async fn metrics_text(State(store): State<Shared>) -> Response {
    match store.database.counts().await {
        Ok(counts) => store.metrics.kept(counts),
        Err(failure) => tracing::warn!(%failure, "counting for /metrics failed"),
    }
    store.metrics.waiting(store.database.waiting());
    store.metrics.time(&store.clock);
    match store.metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// A client, as read and update answer it.
fn described(client: &Client) -> Response {
    (etag(client), Json(client)).into_response()
}

impl PrefersMinimal {
    /// The body for an updated client: the whole client, or only the necessary members (RFC 7240 section 4.2).
    fn body(self, client: Client) -> Response {
        if !self.0 {
            return Json(client).into_response();
        }
        ([("preference-applied", RETURN_MINIMAL)], Json(WrittenClient::from(client))).into_response()
    }
}

/// The version of a client as an entity tag.
fn etag(client: &Client) -> [(header::HeaderName, String); 1] {
    [(header::ETAG, entity_tag(client.version))]
}

async fn authorize(State(store): State<Shared>, request: Request, next: Next) -> Answer {
    match &store.credential {
        Some(credential) if !credential.is_shown_in(request.headers()) => Err(Problem::Unauthorized),
        _ => Ok(next.run(request).await),
    }
}

/// Tokens must not be cached (RFC 6749 section 5.1). The other answers are out of date as soon as they are read.
async fn uncached(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
