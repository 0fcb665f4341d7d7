//! The backend behind the gateway in development. It answers every request with a description of it, and records it.

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

/// A running backend on its own thread. It stops when it is dropped.
pub struct Backend {
    port: u16,
    seen: Arc<Mutex<Vec<Value>>>,
    _server: Background,
}

impl Backend {
    /// Listens on `address` (plain HTTP/1.1 and HTTP/2). With port 0 it uses a free port.
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

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// All requests whose headers have reached the backend, oldest first: `method`, `path` (with the query), `headers` (an object of
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
    // A body that broke off counts as empty. The entry shows that the request reached the backend.
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

/// The SHA-256 digest in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
