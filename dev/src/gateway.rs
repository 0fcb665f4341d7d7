//! Starts a whole gateway and keeps it running.

mod folder;
mod port;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use dcr_mint::pki::{Identity, Pki, ThirdParty};
use dcr_mint::{self as mint, Token};
use dcr_parties::client::{Answer, Endpoints, HttpVersion, Tpp};
use dcr_parties::directory::Directory;
use reqwest::Method;
use serde_json::Value;

use self::folder::Folder;
use self::port::Reservation;
use crate::Error;
use crate::backend::Backend;
use crate::envoy::{EnvoyConfiguration, merge};
use crate::installation::{Installation, project_folder};
use crate::process::{Process, leashed, wait_for};

/// The ports of `envoy/envoy.yaml`.
const SHIPPED: Ports =
    Ports { gateway: Some(8443), directory: Some(8444), store: Some(8082), backend: Some(8081), admin: Some(9901) };

/// The file of secrets that `envoy/envoy.yaml` names: the authorities of third parties, and their lists of revoked certificates.
const THIRD_PARTIES: &str = "envoy/third-parties.yaml";

/// A running gateway. When it is dropped, it stops everything that it has started, Envoy first.
pub struct Gateway {
    envoy: Process,
    store: Option<StoreProcess>,
    backend: Backend,
    directory: Directory,
    pki: Arc<Pki>,
    url: String,
    admin_url: String,
    store_port: u16,
    operator: Tpp,
    _port: Reservation,
    folder: Folder,
}

/// The settings of a gateway that is about to be started.
#[must_use = "nothing runs before `start`"]
pub struct GatewayBuilder {
    pki: Arc<Pki>,
    folder: Option<PathBuf>,
    ports: Ports,
    plugin: Vec<Value>,
    directory: Vec<Value>,
    changes: Vec<Change>,
    store: Store,
    variables: Vec<(String, String)>,
    workers: u32,
}

type Change = Box<dyn FnOnce(&mut EnvoyConfiguration) -> Result<(), Error> + Send>;

/// The ports on 127.0.0.1; `None` takes a free one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ports {
    /// The port for third parties.
    pub gateway: Option<u16>,
    /// The port of the mock directory.
    pub directory: Option<u16>,
    /// The port of the store.
    pub store: Option<u16>,
    /// The port of the backend behind the gateway.
    pub backend: Option<u16>,
    /// The port of Envoy's admin page.
    pub admin: Option<u16>,
}

/// The store that the gateway uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Store {
    /// A `dcr-store` that the gateway starts, with a database in the gateway's folder.
    #[default]
    Started,
    /// The service at this port of 127.0.0.1. There may be no service at all.
    At(u16),
}

struct StoreProcess {
    process: Process,
    program: PathBuf,
}

impl Ports {
    /// The ports in `envoy/envoy.yaml`.
    pub fn shipped() -> Self {
        SHIPPED
    }
}

impl GatewayBuilder {
    /// Keeps keys, database, configuration and logs in this folder. By default they are in a temporary folder that is removed with the
    /// gateway, unless the test that holds the gateway panics.
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Sets the ports. By default free ports are used.
    pub fn ports(mut self, ports: Ports) -> Self {
        self.ports = ports;
        self
    }

    /// Changes the filter's configuration: a JSON merge patch for the one in `envoy/envoy.yaml` (`null` removes a member).
    pub fn plugin(mut self, patch: Value) -> Self {
        self.plugin.push(patch);
        self
    }

    /// Changes the entry of the directory in the filter's configuration: a JSON merge patch for its entry in `directories`.
    pub fn directory(mut self, patch: Value) -> Self {
        self.directory.push(patch);
        self
    }

    /// Changes the rest of Envoy's configuration, after all other changes.
    pub fn envoy(mut self, change: impl FnOnce(&mut EnvoyConfiguration) -> Result<(), Error> + Send + 'static) -> Self {
        self.changes.push(Box::new(change));
        self
    }

    /// Selects the store.
    pub fn store(mut self, store: Store) -> Self {
        self.store = store;
        self
    }

    /// Sets a variable in Envoy's environment.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Sets the number of Envoy's worker threads. Each has its own copy of the filter. The default is two.
    pub fn workers(mut self, workers: u32) -> Self {
        self.workers = workers;
        self
    }

    /// Starts everything and waits until it is ready.
    ///
    /// # Errors
    /// [`Error::Ended`] with the end of its log if Envoy refuses its configuration. Other errors say which part did not start.
    pub async fn start(self) -> Result<Gateway, Error> {
        let installation = Installation::find()?;
        let folder = Folder::new(self.folder)?;
        self.pki.write(folder.path())?;

        let port = Reservation::new(self.ports.gateway)?;
        let url = format!("https://localhost:{}", port.number());
        let operator = Tpp::new(Endpoints::of(&url), &self.pki.server_ca.certificate_pem, None)?;

        let directory = Directory::start(&self.pki, loopback(self.ports.directory))?;
        let backend = Backend::start(loopback(self.ports.backend))?;
        let (store, store_port) = match self.store {
            Store::At(port) => (None, port),
            Store::Started => {
                let (store, port) = StoreProcess::start(&installation.store, folder.path(), self.ports.store).await?;
                (Some(store), port)
            }
        };

        let mut configuration = EnvoyConfiguration::read(&project_folder().join("envoy/envoy.yaml"))?;
        configuration.set_listener_port("gateway", port.number())?;
        configuration.set_admin_port(self.ports.admin.unwrap_or(0))?;
        for cluster in ["directory", "key_sets"] {
            configuration.set_cluster_port(cluster, directory.port())?;
        }
        configuration.set_cluster_port("dcr_store", store_port)?;
        configuration.set_cluster_port("backend", backend.port())?;
        configuration.rewrite_strings(|text| {
            text.replace("localhost:8443", &format!("localhost:{}", port.number()))
                .replace("localhost:8444", &format!("localhost:{}", directory.port()))
        });
        let mut third_parties = EnvoyConfiguration::read(&project_folder().join(THIRD_PARTIES))?;
        for document in [&mut configuration, &mut third_parties] {
            document.rewrite_strings(|text| relocate(text, folder.path(), &installation.filter));
        }
        dcr_mint::pki::files::write_text(&third_parties_of(folder.path()), &third_parties.to_json())?;
        for patch in &self.plugin {
            merge(configuration.plugin_configuration()?, patch);
        }
        for patch in &self.directory {
            merge(configuration.directory()?, patch);
        }
        for change in self.changes {
            change(&mut configuration)?;
        }
        dcr_mint::pki::files::write_text(&folder.path().join("envoy.json"), &configuration.to_json())?;

        let mut command = leashed(&installation.envoy);
        command.envs(self.variables);
        let mut envoy = start_envoy(command, folder.path(), self.workers)?;
        let admin_url = envoy_is_ready(&mut envoy, &operator, folder.path()).await?;
        Ok(Gateway {
            envoy,
            store,
            backend,
            directory,
            pki: self.pki,
            url,
            admin_url,
            store_port,
            operator,
            _port: port,
            folder,
        })
    }
}

impl Gateway {
    /// A gateway with these keys and certificates. Tests should share one PKI, because making one takes seconds.
    pub fn builder(pki: Arc<Pki>) -> GatewayBuilder {
        GatewayBuilder {
            pki,
            folder: None,
            ports: Ports::default(),
            plugin: Vec::new(),
            directory: Vec::new(),
            changes: Vec::new(),
            store: Store::default(),
            variables: Vec::new(),
            workers: 2,
        }
    }

    /// `https://localhost:<port>`: the base URL and the issuer.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The URLs of the gateway's endpoints.
    pub fn endpoints(&self) -> Endpoints {
        Endpoints::of(&self.url)
    }

    /// The URL of Envoy's admin page.
    pub fn admin_url(&self) -> &str {
        &self.admin_url
    }

    /// The store's base URL.
    pub fn store_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.store_port)
    }

    /// The keys and certificates in use.
    pub fn pki(&self) -> &Pki {
        &self.pki
    }

    /// The directory. It can count its fetches, and it can be told to misbehave.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The backend behind the gateway. It shows the requests that reached it.
    pub fn backend(&self) -> &Backend {
        &self.backend
    }

    /// The folder with configuration, database and logs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Envoy's process id.
    pub fn envoy_id(&self) -> u32 {
        self.envoy.id()
    }

    /// The store's process id. `None` if this gateway did not start it.
    pub fn store_id(&self) -> Option<u32> {
        self.store.as_ref().map(|store| store.process.id())
    }

    /// A client that presents this transport certificate, or no certificate.
    pub fn client(&self, transport: Option<&Identity>) -> Result<Tpp, Error> {
        self.client_speaking(transport, HttpVersion::Negotiated)
    }

    /// A client that uses this version of HTTP.
    pub fn client_speaking(&self, transport: Option<&Identity>, version: HttpVersion) -> Result<Tpp, Error> {
        Ok(Tpp::with_http_version(self.endpoints(), &self.pki.server_ca.certificate_pem, transport, version)?)
    }

    /// A software statement for a third party. Sign it with `pki().directory`.
    pub fn software_statement(&self, party: &ThirdParty) -> Token {
        mint::software_statement(&party.software, &self.directory.url())
    }

    /// A registration request with a new software statement. Sign it with the third party's key.
    pub fn registration_request(&self, party: &ThirdParty) -> Result<Token, Error> {
        let statement = self.software_statement(party).sign(&self.pki.directory)?;
        Ok(mint::registration_request(&party.software, &self.url, &statement))
    }

    /// A client assertion for this gateway. Sign it with the third party's key.
    pub fn client_assertion(&self, client_id: &str) -> Token {
        mint::client_assertion(client_id, &self.url)
    }

    /// Envoy's log so far. It includes the lines of the filter.
    pub fn envoy_log(&self) -> String {
        std::fs::read_to_string(self.folder().join("envoy.log")).unwrap_or_default()
    }

    /// The access log so far: a JSON object for each request, oldest first.
    pub fn access_log(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder().join("access.log")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits for a line of the access log. Envoy writes it after the answer.
    pub async fn access_logged(&self, wanted: impl Fn(&Value) -> bool) -> Result<Value, Error> {
        let find = async || Ok(self.access_log().into_iter().rev().find(&wanted));
        wait_for("the line in the access log", self.folder(), find).await
    }

    /// The rule and the reason of the refusal in a line of the access log.
    pub fn broken_rule(line: &Value) -> Option<(&str, &str)> {
        let details = line.get("details")?.as_str()?;
        let broken = details.strip_prefix("dcr_denied{").or_else(|| details.strip_prefix("dcr_error{"))?;
        broken.strip_suffix('}')?.split_once(':')
    }

    /// Waits until Envoy's log contains the text.
    pub async fn envoy_logged(&self, text: &str) -> Result<(), Error> {
        let find = async || Ok(self.envoy_log().contains(text).then_some(()));
        wait_for(&format!("`{text}` in Envoy's log"), self.folder(), find).await
    }

    /// GET of a page of Envoy's admin interface, such as `/stats?filter=dcr`.
    pub async fn admin(&self, path: &str) -> Result<Answer, Error> {
        let request = self.operator.request(Method::GET, &format!("{}{path}", self.admin_url));
        Ok(self.operator.send(request).await?)
    }

    /// Envoy's counters and gauges whose name matches the regular expression.
    pub async fn stats(&self, filter: &str) -> Result<BTreeMap<String, u64>, Error> {
        let request = self.operator.request(Method::GET, &format!("{}/stats", self.admin_url));
        let answer = self.operator.send(request.query(&[("filter", filter)])).await?;
        let lines = String::from_utf8_lossy(&answer.body).into_owned();
        let counted = lines.lines().filter_map(|line| line.rsplit_once(": "));
        Ok(counted.filter_map(|(name, value)| Some((name.to_string(), value.parse().ok()?))).collect())
    }

    /// Ends the store at once, as `kill -9` does.
    pub fn kill_store(&mut self) {
        if let Some(store) = &mut self.store {
            store.process.kill();
        }
    }

    /// Starts the store again, with the same port and database.
    pub async fn restart_store(&mut self) -> Result<(), Error> {
        if let Some(store) = self.store.take() {
            let program = store.program.clone();
            drop(store);
            let (store, _) = StoreProcess::start(&program, self.folder.path(), Some(self.store_port)).await?;
            self.store = Some(store);
        }
        Ok(())
    }

    /// Checks that Envoy and the store are still running.
    pub fn still_runs(&mut self) -> Result<(), Error> {
        self.envoy.still_runs()?;
        self.store.as_mut().map_or(Ok(()), |store| store.process.still_runs())
    }
}

impl StoreProcess {
    /// Starts `dcr-store` with a database in `folder`, and waits for the file in which it writes its address.
    async fn start(program: &Path, folder: &Path, port: Option<u16>) -> Result<(Self, u16), Error> {
        let ready = folder.join("store.url");
        remove(&ready)?;
        let mut command = leashed(program);
        command.args(["--listen", &loopback(port).to_string()]);
        command.arg("--database").arg(format!("sqlite:{}", folder.join("store.sqlite").display()));
        command.arg("--ready-file").arg(&ready);
        let mut process = Process::start("dcr-store", command, &folder.join("store.log"))?;
        let port = wait_for("the store", folder, async || {
            process.still_runs()?;
            let url = std::fs::read_to_string(&ready).unwrap_or_default();
            Ok(url.trim().rsplit_once(':').and_then(|(_, port)| port.trim_end_matches('/').parse().ok()))
        })
        .await?;
        Ok((Self { process, program: program.into() }, port))
    }
}

fn start_envoy(mut command: Command, folder: &Path, workers: u32) -> Result<Process, Error> {
    remove(&folder.join("admin.address"))?;
    remove(&folder.join("access.log"))?;
    command.arg("-c").arg(folder.join("envoy.json"));
    command.arg("--admin-address-path").arg(folder.join("admin.address"));
    command.args(["--concurrency", &workers.to_string(), "--disable-hot-restart", "--log-level", "info"]);
    // Tests read the access log while Envoy runs.
    command.args(["--file-flush-interval-msec", "50"]);
    command.current_dir(project_folder());
    Process::start("envoy", command, &folder.join("envoy.log"))
}

/// Waits until Envoy is ready, and returns the URL of its admin page.
async fn envoy_is_ready(envoy: &mut Process, operator: &Tpp, folder: &Path) -> Result<String, Error> {
    let address = folder.join("admin.address");
    let url = wait_for("Envoy's admin page", folder, async || {
        envoy.still_runs()?;
        let address = std::fs::read_to_string(&address).unwrap_or_default();
        Ok((!address.trim().is_empty()).then(|| format!("http://{}", address.trim())))
    })
    .await?;
    wait_for("Envoy", folder, async || {
        envoy.still_runs()?;
        let ready = operator.send(operator.request(Method::GET, &format!("{url}/ready"))).await;
        Ok(ready.is_ok_and(|answer| answer.status == 200).then_some(()))
    })
    .await?;
    Ok(url)
}

/// This gateway's copy of [`THIRD_PARTIES`].
fn third_parties_of(folder: &Path) -> PathBuf {
    folder.join("third-parties.json")
}

/// Replaces the file names of `envoy.yaml` with those of this gateway.
fn relocate(text: &str, folder: &Path, filter: &Path) -> String {
    match text {
        "/dev/stdout" => folder.join("access.log").display().to_string(),
        "target/dev" => folder.display().to_string(),
        THIRD_PARTIES => third_parties_of(folder).display().to_string(),
        _ if text.ends_with("/dcr_gate.wasm") => filter.display().to_string(),
        _ => match text.strip_prefix("target/dev/") {
            Some(name) => folder.join(name).display().to_string(),
            None => text.to_string(),
        },
    }
}

fn loopback(port: Option<u16>) -> std::net::SocketAddr {
    ([127, 0, 0, 1], port.unwrap_or(0)).into()
}

fn remove(path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::system(path.display().to_string())(error))
        }
        _ => Ok(()),
    }
}
