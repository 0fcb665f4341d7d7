//! The command line. Arguments that cannot work are refused before anything is opened.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::RangedU64ValueParser;
use clap::{Parser, ValueEnum};
use dcr_store::credential::{Credential, CredentialError};
use dcr_store::server::Limits;
use dcr_store::spans::Endpoint;

/// The record of dcr-gate: registered clients, used jti and access tokens, behind a small HTTP API.
///
/// Everything is kept in one SQLite file. An answer of 201 is given once the data is on the disk.
#[derive(Debug, Parser)]
#[command(version, after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, env = "DCR_STORE_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8082")]
    pub(crate) listen: SocketAddr,

    /// The database, a SQLite file that is created when it is missing
    #[arg(long, env = "DCR_STORE_DATABASE", value_name = "URL", default_value = "sqlite:./dcr-store.db")]
    pub(crate) database: String,

    /// File with the credential that every call under /v1 must present as `Authorization: Bearer <content>`
    #[arg(long, env = "DCR_STORE_CREDENTIAL_FILE", value_name = "FILE")]
    credential_file: Option<PathBuf>,

    /// Listen beyond this machine without a credential: every caller that reaches the port can register clients and issue tokens
    #[arg(long, env = "DCR_STORE_DANGER_NO_CREDENTIAL", conflicts_with = "credential_file")]
    danger_no_credential: bool,

    /// File to write `http://ADDRESS:PORT` to once requests are served; removed when the store stops
    #[arg(long, env = "DCR_STORE_READY_FILE", value_name = "FILE")]
    pub(crate) ready_file: Option<PathBuf>,

    /// The most connections at a time; more wait until one ends. The process needs a file descriptor for each, and some 20 more
    #[arg(long, env = "DCR_STORE_MAX_CONNECTIONS", value_name = "NUMBER", default_value_t = 900,
          value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    max_connections: usize,

    /// How long the head of a request may take to arrive; a connection that is slower is closed
    #[arg(long, env = "DCR_STORE_HEAD_TIMEOUT", value_name = "DURATION", default_value = "10s", value_parser = duration)]
    head_timeout: Duration,

    /// How long a connection may wait for its next request before it is closed; longer than the callers keep unused connections (Envoy: 1h)
    #[arg(long, env = "DCR_STORE_IDLE_TIMEOUT", value_name = "DURATION", default_value = "65m", value_parser = duration)]
    idle_timeout: Duration,

    /// Send a span for each request to this collector (OpenTelemetry, OTLP over HTTP), as http://127.0.0.1:4318; without it there are none
    #[arg(long, env = "DCR_STORE_OTLP_ENDPOINT", value_name = "URL")]
    pub(crate) otlp_endpoint: Option<Endpoint>,

    /// How the log on standard error is written
    #[arg(long, env = "DCR_STORE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,

    /// The log level: error, warn, info, debug, or a list of targets and levels such as `warn,dcr_store=info`
    #[arg(long, env = "DCR_STORE_LOG", value_name = "FILTER", default_value = "info")]
    pub(crate) log: String,
}

const AFTER_HELP: &str = "\
Examples:
  dcr-store
      listens on 127.0.0.1:8082, keeps its data in ./dcr-store.db
  dcr-store --listen 0.0.0.0:8082 --database sqlite:/var/lib/dcr-store/store.db --credential-file /run/secrets/dcr-store
      serves gateways on other machines; make the credential with `openssl rand -hex 32`

SIGTERM and SIGINT stop the store: running requests get up to 10 seconds to finish.";

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// One line of text for a person.
    Text,
    /// One JSON object a line for a log collector.
    Json,
}

/// Why the store does not start with these arguments.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArgumentError {
    #[error(
        "refusing to listen on {0} without a credential, because other machines can reach it: give --credential-file, listen \
         on 127.0.0.1, or, if something in front keeps strangers away, say --danger-no-credential"
    )]
    Unprotected(SocketAddr),
    #[error("the credential file `{}` cannot be read: {error}", path.display())]
    Unreadable { path: PathBuf, error: std::io::Error },
    #[error("the credential file `{}` cannot be used: {error}", path.display())]
    Unusable { path: PathBuf, error: CredentialError },
}

impl Arguments {
    /// The credential that callers must present. `None` is accepted only if no other machine can call the store, or if the operator allows
    /// it.
    pub(crate) fn credential(&self) -> Result<Option<Credential>, ArgumentError> {
        match &self.credential_file {
            Some(path) => read_credential(path).map(Some),
            None if self.listen.ip().to_canonical().is_loopback() || self.danger_no_credential => Ok(None),
            None => Err(ArgumentError::Unprotected(self.listen)),
        }
    }

    /// The bounds of the connections.
    pub(crate) fn limits(&self) -> Limits {
        let Self { max_connections, head_timeout, idle_timeout, .. } = *self;
        Limits { max_connections, head_timeout, idle_timeout }
    }
}

/// Reads a duration such as `10s`. With 0 every connection would be closed at once.
fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("it must be longer than 0".to_owned()),
        read => read.map_err(|error| format!("{error}; write it like 10s or 65m")),
    }
}

fn read_credential(path: &Path) -> Result<Credential, ArgumentError> {
    let content =
        std::fs::read_to_string(path).map_err(|error| ArgumentError::Unreadable { path: path.to_owned(), error })?;
    Credential::parse(&content).map_err(|error| ArgumentError::Unusable { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(line: &str) -> Arguments {
        Arguments::try_parse_from(line.split_whitespace()).unwrap()
    }

    #[test]
    fn loopback_needs_no_credential() {
        for line in [
            "dcr-store",
            "dcr-store --listen 127.8.9.1:0",
            "dcr-store --listen [::1]:0",
            "dcr-store --listen [::ffff:127.0.0.1]:0",
        ] {
            assert!(arguments(line).credential().unwrap().is_none(), "{line}");
        }
    }

    #[test]
    fn beyond_loopback_a_credential_is_demanded() {
        for line in ["dcr-store --listen 0.0.0.0:0", "dcr-store --listen [::]:0", "dcr-store --listen 192.0.2.1:8082"] {
            assert!(matches!(arguments(line).credential(), Err(ArgumentError::Unprotected(_))), "{line}");
        }
        assert!(arguments("dcr-store --listen 0.0.0.0:0 --danger-no-credential").credential().unwrap().is_none());
    }

    #[test]
    fn a_credential_file_that_is_missing_or_weak_is_an_error() {
        let weak = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&weak, "secret").unwrap();
        let line = format!("dcr-store --credential-file {}", weak.path().display());
        assert!(matches!(arguments(&line).credential(), Err(ArgumentError::Unusable { .. })));
        let missing = arguments("dcr-store --credential-file /nowhere/at/all").credential();
        assert!(matches!(missing, Err(ArgumentError::Unreadable { .. })));
    }

    #[test]
    fn bounds_that_would_let_no_request_in_are_refused() {
        let limits = arguments("dcr-store --max-connections 1 --head-timeout 500ms --idle-timeout 2m").limits();
        assert_eq!((limits.max_connections, limits.head_timeout.as_millis()), (1, 500));
        assert_eq!(limits.idle_timeout, Duration::from_secs(120));
        for wrong in
            ["--max-connections 0", "--head-timeout 0s", "--idle-timeout 0s", "--idle-timeout 5", "--head-timeout soon"]
        {
            let line = format!("dcr-store {wrong}");
            assert!(Arguments::try_parse_from(line.split_whitespace()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn spans_go_to_a_url_of_http_or_nowhere() {
        assert_eq!(arguments("dcr-store").otlp_endpoint, None);
        let set = arguments("dcr-store --otlp-endpoint http://127.0.0.1:4318").otlp_endpoint.unwrap();
        assert_eq!(set.to_string(), "http://127.0.0.1:4318/v1/traces");
        assert!(Arguments::try_parse_from(["dcr-store", "--otlp-endpoint", "https://127.0.0.1:4318"]).is_err());
    }

    #[test]
    fn the_danger_flag_contradicts_a_credential() {
        let both = "dcr-store --danger-no-credential --credential-file /run/credential";
        assert!(Arguments::try_parse_from(both.split_whitespace()).is_err());
    }
}
