//! Configurations. Both protobuf types work. A bad one stops Envoy at start, and changes nothing in an update.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use dcr_cli::client::Tpp;
use dcr_dev::envoy::EnvoyConfiguration;
use dcr_dev::installation::{Installation, project_folder};
use dcr_dev::{Error, Gateway, Store};
use serde_json::{Value, json};

use super::doors::{SHIPPED, STRING_VALUE, doors};
use super::{PKI, assert_passed, assert_registered, empty_folder, good_request, run, signed, until};

const STRING_VALUE_TYPE: &str = "type.googleapis.com/google.protobuf.StringValue";
const STRUCT_TYPE: &str = "type.googleapis.com/google.protobuf.Struct";

#[test]
fn a_struct_and_a_string_value_configure_alike() {
    run(async {
        let doors = doors().await;
        for door in [SHIPPED, STRING_VALUE] {
            let tpp = doors.tpp(door, Some(&PKI.tpp.transport));
            let answer = tpp.register(&signed(&good_request(&doors.gateway))).await.unwrap();
            assert_registered(&doors.gateway, &answer, door).await;
            assert_eq!(tpp.discover().await.unwrap().member("issuer").as_deref(), Some(doors.gateway.url()), "{door}");
        }
    });
}

#[test]
fn envoy_does_not_start_with_a_bad_configuration_and_says_where_it_is_bad() {
    run(async {
        let folder = empty_folder("bad-configuration");
        let bad = json!({ "store": { "timeout": "soon" } });
        let builder = Gateway::builder(PKI.clone()).folder(&folder).store(Store::At(1)).plugin(bad);
        let error = builder.start().await.err().expect("an Envoy that refuses to start");
        assert!(matches!(error, Error::Ended { program: "envoy", .. }), "{error}");
        let log = std::fs::read_to_string(folder.join("envoy.log")).unwrap();
        assert_eq!(refusals(&log).len(), 1, "{log}");
        assert!(refusals(&log)[0].starts_with("store.timeout: "), "{log}");

        let validated = validate(&folder.join("envoy.json"));
        assert!(!validated.status.success());
        assert_eq!(refusals(&output(&validated)), refusals(&log));
    });
}

#[test]
fn envoy_validates_what_it_would_start_with_and_nothing_else() {
    run(async {
        let folder = empty_folder("validated");
        let shipped = doors().await.gateway.folder().join("envoy.json");
        let shipped = EnvoyConfiguration::read(&shipped).unwrap();
        let path = write_with(&folder, &shipped, |_| {});
        let validated = validate(&path);
        assert!(validated.status.success(), "{}", output(&validated));

        let none = "it is missing: set the plugin's configuration to a StringValue with JSON, or to a Struct";
        let string_value = |text: &str| json!({ "@type": STRING_VALUE_TYPE, "value": text });
        let with = |member: &str, value: Value| {
            let mut document = shipped.clone().plugin_configuration().unwrap().clone();
            document[member] = value;
            json!({ "@type": STRUCT_TYPE, "value": document })
        };
        let cases: [(Value, &str); 9] = [
            (Value::Null, none),
            (string_value(""), none),
            (json!({ "@type": STRUCT_TYPE, "value": {} }), none),
            (string_value("profile: uk-obie-3.3"), "it is neither JSON nor a google.protobuf.Struct: "),
            (string_value("{}"), ".: missing field `profile`"),
            (with("directories", json!([])), "directories: name at least one directory"),
            (with("issuer", json!("http://bank.example")), "issuer: write an https URL"),
            (
                with("certificate", json!({ "source": "forwarded", "trusted_proxies": ["1"] })),
                "certificate.trusted_proxies[0]: ",
            ),
            (with("stroe", json!({ "cluster": "dcr_store" })), "stroe: unknown field `stroe`"),
        ];
        for (configuration, expected) in cases {
            let path = write_with(&folder, &shipped, |plugin| match &configuration {
                Value::Null => drop(plugin.as_object_mut().unwrap().remove("configuration")),
                other => plugin["configuration"] = other.clone(),
            });
            let validated = validate(&path);
            let log = output(&validated);
            assert!(!validated.status.success(), "{configuration}");
            assert_eq!(refusals(&log).len(), 1, "{configuration}: {log}");
            assert!(refusals(&log)[0].starts_with(expected), "{configuration}: {:?}", refusals(&log));
        }
    });
}

#[test]
fn a_bad_update_changes_nothing_and_a_good_one_takes_effect() {
    run(async {
        let folder = empty_folder("updated");
        let file = folder.join("listeners.json");
        let (shipped, path) = (folder.join("shipped.json"), file.clone());
        let builder = Gateway::builder(PKI.clone()).folder(&folder).store(Store::At(1)).envoy(move |envoy| {
            let listener = envoy.listener("gateway")?.clone();
            publish(&file, &listener);
            std::fs::write(&shipped, listener.to_string()).unwrap();
            envoy.document["static_resources"].as_object_mut().unwrap().remove("listeners");
            envoy.document["node"] = json!({ "id": "traps", "cluster": "traps" });
            envoy.document["dynamic_resources"] = json!({ "lds_config": {
                "resource_api_version": "V3",
                "path_config_source": { "path": file },
            } });
            Ok(())
        });
        let gateway = builder.start().await.unwrap();
        let shipped: Value = serde_json::from_slice(&std::fs::read(folder.join("shipped.json")).unwrap()).unwrap();
        let with_token_path = |token: Value| {
            let mut listener = shipped.clone();
            let plugin =
                "/filter_chains/0/filters/0/typed_config/http_filters/0/typed_config/config/configuration/value";
            listener.pointer_mut(plugin).unwrap()["paths"] = json!({ "token": token });
            listener
        };
        assert_eq!(status_of_token_request(&gateway, "/token").await, 401);

        publish(&path, &with_token_path(json!("not a path")));
        until("the bad update to be refused", async || {
            let stats = gateway.stats("^listener_manager.lds.update_rejected$").await.unwrap();
            (stats.values().sum::<u64>() == 1).then_some(())
        })
        .await;
        gateway.envoy_logged("dcr-gate configuration refused: paths.token: ").await.unwrap();
        assert_eq!(status_of_token_request(&gateway, "/token").await, 401, "the old configuration still serves");
        let tpp = gateway.client(Some(&PKI.tpp.transport)).unwrap();
        assert_eq!(tpp.register("a.b.c").await.unwrap().status, 400);

        publish(&path, &with_token_path(json!("/oauth/token")));
        until("the good update to take effect", async || {
            (status_of_token_request(&gateway, "/oauth/token").await == 401).then_some(())
        })
        .await;
        let answer = token_request(&gateway.client(None).unwrap(), gateway.url(), "/token").await;
        assert_passed(&gateway, &answer).await;
    });
}

/// 401 if the gate serves this path (the request has no certificate), 200 if the backend does.
async fn status_of_token_request(gateway: &Gateway, path: &str) -> u16 {
    // A new connection is needed, because an open one stays with the listener that accepted it.
    token_request(&gateway.client(None).unwrap(), gateway.url(), path).await.status
}

async fn token_request(tpp: &Tpp, url: &str, path: &str) -> dcr_cli::client::Answer {
    let request = tpp.request(http::Method::POST, &format!("{url}{path}"));
    tpp.send(request.form(&[("grant_type", "client_credentials")])).await.unwrap()
}

/// Writes a listener to the folder that Envoy watches. The rename makes it appear complete.
fn publish(path: &Path, listener: &Value) {
    let mut resource = json!({ "@type": "type.googleapis.com/envoy.config.listener.v3.Listener" });
    resource.as_object_mut().unwrap().extend(listener.as_object().unwrap().clone());
    let beside = path.with_extension("new");
    std::fs::write(&beside, json!({ "resources": [resource] }).to_string()).unwrap();
    std::fs::rename(&beside, path).unwrap();
}

/// Writes a configuration of Envoy with only the shipped listener and its changed plugin.
fn write_with(folder: &Path, shipped: &EnvoyConfiguration, change: impl FnOnce(&mut Value)) -> PathBuf {
    let mut envoy = shipped.clone();
    let listener = envoy.listener("gateway").unwrap().clone();
    envoy.document["static_resources"]["listeners"] = json!([listener]);
    change(envoy.plugin().unwrap());
    let path = folder.join("envoy.json");
    std::fs::write(&path, envoy.to_json()).unwrap();
    path
}

fn validate(configuration: &Path) -> Output {
    let mut envoy = Command::new(Installation::find().unwrap().envoy);
    envoy.args(["--mode", "validate", "--log-level", "info", "-c"]).arg(configuration);
    envoy.current_dir(project_folder()).output().unwrap()
}

fn output(of: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&of.stdout), String::from_utf8_lossy(&of.stderr))
}

/// The problems that the filter logged, one on each line.
fn refusals(log: &str) -> Vec<&str> {
    log.lines()
        .filter_map(|line| line.split_once("dcr-gate configuration refused: "))
        .map(|(_, problem)| problem)
        .collect()
}
