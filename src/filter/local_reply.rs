//! Envoy's local replies, with the details that its access log shows as `%RESPONSE_CODE_DETAILS%`: the SDK has them sent without.

#![expect(unsafe_code, reason = "a function of the host is declared, and what it is handed are addresses")]

use crate::journey::{Answer, Outcome};

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    /// `proxy_send_local_response` of the Proxy-Wasm ABI 0.2.1: status, details, body, headers, gRPC status (-1 for none); 0 where it was
    /// done. Safe to call with whatever addresses: Envoy reads there, writes nothing, and answers an error where they lie outside the
    /// memory.
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

/// Answers the request of the effective context; false where Envoy does not.
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

/// In the form of Envoy's own filters: who refused, and why in braces.
fn details(outcome: Outcome) -> String {
    match outcome {
        Outcome::Allowed => "dcr_allowed".to_owned(),
        Outcome::Denied(rule) | Outcome::Error(rule) => {
            ["dcr_", outcome.name(), "{", rule.id, ":", rule.reason, "}"].concat()
        }
    }
}

/// A map as the ABI has it: the number of pairs, the lengths of each name and value, in 32 bits, which is what `usize` has here; then the
/// texts, each with a zero behind it.
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
