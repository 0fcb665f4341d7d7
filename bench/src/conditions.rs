//! The conditions of the measurement. Every figure depends on them.

use std::path::Path;
use std::process::Command;

use dcr_dev::installation::Installation;
use serde_json::{Map, Value};

use crate::arguments::Arguments;
use crate::error::Error;

/// The machine, the versions and the settings, by name.
pub(crate) fn of(installation: &Installation, arguments: &Arguments) -> Result<Map<String, Value>, Error> {
    let facts: [(&str, Value); 10] = [
        ("processor", processor()?.into()),
        ("processors", std::thread::available_parallelism().map_or(0, usize::from).into()),
        ("kernel", said_by(Path::new("uname"), &["-sr"])?.into()),
        ("envoy", envoy(installation)?.into()),
        ("envoy_workers", arguments.workers.into()),
        ("connections", arguments.connections.into()),
        ("rounds", arguments.rounds.into()),
        ("seconds_a_round", arguments.round().as_secs_f64().into()),
        ("node", said_by(Path::new("node"), &["--version"])?.into()),
        ("openssl", said_by(Path::new("openssl"), &["version"])?.into()),
    ];
    Ok(facts.into_iter().map(|(name, fact)| (name.to_owned(), fact)).collect())
}

fn processor() -> Result<String, Error> {
    let text = std::fs::read_to_string("/proc/cpuinfo")?;
    let name = text.lines().find_map(|line| line.strip_prefix("model name"));
    Ok(name.map_or("unknown", |name| name.trim_start_matches([' ', '\t', ':'])).to_owned())
}

/// `1.40.0` of `… version: <commit>/1.40.0/Clean/RELEASE/BoringSSL`.
fn envoy(installation: &Installation) -> Result<String, Error> {
    let said = said_by(&installation.envoy, &["--version"])?;
    Ok(said.split('/').rev().nth(3).unwrap_or(&said).to_owned())
}

fn said_by(program: &Path, arguments: &[&str]) -> Result<String, Error> {
    let output = Command::new(program).args(arguments).output();
    let output = output.map_err(|error| format!("{} cannot be run: {error}", program.display()))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
