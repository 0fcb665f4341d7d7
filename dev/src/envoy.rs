//! `envoy/envoy.yaml` as a document that can be changed: ports, files and the filter's configuration.

use std::path::Path;

use serde_json::{Value, json};

use crate::Error;

/// Envoy's configuration.
#[derive(Clone, Debug)]
pub struct EnvoyConfiguration {
    /// The whole document, for changes that have no method here.
    pub document: Value,
}

impl EnvoyConfiguration {
    /// Reads a YAML file.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(Error::system(path.display().to_string()))?;
        let document = serde_saphyr::from_str(&text)
            .map_err(|error| Error::Configuration(format!("{}: {error}", path.display())))?;
        Ok(Self { document })
    }

    /// The document as JSON, which Envoy reads too. It is on one line, because Envoy quotes it in errors.
    pub fn to_json(&self) -> String {
        self.document.to_string()
    }

    /// A listener by its name.
    pub fn listener(&mut self, name: &str) -> Result<&mut Value, Error> {
        named(&mut self.document, "/static_resources/listeners", name)
    }

    /// A cluster by its name.
    pub fn cluster(&mut self, name: &str) -> Result<&mut Value, Error> {
        named(&mut self.document, "/static_resources/clusters", name)
    }

    /// The HTTP connection manager of a listener's first filter chain.
    pub fn connection_manager(&mut self, listener: &str) -> Result<&mut Value, Error> {
        at(self.listener(listener)?, "/filter_chains/0/filters/0/typed_config")
    }

    /// The wasm filter's `PluginConfig`: `vm_config`, `failure_policy`, `configuration`, …
    pub fn plugin(&mut self) -> Result<&mut Value, Error> {
        let manager = self.connection_manager("gateway")?;
        at(named(manager, "/http_filters", "dcr_gate")?, "/typed_config/config")
    }

    /// The filter's own configuration.
    pub fn plugin_configuration(&mut self) -> Result<&mut Value, Error> {
        at(self.plugin()?, "/configuration/value")
    }

    /// The entry of the first directory in it.
    pub fn directory(&mut self) -> Result<&mut Value, Error> {
        at(self.plugin_configuration()?, "/directories/0")
    }

    /// Sets the port of Envoy's admin page.
    pub fn set_admin_port(&mut self, port: u16) -> Result<(), Error> {
        set_port(at(&mut self.document, "/admin")?, port)
    }

    /// Sets the port of a listener.
    pub fn set_listener_port(&mut self, listener: &str, port: u16) -> Result<(), Error> {
        set_port(self.listener(listener)?, port)
    }

    /// Sets the port of the only endpoint of a cluster.
    pub fn set_cluster_port(&mut self, cluster: &str, port: u16) -> Result<(), Error> {
        set_port(at(self.cluster(cluster)?, "/load_assignment/endpoints/0/lb_endpoints/0/endpoint")?, port)
    }

    /// Changes every string in the document, such as file names.
    pub fn rewrite_strings(&mut self, rewrite: impl Fn(&str) -> String) {
        rewrite_strings(&mut self.document, &rewrite);
    }
}

/// Applies `patch` to `target`: members of objects are merged, `null` removes a member, and other values replace the old ones (RFC 7396).
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Value::Object(target) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            target.shift_remove(name);
        } else {
            merge(target.entry(name.as_str()).or_insert(Value::Null), value);
        }
    }
}

fn rewrite_strings(value: &mut Value, rewrite: &impl Fn(&str) -> String) {
    match value {
        Value::String(text) => *text = rewrite(text),
        Value::Array(values) => values.iter_mut().for_each(|value| rewrite_strings(value, rewrite)),
        Value::Object(members) => members.values_mut().for_each(|value| rewrite_strings(value, rewrite)),
        _ => (),
    }
}

fn set_port(of: &mut Value, port: u16) -> Result<(), Error> {
    *at(of, "/address/socket_address/port_value")? = port.into();
    Ok(())
}

fn at<'a>(value: &'a mut Value, pointer: &str) -> Result<&'a mut Value, Error> {
    value.pointer_mut(pointer).ok_or_else(|| Error::Configuration(format!("nothing at {pointer}")))
}

fn named<'a>(value: &'a mut Value, array: &str, name: &str) -> Result<&'a mut Value, Error> {
    let entries = at(value, array)?.as_array_mut();
    let entry = entries
        .and_then(|entries| entries.iter_mut().find(|entry| entry.get("name").is_some_and(|found| found == name)));
    entry.ok_or_else(|| Error::Configuration(format!("no `{name}` in {array}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::installation::project_folder;

    fn shipped() -> EnvoyConfiguration {
        EnvoyConfiguration::read(&project_folder().join("envoy/envoy.yaml")).unwrap()
    }

    #[test]
    fn the_shipped_file_has_what_is_patched() {
        let mut envoy = shipped();
        envoy.set_admin_port(1).unwrap();
        envoy.set_listener_port("gateway", 2).unwrap();
        envoy.set_cluster_port("dcr_store", 3).unwrap();
        assert_eq!(envoy.document["admin"]["address"]["socket_address"]["port_value"], 1);
        assert_eq!(envoy.listener("gateway").unwrap()["address"]["socket_address"]["port_value"], 2);
        assert_eq!(envoy.plugin_configuration().unwrap()["profile"], "uk-obie-3.3");
        let error = envoy.cluster("nowhere").unwrap_err().to_string();
        assert!(error.contains("no `nowhere`"), "{error}");
    }

    #[test]
    fn yaml_scalars_keep_their_types() {
        let mut envoy = shipped();
        let plugin = envoy.plugin().unwrap();
        assert_eq!(plugin["allow_on_headers_stop_iteration"], true);
        assert_eq!(plugin["configuration"]["value"]["store"]["timeout"], "2s");
    }

    #[test]
    fn merging_replaces_adds_and_removes() {
        let mut target = json!({ "keep": 1, "change": { "a": 1, "b": 2 }, "drop": 3 });
        merge(&mut target, &json!({ "change": { "b": [4] }, "drop": null, "new": { "c": 5 } }));
        assert_eq!(target, json!({ "keep": 1, "change": { "a": 1, "b": [4] }, "new": { "c": 5 } }));
    }
}
