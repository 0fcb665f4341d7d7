//! `dcr inspect`.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use dcr_cli::inspect::{CompareWithProfile, Inspected};
use dcr_mint::Error;

use super::{Outcome, print, profile, read_input};

/// Show the header and the claims, with times in words, and the demands of a profile. Nothing is verified.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  dcr inspect target/dev/tpp/ssa.jwt\n  dcr request | dcr inspect -\n  dcr inspect eyJhbGciOi…"
)]
pub(crate) struct Inspect {
    /// A compact JWS or a JSON object, a file that holds one, or `-` for the standard input
    #[arg(value_name = "TOKEN|FILE|-")]
    token: String,
    /// The profile to compare with [default: the first one whose software statements look like the one here]
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Inspect {
    pub(crate) fn run(self) -> Outcome {
        let now = dcr_cli::mint::now();
        let inspected = Inspected::parse(&self.token()?)?;
        let profile = self.profile.as_deref().map_or_else(|| inspected.likely_profile(), profile)?;
        print(&if self.json {
            format!("{:#}", inspected.to_json(&profile, now))
        } else {
            inspected.report(&profile, now)
        });
        Ok(ExitCode::SUCCESS)
    }

    fn token(&self) -> Result<String, Error> {
        let path = Path::new(&self.token);
        if self.token == "-" || path.is_file() { read_input(path) } else { Ok(self.token.clone()) }
    }
}
