//! The routes: what each takes and answers. `request` holds the bounds of what comes in, `problem` every answer that is not a
//! success.

mod observe;
mod problem;
mod request;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use serde_json::{Value, json};

use self::problem::Problem;
use self::request::{Checked, ClientId, IfMatch, Order, Orders, PrefersMinimal, TokenForm};
use crate::credential::Credential;
use crate::database::{Database, Failure};
use crate::metrics::{self, Metrics};
use crate::model::{
    ActiveToken, Client, CreatedClient, IssuedToken, Kind, NewClient, NewToken, Replacement, Software, TokenUse,
};

/// The largest body taken, in bytes.
pub const BODY_LIMIT: usize = 256 * 1024;

/// The whole API over a database. With a credential, each call under `/v1` has to show it; `/healthz`, `/readyz` and `/metrics`
/// stay open.
pub fn router(database: Database, credential: Option<Credential>) -> Router {
    let store = Arc::new(Store { database, metrics: Metrics::new(), credential });
    Router::new()
        .route("/v1/clients", post(create_clients))
        .route("/v1/clients/{client_id}", get(read_client).put(replace_client).delete(delete_client))
        .route("/v1/tokens", post(issue_tokens))
        .route("/v1/tokens/introspect", post(introspect_token))
        .route("/v1/tokens/revoke", post(revoke_token))
        .route_layer(from_fn_with_state(store.clone(), authorize))
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics_text))
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed)
        .fallback(async || Problem::NotFound)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(map_response(uncached))
        .layer(from_fn_with_state(store.metrics.clone(), observe::observe))
        .with_state(store)
}

/// A request takes the state several times over, so that it is worth one counter instead of a dozen.
type Shared = Arc<Store>;

struct Store {
    database: Database,
    metrics: Metrics,
    credential: Option<Credential>,
}

type Answer = Result<Response, Problem>;

async fn create_clients(State(store): State<Shared>, Checked(Orders(orders)): Checked<Orders<NewClient>>) -> Answer {
    let create = async |new| store.database.create_clients(new).await;
    store.do_each(Kind::Clients, orders, create, |created: CreatedClient| json!(Minimal::of(created))).await
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
    Ok((tag, minimal.of(client)).into_response())
}

async fn delete_client(State(store): State<Shared>, ClientId(client_id): ClientId) -> Answer {
    store.database.delete_client(client_id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn issue_tokens(State(store): State<Shared>, Checked(Orders(orders)): Checked<Orders<NewToken>>) -> Answer {
    let issue = async |new| store.database.issue_tokens(new).await;
    let tell = |IssuedToken { client_id, access_token, scope, expires_in }| {
        json!({
            "client_id": client_id,
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": expires_in,
            "scope": scope,
        })
    };
    store.do_each(Kind::Tokens, orders, issue, tell).await
}

impl Store {
    /// Does each order for itself, as if it had come alone: what becomes of one says nothing about the others. Those that can be done go
    /// to the database together; the others have their outcome already.
    async fn do_each<N, D>(
        &self,
        kind: Kind,
        orders: Vec<Order<N>>,
        all: impl AsyncFnOnce(Vec<N>) -> Result<Vec<Result<D, Failure>>, Failure>,
        tell: impl Fn(D) -> Value,
    ) -> Answer {
        let mut new = Vec::with_capacity(orders.len());
        let checked = |order: Order<N>| (order.request_id, order.new.map(|one| new.push(one)));
        let orders: Vec<(Option<String>, Result<(), Problem>)> = orders.into_iter().map(checked).collect();
        let mut done = all(new).await?.into_iter();
        let told = orders.into_iter().map(|(request_id, order)| {
            let next = |()| done.next().map_or(Err(Failure::Closed.into()), |done| done.map_err(Problem::from));
            let (status, mut told) = match order.and_then(next) {
                Ok(done) => (StatusCode::CREATED, tell(done)),
                Err(problem) => problem.told(),
            };
            if let Some(members) = told.as_object_mut() {
                members.insert("status".to_owned(), status.as_u16().into());
            }
            self.metrics.ordered(kind, status.as_u16());
            tracing::info!(request_id, status = status.as_u16(), "{}", kind.one());
            told
        });
        let told: Vec<Value> = told.collect();
        Ok(Json(json!({ kind.name(): told })).into_response())
    }
}

async fn introspect_token(State(store): State<Shared>, TokenForm(token): TokenForm) -> Answer {
    let body = match store.database.introspect(&token).await? {
        Some(ActiveToken { client_id, issued_at, token_use: TokenUse::Registration }) => json!({
            "active": true,
            "client_id": client_id,
            "token_use": "registration",
            "iat": issued_at,
        }),
        Some(ActiveToken {
            client_id,
            issued_at,
            token_use: TokenUse::Access { scope, certificate_thumbprint, expires_at },
        }) => json!({
            "active": true,
            "client_id": client_id,
            "token_use": "access",
            "scope": scope,
            "token_type": "Bearer",
            "iat": issued_at,
            "exp": expires_at,
            "cnf": { "x5t#S256": certificate_thumbprint },
        }),
        None => json!({ "active": false }),
    };
    Ok(Json(body).into_response())
}

async fn revoke_token(State(store): State<Shared>, TokenForm(token): TokenForm) -> Answer {
    store.database.revoke(&token).await?;
    Ok(Json(json!({})).into_response())
}

async fn alive() -> Response {
    Json(json!({ "status": "alive" })).into_response()
}

async fn ready(State(store): State<Shared>) -> Answer {
    store.database.ready().await?;
    Ok(Json(json!({ "status": "ready" })).into_response())
}

/// The counters are worth reading while the database fails, so the gauges then keep what they last showed.
async fn metrics_text(State(store): State<Shared>) -> Response {
    match store.database.counts().await {
        Ok(counts) => store.metrics.kept(counts),
        Err(failure) => tracing::warn!(%failure, "counting for /metrics failed"),
    }
    match store.metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// A client as read and update answer it.
fn described(client: &Client) -> Response {
    (etag(client), Json(client)).into_response()
}

/// What is told of a client that was just written to whoever wrote it: what that one does not know already, and whose it is.
#[derive(Serialize)]
struct Minimal {
    client_id: String,
    client_id_issued_at: i64,
    version: i64,
    software: Software,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_access_token: Option<String>,
}

impl Minimal {
    fn of(CreatedClient { client, registration_access_token }: CreatedClient) -> Self {
        let Client { client_id, client_id_issued_at, version, software, .. } = client;
        Self { client_id, client_id_issued_at, version, software, registration_access_token }
    }
}

impl PrefersMinimal {
    /// What is told of a client that was updated: all of it, or no more than has to be (RFC 7240 section 4.2).
    fn of(self, client: Client) -> Response {
        if !self.0 {
            return Json(client).into_response();
        }
        let told = Minimal::of(CreatedClient { client, registration_access_token: None });
        ([("preference-applied", "return=minimal")], Json(told)).into_response()
    }
}

/// A client's version as entity tag.
fn etag(client: &Client) -> [(header::HeaderName, String); 1] {
    [(header::ETAG, format!("\"{}\"", client.version))]
}

async fn authorize(State(store): State<Shared>, request: Request, next: Next) -> Answer {
    match &store.credential {
        Some(credential) if !credential.is_shown_in(request.headers()) => Err(Problem::Unauthorized),
        _ => Ok(next.run(request).await),
    }
}

/// Tokens must not be cached (RFC 6749 section 5.1), and the rest is stale as soon as it is read.
async fn uncached(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
