//! Spans, as a collector gets them from the real binary.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Attribute;
use opentelemetry_proto::tonic::trace::v1::{Span, status::StatusCode as SpanStatus};
use prost::Message;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{
    Process, TRACEPARENT, asking_for_token, command, creation, form_request, issue, log, new_client, new_token, now_jti,
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// A collector that keeps what it gets.
#[derive(Clone, Default)]
struct Collector {
    bodies: Arc<Mutex<Vec<Bytes>>>,
}

impl Collector {
    /// Serves on a free port until the process ends. Returns the URL.
    async fn start() -> (Self, String) {
        let collector = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().route("/v1/traces", post(Self::keep)).with_state(collector.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        (collector, url)
    }

    async fn keep(State(collector): State<Self>, body: Bytes) -> StatusCode {
        collector.bodies.lock().unwrap().push(body);
        StatusCode::OK
    }

    fn spans(&self) -> Vec<Told> {
        let bodies = self.bodies.lock().unwrap();
        let requests = bodies.iter().map(|body| ExportTraceServiceRequest::decode(body.clone()).unwrap());
        let resources = requests.flat_map(|request| request.resource_spans);
        let scopes = resources.flat_map(|resource| {
            let service = resource.resource.unwrap().attributes;
            let is_store = |name: &str| service.iter().any(|attribute| attribute.key == name);
            assert!(is_store("service.name") && is_store("service.version"), "{service:?}");
            resource.scope_spans
        });
        scopes.flat_map(|scope| scope.spans).map(Told::of).collect()
    }
}

/// A span with its ids in hexadecimal digits.
#[derive(Debug)]
struct Told {
    name: String,
    trace: String,
    parent: String,
    attributes: BTreeMap<String, Value>,
    failed: bool,
}

impl Told {
    fn of(span: Span) -> Self {
        let hex = |id: &[u8]| id.iter().map(|octet| format!("{octet:02x}")).collect();
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano && span.start_time_unix_nano > 0);
        let attributes = span.attributes.into_iter().map(|attribute| {
            let value = match attribute.value.unwrap().value.unwrap() {
                Attribute::StringValue(text) => json!(text),
                Attribute::IntValue(number) => json!(number),
                other => panic!("{other:?}"),
            };
            (attribute.key, value)
        });
        assert!(span.events.is_empty() && span.links.is_empty());
        Self {
            name: span.name,
            trace: hex(&span.trace_id),
            parent: hex(&span.parent_span_id),
            attributes: attributes.collect(),
            failed: span.status.is_some_and(|status| status.code() == SpanStatus::Error),
        }
    }
}

fn with_header(mut request: Request<Body>, name: &'static str, value: &str) -> Request<Body> {
    request.headers_mut().append(name, value.parse().unwrap());
    request
}

#[tokio::test]
async fn a_request_has_a_span_below_its_callers_and_the_span_holds_no_secret() {
    let (collector, url) = Collector::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut store = Process::start(folder.path(), &["--otlp-endpoint", &url, "--log-format", "json"]).await;

    let mut create = asking_for_token(new_client(json!([now_jti("jti-of-the-request")])));
    (create["request_id"], create["traceparent"]) = (json!("asked-first"), json!(TRACEPARENT));
    let created = store.send(creation(&create)).await.of_one();
    let registration_token = created.assert_status(201).member("registration_access_token");
    let client = created.member("client_id");
    let mut asked = new_token(json!([now_jti("jti-of-the-assertion")]));
    asked["traceparent"] = json!(TRACEPARENT.replace("-01", "-00"));
    let token = store.send(issue(&client, &asked)).await.of_one().assert_status(201).member("access_token");
    let introspect = || form_request("/v1/tokens/introspect", &format!("token={token}"));
    let traced = with_header(introspect(), "traceparent", TRACEPARENT);
    store.send(with_header(traced, "x-request-id", "request-42")).await.assert_status(200);
    let unknown = Request::get("/v1/clients/00000000").body(Body::empty()).unwrap();
    store.send(with_header(unknown, "traceparent", TRACEPARENT)).await.assert_status(404);
    // These belong to no trace that could be named.
    let foreign = "feedfacefeedfacefeedfacefeedface";
    store
        .send(with_header(introspect(), "traceparent", &format!("00-{foreign}-{CALLER}-01-x")))
        .await
        .assert_status(200);
    let twice = with_header(introspect(), "traceparent", &format!("00-{foreign}-{CALLER}-01"));
    store.send(with_header(twice, "traceparent", &format!("00-{foreign}-{CALLER}-01"))).await.assert_status(200);
    let mut forged = new_token(json!([]));
    forged["traceparent"] = json!(format!("00-{foreign}-{CALLER}-01\n"));
    store.send(issue(&client, &forged)).await.of_one().assert_status(201);
    for path in ["/healthz", "/readyz", "/metrics"] {
        store.send(Request::get(path).body(Body::empty()).unwrap()).await.assert_status(200);
    }
    // What waits is sent before the store ends.
    store.signal(Signal::TERM);
    assert_eq!(store.ended().await.code(), Some(0), "{}", log(folder.path()));

    let spans = collector.spans();
    let below: Vec<&Told> = spans.iter().filter(|span| span.parent == CALLER).collect();
    let told: Vec<(&str, &Value)> =
        below.iter().map(|span| (span.name.as_str(), &span.attributes["http.response.status_code"])).collect();
    let expected = [
        ("client", &json!(201)),
        ("POST /v1/tokens/introspect", &json!(200)),
        ("GET /v1/clients/{client_id}", &json!(404)),
    ];
    assert_eq!(told, expected, "a caller that records no trace gets no span");
    assert!(below.iter().all(|span| span.trace == TRACE && !span.failed), "{below:?}");
    assert_eq!(below[0].attributes["dcr.request_id"], json!("asked-first"));
    let introspected = &below[1].attributes;
    assert_eq!(introspected["http.request.method"], json!("POST"));
    assert_eq!(introspected["http.route"], json!("/v1/tokens/introspect"));
    assert_eq!(introspected["dcr.request_id"], json!("request-42"));
    let alone: Vec<&str> = spans.iter().filter(|span| span.parent.is_empty()).map(|span| span.name.as_str()).collect();
    let expected = [
        "POST /v1/clients",
        "POST /v1/tokens",
        "POST /v1/tokens/introspect",
        "POST /v1/tokens/introspect",
        "POST /v1/tokens",
    ];
    assert_eq!(alone, expected);

    let log = log(folder.path());
    let line = |wanted: &str| -> Value {
        let line = log.lines().find(|line| line.contains(wanted)).unwrap_or_else(|| panic!("{wanted}: {log}"));
        serde_json::from_str(line).unwrap()
    };
    assert_eq!(line("asked-first")["trace_id"], json!(TRACE));
    let answered = line("request-42");
    assert_eq!((&answered["span"]["trace_id"], &answered["span"]["request_id"]), (&json!(TRACE), &json!("request-42")));
    // A request without a trace of its own can be found by the id that its span has.
    let own = spans.iter().find(|span| span.name == "POST /v1/clients").unwrap();
    assert_eq!(line(&own.trace)["span"]["route"], json!("/v1/clients"));
    let sent = collector.bodies.lock().unwrap().concat();
    let has = |text: &str| sent.windows(text.len()).any(|window| window == text.as_bytes());
    let secrets = [&token, &registration_token, &client, "jti-of", "tpp.example", "accounts openid", foreign];
    for secret in secrets {
        assert!(!has(secret), "{secret} is in a span");
    }
    assert!(!log.contains(foreign), "{log}");
}

#[tokio::test]
async fn a_failure_of_the_store_is_told_by_its_span() {
    let (collector, url) = Collector::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut store = Process::start(folder.path(), &["--otlp-endpoint", &url]).await;
    rusqlite::Connection::open(folder.path().join("store.db")).unwrap().execute_batch("DROP TABLE used_jti").unwrap();
    let mut request = creation(&new_client(json!([now_jti("a")])));
    request = with_header(request, "traceparent", TRACEPARENT);
    store.send(request).await.assert_refused(503, "temporarily_unavailable");
    let metrics = store.send(Request::get("/metrics").body(Body::empty()).unwrap()).await.text;
    store.signal(Signal::TERM);
    store.ended().await;

    let spans = collector.spans();
    let [span] = spans.as_slice() else { panic!("{spans:?}") };
    assert!(span.failed && span.parent == CALLER && span.trace == TRACE, "{span:?}");
    assert_eq!(span.attributes["error.type"], json!("database"));
    assert_eq!(span.attributes["http.response.status_code"], json!(503));
    assert!(metrics.contains("dcr_store_failures_total{cause=\"database\"} 1\n"), "{metrics}");
    assert!(!format!("{span:?}").contains("used_jti"), "the text of the database is only for the log");
}

/// Requests go on when the collector does not: it refuses connections, or it takes them and says nothing.
#[tokio::test]
async fn a_collector_that_does_not_answer_costs_its_spans_and_nothing_else() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let absent = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for address in [silent.local_addr().unwrap(), absent] {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("http://{address}");
        let mut store = Process::start(folder.path(), &["--otlp-endpoint", &url]).await;
        for number in 0..20 {
            let create = new_client(json!([now_jti(&format!("{number}"))]));
            store.send(creation(&create)).await.of_one().assert_status(201);
        }
        store.signal(Signal::TERM);
        assert_eq!(store.ended().await.code(), Some(0), "{}", log(folder.path()));
        let log = log(folder.path());
        let is_said = ["could not be sent", "BatchSpanProcessor.ExportError"].iter().any(|said| log.contains(said));
        assert!(is_said, "{log}");
    }
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_called_is_refused_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let (_, url) = Collector::start().await;
    for endpoint in [url.replace("http:", "https:"), url.replace("http://", "http://user:secret@")] {
        let ended = command(folder.path()).args(["--otlp-endpoint", &endpoint]).status().unwrap();
        assert_eq!(ended.code(), Some(2), "{endpoint}");
    }
    assert!(log(folder.path()).contains("write http://HOST:PORT"), "{}", log(folder.path()));
}
