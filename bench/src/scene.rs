//! Everything that is measured side by side, running at the same time: one Envoy with a listener for each alternative, the store, the
//! ext_authz service, node-oidc-provider, and the clients that are registered with each.

use std::collections::HashMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use dcr_cli::keys::SigningKey;
use dcr_cli::pki::Pki;
use dcr_dev::Gateway;
use dcr_dev::envoy::EnvoyConfiguration;
use serde_json::{Value, json};

use crate::authorizer::{Authorizer, Settings};
use crate::error::Error;
use crate::listeners::{self, Beside, Listener};
use crate::load::{Load, Request};
use crate::oidc_provider::OidcProvider;
use crate::requests::{By, Requests};

/// The running programs and the registered clients.
pub(crate) struct Scene {
    /// Signs for the third party.
    pub(crate) requests: Arc<Requests>,
    /// The clients at the gateway. The ext_authz service uses the same store.
    pub(crate) clients: Clients,
    /// The client at node-oidc-provider. See [`Scene::renew_oidc_client`].
    pub(crate) oidc_client: Arc<RwLock<String>>,
    /// Envoy and the programs around it.
    pub(crate) gateway: Gateway,
    /// The other authorization server.
    pub(crate) oidc_provider: OidcProvider,
    ports: HashMap<Listener, u16>,
    _authorizer: Authorizer,
}

/// Registered clients of one third party.
pub(crate) struct Clients {
    /// Authenticates by `private_key_jwt` with PS256.
    pub(crate) ps256: String,
    /// Authenticates by `private_key_jwt` with ES256.
    pub(crate) es256: String,
    /// Authenticates by `tls_client_auth`.
    pub(crate) certificate: String,
    /// An access token of the first client.
    pub(crate) access_token: String,
}

impl Scene {
    /// Starts everything in `folder`, with this many workers in Envoy, and registers the clients.
    pub(crate) async fn start(
        pki: &Arc<Pki>,
        es256: &SigningKey,
        folder: &Path,
        noop: PathBuf,
        workers: u32,
    ) -> Result<Self, Error> {
        std::fs::create_dir_all(folder)?;
        let oidc_provider = OidcProvider::start(folder).await?;
        let socket = TcpListener::bind(("127.0.0.1", 0))?;
        let beside = Beside {
            noop,
            key_set: json!({ "keys": [pki.tpp.signing.public_jwk(), es256.public_jwk()] }),
            authorizer: socket.local_addr()?.port(),
            oidc_provider: oidc_provider.port(),
        };
        let gateway =
            start_gateway(pki, es256, folder, workers, move |envoy| listeners::add_all(envoy, &beside)).await?;
        let authorizer = start_authorizer(&socket, &gateway, usize::try_from(workers)?)?;
        let ports = listeners::ports(&gateway).await?;

        let requests = Arc::new(requests(&gateway, es256)?);
        let clients = Clients::register(&gateway, &requests).await?;
        let oidc_client = Arc::default();
        let scene = Self { requests, clients, oidc_client, gateway, oidc_provider, ports, _authorizer: authorizer };
        scene.renew_oidc_client().await?;
        Ok(scene)
    }

    /// Registers the client at node-oidc-provider again. Its in-memory adapter keeps about a thousand entries of each kind, so it forgets a
    /// client after other registrations.
    pub(crate) async fn renew_oidc_client(&self) -> Result<(), Error> {
        let mut tpp = self.connect(Listener::OidcProvider, 1).await?;
        let client_id = member(&mut tpp, self.requests.oidc_registration()?, "client_id").await?;
        *self.oidc_client.write().unwrap_or_else(PoisonError::into_inner) = client_id;
        Ok(())
    }

    /// Third parties connected to a listener.
    pub(crate) async fn connect(&self, listener: Listener, connections: usize) -> Result<Load, Error> {
        let port = self.ports.get(&listener).copied().ok_or("Envoy does not listen there")?;
        connect(&self.gateway, port, connections).await
    }
}

impl Clients {
    /// Registers a client of each kind at the gateway, and gets a token.
    pub(crate) async fn register(gateway: &Gateway, requests: &Requests) -> Result<Self, Error> {
        let subject = gateway.pki().tpp.transport.subject_dn()?;
        let mut tpp = connect_to_gateway(gateway, 1).await?;
        let ps256 = member(&mut tpp, requests.registration(|request| request)?, "client_id").await?;
        let es256 = requests.registration(|request| request.claim("token_endpoint_auth_signing_alg", "ES256"))?;
        let es256 = member(&mut tpp, es256, "client_id").await?;
        let certificate = requests.registration(|request| request.for_tls_client_auth(&subject))?;
        let certificate = member(&mut tpp, certificate, "client_id").await?;
        let token = requests.token(&ps256, By::Ps256)?;
        let access_token = member(&mut tpp, token, "access_token").await?;
        Ok(Self { ps256, es256, certificate, access_token })
    }
}

/// A gateway whose directory also publishes the third party's ES256 key.
pub(crate) async fn start_gateway(
    pki: &Arc<Pki>,
    es256: &SigningKey,
    folder: &Path,
    workers: u32,
    change: impl FnOnce(&mut EnvoyConfiguration) -> Result<(), dcr_dev::Error> + Send + 'static,
) -> Result<Gateway, Error> {
    // A database with the rows of an earlier run would be slower.
    for name in ["store.sqlite", "store.sqlite-wal", "store.sqlite-shm"] {
        match std::fs::remove_file(folder.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => (),
        }
    }
    let gateway = Gateway::builder(pki.clone()).folder(folder).workers(workers).envoy(change).start().await?;
    let keys = json!({ "keys": [pki.tpp.signing.public_jwk(), es256.public_jwk()] });
    gateway.directory().publish(&pki.tpp.software.key_set_path(), keys);
    Ok(gateway)
}

/// The requests of the gateway's third party.
pub(crate) fn requests(gateway: &Gateway, es256: &SigningKey) -> Result<Requests, Error> {
    Requests::new(gateway.pki(), es256, gateway.endpoints(), gateway.directory().url())
}

/// Third parties connected to the gateway's own listener.
pub(crate) async fn connect_to_gateway(gateway: &Gateway, connections: usize) -> Result<Load, Error> {
    let port = gateway.url().rsplit(':').next().unwrap_or_default().parse()?;
    connect(gateway, port, connections).await
}

async fn connect(gateway: &Gateway, port: u16, connections: usize) -> Result<Load, Error> {
    let pki = gateway.pki();
    Load::connect(port, connections, &pki.server_ca.certificate_pem, &pki.tpp.transport).await
}

fn start_authorizer(socket: &TcpListener, gateway: &Gateway, threads: usize) -> Result<Authorizer, Error> {
    let mut envoy = EnvoyConfiguration::read(&gateway.folder().join("envoy.json"))?;
    let directory = gateway.directory().url();
    let clusters = [("dcr_store", gateway.store_url()), ("directory", directory.clone()), ("key_sets", directory)];
    let settings = Settings {
        configuration: envoy.plugin_configuration()?.clone(),
        clusters: clusters.map(|(name, url)| (name.to_owned(), url)).into(),
        ca_pem: gateway.pki().server_ca.certificate_pem.clone(),
    };
    Authorizer::start(socket, &settings, threads)
}

/// Sends a request that must succeed, and reads a member of the answer.
async fn member(tpp: &mut Load, request: Request, name: &str) -> Result<String, Error> {
    let answer = tpp.ask(request).await?;
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let member = body.get(name).and_then(Value::as_str).map(str::to_owned);
    member.ok_or_else(|| format!("no {name} in an answer with status {}: {body}", answer.status).into())
}
