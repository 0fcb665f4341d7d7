//! `dcr directory`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use dcr_cli::Error;
use dcr_cli::directory::{DIRECTORY_KEY_SET, Directory};
use dcr_cli::pki::{Pki, ThirdParty};

use super::{DEVELOPMENT_FOLDER, Outcome, print};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Serve the directory's key set and both third parties', of the UK and of Brazil, until Ctrl-C
    Serve {
        /// The folder that `dcr pki new` wrote
        #[arg(long, value_name = "DIR", default_value = DEVELOPMENT_FOLDER)]
        pki: PathBuf,
        /// Where to listen; the certificate is for localhost
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8444")]
        listen: SocketAddr,
    },
}

impl Command {
    pub(crate) async fn run(self) -> Outcome {
        let Self::Serve { pki, listen } = self;
        let pki = Pki::read(&pki)?;
        let directory = Directory::start(&pki, listen)?;
        let url = directory.url();
        let of_party = |party: &ThirdParty| {
            let (name, in_brazil) = (&party.software.client_name, &party.brazilian_software);
            let (uk, brazil) = (party.software.key_set_path(), in_brazil.application_key_set_path());
            format!("{url}{uk}  {name}\n{url}{brazil}  {name} in Brazil")
        };
        print(&format!(
            "{url}{DIRECTORY_KEY_SET}  the directory's own keys\n{}\n{}\nCtrl-C ends it.",
            of_party(&pki.tpp),
            of_party(&pki.other_tpp),
        ));
        let interrupted = tokio::signal::ctrl_c().await;
        interrupted.map_err(|source| Error::Thread { name: "waiting for Ctrl-C".into(), source })?;
        Ok(ExitCode::SUCCESS)
    }
}
