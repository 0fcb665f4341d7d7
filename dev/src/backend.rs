//! What stands behind the gateway in development: it answers every request with what reached it, and remembers it.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Json;
use dcr_parties::background::Background;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::Error;

/// A running backend on a thread of its own. Dropping it ends it.
pub struct Backend {
    port: u16,
    seen: Arc<Mutex<Vec<Value>>>,
    _server: Background,
}

impl Backend {
    /// Listens on `address` (plain HTTP/1.1 and HTTP/2); port 0 takes a free one.
    pub fn start(address: SocketAddr) -> Result<Self, Error> {
        let listener = TcpListener::bind(address).map_err(|source| dcr_parties::Error::Listen { address, source })?;
        let local = listener.local_addr().map_err(|source| dcr_parties::Error::Listen { address, source })?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let app = axum::Router::new().fallback(echo).with_state(seen.clone());
        let server = Background::spawn("backend", move || async move {
            let served = async {
                listener.set_nonblocking(true)?;
                axum::serve(tokio::net::TcpListener::from_std(listener)?, app).await
            };
            if let Err(error) = served.await {
                eprintln!("the backend stopped: {error}");
            }
        })?;
        Ok(Self { port: local.port(), seen, _server: server })
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Every request whose headers have reached the backend, oldest first: `method`, `path` (with the query), `headers` (an object of
    /// arrays), `body_bytes` and `body_sha256`.
    pub fn requests(&self) -> Vec<Value> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn echo(
    State(seen): State<Arc<Mutex<Vec<Value>>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Json<Value> {
    let mut fields = serde_json::Map::new();
    for (name, value) in &headers {
        let values = fields.entry(name.as_str()).or_insert_with(|| json!([]));
        if let Some(values) = values.as_array_mut() {
            values.push(String::from_utf8_lossy(value.as_bytes()).into());
        }
    }
    // A body that broke off counts as none; that it was begun is what the entry tells.
    let body = body.unwrap_or_default();
    let request = json!({
        "method": method.as_str(),
        "path": uri.path_and_query().map_or("", |path| path.as_str()),
        "headers": fields,
        "body_bytes": body.len(),
        "body_sha256": sha256(&body),
    });
    seen.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
    Json(json!({ "backend": "echo", "request": request }))
}

/// SHA-256 in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
