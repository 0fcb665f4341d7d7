//! Finds the programs: Envoy, the filter and the store. An environment variable can name each of them.

use std::env;
use std::path::{Path, PathBuf};

use crate::Error;

/// The programs of a gateway.
#[derive(Clone, Debug)]
pub struct Installation {
    /// Envoy: `$ENVOY`, or else the one that `make tools` has installed.
    pub envoy: PathBuf,
    /// The filter: `$DCR_GATE_WASM`, or else the one that `make wasm` has built.
    pub filter: PathBuf,
    /// The store: `$DCR_STORE`, or else the one that `make programs` has built, beside the running program.
    pub store: PathBuf,
}

impl Installation {
    /// Finds all programs. An error names the missing one and the command that makes it.
    pub fn find() -> Result<Self, Error> {
        let target = target_folder();
        let installed = project_folder().join(".tools/envoy/envoy/_bin/envoy");
        let filter = target.join("shipped/dcr_gate.wasm");
        let store = target.join(build_profile(&target)).join("dcr-store");
        Ok(Self {
            envoy: locate("Envoy", "ENVOY", installed, "make tools")?,
            filter: locate("the filter", "DCR_GATE_WASM", filter, "make wasm")?,
            store: locate("the store", "DCR_STORE", store, "make programs")?,
        })
    }
}

/// The root folder of the project.
pub fn project_folder() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

fn locate(what: &'static str, variable: &str, usual: PathBuf, remedy: &'static str) -> Result<PathBuf, Error> {
    let path = env::var_os(variable).map_or(usual, PathBuf::from);
    // Envoy runs in another folder, so the path must be absolute.
    let path = std::path::absolute(&path).unwrap_or(path);
    if path.is_file() { Ok(path) } else { Err(Error::Missing { what, path, remedy }) }
}

/// Cargo's target folder: the folder above the running program that contains cargo's marker file.
pub fn target_folder() -> PathBuf {
    let program = env::current_exe().unwrap_or_default();
    let marked = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    marked.map_or_else(|| project_folder().join("target"), Path::to_path_buf)
}

/// `debug` or `release`, as for the running program, so that programs that were built together run together.
fn build_profile(target: &Path) -> PathBuf {
    let program = env::current_exe().unwrap_or_default();
    let below = program.strip_prefix(target).ok().and_then(|below| below.components().next());
    below.map_or_else(|| PathBuf::from("debug"), |first| PathBuf::from(first.as_os_str()))
}
