//! The manifests of `envoy/` in a real Envoy. Those for Istio and Envoy Gateway run as the configuration that the product makes of them. The
//! translations here follow the sources of the products; `envoy/README.md` names the versions. Envoy's dynamic configuration runs as it is.

mod dynamic;
mod envoy_gateway;
mod istio;
mod trial;

use std::path::PathBuf;

use dcr_dev::envoy::{EnvoyConfiguration, merge};
use dcr_dev::installation::project_folder;
use dcr_dev::{Gateway, GatewayBuilder};
use serde_json::{Value, json};

use crate::PKI;

/// The documents of some files below `envoy/`.
struct Manifests(Vec<Value>);

impl Manifests {
    fn read(files: &[&str]) -> Self {
        Self(files.iter().flat_map(|file| documents(file)).collect())
    }

    fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(move |document| document["kind"] == kind)
    }

    /// The only document of its kind.
    fn only(&self, kind: &str) -> &Value {
        let all: Vec<&Value> = self.of_kind(kind).collect();
        assert_eq!(all.len(), 1, "{kind}");
        all[0]
    }
}

fn documents(file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(project_folder().join("envoy").join(file)).unwrap();
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// `namespace.name` or `namespace/name` of a document.
fn full_name(document: &Value, between: &str) -> String {
    let metadata = &document["metadata"];
    [metadata["namespace"].as_str().unwrap(), metadata["name"].as_str().unwrap()].join(between)
}

/// What a product gives to Envoy.
struct Envoy {
    listener: Value,
    clusters: Vec<Value>,
    /// The configuration that a filter with `config_discovery` gets (ECDS).
    extension_config: Option<Value>,
    /// What the product adds to the bootstrap.
    bootstrap: Value,
}

type Translate = fn(&Manifests, &Site) -> Envoy;

/// A gateway whose Envoy has what the product makes of these files. `patch` changes the filter's configuration in them.
fn gateway(files: &'static [&'static str], translate: Translate, patch: Value) -> GatewayBuilder {
    Gateway::builder(PKI.clone()).envoy(move |configuration| {
        let site = Site::of(configuration);
        let mut manifests = Manifests::read(files);
        let mut configured = 0;
        for document in &mut manifests.0 {
            site.name(document);
            configured += configure(document, &patch);
        }
        assert_eq!(configured, 1, "one of {files:?} has the filter's configuration");
        site.install(translate(&manifests, &site), configuration);
        Ok(())
    })
}

/// Patches the filter's configuration wherever it stands in the document. Returns how many there are.
fn configure(document: &mut Value, patch: &Value) -> usize {
    match document {
        Value::Object(members) if members.contains_key("profile") && members.contains_key("directories") => {
            merge(document, patch);
            1
        }
        Value::Object(members) => members.values_mut().map(|member| configure(member, patch)).sum(),
        Value::Array(entries) => entries.iter_mut().map(|entry| configure(entry, patch)).sum(),
        _ => 0,
    }
}

/// Where this test runs what the manifests call by the names of a cluster.
struct Site {
    gateway: u16,
    directory: u16,
    store: u16,
    backend: u16,
    folder: PathBuf,
    module: String,
}

impl Site {
    /// Reads it from the configuration that is about to be replaced.
    fn of(shipped: &mut EnvoyConfiguration) -> Self {
        let port = |endpoint: &Value| {
            u16::try_from(endpoint["address"]["socket_address"]["port_value"].as_u64().unwrap()).unwrap()
        };
        let mut cluster = |name| {
            port(&shipped.cluster(name).unwrap()["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"])
        };
        let (directory, store, backend) = (cluster("directory"), cluster("dcr_store"), cluster("backend"));
        let module = shipped.plugin().unwrap()["vm_config"]["code"]["local"]["filename"].as_str().unwrap().to_owned();
        let log = &shipped.connection_manager("gateway").unwrap()["access_log"][0]["typed_config"]["path"];
        let folder = PathBuf::from(log.as_str().unwrap()).parent().unwrap().to_owned();
        let gateway = port(shipped.listener("gateway").unwrap());
        Self { gateway, directory, store, backend, folder, module }
    }

    fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// Writes the names of this site into a manifest, as a bank writes its own.
    fn name(&self, value: &mut Value) {
        match value {
            Value::String(text) if text == "bank.example" => *text = "localhost".into(),
            Value::String(text) => {
                *text = text
                    .replace("https://bank.example", &format!("https://localhost:{}", self.gateway))
                    .replace("https://keystore.example", &format!("https://localhost:{}", self.directory));
            }
            Value::Array(entries) => entries.iter_mut().for_each(|entry| self.name(entry)),
            Value::Object(members) => {
                // An entry of `software_key_sets`.
                if members.contains_key("cluster") && members.contains_key("host") {
                    members.insert("host".into(), format!("localhost:{}", self.directory).into());
                }
                members.values_mut().for_each(|member| self.name(member));
            }
            _ => (),
        }
    }

    /// Puts what a product made in the place of the shipped configuration.
    fn install(&self, mut envoy: Envoy, configuration: &mut EnvoyConfiguration) {
        envoy.listener["address"] = json!({ "socket_address": { "address": "127.0.0.1", "port_value": self.gateway } });
        for cluster in &mut envoy.clusters {
            cluster["type"] = "STATIC".into();
            let endpoint = &mut cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"];
            let address = &mut endpoint["address"]["socket_address"];
            let port = match address["address"].as_str().unwrap().split('.').next().unwrap() {
                "keystore" => self.directory,
                "dcr-store" => self.store,
                "authorization-server" => self.backend,
                other => panic!("{other} is not known here"),
            };
            *address = json!({ "address": "127.0.0.1", "port_value": port });
        }
        if let Some(extension_config) = envoy.extension_config {
            let mut resource = extension_config;
            resource["@type"] = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig".into();
            std::fs::write(self.file("extension.json"), json!({ "resources": [resource] }).to_string()).unwrap();
            discover_from_file(&mut envoy.listener, &self.file("extension.json"));
            // Envoy takes dynamic configuration only if it has a name.
            configuration.document["node"] = json!({ "id": "dcr-gate", "cluster": "dcr-gate" });
        }
        configuration.document["static_resources"] =
            json!({ "listeners": [envoy.listener], "clusters": envoy.clusters });
        configuration.document["stats_config"] = envoy.bootstrap["stats_config"].take();
        configuration.rewrite_strings(|text| match text {
            "keystore.example" => "localhost".into(),
            "/etc/ssl/certs/ca-certificates.crt" => self.file("ca.pem"),
            "/etc/dcr-gate/plugin.wasm" => self.module.clone(),
            "/dev/stdout" => self.file("access.log"),
            _ => text.into(),
        });
    }
}

/// Both products serve extension configurations over their own connection (ADS). Here they are in a file.
fn discover_from_file(listener: &mut Value, file: &str) {
    for chain in listener["filter_chains"].as_array_mut().unwrap() {
        for filter in connection_manager(chain)["http_filters"].as_array_mut().unwrap() {
            if let Some(discovery) = filter.get_mut("config_discovery") {
                assert_eq!(discovery["config_source"]["ads"], json!({}));
                discovery["config_source"] =
                    json!({ "path_config_source": { "path": file }, "resource_api_version": "V3" });
            }
        }
    }
}

const HTTP_CONNECTION_MANAGER: &str = "envoy.filters.network.http_connection_manager";

/// The HTTP connection manager of a filter chain.
fn connection_manager(chain: &mut Value) -> &mut Value {
    let filters = chain["filters"].as_array_mut().unwrap();
    &mut filters.iter_mut().find(|filter| filter["name"] == HTTP_CONNECTION_MANAGER).unwrap()["typed_config"]
}

fn network_filter(manager: Value) -> Value {
    json!({ "name": HTTP_CONNECTION_MANAGER, "typed_config": manager })
}

fn router() -> Value {
    json!({
        "name": "envoy.filters.http.router",
        "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
    })
}

/// The listener filter that reads the name of the server that a client asks for. Filter chains that match such names need it.
fn tls_inspector() -> Value {
    json!({
        "name": "envoy.filters.listener.tls_inspector",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
        },
    })
}

fn tls(direction: &str, context: &Value) -> Value {
    let mut typed_config = json!({
        "@type": format!("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.{direction}TlsContext"),
    });
    merge(&mut typed_config, context);
    json!({ "name": "envoy.transport_sockets.tls", "typed_config": typed_config })
}

/// A cluster with one endpoint. The site replaces the address.
fn cluster(name: &str, host: &str) -> Value {
    json!({
        "name": name,
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{
                "lb_endpoints": [{
                    "endpoint": { "address": { "socket_address": { "address": host, "port_value": 1 } } },
                }],
            }],
        },
    })
}

/// Merges as protobuf does: members are merged, the entries of lists are appended, and other values are replaced.
fn merge_proto(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (name, value) in patch {
                merge_proto(target.entry(name.as_str()).or_insert(Value::Null), value);
            }
        }
        (Value::Array(target), Value::Array(patch)) => target.extend(patch.iter().cloned()),
        (target, patch) => *target = patch.clone(),
    }
}

/// The settings that no manifest may lose: they are those of `envoy.yaml`.
fn assert_as_shipped(envoy: &Envoy) {
    let mut shipped = EnvoyConfiguration { document: documents("envoy.yaml").remove(0) };
    let labels = shipped.document["stats_config"]["stats_tags"].as_array().unwrap();
    let has = envoy.bootstrap["stats_config"]["stats_tags"].as_array().unwrap();
    for label in labels {
        // Istio has its own expression for this one.
        let is_there = |own: &&Value| *own == label || (label["tag_name"] == "cache" && own["tag_name"] == "cache");
        assert_eq!(has.iter().filter(is_there).count(), 1, "{label} in {has:?}");
    }
    let limit = &shipped.listener("gateway").unwrap()["per_connection_buffer_limit_bytes"];
    assert_eq!(&envoy.listener["per_connection_buffer_limit_bytes"], limit);
    let shipped = shipped.connection_manager("gateway").unwrap();
    let mut listener = envoy.listener.clone();
    let manager = connection_manager(&mut listener["filter_chains"][0]);
    let log = "/access_log/0/typed_config/log_format/json_format";
    assert_eq!(manager.pointer(log).unwrap(), shipped.pointer(log).unwrap());
    for setting in [
        "common_http_protocol_options",
        "http2_protocol_options",
        "normalize_path",
        "merge_slashes",
        "path_with_escaped_slashes_action",
        "request_timeout",
        "stream_idle_timeout",
        "forward_client_cert_details",
    ] {
        assert_eq!(manager[setting], shipped[setting], "{setting}");
    }
}
