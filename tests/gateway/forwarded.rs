//! The matrix, the traps, the journeys and shadow mode once more, with `headers: forward` in an Envoy that keeps bodies from the filter. This
//! is how Istio and Envoy Gateway configure a filter. The same program runs them, started again with a variable.

use std::process::Command;
use std::sync::LazyLock;

use dcr_dev::{Gateway, GatewayBuilder};
use serde_json::json;

const VARIABLE: &str = "DCR_TEST_HEADERS";

/// `make compat` sets it for an Envoy that does not show certificates to the filter.
const CERTIFICATES_VARIABLE: &str = "DCR_TEST_CERTIFICATE";

/// Whether all gateways of this run forward headers.
pub(crate) static IS_ON: LazyLock<bool> =
    LazyLock::new(|| std::env::var(VARIABLE).is_ok_and(|value| value == "forward"));

/// A gateway that takes headers and certificates as this run of the tests wants it.
pub(crate) fn as_this_run_wants(builder: GatewayBuilder) -> GatewayBuilder {
    let builder = if *IS_ON { without_the_flag(builder) } else { builder };
    if std::env::var(CERTIFICATES_VARIABLE).is_ok_and(|value| value == "forwarded") {
        builder.plugin(json!({ "certificate": { "source": "forwarded" } }))
    } else {
        builder
    }
}

fn without_the_flag(builder: GatewayBuilder) -> GatewayBuilder {
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
