//! `dcr check`

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use dcr_cli::Error;
use dcr_cli::judge::{Case, Verdict};
use dcr_cli::mint::now;
use dcr_cli::pki::files::read_text;
use dcr_gate::config::Config;
use dcr_gate::x509::Certificate;
use serde_json::{Value, json};

use super::{Outcome, print, read_input};

/// Judge a registration request by the gateway's own policy, without a gateway
#[derive(Args)]
pub(crate) struct Check {
    /// The filter's configuration, as YAML or JSON
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The transport certificate, PEM; without it, the request comes without one
    #[arg(long, value_name = "PEM")]
    certificate: Option<PathBuf>,
    /// The time to judge at: Unix seconds, or as in 2026-11-20T10:00:00Z; now by default
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// A key set: FILE for all URLs, or URL=FILE for one; repeat it as often as needed
    #[arg(long = "jwks", value_name = "[URL=]FILE", required = true)]
    key_sets: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// A file with the request, or - for the standard input
    #[arg(value_name = "REQUEST")]
    request: PathBuf,
}

impl Check {
    pub(crate) fn run(self) -> Outcome {
        let request = read_input(&self.request)?;
        let case = Case {
            config: read_config(&self.config)?,
            certificate: self.certificate.as_deref().map(read_certificate).transpose()?,
            at: self.at.as_deref().map_or_else(|| Ok(now()), time)?,
            key_sets: self.key_sets.iter().map(|key_set| read_key_set(key_set)).collect::<Result<_, _>>()?,
        };
        let verdict = case.judge_registration(request.trim())?;
        print(&if self.json { as_json(&verdict).to_string() } else { as_text(&verdict) });
        Ok(match verdict {
            Verdict::Accepted => ExitCode::SUCCESS,
            Verdict::Refused(_) => ExitCode::from(1),
        })
    }
}

fn as_text(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Accepted => "accepted".into(),
        Verdict::Refused(refusal) => format!(
            "refused by rule {} ({})\n  status             {}\n  error              {}\n  error_description  {}\n  source             {}",
            refusal.rule.id,
            refusal.rule.reason,
            refusal.status(),
            refusal.error().as_str(),
            refusal.description(),
            refusal.rule.source,
        ),
    }
}

fn as_json(verdict: &Verdict) -> Value {
    match verdict {
        Verdict::Accepted => json!({ "verdict": "accepted" }),
        Verdict::Refused(refusal) => json!({
            "verdict": "refused",
            "rule": refusal.rule.id,
            "reason": refusal.rule.reason,
            "status": refusal.status(),
            "error": refusal.error().as_str(),
            "error_description": refusal.description(),
        }),
    }
}

fn read_config(path: &Path) -> Result<Config, Error> {
    let content = |problem: String| Error::Content { path: path.to_owned(), problem };
    // JSON is YAML, so one reader serves both.
    let document: Value = serde_saphyr::from_str(&read_text(path)?).map_err(|error| content(error.to_string()))?;
    Config::from_value(document).map_err(|error| content(error.to_string()))
}

fn read_certificate(path: &Path) -> Result<Certificate, Error> {
    Certificate::from_pem(read_text(path)?.as_bytes())
        .map_err(|error| Error::Content { path: path.to_owned(), problem: error.to_string() })
}

fn read_key_set(argument: &str) -> Result<(Option<String>, Value), Error> {
    let (url, file) = match argument.split_once('=') {
        Some((url, file)) if url.starts_with("https://") => (Some(url.to_string()), file),
        _ => (None, argument),
    };
    let key_set = serde_json::from_str(&read_text(file.as_ref())?)
        .map_err(|error| Error::Content { path: file.into(), problem: format!("is no JSON: {error}") })?;
    Ok((url, key_set))
}

fn time(text: &str) -> Result<u64, Error> {
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs());
    let problem = || "write Unix seconds, or a time as in 2026-11-20T10:00:00Z".to_string();
    text.parse()
        .ok()
        .or_else(|| humantime::parse_rfc3339(text).ok().and_then(seconds))
        .ok_or_else(|| Error::Content { path: "--at".into(), problem: problem() })
}
