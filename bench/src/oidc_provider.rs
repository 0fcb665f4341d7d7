//! node-oidc-provider, started as a user starts it, in a process of its own.

use std::path::Path;
use std::time::{Duration, Instant};

use dcr_dev::installation::project_folder;
use dcr_dev::process::{Process, leashed};

use crate::error::Error;

/// What it is told to be; clients sign for this audience.
pub(crate) const ISSUER: &str = "https://oidc-provider.example";

/// The program: Node.js is given this text and looks for the library where it runs.
const PROGRAM: &str = include_str!("../oidc-provider/server.mjs");

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(30);

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

        let deadline = Instant::now() + PATIENCE;
        let port = loop {
            process.still_runs()?;
            match std::fs::read_to_string(&ready) {
                Ok(port) => break port.parse()?,
                Err(_) if Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(10)).await,
                Err(_) => return Err(format!("node-oidc-provider did not start; see {}", folder.display()).into()),
            }
        };
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
