//! One log line and one count for each request. Only the matched template of the path is shown, and nothing of the body. So tokens, `jti`
//! and records never reach the log.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use dcr_store_protocol::is_request_id;
use tracing::{Instrument, Span};

use crate::metrics::{Metrics, UNMATCHED, method_label};

/// The status that means "the caller went away before the answer". No answer has it.
const CALLER_GONE: u16 = 499;

/// Runs the request inside a span with its id, so that its log lines can be found.
pub(super) async fn observe(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let observation = Observation::begin(metrics, &request);
    let response = next.run(request).instrument(observation.span.clone()).await;
    observation.end(response.status());
    response
}

/// A request that is being answered. When the caller goes away, as a gateway does after its timeout, the server drops the handler.
/// Operators look for these requests, so they are logged and counted when this value is dropped.
struct Observation {
    metrics: Metrics,
    started: Instant,
    method: Method,
    route: String,
    span: Span,
    status: Option<StatusCode>,
}

impl Observation {
    fn begin(metrics: Metrics, request: &Request) -> Self {
        let method = request.method().clone();
        let route = request.extensions().get::<MatchedPath>().map_or(UNMATCHED, MatchedPath::as_str).to_owned();
        let request_id = request_id(request.headers());
        let span = tracing::info_span!("request", method = method_label(&method), route, request_id);
        Self { metrics, started: Instant::now(), method, route, span, status: None }
    }

    fn end(mut self, status: StatusCode) {
        self.status = Some(status);
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        let duration = self.started.elapsed();
        let duration_ms = (duration.as_secs_f64() * 1e6).round() / 1e3;
        let status = self.status.map_or(CALLER_GONE, |status| status.as_u16());
        self.metrics.answered(&self.route, &self.method, status, duration);
        self.span.in_scope(|| match self.status {
            Some(_) => tracing::info!(status, duration_ms, "answered"),
            None => tracing::warn!(status, duration_ms, "the caller went away before the answer"),
        });
    }
}

/// The caller's `x-request-id`. `None` if it could forge a log line.
fn request_id(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-request-id")?.to_str().ok().filter(|id| is_request_id(id))
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
}
