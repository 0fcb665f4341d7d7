//! Real tokens and certificates. The expected verdicts were written by hand. The files are in a folder beside that of the project. If they
//! are missing, the test prints this and is skipped.

use std::path::{Path, PathBuf};

use dcr_policy::client_assertion::UnverifiedAssertion;
use dcr_policy::profile::Profile;

use super::*;
use crate::host::mock::run;

const KEYSTORE: &str = "keystore.openbankingtest.org.uk";

fn vectors() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors");
    if !folder.is_dir() {
        println!("skipped: no vectors at {}", folder.display());
        return None;
    }
    Some(folder)
}

fn read(folder: &Path, file: &Value) -> String {
    std::fs::read_to_string(folder.join(file.as_str().unwrap())).unwrap().trim_end().to_owned()
}

#[test]
fn every_verdict_of_the_built_in_profiles_is_as_expected() {
    let Some(folder) = vectors() else { return };
    let expected: Value = serde_json::from_str(&read(&folder, &json!("expected.json"))).unwrap();
    let verdicts: Vec<&Value> = expected["verdicts"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|verdict| Profile::names().any(|name| verdict["profile"] == name))
        .collect();
    assert!(verdicts.len() >= 10, "the verdicts are there");
    for verdict in verdicts {
        let signatures = expected["signatures"].as_array().unwrap();
        let kind = &signatures.iter().find(|signature| signature["file"] == verdict["file"]).unwrap()["kind"];
        if kind == "registration" { judge_registration(&folder, verdict) } else { judge_assertion(&folder, verdict) }
    }
}

fn configuration(verdict: &Value) -> Value {
    let mut config = config();
    config["profile"] = verdict["profile"].clone();
    let directory = |issuer: &str| {
        json!({
            "issuer": issuer,
            "jwks_uri": format!("https://{KEYSTORE}/keystore/directory.jwks"),
            "cluster": "directory",
            "software_key_sets": [{ "host": KEYSTORE, "cluster": "directory" }]
        })
    };
    config["directories"] = json!([directory("OpenBanking Ltd"), directory("cdr-register")]);
    config["registration"] = json!({ "audiences": [verdict["audience"]] });
    config["client_assertion"] = json!({ "audiences": [verdict["audience"]] });
    config
}

fn judge_registration(folder: &Path, verdict: &Value) {
    let (token, keys) = (read(folder, &verdict["file"]), read(folder, &json!("jwks.json")));
    // A verdict that does not depend on the certificate names no certificate.
    let any = json!("certificates/ob-transport-sgsMuc8ACBgBzinpr8oJ8B.pem");
    let transport = verdict.get("transport").unwrap_or(&any);
    let certificate = Certificate::from_pem(read(folder, transport).as_bytes()).unwrap();
    let (config, at, verdict) = (configuration(verdict), verdict["at"].as_u64().unwrap(), verdict.clone());
    run(at, |host| async move {
        let keys: Value = serde_json::from_str(&keys).unwrap();
        host.instead(move |call| {
            (call.cluster == "directory").then(|| Ok(crate::host::mock::answer(200, keys.clone())))
        });
        let gate = Gate::new(Config::from_value(config).unwrap(), host.clone());
        let mut request = request("application/jwt; charset=ISO-8859-1", None, &token);
        request.head.certificate = Some(Rc::new(certificate)).into();
        let answer = answered(&gate, &Endpoint::Register, &request).await;
        if verdict["verdict"] == "accept" {
            assert_eq!(answer.status, 201, "{verdict}: {}", body(&answer));
        } else {
            // A verdict may allow several rules, because their order is not fixed.
            let either =
                |expected: &Value, found: &str| expected.as_str().unwrap().split(" or ").any(|one| one == found);
            assert!(either(&verdict["rule"], refusal(&host).rule.id), "{verdict}: {}", refusal(&host).rule.id);
            assert!(either(&verdict["error"], body(&answer)["error"].as_str().unwrap()), "{verdict}");
        }
    });
}

fn judge_assertion(folder: &Path, verdict: &Value) {
    let config = Config::from_value(configuration(verdict)).unwrap();
    let token = read(folder, &verdict["file"]);
    let evaluation = dcr_policy::Evaluation::new(config.settings.modes.clone());
    let judged =
        UnverifiedAssertion::open(&token, None, &config.settings, verdict["at"].as_u64().unwrap(), &evaluation);
    if verdict["verdict"] == "accept" {
        let limits = dcr_jose::jwk::KeySetLimits { bytes: 1 << 18, keys: 100, json_depth: 16 };
        let keys = dcr_jose::jwk::KeySet::parse(read(folder, &json!("jwks.json")).as_bytes(), &limits).unwrap();
        assert!(judged.unwrap().unverified().verify(&keys, || ()).is_ok(), "{verdict}");
    } else {
        let refusal = judged.unwrap_err();
        assert_eq!(
            (refusal.rule.id, refusal.error().as_str()),
            (verdict["rule"].as_str().unwrap(), verdict["error"].as_str().unwrap())
        );
    }
}
