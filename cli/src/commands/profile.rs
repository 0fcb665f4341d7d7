//! `dcr profile`.

use std::collections::BTreeSet;
use std::process::ExitCode;

use clap::Subcommand;
use dcr_mint::Error;
use dcr_policy::profile::Profile;
use serde_json::Value;

use super::{Outcome, print, profile, profile_values};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the profiles there are
    List,
    /// Print all values of a profile, also those that it has from the profile that it extends
    Show {
        /// Such as uk-obie-3.3, or a file in the form of those in profiles/
        #[arg(value_name = "NAME|FILE")]
        name: String,
    },
    /// Print the values in which two profiles differ
    Diff {
        /// The profile to start from, or a file with one
        #[arg(value_name = "NAME|FILE")]
        from: String,
        /// The profile to compare it with, or a file with one
        #[arg(value_name = "NAME|FILE")]
        to: String,
    },
}

impl Command {
    pub(crate) fn run(self) -> Outcome {
        match self {
            Self::List => {
                let width = Profile::names().map(str::len).max().unwrap_or_default();
                let about = |name| Ok(format!("{name:width$}  {}", member(&values(name)?, "about")));
                let lines: Vec<String> = Profile::names().map(about).collect::<Result<_, Error>>()?;
                print(&lines.join("\n"));
            }
            Self::Show { name } => print(&format!("{:#}", values(&name)?)),
            Self::Diff { from, to } => print(&differences(&values(&from)?, &values(&to)?).join("\n")),
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// One line for each value that differs: its path, the value in `from`, the value in `to`.
fn differences(from: &Value, to: &Value) -> Vec<String> {
    let (from, to) = (leaves(from), leaves(to));
    let paths: BTreeSet<&String> = from.iter().chain(&to).map(|(path, _)| path).collect();
    let value = |leaves: &[(String, String)], path: &String| {
        leaves.iter().find(|(name, _)| name == path).map_or("-".to_string(), |(_, value)| value.clone())
    };
    let pairs = paths.into_iter().map(|path| (path, value(&from, path), value(&to, path)));
    pairs
        .filter(|(path, ..)| !matches!(path.as_str(), "name" | "about"))
        .filter(|(_, here, there)| here != there)
        .map(|(path, here, there)| format!("{path}\n  - {here}\n  + {there}"))
        .collect()
}

/// All values that are not objects, with their paths.
fn leaves(value: &Value) -> Vec<(String, String)> {
    match value {
        Value::Object(members) => members
            .iter()
            .flat_map(|(name, member)| {
                leaves(member).into_iter().map(move |(path, leaf)| match path.as_str() {
                    "" => (name.clone(), leaf),
                    _ => (format!("{name}.{path}"), leaf),
                })
            })
            .collect(),
        leaf => vec![(String::new(), leaf.to_string())],
    }
}

fn member(profile: &Value, name: &str) -> String {
    profile.get(name).and_then(Value::as_str).unwrap_or_default().to_string()
}

/// The values of a profile that can be used.
fn values(name: &str) -> Result<Value, Error> {
    profile(name)?;
    profile_values(name)
}
