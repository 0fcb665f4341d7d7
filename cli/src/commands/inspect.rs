//! `dcr inspect`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use dcr_cli::inspect::{CompareWithProfile, Inspected};
use dcr_mint::Error;
use serde_json::Value;

use super::{Outcome, print, profile, read_input, read_json};

/// Show the kind of a token, its header and its claims, with times in words, its ecosystem, and the demands of a profile
///
/// Names the built-in profiles of the ecosystem whose demands a software statement, a registration request or a client assertion meets, and
/// for the others what differs.
///
/// Nothing is verified but the signatures, and only with --jwks. If a PS256 signature does not verify, it says by which scheme the signature
/// was made, if one of the keys made it.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  dcr inspect target/dev/tpp/ssa.jwt\n  dcr request | dcr inspect -\n  dcr inspect eyJhbGciOi…\n  dcr inspect --jwks keys.jwks request.jwt"
)]
pub(crate) struct Inspect {
    /// A compact JWS or a JSON object, a file that holds one, or `-` for the standard input
    #[arg(value_name = "TOKEN|FILE|-")]
    token: String,
    /// The profile to compare with, or a file with one [default: the first of those that fit best]
    #[arg(long, value_name = "NAME|FILE")]
    profile: Option<String>,
    /// Verify the signatures with the keys of this key set; repeat it as often as needed
    #[arg(long = "jwks", value_name = "FILE")]
    key_sets: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Inspect {
    pub(crate) fn run(self) -> Outcome {
        let now = dcr_cli::mint::now();
        let inspected = Inspected::parse(&self.token()?)?;
        let profile = self.profile.as_deref().map_or_else(|| inspected.likely_profile(), profile)?;
        let key_sets = self.key_sets.iter().map(|path| read_key_set(path)).collect::<Result<Vec<_>, _>>()?;
        print(&if self.json {
            format!("{:#}", inspected.to_json(&profile, now, &key_sets))
        } else {
            inspected.report(&profile, now, &key_sets)
        });
        Ok(ExitCode::SUCCESS)
    }

    fn token(&self) -> Result<String, Error> {
        let path = Path::new(&self.token);
        if self.token == "-" || path.is_file() { read_input(path) } else { Ok(self.token.clone()) }
    }
}

/// A file that is no key set would verify nothing.
fn read_key_set(path: &Path) -> Result<Value, Error> {
    let set = read_json(path)?;
    match set.get("keys") {
        Some(Value::Array(_)) => Ok(set),
        _ => Err(Error::Content { path: path.into(), problem: "is no key set: it has no array `keys`".into() }),
    }
}
