//! `dcr check`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use dcr_cli::judge::{self, Case, JudgedRule, Judgement, Verdict};
use dcr_cli::mint::now;
use dcr_cli::pki::files::read_text;
use dcr_gate::config::Config;
use dcr_mint::Error;
use dcr_policy::Document;
use dcr_policy::catalogue::Level;
use dcr_x509::Certificate;
use serde_json::{Value, json};

use super::{Outcome, print, read_input, read_json};

/// Judge a registration request, or a client assertion, by the gateway's own policy, without a gateway
///
/// Runs the filter's own code over files and prints every rule that concerns such a request under this configuration. Each rule has its
/// level in the profile and its result: passed, failed, not reached (the request was refused before this rule was checked), not judged
/// (only the gateway's store knows which ids were used and which clients were registered before), shadow or waived (the configuration sets
/// the rule aside). The verdict comes last.
///
/// Without --client the document is a registration request: a JWT, or a JSON object in profiles that have them. With --client it is the
/// client assertion of a token request by that client.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
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
    /// Judge a client assertion of this client. FILE has the gateway's answer to the registration, or at least its client_id,
    /// token_endpoint_auth_method and software_statement
    #[arg(long, value_name = "FILE")]
    client: Option<PathBuf>,
    /// Print JSON: the verdict and the rules, for a refusal its status, error, error_description, rule and reason, and why a signature does
    /// not verify
    #[arg(long)]
    json: bool,
    /// A file with the request or the assertion, judged as it is, or - for the standard input, of which white space around is left off
    #[arg(value_name = "DOCUMENT")]
    document: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  dcr check --config gate.yaml --jwks keys.jwks --certificate transport.pem request.jwt
  dcr check --config gate.yaml --jwks https://keystore.example/openbanking.jwks=directory.jwks --jwks tpp.jwks \\
      --certificate transport.pem --at 2026-11-20T10:00:00Z request.jwt
  dcr check --config gate.yaml --jwks keys.jwks --certificate transport.pem --client registered.json assertion.jwt

Exits with 0 if the gateway would accept, 1 if it would refuse, 2 if the document cannot be judged: a file cannot be read, or a key set
is not given.";

/// What to do about white space around a JWT.
const PADDED: &str = "\
the file has a line end or other white space around the JWT, and a gateway refuses that. Write the file without it, as in
printf %s \"$(cat FILE)\" > NEW, or send it with curl --data @FILE, which leaves line ends off. To judge only the JWT, write - < FILE";

impl Check {
    pub(crate) fn run(self) -> Outcome {
        let document = read_document(&self.document)?;
        let case = Case {
            config: read_config(&self.config)?,
            certificate: self.certificate.as_deref().map(read_certificate).transpose()?,
            at: self.at.as_deref().map_or_else(|| Ok(now()), time)?,
            key_sets: self.key_sets.iter().map(|key_set| read_key_set(key_set)).collect::<Result<_, _>>()?,
        };
        let judgement = match &self.client {
            Some(client) => case.judge_assertion(&read_json(client)?, &document)?,
            None => case.judge_registration(&document)?,
        };
        if is_padded_jwt(&document) {
            eprintln!("dcr: {PADDED}");
        }
        print(&if self.json { as_json(&judgement).to_string() } else { as_text(&judgement) });
        Ok(match judgement.verdict {
            Verdict::Accepted => ExitCode::SUCCESS,
            Verdict::Refused { .. } => ExitCode::from(1),
        })
    }
}

/// One line for each rule, then the verdict.
fn as_text(judgement: &Judgement) -> String {
    let line = |judged: &JudgedRule| {
        format!(
            "{:<12} {:<6} {:<9} {:<21} {}\n",
            judged.outcome.as_str().replace('_', " "),
            judged.rule.id,
            judged.level.map_or("-", Level::as_str),
            judged.document.map_or("-", Document::name),
            judged.rule.reason,
        )
    };
    let heading = format!("{:<12} {:<6} {:<9} {:<21} reason, where broken\n", "outcome", "rule", "level", "document");
    let rules: String = judgement.rules.iter().map(line).collect();
    let (verdict, members) = (verdict_as_text(judgement), not_understood(judgement));
    let signature = judgement.signature.as_ref().map_or(String::new(), |said| format!("\n\nsignature: {said}"));
    format!("{heading}{rules}\n{verdict}{members}{signature}")
}

fn not_understood(judgement: &Judgement) -> String {
    judgement.not_understood.iter().map(|member| format!("\nnot understood: {}", likely(member))).collect()
}

/// The member, and the one that was probably meant: of `scopes:scope`.
pub(super) fn likely(told: &str) -> String {
    match told.split_once(':') {
        Some((member, likely)) => format!("{member}; did you mean {likely}?"),
        None => format!("{told}; this profile does not register it"),
    }
}

fn verdict_as_text(judgement: &Judgement) -> String {
    match &judgement.verdict {
        Verdict::Accepted => {
            let shadow = judgement.rules.iter().find(|judged| judged.outcome == judge::Outcome::Shadow);
            shadow.map_or("accepted".into(), |judged| {
                format!("accepted, but rule {} ({}) is broken and in shadow mode", judged.rule.id, judged.rule.reason)
            })
        }
        Verdict::Refused { refusal, error } => format!(
            "refused by rule {} ({})\n  status             {}\n  error              {}\n  error_description  {}\n  source             {}",
            refusal.rule.id,
            refusal.rule.reason,
            refusal.status(),
            error.as_str(),
            refusal.description(),
            refusal.rule.source,
        ),
    }
}

fn as_json(judgement: &Judgement) -> Value {
    let rule = |judged: &JudgedRule| {
        json!({
            "rule": judged.rule.id,
            "reason": judged.rule.reason,
            "document": judged.document.map(Document::name),
            "level": judged.level.map(Level::as_str),
            "outcome": judged.outcome.as_str(),
        })
    };
    let rules: Vec<Value> = judgement.rules.iter().map(rule).collect();
    match &judgement.verdict {
        Verdict::Accepted => json!({
            "verdict": "accepted",
            "not_understood": judgement.not_understood,
            "signature": judgement.signature,
            "rules": rules,
        }),
        Verdict::Refused { refusal, error } => json!({
            "verdict": "refused",
            "status": refusal.status(),
            "error": error.as_str(),
            "error_description": refusal.description(),
            "rule": refusal.rule.id,
            "reason": refusal.rule.reason,
            "signature": judgement.signature,
            "rules": rules,
        }),
    }
}

/// A file as it is: Envoy gets it as `curl --data-binary @FILE` sends it. Of the standard input, the line end that a command prints behind
/// its result is left off.
fn read_document(path: &Path) -> Result<String, Error> {
    if path == Path::new("-") {
        return read_input(path);
    }
    fs::read_to_string(path).map_err(|source| Error::File { path: path.into(), source })
}

/// Whether there is white space around a JWT. Around a JSON object it has no meaning.
fn is_padded_jwt(document: &str) -> bool {
    let token = document.trim();
    token != document && !token.starts_with('{')
}

fn read_config(path: &Path) -> Result<Config, Error> {
    let content = |problem: String| Error::Content { path: path.to_owned(), problem };
    // JSON is YAML too, so one reader reads both.
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
    Ok((url, read_json(file.as_ref())?))
}

fn time(text: &str) -> Result<u64, Error> {
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs());
    let problem = || "write Unix seconds, or a time as in 2026-11-20T10:00:00Z".to_string();
    text.parse()
        .ok()
        .or_else(|| humantime::parse_rfc3339(text).ok().and_then(seconds))
        .ok_or_else(|| Error::Content { path: "--at".into(), problem: problem() })
}
