//! What Envoy Gateway gives to Envoy, as its sources say. These were read, of github.com/envoyproxy/gateway, each at the commit that is
//! named or in the newest version to be had: `internal/gatewayapi/envoyextensionpolicy.go` (5223ed7c) and `extension_backends.go` beside it,
//! `internal/xds/translator/extension_backends.go` (5223ed7c), `jsonpatch.go` (0111454b), `listener.go`, `httpfilters.go` and `wasm.go` (in
//! two layouts) beside it, `internal/xds/bootstrap/bootstrap.yaml.tpl` (02521144), and the schema of ClientTrafficPolicy (0174fe53).
//!
//! Left out: its own bootstrap with the connection to the control plane, so routes and secrets stand in the listener, and the module is a
//! file where Envoy would fetch it from the control plane.

use std::process::Command;

use dcr_dev::installation::Installation;
use serde_json::{Value, json};

use super::trial::{self, Installed};
use super::{
    Envoy, HTTP_CONNECTION_MANAGER, Manifests, Site, assert_as_shipped, cluster, connection_manager, full_name,
    gateway, merge_proto, network_filter, router, tls, tls_inspector,
};

const PATCH_POLICY: &[&str] = &["envoy-gateway/gateway.yaml", "envoy-gateway/patch-policy.yaml"];
const EXTENSION_POLICY: &[&str] = &["envoy-gateway/gateway.yaml", "envoy-gateway/extension-policy.yaml"];

#[tokio::test]
async fn the_patch_policy() {
    let installed = Installed { holds_headers: true, has_settings: true, shadow_counter: "dcr_shadow_denied{" };
    trial::of(installed, |patch| gateway(PATCH_POLICY, translate, patch)).await;
}

/// The filter is in the list of the connection manager, and each route switches it on.
#[tokio::test]
async fn the_extension_policy() {
    let installed = Installed { holds_headers: false, has_settings: true, shadow_counter: "dcr_shadow_denied{" };
    trial::of(installed, |patch| gateway(EXTENSION_POLICY, with_filter_switched_on_by_routes, patch)).await;
}

/// The newest sources have another layout: the routes bring the filter with them. Envoy has the filter for that since 1.39.
#[tokio::test]
async fn the_extension_policy_in_a_filter_chain_of_the_route() {
    let envoy = Command::new(Installation::find().unwrap().envoy).arg("--version").output().unwrap();
    if String::from_utf8(envoy.stdout).unwrap().contains("/1.38.") {
        eprintln!("not tried: Envoy 1.38 has no envoy.filters.http.filter_chain");
        return;
    }
    let installed = Installed { holds_headers: false, has_settings: true, shadow_counter: "dcr_shadow_denied{" };
    trial::of(installed, |patch| gateway(EXTENSION_POLICY, with_filter_in_the_routes, patch)).await;
}

fn translate(manifests: &Manifests, site: &Site) -> Envoy {
    let mut bootstrap = json!({});
    let added = &manifests.only("EnvoyProxy")["spec"]["bootstrap"];
    assert_eq!(added["type"], "Merge");
    merge_proto(&mut bootstrap, &serde_saphyr::from_str(added["value"].as_str().unwrap()).unwrap());
    let upstream = &manifests.only("HTTPRoute")["spec"]["rules"][0]["backendRefs"][0]["name"];
    let mut envoy = Envoy {
        listener: listener(manifests, site),
        clusters: vec![cluster("httproute/dcr/bank/rule/0", upstream.as_str().unwrap())],
        extension_config: None,
        bootstrap,
    };
    for policy in manifests.of_kind("EnvoyPatchPolicy") {
        for patch in policy["spec"]["jsonPatches"].as_array().unwrap() {
            apply(patch, &mut envoy);
        }
    }
    assert_as_shipped(&envoy);
    envoy
}

/// `buildXdsTCPListener`, `addHCMToXDSListener`.
fn listener(manifests: &Manifests, site: &Site) -> Value {
    let (document, policy) = (manifests.only("Gateway"), &manifests.only("ClientTrafficPolicy")["spec"]);
    let listener = &document["spec"]["listeners"][0];
    let (connection, http2) = (&policy["connection"], &policy["http2"]);
    let (headers, timeout) = (&policy["headers"], &policy["timeout"]["http"]);
    assert_eq!(headers["xForwardedClientCert"], json!({ "mode": "SanitizeSet", "certDetailsToAdd": ["Cert"] }));
    assert_eq!(
        (&headers["requestID"], &headers["withUnderscoresAction"]),
        (&json!("PreserveOrGenerate"), &json!("RejectRequest"))
    );
    assert_eq!(policy["path"]["escapedSlashesAction"], "RejectRequest");
    let limit = &connection["connectionLimit"];
    let stat_prefix = format!("https-{}", listener["port"]);
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": stat_prefix,
        "server_header_transformation": "PASS_THROUGH",
        "use_remote_address": true,
        "normalize_path": true,
        "merge_slashes": true,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "forward_client_cert_details": "SANITIZE_SET",
        "set_current_client_cert_details": { "cert": true },
        "generate_request_id": true,
        "preserve_external_request_id": true,
        "common_http_protocol_options": {
            "headers_with_underscores_action": "REJECT_REQUEST",
            "idle_timeout": duration(&timeout["idleTimeout"]),
            "max_connection_duration": duration(&limit["maxConnectionDuration"]),
        },
        "http2_protocol_options": {
            "max_concurrent_streams": http2["maxConcurrentStreams"],
            "initial_stream_window_size": quantity(&http2["initialStreamWindowSize"]),
            "initial_connection_window_size": quantity(&http2["initialConnectionWindowSize"]),
        },
        "request_timeout": duration(&timeout["requestReceivedTimeout"]),
        "stream_idle_timeout": duration(&timeout["streamIdleTimeout"]),
        "access_log": [access_log(&manifests.only("EnvoyProxy")["spec"]["telemetry"]["accessLog"]["settings"][0])],
        "route_config": routes(manifests, &full_name(document, "/")),
        "http_filters": [router()],
    });
    // With a number of connections, this filter comes first.
    let connection_limit = json!({
        "name": "envoy.filters.network.connection_limit",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit",
            "stat_prefix": stat_prefix,
            "max_connections": limit["value"],
        },
    });
    json!({
        "name": format!("tcp-{}", listener["port"]),
        "per_connection_buffer_limit_bytes": quantity(&connection["bufferLimit"]),
        "listener_filters": [tls_inspector()],
        "filter_chains": [{
            "filter_chain_match": { "server_names": [listener["hostname"]] },
            "transport_socket": server_tls(listener, &policy["tls"], site),
            "filters": [connection_limit, network_filter(manager)],
        }],
    })
}

fn server_tls(listener: &Value, settings: &Value, site: &Site) -> Value {
    assert_eq!(listener["tls"]["certificateRefs"][0]["name"], "bank-tls");
    let validation = &settings["clientValidation"];
    assert_eq!(
        (&validation["mode"], &validation["caCertificateRefs"][0]["name"]),
        (&json!("VerifyIfGiven"), &json!("transport-cas"))
    );
    assert_eq!(settings["minVersion"], "1.2");
    let context = json!({
        "require_client_certificate": false,
        "common_tls_context": {
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_params": { "tls_minimum_protocol_version": "TLSv1_2", "cipher_suites": settings["ciphers"] },
            "tls_certificates": [{
                "certificate_chain": { "filename": site.file("server.pem") },
                "private_key": { "filename": site.file("server.key") },
            }],
            "validation_context": { "trusted_ca": { "filename": site.file("tpp-ca.pem") } },
        },
    });
    tls("Downstream", &context)
}

fn access_log(settings: &Value) -> Value {
    json!({
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": settings["sinks"][0]["file"]["path"],
            "log_format": { "json_format": settings["format"]["json"] },
        },
    })
}

fn routes(manifests: &Manifests, of: &str) -> Value {
    let route = &manifests.only("HTTPRoute")["spec"];
    let rule = &route["rules"][0];
    assert_eq!(rule["matches"], json!([{ "path": { "type": "PathPrefix", "value": "/" } }]));
    json!({
        "name": format!("{of}/https"),
        "ignore_port_in_host_matching": true,
        "virtual_hosts": [{
            "name": format!("{of}/https/bank"),
            "domains": route["hostnames"],
            "routes": [{
                "name": "httproute/dcr/bank/rule/0/match/0/bank",
                "match": { "prefix": "/" },
                "route": { "cluster": "httproute/dcr/bank/rule/0", "timeout": duration(&rule["timeouts"]["request"]) },
            }],
        }],
    })
}

/// `buildHCMWasmFilter`, `patchRoute`.
fn with_filter_switched_on_by_routes(manifests: &Manifests, site: &Site) -> Envoy {
    let mut envoy = with_backends(manifests, site);
    let (id, wasm) = wasm(manifests, site);
    let name = format!("envoy.filters.http.wasm/{id}");
    let manager = connection_manager(&mut envoy.listener["filter_chains"][0]);
    let filters = manager["http_filters"].as_array_mut().unwrap();
    filters.insert(0, json!({ "name": name, "disabled": true, "typed_config": wasm }));
    manager["route_config"]["virtual_hosts"][0]["routes"][0]["typed_per_filter_config"] = json!({
        name: { "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "config": {} },
    });
    envoy
}

/// `buildHCMFilterChainFilter`, `mergeFilterChainConfigPerRoute`.
fn with_filter_in_the_routes(manifests: &Manifests, site: &Site) -> Envoy {
    let mut envoy = with_backends(manifests, site);
    let (_, wasm) = wasm(manifests, site);
    let manager = connection_manager(&mut envoy.listener["filter_chains"][0]);
    let filters = manager["http_filters"].as_array_mut().unwrap();
    for (place, name) in ["listener", "route"].iter().enumerate() {
        let filter_chain = json!({
            "name": format!("envoy.filters.http.filter_chain.eep.{name}"),
            "disabled": true,
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.filter_chain.v3.FilterChainConfig",
            },
        });
        filters.insert(place, filter_chain);
    }
    manager["route_config"]["virtual_hosts"][0]["routes"][0]["typed_per_filter_config"] = json!({
        "envoy.filters.http.filter_chain.eep.listener": {
            "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig",
            "disabled": true,
        },
        "envoy.filters.http.filter_chain.eep.route": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.filter_chain.v3.FilterChainConfigPerRoute",
            "filter_chain": { "filters": [{ "name": "envoy.filters.http.wasm/0", "typed_config": wasm }] },
        },
    });
    envoy
}

/// `wasmConfig`: no flag, and no failure policy but that of `failOpen`. Returns the name of the filter too.
fn wasm(manifests: &Manifests, site: &Site) -> (String, Value) {
    let policy = manifests.only("EnvoyExtensionPolicy");
    let wasm = &policy["spec"]["wasm"][0];
    assert_eq!(wasm["code"]["type"], "Image");
    let id = format!("envoyextensionpolicy/{}/wasm/0", full_name(policy, "/"));
    let configuration = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
        "config": {
            "name": wasm["name"],
            "root_id": wasm["rootID"],
            "fail_open": wasm["failOpen"],
            "configuration": {
                "@type": "type.googleapis.com/google.protobuf.StringValue",
                "value": wasm["config"].to_string(),
            },
            "vm_config": {
                "vm_id": id,
                "runtime": "envoy.wasm.runtime.v8",
                "code": { "local": { "filename": site.module } },
            },
        },
    });
    (id, configuration)
}

/// `buildExtensionBackends`, `createExtServiceXDSCluster`.
fn with_backends(manifests: &Manifests, site: &Site) -> Envoy {
    let mut envoy = translate(manifests, site);
    let policy = manifests.only("EnvoyExtensionPolicy");
    let (of_policy, of_gateway) = (full_name(policy, "/"), full_name(manifests.only("Gateway"), "/"));
    for backend in policy["spec"]["backends"].as_array().unwrap() {
        let alias = backend["name"].as_str().unwrap();
        let name = format!("envoyextensionpolicy/{of_policy}/backend/{alias}/gateway/{of_gateway}/0");
        let reference = &backend["backendRef"];
        let mut cluster = if reference["kind"] == "Backend" {
            let external = manifests.only("Backend");
            assert_eq!(external["metadata"]["name"], reference["name"]);
            let host = &external["spec"]["endpoints"][0]["fqdn"]["hostname"];
            let mut cluster = cluster(&name, host.as_str().unwrap());
            cluster["transport_socket"] = backend_tls(manifests.only("BackendTLSPolicy"), site);
            cluster
        } else {
            cluster(&name, reference["name"].as_str().unwrap())
        };
        let (breaker, timeout) =
            (&backend["backendSettings"]["circuitBreaker"], &backend["backendSettings"]["timeout"]);
        cluster["connect_timeout"] = duration(&timeout["tcp"]["connectTimeout"]);
        cluster["circuit_breakers"] = json!({
            "thresholds": [{
                "max_connections": breaker["maxConnections"],
                "max_pending_requests": breaker["maxPendingRequests"],
                "max_requests": breaker["maxParallelRequests"],
                "max_retries": breaker["maxParallelRetries"],
            }],
        });
        envoy.clusters.push(cluster);
    }
    envoy
}

fn backend_tls(policy: &Value, site: &Site) -> Value {
    let validation = &policy["spec"]["validation"];
    assert_eq!(validation["caCertificateRefs"][0]["name"], "directory-ca");
    let context = json!({
        "sni": validation["hostname"],
        "common_tls_context": {
            "validation_context": {
                "trusted_ca": { "filename": site.file("ca.pem") },
                "match_typed_subject_alt_names": [
                    { "san_type": "DNS", "matcher": { "exact": validation["hostname"] } },
                ],
            },
        },
    });
    tls("Upstream", &context)
}

/// One patch of an EnvoyPatchPolicy.
fn apply(patch: &Value, envoy: &mut Envoy) {
    let operation = &patch["operation"];
    assert_eq!(operation["op"], "add");
    let (path, value) = (operation["path"].as_str().unwrap(), operation["value"].clone());
    match patch["type"].as_str().unwrap() {
        "type.googleapis.com/envoy.config.cluster.v3.Cluster" => {
            assert_eq!((path, &patch["name"]), ("", &value["name"]));
            envoy.clusters.push(value);
        }
        "type.googleapis.com/envoy.config.listener.v3.Listener" => {
            assert_eq!(patch["name"], envoy.listener["name"]);
            let selected = format!("..filters[?(@.name=='{HTTP_CONNECTION_MANAGER}')].typed_config");
            assert_eq!(operation["jsonPath"], selected);
            add(connection_manager(&mut envoy.listener["filter_chains"][0]), path, value);
        }
        other => panic!("{other}"),
    }
}

/// The operation `add` of RFC 6902.
fn add(target: &mut Value, path: &str, value: Value) {
    let (parent, name) = path.rsplit_once('/').unwrap();
    match target.pointer_mut(parent).unwrap() {
        Value::Array(entries) => entries.insert(name.parse().unwrap(), value),
        Value::Object(members) => drop(members.insert(name.into(), value)),
        other => panic!("{other}"),
    }
}

/// A duration of Kubernetes as protobuf writes it.
fn duration(text: &Value) -> Value {
    let text = text.as_str().unwrap();
    let of = |unit| text.strip_suffix(unit).and_then(|digits: &str| digits.parse::<u32>().ok());
    if let Some(hours) = of("h") {
        format!("{}s", hours * 3600).into()
    } else if let Some(milliseconds) = of("ms") {
        format!("{}.{:03}s", milliseconds / 1000, milliseconds % 1000).into()
    } else {
        format!("{}s", of("s").unwrap()).into()
    }
}

/// A quantity of Kubernetes, in bytes.
fn quantity(text: &Value) -> u64 {
    let text = text.as_str().unwrap();
    let of = |unit| text.strip_suffix(unit).and_then(|digits: &str| digits.parse::<u64>().ok());
    of("Ki").map(|kib| kib << 10).or_else(|| of("Mi").map(|mib| mib << 20)).unwrap()
}
