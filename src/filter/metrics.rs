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

/// Counter ids, by name. All are defined when the filter is configured, so that a dashboard sees a zero before the first refusal.
#[derive(Debug)]
pub(super) struct Metrics(HashMap<String, u32>);

impl Metrics {
    /// Defines every counter; `None` where Envoy refuses one.
    pub(super) fn define() -> Option<Self> {
        let requests = Endpoint::NAMES.iter().flat_map(|endpoint| {
            [ALLOWED, PASSED, SHADOW_DENIED, DENIED, ERROR].map(|outcome| requests_total(endpoint, outcome))
        });
        let refused = RULES.iter().flat_map(|rule| [refused(rule), shadow_refused(rule)]);
        let caches = CacheName::ALL.iter().flat_map(|cache| CacheEvent::ALL.map(|event| cache_metric(*cache, event)));
        let checks = Algorithm::ALL.map(signature_checks);
        let others = ["dcr.jwks_fetch_success", "dcr.jwks_fetch_failed", "dcr.store_failed"].map(str::to_owned);
        requests
            .chain(refused)
            .chain(caches)
            .chain(checks)
            .chain(others)
            .map(|name| hostcalls::define_counter(&name).map(|id| (name, id)))
            .collect::<Option<_>>()
            .map(Self)
    }

    /// Counts an event.
    pub(super) fn count(&self, event: &Event) {
        match event {
            Event::Allowed { endpoint } => self.increment(&requests_total(endpoint, ALLOWED)),
            Event::Passed { endpoint } => self.increment(&requests_total(endpoint, PASSED)),
            Event::Watched { endpoint, refusals } => {
                self.increment(&requests_total(endpoint, SHADOW_DENIED));
                refusals.iter().for_each(|refusal| self.increment(&shadow_refused(refusal.rule)));
            }
            Event::Denied { endpoint, refusal } => {
                self.increment(&requests_total(endpoint, outcome(refusal)));
                self.increment(&refused(refusal.rule));
            }
            Event::KeySetFetched => self.increment("dcr.jwks_fetch_success"),
            Event::KeySetFetchFailed { .. } => self.increment("dcr.jwks_fetch_failed"),
            Event::StoreFailed(_) => self.increment("dcr.store_failed"),
            Event::Cache(cache, event) => self.increment(&cache_metric(*cache, *event)),
            Event::SignatureCheck(algorithm) => self.increment(&signature_checks(*algorithm)),
        }
    }

    fn increment(&self, name: &str) {
        if let Some(id) = self.0.get(name) {
            hostcalls::increment(*id);
        }
    }
}

/// Whether the caller was refused, or a service behind the gate failed it.
pub(super) fn outcome(refusal: &Refusal) -> &'static str {
    if refusal.error() == ErrorCode::TemporarilyUnavailable { ERROR } else { DENIED }
}

fn requests_total(endpoint: &str, outcome: &str) -> String {
    format!("dcr.requests_total.{endpoint}.{outcome}")
}

fn shadow_refused(rule: &Rule) -> String {
    format!("dcr.shadow_denied.{}.{}", rule.id.replace('-', "_"), rule.reason)
}

fn cache_metric(cache: CacheName, event: CacheEvent) -> String {
    format!("dcr.cache.{}.{}", cache.name(), event.name())
}

fn signature_checks(algorithm: Algorithm) -> String {
    format!("dcr.signature_checks.{}", algorithm.name())
}

fn refused(rule: &Rule) -> String {
    format!("dcr.refused.{}.{}", rule.id.replace('-', "_"), rule.reason)
}
