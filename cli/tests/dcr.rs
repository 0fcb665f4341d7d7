//! The commands of `dcr` that need no gateway. The output of one is the input of the next.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "clippy takes helpers beside tests for code"
)]

mod server;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use dcr_cli::pki::TransportShape;
use serde_json::json;
use server::Server;

/// A folder with a development PKI. It is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = Self(std::env::temp_dir().join(format!("dcr-{}", uuid::Uuid::new_v4())));
        std::fs::create_dir(&folder.0).unwrap();
        let made = folder.dcr(&["pki", "new", "--out", "keys"], "");
        assert!(made.status.success(), "{made:?}");
        folder
    }

    fn dcr(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dcr"));
        command
            .args(arguments)
            .current_dir(&self.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// The output of a command that must succeed.
    fn out(&self, arguments: &[&str], input: &str) -> String {
        let output = self.dcr(arguments, input);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Folder {
    /// The exit code of `dcr check`, and the rule that refuses or `accepted`.
    fn check(&self, config: &str, more: &[&str], request: &str) -> (i32, String) {
        let common = ["check", "--json", "--config", config];
        let directory = ["--jwks", "https://localhost:8444/openbanking.jwks=directory.jwks"];
        let output = self.dcr(&[&common[..], &directory[..], more, &["-"]].concat(), request);
        let verdict: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let said = verdict["rule"].as_str().or(verdict["verdict"].as_str()).unwrap_or_default().to_owned();
        (output.status.code().unwrap(), said)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn a_statement_goes_into_a_request_that_inspect_finds_complete() {
    let folder = Folder::new();
    let statement = folder.out(&["ssa", "--pki", "keys"], "");
    let request = folder.out(
        &["request", "--ssa", "-", "--signing-key", "keys/tpp/signing.key", "--audience", "https://bank.example"],
        &statement,
    );
    let report = folder.out(&["inspect", "-"], &request);
    assert!(report.starts_with("registration request") && report.contains("Inside it: software statement"), "{report}");
    assert!(!report.contains('✗'), "{report}");

    let inspected: serde_json::Value =
        serde_json::from_str(&folder.out(&["inspect", "-", "--json"], &request)).unwrap();
    let kid = std::fs::read_to_string(folder.0.join("keys/tpp/signing.kid")).unwrap();
    assert_eq!(inspected.pointer("/header/kid").unwrap(), &kid);
    assert_eq!(inspected.pointer("/claims/aud").unwrap(), "https://bank.example");

    let pki = dcr_cli::pki::Pki::read(&folder.0.join("keys")).unwrap();
    for (file, set) in [("tpp.jwks", pki.tpp.key_set()), ("directory.jwks", pki.directory_key_set())] {
        std::fs::write(folder.0.join(file), set.unwrap().to_string()).unwrap();
    }
    let verified = folder.out(&["inspect", "-", "--jwks", "tpp.jwks", "--jwks", "directory.jwks"], &request);
    assert!(verified.starts_with(&format!("registration request (verifies with the key {kid:?})")), "{verified}");
    assert!(verified.contains("Inside it: software statement (verifies with the key "), "{verified}");
    std::fs::write(folder.0.join("empty.json"), "{}").unwrap();
    let refused = folder.dcr(&["inspect", "-", "--jwks", "empty.json"], &request);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("empty.json: is no key set"), "{refused:?}");
}

#[test]
fn each_ecosystem_has_its_statement_and_its_request() {
    let folder = Folder::new();
    for (ecosystem, kind, profile) in [
        ("uk", "registration request (not verified", "uk-obie-3.3"),
        ("cdr", "registration request (not verified", "au-cdr"),
    ] {
        let statement = folder.out(&["ssa", "--pki", "keys", "--ecosystem", ecosystem], "");
        let request =
            ["request", "--ssa", "-", "--signing-key", "keys/tpp/signing.key", "--audience", "https://bank.example"];
        let report = folder.out(&["inspect", "-"], &folder.out(&request, &statement));
        assert!(report.starts_with(kind) && !report.contains('✗'), "{report}");
        assert!(report.contains(&format!("Profile {profile}")), "{report}");
    }

    let statement = folder.out(&["ssa", "--pki", "keys", "--ecosystem", "brazil"], "");
    let in_brazil = folder.out(&["request", "--ssa", "-", "--claim", "scope=openid"], &statement);
    let request: serde_json::Value = serde_json::from_str(&in_brazil).unwrap();
    assert_eq!((&request["scope"], &request["software_statement"]), (&json!("openid"), &json!(statement.trim())));
    let by_certificate = ["request", "--ssa", "-", "--tls-client-auth", "keys/tpp/brcac.pem"];
    let request: serde_json::Value = serde_json::from_str(&folder.out(&by_certificate, &statement)).unwrap();
    assert!(
        request["tls_client_auth_subject_dn"].as_str().unwrap().contains(",2.5.4.97=#0c2a4f464242522d"),
        "{request}"
    );
    let report = folder.out(&["inspect", "-"], &in_brazil);
    assert!(report.starts_with("registration request (a JSON object") && !report.contains('✗'), "{report}");
    assert!(report.contains("Profile br-openfinance"), "{report}");
    let report = folder.out(&["inspect", "-", "--profile", "fapi2"], &in_brazil);
    assert!(report.contains("Profile fapi2") && report.contains('✗'), "{report}");
    let headed = folder.dcr(&["request", "--ssa", "-", "--header", "kid=a"], &statement);
    assert_eq!(headed.status.code(), Some(2));
}

#[test]
fn a_registration_with_its_own_token_is_managed_by_it() {
    let folder = Folder::new();
    let server = Server::start(&dcr_cli::pki::Pki::read(&folder.0.join("keys")).unwrap());
    let there = [
        &["--url", server.url(), "--profile", "au-cdr", "--clients", "clients", "--cacert", "keys/ca.pem"][..],
        &["--cert", "keys/tpp/brcac.pem", "--key", "keys/tpp/brcac.key"][..],
    ]
    .concat();
    let act = |arguments: &[&str], input: &str| folder.dcr(&[arguments, &there[..]].concat(), input).status.code();
    let client = ["--client-id", "client-1", "--signing-key", "keys/tpp/signing.key"];
    let statement = folder.out(&["ssa", "--pki", "keys", "--ecosystem", "brazil"], "");
    let kept = folder.0.join("clients/client-1.json");

    assert_eq!(act(&["register", "--ssa", "-"], &statement), Some(0));
    let seen = server.seen();
    assert_eq!((seen.request.as_str(), seen.content_type.as_str()), ("POST /register", "application/json"));
    assert!(std::fs::read_to_string(&kept).unwrap().contains("\"first\""));

    assert_eq!(act(&[&["retrieve"], &client[..]].concat(), ""), Some(0));
    let seen = server.seen();
    assert_eq!((seen.request.as_str(), seen.authorization.as_str()), ("GET /clients/client-1", "Bearer first"));

    assert_eq!(act(&["update", "--ssa", "-", "--client-id", "client-1"], &statement), Some(0));
    let seen = server.seen();
    assert_eq!((seen.request.as_str(), seen.authorization.as_str()), ("PUT /clients/client-1", "Bearer second"));
    assert_eq!((seen.content_type.as_str(), &seen.body["client_id"]), ("application/json", &json!("client-1")));

    assert_eq!(act(&[&["retrieve", "--token", "mine"], &client[..]].concat(), ""), Some(0));
    assert_eq!(server.seen().authorization, "Bearer mine");

    assert_eq!(act(&[&["delete"], &client[..]].concat(), ""), Some(0));
    assert_eq!(server.seen().request, "DELETE /clients/client-1");
    assert!(!kept.exists());

    assert_eq!(act(&[&["retrieve"], &client[..]].concat(), ""), Some(1));
    assert_eq!(server.seen().request, "POST /token", "forgotten, so an access token is asked for");
}

#[test]
fn register_names_members_that_are_nearly_known_ones() {
    let folder = Folder::new();
    let server = Server::start(&dcr_cli::pki::Pki::read(&folder.0.join("keys")).unwrap());
    let statement = folder.out(&["ssa", "--pki", "keys"], "");
    let register = [
        &["register", "--ssa", "-", "--url", server.url(), "--profile", "au-cdr", "--clients", "clients"][..],
        &["--cacert", "keys/ca.pem", "--cert", "keys/tpp/transport.pem", "--key", "keys/tpp/transport.key"],
        &["--signing-key", "keys/tpp/signing.key"],
    ]
    .concat();
    for (claims, said) in [
        (&[][..], ""),
        (&["--claim", "scopes=openid"], "dcr: not understood: scopes; did you mean scope?\n"),
        (
            &["--claim", "require_auth_time=true"],
            "dcr: not understood: require_auth_time; this profile does not register it\n",
        ),
    ] {
        let output = folder.dcr(&[&register[..], claims].concat(), &statement);
        assert_eq!(output.status.code(), Some(0), "{claims:?}: {output:?}");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), said, "{claims:?}");
    }
}

#[test]
fn one_thing_can_be_broken_from_the_command_line() {
    let folder = Folder::new();
    let common = ["assertion", "--client-id", "c", "--audience", "a", "--signing-key", "keys/tpp/signing.key"];
    let broken = ["--claim", "exp=1", "--claim", "aud=[\"x\"]", "--without", "jti", "--without-header", "kid"];
    let token = folder.out(&[&common[..], &broken[..]].concat(), "");
    let inspected: serde_json::Value = serde_json::from_str(&folder.out(&["inspect", "-", "--json"], &token)).unwrap();
    assert_eq!(inspected.pointer("/claims/exp").unwrap(), 1);
    assert_eq!(inspected.pointer("/claims/aud/0").unwrap(), "x");
    assert!(inspected.pointer("/claims/jti").is_none() && inspected.pointer("/header/kid").is_none());
}

#[test]
fn mistakes_are_told_with_what_to_do() {
    let folder = Folder::new();
    for (arguments, said) in [
        (&["pki", "new", "--out", "keys"][..], "--force"),
        (&["register"][..], "make run"),
        (&["inspect", "no.token"][..], "three"),
        (&["request", "--ssa", "keys/ca.pem", "--audience", "a"][..], "compact JWS"),
    ] {
        let output = folder.dcr(arguments, "");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(error.contains(said), "{arguments:?}: {error}");
    }
    assert!(Path::new(&folder.0).join("keys/ca.pem").exists());
}

const CONFIGURATION: &str = "\
profile: uk-obie-3.3
issuer: https://bank.example
directories:
- issuer: OpenBanking Ltd
  jwks_uri: https://localhost:8444/openbanking.jwks
  cluster: directory
  software_key_sets: [{ host: 'localhost:8444', cluster: directory }]
store: { cluster: dcr_store }
";

#[test]
fn check_judges_as_the_gateway_would() {
    let folder = Folder::new();
    let pki = dcr_cli::pki::Pki::read(&folder.0.join("keys")).unwrap();
    std::fs::write(folder.0.join("gate.yaml"), CONFIGURATION).unwrap();
    std::fs::write(folder.0.join("directory.jwks"), pki.directory_key_set().unwrap().to_string()).unwrap();
    std::fs::write(folder.0.join("tpp.jwks"), pki.tpp.key_set().unwrap().to_string()).unwrap();
    let statement = folder.out(&["ssa", "--pki", "keys"], "");
    let request =
        ["request", "--ssa", "-", "--signing-key", "keys/tpp/signing.key", "--audience", "https://bank.example"];
    let good = folder.out(&request, &statement);

    let check =
        |more: &[&str], request: &str| folder.check("gate.yaml", &[&["--jwks", "tpp.jwks"], more].concat(), request);
    let own = ["--certificate", "keys/tpp/transport.pem"];
    assert_eq!(check(&own, &good), (0, "accepted".into()));
    assert_eq!(check(&["--certificate", "keys/other-tpp/transport.pem"], &good), (1, "CB-04".into()));
    assert_eq!(check(&[], &good), (1, "RG-01".into()));
    assert_eq!(check(&[&own[..], &["--at", "2100-01-01T00:00:00Z"]].concat(), &good), (1, "JW-03".into()));
    let broken =
        folder.out(&[&request[..], &["--claim", "redirect_uris=[\"https://elsewhere.example\"]"]].concat(), &statement);
    assert_eq!(check(&own, &broken), (1, "MD-01".into()));
    assert_eq!(check(&[&own[..], &["--at", "tomorrow"]].concat(), &good).0, 2);
}

#[test]
fn check_judges_as_a_gateway_in_brazil_would() {
    let folder = Folder::new();
    let pki = dcr_cli::pki::Pki::read(&folder.0.join("keys")).unwrap();
    let configuration = CONFIGURATION
        .replace("uk-obie-3.3", "br-openfinance")
        .replace("issuer: OpenBanking Ltd", &format!("issuer: {}", dcr_cli::mint::BRAZIL_DIRECTORY_ISSUER));
    std::fs::write(folder.0.join("gate.yaml"), configuration).unwrap();
    std::fs::write(folder.0.join("directory.jwks"), pki.directory_key_set().unwrap().to_string()).unwrap();
    let until_2022 = pki.tpp_ca.issue_transport(&pki.tpp.brazilian_software, TransportShape::BrcacUntil2022).unwrap();
    std::fs::write(folder.0.join("until-2022.pem"), until_2022.certificate_pem).unwrap();

    let statement = folder.out(&["ssa", "--pki", "keys", "--ecosystem", "brazil"], "");
    let by_key = folder.out(&["request", "--ssa", "-"], &statement);
    let check = |certificate: &str, request: &str| folder.check("gate.yaml", &["--certificate", certificate], request);
    for certificate in ["keys/tpp/brcac.pem", "until-2022.pem"] {
        assert_eq!(check(certificate, &by_key), (0, "accepted".into()), "{certificate}");
        let by_certificate = folder.out(&["request", "--ssa", "-", "--tls-client-auth", certificate], &statement);
        assert_eq!(check(certificate, &by_certificate), (0, "accepted".into()), "{certificate}");
    }
    for foreign in ["keys/tpp/transport.pem", "keys/tpp/obwac.pem", "keys/other-tpp/brcac.pem"] {
        let (code, rule) = check(foreign, &by_key);
        assert!(code == 1 && ["CB-08", "CB-09"].contains(&rule.as_str()), "{foreign}: {rule}");
    }
}

#[test]
fn profiles_are_listed_shown_and_compared() {
    let folder = Folder::new();
    let list = folder.out(&["profile", "list"], "");
    assert!(list.lines().any(|line| line.starts_with("uk-obie-3.3 ")), "{list}");
    let shown: serde_json::Value = serde_json::from_str(&folder.out(&["profile", "show", "fapi2"], "")).unwrap();
    assert_eq!(shown["client_assertion"]["audiences"], serde_json::json!(["issuer"]));
    let differences = folder.out(&["profile", "diff", "uk-obie-3.3", "uk-obie-3.4"], "");
    assert!(differences.contains("client_metadata.subject_dn_max_chars\n  - 128\n  + 512"), "{differences}");
    assert!(!differences.contains("clock_skew"), "{differences}");
    assert!(String::from_utf8(folder.dcr(&["profile", "show", "uk"], "").stderr).unwrap().contains("uk-obie-3.3"));
}

#[test]
fn a_profile_in_a_file_is_shown_compared_and_inspected_with() {
    let folder = Folder::new();
    let write = |name: &str, text: &str| std::fs::write(folder.0.join(name), text).unwrap();
    write("own.yaml", "extends: fapi2\nname: own\nclient_metadata: { scope_max_chars: 99 }\n");
    let shown: serde_json::Value = serde_json::from_str(&folder.out(&["profile", "show", "own.yaml"], "")).unwrap();
    assert_eq!(shown["client_metadata"]["scope_max_chars"], 99);
    assert_eq!(shown["client_assertion"]["audiences"], json!(["issuer"]), "as in fapi2");
    let differences = folder.out(&["profile", "diff", "fapi2", "own.yaml"], "");
    assert_eq!(differences.trim(), "client_metadata.scope_max_chars\n  - 256\n  + 99");
    write("whole.json", &shown.to_string());
    assert_eq!(folder.out(&["profile", "diff", "own.yaml", "whole.json"], "").trim(), "");

    let statement = folder.out(&["ssa", "--pki", "keys"], "");
    write(
        "strict.json",
        r#"{"extends": "uk-obie-3.3", "name": "strict", "software_statement": {"required_claims": ["birthday"]}}"#,
    );
    let report = folder.out(&["inspect", "--profile", "strict.json", "-"], &statement);
    assert!(report.contains("Profile strict") && report.contains("birthday"), "{report}");

    write("wrong.yaml", "extends: fapi2\nclient_metadata: { scope_max_chars: many }\n");
    write("unknown.yaml", "extends: uk\n");
    for (file, says) in [
        ("wrong.yaml", "wrong.yaml: client_metadata.scope_max_chars: invalid type"),
        ("unknown.yaml", "unknown.yaml: extends what is not a profile: there are uk-obie-3.3"),
        ("nowhere.yaml", "is neither a profile nor a file with one: there are uk-obie-3.3"),
    ] {
        let refused = folder.dcr(&["profile", "show", file], "");
        assert_eq!(refused.status.code(), Some(2), "{file}");
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains(says), "{said}");
    }
}
