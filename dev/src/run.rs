//! `dcr-dev run`: serves until Ctrl-C, and prints commands to try.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use dcr_dev::installation::project_folder;
use dcr_dev::{Error, Gateway, Ports};
use dcr_mint::pki::Pki;
use dcr_mint::pki::files::write_text;
use dcr_parties::environment::Environment;
use tokio::signal::unix::{SignalKind, signal};

use crate::screen;

/// Starts a gateway on the shipped ports, except for its own port, writes the files that a client needs, and serves.
pub(crate) async fn run(port: u16) -> Result<ExitCode, Error> {
    let folder = project_folder().join("target/dev");
    let pki = Arc::new(Pki::reuse_or_generate(&folder)?);
    let ports = Ports { gateway: Some(port), ..Ports::shipped() };
    let system = |source| Error::System { what: "waiting for signals".into(), source };
    // The signal handler is installed before there is a child, so that the end of every child is noticed.
    let mut child_ended = signal(SignalKind::child()).map_err(system)?;
    let mut gateway = Gateway::builder(pki).folder(&folder).ports(ports).start().await?;
    write_client_files(&gateway, &folder)?;
    tell(&gateway, &folder);

    let mut interrupted = signal(SignalKind::interrupt()).map_err(system)?;
    let mut terminated = signal(SignalKind::terminate()).map_err(system)?;
    loop {
        tokio::select! {
            _ = interrupted.recv() => break,
            _ = terminated.recv() => break,
            _ = child_ended.recv() => gateway.still_runs()?,
        }
    }
    drop(gateway);
    screen::line("\nstopped");
    Ok(ExitCode::SUCCESS)
}

/// Writes the software statements and `gateway.env`. The keys and certificates exist already.
fn write_client_files(gateway: &Gateway, folder: &Path) -> Result<(), Error> {
    let pki = gateway.pki();
    for (name, party) in [("tpp", &pki.tpp), ("other-tpp", &pki.other_tpp)] {
        let statement = gateway.software_statement(party).sign(&pki.directory)?;
        write_text(&folder.join(name).join("ssa.jwt"), &statement)?;
    }
    let software = &pki.tpp.software;
    let environment = Environment {
        endpoints: gateway.endpoints(),
        gateway_url: gateway.url().into(),
        store_url: gateway.store_url(),
        admin_url: gateway.admin_url().into(),
        software_id: software.software_id.clone(),
        redirect_uri: software.redirect_uris.first().cloned().unwrap_or_default(),
    };
    Ok(environment.write(&folder.join("gateway.env"))?)
}

fn tell(gateway: &Gateway, folder: &Path) {
    let software = &gateway.pki().tpp.software;
    screen::title("dcr-gate is serving; Ctrl-C ends it");
    screen::fact("gateway", gateway.url());
    screen::fact("directory", &gateway.directory().url());
    screen::fact("store", &gateway.store_url());
    screen::fact("admin", &format!("{}/stats?filter=dcr", gateway.admin_url()));
    screen::fact("TPP", &format!("{}, software_id {}", software.client_name, software.software_id));
    screen::fact("logs", &format!("{0}/envoy.log, {0}/access.log, {0}/store.log", relative(folder)));
    screen::title("To try in another terminal, from this folder");
    screen::line(&curl_lines(&relative(folder), &dcr()));
}

/// Lines for a POSIX shell. They work without changes, one after the other.
fn curl_lines(folder: &str, dcr: &str) -> String {
    format!(
        r#". {folder}/gateway.env
tpp() {{ curl -sS --cacert {folder}/ca.pem --cert {folder}/tpp/transport.pem --key {folder}/tpp/transport.key "$@"; echo; }}

curl -sS --cacert {folder}/ca.pem $DISCOVERY_URL; echo

tpp -H 'content-type: application/jwt' --data-binary "$({dcr} request)" $REGISTRATION_ENDPOINT | tee {folder}/registered.json
CLIENT_ID=$(sed 's/.*"client_id": *"\([^"]*\)".*/\1/' {folder}/registered.json)

tpp -d grant_type=client_credentials -d scope=accounts \
    -d client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer \
    -d client_assertion="$({dcr} assertion --client-id "$CLIENT_ID")" $TOKEN_ENDPOINT | tee {folder}/token.json
TOKEN=$(sed 's/.*"access_token": *"\([^"]*\)".*/\1/' {folder}/token.json)

tpp -H "authorization: Bearer $TOKEN" $REGISTRATION_ENDPOINT/$CLIENT_ID
tpp -H "authorization: Bearer $TOKEN" -X PUT -H 'content-type: application/jwt' \
    --data-binary "$({dcr} request --claim 'scope=openid accounts')" $REGISTRATION_ENDPOINT/$CLIENT_ID
tpp -H "authorization: Bearer $TOKEN" -X DELETE -w '%{{http_code}}' $REGISTRATION_ENDPOINT/$CLIENT_ID

{dcr} register --claim 'redirect_uris=["https://elsewhere.example/"]'    # the same and more without curl: {dcr} --help"#
    )
}

/// The path of the command line tool, which is built beside this program.
fn dcr() -> String {
    let program = std::env::current_exe().unwrap_or_default();
    relative(&program.with_file_name("dcr"))
}

/// The shortest form of a path, seen from the project's folder.
fn relative(path: &Path) -> String {
    path.strip_prefix(project_folder()).unwrap_or(path).display().to_string()
}
