//! Where the programs are: Envoy, the filter and the store. Each can be named by an environment variable.

use std::env;
use std::path::{Path, PathBuf};

use crate::Error;

/// The programs a gateway is made of.
#[derive(Clone, Debug)]
pub struct Installation {
    /// Envoy: `$ENVOY`, else what `make tools` installed.
    pub envoy: PathBuf,
    /// The filter: `$DCR_GATE_WASM`, else what `make wasm` built.
    pub filter: PathBuf,
    /// The store: `$DCR_STORE`, else what `make programs` built, beside the running program.
    pub store: PathBuf,
}

impl Installation {
    /// Finds everything, or says what is missing and which command makes it.
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

/// The project's own folder.
pub fn project_folder() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

fn locate(what: &'static str, variable: &str, usual: PathBuf, remedy: &'static str) -> Result<PathBuf, Error> {
    let path = env::var_os(variable).map_or(usual, PathBuf::from);
    // Envoy runs in another folder, so a relative name must not be relative to that.
    let path = std::path::absolute(&path).unwrap_or(path);
    if path.is_file() { Ok(path) } else { Err(Error::Missing { what, path, remedy }) }
}

/// Cargo's target folder: the one above the running program, test or not, that bears cargo's mark.
pub fn target_folder() -> PathBuf {
    let program = env::current_exe().unwrap_or_default();
    let marked = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    marked.map_or_else(|| project_folder().join("target"), Path::to_path_buf)
}

/// `debug` or `release`: the running program's own, so that what was built together runs together.
fn build_profile(target: &Path) -> PathBuf {
    let program = env::current_exe().unwrap_or_default();
    let below = program.strip_prefix(target).ok().and_then(|below| below.components().next());
    below.map_or_else(|| PathBuf::from("debug"), |first| PathBuf::from(first.as_os_str()))
}
