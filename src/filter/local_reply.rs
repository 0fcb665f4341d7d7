//! Envoy's local replies with details, which the access log shows as `%RESPONSE_CODE_DETAILS%`. The SDK sends replies without details.

#![expect(unsafe_code, reason = "a function of the host is declared, and what it is handed are addresses")]

use crate::journey::{Answer, Outcome};

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    /// `proxy_send_local_response` of the Proxy-Wasm ABI 0.2.1. The arguments are status, details, body, headers and gRPC status (-1 for no
    /// status). It returns 0 on success. It is safe to call with any addresses: Envoy only reads there, and returns an error if they lie
    /// outside the memory.
    safe fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> u32;
}

/// Answers the request of the effective context. False if Envoy refuses.
pub(super) fn send(answer: Answer, outcome: Outcome) -> bool {
    let mut headers = answer.headers;
    headers.extend(answer.www_authenticate.as_deref().map(|challenge| ("www-authenticate", challenge)));
    headers.extend(answer.interaction_id.as_deref().map(|id| ("x-fapi-interaction-id", id)));
    let (details, body, headers) = (details(outcome), answer.body, map(&headers));
    let status = proxy_send_local_response(
        u32::from(answer.status),
        details.as_ptr(),
        details.len(),
        body.as_ptr(),
        body.len(),
        headers.as_ptr(),
        headers.len(),
        -1,
    );
    status == 0
}

/// In the form that Envoy's own filters use: the outcome, and the reason in braces.
fn details(outcome: Outcome) -> String {
    match outcome {
        Outcome::Allowed => "dcr_allowed".to_owned(),
        Outcome::Denied(rule) | Outcome::Error(rule) => {
            ["dcr_", outcome.name(), "{", rule.id, ":", rule.reason, "}"].concat()
        }
    }
}

/// Encodes a map for the ABI: the number of pairs, then the lengths of each name and value, then the texts, each followed by a zero octet.
/// Numbers have 32 bits, like `usize` here.
fn map(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut map = pairs.len().to_le_bytes().to_vec();
    for (name, value) in pairs {
        map.extend_from_slice(&name.len().to_le_bytes());
        map.extend_from_slice(&value.len().to_le_bytes());
    }
    for (name, value) in pairs {
        for text in [name, value] {
            map.extend_from_slice(text.as_bytes());
            map.push(0);
        }
    }
    map
}
