//! The matrix, the traps, the journeys and shadow mode once more, with `headers: forward` in an Envoy that keeps bodies from the filter. This
//! is how Istio and Envoy Gateway configure a filter. The same program runs them, started again with a variable.

use std::process::Command;
use std::sync::LazyLock;

use dcr_dev::{Gateway, GatewayBuilder};
use serde_json::json;

const VARIABLE: &str = "DCR_TEST_HEADERS";

/// Whether all gateways of this run forward headers.
pub(crate) static IS_ON: LazyLock<bool> =
    LazyLock::new(|| std::env::var(VARIABLE).is_ok_and(|value| value == "forward"));

pub(crate) fn without_the_flag(builder: GatewayBuilder) -> GatewayBuilder {
    builder.plugin(json!({ "headers": "forward" })).envoy(|envoy| {
        envoy.plugin()?["allow_on_headers_stop_iteration"] = false.into();
        Ok(())
    })
}

/// How many requests reached the backend. Where headers are forwarded, those whose body did not follow do not count.
pub(crate) fn reached(gateway: &Gateway) -> usize {
    gateway.backend().requests().iter().filter(|request| !*IS_ON || request["body_bytes"] != 0).count()
}

#[test]
fn everything_holds_where_headers_are_forwarded() {
    if *IS_ON {
        return;
    }
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.env(VARIABLE, "forward").args(["matrix::", "traps::", "journeys::", "shadow::", "brazil::", "directories::"]);
    assert!(again.status().unwrap().success(), "see above");
}
