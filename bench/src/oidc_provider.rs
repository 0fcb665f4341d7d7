//! node-oidc-provider, started in the usual way, in its own process.

use std::path::Path;

use dcr_dev::installation::project_folder;
use dcr_dev::process::{Process, leashed, wait_for};

use crate::error::Error;

/// Its issuer. Clients sign for this audience.
pub(crate) const ISSUER: &str = "https://oidc-provider.example";

/// The program. Node.js reads it as text and looks for the library in the current folder.
const PROGRAM: &str = include_str!("../oidc-provider/server.mjs");

/// A running node-oidc-provider. It stops when it is dropped.
pub(crate) struct OidcProvider {
    process: Process,
    port: u16,
}

impl OidcProvider {
    /// Starts it on a free port with its log in `folder`, and waits until it serves.
    pub(crate) async fn start(folder: &Path) -> Result<Self, Error> {
        let installed = project_folder().join(".tools/oidc-provider");
        if !installed.join("node_modules").is_dir() {
            return Err(
                format!("node-oidc-provider is not at {}; `make bench` installs it", installed.display()).into()
            );
        }
        let ready = folder.join("oidc-provider.port");
        if ready.exists() {
            std::fs::remove_file(&ready)?;
        }
        let mut command = leashed(Path::new("node"));
        command.args(["--input-type=module", "--eval", PROGRAM]).current_dir(installed);
        command.env("ISSUER", ISSUER).env("READY_FILE", &ready).env("NODE_ENV", "production");
        let mut process = Process::start("node", command, &folder.join("oidc-provider.log"))?;

        let port = wait_for("node-oidc-provider", folder, async || {
            process.still_runs()?;
            Ok(std::fs::read_to_string(&ready).ok().and_then(|port| port.parse().ok()))
        })
        .await?;
        Ok(Self { process, port })
    }

    /// The port on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}
