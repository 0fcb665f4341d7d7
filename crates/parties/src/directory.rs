//! A mock directory. It serves key sets over TLS from memory, counts the fetches of each path, and can be told to misbehave.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{Uri, header};
use axum::response::Response;
use axum_server::tls_rustls::RustlsConfig;
use dcr_mint::pki::{Identity, Pki, ThirdParty};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;

use crate::Error;
use crate::background::Background;

/// The path of the directory's own key set, which verifies software statements.
pub const DIRECTORY_KEY_SET: &str = "/openbanking.jwks";

/// A running directory on its own thread. It stops when it is dropped.
pub struct Directory {
    port: u16,
    shelves: Shelves,
    _server: Background,
}

/// How the directory answers at a path.
#[derive(Clone, Debug, Default)]
pub struct Behaviour {
    /// The status. `None` means 200.
    pub status: Option<u16>,
    /// The content type. `None` means `application/json`.
    pub content_type: Option<String>,
    /// The body. `None` means the published key set.
    pub body: Option<Vec<u8>>,
    /// A delay before the answer.
    pub delay: Option<Duration>,
}

type Shelves = Arc<Mutex<HashMap<String, Shelf>>>;

/// The state of one path.
#[derive(Default)]
struct Shelf {
    key_set: Option<Value>,
    behaviour: Behaviour,
    fetches: u64,
}

impl Directory {
    /// Serves the PKI's directory keys and the key sets of both third parties at `address`. With port 0 a free port is used.
    pub fn start(pki: &Pki, address: SocketAddr) -> Result<Self, Error> {
        let listener = TcpListener::bind(address).map_err(|source| Error::Listen { address, source })?;
        let local = listener.local_addr().map_err(|source| Error::Listen { address, source })?;
        let tls = RustlsConfig::from_config(Arc::new(server_config(&pki.server)?));

        let shelves = Shelves::default();
        let app = axum::Router::new().fallback(answer).with_state(shelves.clone());
        let server = Background::spawn("directory", move || async move {
            let served = async {
                listener.set_nonblocking(true)?;
                axum_server::from_tcp_rustls(listener, tls)?.serve(app.into_make_service()).await
            };
            if let Err(error) = served.await {
                eprintln!("the directory stopped: {error}");
            }
        })?;

        let directory = Self { port: local.port(), shelves, _server: server };
        directory.publish(DIRECTORY_KEY_SET, pki.directory_key_set()?);
        directory.publish_third_party(&pki.tpp)?;
        directory.publish_third_party(&pki.other_tpp)?;
        Ok(directory)
    }

    /// `https://localhost:<port>`
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Publishes a key set at a path. It replaces the old one.
    pub fn publish(&self, path: &str, key_set: Value) {
        self.shelf(path, |shelf| shelf.key_set = Some(key_set));
    }

    /// Publishes the key sets of a third party at the URLs that its software statements contain, in the UK and in Brazil.
    pub fn publish_third_party(&self, party: &ThirdParty) -> Result<(), Error> {
        self.publish(&party.software.key_set_path(), party.key_set()?);
        self.publish(&party.brazilian_software.application_key_set_path(), party.application_key_set()?);
        self.publish(&party.brazilian_software.transport_key_set_path(), party.transport_key_set()?);
        Ok(())
    }

    /// The published key sets, each with its URL.
    pub fn key_sets(&self) -> Vec<(String, Value)> {
        let shelves = lock(&self.shelves);
        let published = shelves.iter().filter_map(|(path, shelf)| Some((path, shelf.key_set.clone()?)));
        published.map(|(path, key_set)| (format!("{}{path}", self.url()), key_set)).collect()
    }

    /// Changes the answers of a path from now on. `Behaviour::default()` restores the normal answers.
    pub fn behave(&self, path: &str, behaviour: Behaviour) {
        self.shelf(path, |shelf| shelf.behaviour = behaviour);
    }

    /// How many requests a path has received, whatever the answers were.
    pub fn fetches(&self, path: &str) -> u64 {
        lock(&self.shelves).get(path).map_or(0, |shelf| shelf.fetches)
    }

    fn shelf(&self, path: &str, change: impl FnOnce(&mut Shelf)) {
        change(lock(&self.shelves).entry(path.into()).or_default());
    }
}

async fn answer(State(shelves): State<Shelves>, uri: Uri) -> Response {
    let (key_set, behaviour) = {
        let mut shelves = lock(&shelves);
        let shelf = shelves.entry(uri.path().into()).or_default();
        shelf.fetches += 1;
        (shelf.key_set.clone(), shelf.behaviour.clone())
    };
    if let Some(delay) = behaviour.delay {
        tokio::time::sleep(delay).await;
    }
    let found = key_set.is_some() || behaviour.body.is_some();
    let status = behaviour.status.unwrap_or(if found { 200 } else { 404 });
    let body = behaviour.body.unwrap_or_else(|| key_set.map_or_else(Vec::new, |set| set.to_string().into_bytes()));
    let content_type = behaviour.content_type.unwrap_or_else(|| "application/json".into());
    let response = Response::builder().status(status).header(header::CONTENT_TYPE, content_type);
    response.body(Body::from(body)).unwrap_or_default()
}

fn server_config(identity: &Identity) -> Result<ServerConfig, Error> {
    let bad_pem = |error: rustls::pki_types::pem::Error| dcr_mint::Error::Certificate(error.to_string());
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(identity.certificate_pem.as_bytes()).collect();
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).map_err(bad_pem)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain.map_err(bad_pem)?, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The map is consistent even if a thread panicked while it held the lock.
fn lock(shelves: &Shelves) -> MutexGuard<'_, HashMap<String, Shelf>> {
    shelves.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
