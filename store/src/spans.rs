//! Spans for a collector of traces: one for each request under `/v1`, and one for each client or token that was asked for in it. A span has
//! the operation, the status and the id of the request, and nothing that a caller has written into a body.
//!
//! A span is the child of the `traceparent` that came with the request. A request without one starts a trace of its own: the gateway asks for
//! clients and tokens of several requests at once, so such a request belongs to no trace, and each client or token in it belongs to its own.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use axum::http::Uri;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer as _,
    TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{self as sdk, Sampler, SdkTracer, SdkTracerProvider};
use tokio::runtime::Handle;

/// The longest time for one call to the collector.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest time for sending the last spans when the store stops.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// The most bytes of the collector's answer that are read. A collector answers in a few.
const ANSWER_BYTES: usize = 64 * 1024;

/// Where spans are sent: the traces of an OTLP endpoint over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(String);

/// Why a text is no [`Endpoint`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "write http://HOST:PORT, the OTLP endpoint of a collector over HTTP without user, query and TLS; /v1/traces is added to it"
)]
pub struct EndpointError;

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let url: Uri = text.parse().map_err(|_| EndpointError)?;
        let authority = url.authority().map_or("@", |authority| authority.as_str());
        if url.scheme_str() == Some("http") && !authority.contains('@') && url.query().is_none() {
            Ok(Self(format!("{}/v1/traces", text.trim_end_matches('/'))))
        } else {
            Err(EndpointError)
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Makes spans and sends them in the background. It is cheap to clone. If the collector does not answer, spans are lost and nothing else.
#[derive(Debug, Clone, Default)]
pub struct Spans(Option<Sending>);

#[derive(Debug, Clone)]
struct Sending {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Spans {
    /// No spans are made.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// Sends spans to this endpoint. The calls run on the current Tokio runtime.
    ///
    /// # Errors
    /// The OpenTelemetry SDK refused its settings: the endpoint, or a variable `OTEL_…` of the environment.
    pub fn sent_to(endpoint: &Endpoint) -> Result<Self, ExporterBuildError> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Collector {
                client: Client::builder(TokioExecutor::new()).build_http(),
                runtime: Handle::current(),
            })
            .with_endpoint(&endpoint.0)
            .with_timeout(CALL_TIMEOUT)
            .build()?;
        let resource = Resource::builder()
            .with_service_name("dcr-store")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
            .with_resource(resource.build())
            .build();
        let tracer = provider.tracer("dcr-store");
        Ok(Self(Some(Sending { provider, tracer })))
    }

    /// Begins a span that started at `started`. `traceparent` is of the request that it belongs to. `None` if no spans are made.
    pub(crate) fn begin(&self, name: String, traceparent: Option<&str>, started: SystemTime) -> Option<Span> {
        let Sending { tracer, .. } = self.0.as_ref()?;
        let builder = tracer.span_builder(name).with_kind(SpanKind::Server).with_start_time(started);
        let parent = traceparent
            .and_then(remote)
            .map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent));
        Some(Span(builder.start_with_context(tracer, &parent)))
    }

    /// Sends the spans that wait, and makes no more. The store's last log lines come after it.
    pub async fn close(self) {
        let Some(Sending { provider, .. }) = self.0 else { return };
        let closing = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(CLOSE_TIMEOUT));
        if !matches!(closing.await, Ok(Ok(()))) {
            tracing::warn!("the last spans could not be sent to the collector");
        }
    }
}

/// A span that has begun. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Span(sdk::Span);

impl Span {
    /// The trace that it belongs to, as 32 hexadecimal digits.
    pub(crate) fn trace_id(&self) -> String {
        self.0.span_context().trace_id().to_string()
    }

    /// Adds a text. Only the program's own words and ids that cannot forge a log line may go into a span.
    pub(crate) fn set_text(&mut self, name: &'static str, text: impl Into<String>) {
        self.0.set_attribute(KeyValue::new(name, text.into()));
    }

    /// Adds a status of HTTP.
    pub(crate) fn set_status(&mut self, status: u16) {
        self.0.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
    }

    /// Marks it as failed, with the cause.
    pub(crate) fn fail(&mut self, cause: &'static str) {
        self.set_text("error.type", cause);
        self.0.set_status(Status::error(""));
    }
}

/// The trace id of a `traceparent` that is well formed.
pub(crate) fn trace_id(traceparent: &str) -> Option<&str> {
    traceparent.split('-').nth(1)
}

/// The caller's span. `None` if the text is malformed; callers have checked that already.
fn remote(traceparent: &str) -> Option<SpanContext> {
    let mut parts = traceparent.split('-').skip(1);
    let (trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?);
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    Some(SpanContext::new(trace, span, flags, true, TraceState::NONE))
}

/// Calls the collector. The SDK sends from a thread of its own, which has no runtime, so the calls run on the store's.
#[derive(Debug)]
struct Collector {
    client: Client<HttpConnector, Full<Bytes>>,
    runtime: Handle,
}

#[async_trait::async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let answered = async move {
            let (parts, body) = client.request(request.map(Full::new)).await?.into_parts();
            let body = Limited::new(body, ANSWER_BYTES).collect().await?.to_bytes();
            Ok(Response::from_parts(parts, body))
        };
        self.runtime.spawn(async move { tokio::time::timeout(CALL_TIMEOUT, answered).await }).await??
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_url_of_http_alone() {
        for good in ["http://127.0.0.1:4318", "http://127.0.0.1:4318/"] {
            assert_eq!(good.parse::<Endpoint>().unwrap().to_string(), "http://127.0.0.1:4318/v1/traces");
        }
        let below: Endpoint = "http://collector:4318/otlp".parse().unwrap();
        assert_eq!(below.to_string(), "http://collector:4318/otlp/v1/traces");
        for bad in [
            "",
            "collector",
            "collector:4318",
            "/v1/traces",
            "https://collector:4318",
            "http://user:secret@collector:4318",
            "http://collector:4318/?key=secret",
            "http://collector:4318/a b",
        ] {
            assert_eq!(bad.parse::<Endpoint>(), Err(EndpointError), "{bad}");
        }
    }

    #[test]
    fn the_parent_is_the_span_of_the_caller() {
        let parent = remote("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        assert_eq!(parent.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(parent.span_id().to_string(), "00f067aa0ba902b7");
        assert!(parent.is_sampled() && parent.is_remote() && parent.is_valid());
        assert!(!remote("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-fe").unwrap().is_sampled());
        for bad in ["", "00", "00-x-y-z", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"] {
            assert_eq!(remote(bad), None, "{bad}");
        }
    }
}
