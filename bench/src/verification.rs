//! The cost of one verification inside Envoy's V8, compared with OpenSSL on the same processor in the same minute.
//!
//! In Envoy the plugin `dcr-probe` verifies with the filter's code. It measures a whole verification, including the hash of the message.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use dcr_cli::keys::SigningKey;
use dcr_cli::mint;
use dcr_cli::pki::Pki;
use serde_json::{Value, json};

use crate::error::Error;
use crate::listeners::{router, wasm};
use crate::requests::JWT_AUTHN_AUDIENCE;
use crate::rows::median;
use crate::screen;

/// Verifications between two readings of the clock. They take much less than a time slice, so most readings are not interrupted by another
/// process.
const BATCH: u32 = 10;

/// Readings for each case before the measurement. After them, V8 has compiled the frequent code again with optimisation.
const COLD: usize = 100;

/// Readings that count, for each case.
const WARM: usize = 200;

/// Medians by case, in microseconds for each verification. They include OpenSSL's own figure.
pub(crate) type Verifications = BTreeMap<&'static str, f64>;

/// The name of the result of `openssl speed rsa2048` for verification.
pub(crate) const OPENSSL: &str = "openssl_rsa_2048";

/// The plugin and its signatures.
pub(crate) struct Probe {
    envoy: PathBuf,
    bootstrap: PathBuf,
    cases: Vec<&'static str>,
}

impl Probe {
    /// Makes the keys and signatures, and writes Envoy's configuration to `folder`.
    pub(crate) fn new(
        envoy: &Path,
        module: PathBuf,
        folder: &Path,
        pki: &Pki,
        es256: &SigningKey,
    ) -> Result<Self, Error> {
        let large = openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:4096"])?;
        let large = SigningKey::from_pem(&large)?;
        let cases = [("ps256_2048", &pki.tpp.signing), ("ps256_4096", &large), ("es256", es256)];
        let signatures = cases.iter().map(|(_, key)| signature(key)).collect::<Result<Vec<_>, _>>()?;
        let looks: Vec<&Value> = signatures.iter().cycle().take(signatures.len() * (COLD + WARM)).collect();
        let configuration = json!({ "host": true, "floats": true, "signatures": looks });
        let bootstrap = folder.join("probe.json");
        std::fs::write(&bootstrap, bootstrap_of(&module, &configuration).to_string())?;
        Ok(Self { envoy: envoy.into(), bootstrap, cases: cases.iter().map(|(name, _)| *name).collect() })
    }

    /// Measures all cases in every round.
    pub(crate) fn measure(&self, rounds: usize) -> Result<Verifications, Error> {
        let mut figures: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
        for round in 1..=rounds {
            screen::progress(&format!("round {round} of {rounds}:"));
            let looks = self.looks()?;
            for (at, case) in self.cases.iter().enumerate() {
                let own = looks.iter().skip(at).step_by(self.cases.len()).skip(COLD);
                let figure = median(own.copied().collect());
                screen::progress(&format!(" {case} {figure:.1} us"));
                figures.entry(case).or_default().push(figure);
            }
            let native = openssl_us()?;
            screen::line(&format!(" {OPENSSL} {native:.1} us"));
            figures.entry(OPENSSL).or_default().push(native);
        }
        Ok(figures.into_iter().map(|(name, rounds)| (name, median(rounds))).collect())
    }

    /// All readings, case by case in turn, in microseconds for each verification. The plugin does all work while it is configured, so Envoy
    /// need not serve.
    fn looks(&self) -> Result<Vec<f64>, Error> {
        let output = Command::new(&self.envoy).args(["--mode", "validate", "-c"]).arg(&self.bootstrap).output()?;
        let log = String::from_utf8_lossy(&output.stderr);
        let report = log.lines().find_map(|line| line.split_once("dcr-probe: ").map(|(_, report)| report));
        let report: Value = serde_json::from_str(report.ok_or("the plugin dcr-probe does not report")?.trim_end())?;
        let results =
            report.get("signatures").and_then(Value::as_array).ok_or("the plugin dcr-probe verified nothing")?;
        results
            .iter()
            .map(|result| us_of(result).ok_or("the plugin dcr-probe did not verify a good signature".into()))
            .collect()
    }
}

fn us_of(result: &Value) -> Option<f64> {
    let verifies = result.get("verifies")?.as_bool()?;
    let nanoseconds = result.get("nanoseconds")?.as_f64()?;
    verifies.then_some(nanoseconds / f64::from(BATCH) / 1e3)
}

/// A client assertion, split into the parts that the plugin needs.
fn signature(key: &SigningKey) -> Result<Value, Error> {
    let assertion = mint::client_assertion("00000000000000000000000000000000", JWT_AUTHN_AUDIENCE).sign(key)?;
    let (message, signature) = assertion.rsplit_once('.').ok_or("a JWT without dots")?;
    let message = BASE64_URL_SAFE_NO_PAD.encode(message.as_bytes());
    Ok(json!({ "jwk": key.public_jwk(), "message": message, "signature": signature, "times": BATCH }))
}

/// An Envoy with one listener. The plugin is its only filter.
fn bootstrap_of(module: &Path, configuration: &Value) -> Value {
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "probe",
        "route_config": {},
        "http_filters": [wasm("dcr_probe", module, &configuration.to_string()), router()],
    });
    json!({ "static_resources": { "listeners": [{
        "name": "probe",
        "address": { "socket_address": { "address": "127.0.0.1", "port_value": 0 } },
        "filter_chains": [{ "filters": [{ "name": "http", "typed_config": manager }] }],
    }] } })
}

/// OpenSSL's own measurement over one second, in microseconds for each verification. It is one RSA operation with PKCS#1 padding and a
/// ready digest, so it does a little less work than PS256.
fn openssl_us() -> Result<f64, Error> {
    let report = openssl(&["speed", "-mr", "-seconds", "1", "rsa2048"])?;
    // The format is +F2:<number>:2048:<signatures per second>:<verifications per second>.
    let line = report.lines().find(|line| line.starts_with("+F2:")).unwrap_or_default();
    let per_second: f64 =
        line.split(':').nth(4).unwrap_or_default().parse().map_err(|_| "cannot read `openssl speed`")?;
    Ok(1e6 / per_second)
}

fn openssl(arguments: &[&str]) -> Result<String, Error> {
    let output = Command::new("openssl").args(arguments).stderr(Stdio::null()).output();
    let output = output.map_err(|error| format!("openssl, which is measured too, cannot be run: {error}"))?;
    if !output.status.success() {
        return Err(format!("`openssl {}` failed", arguments.join(" ")).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
