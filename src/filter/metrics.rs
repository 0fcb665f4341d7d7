//! The counters. Names are dotted; Envoy shows them below `wasmcustom.`, and the `stats_tags` of `envoy/envoy.yaml` make labels of
//! their parts.

use std::collections::HashMap;

use super::hostcalls;
use crate::host::{CacheEvent, CacheName, Event};
use crate::jose::Algorithm;
use crate::journey::Endpoint;
use crate::policy::catalogue::RULES;
use crate::policy::{ErrorCode, Refusal, Rule};

const ALLOWED: &str = "allowed";
const PASSED: &str = "passed";
const SHADOW_DENIED: &str = "shadow_denied";
const DENIED: &str = "denied";
const ERROR: &str = "error";

/// Envoy's ids of the counters. All are defined when the filter is configured, so that a dashboard sees a zero before the first refusal.
#[derive(Debug)]
pub(super) struct Metrics(HashMap<Counter, u32>);

/// One counter. Its name is put together once, when it is defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Counter {
    Requests { endpoint: &'static str, outcome: &'static str },
    Refused { id: &'static str, reason: &'static str },
    ShadowRefused { id: &'static str, reason: &'static str },
    Cache(CacheName, CacheEvent),
    SignatureChecks(Algorithm),
    KeySetFetched,
    KeySetFetchFailed,
    StoreFailed,
}

impl Metrics {
    /// Defines every counter; `None` where Envoy refuses one.
    pub(super) fn define() -> Option<Self> {
        let requests = Endpoint::NAMES.iter().flat_map(|endpoint| {
            [ALLOWED, PASSED, SHADOW_DENIED, DENIED, ERROR].map(|outcome| Counter::Requests { endpoint, outcome })
        });
        let refused = RULES.iter().flat_map(|rule| [Counter::refused(rule), Counter::shadow_refused(rule)]);
        let caches = CacheName::ALL.iter().flat_map(|cache| CacheEvent::ALL.map(|event| Counter::Cache(*cache, event)));
        let checks = Algorithm::ALL.map(Counter::SignatureChecks);
        let others = [Counter::KeySetFetched, Counter::KeySetFetchFailed, Counter::StoreFailed];
        let counters = requests.chain(refused).chain(caches).chain(checks).chain(others);
        counters
            .map(|counter| hostcalls::define_counter(&counter.name()).map(|id| (counter, id)))
            .collect::<Option<_>>()
            .map(Self)
    }

    /// Counts an event.
    pub(super) fn count(&self, event: &Event) {
        match *event {
            Event::Allowed { endpoint } => self.increment(Counter::Requests { endpoint, outcome: ALLOWED }),
            Event::Passed { endpoint } => self.increment(Counter::Requests { endpoint, outcome: PASSED }),
            Event::Watched { endpoint, ref refusals } => {
                self.increment(Counter::Requests { endpoint, outcome: SHADOW_DENIED });
                refusals.iter().for_each(|refusal| self.increment(Counter::shadow_refused(refusal.rule)));
            }
            Event::Denied { endpoint, ref refusal } => {
                self.increment(Counter::Requests { endpoint, outcome: outcome(refusal) });
                self.increment(Counter::refused(refusal.rule));
            }
            Event::KeySetFetched => self.increment(Counter::KeySetFetched),
            Event::KeySetFetchFailed { .. } => self.increment(Counter::KeySetFetchFailed),
            Event::StoreFailed(_) => self.increment(Counter::StoreFailed),
            Event::Cache(cache, event) => self.increment(Counter::Cache(cache, event)),
            Event::SignatureCheck(algorithm) => self.increment(Counter::SignatureChecks(algorithm)),
        }
    }

    fn increment(&self, counter: Counter) {
        if let Some(id) = self.0.get(&counter) {
            hostcalls::increment(*id);
        }
    }
}

impl Counter {
    fn refused(rule: &Rule) -> Self {
        Self::Refused { id: rule.id, reason: rule.reason }
    }

    fn shadow_refused(rule: &Rule) -> Self {
        Self::ShadowRefused { id: rule.id, reason: rule.reason }
    }

    fn name(self) -> String {
        match self {
            Self::Requests { endpoint, outcome } => format!("dcr.requests_total.{endpoint}.{outcome}"),
            Self::Refused { id, reason } => format!("dcr.refused.{}.{reason}", id.replace('-', "_")),
            Self::ShadowRefused { id, reason } => format!("dcr.shadow_denied.{}.{reason}", id.replace('-', "_")),
            Self::Cache(cache, event) => format!("dcr.cache.{}.{}", cache.name(), event.name()),
            Self::SignatureChecks(algorithm) => format!("dcr.signature_checks.{}", algorithm.name()),
            Self::KeySetFetched => "dcr.jwks_fetch_success".to_owned(),
            Self::KeySetFetchFailed => "dcr.jwks_fetch_failed".to_owned(),
            Self::StoreFailed => "dcr.store_failed".to_owned(),
        }
    }
}

/// Whether the caller was refused, or a service behind the gate failed it.
pub(super) fn outcome(refusal: &Refusal) -> &'static str {
    if refusal.error() == ErrorCode::TemporarilyUnavailable { ERROR } else { DENIED }
}
