//! node-oidc-provider, started as a user starts it, in a process of its own.

use std::path::Path;

use dcr_dev::installation::project_folder;
use dcr_dev::process::{Process, leashed, wait_for};

use crate::error::Error;

/// What it is told to be; clients sign for this audience.
pub(crate) const ISSUER: &str = "https://oidc-provider.example";

/// The program: Node.js is given this text and looks for the library where it runs.
const PROGRAM: &str = include_str!("../oidc-provider/server.mjs");

/// A running node-oidc-provider. Dropping it ends it.
pub(crate) struct OidcProvider {
    process: Process,
    port: u16,
}

impl OidcProvider {
    /// Starts it on a free port, with its log in `folder`, and waits until it serves.
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
