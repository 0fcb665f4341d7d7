//! `dcr-dev run`: serves until Ctrl-C, and prints commands to try.

use std::fs::{File, TryLockError};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use dcr_dev::installation::project_folder;
use dcr_dev::{Error, Gateway, Ports};
use dcr_mint::pki::Pki;
use dcr_mint::pki::files::write_text;
use dcr_parties::environment::Environment;
use tokio::signal::unix::{SignalKind, signal};

use crate::screen;

/// The folder in which `dcr` looks for the files of a gateway, seen from the project's folder.
const FOLDER: &str = "target/dev";

/// How many default folders there are: target/dev, target/dev-2, and so on.
const FOLDERS: u32 = 64;

/// Where a gateway runs.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The gateway's port [default: 8443, or a free one if that is taken]
    #[arg(long)]
    port: Option<u16>,
    /// The mock directory's port [default: 8444, or a free one]
    #[arg(long, value_name = "PORT")]
    directory_port: Option<u16>,
    /// The store's port [default: 8082, or a free one]
    #[arg(long, value_name = "PORT")]
    store_port: Option<u16>,
    /// The port of the backend behind the gateway [default: 8081, or a free one]
    #[arg(long, value_name = "PORT")]
    backend_port: Option<u16>,
    /// The port of Envoy's admin page [default: 9901, or a free one]
    #[arg(long, value_name = "PORT")]
    admin_port: Option<u16>,
    /// The folder for keys, the store's database, configuration and logs [default: target/dev, or target/dev-2 and so on if another
    /// gateway uses that]
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// Starts a gateway, writes the files that a client needs, and serves.
pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode, Error> {
    let ports = arguments.ports()?;
    let LockedFolder { path: folder, _lock } = LockedFolder::choose(arguments.folder, &project_folder())?;
    let pki = Arc::new(Pki::reuse_or_generate(&folder)?);
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

impl Arguments {
    /// The ports: those that were asked for, and the shipped ones where they are free.
    ///
    /// # Errors
    /// A port that was asked for is taken.
    fn ports(&self) -> Result<Ports, Error> {
        let shipped = Ports::shipped();
        Ok(Ports {
            gateway: port("--port", self.port, shipped.gateway)?,
            directory: port("--directory-port", self.directory_port, shipped.directory)?,
            store: port("--store-port", self.store_port, shipped.store)?,
            backend: port("--backend-port", self.backend_port, shipped.backend)?,
            admin: port("--admin-port", self.admin_port, shipped.admin)?,
        })
    }
}

/// The port for one of the servers. `None` means a free one.
fn port(flag: &str, asked: Option<u16>, shipped: Option<u16>) -> Result<Option<u16>, Error> {
    let Some(port) = asked.or(shipped) else { return Ok(None) };
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(Some(port)),
        Err(_) if asked.is_none() => {
            screen::line(&format!("port {port} is taken, so a free one is used; {flag} chooses another"));
            Ok(None)
        }
        Err(source) => {
            let what = format!("{flag} {port} cannot be used; name another port, or leave the flag out");
            Err(Error::System { what, source })
        }
    }
}

/// A folder that no other `dcr-dev run` uses while this value lives.
struct LockedFolder {
    path: PathBuf,
    _lock: File,
}

impl LockedFolder {
    /// The folder that was asked for, or else the first default folder below `project` that is not in use.
    fn choose(asked: Option<PathBuf>, project: &Path) -> Result<Self, Error> {
        if let Some(folder) = asked {
            return Self::lock(std::path::absolute(&folder).unwrap_or(folder));
        }
        let numbered = (2..=FOLDERS).map(|number| format!("{FOLDER}-{number}"));
        let mut chosen = Self::lock(project.join(FOLDER));
        for other in numbered {
            if !matches!(chosen, Err(Error::FolderInUse { .. })) {
                break;
            }
            chosen = Self::lock(project.join(&other));
            if chosen.is_ok() {
                screen::line(&format!("another gateway uses {FOLDER}, so {other} is used; --folder chooses another"));
            }
        }
        chosen
    }

    fn lock(path: PathBuf) -> Result<Self, Error> {
        let system = |source| Error::System { what: path.display().to_string(), source };
        std::fs::create_dir_all(&path).map_err(system)?;
        let lock = File::create(path.join("lock")).map_err(system)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Error::FolderInUse { folder: path }),
            Err(TryLockError::Error(source)) => Err(system(source)),
        }
    }
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
    screen::line(&curl_lines(&relative(folder), &dcr(), folder == project_folder().join(FOLDER)));
}

/// Lines for a POSIX shell. They work without changes, one after the other. `dcr` finds the files of the default folder by itself.
fn curl_lines(folder: &str, dcr: &str, is_default: bool) -> String {
    let (folder, dcr) = (quoted(folder), quoted(dcr));
    let (of_request, of_assertion, of_call) = if is_default {
        Default::default()
    } else {
        let key = format!(" --signing-key {folder}/tpp/signing.key");
        let statement = format!(" --ssa {folder}/tpp/ssa.jwt{key}");
        let audience = " --audience $ISSUER";
        (statement.clone() + audience, key + audience, format!(" --gateway-env {folder}/gateway.env{statement}"))
    };
    format!(
        r#". {folder}/gateway.env
tpp() {{ curl -sS --cacert {folder}/ca.pem --cert {folder}/tpp/transport.pem --key {folder}/tpp/transport.key "$@"; echo; }}

curl -sS --cacert {folder}/ca.pem $DISCOVERY_URL; echo

tpp -H 'content-type: application/jwt' --data-binary "$({dcr} request{of_request})" $REGISTRATION_ENDPOINT | tee {folder}/registered.json
CLIENT_ID=$(sed 's/.*"client_id": *"\([^"]*\)".*/\1/' {folder}/registered.json)

tpp -d grant_type=client_credentials -d scope=accounts \
    -d client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer \
    -d client_assertion="$({dcr} assertion{of_assertion} --client-id "$CLIENT_ID")" $TOKEN_ENDPOINT | tee {folder}/token.json
TOKEN=$(sed 's/.*"access_token": *"\([^"]*\)".*/\1/' {folder}/token.json)

tpp -H "authorization: Bearer $TOKEN" $REGISTRATION_ENDPOINT/$CLIENT_ID
tpp -H "authorization: Bearer $TOKEN" -X PUT -H 'content-type: application/jwt' \
    --data-binary "$({dcr} request{of_request} --claim 'scope=openid accounts')" $REGISTRATION_ENDPOINT/$CLIENT_ID
tpp -H "authorization: Bearer $TOKEN" -X DELETE -w '%{{http_code}}' $REGISTRATION_ENDPOINT/$CLIENT_ID

{dcr} register{of_call} --claim 'redirect_uris=["https://elsewhere.example/"]'    # the same and more without curl: {dcr} --help"#
    )
}

/// A path as one word of a POSIX shell.
fn quoted(path: &str) -> String {
    let is_plain = path.chars().all(|letter| letter.is_ascii_alphanumeric() || "/._-".contains(letter));
    if is_plain { path.to_owned() } else { format!("'{}'", path.replace('\'', r"'\''")) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_gateway_takes_the_next_folder_unless_one_was_asked_for() {
        let project = tempfile::tempdir().unwrap();
        let choose = |asked| LockedFolder::choose(asked, project.path());
        let [first, second] = [choose(None).unwrap(), choose(None).unwrap()];
        assert_eq!(first.path, project.path().join("target/dev"));
        assert_eq!(second.path, project.path().join("target/dev-2"));
        assert!(matches!(choose(Some(second.path.clone())), Err(Error::FolderInUse { .. })));
        drop(first);
        assert_eq!(choose(None).unwrap().path, project.path().join("target/dev"));
    }

    #[test]
    fn a_path_is_one_word_of_a_shell() {
        assert_eq!(quoted("target/dev-2"), "target/dev-2");
        assert_eq!(quoted("it's/a folder"), r"'it'\''s/a folder'");
    }
}
