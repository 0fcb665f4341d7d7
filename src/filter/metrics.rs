//! The counters. Their names are dotted. Envoy shows them below `wasmcustom.`, and the `stats_tags` of `envoy/envoy.yaml` turn parts of the
//! names into labels.

use dcr_jose::Algorithm;
use dcr_policy::Rule;
use dcr_policy::catalogue::RULES;

use super::hostcalls;
use crate::host::{AudienceName, CacheEvent, CacheName, Event};
use crate::journey::{Endpoint, Outcome};

/// The outcome of a request that the upstream answers.
const PASSED: &str = "passed";
const SHADOW_DENIED: &str = "shadow_denied";

/// Envoy's ids of the counters. All are defined when the filter is configured, so that a dashboard shows zero before the first refusal.
#[derive(Debug)]
pub(super) struct Metrics {
    /// By endpoint and outcome.
    requests: Counters<(&'static str, &'static str)>,
    denied: Counters<&'static Rule>,
    shadow_denied: Counters<&'static Rule>,
    cache: Counters<(CacheName, CacheEvent)>,
    signature_checks: Counters<Algorithm>,
    assertion_audience: Counters<AudienceName>,
    shadow_timed_out: u32,
    key_set_fetched: u32,
    key_set_fetch_failed: u32,
    store_failed: u32,
}

/// Counters of one kind, with the key that each one counts. The list is short, so a linear search is as fast as a hash map.
#[derive(Debug)]
struct Counters<K>(Vec<(K, u32)>);

impl Metrics {
    /// Defines every counter. `None` if Envoy refuses one.
    pub(super) fn define() -> Option<Self> {
        let [allowed, denied, error] = Outcome::NAMES;
        let outcomes = [allowed, PASSED, SHADOW_DENIED, denied, error];
        let requests = Endpoint::NAMES.iter().flat_map(|endpoint| outcomes.map(|outcome| (*endpoint, outcome)));
        let caches = CacheName::ALL.iter().flat_map(|cache| CacheEvent::ALL.map(|event| (*cache, event)));
        Some(Self {
            requests: Counters::define("requests_total", requests, |(endpoint, outcome)| {
                format!("{endpoint}.{outcome}")
            })?,
            denied: Counters::define("denied", RULES.iter().copied(), of_rule)?,
            shadow_denied: Counters::define("shadow_denied", RULES.iter().copied(), of_rule)?,
            cache: Counters::define("cache", caches, |(cache, event)| format!("{}.{}", cache.name(), event.name()))?,
            signature_checks: Counters::define("signature_checks", Algorithm::ALL.into_iter(), |algorithm| {
                algorithm.name().to_owned()
            })?,
            assertion_audience: Counters::define("assertion_audience", AudienceName::ALL.into_iter(), |audience| {
                audience.name().to_owned()
            })?,
            shadow_timed_out: hostcalls::define_counter("dcr.shadow_timed_out")?,
            key_set_fetched: hostcalls::define_counter("dcr.jwks_fetch_success")?,
            key_set_fetch_failed: hostcalls::define_counter("dcr.jwks_fetch_failed")?,
            store_failed: hostcalls::define_counter("dcr.store_failed")?,
        })
    }

    pub(super) fn count(&self, event: &Event) {
        match *event {
            Event::Allowed { endpoint } => self.requests.increment((endpoint, Outcome::Allowed.name())),
            Event::Passed { endpoint } => self.requests.increment((endpoint, PASSED)),
            Event::ShadowDenied { endpoint, ref refusals } => {
                self.requests.increment((endpoint, SHADOW_DENIED));
                refusals.iter().for_each(|refusal| self.shadow_denied.increment(refusal.rule));
            }
            Event::Denied { endpoint, ref refusal } => {
                self.requests.increment((endpoint, Outcome::of(refusal).name()));
                self.denied.increment(refusal.rule);
            }
            Event::ShadowTimedOut => hostcalls::increment(self.shadow_timed_out),
            Event::KeySetFetched => hostcalls::increment(self.key_set_fetched),
            Event::KeySetFetchFailed { .. } => hostcalls::increment(self.key_set_fetch_failed),
            Event::StoreFailed(_) => hostcalls::increment(self.store_failed),
            Event::Cache(cache, event) => self.cache.increment((cache, event)),
            Event::SignatureCheck(algorithm) => self.signature_checks.increment(algorithm),
            Event::AssertionAudience(audience) => self.assertion_audience.increment(audience),
            Event::NotUnderstood(_) => {}
        }
    }
}

impl<K: Copy + PartialEq> Counters<K> {
    fn define(kind: &str, counted: impl Iterator<Item = K>, name: impl Fn(K) -> String) -> Option<Self> {
        let define = |key| Some((key, hostcalls::define_counter(&format!("dcr.{kind}.{}", name(key)))?));
        counted.map(define).collect::<Option<_>>().map(Self)
    }

    fn increment(&self, key: K) {
        if let Some((_, id)) = self.0.iter().find(|(known, _)| *known == key) {
            hostcalls::increment(*id);
        }
    }
}

fn of_rule(rule: &Rule) -> String {
    format!("{}.{}", rule.id.replace('-', "_"), rule.reason)
}
