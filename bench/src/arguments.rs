//! The command line.

use std::time::Duration;

use clap::builder::TypedValueParser;
use clap::{Parser, ValueEnum, value_parser};

use crate::error::Error;
use crate::rows::Row;

/// Measures dcr-gate side by side with the alternatives: one run, one Envoy, the same connections, the same processors
#[derive(Debug, Parser)]
#[command(name = "dcr-bench", version, after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// Rounds; every round measures every row once, and a figure is the median of the rounds
    #[arg(long, default_value_t = 20, value_parser = value_parser!(u16).range(1..=1000).map(usize::from))]
    pub(crate) rounds: usize,

    /// About how long a row is measured in each round, in seconds
    #[arg(long, default_value_t = 0.25)]
    seconds: f64,

    /// Third parties at a time, each with a connection that it keeps
    #[arg(long, default_value_t = 64, value_parser = value_parser!(u16).range(1..=1000).map(usize::from))]
    pub(crate) connections: usize,

    /// Envoy's worker threads (`--concurrency`), each with its own VM; the ext_authz service has as many
    #[arg(long, default_value_t = 2, value_parser = value_parser!(u32).range(1..=64))]
    pub(crate) workers: u32,

    /// Only these rows, by their names in the report, with commas between them
    #[arg(long, value_delimiter = ',', value_name = "ROW")]
    rows: Vec<String>,

    /// Only these parts, with commas between them
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PART")]
    parts: Vec<Part>,

    /// Requests that are sent to a warm VM to see whether it grows
    #[arg(long, default_value_t = 200_000)]
    pub(crate) soak: usize,

    /// Exit with 1 if a target is missed
    #[arg(long)]
    pub(crate) strict: bool,
}

const AFTER_HELP: &str = "\
Examples:
  make bench                                 everything, in about seven minutes
  make bench ARGS='--parts rows --rounds 8'  the table only
  make bench ARGS='--parts rows --rows no_filter,token_ps256,oidc_provider_token_ps256'

The report is target/bench/report.json; the logs of everything that ran are beside it. docs/performance.md says what the figures mean.
Whatever else the machine does shows in them: leave it alone meanwhile.";

/// A part of the measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Verifications in Envoy's V8, and OpenSSL's
    Verify,
    /// The table: requests per second, latencies, processor time
    Rows,
    /// Memory of a VM, and whether it grows
    Memory,
    /// Cost with more clients, key sets and keys
    Growth,
}

impl Arguments {
    /// How long a row is measured in each round.
    pub(crate) fn round(&self) -> Duration {
        Duration::try_from_secs_f64(self.seconds).unwrap_or(Duration::from_millis(250))
    }

    /// Whether this part was requested.
    pub(crate) fn wants(&self, part: Part) -> bool {
        self.parts.is_empty() || self.parts.contains(&part)
    }

    /// Whether this row was requested.
    pub(crate) fn wants_row(&self, key: &str) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|wanted| wanted == key)
    }

    /// Checks the names of the requested rows. An error lists the known rows.
    pub(crate) fn check_rows(&self, known: &[Row]) -> Result<(), Error> {
        let known: Vec<&str> = known.iter().map(|row| row.key).collect();
        match self.rows.iter().find(|wanted| !known.contains(&wanted.as_str())) {
            Some(unknown) => Err(format!("there is no row `{unknown}`; there are {}", known.join(", ")).into()),
            None => Ok(()),
        }
    }
}
