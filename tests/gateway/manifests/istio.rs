//! What Istio gives to the Envoy of a gateway, as its sources say. These were read, of github.com/istio/istio, each at the commit that is
//! named: `pilot/pkg/networking/core/gateway.go` (01fc9e4e), `listener_builder.go` (044be69f), `envoyfilter/listener_patch.go` (0098d99f)
//! and `extension/extensionfilter.go` (79536c79) beside it, `pilot/pkg/model/extensions.go` (the version with TrafficExtension),
//! `tools/packaging/common/envoy_bootstrap.json` (002dd6f5), `pkg/wasm/convert.go` (0150ffdc).
//!
//! Left out: Istio's own filters (CORS, fault, statistics, exchange of metadata), and the certificates of the mesh, so the calls to the store
//! are plain here. Routes and secrets stand in the listener, where Istio has them fetched. The agent beside Envoy replaces the image of the
//! module with a file.

use reqwest::Method;
use serde_json::{Value, json};

use super::trial::{self, Installed};
use super::{
    Envoy, Manifests, Site, assert_as_shipped, cluster, connection_manager, full_name, gateway, merge_proto,
    network_filter, router, tls, tls_inspector,
};

const ENVOY_FILTER: &[&str] = &["istio/gateway.yaml", "istio/settings.yaml", "istio/envoy-filter.yaml"];
const WASM_PLUGIN: &[&str] =
    &["istio/gateway.yaml", "istio/settings.yaml", "istio/directory.yaml", "istio/wasm-plugin.yaml"];
const WASM_PLUGIN_ALONE: &[&str] = &["istio/gateway.yaml", "istio/directory.yaml", "istio/wasm-plugin.yaml"];
const TRAFFIC_EXTENSION: &[&str] =
    &["istio/gateway.yaml", "istio/settings.yaml", "istio/directory.yaml", "istio/traffic-extension.yaml"];

/// Istio has labels of its own that match a part of some of the filter's names, and take that part away.
fn installed(holds_headers: bool, has_settings: bool) -> Installed {
    Installed { holds_headers, has_settings, shadow_counter: r#"dcr{authz_dry_run_result="denied","# }
}

#[tokio::test]
async fn the_envoy_filter() {
    let installed = installed(true, true);
    trial::of(installed, |patch| gateway(ENVOY_FILTER, with_settings, patch)).await;
}

#[tokio::test]
async fn the_wasm_plugin() {
    let installed = installed(false, true);
    trial::of(installed, |patch| gateway(WASM_PLUGIN, with_settings, patch)).await;
}

#[tokio::test]
async fn the_wasm_plugin_where_no_envoy_filter_is_allowed() {
    let installed = installed(false, false);
    trial::of(installed, |patch| gateway(WASM_PLUGIN_ALONE, translate, patch)).await;
}

/// Istio's gateways write the header by default.
#[tokio::test]
async fn the_wasm_plugin_with_the_certificate_of_the_header() {
    let installed = installed(false, false);
    trial::of(installed, |mut patch| {
        patch["certificate"] = json!({ "source": "forwarded" });
        gateway(WASM_PLUGIN_ALONE, translate, patch)
    })
    .await;
}

#[tokio::test]
async fn the_traffic_extension() {
    let installed = installed(false, true);
    trial::of(installed, |patch| gateway(TRAFFIC_EXTENSION, with_settings, patch)).await;
}

/// The configuration comes after Envoy has started, so a bad one does not end Envoy.
#[tokio::test]
async fn where_the_filter_refuses_its_configuration_nothing_passes() {
    let gateway = gateway(ENVOY_FILTER, with_settings, json!({ "no_such_setting": true })).start().await.unwrap();
    gateway.envoy_logged("dcr-gate configuration refused: no_such_setting").await.unwrap();
    let client = gateway.client(None).unwrap();
    let request = client.request(Method::GET, &format!("{}/accounts", gateway.url()));
    assert_eq!(client.send(request).await.unwrap().status, 500);
    assert!(gateway.backend().requests().is_empty());
}

fn with_settings(manifests: &Manifests, site: &Site) -> Envoy {
    let envoy = translate(manifests, site);
    assert_as_shipped(&envoy);
    envoy
}

fn translate(manifests: &Manifests, site: &Site) -> Envoy {
    let server = &manifests.only("Gateway")["spec"]["servers"][0];
    let (filters, extension_config) = wasm(manifests, site);
    let mut envoy = Envoy {
        listener: listener(server, manifests, filters, site),
        clusters: clusters(manifests, site),
        extension_config,
        bootstrap: bootstrap(),
    };
    for filter in manifests.of_kind("EnvoyFilter") {
        for patch in filter["spec"]["configPatches"].as_array().unwrap() {
            apply(patch, &mut envoy, server, site);
        }
    }
    envoy
}

/// Of Istio's bootstrap (`envoy_bootstrap.json`): which statistics a proxy shows, and the labels of its own that match the filter's names.
fn bootstrap() -> Value {
    let shown = ["reporter=", "cluster_manager", "listener_manager", "server", "cluster.xds-grpc", "wasm", "component"];
    let shown: Vec<Value> = shown.iter().map(|prefix| json!({ "prefix": prefix })).collect();
    json!({
        "stats_config": {
            "use_all_default_tags": false,
            "stats_tags": [
                { "tag_name": "cache", "regex": r"(cache\.(.+?)\.)" },
                { "tag_name": "authz_dry_run_result", "regex": r"(\.shadow_(allowed|denied))" },
            ],
            "stats_matcher": { "inclusion_list": { "patterns": shown } },
        },
    })
}

/// `buildGatewayListeners`, `buildHTTPConnectionManager`.
fn listener(server: &Value, manifests: &Manifests, filters: Vec<Value>, site: &Site) -> Value {
    let route = &manifests.only("VirtualService")["spec"];
    let destination = &route["http"][0]["route"][0]["destination"];
    let mut http_filters = filters;
    http_filters.push(router());
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": format!("outbound_0.0.0.0_{}", server["port"]["number"]),
        "use_remote_address": true,
        "forward_client_cert_details": "SANITIZE_SET",
        "set_current_client_cert_details": { "subject": true, "cert": true, "dns": true, "uri": true },
        "server_name": "istio-envoy",
        "normalize_path": true,
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
        "upgrade_configs": [{ "upgrade_type": "websocket" }],
        "stream_idle_timeout": "0s",
        "route_config": {
            "name": "https.8443.https.bank.dcr",
            "ignore_port_in_host_matching": true,
            "virtual_hosts": [{
                "name": "bank",
                "domains": route["hosts"],
                "routes": [{
                    "match": { "prefix": "/" },
                    "route": { "cluster": cluster_name(destination), "timeout": route["http"][0]["timeout"] },
                }],
            }],
        },
        "http_filters": http_filters,
    });
    // `BuildListenerTLSContext`
    let settings = &server["tls"];
    assert_eq!((&settings["mode"], &settings["credentialName"]), (&json!("OPTIONAL_MUTUAL"), &json!("bank-tls")));
    assert_eq!(settings["minProtocolVersion"], "TLSV1_2");
    let context = json!({
        "require_client_certificate": false,
        "common_tls_context": {
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_params": { "tls_minimum_protocol_version": "TLSv1_2", "cipher_suites": settings["cipherSuites"] },
            "tls_certificates": [{
                "certificate_chain": { "filename": site.file("server.pem") },
                "private_key": { "filename": site.file("server.key") },
            }],
            "validation_context": { "trusted_ca": { "filename": site.file("tpp-ca.pem") } },
        },
    });
    json!({
        "name": format!("0.0.0.0_{}", server["port"]["number"]),
        "listener_filters": [tls_inspector()],
        "filter_chains": [{
            "filter_chain_match": { "server_names": server["hosts"] },
            "transport_socket": tls("Downstream", &context),
            "filters": [network_filter(manager)],
        }],
    })
}

/// A WasmPlugin or TrafficExtension: the filter, and its configuration. `buildWasmConfig` sets no flag and no `vm_id`.
fn wasm(manifests: &Manifests, site: &Site) -> (Vec<Value>, Option<Value>) {
    let of_kind = |kind| manifests.of_kind(kind).next();
    let (document, spec, resource) = match (of_kind("WasmPlugin"), of_kind("TrafficExtension")) {
        (Some(document), None) => (document, &document["spec"], "extensions.istio.io/wasmplugin/"),
        (None, Some(document)) => (document, &document["spec"]["wasm"], "extensions.istio.io/trafficextension/"),
        (None, None) => return (Vec::new(), None),
        (Some(_), Some(_)) => panic!("one of the two"),
    };
    assert!(spec["url"].as_str().unwrap().starts_with("oci://"));
    let name = full_name(document, ".");
    let resource = format!("{resource}{name}");
    let filter = json!({
        "name": resource,
        "config_discovery": {
            "config_source": { "ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3" },
            "type_urls": [
                "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
                "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
            ],
        },
    });
    let configuration = json!({
        "name": name,
        "root_id": spec["pluginName"],
        "failure_policy": spec["failStrategy"],
        "configuration": {
            "@type": "type.googleapis.com/google.protobuf.StringValue",
            "value": spec["pluginConfig"].to_string(),
        },
        "vm_config": { "runtime": "envoy.wasm.runtime.v8", "code": { "local": { "filename": site.module } } },
    });
    let typed_config = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
        "config": configuration,
    });
    (vec![filter], Some(json!({ "name": resource, "typed_config": typed_config })))
}

/// The clusters of the services that are named: `BuildSubsetKey`, `applyTrafficPolicy`.
fn clusters(manifests: &Manifests, site: &Site) -> Vec<Value> {
    let upstream = &manifests.only("VirtualService")["spec"]["http"][0]["route"][0]["destination"];
    let mut clusters = vec![cluster(&cluster_name(upstream), upstream["host"].as_str().unwrap())];
    for rule in manifests.of_kind("DestinationRule") {
        let host = rule["spec"]["host"].as_str().unwrap();
        let entry = manifests.of_kind("ServiceEntry").find(|entry| entry["spec"]["hosts"][0] == host);
        // The store is a service of Kubernetes, whose port is not in the manifests.
        let port = entry.map_or(8082, |entry| entry["spec"]["ports"][0]["number"].as_u64().unwrap());
        let no_subsets = Vec::new();
        let subsets = rule["spec"]["subsets"].as_array().unwrap_or(&no_subsets);
        let names = subsets.iter().map(|subset| subset["name"].as_str().unwrap());
        for subset in std::iter::once("").chain(names) {
            let mut cluster = cluster(&format!("outbound|{port}|{subset}|{host}"), host);
            traffic_policy(&mut cluster, &rule["spec"]["trafficPolicy"], site);
            clusters.push(cluster);
        }
    }
    clusters
}

fn cluster_name(destination: &Value) -> String {
    format!("outbound|{}||{}", destination["port"]["number"], destination["host"].as_str().unwrap())
}

fn traffic_policy(cluster: &mut Value, policy: &Value, site: &Site) {
    let (tcp, http) = (&policy["connectionPool"]["tcp"], &policy["connectionPool"]["http"]);
    let milliseconds = tcp["connectTimeout"].as_str().unwrap().strip_suffix("ms");
    cluster["connect_timeout"] =
        milliseconds.map_or_else(|| tcp["connectTimeout"].clone(), |digits| format!("0.{:0>3}s", digits).into());
    cluster["circuit_breakers"] = json!({
        "thresholds": [{
            "max_connections": tcp["maxConnections"],
            "max_pending_requests": http["http1MaxPendingRequests"],
            "max_requests": http["http2MaxRequests"],
            "max_retries": http["maxRetries"],
        }],
    });
    match policy["tls"]["mode"].as_str().unwrap() {
        // There is no mesh here.
        "ISTIO_MUTUAL" => (),
        "SIMPLE" => {
            assert_eq!(policy["tls"]["credentialName"], "directory-ca");
            let names = policy["tls"]["subjectAltNames"].as_array().unwrap();
            let names: Vec<Value> =
                names.iter().map(|name| json!({ "san_type": "DNS", "matcher": { "exact": name } })).collect();
            let context = json!({
                "sni": policy["tls"]["sni"],
                "common_tls_context": {
                    "validation_context": {
                        "trusted_ca": { "filename": site.file("ca.pem") },
                        "match_typed_subject_alt_names": names,
                    },
                },
            });
            cluster["transport_socket"] = tls("Upstream", &context);
        }
        other => panic!("{other}"),
    }
}

/// One patch of an EnvoyFilter.
fn apply(patch: &Value, envoy: &mut Envoy, server: &Value, site: &Site) {
    let (what, operation, value) = (&patch["applyTo"], &patch["patch"]["operation"], &patch["patch"]["value"]);
    let matched = &patch["match"];
    if what != "BOOTSTRAP" {
        assert_eq!(matched["context"], "GATEWAY");
    }
    if let Some(listener) = matched.get("listener") {
        assert_eq!(listener["portNumber"], server["port"]["number"]);
    }
    let chain = &mut envoy.listener["filter_chains"][0];
    if let Some(filter) = matched.pointer("/listener/filterChain/filter/name") {
        assert_eq!(filter, &chain["filters"][0]["name"]);
    }
    match (what.as_str().unwrap(), operation.as_str().unwrap()) {
        ("LISTENER", "MERGE") => merge_proto(&mut envoy.listener, value),
        ("NETWORK_FILTER", "MERGE") => merge_proto(connection_manager(chain), &value["typed_config"]),
        ("HTTP_FILTER", "INSERT_FIRST") => {
            connection_manager(chain)["http_filters"].as_array_mut().unwrap().insert(0, value.clone());
        }
        ("EXTENSION_CONFIG", "ADD") => {
            let mut extension = value.clone();
            let code = &mut extension["typed_config"]["config"]["vm_config"]["code"];
            assert!(code["remote"]["http_uri"]["uri"].as_str().unwrap().starts_with("oci://"));
            *code = json!({ "local": { "filename": site.module } });
            assert!(envoy.extension_config.replace(extension).is_none());
        }
        ("CLUSTER", "ADD") => envoy.clusters.push(value.clone()),
        ("BOOTSTRAP", "MERGE") => merge_proto(&mut envoy.bootstrap, value),
        other => panic!("{other:?}"),
    }
}
