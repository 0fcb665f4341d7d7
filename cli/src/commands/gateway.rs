//! `dcr register`, `token`, `retrieve`, `update`, `delete`: a third party that calls a gateway.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use dcr_cli::Error;
use dcr_cli::client::{Answer, Endpoints, Tpp, media_type};
use dcr_cli::environment::Environment;
use dcr_cli::inspect::Inspected;
use dcr_cli::mint;
use dcr_cli::pki::Identity;
use dcr_cli::pki::files::read_text;
use dcr_cli::registration::Registration;
use dcr_policy::jwt::Claims;
use dcr_policy::settings::Settings;
use dcr_policy::{Document, near_misses};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::check::likely;
use super::mint::{RequestContent, Signing};
use super::{DEFAULT_PROFILE, Outcome, print, profile, read_input};

/// The gateway to call, and the certificate to present.
#[derive(Args)]
struct Gateway {
    /// Where the gateway answers, as `make run` writes it
    #[arg(long, value_name = "FILE", default_value = "target/dev/gateway.env")]
    gateway_env: PathBuf,
    /// A gateway by its base URL and the default paths of --profile, instead of --gateway-env
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The profile of the gateway at --url
    #[arg(long, value_name = "NAME", default_value = DEFAULT_PROFILE, requires = "url")]
    profile: String,
    /// The authority that signed the gateway's certificate [default: ca.pem beside gateway.env]
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// The transport certificate [default: tpp/transport.pem beside gateway.env]
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// The transport certificate's private key [default: tpp/transport.key beside gateway.env]
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// The folder for registrations that come with their own URL and token (RFC 7592) [default: clients beside gateway.env]
    #[arg(long, value_name = "DIR")]
    clients: Option<PathBuf>,
    /// Print the answer as JSON: status, headers, body, elapsed_ms
    #[arg(long)]
    json: bool,
}

/// Register a client
#[derive(Args)]
#[command(
    after_help = "Examples: over another party's certificate\n  dcr register --cert target/dev/other-tpp/transport.pem --key target/dev/other-tpp/transport.key\n\nIn Brazil, with a statement in ssa.jwt (dcr ssa --ecosystem brazil)\n  dcr register --ssa ssa.jwt --cert target/dev/tpp/brcac.pem --key target/dev/tpp/brcac.key"
)]
pub(crate) struct Register {
    #[command(flatten)]
    gateway: Gateway,
    /// A request that is minted already, `-` for the standard input
    #[arg(long, value_name = "FILE")]
    request: Option<PathBuf>,
    #[command(flatten)]
    content: RequestContent,
}

/// Get an access token by client_credentials
#[derive(Args)]
pub(crate) struct Token {
    #[command(flatten)]
    gateway: Gateway,
    #[command(flatten)]
    client: Client,
}

/// Read a registration
#[derive(Args)]
pub(crate) struct Retrieve {
    #[command(flatten)]
    gateway: Gateway,
    #[command(flatten)]
    client: Client,
    #[command(flatten)]
    access: Access,
}

/// Replace a registration with a new request
#[derive(Args)]
pub(crate) struct Update {
    #[command(flatten)]
    gateway: Gateway,
    /// The client_id that registration answered with
    #[arg(long, value_name = "ID")]
    client_id: String,
    #[command(flatten)]
    access: Access,
    /// A request that is minted already, `-` for the standard input
    #[arg(long, value_name = "FILE")]
    request: Option<PathBuf>,
    #[command(flatten)]
    content: RequestContent,
}

/// Delete a registration and its tokens
#[derive(Args)]
pub(crate) struct Delete {
    #[command(flatten)]
    gateway: Gateway,
    #[command(flatten)]
    client: Client,
    #[command(flatten)]
    access: Access,
}

/// The client that asks for a token, and its way to authenticate.
#[derive(Args)]
struct Client {
    /// The client_id that registration answered with
    #[arg(long, value_name = "ID")]
    client_id: String,
    /// The scope to ask for [default: what the gateway grants]
    #[arg(long)]
    scope: Option<String>,
    /// Authenticate by the transport certificate (tls_client_auth) instead of an assertion (private_key_jwt)
    #[arg(long)]
    by_certificate: bool,
    #[command(flatten)]
    signing: Signing,
}

/// The access token to use.
#[derive(Args)]
struct Access {
    /// An access token, or a registration access token; without it, the kept token of the client is used, or a new one is fetched first
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
}

/// A client's own resource, and a token for it.
struct Resource {
    url: String,
    token: String,
}

impl Register {
    pub(crate) async fn run(self) -> Outcome {
        let tpp = self.gateway.connect()?;
        let request = match &self.request {
            Some(path) => read_input(path)?,
            None => self.content.mint(|| Ok(tpp.endpoints.issuer.clone()))?,
        };
        let answer = tpp.register(&request).await?;
        if answer.status == 201 {
            tell_not_understood(&request, &self.gateway.profile)?;
        }
        self.gateway.show_and_keep(&answer)
    }
}

/// Names the members of a request that was accepted although they have no meaning in this profile.
fn tell_not_understood(request: &str, profile_name: &str) -> Result<(), Error> {
    let claims = Inspected::parse(request)?.claims;
    let claims = Claims::of(Document::RegistrationRequest, claims);
    let told = near_misses::told(&claims, &Settings::new(profile(profile_name)?));
    for member in told.split(',').filter(|member| !member.is_empty()) {
        eprintln!("dcr: not understood: {}", likely(member));
    }
    Ok(())
}

impl Token {
    pub(crate) async fn run(self) -> Outcome {
        let answer = self.client.token(&self.gateway.connect()?).await?;
        Ok(self.gateway.show(&answer))
    }
}

impl Retrieve {
    pub(crate) async fn run(self) -> Outcome {
        let (tpp, client_id) = (self.gateway.connect()?, &self.client.client_id);
        match self.access.resource(&self.gateway, &tpp, client_id, self.client.token(&tpp)).await? {
            Ok(resource) => {
                let get = tpp.request(Method::GET, &resource.url).bearer_auth(&resource.token);
                self.gateway.show_and_keep(&tpp.send(get).await?)
            }
            Err(refusal) => Ok(self.gateway.show(&refusal)),
        }
    }
}

impl Update {
    pub(crate) async fn run(self) -> Outcome {
        let (tpp, client_id) = (self.gateway.connect()?, &self.client_id);
        let request = match &self.request {
            Some(path) => read_input(path)?,
            None => self.content.mint_update(&tpp.endpoints.issuer, client_id)?,
        };
        let by_assertion = by_assertion(&tpp, client_id, self.content.signing(), None);
        match self.access.resource(&self.gateway, &tpp, client_id, by_assertion).await? {
            Ok(resource) => {
                let put = tpp.request(Method::PUT, &resource.url).bearer_auth(&resource.token);
                let put = put.header(CONTENT_TYPE, media_type(&request)).body(request);
                self.gateway.show_and_keep(&tpp.send(put).await?)
            }
            Err(refusal) => Ok(self.gateway.show(&refusal)),
        }
    }
}

impl Delete {
    pub(crate) async fn run(self) -> Outcome {
        let (tpp, client_id) = (self.gateway.connect()?, &self.client.client_id);
        match self.access.resource(&self.gateway, &tpp, client_id, self.client.token(&tpp)).await? {
            Ok(resource) => {
                let delete = tpp.request(Method::DELETE, &resource.url).bearer_auth(&resource.token);
                let answer = tpp.send(delete).await?;
                let outcome = self.gateway.show(&answer);
                if answer.is_success() {
                    Registration::forget(&self.gateway.clients_folder(), client_id)?;
                }
                Ok(outcome)
            }
            Err(refusal) => Ok(self.gateway.show(&refusal)),
        }
    }
}

impl Gateway {
    fn connect(&self) -> Result<Tpp, Error> {
        let endpoints = match &self.url {
            Some(url) => {
                let paths = profile(&self.profile)?.paths;
                Endpoints::at(url, &paths.registration, &paths.token)
            }
            None => Environment::read(&self.gateway_env)?.endpoints,
        };
        let folder = self.folder();
        let file = |given: &Option<PathBuf>, usual: &str| read_text(given.as_deref().unwrap_or(&folder.join(usual)));
        let identity = Identity {
            certificate_pem: file(&self.cert, "tpp/transport.pem")?,
            key_pem: file(&self.key, "tpp/transport.key")?,
        };
        Tpp::new(endpoints, &file(&self.cacert, "ca.pem")?, Some(&identity))
    }

    fn folder(&self) -> &Path {
        self.gateway_env.parent().unwrap_or(Path::new("."))
    }

    fn clients_folder(&self) -> PathBuf {
        self.clients.clone().unwrap_or_else(|| self.folder().join("clients"))
    }

    /// Prints an answer, and then keeps the URL and the token in it, if it has them. So the token is shown even if it cannot be kept.
    fn show_and_keep(&self, answer: &Answer) -> Outcome {
        let outcome = self.show(answer);
        if let Some(registration) = Registration::of_answer(answer) {
            registration.write(&self.clients_folder())?;
        }
        Ok(outcome)
    }

    /// Prints an answer. The exit code says whether the gateway accepted the request.
    fn show(&self, answer: &Answer) -> ExitCode {
        print(&if self.json { format!("{:#}", as_json(answer)) } else { as_text(answer) });
        if answer.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

impl Client {
    async fn token(&self, tpp: &Tpp) -> Result<Answer, Error> {
        if self.by_certificate {
            return tpp.token_by_certificate(&self.client_id, self.scope.as_deref()).await;
        }
        by_assertion(tpp, &self.client_id, &self.signing, self.scope.as_deref()).await
    }
}

impl Access {
    /// The client's resource, with the given token, the kept one, or the one that `get` fetches. If the gateway gives no token, its answer.
    async fn resource(
        &self,
        gateway: &Gateway,
        tpp: &Tpp,
        client_id: &str,
        get: impl Future<Output = Result<Answer, Error>>,
    ) -> Result<Result<Resource, Answer>, Error> {
        let kept = Registration::read(&gateway.clients_folder(), client_id)?;
        let (url, kept) = match kept {
            Some(kept) => (kept.registration_client_uri, Some(kept.registration_access_token)),
            None => (tpp.endpoints.client(client_id), None),
        };
        if let Some(token) = self.token.clone().or(kept) {
            return Ok(Ok(Resource { url, token }));
        }
        let answer = get.await?;
        let token = answer.member("access_token").filter(|_| answer.is_success());
        Ok(token.map(|token| Resource { url, token }).ok_or(answer))
    }
}

async fn by_assertion(tpp: &Tpp, client_id: &str, signing: &Signing, scope: Option<&str>) -> Result<Answer, Error> {
    let assertion = mint::client_assertion(client_id, &tpp.endpoints.issuer).sign(&signing.key()?)?;
    tpp.token_by_assertion(&assertion, scope).await
}

fn as_text(answer: &Answer) -> String {
    let verdict = if answer.is_success() { "accepted" } else { "refused" };
    let head = format!("{verdict}: {} in {:.1} ms", answer.status, answer.elapsed.as_secs_f64() * 1000.0);
    match answer.json() {
        Value::Null if answer.body.is_empty() => head,
        Value::Null => format!("{head}\n{}", String::from_utf8_lossy(&answer.body).escape_debug()),
        body => format!("{head}\n{body:#}"),
    }
}

fn as_json(answer: &Answer) -> Value {
    let headers: serde_json::Map<String, Value> = answer
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()))
        .collect();
    let body = match answer.json() {
        Value::Null => String::from_utf8_lossy(&answer.body).into(),
        body => body,
    };
    let elapsed_ms = answer.elapsed.as_secs_f64() * 1000.0;
    json!({ "accepted": answer.is_success(), "status": answer.status, "headers": headers, "body": body, "elapsed_ms": elapsed_ms })
}
