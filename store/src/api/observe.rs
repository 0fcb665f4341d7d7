//! One log line, one count and one span for each request. Only the matched template of the path is shown, and nothing of the body. So tokens,
//! `jti` and records reach neither the log nor a span.

use std::time::{Instant, SystemTime};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use dcr_store_protocol::{is_request_id, is_traceparent};
use tracing::Instrument;

use super::problem::Cause;
use crate::metrics::{Metrics, UNMATCHED, method_label};
use crate::spans::{self, Span, Spans};

/// The status that means "the caller went away before the answer". No answer has it.
const CALLER_GONE: u16 = 499;

/// The routes whose requests have spans. The others are asked for by monitors, every few seconds.
const TRACED: &str = "/v1/";

/// Where observations go.
#[derive(Debug, Clone)]
pub(super) struct Observers {
    pub(super) metrics: Metrics,
    pub(super) spans: Spans,
}

/// Runs the request inside a span of the log with its id, so that its log lines can be found.
pub(super) async fn observe(State(observers): State<Observers>, request: Request, next: Next) -> Response {
    let observation = Observation::begin(observers, &request);
    let response = next.run(request).instrument(observation.log.clone()).await;
    observation.end(&response);
    response
}

/// A request that is being answered. When the caller goes away, as a gateway does after its timeout, the server drops the handler.
/// Operators look for these requests, so they are logged and counted when this value is dropped.
struct Observation {
    metrics: Metrics,
    started: Instant,
    method: Method,
    route: String,
    log: tracing::Span,
    span: Option<Span>,
    status: Option<StatusCode>,
    cause: Option<Cause>,
}

impl Observation {
    fn begin(Observers { metrics, spans }: Observers, request: &Request) -> Self {
        let method = request.method().clone();
        let label = method_label(&method);
        let route = request.extensions().get::<MatchedPath>().map_or(UNMATCHED, MatchedPath::as_str).to_owned();
        let (request_id, parent) = (request_id(request.headers()), traceparent(request.headers()));
        let traced = || spans.begin(format!("{label} {route}"), parent, SystemTime::now());
        let mut span = route.starts_with(TRACED).then(traced).flatten();
        if let Some(span) = &mut span {
            span.set_text("http.request.method", label);
            span.set_text("http.route", route.as_str());
            if let Some(request_id) = request_id {
                span.set_text("dcr.request_id", request_id);
            }
        }
        let own = span.as_ref().map(Span::trace_id);
        let trace_id = own.as_deref().or(parent.and_then(spans::trace_id));
        let log = tracing::info_span!("request", method = label, route, request_id, trace_id);
        Self { metrics, started: Instant::now(), method, route, log, span, status: None, cause: None }
    }

    fn end(mut self, response: &Response) {
        self.status = Some(response.status());
        self.cause = response.extensions().get().copied();
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        let duration = self.started.elapsed();
        let duration_ms = (duration.as_secs_f64() * 1e6).round() / 1e3;
        let status = self.status.map_or(CALLER_GONE, |status| status.as_u16());
        self.metrics.answered(&self.route, &self.method, status, duration);
        if let Some(Cause(cause)) = self.cause {
            self.metrics.failed(cause);
        }
        if let Some(span) = &mut self.span {
            span.set_status(status);
            match (self.status, self.cause) {
                (None, _) => span.fail("caller_gone"),
                (_, Some(Cause(cause))) => span.fail(cause),
                _ => {}
            }
        }
        self.log.in_scope(|| match self.status {
            Some(_) => tracing::info!(status, duration_ms, "answered"),
            None => tracing::warn!(status, duration_ms, "the caller went away before the answer"),
        });
    }
}

/// The caller's `x-request-id`. `None` if it could forge a log line.
fn request_id(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-request-id")?.to_str().ok().filter(|id| is_request_id(id))
}

/// The caller's `traceparent`. `None` if there is not exactly one, or if it is malformed.
fn traceparent(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all("traceparent").iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok().filter(|parent| is_traceparent(parent)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_of(value: &str) -> Option<String> {
        let headers = HeaderMap::from_iter([("x-request-id".parse().unwrap(), value.parse().unwrap())]);
        request_id(&headers).map(str::to_owned)
    }

    #[test]
    fn a_request_id_is_taken_only_when_it_is_harmless() {
        assert_eq!(
            id_of("0b6c7a0e-8a53-4f8e-b3a1-1d1f5ae0a5a9").as_deref(),
            Some("0b6c7a0e-8a53-4f8e-b3a1-1d1f5ae0a5a9")
        );
        assert_eq!(id_of(&"a".repeat(64)).map(|id| id.len()), Some(64));
        for forged in ["", "a b", "a\tb", "{\"status\":201}", &"a".repeat(65)] {
            assert_eq!(id_of(forged), None, "{forged:?}");
        }
        assert_eq!(request_id(&HeaderMap::new()), None);
    }

    #[test]
    fn a_trace_is_taken_only_when_one_is_named() {
        const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let of = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("traceparent", value.parse().unwrap());
            }
            traceparent(&headers).map(str::to_owned)
        };
        assert_eq!(of(&[PARENT]).as_deref(), Some(PARENT));
        for none in [&[][..], &[PARENT, PARENT], &["00-forged"], &[""]] {
            assert_eq!(of(none), None, "{none:?}");
        }
    }
}
