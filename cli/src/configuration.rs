//! Checks a configuration of the filter before Envoy reads it: the document alone, or where it stands in a configuration of Envoy or in
//! manifests of Kubernetes. All faults are found at once, each with its place and a cure.

mod faults;
mod parts;
pub mod schema;
mod yaml;

use std::fmt;

use dcr_gate::config::{Config, Headers};
use serde_json::Value;

use self::faults::{Fault, faults};
use self::parts::{Document, Part, Platform, member};
use self::schema::Schema;
use self::yaml::Node;

/// What was found in a file.
#[derive(Debug)]
pub struct Report {
    /// How many configurations of the filter the file has.
    pub configurations: usize,
    /// What is wrong or doubtful, in the order of the file.
    pub findings: Vec<Finding>,
}

impl Report {
    /// How many findings have this severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

/// Something that is wrong or doubtful.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether the filter would refuse it.
    pub severity: Severity,
    /// The path in the file, such as `static_resources.listeners[0].name`. It is empty for the whole file.
    pub place: String,
    /// The line, counted from 1. It is 0 if it is not known.
    pub line: u64,
    /// What is wrong.
    pub problem: String,
    /// What to do. It is empty if the problem says it.
    pub cure: String,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The filter refuses the configuration, and Envoy does not start or keeps the configuration that it has.
    Error,
    /// It starts, but it does less, or allows more, than it should.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// Checks the text of a file, YAML or JSON.
///
/// # Errors
/// The text is not YAML, or it has no configuration of the filter.
pub fn check(text: &str) -> Result<Report, String> {
    let documents = yaml::read(text)?;
    let parts = parts::find(&documents);
    if parts.is_empty() {
        return Err("has no configuration of the filter: neither a document of its own nor a plugin of the Wasm filter that is \
                    called dcr_gate or has profile, issuer, directories and store"
            .to_owned());
    }
    let schema = Schema::shipped();
    let mut findings = Vec::new();
    for part in &parts {
        part.check(&documents, &schema, &mut findings);
    }
    findings.sort_by_key(|finding: &Finding| finding.line);
    Ok(Report { configurations: parts.len(), findings })
}

impl Part<'_> {
    fn check(&self, documents: &[(String, Node)], schema: &Schema, findings: &mut Vec<Finding>) {
        self.check_plugin(findings);
        let document = match &self.document {
            Document::Members(node) => node.to_value(),
            Document::Text(text) => match Config::parse(text.as_bytes()) {
                Ok(document) => document,
                Err(error) => return findings.push(self.error(&error.path, error.problem, String::new())),
            },
            Document::Missing(problem) => {
                let cure = "write \"@type\": type.googleapis.com/google.protobuf.Struct, and the document below value";
                return findings.push(self.error(".", (*problem).to_owned(), cure.to_owned()));
            }
        };
        let (faults, config) = faults(&document, schema);
        findings.extend(faults.into_iter().map(|Fault { path, problem, cure }| self.error(&path, problem, cure)));
        self.check_clusters(&document, findings);
        match config {
            Some(config) => {
                self.check_headers(&config, findings);
                self.check_dangers(&document, &config, findings);
                self.check_buffers(documents, &config, findings);
            }
            None => {
                let problem = "there may be more: the rest cannot be checked before this is put right".to_owned();
                findings.push(self.error(".", problem, "put it right, and check again".to_owned()));
            }
        }
    }

    /// What stands around the document in the plugin's configuration.
    fn check_plugin(&self, findings: &mut Vec<Finding>) {
        let Some((place, plugin)) = &self.plugin else { return };
        let mut warn = |name: &str, problem: &str, cure: &str| {
            findings.push(Finding {
                severity: Severity::Warning,
                place: member(place, name),
                line: plugin.get(name).map_or(plugin.line, |node| node.line),
                problem: problem.to_owned(),
                cure: cure.to_owned(),
            });
        };
        let is = |name: &str, value: Value| plugin.get(name).and_then(Node::scalar) == Some(&value);
        for (name, open) in [
            ("failure_policy", Value::from("FAIL_OPEN")),
            ("fail_open", true.into()),
            ("failStrategy", "FAIL_OPEN".into()),
            ("failOpen", true.into()),
        ] {
            if is(name, open) {
                warn(
                    name,
                    "if the filter crashes or is refused, every request passes unchecked",
                    "remove it: then such requests are refused",
                );
            }
        }
        if self.platform != Platform::Plugin {
            return;
        }
        let vm_id = plugin.get("vm_config").and_then(|vm| vm.get("vm_id")).and_then(Node::text).unwrap_or_default();
        if vm_id.is_empty() {
            warn(
                "vm_config.vm_id",
                "is missing: the filter shares its VM and its key sets with every other filter that has none",
                "write a vm_id that no other filter has, such as dcr_gate",
            );
        }
    }

    /// Whether the filter will get the bodies of requests.
    fn check_headers(&self, config: &Config, findings: &mut Vec<Finding>) {
        const FLAG: &str = "allow_on_headers_stop_iteration";
        let Some((place, plugin)) = &self.plugin else { return };
        let flag = plugin.get(FLAG);
        if config.headers == Headers::Forward || flag.and_then(Node::scalar) == Some(&true.into()) {
            return;
        }
        let problem =
            "Envoy keeps request bodies from the filter, and every request with a body is answered 503".to_owned();
        let (place, line, problem, cure) = if self.platform == Platform::Plugin {
            let cure = format!("write {FLAG}: true, or headers: forward if your host has no such field");
            (member(place, FLAG), flag.map_or(plugin.line, |node| node.line), format!("is not true: {problem}"), cure)
        } else {
            (self.place_of("headers"), self.line, problem, "write headers: forward".to_owned())
        };
        findings.push(Finding { severity: Severity::Warning, place, line, problem, cure });
    }

    /// Clusters that Envoy does not have. The filter finds out only when it calls them.
    fn check_clusters(&self, document: &Value, findings: &mut Vec<Finding>) {
        let Some(defined) = self.bootstrap.and_then(clusters) else { return };
        for (path, name) in used_clusters(document) {
            if !defined.contains(&name) {
                let cure = format!("define it in static_resources.clusters, or name one of {}", defined.join(", "));
                let problem = format!("there is no cluster {name}: every call to it fails");
                findings.push(Finding { severity: Severity::Warning, ..self.error(&path, problem, cure) });
            }
        }
    }

    fn check_dangers(&self, document: &Value, config: &Config, findings: &mut Vec<Finding>) {
        for danger in &config.dangers {
            let path = danger.split(':').next().unwrap_or_default();
            let (path, what) = match faults::value_at(document, path) {
                Some(_) => (path, "allows more than the standards or the ecosystem do".to_owned()),
                None => ("profile", format!("{danger} of this profile allows more than the standards do")),
            };
            let cure = "keep it only if you need it: the filter warns of it at every start".to_owned();
            findings.push(Finding { severity: Severity::Warning, ..self.error(path, what, cure) });
        }
    }

    /// The body that Envoy buffers must not be shorter than the body that the filter accepts.
    fn check_buffers(&self, documents: &[(String, Node)], config: &Config, findings: &mut Vec<Finding>) {
        let needed = config.settings.limits.body_bytes;
        let short = |place: String, line: u64, problem: String, cure: String| Finding {
            severity: Severity::Warning,
            place,
            line,
            problem: format!("{problem}, less than limits.body_bytes ({needed}): a longer body gets Envoy's plain 413"),
            cure,
        };
        if self.is_in_kubernetes {
            let limits = documents.iter().flat_map(|(_, node)| node.buffer_limits());
            // Istio leaves Envoy's own limit.
            let of_gateway =
                ["EnvoyPatchPolicy", "EnvoyExtensionPolicy"].iter().any(|kind| self.place.starts_with(kind));
            let default = if of_gateway { 32 * 1024 } else { 1024 * 1024 };
            let most = limits.max().unwrap_or(default);
            if most < needed {
                let problem = format!("Envoy buffers {most} bytes of a request here");
                let cure = format!(
                    "set per_connection_buffer_limit_bytes of the listener with an EnvoyFilter, or connection.bufferLimit of a \
                     ClientTrafficPolicy, to {needed} or more, or lower limits.body_bytes"
                );
                findings.push(short(self.place_of("limits.body_bytes"), self.line, problem, cure));
            }
        } else if let Some((place, listener)) = &self.listener {
            let name = "per_connection_buffer_limit_bytes";
            let set = listener.get(name).and_then(|node| Some((node.line, node.scalar()?.as_u64()?)));
            let (line, most) = set.unwrap_or((listener.line, 1024 * 1024));
            if usize::try_from(most).is_ok_and(|most| most < needed) {
                let cure = format!("write {needed} or more");
                findings.push(short(member(place, name), line, format!("is {most} bytes"), cure));
            }
        }
    }

    fn error(&self, path: &str, problem: String, cure: String) -> Finding {
        let line = match &self.document {
            Document::Members(node) => node.line_of(path),
            _ => self.line,
        };
        Finding { severity: Severity::Error, place: self.place_of(path), line, problem, cure }
    }

    fn place_of(&self, path: &str) -> String {
        match path {
            "." => self.place.clone(),
            path => member(&self.place, path),
        }
    }
}

/// The clusters of Envoy's configuration. `None` if there can be others, which a server sends.
fn clusters(bootstrap: &Node) -> Option<Vec<String>> {
    if bootstrap.get("dynamic_resources").is_some_and(|dynamic| dynamic.get("cds_config").is_some()) {
        return None;
    }
    let clusters = bootstrap.get("static_resources").and_then(|resources| resources.get("clusters"));
    let names = clusters.into_iter().flat_map(Node::elements).filter_map(|cluster| cluster.get("name")?.text());
    Some(names.map(str::to_owned).collect())
}

/// The clusters that a configuration names, with their paths.
fn used_clusters(document: &Value) -> Vec<(String, String)> {
    let mut used = Vec::new();
    let mut add = |path: String, of: Option<&Value>| {
        if let Some(name) = of.and_then(|of| of.get("cluster")).and_then(Value::as_str).filter(|name| !name.is_empty())
        {
            used.push((path + ".cluster", name.to_owned()));
        }
    };
    let list = |of: &Value, name: &str| of.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    for (i, directory) in list(document, "directories").iter().enumerate() {
        add(format!("directories[{i}]"), Some(directory));
        for (j, host) in list(directory, "software_key_sets").iter().enumerate() {
            add(format!("directories[{i}].software_key_sets[{j}]"), Some(host));
        }
    }
    add("store".to_owned(), document.get("store"));
    used
}
