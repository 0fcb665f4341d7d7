//! `dcr-dev`: a whole gateway on this machine, to watch (`demo`) or to call (`run`).

mod demo;
mod run;
mod screen;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A whole gateway on loopback: Envoy with the filter, the store, a mock directory and a backend that echoes.
#[derive(Parser)]
#[command(name = "dcr-dev", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// A third party registers, gets a token, retrieves, updates and deletes; then three refusals. Exits with 0 only if each step has the
    /// expected result
    Demo {
        /// The gateway's port [default: a free one]
        #[arg(long)]
        port: Option<u16>,
    },
    /// Serve until Ctrl-C. Several can run side by side: the second one takes other ports and another folder, and says so
    Run(run::Arguments),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Demo { port } => demo::demo(port).await,
        Command::Run(arguments) => run::run(arguments).await,
    };
    outcome.unwrap_or_else(|error| {
        anstream::eprintln!("dcr-dev: {error}");
        ExitCode::FAILURE
    })
}
