//! A plugin that verifies the signatures in its configuration with the filter's code. It logs the results and the times.
//!
//! It shows that the code is correct, and how long it takes, in Envoy's V8 or in another host. Envoy runs it with `--mode validate`,
//! because it does all work while it is configured.
//!
//! Configuration: `{"host": true, "floats": true, "signatures": [{"jwk": {…}, "message": "…", "signature": "…", "times": 1}]}`, with octets
//! in base64url. With `host`, ES256 is verified by the host's function if there is one. With `floats`, PS256 is verified in floating-point
//! numbers if the machine computes correctly with them. The log line is `dcr-probe: ` and `{"es256": "by host", "ps256": "in floats",
//! "signatures": [{"verifies": true, "nanoseconds": 12345}]}`. The time is that of all `times`.

#![cfg(target_os = "wasi")]

use std::time::{Duration, UNIX_EPOCH};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use dcr_jose::Algorithm;
use dcr_jose::es256::{self, Es256};
use dcr_jose::jwk::{KeySet, KeySetLimits};
use dcr_jose::rsa::Arithmetic;
use dcr_json as json;
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, RootContext};
use proxy_wasm::types::{BufferType, LogLevel};
use serde_json::{Map, Value, json};

/// The module that [`verify_signature`] imports from.
mod jose {
    pub(crate) use dcr_jose::es256;
}

#[path = "../../../src/filter/verify_signature.rs"]
mod verify_signature;

// The entry point, which the host calls once.
mod entry {
    proxy_wasm::main! {{
        proxy_wasm::set_log_level(proxy_wasm::types::LogLevel::Info);
        proxy_wasm::set_root_context(|_| Box::new(super::Probe));
    }}
}

struct Probe;

impl Context for Probe {}

impl RootContext for Probe {
    fn on_configure(&mut self, size: usize) -> bool {
        let configuration = hostcalls::get_buffer(BufferType::PluginConfiguration, 0, size).ok().flatten();
        let report = configuration.as_deref().and_then(probe);
        let line = report.as_ref().map_or_else(|| "the configuration cannot be read".to_owned(), Value::to_string);
        let logged = hostcalls::log(LogLevel::Info, &format!("dcr-probe: {line}"));
        report.is_some() && logged.is_ok()
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
