//! One file for each group of commands.

pub(crate) mod check;
pub(crate) mod config;
pub(crate) mod directory;
pub(crate) mod gateway;
pub(crate) mod inspect;
pub(crate) mod mint;
pub(crate) mod pki;
pub(crate) mod profile;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use dcr_cli::pki::files::read_text;
use dcr_mint::Error;
use dcr_policy::profile::{Profile, UnknownProfile};
use serde_json::Value;

/// The result of a command. Exit code 0 means done or accepted, 1 refused by the gateway, and 2 an error.
pub(crate) type Outcome = Result<ExitCode, dcr_cli::Error>;

/// The folder in which `make run` keeps its files.
pub(crate) const DEVELOPMENT_FOLDER: &str = "target/dev";

/// The profile of the gateway that `make run` starts.
pub(crate) const DEFAULT_PROFILE: &str = "uk-obie-3.3";

/// The built-in profile with this name, or the profile in this file.
pub(crate) fn profile(name: &str) -> Result<Profile, Error> {
    dcr_json::read(&profile_values(name)?)
        .map_err(|error| Error::Content { path: name.into(), problem: error.to_string() })
}

/// All values of the built-in profile with this name, or of the profile in this file, JSON or YAML. A file may have only the values that
/// differ from those of the profile that it `extends`.
pub(crate) fn profile_values(name: &str) -> Result<Value, Error> {
    let content = |problem: String| Error::Content { path: name.into(), problem };
    let path = Path::new(name);
    if Profile::names().any(|known| known == name) || !path.is_file() {
        let problem = |error: UnknownProfile| format!("is neither a profile nor a file with one: {}", error.0);
        return Profile::document(name).map_err(|error| content(problem(error)));
    }
    let document = serde_saphyr::from_str(&read_text(path)?).map_err(|error| content(error.to_string()))?;
    Profile::whole(document).map_err(|error| content(format!("extends what is not a profile: {}", error.0)))
}

/// Prints a result. A reader that has closed the pipe (`| head`) is not an error.
pub(crate) fn print(text: &str) {
    let mut output = std::io::stdout().lock();
    let _ = writeln!(output, "{}", text.trim_end());
}

/// Reads a file, or the standard input for `-`.
pub(crate) fn read_input(path: &Path) -> Result<String, Error> {
    if path != Path::new("-") {
        return read_text(path);
    }
    let text = std::io::read_to_string(std::io::stdin());
    let text = text.map_err(|source| Error::File { path: "standard input".into(), source })?;
    Ok(text.trim().to_string())
}

/// Reads a file of JSON.
pub(crate) fn read_json(path: &Path) -> Result<Value, Error> {
    serde_json::from_str(&read_text(path)?)
        .map_err(|error| Error::Content { path: path.into(), problem: format!("is no JSON: {error}") })
}
