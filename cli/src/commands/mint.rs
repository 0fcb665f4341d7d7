//! `dcr ssa`, `dcr request`, `dcr assertion`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use dcr_cli::ecosystem::Ecosystem;
use dcr_cli::environment::Environment;
use dcr_cli::keys::SigningKey;
use dcr_cli::mint::{self, Token};
use dcr_cli::pki::files::read_text;
use dcr_cli::pki::{Identity, Pki};
use dcr_mint::Error;
use serde_json::Value;

use super::{DEVELOPMENT_FOLDER, Outcome, print, read_input};

/// A software statement for a third party of a development PKI, signed by its directory
#[derive(Args)]
#[command(
    after_help = "Examples: a statement of an organisation that was withdrawn\n  dcr ssa --pki keys --claim org_status=Withdrawn\n\nA statement of Open Finance Brasil\n  dcr ssa --pki keys --ecosystem brazil"
)]
pub(crate) struct Ssa {
    /// The folder that `dcr pki new` wrote
    #[arg(long, value_name = "DIR", default_value = DEVELOPMENT_FOLDER)]
    pki: PathBuf,
    /// Whose software
    #[arg(long, value_enum, default_value_t)]
    party: Party,
    /// Whose statement
    #[arg(long, value_enum, default_value_t)]
    ecosystem: Ecosystem,
    /// Where the directory publishes key sets
    #[arg(long, value_name = "URL", default_value = "https://localhost:8444")]
    directory_url: String,
    #[command(flatten)]
    changes: Changes,
}

/// A registration request around a software statement, as the statement's ecosystem writes it: signed with the third party's key, or in
/// Brazil a JSON object
#[derive(Args)]
#[command(after_help = "Example: a request that has expired\n  dcr request --claim exp=1700000000 | dcr inspect -")]
pub(crate) struct Request {
    #[command(flatten)]
    content: RequestContent,
    /// The authorization server's issuer [default: ISSUER of target/dev/gateway.env]
    #[arg(long, value_name = "ISSUER")]
    audience: Option<String>,
}

/// A client assertion for private_key_jwt, signed with the third party's key
#[derive(Args)]
pub(crate) struct Assertion {
    /// The client_id that registration answered with
    #[arg(long, value_name = "ID")]
    client_id: String,
    /// The authorization server's issuer or token endpoint [default: ISSUER of target/dev/gateway.env]
    #[arg(long, value_name = "URL")]
    audience: Option<String>,
    #[command(flatten)]
    signing: Signing,
    #[command(flatten)]
    changes: Changes,
}

/// The content of a registration request.
#[derive(Args)]
pub(crate) struct RequestContent {
    /// The software statement, `-` for the standard input
    #[arg(long, value_name = "FILE", default_value = "target/dev/tpp/ssa.jwt")]
    ssa: PathBuf,
    /// Register for tls_client_auth with the subject of this certificate, instead of private_key_jwt
    #[arg(long, value_name = "CERTIFICATE")]
    tls_client_auth: Option<PathBuf>,
    #[command(flatten)]
    signing: Signing,
    #[command(flatten)]
    changes: Changes,
}

/// The key that signs.
#[derive(Args)]
pub(crate) struct Signing {
    /// The private key, PKCS#8 PEM: RSA signs with PS256, P-256 with ES256, Ed25519 with EdDSA
    #[arg(long, value_name = "FILE", default_value = "target/dev/tpp/signing.key")]
    signing_key: PathBuf,
    /// The key's `kid` [default: the text of the file beside it that ends in .kid]
    #[arg(long)]
    kid: Option<String>,
}

/// The changes to a token.
#[derive(Args)]
pub(crate) struct Changes {
    /// Set a claim: JSON, or else a string
    #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = assignment)]
    claims: Vec<(String, Value)>,
    /// Leave a claim out
    #[arg(long = "without", value_name = "NAME")]
    without: Vec<String>,
    /// Set a parameter of the JOSE header: JSON, or else a string
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = assignment)]
    header: Vec<(String, Value)>,
    /// Leave a parameter of the JOSE header out, such as kid
    #[arg(long = "without-header", value_name = "NAME")]
    without_header: Vec<String>,
}

/// The two third parties of a development PKI.
#[derive(Clone, Copy, Default, ValueEnum)]
enum Party {
    /// The first
    #[default]
    Tpp,
    /// The second
    OtherTpp,
}

impl Ssa {
    pub(crate) fn run(self) -> Outcome {
        let pki = Pki::read(&self.pki)?;
        let party = match self.party {
            Party::Tpp => &pki.tpp,
            Party::OtherTpp => &pki.other_tpp,
        };
        let statement = self.ecosystem.software_statement(party, self.directory_url.trim_end_matches('/'));
        print(&self.changes.apply(statement).sign(&pki.directory)?);
        Ok(ExitCode::SUCCESS)
    }
}

impl Request {
    pub(crate) fn run(self) -> Outcome {
        print(&self.content.mint(|| audience(self.audience))?);
        Ok(ExitCode::SUCCESS)
    }
}

impl Assertion {
    pub(crate) fn run(self) -> Outcome {
        let assertion = mint::client_assertion(&self.client_id, &audience(self.audience)?);
        print(&self.changes.apply(assertion).sign(&self.signing.key()?)?);
        Ok(ExitCode::SUCCESS)
    }
}

impl RequestContent {
    /// A registration request, in the form that is sent. `audience` is called only for a signed request.
    pub(crate) fn mint(&self, audience: impl FnOnce() -> Result<String, Error>) -> Result<String, Error> {
        let statement = read_input(&self.ssa)?;
        let ecosystem = Ecosystem::of_statement(&statement)?;
        let audience = if ecosystem.signs_requests() { audience()? } else { String::new() };
        self.finish(ecosystem, ecosystem.registration_request(&audience, &statement)?)
    }

    /// A request to replace a client's registration, in the form that is sent. An unsigned request names the client (RFC 7592 section 2.2);
    /// a signed one need not.
    pub(crate) fn mint_update(&self, audience: &str, client_id: &str) -> Result<String, Error> {
        let statement = read_input(&self.ssa)?;
        let ecosystem = Ecosystem::of_statement(&statement)?;
        let request = ecosystem.registration_request(audience, &statement)?;
        let request = if ecosystem.signs_requests() { request } else { request.claim("client_id", client_id) };
        self.finish(ecosystem, request)
    }

    fn finish(&self, ecosystem: Ecosystem, mut request: Token) -> Result<String, Error> {
        if let Some(certificate) = &self.tls_client_auth {
            let identity = Identity { certificate_pem: read_text(certificate)?, key_pem: String::new() };
            request = request.for_tls_client_auth(&identity.subject_dn()?);
        }
        let request = self.changes.apply(request);
        if ecosystem.signs_requests() {
            return request.sign(&self.signing.key()?);
        }
        if self.changes.are_about_the_header() {
            let problem = "leave it out: a request of this ecosystem is not signed and has no header".into();
            return Err(Error::Content { path: "--header, --without-header".into(), problem });
        }
        Ok(request.to_json())
    }

    /// The key that signs.
    pub(crate) fn signing(&self) -> &Signing {
        &self.signing
    }
}

impl Signing {
    /// Reads the key.
    pub(crate) fn key(&self) -> Result<SigningKey, Error> {
        let key = SigningKey::from_pem(&read_text(&self.signing_key)?)?;
        let beside = self.signing_key.with_extension("kid");
        Ok(match &self.kid {
            Some(kid) => key.with_kid(kid),
            None if beside.is_file() => key.with_kid(read_text(&beside)?),
            None => key,
        })
    }
}

impl Changes {
    fn are_about_the_header(&self) -> bool {
        !self.header.is_empty() || !self.without_header.is_empty()
    }

    fn apply(&self, token: Token) -> Token {
        let token = self.claims.iter().fold(token, |token, (name, value)| token.claim(name, value.clone()));
        let token = self.without.iter().fold(token, |token, name| token.without(name));
        let token = self.header.iter().fold(token, |token, (name, value)| token.header(name, value.clone()));
        self.without_header.iter().fold(token, |token, name| token.without_header(name))
    }
}

fn audience(given: Option<String>) -> Result<String, Error> {
    let path = Path::new(DEVELOPMENT_FOLDER).join("gateway.env");
    given.map_or_else(|| Ok(Environment::read(&path)?.endpoints.issuer), Ok)
}

fn assignment(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.into(), serde_json::from_str(value).unwrap_or_else(|_| value.into())))
}
