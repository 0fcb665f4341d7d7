//! A plugin that verifies the signatures in its configuration with the filter's code. It logs the results and the times.
//!
//! It shows that the code is correct, and how long it takes, in Envoy's V8 or in another host. Envoy runs it with `--mode validate`,
//! because it does all work while it is configured.
//!
//! Configuration: `{"host": true, "floats": true, "signatures": [{"jwk": {…}, "message": "…", "signature": "…", "times": 1}]}`, octets in
//! base64url.
//! With `host` ES256 is verified by the host's function if it has one, with `floats` PS256 in floating-point numbers if the machine is fit
//! for it. The log line is `dcr-probe: ` and
//! `{"es256": "by host", "ps256": "in floats", "signatures": [{"verifies": true, "nanoseconds": 12345}]}`, the time being that of all `times`.
//!
//! With the configuration `hand on` it changes every request that has a body, as the filter does where a journey hands a request on.

#![cfg(target_os = "wasi")]

use std::time::{Duration, UNIX_EPOCH};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use dcr_gate::filter::change_request;
use dcr_gate::journey::Changes;
use dcr_jose::Algorithm;
use dcr_jose::es256::{self, Es256};
use dcr_jose::jwk::{KeySet, KeySetLimits};
use dcr_jose::rsa::Arithmetic;
use dcr_json as json;
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, BufferType, ContextType, LogLevel};
use serde_json::{Map, Value, json};

#[path = "../../../src/filter/verify_signature.rs"]
mod verify_signature;

// The entry point, which the host calls once.
mod entry {
    proxy_wasm::main! {{
        proxy_wasm::set_log_level(proxy_wasm::types::LogLevel::Info);
        proxy_wasm::set_root_context(|_| Box::new(super::Probe::default()));
    }}
}

#[derive(Default)]
struct Probe {
    /// Whether requests are changed as [`HandsOn`] does it.
    hands_on: bool,
}

impl Context for Probe {}

impl RootContext for Probe {
    fn on_configure(&mut self, size: usize) -> bool {
        let configuration = hostcalls::get_buffer(BufferType::PluginConfiguration, 0, size).ok().flatten();
        self.hands_on = configuration.as_deref() == Some(b"hand on");
        if self.hands_on {
            return true;
        }
        let report = configuration.as_deref().and_then(probe);
        let line = report.as_ref().map_or_else(|| "the configuration cannot be read".to_owned(), Value::to_string);
        let logged = hostcalls::log(LogLevel::Info, &format!("dcr-probe: {line}"));
        report.is_some() && logged.is_ok()
    }

    fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
        if self.hands_on { Some(Box::new(HandsOn)) } else { None }
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

/// A request that goes to the upstream with other headers and another body, once its own body is whole.
struct HandsOn;

impl Context for HandsOn {}

impl HttpContext for HandsOn {
    fn on_http_request_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        Action::Pause
    }

    fn on_http_request_body(&mut self, _size: usize, end_of_stream: bool) -> Action {
        if !end_of_stream {
            return Action::Pause;
        }
        change_request(&Changes {
            removed_headers: vec!["x-removed"],
            set_headers: vec![("x-replaced", "new".to_owned()), ("x-set", "set".to_owned())],
            body: Some(b"another body".to_vec()),
        });
        Action::Continue
    }
}

fn probe(configuration: &[u8]) -> Option<Value> {
    let configuration = json::parse_object(configuration, 16).ok()?;
    let with_host = configuration.get("host")?.as_bool()?;
    let es256 = if with_host { es256::choose(verify_signature::es256) } else { Es256::InWasm };
    let with_floats = configuration.get("floats")?.as_bool()?;
    let ps256 = if with_floats { Arithmetic::choose() } else { Arithmetic::Integers };
    let signatures = configuration.get("signatures")?.as_array()?;
    let results = signatures.iter().map(|signature| verify(signature.as_object()?)).collect::<Option<Vec<_>>>()?;
    Some(json!({ "es256": es256.to_string(), "ps256": ps256.to_string(), "signatures": results }))
}

fn verify(case: &Map<String, Value>) -> Option<Value> {
    let set = json!({ "keys": [case.get("jwk")?] }).to_string();
    let set = KeySet::parse(set.as_bytes(), &KeySetLimits::default()).ok()?;
    let fitting = [Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa].map(|alg| set.select(None, alg));
    let key = fitting.into_iter().flatten().flatten().next()?;
    let octets = |name: &str| BASE64_URL_SAFE_NO_PAD.decode(case.get(name)?.as_str()?).ok();
    let (message, signature) = (octets("message")?, octets("signature")?);

    let before = now()?;
    let mut verifies = true;
    for _ in 0..case.get("times")?.as_u64()? {
        verifies &= key.verify(&message, &signature).is_ok();
    }
    let nanoseconds = u64::try_from(now()?.checked_sub(before)?.as_nanos()).ok()?;
    Some(json!({ "verifies": verifies, "nanoseconds": nanoseconds }))
}

fn now() -> Option<Duration> {
    hostcalls::get_current_time().ok()?.duration_since(UNIX_EPOCH).ok()
}
