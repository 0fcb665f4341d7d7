//! `dcr check`: every rule and its result, for minted requests and for real tokens with verdicts that were set by hand.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "clippy takes helpers beside tests for code"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use dcr_cli::keys::{Algorithm, SigningKey};
use dcr_cli::mint::{self, Token};
use dcr_cli::pki::Pki;
use dcr_policy::profile::Profile;
use serde_json::{Value, json};

const ISSUER: &str = "https://bank.example";
const DIRECTORY: &str = "https://localhost:8444";

static PKI: LazyLock<Pki> = LazyLock::new(|| Pki::generate().unwrap());

/// A folder for the files of the command. It is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = Self(std::env::temp_dir().join(format!("dcr-check-{}", uuid::Uuid::new_v4())));
        std::fs::create_dir(&folder.0).unwrap();
        folder
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.0.join(name), content).unwrap();
    }

    fn check(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dcr"));
        command.arg("check").args(arguments).current_dir(&self.0);
        command.output().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn configuration(profile: &str, more: &Value) -> Value {
    let issuer = if profile == "br-openfinance" { mint::BRAZIL_DIRECTORY_ISSUER } else { mint::DIRECTORY_ISSUER };
    let mut configuration = json!({
        "profile": profile,
        "issuer": ISSUER,
        "directories": [{
            "issuer": issuer,
            "jwks_uri": format!("{DIRECTORY}/openbanking.jwks"),
            "cluster": "directory",
            "software_key_sets": [{ "host": "localhost:8444", "cluster": "directory" }],
        }],
        "store": { "cluster": "dcr_store" },
    });
    for (member, value) in more.as_object().unwrap() {
        configuration[member] = value.clone();
    }
    configuration
}

/// A bank with one profile, and a third party.
struct Scene {
    folder: Folder,
    profile: &'static str,
}

impl Scene {
    fn new(profile: &'static str, more: &Value) -> Self {
        let folder = Folder::new();
        folder.write("gate.yaml", &configuration(profile, more).to_string());
        folder.write("directory.jwks", &PKI.directory_key_set().unwrap().to_string());
        folder.write("tpp.jwks", &PKI.tpp.key_set().unwrap().to_string());
        let own = if profile == "br-openfinance" { &PKI.tpp.brcac } else { &PKI.tpp.transport };
        folder.write("own.pem", &own.certificate_pem);
        folder.write("other.pem", &PKI.other_tpp.transport.certificate_pem);
        Self { folder, profile }
    }

    fn statement(&self) -> Token {
        match self.profile {
            "br-openfinance" => mint::brazil_software_statement(&PKI.tpp.brazilian_software, DIRECTORY),
            "au-cdr" => mint::cdr_software_statement(&PKI.tpp.software, DIRECTORY),
            _ => mint::software_statement(&PKI.tpp.software, DIRECTORY),
        }
    }

    fn request(&self, change: impl Fn(Token) -> Token) -> String {
        let statement = self.statement().sign(&PKI.directory).unwrap();
        let software = &PKI.tpp.software;
        match self.profile {
            "br-openfinance" => {
                change(mint::brazil_registration_request(&PKI.tpp.brazilian_software, &statement)).to_json()
            }
            "au-cdr" => {
                change(mint::cdr_registration_request(software, ISSUER, &statement)).sign(&PKI.tpp.signing).unwrap()
            }
            profile => {
                let types = Profile::named(profile).unwrap().client_metadata.default_response_types;
                let request = mint::registration_request(software, ISSUER, &statement).claim("response_types", types);
                let request = if profile == "revolut" {
                    let subject = PKI.tpp.transport.subject_dn().unwrap();
                    let request = request.for_tls_client_auth(&subject).without("tls_client_auth_subject_dn");
                    request.claim("tls_client_auth_dn", subject)
                } else {
                    request
                };
                change(request).sign(&PKI.tpp.signing).unwrap()
            }
        }
    }

    /// The exit code and the judgement as JSON.
    fn judge(&self, document: &str, more: &[&str]) -> (i32, Value) {
        self.folder.write("document", document);
        let output = self.check(&[&["--json"], more].concat());
        (output.status.code().unwrap(), serde_json::from_slice(&output.stdout).unwrap_or_default())
    }

    /// The judgement of a registration request as text.
    fn judge_as_text(&self, document: &str) -> String {
        self.folder.write("document", document);
        String::from_utf8(self.check(&["--certificate", "own.pem"]).stdout).unwrap()
    }

    /// What the command says beside the judgement of the last document.
    fn said(&self, more: &[&str]) -> String {
        String::from_utf8(self.check(more).stderr).unwrap()
    }

    fn check(&self, more: &[&str]) -> Output {
        let directory = format!("{DIRECTORY}/openbanking.jwks=directory.jwks");
        let common = ["--config", "gate.yaml", "--jwks", &directory, "--jwks", "tpp.jwks", "document"];
        self.folder.check(&[&common[..], more].concat())
    }
}

fn outcome<'j>(judgement: &'j Value, reason: &str, document: Option<&str>) -> &'j str {
    let is_it = |rule: &&Value| rule["reason"] == reason && rule["document"] == json!(document);
    let found: Vec<&Value> = judgement["rules"].as_array().unwrap().iter().filter(is_it).collect();
    assert_eq!(found.len(), 1, "{reason} in {document:?}: {judgement}");
    found[0]["outcome"].as_str().unwrap()
}

#[test]
fn of_an_accepted_request_every_rule_passed_in_every_profile() {
    for profile in Profile::names() {
        let scene = Scene::new(profile, &json!({}));
        let (code, judgement) = scene.judge(&scene.request(|request| request), &["--certificate", "own.pem"]);
        assert_eq!((code, &judgement["verdict"]), (0, &json!("accepted")), "{profile}: {judgement}");
        let rules = judgement["rules"].as_array().unwrap();
        assert!(rules.len() > 60, "{profile}: {}", rules.len());
        for rule in rules {
            let of_store =
                ["request_replayed", "statement_replayed", "software_already_registered"].map(|reason| json!(reason));
            let expected = if of_store.contains(&rule["reason"]) { "not_judged" } else { "passed" };
            assert_eq!(rule["outcome"], expected, "{profile}: {rule}");
        }
        let of_request: Vec<&str> = rules
            .iter()
            .filter_map(|rule| rule["reason"].as_str())
            .filter(|rule| rule.starts_with("request_"))
            .collect();
        assert_eq!(of_request == ["request_malformed"], profile == "br-openfinance", "{profile}: {of_request:?}");
    }
}

#[test]
fn behind_the_broken_rule_nothing_was_reached() {
    let scene = Scene::new("uk-obie-3.3", &json!({}));
    let thief = scene.request(|request| request.claim("redirect_uris", json!(["https://thief.example/"])));
    let (code, judgement) = scene.judge(&thief, &["--certificate", "own.pem"]);
    assert_eq!(code, 1, "{judgement}");
    assert_eq!(judgement["reason"], "redirect_uri_not_in_statement");
    assert_eq!((&judgement["status"], &judgement["error"]), (&json!(400), &json!("invalid_redirect_uri")));
    assert!(judgement["error_description"].as_str().unwrap().ends_with("(rule MD-01)"));
    assert_eq!(outcome(&judgement, "statement_signature", None), "passed");
    for document in ["software statement", "registration request"] {
        assert_eq!(outcome(&judgement, "kid_unknown", Some(document)), "passed");
    }
    assert_eq!(outcome(&judgement, "redirect_uri_not_in_statement", None), "failed");
    for reason in ["auth_method", "scope_beyond_roles", "request_replayed", "transport_certificate_of_another"] {
        assert_eq!(outcome(&judgement, reason, None), "not_reached", "{reason}");
    }

    let unsigned = scene.statement().unsigned();
    let request = scene.request(|request| request.claim("software_statement", unsigned.as_str()));
    let (_, judgement) = scene.judge(&request, &["--certificate", "own.pem"]);
    assert_eq!(outcome(&judgement, "unsigned", Some("software statement")), "failed");
    assert_eq!(outcome(&judgement, "unsigned", Some("registration request")), "passed");
    assert_eq!(outcome(&judgement, "request_signature", None), "not_reached");

    let (_, judgement) = scene.judge(&scene.request(|request| request), &["--certificate", "other.pem"]);
    assert_eq!(outcome(&judgement, "transport_certificate_of_another", None), "failed");
    let of_other_form = |rule: &Value| rule["rule"] == "CB-05";
    assert!(!judgement["rules"].as_array().unwrap().iter().any(of_other_form), "the certificate is of one form");
    assert_eq!(scene.judge(&scene.request(|request| request), &[]).1["reason"], "client_certificate_missing");
}

#[test]
fn rules_that_are_set_aside_are_told_so() {
    let aside = json!({ "danger_rules": { "MD-15": "shadow", "MD-23": "off" } });
    let scene = Scene::new("uk-obie-3.3", &aside);
    let request = scene.request(|request| {
        request.claim("scope", "openid fundsconfirmations").claim("backchannel_token_delivery_mode", "push")
    });
    let (code, judgement) = scene.judge(&request, &["--certificate", "own.pem"]);
    assert_eq!((code, &judgement["verdict"]), (0, &json!("accepted")));
    assert_eq!(outcome(&judgement, "scope_beyond_roles", None), "shadow");
    assert_eq!(outcome(&judgement, "ciba_metadata", None), "waived");

    let scene = Scene::new("uk-obie-3.3", &json!({ "mode": "shadow" }));
    let (code, judgement) = scene.judge("a.b.c", &["--certificate", "own.pem"]);
    assert_eq!((code, &judgement["verdict"]), (0, &json!("accepted")), "a gate in shadow lets it pass");
    assert_eq!(outcome(&judgement, "jws_malformed", Some("registration request")), "shadow");
    assert_eq!(outcome(&judgement, "statement_signature", None), "not_reached");
}

#[test]
fn an_assertion_is_judged_by_the_registration_of_its_client() {
    for profile in ["uk-obie-3.3", "fapi2", "au-cdr", "br-openfinance"] {
        let scene = Scene::new(profile, &json!({}));
        let statement = scene.statement().sign(&PKI.directory).unwrap();
        let client = json!({
            "client_id": "me", "token_endpoint_auth_method": "private_key_jwt", "software_statement": statement,
            "token_endpoint_auth_signing_alg": "PS256", "client_name": "Harbour"
        });
        scene.folder.write("client.json", &client.to_string());
        let judge = |token: Token, certificate: &str| {
            let more = ["--client", "client.json", "--certificate", certificate];
            scene.judge(&token.sign(&PKI.tpp.signing).unwrap(), &more)
        };
        let good = || mint::client_assertion("me", ISSUER);
        let (code, judgement) = judge(good(), "own.pem");
        assert_eq!((code, &judgement["verdict"]), (0, &json!("accepted")), "{profile}: {judgement}");
        for rule in judgement["rules"].as_array().unwrap() {
            let expected = if rule["reason"] == "assertion_replayed" { "not_judged" } else { "passed" };
            assert_eq!(rule["outcome"], expected, "{profile}: {rule}");
        }
        for (token, reason) in [
            (good().claim("aud", "https://other.example"), "assertion_audience"),
            (good().claim("sub", "you").claim("iss", "you"), "assertion_client_unknown"),
            (good().without("jti"), "assertion_jti"),
            (good().claim("software_statement", "x"), "token_confused"),
        ] {
            let (code, judgement) = judge(token, "own.pem");
            assert_eq!((code, &judgement["reason"]), (1, &json!(reason)), "{profile}");
            assert_eq!(outcome(&judgement, "assertion_signature", None), "not_reached", "{profile}, {reason}");
        }
        if profile != "au-cdr" {
            let (code, judgement) = judge(good(), "other.pem");
            assert_eq!((code, &judgement["reason"]), (1, &json!("assertion_over_foreign_certificate")), "{profile}");
        }
        let forged = good().header("kid", PKI.tpp.signing.kid()).sign(&PKI.other_tpp.signing).unwrap();
        let (_, judgement) = scene.judge(&forged, &["--client", "client.json", "--certificate", "own.pem"]);
        assert_eq!(outcome(&judgement, "assertion_signature", None), "failed", "{profile}: {judgement}");
    }
}

#[test]
fn an_assertion_is_judged_by_the_keys_in_the_statement() {
    let profile = json!({
        "extends": "uk-obie-3.3",
        "name": "keys-by-value",
        "software_statement": { "claims": { "key_set": "software_jwks" } }
    });
    let scene = Scene::new("uk-obie-3.3", &json!({ "profile": profile }));
    let keys = json!({ "keys": [PKI.tpp.signing.public_jwk()] });
    let statement = scene.statement().without("software_jwks_endpoint").without("org_jwks_endpoint");
    let client = json!({
        "client_id": "me", "token_endpoint_auth_method": "private_key_jwt",
        "software_statement": statement.claim("software_jwks", keys).sign(&PKI.directory).unwrap(),
    });
    scene.folder.write("client.json", &client.to_string());
    let assertion = mint::client_assertion("me", ISSUER);
    for (key, verdict) in [(&PKI.tpp.signing, "accepted"), (&PKI.other_tpp.signing, "refused")] {
        let more = ["--client", "client.json", "--certificate", "own.pem"];
        let (_, judgement) = scene.judge(&assertion.sign(key).unwrap(), &more);
        assert_eq!(judgement["verdict"], verdict, "{judgement}");
    }
}

#[test]
fn what_cannot_be_judged_says_why_and_ends_with_2() {
    let scene = Scene::new("uk-obie-3.3", &json!({}));
    scene.folder.write("document", &scene.request(|request| request));
    scene.folder.write("unregistered.json", r#"{"client_id":"me"}"#);
    let directory = format!("{DIRECTORY}/openbanking.jwks=directory.jwks");
    let own = format!("{DIRECTORY}{}", PKI.tpp.software.key_set_path());
    let of_the_gate = ["--config", "gate.yaml", "--certificate", "own.pem", "--jwks", &directory];
    for (more, problem) in [
        (&["document"][..], format!("holds no key set for {own}: add {own}=FILE")),
        (&["--at", "tomorrow", "document"], "--at: write Unix seconds".to_owned()),
        (&["--client", "unregistered.json", "document"], "--client: has no software_statement".to_owned()),
        (&["--jwks", "nowhere.jwks", "document"], "nowhere.jwks".to_owned()),
        (&["absent"], "absent".to_owned()),
    ] {
        let output = scene.folder.check(&[&of_the_gate[..], more].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(2), true), "{more:?}: {said}");
        assert!(said.contains(&problem), "{more:?}: {said}");
    }
}

#[test]
fn as_text_it_is_a_table_with_the_verdict_last() {
    let scene = Scene::new("uk-obie-3.3", &json!({}));
    scene.folder.write("document", &scene.request(|request| request.claim("scope", "openid fundsconfirmations")));
    let arguments = ["--config", "gate.yaml", "--certificate", "own.pem", "--jwks", "all.jwks", "document"];
    let keys: Vec<Value> = [PKI.directory_key_set(), PKI.tpp.key_set()]
        .into_iter()
        .flat_map(|set| set.unwrap()["keys"].as_array().unwrap().clone())
        .collect();
    scene.folder.write("all.jwks", &json!({ "keys": keys }).to_string());
    let text = String::from_utf8(scene.folder.check(&arguments).stdout).unwrap();
    let (table, verdict) = text.split_once("\n\n").unwrap();
    assert!(table.starts_with("outcome      rule   level     document              reason, where broken\n"), "{table}");
    for line in [
        "passed       RG-01  must      -                     client_certificate_missing",
        "passed       JO-01  must      software statement    jws_malformed",
        "passed       JW-06  should    registration request  lifetime_too_long",
        "failed       MD-15  must      -                     scope_beyond_roles",
        "not reached  CB-04  must      -                     transport_certificate_of_another",
    ] {
        let line =
            if line.contains("JW-06") { line.replacen("passed     ", "not reached", 1) } else { line.to_owned() };
        assert!(table.lines().any(|found| found == line), "{line}\n{table}");
    }
    assert!(verdict.starts_with("refused by rule MD-15 (scope_beyond_roles)\n  status             400\n"), "{verdict}");
}

#[test]
fn the_scheme_of_a_signature_that_does_not_verify_is_told() {
    let scene = Scene::new("uk-obie-3.3", &json!({}));
    let own = ["--certificate", "own.pem"];
    let as_rs256 =
        |token: Token, key: &SigningKey| token.header("alg", "PS256").sign_as(key, Algorithm::Rs256).unwrap();
    let of = |key: &SigningKey| {
        format!(
            "the signature is RSASSA-PKCS1-v1_5 with SHA-256 (RS256), and PS256 wants RSASSA-PSS with SHA-256; the same key can \
             do both (it is from the key {:?})",
            key.kid()
        )
    };
    let statement = scene.statement().sign(&PKI.directory).unwrap();
    let request = mint::registration_request(&PKI.tpp.software, ISSUER, &statement);
    let by_request = as_rs256(request.clone(), &PKI.tpp.signing);
    let (_, judgement) = scene.judge(&by_request, &own);
    assert_eq!((&judgement["rule"], &judgement["signature"]), (&json!("RQ-01"), &json!(of(&PKI.tpp.signing))));
    let text = scene.judge_as_text(&by_request);
    assert!(text.ends_with(&format!("\n\nsignature: {}\n", of(&PKI.tpp.signing))), "{text}");

    let statement = as_rs256(scene.statement(), &PKI.directory);
    let by_statement = request.claim("software_statement", statement).sign(&PKI.tpp.signing).unwrap();
    let (_, judgement) = scene.judge(&by_statement, &own);
    assert_eq!((&judgement["rule"], &judgement["signature"]), (&json!("SS-02"), &json!(of(&PKI.directory))));

    let client = json!({
        "client_id": "me", "token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_signing_alg": "PS256",
        "software_statement": scene.statement().sign(&PKI.directory).unwrap(),
    });
    scene.folder.write("client.json", &client.to_string());
    let assertion = as_rs256(mint::client_assertion("me", ISSUER), &PKI.tpp.signing);
    let (_, judgement) = scene.judge(&assertion, &[&own[..], &["--client", "client.json"]].concat());
    assert_eq!(judgement["signature"], json!(of(&PKI.tpp.signing)), "{judgement}");

    // A gate in shadow mode lets it pass, and says so all the same.
    let in_shadow = Scene::new("uk-obie-3.3", &json!({ "mode": "shadow" }));
    let (code, judgement) = in_shadow.judge(&by_request, &own);
    assert_eq!((code, &judgement["signature"]), (0, &json!(of(&PKI.tpp.signing))), "{judgement}");

    let (_, judgement) = scene.judge(&scene.request(|request| request.without("jti")), &own);
    assert_eq!((&judgement["rule"], &judgement["signature"]), (&json!("RQ-04"), &Value::Null));
}

#[test]
fn members_that_are_nearly_known_ones_are_named() {
    let scene = Scene::new("uk-obie-3.3", &json!({}));
    let request = scene.request(|request| {
        let scope = request.claims()["scope"].clone();
        request.without("scope").claim("scopes", scope).claim("subject_type", "public").claim("software_logo", "x")
    });
    let (code, judgement) = scene.judge(&request, &["--certificate", "own.pem"]);
    assert_eq!((code, &judgement["verdict"]), (0, &json!("accepted")), "{judgement}");
    assert_eq!(judgement["not_understood"], json!(["scopes:scope", "subject_type"]));

    let text = scene.judge_as_text(&request);
    let expected = "\n\naccepted\nnot understood: scopes; did you mean scope?\n\
                    not understood: subject_type; this profile does not register it\n";
    assert!(text.ends_with(expected), "{text}");

    let text = scene.judge_as_text(&scene.request(|request| request));
    assert!(text.ends_with("\n\naccepted\n"), "{text}");
}

#[test]
fn a_file_is_judged_with_its_line_end_as_a_gateway_gets_it() {
    let scene = Scene::new("uk-obie-3.3", &json!({}));
    let good = scene.request(|request| request);
    for padded in [format!("{good}\n"), format!("{good}\r\n"), format!(" {good}")] {
        let (code, judgement) = scene.judge(&padded, &["--certificate", "own.pem"]);
        assert_eq!((code, &judgement["rule"]), (1, &json!("JO-01")), "{padded:?}: {judgement}");
        assert!(scene.said(&["--certificate", "own.pem"]).contains("curl --data @FILE"), "{padded:?}");
    }
    scene.judge(&good, &["--certificate", "own.pem"]);
    assert_eq!(scene.said(&["--certificate", "own.pem"]), "", "there is nothing to say about a good file");

    // JSON may have white space around it.
    let scene = Scene::new("br-openfinance", &json!({}));
    let padded = format!("{}\n", scene.request(|request| request));
    let (code, judgement) = scene.judge(&padded, &["--certificate", "own.pem"]);
    assert_eq!((code, &judgement["verdict"]), (0, &json!("accepted")), "{judgement}");
    assert_eq!(scene.said(&["--certificate", "own.pem"]), "");
}

/// Real tokens and certificates are beside the project's folder, and not a part of it.
#[test]
fn every_verdict_set_by_hand_comes_out_of_the_command() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors");
    if !vectors.is_dir() {
        println!("skipped: no vectors at {}", vectors.display());
        return;
    }
    let read = |file: &str| std::fs::read_to_string(vectors.join(file)).unwrap();
    let expected: Value = serde_json::from_str(&read("expected.json")).unwrap();
    let verdicts = expected["verdicts"].as_array().unwrap();
    assert!(verdicts.len() >= 10, "the verdicts are there");
    let folder = Folder::new();
    // If a verdict does not depend on the certificate, it names none. The verdict of an assertion names no registration. All of them use
    // the same software.
    let any = "certificates/ob-transport-sgsMuc8ACBgBzinpr8oJ8B.pem";
    let registration = dcr_cli::inspect::Inspected::parse_jws(&read("jws/003-05.jwt")).unwrap().claims;
    for verdict in verdicts {
        let text = |member: &str| verdict[member].as_str().unwrap_or_default();
        folder.write("gate.yaml", &of_vectors(text("profile"), text("audience")).to_string());
        let client = text("as").rsplit_once(' ').map_or("unknown", |(_, client_id)| client_id);
        let client = json!({
            "client_id": client, "token_endpoint_auth_method": "private_key_jwt",
            "software_statement": registration["software_statement"],
        });
        folder.write("client.json", &client.to_string());
        let signature = |signature: &&Value| signature["file"] == verdict["file"];
        let kind = &expected["signatures"].as_array().unwrap().iter().find(signature).unwrap()["kind"];
        let path = |file: &str| vectors.join(file).to_str().unwrap().to_owned();
        let (certificate, keys) = (path(verdict["transport"].as_str().unwrap_or(any)), path("jwks.json"));
        // The files end in a line end, and the requests did not.
        folder.write("document", read(text("file")).trim());
        let at = verdict["at"].to_string();
        let mut arguments = vec!["--json", "--config", "gate.yaml", "--jwks", &keys, "--certificate", &certificate];
        arguments.extend(["--at", &at]);
        if kind == "client_assertion" {
            arguments.extend(["--client", "client.json"]);
        }
        arguments.push("document");
        let output = folder.check(&arguments);
        let judgement: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{verdict}: {}", String::from_utf8_lossy(&output.stderr)));
        if verdict["verdict"] == "accept" {
            assert_eq!(
                (output.status.code(), &judgement["verdict"]),
                (Some(0), &json!("accepted")),
                "{verdict}: {judgement}"
            );
        } else {
            assert_eq!(output.status.code(), Some(1), "{verdict}: {judgement}");
            // A verdict may leave open which of several rules is checked first.
            for member in ["rule", "error"] {
                let found = judgement[member].as_str().unwrap();
                assert!(text(member).split(" or ").any(|one| one == found), "{verdict}: {member} {found}");
            }
        }
    }
}

fn of_vectors(profile: &str, audience: &str) -> Value {
    let directory = |issuer: &str| {
        json!({
            "issuer": issuer,
            "jwks_uri": "https://keystore.openbankingtest.org.uk/keystore/directory.jwks",
            "cluster": "directory",
            "software_key_sets": [{ "host": "keystore.openbankingtest.org.uk", "cluster": "directory" }]
        })
    };
    configuration(
        profile,
        &json!({
            "directories": [directory("OpenBanking Ltd"), directory("cdr-register")],
            "registration": { "audiences": [audience] },
            "client_assertion": { "audiences": [audience] },
        }),
    )
}
