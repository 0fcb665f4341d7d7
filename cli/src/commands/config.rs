//! `dcr config`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use dcr_cli::configuration::schema::{self, Schema};
use dcr_cli::configuration::{self, Finding, Report, Severity};
use dcr_mint::Error;
use serde_json::{Value, json};

use super::{Outcome, print, read_input};

#[derive(Subcommand)]
pub(crate) enum Command {
    Check(Check),
    /// Print the JSON Schema of the configuration, for editors and pipelines
    ///
    /// It is JSON Schema of draft 2020-12 and describes the document alone, not what is around it in Envoy's configuration. An editor with
    /// the YAML language server completes and checks a document whose first line is
    ///
    ///     # yaml-language-server: $schema=configuration.schema.json
    #[command(verbatim_doc_comment)]
    Schema,
    Explain(Explain),
}

/// Find everything that is wrong in a configuration, before Envoy reads it
///
/// FILE is the filter's document alone, or what it stands in: a configuration of Envoy (static, LDS or ECDS), or manifests for Istio
/// (EnvoyFilter, WasmPlugin, TrafficExtension) and Envoy Gateway (EnvoyExtensionPolicy, EnvoyPatchPolicy), as YAML or JSON, with any number
/// of documents. Each finding has the file, the line, the path and a cure.
///
/// An error is what the filter would refuse: Envoy then does not start, or keeps the configuration that it has. A warning is what would
/// start and then do less, or allow more, than it should: values that widen the standards (danger_…), a plugin that lets requests pass when
/// it fails, headers that reach the upstream too early, a VM without an id of its own, buffers of Envoy that are too short, clusters that
/// Envoy does not have.
#[derive(Args)]
#[command(after_help = "\
Examples:
  dcr config check gate.yaml
  dcr config check --strict envoy/envoy.yaml
  kubectl get envoyfilter,wasmplugin -o yaml | dcr config check -

Exits with 0 if nothing is wrong, 1 if there are errors (with --strict also for warnings), 2 if FILE cannot be read or has no configuration \
of the filter. It does not know whether a cluster can be reached, nor what Envoy itself says: ask envoy --mode validate too.")]
pub(crate) struct Check {
    /// A file, or - for the standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Take warnings for errors
    #[arg(long)]
    strict: bool,
    /// Print JSON: the number of configurations, and the findings
    #[arg(long)]
    json: bool,
}

/// Say what a member of the configuration means: its type, bounds, default and rules
///
/// Without PATH it lists the members of the document.
#[derive(Args)]
#[command(after_help = "\
Examples:
  dcr config explain
  dcr config explain limits.body_bytes
  dcr config explain directories[].statements
  dcr config explain danger_profile_values.client_metadata

Exits with 0, or with 2 if there is no such member; the names that are near are told.")]
pub(crate) struct Explain {
    /// Such as store.timeout. The brackets of a list may be empty, hold a number, or be left out
    #[arg(value_name = "PATH", default_value = "", hide_default_value = true)]
    path: String,
}

impl Command {
    pub(crate) fn run(self) -> Outcome {
        match self {
            Self::Check(command) => command.run(),
            Self::Schema => {
                print(schema::TEXT);
                Ok(ExitCode::SUCCESS)
            }
            Self::Explain(Explain { path }) => {
                let problem = |problem| Error::Content { path: "configuration".into(), problem };
                print(&Schema::shipped().explain(&path).map_err(problem)?);
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

impl Check {
    fn run(self) -> Outcome {
        let text = read_input(&self.file)?;
        let report =
            configuration::check(&text).map_err(|problem| Error::Content { path: self.file.clone(), problem })?;
        print(&if self.json { format!("{:#}", as_json(&report)) } else { as_text(&self.file, &report) });
        let wrong = report.count(Severity::Error) + if self.strict { report.count(Severity::Warning) } else { 0 };
        Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }
}

fn as_text(file: &Path, report: &Report) -> String {
    let file = file.display();
    let line = |finding: &Finding| {
        let Finding { severity, place, line, problem, cure } = finding;
        let place = if place.is_empty() { "the document" } else { place.as_str() };
        let cure = if cure.is_empty() { String::new() } else { format!("\n    {cure}") };
        format!("{file}:{line}: {severity}: {place}: {problem}{cure}\n")
    };
    let findings: String = report.findings.iter().map(line).collect();
    let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    format!(
        "{findings}{file}: {}, {}, {}",
        count(report.configurations, "configuration"),
        count(report.count(Severity::Error), "error"),
        count(report.count(Severity::Warning), "warning"),
    )
}

fn as_json(report: &Report) -> Value {
    let finding = |finding: &Finding| {
        json!({
            "severity": finding.severity.to_string(),
            "place": finding.place,
            "line": finding.line,
            "problem": finding.problem,
            "cure": finding.cure,
        })
    };
    json!({
        "configurations": report.configurations,
        "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
    })
}
