//! A server with registration access tokens (RFC 7592). It registers every client as `client-1`, answers a read with a new token, has no
//! access tokens, and records the requests that it receives.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum_server::tls_rustls::RustlsConfig;
use dcr_cli::background::Background;
use dcr_cli::pki::Pki;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};

pub(crate) struct Server {
    url: String,
    seen: Log,
    _server: Background,
}

/// A request that the server received.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Method and path.
    pub(crate) request: String,
    pub(crate) authorization: String,
    pub(crate) content_type: String,
    /// Null if the body is not JSON.
    pub(crate) body: Value,
}

type Log = Arc<Mutex<Vec<Seen>>>;

impl Server {
    pub(crate) fn start(pki: &Pki) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let (seen, tls) = (Log::default(), RustlsConfig::from_config(Arc::new(server_config(pki))));
        let app = axum::Router::new().fallback(answer).with_state((url.clone(), seen.clone()));
        let server = Background::spawn("server", move || async move {
            axum_server::from_tcp_rustls(listener, tls).unwrap().serve(app.into_make_service()).await.unwrap();
        });
        Self { url, seen, _server: server.unwrap() }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The last request.
    pub(crate) fn seen(&self) -> Seen {
        self.seen.lock().unwrap().last().unwrap().clone()
    }
}

async fn answer(State((url, log)): State<(String, Log)>, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    let text = |name: HeaderName| head.headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let seen = Seen {
        request: format!("{} {}", head.method, head.uri.path()),
        authorization: text(header::AUTHORIZATION),
        content_type: text(header::CONTENT_TYPE),
        body: serde_json::from_slice(&to_bytes(body, 1 << 20).await.unwrap()).unwrap_or_default(),
    };
    let registration = |token: &str| {
        Json(json!({
            "client_id": "client-1",
            "registration_client_uri": format!("{url}/clients/client-1"),
            "registration_access_token": token,
        }))
    };
    let answer = match seen.request.as_str() {
        "POST /register" => (StatusCode::CREATED, registration("first")).into_response(),
        "GET /clients/client-1" => registration("second").into_response(),
        "PUT /clients/client-1" => Json(json!({ "client_id": "client-1" })).into_response(),
        "DELETE /clients/client-1" => StatusCode::NO_CONTENT.into_response(),
        _ => (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_request" }))).into_response(),
    };
    log.lock().unwrap().push(seen);
    answer
}

fn server_config(pki: &Pki) -> ServerConfig {
    let chain = CertificateDer::pem_slice_iter(pki.server.certificate_pem.as_bytes()).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(pki.server.key_pem.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}
