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
use self::request::{Checked, ClientId, IfMatch, PrefersMinimal, TokenForm, TokenOrders};
use crate::credential::Credential;
use crate::database::{Database, Failure};
use crate::metrics::{self, Metrics};
use crate::model::{ActiveToken, Client, CreatedClient, IssuedToken, NewClient, NewToken, Replacement, TokenUse};

/// The largest body taken, in bytes.
pub const BODY_LIMIT: usize = 256 * 1024;

/// The whole API over a database. With a credential, each call under `/v1` has to show it; `/healthz`, `/readyz` and `/metrics`
/// stay open.
pub fn router(database: Database, credential: Option<Credential>) -> Router {
    let store = Arc::new(Store { database, metrics: Metrics::new(), credential });
    Router::new()
        .route("/v1/clients", post(create_client))
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

async fn create_client(
    State(store): State<Shared>,
    minimal: PrefersMinimal,
    Checked(new): Checked<NewClient>,
) -> Answer {
    let created = store.database.create_client(new).await?;
    let tag = etag(&created.client);
    Ok((StatusCode::CREATED, tag, minimal.of(created)).into_response())
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
    Ok((tag, minimal.of(client.into())).into_response())
}

async fn delete_client(State(store): State<Shared>, ClientId(client_id): ClientId) -> Answer {
    store.database.delete_client(client_id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Each for itself, as if it had come alone: what becomes of one says nothing about the others.
async fn issue_tokens(State(store): State<Shared>, Checked(TokenOrders(orders)): Checked<TokenOrders>) -> Answer {
    let (request_ids, new): (Vec<_>, Vec<_>) = orders.into_iter().map(|order| (order.request_id, order.new)).unzip();
    let told = request_ids.into_iter().zip(issue_each(&store.database, new).await?);
    let told: Vec<Value> = told.map(|(request_id, outcome)| store.tell(request_id.as_deref(), outcome)).collect();
    Ok(Json(json!({ "tokens": told })).into_response())
}

/// Those that can be issued go to the database together; the others have their outcome already.
async fn issue_each(
    database: &Database,
    every: Vec<Result<NewToken, Problem>>,
) -> Result<Vec<Result<IssuedToken, Problem>>, Problem> {
    let mut asked = Vec::new();
    let outcomes: Vec<Result<(), Problem>> = every.into_iter().map(|new| new.map(|new| asked.push(new))).collect();
    let mut issued = database.issue_tokens(asked).await?.into_iter();
    let each = |outcome: Result<(), Problem>| {
        outcome.and_then(|()| issued.next().map_or(Err(Failure::Closed.into()), |issued| issued.map_err(Problem::from)))
    };
    Ok(outcomes.into_iter().map(each).collect())
}

impl Store {
    /// What is told of one token, in the answer, in the log and in the metrics.
    fn tell(&self, request_id: Option<&str>, outcome: Result<IssuedToken, Problem>) -> Value {
        let (status, told) = match outcome {
            Ok(IssuedToken { client_id, access_token, scope, expires_in }) => {
                let told = json!({
                    "status": 201,
                    "client_id": client_id,
                    "access_token": access_token,
                    "token_type": "Bearer",
                    "expires_in": expires_in,
                    "scope": scope,
                });
                (StatusCode::CREATED, told)
            }
            Err(problem) => problem.among_others(),
        };
        self.metrics.token(status.as_u16());
        tracing::info!(request_id, status = status.as_u16(), "token");
        told
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

/// A client without what whoever wrote it has sent.
#[derive(Serialize)]
struct Minimal {
    client_id: String,
    client_id_issued_at: i64,
    version: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_access_token: Option<String>,
}

impl PrefersMinimal {
    /// What is told of a client that was written: all of it, or what whoever wrote it does not know already (RFC 7240 section 4.2).
    fn of(self, written: CreatedClient) -> Response {
        if !self.0 {
            return Json(written).into_response();
        }
        let CreatedClient { client: Client { client_id, client_id_issued_at, version, .. }, registration_access_token } =
            written;
        let told = Minimal { client_id, client_id_issued_at, version, registration_access_token };
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
