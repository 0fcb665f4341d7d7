//! `dcr`: keys, software statements and requests for Dynamic Client Registration, a mock directory, and a third party.

mod commands;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::commands::{check, config, directory, gateway, inspect, mint, pki, profile};

/// Dynamic Client Registration: make keys and tokens, act on a gateway, look into a JWT, check a gateway's configuration.
#[derive(Parser)]
#[command(name = "dcr", version, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples, with `make run` serving in another terminal:
  dcr register                                    register with the keys in target/dev/tpp
  dcr token --client-id ID --scope accounts       get an access token by private_key_jwt
  dcr retrieve --client-id ID                     get a token, then the registration
  dcr register --claim 'redirect_uris=[\"https://evil.example/\"]'
                                                  see how the gateway refuses
  dcr request | dcr inspect -                     look at what would be sent

Without a gateway:
  dcr pki new --out keys                          certificates and keys for everybody
  dcr ssa --pki keys                              a software statement, signed by the development directory
  dcr directory serve --pki keys                  publish the key sets on https://localhost:8444
  dcr check --config gate.yaml --jwks keys.jwks --certificate transport.pem request.jwt
                                                  what would a gateway with this configuration say?
  dcr config check envoy.yaml                     what is wrong in a configuration, all at once
  dcr profile diff uk-obie-3.3 fapi2              where two ecosystems differ

Commands that call a gateway exit with 0 only if it accepted.";

#[derive(Subcommand)]
enum Command {
    /// Make certificates and keys for development
    #[command(subcommand)]
    Pki(pki::Command),
    /// Mint a software statement
    Ssa(mint::Ssa),
    /// Mint a registration request
    Request(mint::Request),
    /// Mint a client assertion
    Assertion(mint::Assertion),
    /// The mock directory
    #[command(subcommand)]
    Directory(directory::Command),
    /// Register a client (POST)
    Register(gateway::Register),
    /// Get an access token (client_credentials)
    Token(gateway::Token),
    /// Read a registration (GET)
    Retrieve(gateway::Retrieve),
    /// Replace a registration (PUT)
    Update(gateway::Update),
    /// Delete a registration (DELETE)
    Delete(gateway::Delete),
    /// Show what is in a JWT, and verify its signatures if keys are given
    Inspect(inspect::Inspect),
    Check(check::Check),
    /// The gateway's configuration: check it, explain it
    #[command(subcommand)]
    Config(config::Command),
    /// The ecosystems' rules as data
    #[command(subcommand)]
    Profile(profile::Command),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Pki(command) => command.run(),
        Command::Ssa(command) => command.run(),
        Command::Request(command) => command.run(),
        Command::Assertion(command) => command.run(),
        Command::Directory(command) => command.run().await,
        Command::Register(command) => command.run().await,
        Command::Token(command) => command.run().await,
        Command::Retrieve(command) => command.run().await,
        Command::Update(command) => command.run().await,
        Command::Delete(command) => command.run().await,
        Command::Inspect(command) => command.run(),
        Command::Check(command) => command.run(),
        Command::Config(command) => command.run(),
        Command::Profile(command) => command.run(),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("dcr: {error}");
        ExitCode::from(2)
    })
}
