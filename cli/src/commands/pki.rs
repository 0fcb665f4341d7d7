//! `dcr pki`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use dcr_cli::pki::Pki;
use dcr_mint::Error;

use super::{Outcome, print};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a server CA and certificate, a directory, and two third parties with transport certificates of the UK, in both shapes, and of
    /// Brazil
    New {
        /// The folder to write to
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Replace the keys that are there already
        #[arg(long)]
        force: bool,
    },
}

impl Command {
    pub(crate) fn run(self) -> Outcome {
        let Self::New { out, force } = self;
        if out.join("ca.pem").exists() && !force {
            let problem = "holds keys already; --force replaces them, and what was registered with them is lost".into();
            return Err(Error::Content { path: out, problem }.into());
        }
        let pki = Pki::generate_into(&out)?;
        print(&format!(
            "{folder}/\n  \
             ca.pem ca.key           signs the gateway's certificate; clients trust it\n  \
             server.pem server.key   the gateway and the directory, for localhost\n  \
             tpp-ca.pem tpp-ca.key   issues transport certificates; the gateway trusts it\n  \
             tpp-ca.crl              its list of revoked certificates, which is empty\n  \
             directory/              signs software statements\n  \
             tpp/                    {tpp}: transport.pem (OB Transport), obwac.pem, brcac.pem (Brazil), signing.key, signing.kid\n  \
             other-tpp/              {other}: the same",
            folder = out.display(),
            tpp = pki.tpp.software.org_name,
            other = pki.other_tpp.software.org_name,
        ));
        Ok(ExitCode::SUCCESS)
    }
}
