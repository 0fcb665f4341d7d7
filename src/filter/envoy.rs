//! Implements the host over Envoy.

use std::rc::Rc;
use std::time::Duration;

use dcr_policy::{Refusal, Timestamp};
use proxy_wasm::types::LogLevel;

use super::metrics::Metrics;
use super::{executor, hostcalls};
use crate::host::{Background, Call, CallNotSent, CallResponse, Event, Host, Shared};
use crate::journey::Outcome;

/// Envoy, as one root context uses it.
#[derive(Debug, Clone)]
pub(super) struct Envoy {
    root: u32,
    queue: u32,
    /// Whether this VM shares values with others. It needs a `vm_id` for that.
    shares: bool,
    metrics: Rc<Metrics>,
}

impl Envoy {
    /// Defines the metrics, and the queue that wakes the root for background work.
    ///
    /// # Errors
    /// The step that Envoy refused, as text for the log.
    pub(super) fn new(root: u32) -> Result<Self, String> {
        let queue = hostcalls::register_queue(root).ok_or("Envoy did not register the queue for background work")?;
        let metrics = Metrics::define().ok_or("Envoy did not define the metrics")?;
        let shares = hostcalls::has_vm_id();
        if !shares {
            hostcalls::log(
                LogLevel::Warn,
                "dcr-gate fetches key sets for each worker alone: give vm_config a vm_id of its own",
            );
        }
        Ok(Self { root, queue, shares, metrics: Rc::new(metrics) })
    }
}

impl Host for Envoy {
    fn now(&self) -> Timestamp {
        executor::now()
    }

    async fn call(&self, call: Call) -> Result<CallResponse, CallNotSent> {
        executor::call(call).await
    }

    fn in_background(&self, work: Background) {
        executor::take_background(self.root, work);
        hostcalls::wake_root(self.queue);
    }

    async fn sleep(&self, time: Duration) {
        executor::sleep(self.root, time).await;
    }

    fn random(&self) -> u64 {
        hostcalls::random()
    }

    fn shared(&self, key: &str) -> Option<Shared> {
        if self.shares { hostcalls::shared_data(key) } else { None }
    }

    fn share(&self, key: &str, value: &[u8], replaces: Option<u32>) -> bool {
        self.shares && hostcalls::share_data(key, value, replaces)
    }

    fn record(&self, event: Event) {
        self.metrics.count(&event);
        match event {
            Event::Passed { .. } => hostcalls::set_filter_state("dcr.outcome", "passed"),
            Event::ShadowDenied { endpoint, refusals } => {
                if let Some(first) = refusals.first() {
                    hostcalls::set_filter_state("dcr.shadow_rule", first.rule.id);
                    hostcalls::set_filter_state("dcr.shadow_reason", first.rule.reason);
                }
                for refusal in refusals {
                    hostcalls::log(LogLevel::Info, &told("shadow_denied", endpoint, &refusal));
                }
            }
            Event::Denied { endpoint, refusal } => {
                // Callers could fill the log with refusals, and the access log has them too. So they are logged at debug, as Envoy's own
                // filters do.
                if hostcalls::shows_debug() {
                    hostcalls::log(LogLevel::Debug, &told(Outcome::of(&refusal).name(), endpoint, &refusal));
                }
            }
            Event::Allowed { .. }
            | Event::KeySetFetched
            | Event::Cache(..)
            | Event::SignatureCheck(_)
            | Event::AssertionAudience(_) => {}
            Event::KeySetFetchFailed { url, owner, problem, status } => {
                let status = status.map(|status| format!(" (status {status})")).unwrap_or_default();
                let line = format!("dcr-gate has no new key set from {url}, the key set of {owner}: {problem}{status}");
                hostcalls::log(LogLevel::Warn, &line);
            }
            Event::ShadowTimedOut => hostcalls::log_sometimes(
                LogLevel::Warn,
                "shadow timed out",
                "dcr-gate: a request in shadow mode was passed on after a second, before it was judged",
            ),
            Event::NotUnderstood(members) => hostcalls::set_filter_state("dcr.not_understood", &members),
            Event::StoreFailed(problem) => {
                hostcalls::log_sometimes(LogLevel::Warn, problem, &format!("dcr-gate: the store {problem}"));
            }
        }
    }
}

fn told(outcome: &str, endpoint: &str, refusal: &Refusal) -> String {
    let (rule, status, claim) = (refusal.rule, refusal.status(), refusal.claim.as_deref().unwrap_or("-"));
    format!("dcr-gate {outcome} {endpoint}: rule={} reason={} claim={claim} status={status}", rule.id, rule.reason)
}
