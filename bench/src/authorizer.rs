//! The same policy without WebAssembly: dcr-gate's journeys, compiled natively, in an HTTP service that Envoy's ext_authz filter calls.
//!
//! ext_authz passes on the request with its body and the client's certificate (`x-forwarded-client-cert`). The service calls the store
//! itself. Its answer to the caller is sent as a denial, because a service behind ext_authz can answer only in this way. Status 200 means
//! "let it pass", so a 200 for the caller is sent as 203, and Envoy's `local_reply_config` turns it into 200 again.
//!
//! The service has as many threads as Envoy has workers. Each thread has its own key sets, like each of Envoy's workers. Nothing is counted
//! or logged.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::TcpListener;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dcr_cli::background::Background;
use dcr_cli::client::client_config;
use dcr_gate::config::Config;
use dcr_gate::host::{self, Call, CallNotSent, CallResponse, Event, Host, Shared};
use dcr_gate::journey::{Body, Decision, Gate, Head, Request, Route};
use dcr_policy::Timestamp;
use dcr_x509::{Certificate, xfcc};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::task::LocalSet;

use crate::error::Error;

/// The status that replaces 200 between the service and ext_authz.
pub(crate) const INSTEAD_OF_200: u16 = 203;

/// A running service. It stops when it is dropped.
pub(crate) struct Authorizer {
    _threads: Vec<Background>,
}

/// The settings of the service.
#[derive(Clone)]
pub(crate) struct Settings {
    /// The filter's configuration.
    pub(crate) configuration: Value,
    /// The base URL for each cluster's name.
    pub(crate) clusters: HashMap<String, String>,
    /// The authority that issued the certificates of those URLs.
    pub(crate) ca_pem: String,
}

impl Authorizer {
    /// Serves on a socket that is listening already.
    pub(crate) fn start(listener: &TcpListener, settings: &Settings, threads: usize) -> Result<Self, Error> {
        listener.set_nonblocking(true)?;
        let threads = (0..threads).map(|_| {
            let (listener, settings) = (listener.try_clone()?, settings.clone());
            let serve = move || async move {
                if let Err(error) = LocalSet::new().run_until(serve(listener, settings)).await {
                    anstream::eprintln!("the ext_authz service stopped: {error}");
                }
            };
            Ok(Background::spawn("ext_authz", serve)?)
        });
        Ok(Self { _threads: threads.collect::<Result<_, Error>>()? })
    }
}

async fn serve(listener: TcpListener, settings: Settings) -> Result<(), Error> {
    let config = Config::from_value(settings.configuration).map_err(|error| error.to_string())?;
    let http = reqwest::Client::builder().tls_backend_preconfigured(client_config(&settings.ca_pem, None)?).build()?;
    let host = Native(Rc::new(Surroundings { http, clusters: settings.clusters }));
    let gate = Rc::new(Gate::new(config, host));
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let gate = gate.clone();
        let service = service_fn(move |request| {
            let gate = gate.clone();
            async move { Ok::<_, Infallible>(answer(&gate, request).await) }
        });
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::task::spawn_local(async move {
            // Envoy may close a connection at any time.
            drop(connection.await);
        });
    }
}

async fn answer(gate: &Gate<Native>, request: hyper::Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let endpoint = match gate.routes.find(head.uri.path(), || head.method.as_str()) {
        Route::Pass => return Response::new(Full::default()),
        Route::Refuse { endpoint, refusal, allow } => return response(gate.refuse(endpoint, refusal, allow)),
        Route::Serve(endpoint) => endpoint,
    };
    let (sender, received) = Body::channel();
    match body.collect().await {
        Ok(body) => sender.complete(body.to_bytes().to_vec()),
        Err(_) => sender.too_large(),
    }
    let head = Head {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().map(str::to_owned),
        certificate: certificate(&head.headers).map(Rc::new).into(),
        headers: pairs(&head.headers),
    };
    response(gate.serve(&endpoint, &Request { head, body: received }).await)
}

/// The certificate that Envoy writes for this connection. `None` if it does not have the hash that Envoy states.
fn certificate(headers: &HeaderMap) -> Option<Certificate> {
    let element = xfcc::parse(headers.get("x-forwarded-client-cert")?.as_bytes()).ok()?.pop()?;
    let hash = element.hash?;
    element.certificate.filter(|certificate| certificate.thumbprint() == hash)
}

fn response(decision: Decision) -> Response<Full<Bytes>> {
    let Decision::Answer(answer, _) = decision else { return Response::new(Full::default()) };
    let status = if answer.status == 200 { INSTEAD_OF_200 } else { answer.status };
    let mut builder = Response::builder().status(status);
    for (name, value) in answer.headers {
        builder = builder.header(name, value);
    }
    if let Some(challenge) = answer.www_authenticate {
        builder = builder.header("www-authenticate", challenge);
    }
    builder.body(Full::from(answer.body)).unwrap_or_default()
}

/// A host that uses sockets and the system's clock instead of Envoy.
#[derive(Clone)]
struct Native(Rc<Surroundings>);

struct Surroundings {
    http: reqwest::Client,
    clusters: HashMap<String, String>,
}

impl Host for Native {
    fn now(&self) -> Timestamp {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }

    async fn call(&self, call: Call) -> Result<CallResponse, CallNotSent> {
        let base = self.0.clusters.get(&call.cluster).ok_or(CallNotSent::UnknownCluster)?;
        let method = call.method.parse().map_err(|_| CallNotSent::Refused)?;
        let mut request = self.0.http.request(method, format!("{base}{}", call.path)).timeout(call.timeout);
        for (name, value) in call.headers {
            request = request.header(name, value);
        }
        let answered = async {
            let response = request.header("host", call.authority).body(call.body).send().await?;
            let (status, headers) = (response.status().as_u16(), pairs(response.headers()));
            let body = response.bytes().await?.to_vec();
            Ok::<_, reqwest::Error>(CallResponse { status: Some(status), headers, body })
        };
        // Envoy answers in the same way for an upstream that does not answer.
        let silence = CallResponse { status: Some(503), headers: Vec::new(), body: Vec::new() };
        Ok(answered.await.unwrap_or(silence))
    }

    fn in_background(&self, work: host::Background) {
        tokio::task::spawn_local(work);
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    fn random(&self) -> u64 {
        uuid::Uuid::new_v4().as_u64_pair().0
    }

    fn shared(&self, _key: &str) -> Option<Shared> {
        None
    }

    fn share(&self, _key: &str, _value: &[u8], _replaces: Option<u32>) -> bool {
        false
    }

    fn record(&self, _event: Event) {}
}

fn pairs(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect()
}
