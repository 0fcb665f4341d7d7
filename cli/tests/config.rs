//! `dcr config`: broken configurations, each with the place of the fault and the cure, in every form in which an operator writes them.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "clippy takes helpers beside tests for code"
)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use dcr_cli::configuration::schema::Schema;
use dcr_cli::configuration::{Finding, Report, Severity, check};

const DOCUMENT: &str = "\
profile: uk-obie-3.3
issuer: https://bank.example
directories:
- issuer: OpenBanking Ltd
  jwks_uri: https://keystore.example/openbanking.jwks
  cluster: directory
  software_key_sets:
  - { host: keystore.example, cluster: key_sets }
store: { cluster: dcr_store }
";

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn shipped() -> String {
    std::fs::read_to_string(project().join("envoy/envoy.yaml")).unwrap()
}

/// The text with a part replaced, which it must have.
#[track_caller]
fn with(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "no {from} in {text}");
    text.replacen(from, to, 1)
}

fn indented(text: &str, by: usize) -> String {
    text.lines().map(|line| format!("{:by$}{line}\n", "")).collect()
}

/// The findings, one line each, without the lines' numbers.
fn told(report: &Report) -> Vec<String> {
    let one =
        |finding: &Finding| format!("{}: {}: {} | {}", finding.severity, finding.place, finding.problem, finding.cure);
    report.findings.iter().map(one).collect()
}

#[track_caller]
fn findings(text: &str) -> Vec<String> {
    told(&check(text).unwrap())
}

/// Each line must have the beginning and the end of a finding, in order.
#[track_caller]
fn assert_findings(text: &str, expected: &[(&str, &str)]) {
    let found = findings(text);
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, (begins, has)) in found.iter().zip(expected) {
        assert!(found.starts_with(begins) && found.contains(has), "{found}\n  is not: {begins} … {has}");
    }
}

#[test]
fn a_document_alone() {
    assert_eq!(findings(DOCUMENT), [""; 0]);
    let changed = |from: &str, to: &str| with(DOCUMENT, from, to);
    for (document, expected) in [
        (
            changed("store: { cluster: dcr_store }", "store: { cluster: dcr_store, timeuot: 2s }"),
            [("error: store.timeuot: unknown field `timeuot`", "did you mean store.timeout?")],
        ),
        (
            changed("issuer: https://bank.example", "issuer: http://bank.example"),
            [("error: issuer: write an https URL", "such as https://bank.example")],
        ),
        (
            changed("profile: uk-obie-3.3", "profile: uk-obie"),
            [("error: profile: is not a profile: there are uk-obie-3.3", "the rest is checked with the first of them")],
        ),
        (
            changed("store: { cluster: dcr_store }", ""),
            [("error: store: is missing", "write an object: The store of the client records")],
        ),
        (
            changed("  cluster: directory\n", ""),
            [("error: directories[0].cluster: is missing", "The Envoy cluster that reaches the directory's key set.")],
        ),
        (
            changed(
                "  software_key_sets:\n  - { host: keystore.example, cluster: key_sets }\n",
                "  software_key_sets: []\n",
            ),
            [("error: directories[0].software_key_sets: list the hosts", "at least one")],
        ),
        (
            format!("{DOCUMENT}limits: {{ body_bytes: 1000000 }}\n"),
            [("error: limits.body_bytes: must be between 1 and 98304", "write a whole number from 1 to 98304")],
        ),
        (
            format!("{DOCUMENT}jwks: {{ max_age: 300 }}\n"),
            [(
                "error: jwks.max_age: invalid type: number `300`",
                "write a duration such as \"30s\" or \"1h 30m\", from 1s to 1d",
            )],
        ),
        (
            format!("{DOCUMENT}other_grants: deny\n"),
            [("error: other_grants: unknown variant `deny`", "write one of refuse, pass")],
        ),
        (
            format!("{DOCUMENT}danger_rules: {{ SS-02: off }}\n"),
            [("error: danger_rules.SS-02: cannot be set aside", "write enforce")],
        ),
        (
            format!("{DOCUMENT}certificate: {{ source: header, trusted_proxies: ['00'] }}\n"),
            [("error: certificate.source: unknown variant `header`", "write one of connection, forwarded")],
        ),
    ] {
        let more = usize::from(document.contains("trusted_proxies"));
        let found = findings(&document);
        assert_eq!(found.len(), 1 + more, "{found:#?}");
        assert!(found[0].starts_with(expected[0].0) && found[0].contains(expected[0].1), "{found:#?}");
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once_with_its_line() {
    let document = "\
profile: uk-obie-3.3
issuer: bank.example
directories:
- issuer: OpenBanking Ltd
  jwks_uri: http://keystore.example/openbanking.jwks
  cluster: 7
  softwarekeysets: []
- issuer: OpenBanking Ltd
  jwks_uri: https://keystore.example/openbanking.jwks
  cluster: directory
  software_key_sets: [{ host: 'https://keystore.example', cluster: key_sets }]
  certificate_issuers: [{ name: C=GB }, {}, { authority_key_identifier: xyz }]
limits:
  body_bytes: 200000
  jwt_bytes: 90000
paths: { token: token }
danger_rules: { XX-01: off, MD-01: off }
clock_skew: 5m
certificate: { source: forwarded, trusted_proxies: [one, two] }
";
    let report = check(document).unwrap();
    let places: Vec<(u64, &str)> =
        report.findings.iter().map(|finding| (finding.line, finding.place.as_str())).collect();
    for place in [
        (1, "store"),
        (2, "issuer"),
        (5, "directories[0].jwks_uri"),
        (6, "directories[0].cluster"),
        (7, "directories[0].softwarekeysets"),
        (4, "directories[0].software_key_sets"),
        (8, "directories[1].issuer"),
        (11, "directories[1].software_key_sets[0].host"),
        (12, "directories[1].certificate_issuers[1]"),
        (12, "directories[1].certificate_issuers[2].authority_key_identifier"),
        (14, "limits.body_bytes"),
        (16, "paths.token"),
        (17, "danger_rules.XX-01"),
        (17, "danger_rules.MD-01"),
        (18, "clock_skew"),
        (19, "certificate.trusted_proxies[0]"),
        (19, "certificate.trusted_proxies[1]"),
    ] {
        assert!(places.contains(&place), "{place:?}\n{:#?}", told(&report));
    }
    assert_eq!(places.len(), 17, "{:#?}", told(&report));
    let warnings: Vec<_> = report.findings.iter().filter(|finding| finding.severity == Severity::Warning).collect();
    assert_eq!(warnings.iter().map(|warning| warning.place.as_str()).collect::<Vec<_>>(), ["danger_rules.MD-01"]);
}

/// Where a fault cannot be put right, because it is in a profile of one's own, the command says that it has not seen everything.
#[test]
fn what_is_not_checked_is_told() {
    let own = with(
        DOCUMENT,
        "profile: uk-obie-3.3",
        "profile: { extends: uk-obie-3.3, name: own, access_token: { lifetime: 1s } }",
    );
    let found = findings(&format!("{own}limits: {{ body_bytes: 0 }}\n"));
    assert!(found.iter().any(|told| told.starts_with("error: access_token.lifetime: must be between")), "{found:#?}");
    assert!(found.iter().any(|told| told.contains("there may be more")), "{found:#?}");
}

#[test]
fn the_shipped_configuration_and_what_is_wrong_in_changed_ones() {
    assert_eq!(findings(&shipped()), [""; 0]);
    let http =
        "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.http_filters[0].typed_config.config";
    for (from, to, severity, place, has) in [
        (
            "profile: uk-obie-3.3",
            "profile: uk-obie-3.5",
            "error",
            ".configuration.value.profile",
            "there are uk-obie-3.3",
        ),
        ("timeout: 2s }", "timeout: 2 }", "error", ".configuration.value.store.timeout", "write a duration"),
        (
            "store: { cluster: dcr_store",
            "store: { cluster: store",
            "warning",
            ".configuration.value.store.cluster",
            "or name one of directory, key_sets, dcr_store, backend",
        ),
        (
            "software_key_sets:",
            "software_key_set:",
            "error",
            ".configuration.value.directories[0].software_key_set",
            "did you mean",
        ),
        (
            "allow_on_headers_stop_iteration: true",
            "",
            "warning",
            ".allow_on_headers_stop_iteration",
            "write allow_on_headers_stop_iteration: true, or headers: forward",
        ),
        ("FAIL_RELOAD", "FAIL_OPEN", "warning", ".failure_policy", "remove it"),
        ("vm_id: dcr_gate", "", "warning", ".vm_config.vm_id", "write a vm_id"),
    ] {
        let report = check(&with(&shipped(), from, to)).unwrap();
        let finding = told(&report).into_iter().find(|told| told.starts_with(&format!("{severity}: {http}{place}: ")));
        assert!(finding.is_some_and(|told| told.contains(has)), "{from}: {:#?}", told(&report));
        assert_eq!(report.findings.iter().filter(|finding| finding.line < 10).count(), 0, "{from}");
    }
    let short =
        with(&shipped(), "per_connection_buffer_limit_bytes: 262144", "per_connection_buffer_limit_bytes: 32768");
    let place = "warning: static_resources.listeners[0].per_connection_buffer_limit_bytes: ";
    assert_findings(&short, &[(place, "is 32768 bytes, less than limits.body_bytes (65536)")]);
    let default = with(&shipped(), "per_connection_buffer_limit_bytes: 262144", "");
    assert_eq!(findings(&default), [""; 0], "Envoy's own default is 1 MiB");
    let clusters_of_a_server =
        with(&shipped(), "static_resources:", "dynamic_resources: { cds_config: { ads: {} } }\nstatic_resources:");
    assert_eq!(
        findings(&with(&clusters_of_a_server, "store: { cluster: dcr_store", "store: { cluster: store")),
        [""; 0]
    );
}

#[test]
fn a_document_as_json_text() {
    let wasm = |text: &str| {
        let plugin = "name: dcr_gate, allow_on_headers_stop_iteration: true, vm_config: { vm_id: dcr_gate }";
        format!(
            "resources:\n- \"@type\": type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig\n  name: dcr_gate\n  typed_config:\n    \
             \"@type\": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm\n    config: {{ {plugin}, configuration: {{ \
             \"@type\": type.googleapis.com/google.protobuf.StringValue, value: '{text}' }} }}\n"
        )
    };
    let good = r#"{"profile": "uk-obie-3.3", "issuer": "https://bank.example", "directories": [{"issuer": "OpenBanking Ltd",
        "jwks_uri": "https://k.example/a", "cluster": "a", "software_key_sets": [{"host": "k.example", "cluster": "a"}]}],
        "store": {"cluster": "s"}}"#
        .replace('\n', " ");
    assert_eq!(findings(&wasm(&good)), [""; 0]);
    let place = "error: resources[0].typed_config.config.configuration.value";
    let store = with(&good, r#""store": {"cluster": "s"}"#, r#""store": {"cluster": ""}"#);
    assert_findings(&wasm(&store), &[(&format!("{place}.store.cluster: name the Envoy cluster"), "")]);
    let twice = with(&good, r#""store""#, r#""issuer": "https://other.example", "store""#);
    assert_findings(&wasm(&twice), &[(&format!("{place}: a JSON object has two members of the same name"), "")]);
}

#[test]
fn a_configuration_of_envoy_that_is_written_otherwise() {
    let typed = format!(
        "\"@type\": type.googleapis.com/xds.type.v3.TypedStruct\ntype_url: \
         type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm\nvalue:\n  config:\n    name: dcr_gate\n    configuration:\n      \
         \"@type\": type.googleapis.com/google.protobuf.Struct\n      value:\n{}",
        indented(&with(DOCUMENT, "https://bank", "http://bank"), 8)
    );
    assert_findings(
        &typed,
        &[
            ("warning: value.config.vm_config.vm_id: ", ""),
            ("warning: value.config.allow_on_headers_stop_iteration: ", ""),
            ("error: value.config.configuration.value.issuer: ", "https"),
        ],
    );
    let nothing = with(&shipped(), "\"@type\": type.googleapis.com/google.protobuf.Struct", "");
    assert!(findings(&nothing)[0].contains("is neither a Struct nor a StringValue"));
    let map = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: envoy }}\ndata:\n  envoy.yaml: |\n{}",
        indented(&with(&shipped(), "issuer: https://localhost:8443", "issuer: localhost"), 4)
    );
    let place = "error: ConfigMap envoy: data[\"envoy.yaml\"].static_resources.listeners[0]";
    let found = findings(&map);
    assert!(found.iter().any(|told| told.starts_with(place) && told.contains("write an https URL")), "{found:#?}");
}

#[test]
fn manifests_for_istio_and_envoy_gateway() {
    let wrong = with(DOCUMENT, "cluster: dcr_store", "clutser: dcr_store");
    let wasm = |document: &str, by: usize| {
        indented(
            &format!(
                "\"@type\": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm\nconfig:\n  name: dcr_gate\n  \
                 allow_on_headers_stop_iteration: true\n  vm_config: {{ vm_id: dcr_gate }}\n  configuration:\n    \"@type\": \
                 type.googleapis.com/google.protobuf.Struct\n    value:\n{}",
                indented(document, 6)
            ),
            by,
        )
    };
    let istio = "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: { name: gate }\nspec:\n  configPatches:\n  - applyTo: \
                 LISTENER\n    patch: { operation: MERGE, value: { per_connection_buffer_limit_bytes: 131072 } }\n";
    let filter = |document: &str| {
        format!(
            "{istio}  - applyTo: HTTP_FILTER\n    patch:\n      operation: INSERT_BEFORE\n      value:\n        name: dcr_gate\n        \
             typed_config:\n{}",
            wasm(document, 10)
        )
    };
    assert_eq!(findings(&filter(DOCUMENT)), [""; 0]);
    let place = "EnvoyFilter gate: spec.configPatches[1].patch.value.typed_config.config.configuration.value.store";
    assert_findings(
        &filter(&wrong),
        &[
            (&format!("error: {place}.clutser: unknown field"), "did you mean store.cluster?"),
            (&format!("error: {place}.cluster: is missing"), ""),
        ],
    );
    let short = with(&filter(DOCUMENT), "131072", "32768");
    let place = "warning: EnvoyFilter gate: spec.configPatches[1].patch.value.typed_config.config.configuration.value.limits.body_bytes: ";
    assert_findings(&short, &[(place, "Envoy buffers 32768 bytes")]);

    let limit = "---\napiVersion: gateway.envoyproxy.io/v1alpha1\nkind: ClientTrafficPolicy\nmetadata: { name: limit }\nspec: { connection: { \
                 bufferLimit: 128Ki } }\n";
    let plugin = |kind: &str, spec: &str, by: usize, member: &str, more: &str, document: &str| {
        let head = format!("apiVersion: extensions/v1\nkind: {kind}\nmetadata: {{ name: dcr-gate }}\nspec:\n{spec}");
        let space = " ".repeat(by);
        format!(
            "{head}{space}url: oci://images.example/dcr-gate\n{more}{space}{member}:\n{}{limit}",
            indented(document, by + 2)
        )
    };
    for (kind, spec, by, member, fails_open, place) in [
        ("WasmPlugin", "", 2, "pluginConfig", "  failStrategy: FAIL_OPEN\n", "spec"),
        ("TrafficExtension", "  wasm:\n", 4, "pluginConfig", "    failStrategy: FAIL_OPEN\n", "spec.wasm"),
        ("EnvoyExtensionPolicy", "  wasm:\n  - name: dcr-gate\n", 4, "config", "    failOpen: true\n", "spec.wasm[0]"),
    ] {
        let place_of_headers =
            format!("warning: {kind} dcr-gate: {place}.{member}.headers: Envoy keeps request bodies");
        let kept = findings(&plugin(kind, spec, by, member, "", DOCUMENT));
        assert!(kept.len() == 1 && kept[0].starts_with(&place_of_headers), "{kept:#?}");
        let forwards = format!("headers: forward\n{DOCUMENT}");
        assert_eq!(findings(&plugin(kind, spec, by, member, "", &forwards)), [""; 0], "{kind}");
        let open = findings(&plugin(kind, spec, by, member, fails_open, &with(&forwards, "https://bank", "bank")));
        assert_eq!(open.len(), 2, "{open:#?}");
        assert!(open[0].starts_with(&format!("warning: {kind} dcr-gate: {place}.fail")), "{open:#?}");
        assert!(
            open[1].starts_with(&format!("error: {kind} dcr-gate: {place}.{member}.issuer: write an https URL")),
            "{open:#?}"
        );
    }

    let patch = format!(
        "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyPatchPolicy\nmetadata: {{ name: gate }}\nspec:\n  jsonPatches:\n  - type: \
         type.googleapis.com/envoy.config.listener.v3.Listener\n    operation:\n      op: add\n      path: /x\n      value:\n        \
         typed_config:\n{}{limit}",
        wasm(&wrong, 10)
    );
    let place = "error: EnvoyPatchPolicy gate: spec.jsonPatches[0].operation.value.typed_config.config.configuration.value.store.";
    assert_findings(&patch, &[(place, ""), (place, "")]);
}

#[test]
fn a_file_without_the_filter_is_not_taken_for_a_good_one() {
    for text in [
        "kind: Service\napiVersion: v1\n",
        "static_resources: { listeners: [] }\n",
        "[1, 2]",
        "",
        "a: [",
        "a: 1\na: 2\n",
    ] {
        assert!(check(text).is_err(), "{text:?}");
    }
    let other = with(&shipped(), "dcr_gate.wasm", "other.wasm").replace("dcr_gate", "other");
    let other = with(&with(&other, "profile: uk-obie-3.3", ""), "issuer: https://localhost:8443", "");
    let other = with(&other, "directories:", "folders:");
    assert!(check(&other).is_err(), "another filter");
}

#[test]
fn the_members_are_explained() {
    let schema = Schema::shipped();
    let explained = schema.explain("limits.body_bytes").unwrap();
    for part in ["The largest request body, in bytes.", "a whole number from 1 to 98304", "default  65536"] {
        assert!(explained.contains(part), "{explained}");
    }
    let skew = schema.explain("clock_skew").unwrap();
    assert!(skew.contains("default  \"30s\" in uk-obie-3.3") && skew.contains("rule     JW-04 "), "{skew}");
    let age = schema.explain("directories[].statements.max_age").unwrap();
    assert!(age.contains("\"5m\" in br-openfinance") && age.contains("from 1s to 365d"), "{age}");
    assert_eq!(
        schema.explain("directories.cluster").unwrap().lines().nth(1),
        schema.explain("directories[3].cluster").unwrap().lines().nth(1)
    );
    let members = schema.explain("").unwrap();
    assert!(members.lines().any(|line| line.starts_with("  issuer ") && line.contains("required.")), "{members}");
    assert!(schema.explain("profile.client_metadata.grant_types").unwrap().contains("MD-10"));
    assert_eq!(
        schema.explain("limit.body_bytes").unwrap_err(),
        "there is no member limit.body_bytes: did you mean limits?"
    );
    assert!(schema.explain("store.time_out").unwrap_err().ends_with("did you mean store.timeout?"));
    assert!(schema.explain("xyzzy").unwrap_err().contains("lists all"));
}

fn dcr(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dcr"));
    command.args(arguments).current_dir(project()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that refuses its arguments does not read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

#[test]
fn the_exit_status_says_whether_it_is_good() {
    let run = |arguments: &[&str], input: &str| {
        let output = dcr(&[&["config"], arguments].concat(), input);
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.code().unwrap(), text)
    };
    let (code, text) = run(&["check", "envoy/envoy.yaml"], "");
    assert_eq!((code, text.as_str()), (0, "envoy/envoy.yaml: 1 configuration, 0 errors, 0 warnings\n"));
    let (code, text) = run(&["check", "-"], &with(DOCUMENT, "https://bank", "bank"));
    assert!(code == 1 && text.starts_with("-:2: error: issuer: write an https URL"), "{code} {text}");
    let danger = format!("{DOCUMENT}danger_rules: {{ MD-01: shadow }}\n");
    assert_eq!(run(&["check", "-"], &danger).0, 0);
    assert_eq!(run(&["check", "--strict", "-"], &danger).0, 1);
    let (code, text) = run(&["check", "--json", "-"], &danger);
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &report["findings"][0]["place"]), (0, &"danger_rules.MD-01".into()));
    assert_eq!(run(&["check", "Cargo.toml"], "").0, 2);
    assert_eq!(run(&["check", "nowhere.yaml"], "").0, 2);
    assert_eq!(run(&["explain", "stroe"], "").0, 2);
    let (code, text) = run(&["schema"], "");
    assert_eq!((code, text), (0, std::fs::read_to_string(project().join("docs/configuration.schema.json")).unwrap()));
}
