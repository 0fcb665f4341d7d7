//! The trace of a request (W3C Trace Context), from its header to the store's spans, and what is never passed on.

use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use dcr_cli::client::{Answer, JWT_BEARER, Tpp};
use dcr_cli::directory::DIRECTORY_KEY_SET;
use dcr_dev::installation::Installation;
use dcr_dev::process::{Process, leashed, wait_for};
use dcr_dev::{Gateway, Store};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::PKI;

/// Three traces, each with the span of its caller.
const REGISTRATION: [&str; 2] = ["4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"];
const TOKEN: [&str; 2] = ["0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"];
const READ: [&str; 2] = ["aaaaaaaabbbbbbbbccccccccdddddddd", "1111111122222222"];

/// Serves on a free port until the process ends. Returns the port.
async fn serve(app: Router) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    port
}

/// A collector of traces. It keeps the octets that it gets.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<u8>>>);

impl Collector {
    async fn start() -> (Self, u16) {
        let collector = Self::default();
        let keep = async |State(Self(kept)): State<Self>, body: Bytes| kept.lock().unwrap().extend_from_slice(&body);
        let app = Router::new().route("/v1/traces", post(keep)).with_state(collector.clone());
        (collector, serve(app).await)
    }

    fn has(&self, octets: &[u8]) -> bool {
        self.0.lock().unwrap().windows(octets.len()).any(|window| window == octets)
    }

    /// A span carries the ids of its trace and of its parent as octets.
    fn has_span_of(&self, ids: [&str; 2]) -> bool {
        ids.iter().all(|id| self.has(&octets(id)))
    }
}

fn octets(hex: &str) -> Vec<u8> {
    let all = u128::from_str_radix(hex, 16).unwrap().to_be_bytes();
    all[all.len() - hex.len() / 2..].to_vec()
}

fn traceparent([trace, span]: [&str; 2]) -> String {
    format!("00-{trace}-{span}-01")
}

/// The key sets without TLS, so that the test sees the headers of the gate's calls.
#[derive(Clone, Default)]
struct KeySets(Arc<Mutex<Vec<HeaderMap>>>);

impl KeySets {
    async fn start() -> (Self, u16) {
        let key_sets = Self::default();
        let app = Router::new().fallback(Self::answer).with_state(key_sets.clone());
        (key_sets, serve(app).await)
    }

    async fn answer(State(Self(seen)): State<Self>, uri: Uri, headers: HeaderMap) -> Response {
        seen.lock().unwrap().push(headers);
        let set: Value = match uri.path() {
            DIRECTORY_KEY_SET => PKI.directory_key_set().unwrap(),
            _ => PKI.tpp.key_set().unwrap(),
        };
        ([("content-type", "application/json")], set.to_string()).into_response()
    }
}

/// A store that sends spans, and its port.
async fn store(folder: &Path, collector: u16) -> (Process, u16) {
    let ready = folder.join("ready");
    let mut command = leashed(&Installation::find().unwrap().store);
    command.args(["--listen", "127.0.0.1:0", "--log-format", "json"]);
    command.arg("--database").arg(format!("sqlite:{}", folder.join("store.sqlite").display()));
    command.arg("--ready-file").arg(&ready);
    command.args(["--otlp-endpoint", &format!("http://127.0.0.1:{collector}")]);
    // Milliseconds. Without it spans wait for five seconds.
    command.env("OTEL_BSP_SCHEDULE_DELAY", "50");
    let mut process = Process::start("dcr-store", command, &folder.join("store.log")).unwrap();
    let port = wait_for("the store", folder, async || {
        process.still_runs()?;
        let url = std::fs::read_to_string(&ready).unwrap_or_default();
        Ok(url.rsplit_once(':').and_then(|(_, port)| port.parse().ok()))
    });
    let port = port.await.unwrap();
    (process, port)
}

async fn ask(tpp: &Tpp, request: RequestBuilder, parents: &[&str], status: u16) -> Answer {
    let request = parents.iter().fold(request, |request, parent| request.header("traceparent", *parent));
    let request = request.header("tracestate", "vendor=secret-state").header("baggage", "user=secret-baggage");
    let answer = tpp.send(request).await.unwrap();
    assert_eq!(answer.status, status, "{}", answer.json());
    answer
}

#[tokio::test]
async fn the_stores_spans_belong_to_the_trace_of_the_request_and_key_sets_to_none() {
    let (collector, collector_port) = Collector::start().await;
    let (key_sets, key_sets_port) = KeySets::start().await;
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tracing-{collector_port}"));
    std::fs::create_dir_all(&folder).unwrap();
    let (_store, store_port) = store(&folder, collector_port).await;
    let gateway = Gateway::builder(PKI.clone()).store(Store::At(store_port)).envoy(move |envoy| {
        for cluster in ["directory", "key_sets"] {
            envoy.set_cluster_port(cluster, key_sets_port)?;
            envoy.cluster(cluster)?.as_object_mut().unwrap().remove("transport_socket").unwrap();
        }
        Ok(())
    });
    let gateway = gateway.start().await.unwrap();
    let tpp = gateway.client(Some(&PKI.tpp.transport)).unwrap();
    let endpoints = gateway.endpoints();
    let register = || {
        let request = gateway.registration_request(&PKI.tpp).unwrap().sign(&PKI.tpp.signing).unwrap();
        let post = tpp.request(Method::POST, &endpoints.registration);
        post.header("content-type", "application/jwt").body(request)
    };
    let token = |client_id: &str| {
        let assertion = gateway.client_assertion(client_id).sign(&PKI.tpp.signing).unwrap();
        let form = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", assertion.as_str()),
        ];
        tpp.request(Method::POST, &endpoints.token).form(&form)
    };

    let client_id = ask(&tpp, register(), &[&traceparent(REGISTRATION)], 201).await.member("client_id").unwrap();
    let access_token = ask(&tpp, token(&client_id), &[&traceparent(TOKEN)], 200).await.member("access_token").unwrap();
    let read = || tpp.request(Method::GET, &endpoints.client(&client_id)).bearer_auth(&access_token);
    let read_id = ask(&tpp, read(), &[&traceparent(READ)], 200).await.header("x-request-id").unwrap().to_owned();

    // What is malformed, or there twice, is left out.
    let foreign = "feedfacefeedfacefeedfacefeedface";
    let malformed = [
        format!("00-{foreign}-00f067aa0ba902b7-01-more"),
        format!("01-{foreign}-00f067aa0ba902b7-01"),
        format!("00-{}-00f067aa0ba902b7-01", foreign.to_ascii_uppercase()),
        format!("00-{foreign}-0000000000000000-01"),
    ];
    for parent in &malformed {
        ask(&tpp, read(), &[parent.as_str()], 200).await;
        ask(&tpp, token(&client_id), &[parent.as_str()], 200).await;
    }
    let good = format!("00-{foreign}-00f067aa0ba902b7-01");
    ask(&tpp, read(), &[&good, &good], 200).await;
    let last = ask(&tpp, token(&client_id), &[&good, &good], 200).await.header("x-request-id").unwrap().to_owned();
    let last_read = ask(&tpp, read(), &[], 200).await.header("x-request-id").unwrap().to_owned();

    wait_for("the spans", &folder, async || {
        let all = [REGISTRATION, TOKEN, READ].iter().all(|ids| collector.has_span_of(*ids));
        Ok((all && collector.has(last_read.as_bytes())).then_some(()))
    })
    .await
    .unwrap();
    for named in ["dcr-store", "client", "token", "GET /v1/clients/{client_id}", "POST /v1/tokens", read_id.as_str()] {
        assert!(collector.has(named.as_bytes()), "{named}");
    }
    assert!(!collector.has(&octets(foreign)), "a malformed parent has a span");
    let log = std::fs::read_to_string(folder.join("store.log")).unwrap();
    let logged = |id: &str, trace: &str| log.lines().any(|line| line.contains(id) && line.contains(trace));
    assert!(logged(&read_id, READ[0]), "{log}");
    for [trace, _] in [REGISTRATION, TOKEN] {
        assert!(logged("\"trace_id\"", trace), "{trace}: {log}");
    }
    assert!(log.contains(&last), "{log}");
    assert!(!log.to_ascii_lowercase().contains(foreign), "{log}");
    let secrets = ["secret-state", "secret-baggage", access_token.as_str(), client_id.as_str(), "redirect", "jti"];
    for secret in secrets {
        assert!(!collector.has(secret.as_bytes()), "{secret} is in a span");
    }
    assert!(!log.contains("secret-"), "{log}");

    let fetches = key_sets.0.lock().unwrap().clone();
    assert!(fetches.len() >= 2, "both sets were fetched");
    for headers in fetches {
        for name in ["traceparent", "tracestate", "baggage", "x-request-id"] {
            assert!(!headers.contains_key(name), "{name} of a caller goes to a host of key sets");
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
