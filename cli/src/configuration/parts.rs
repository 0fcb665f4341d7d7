//! Finds the filter's configurations in a file.

use super::yaml::{Content, Node};

/// The name of the Wasm filter's configuration.
pub(super) const WASM: &str = "envoy.extensions.filters.http.wasm.v3.Wasm";

/// A configuration of the filter.
pub(super) struct Part<'a> {
    /// The path of the document in the file. It is empty if the document is the whole file.
    pub(super) place: String,
    pub(super) line: u64,
    pub(super) document: Document<'a>,
    /// What the document is a member of, and its path.
    pub(super) plugin: Option<(String, &'a Node)>,
    pub(super) platform: Platform,
    pub(super) is_in_kubernetes: bool,
    /// The listener around it, and its path.
    pub(super) listener: Option<(String, &'a Node)>,
    /// Envoy's whole configuration.
    pub(super) bootstrap: Option<&'a Node>,
}

/// The document as it is written.
pub(super) enum Document<'a> {
    /// YAML or JSON.
    Members(&'a Node),
    /// JSON in a text.
    Text(&'a str),
    /// The document is missing. The text says why.
    Missing(&'static str),
}

/// Who reads what is around the document.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Platform {
    /// The document stands alone.
    Alone,
    /// Envoy: it is in a `PluginConfig`.
    Plugin,
    /// Istio or Envoy Gateway, which make a `PluginConfig` of it.
    Manifest,
}

/// The filter's configurations, in the order of the file.
pub(super) fn find(documents: &[(String, Node)]) -> Vec<Part<'_>> {
    let mut finder = Finder { parts: Vec::new() };
    for (name, node) in documents {
        finder.walk(node, name.clone(), &Around { kubernetes: node.get("apiVersion").is_some(), ..Around::default() });
    }
    if let ([], [(_, node)]) = (finder.parts.as_slice(), documents) {
        let others = ["static_resources", "dynamic_resources", "resources", "kind", "apiVersion", "@type", "admin"];
        if matches!(node.content, Content::Map(_)) && !others.iter().any(|name| node.get(name).is_some()) {
            let part = Around::default().part(String::new(), node.line, Document::Members(node), None, Platform::Alone);
            finder.parts.push(part);
        }
    }
    finder.parts
}

/// A path and the name of a member below it.
pub(super) fn member(place: &str, name: &str) -> String {
    if place.is_empty() || place.ends_with(": ") || name.starts_with('[') {
        return format!("{place}{name}");
    }
    format!("{place}.{name}")
}

/// What stands around a value.
#[derive(Clone, Default)]
struct Around<'a> {
    kubernetes: bool,
    listener: Option<(String, &'a Node)>,
    bootstrap: Option<&'a Node>,
}

impl<'a> Around<'a> {
    fn part(
        &self,
        place: String,
        line: u64,
        document: Document<'a>,
        plugin: Option<(String, &'a Node)>,
        platform: Platform,
    ) -> Part<'a> {
        Part {
            place,
            line,
            document,
            plugin,
            platform,
            is_in_kubernetes: self.kubernetes,
            listener: self.listener.clone(),
            bootstrap: self.bootstrap,
        }
    }
}

struct Finder<'a> {
    parts: Vec<Part<'a>>,
}

impl<'a> Finder<'a> {
    fn walk(&mut self, node: &'a Node, place: String, around: &Around<'a>) {
        let mut around = around.clone();
        if node.get("filter_chains").is_some() || node.get("default_filter_chain").is_some() {
            around.listener = Some((place.clone(), node));
        }
        if node.get("static_resources").is_some() {
            around.bootstrap = Some(node);
        }
        if let Some((below, config)) = wasm(node) {
            return self.plugin(config, member(&place, below), &around);
        }
        match node.get("kind").and_then(Node::text) {
            Some("WasmPlugin") => self.manifest(node, &place, "spec", "pluginConfig", &around),
            Some("TrafficExtension") => self.manifest(node, &place, "spec.wasm", "pluginConfig", &around),
            Some("EnvoyExtensionPolicy") => {
                let all = node.get("spec").and_then(|spec| spec.get("wasm"));
                for i in 0..all.map_or(0, |all| all.elements().count()) {
                    self.manifest(node, &place, &format!("spec.wasm[{i}]"), "config", &around);
                }
            }
            _ => {}
        }
        for (name, inner) in node.members() {
            let shown = if name.contains('.') { format!("[\"{name}\"]") } else { name.to_owned() };
            self.walk(inner, member(&place, &shown), &around);
        }
        for (i, inner) in node.elements().enumerate() {
            self.walk(inner, format!("{place}[{i}]"), &around);
        }
    }

    /// A `PluginConfig` of Envoy.
    fn plugin(&mut self, config: &'a Node, place: String, around: &Around<'a>) {
        let configuration = config.get("configuration");
        let value = configuration.and_then(|configuration| configuration.get("value"));
        let of_type = configuration.and_then(|configuration| configuration.get("@type")).and_then(Node::text);
        let name = of_type.unwrap_or_default().rsplit('/').next().unwrap_or_default();
        let document = match (name, value) {
            ("google.protobuf.Struct", Some(node)) => Document::Members(node),
            ("google.protobuf.StringValue", Some(node)) => match node.text() {
                Some(text) => Document::Text(text),
                None => Document::Missing("is a StringValue without a text"),
            },
            (_, None) if configuration.is_none() => Document::Missing("is missing: the filter has no configuration"),
            (_, None) => Document::Missing("has no value"),
            _ => Document::Missing("is neither a Struct nor a StringValue"),
        };
        if !is_called_gate(config) && !document.looks_like_ours() {
            return;
        }
        let at = if value.is_some() { "configuration.value" } else { "configuration" };
        let line = value.or(configuration).unwrap_or(config).line;
        let at = member(&place, at);
        self.parts.push(around.part(at, line, document, Some((place, config)), Platform::Plugin));
    }

    /// A plugin of Istio or Envoy Gateway: `document` is a member of what is at `path`.
    fn manifest(&mut self, node: &'a Node, place: &str, path: &str, document: &str, around: &Around<'a>) {
        let Some(plugin) = node.at(path) else { return };
        let found = plugin.get(document);
        let written = match found {
            Some(node) => Document::Members(node),
            None => Document::Missing("is missing: the filter has no configuration"),
        };
        if is_called_gate(node) || written.looks_like_ours() {
            let place = member(place, path);
            let at = member(&place, document);
            let line = found.unwrap_or(plugin).line;
            self.parts.push(around.part(at, line, written, Some((place, plugin)), Platform::Manifest));
        }
    }
}

impl Document<'_> {
    fn looks_like_ours(&self) -> bool {
        let has = |name: &&str| match self {
            Self::Members(node) => node.get(name).is_some(),
            Self::Text(text) => text.contains(&format!("\"{name}\"")),
            Self::Missing(_) => false,
        };
        ["profile", "issuer", "directories", "store"].iter().filter(|name| has(name)).count() >= 2
    }
}

/// The `PluginConfig` in a configuration of the Wasm filter, and its path below it.
fn wasm(node: &Node) -> Option<(&'static str, &Node)> {
    let is_wasm = |name: &str| node.get(name).and_then(Node::text).is_some_and(|name| name.ends_with(WASM));
    if is_wasm("@type") {
        return Some(("config", node.get("config")?));
    }
    let is_struct = node.get("@type").and_then(Node::text).is_some_and(|name| name.ends_with(".TypedStruct"));
    (is_struct && is_wasm("type_url")).then(|| Some(("value.config", node.at("value.config")?))).flatten()
}

/// Whether a name in the plugin is the filter's: of the plugin, of its VM, of the file or the image with its code.
fn is_called_gate(node: &Node) -> bool {
    let is_name = node.text().is_some_and(|text| text.contains("dcr_gate") || text.contains("dcr-gate"));
    let inner = node.members().filter(|(name, _)| !["configuration", "pluginConfig", "config"].contains(name));
    is_name || inner.map(|(_, node)| node).chain(node.elements()).any(is_called_gate)
}

impl Node {
    /// The value at a path of members and elements.
    fn at(&self, path: &str) -> Option<&Self> {
        let (step, rest) = super::faults::first_step(path);
        let inner = match step.strip_prefix('[').and_then(|index| index.strip_suffix(']')) {
            Some(index) => self.elements().nth(index.parse().ok()?)?,
            None => self.get(step)?,
        };
        if rest.is_empty() { Some(inner) } else { inner.at(rest) }
    }
}
