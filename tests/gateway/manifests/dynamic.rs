//! Envoy's dynamic configuration in files: `envoy/dynamic/`.

use std::cell::Cell;
use std::path::Path;

use dcr_cli::client::HttpVersion;
use dcr_dev::envoy::{EnvoyConfiguration, merge};
use dcr_dev::process::wait_for;
use dcr_dev::{Gateway, GatewayBuilder};
use futures_util::future::{join, join_all};
use serde_json::{Value, json};

use super::trial::{self, Installed};
use super::{Site, documents};
use crate::PKI;

const FILES: [&str; 3] = ["listeners.yaml", "clusters.yaml", "filter.yaml"];

fn read(file: &str) -> Value {
    documents(&format!("dynamic/{file}")).remove(0)
}

/// The gateway of `envoy/dynamic/`, with its files in the folder of this test. `patch` changes the filter's configuration.
fn start(patch: Value) -> GatewayBuilder {
    Gateway::builder(PKI.clone()).envoy(move |configuration| {
        let site = Site::of(configuration);
        let mut bootstrap = read("bootstrap.yaml");
        bootstrap["admin"] = configuration.document["admin"].take();
        configuration.document = localized(bootstrap, &site);
        for file in FILES {
            let mut resources = localized(read(file), &site);
            if file == "filter.yaml" {
                merge(filter_configuration(&mut resources), &patch);
            }
            std::fs::write(site.file(file), resources.to_string()).unwrap();
        }
        Ok(())
    })
}

fn filter_configuration(resources: &mut Value) -> &mut Value {
    resources.pointer_mut("/resources/0/typed_config/config/configuration/value").unwrap()
}

/// The ports, files and URLs of this test in the place of those of `envoy/`.
fn localized(document: Value, site: &Site) -> Value {
    let mut text = document.to_string();
    for (shipped, here) in [(8443, site.gateway), (8444, site.directory), (8082, site.store), (8081, site.backend)] {
        text = text
            .replace(&format!("\"port_value\":{shipped}}}"), &format!("\"port_value\":{here}}}"))
            .replace(&format!("localhost:{shipped}"), &format!("localhost:{here}"));
    }
    let text = text
        .replace("\"target/shipped/dcr_gate.wasm\"", &json!(site.module).to_string())
        .replace("\"envoy/third-parties.yaml\"", &json!(site.file("third-parties.json")).to_string())
        .replace("\"target/dev/", &format!("\"{}/", site.folder.display()))
        .replace("\"envoy/dynamic", &format!("\"{}", site.folder.display()))
        .replace("\"/dev/stdout\"", &json!(site.file("access.log")).to_string());
    serde_json::from_str(&text).unwrap()
}

/// The three files together say what `envoy.yaml` says.
#[test]
fn the_dynamic_configuration_is_the_static_one() {
    let mut shipped = EnvoyConfiguration { document: documents("envoy.yaml").remove(0) };
    let filter = &read("filter.yaml")["resources"][0];
    let filters = &mut shipped.connection_manager("gateway").unwrap()["http_filters"];
    assert_eq!((&filter["name"], &filter["typed_config"]), (&filters[0]["name"], &filters[0]["typed_config"]));

    let of_type = |file: &str, kind: &str| {
        let mut resources = read(file)["resources"].as_array().unwrap().clone();
        for resource in &mut resources {
            let named = resource.as_object_mut().unwrap().shift_remove("@type").unwrap();
            assert_eq!(named, format!("type.googleapis.com/envoy.config.{kind}"));
        }
        Value::from(resources)
    };
    let mut listeners = EnvoyConfiguration {
        document: json!({ "static_resources": { "listeners": of_type("listeners.yaml", "listener.v3.Listener") } }),
    };
    let dynamic = &mut listeners.connection_manager("gateway").unwrap()["http_filters"];
    dynamic[0] = filters[0].clone();
    let shipped = shipped.document;
    assert_eq!(listeners.document["static_resources"]["listeners"], shipped["static_resources"]["listeners"]);
    assert_eq!(of_type("clusters.yaml", "cluster.v3.Cluster"), shipped["static_resources"]["clusters"]);
    let bootstrap = read("bootstrap.yaml");
    for member in ["admin", "stats_config", "overload_manager"] {
        assert_eq!(bootstrap[member], shipped[member], "{member}");
    }
}

#[tokio::test]
async fn the_files() {
    trial::of(Installed { holds_headers: true, has_settings: true, shadow_counter: "dcr_shadow_denied{" }, start).await;
}

/// Third parties that send requests without a pause notice nothing of a new configuration but what it says.
#[tokio::test]
async fn a_new_filter_configuration_takes_effect_and_no_request_fails() {
    let gateway = start(json!({})).start().await.unwrap();
    let stop = Cell::new(false);
    let rounds: [Cell<u32>; 4] = Default::default();
    let parties = rounds.iter().enumerate().map(async |(number, rounds)| {
        let version = if number % 2 == 0 { HttpVersion::Http1 } else { HttpVersion::Http2 };
        let tpp = gateway.client_speaking(Some(&PKI.tpp.transport), version).unwrap();
        while !stop.get() {
            let request = gateway.registration_request(&PKI.tpp).unwrap();
            let created = tpp.register(&request.sign(&PKI.tpp.signing).unwrap()).await.unwrap();
            assert_eq!(created.status, 201, "{}", created.json());
            let refused = tpp.register("no JWT").await.unwrap();
            assert_eq!(refused.status, 400, "{}", refused.json());
            assert_eq!(tpp.discover().await.unwrap().status, 200);
            rounds.set(rounds.get() + 1);
        }
    });
    let operator = async {
        go_on(&rounds, gateway.folder()).await;
        replace_filter(&gateway, &json!({ "discovery": { "service_documentation": "https://bank.example/docs" } }));
        wait_for("the new configuration in every worker", gateway.folder(), async || {
            Ok(documented(&gateway, 20).await.then_some(()))
        })
        .await
        .unwrap();
        go_on(&rounds, gateway.folder()).await;

        replace_filter(&gateway, &json!({ "discovery": {}, "no_such_setting": true }));
        gateway.envoy_logged("dcr-gate configuration refused: no_such_setting").await.unwrap();
        go_on(&rounds, gateway.folder()).await;
        assert!(documented(&gateway, 20).await, "Envoy keeps the configuration that it has");
        stop.set(true);
    };
    join(join_all(parties), operator).await;

    // The listener is the first one, so no connection ended.
    let listeners = gateway.stats("^listener_manager\\.listener_(added|modified|removed)$").await.unwrap();
    assert_eq!(listeners.values().sum::<u64>(), 1, "{listeners:?}");
}

/// Waits until every third party has been served a few times more.
async fn go_on(rounds: &[Cell<u32>], folder: &Path) {
    let before: Vec<u32> = rounds.iter().map(Cell::get).collect();
    wait_for("requests", folder, async || {
        Ok(rounds.iter().zip(&before).all(|(now, before)| now.get() >= before + 3).then_some(()))
    })
    .await
    .unwrap();
}

/// Whether new connections, which all workers take, see the added member of the metadata.
async fn documented(gateway: &Gateway, connections: usize) -> bool {
    for _ in 0..connections {
        let metadata = gateway.client(None).unwrap().discover().await.unwrap();
        if metadata.member("service_documentation").is_none() {
            return false;
        }
    }
    true
}

/// Moves a new file to the place of the old one, as `mv` does.
fn replace_filter(gateway: &Gateway, patch: &Value) {
    let file = gateway.folder().join("filter.yaml");
    let mut resources: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    merge(filter_configuration(&mut resources), patch);
    let new = gateway.folder().join("filter.yaml.new");
    std::fs::write(&new, resources.to_string()).unwrap();
    std::fs::rename(new, file).unwrap();
}
