//! The metrics that Prometheus reads from `/metrics`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::clock::Clock;
use crate::database::{Counts, Failure, Waiting};
use crate::model::Kind;

/// The media type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The `route` label of a request that no route matches.
pub const UNMATCHED: &str = "unmatched";

/// The `cause` of `/readyz` when the database cannot be written to.
pub const NOT_READY: &str = "not_ready";

/// Upper bounds in seconds. A commit takes about as long as a flush of the disk. The last bound is longer than the timeout of a gateway.
const BUCKETS: [f64; 12] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];

/// The store's counters, histograms and gauges. It is cheap to clone.
///
/// - `dcr_store_requests_total{route,method,status}`; status 499 counts callers that went away before the answer
/// - `dcr_store_request_duration_seconds{route,method}`
/// - `dcr_store_registrations_total{status}`, `dcr_store_tokens_total{status}`: every item of a batch is counted
/// - `dcr_store_failures_total{cause}`: answers that are a failure of the store
/// - `dcr_store_clients`, `dcr_store_live_tokens`, `dcr_store_jti_kept`
/// - `dcr_store_waiting_operations{queue}`: what waits for the database
/// - `dcr_store_clock_seconds`, `dcr_store_clock_jump_seconds`: the wall clock, and how far it was set since the store started
#[derive(Clone)]
pub struct Metrics {
    requests: Family<RequestLabels, Counter>,
    durations: Family<DurationLabels, Histogram>,
    registrations: Family<ItemLabels, Counter>,
    tokens: Family<ItemLabels, Counter>,
    failures: Family<FailureLabels, Counter>,
    clients: Gauge,
    live_tokens: Gauge,
    jti_kept: Gauge,
    waiting: Family<QueueLabels, Gauge>,
    clock: Gauge,
    clock_jump: Gauge,
    registry: Arc<Registry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    method: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ItemLabels {
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    cause: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabels {
    queue: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DurationLabels {
    route: String,
    method: &'static str,
}

impl Metrics {
    /// New metrics. All values are zero.
    #[must_use]
    pub fn new() -> Self {
        let requests = Family::<RequestLabels, Counter>::default();
        let durations = Family::<DurationLabels, Histogram>::new_with_constructor(|| Histogram::new(BUCKETS));
        let [registrations, tokens] = [(); 2].map(|()| Family::<ItemLabels, Counter>::default());
        let failures = Family::<FailureLabels, Counter>::default();
        for cause in Failure::CAUSES.into_iter().chain([NOT_READY]) {
            // A counter that is there from the start shows its first increase too.
            drop(failures.get_or_create(&FailureLabels { cause }));
        }
        let waiting = Family::<QueueLabels, Gauge>::default();
        let [clients, live_tokens, jti_kept, clock, clock_jump] = [(); 5].map(|()| Gauge::default());

        let mut registry = Registry::with_prefix("dcr_store");
        registry.register("requests", "Requests answered", requests.clone());
        registry.register("request_duration_seconds", "Time from a request to its answer", durations.clone());
        registry.register("registrations", "Registrations asked for", registrations.clone());
        registry.register("tokens", "Tokens asked for", tokens.clone());
        registry.register("failures", "Answers that are a failure of the store, by cause", failures.clone());
        registry.register("clients", "Registered clients", clients.clone());
        registry.register("live_tokens", "Access tokens that have not expired", live_tokens.clone());
        registry.register(
            "jti_kept",
            "Used jti that are kept, expired ones that await the purge included",
            jti_kept.clone(),
        );
        registry.register("waiting_operations", "Operations that wait for the database", waiting.clone());
        registry.register("clock_seconds", "The wall clock, in Unix seconds", clock.clone());
        registry.register("clock_jump_seconds", "How far the wall clock was set since the start", clock_jump.clone());
        Self {
            requests,
            durations,
            registrations,
            tokens,
            failures,
            clients,
            live_tokens,
            jti_kept,
            waiting,
            clock,
            clock_jump,
            registry: Arc::new(registry),
        }
    }

    /// Counts an answered request. `route` is the template that matched, never the path of the request.
    pub fn answered(&self, route: &str, method: &Method, status: u16, duration: Duration) {
        let method = method_label(method);
        let route = route.to_owned();
        self.durations.get_or_create(&DurationLabels { route: route.clone(), method }).observe(duration.as_secs_f64());
        self.requests.get_or_create(&RequestLabels { route, method, status }).inc();
    }

    /// Counts one item of a batch by the status of its reply.
    pub fn batch_item(&self, kind: Kind, status: u16) {
        let counted = match kind {
            Kind::Clients => &self.registrations,
            Kind::Tokens => &self.tokens,
        };
        counted.get_or_create(&ItemLabels { status }).inc();
    }

    /// Counts an answer that is a failure of the store: one of [`Failure::CAUSES`] or [`NOT_READY`].
    pub fn failed(&self, cause: &'static str) {
        self.failures.get_or_create(&FailureLabels { cause }).inc();
    }

    /// Sets the gauges of the rows.
    pub fn kept(&self, counts: Counts) {
        self.clients.set(counts.clients);
        self.live_tokens.set(counts.live_tokens);
        self.jti_kept.set(counts.jti_kept);
    }

    /// Sets the gauges of the queues.
    pub fn waiting(&self, Waiting { writes, reads }: Waiting) {
        for (queue, length) in [("writes", writes), ("reads", reads)] {
            self.waiting.get_or_create(&QueueLabels { queue }).set(i64::try_from(length).unwrap_or(i64::MAX));
        }
    }

    /// Sets the gauges of the clock.
    pub fn time(&self, clock: &Clock) {
        self.clock.set(clock.now());
        self.clock_jump.set(clock.jump());
    }

    /// All metrics in the OpenMetrics text format.
    ///
    /// # Errors
    /// A metric cannot be written as text.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics(..)")
    }
}

/// The method for labels and for the log. A caller can invent any number of methods, and each would be a new series.
pub(crate) fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_labels_are_the_documented_ones() {
        let metrics = Metrics::new();
        metrics.answered("/v1/clients", &Method::POST, 201, Duration::from_millis(3));
        metrics.answered("/v1/clients", &Method::from_bytes(b"BREW").unwrap(), 405, Duration::ZERO);
        metrics.batch_item(Kind::Clients, 409);
        metrics.batch_item(Kind::Tokens, 201);
        metrics.failed("overloaded");
        metrics.kept(Counts { clients: 3, live_tokens: 2, jti_kept: 1 });
        metrics.waiting(Waiting { writes: 5, reads: 0 });
        metrics.time(&Clock::from_fns(|| 1_000, || 900));

        let text = metrics.text().unwrap();
        for line in [
            r#"dcr_store_requests_total{route="/v1/clients",method="POST",status="201"} 1"#,
            r#"dcr_store_requests_total{route="/v1/clients",method="other",status="405"} 1"#,
            r#"dcr_store_request_duration_seconds_bucket{le="0.0025",route="/v1/clients",method="POST"} 0"#,
            r#"dcr_store_request_duration_seconds_bucket{le="0.005",route="/v1/clients",method="POST"} 1"#,
            r#"dcr_store_registrations_total{status="409"} 1"#,
            r#"dcr_store_tokens_total{status="201"} 1"#,
            "dcr_store_clients 3",
            "dcr_store_live_tokens 2",
            "dcr_store_jti_kept 1",
            r#"dcr_store_failures_total{cause="overloaded"} 1"#,
            r#"dcr_store_failures_total{cause="database"} 0"#,
            r#"dcr_store_failures_total{cause="not_ready"} 0"#,
            r#"dcr_store_waiting_operations{queue="writes"} 5"#,
            r#"dcr_store_waiting_operations{queue="reads"} 0"#,
            "dcr_store_clock_seconds 1000",
            "dcr_store_clock_jump_seconds 100",
        ] {
            assert!(text.lines().any(|written| written == line), "{line} is not in\n{text}");
        }
    }
}
