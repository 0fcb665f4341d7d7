//! The requests. They are real: each assertion and each registration is signed for one use.

use dcr_cli::client::{Endpoints, JWT_BEARER};
use dcr_cli::keys::SigningKey;
use dcr_cli::mint::{self, Token};
use dcr_cli::pki::Pki;
use http_body_util::Full;
use hyper::Method;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use serde_json::{Map, Value, json};

use crate::error::Error;
use crate::listeners::OTHER_PATH;
use crate::load::Request;
use crate::oidc_provider;
use crate::signer::Signer;

/// The audience of the assertions that `jwt_authn` gets.
pub(crate) const JWT_AUTHN_AUDIENCE: &str = "https://jwt-authn.example";

const FORM: &str = "application/x-www-form-urlencoded";

/// The keys and URLs that are needed to sign for one third party.
pub(crate) struct Requests {
    software: dcr_cli::software::Software,
    directory_url: String,
    gateway: Endpoints,
    directory: Signer,
    ps256: Signer,
    es256: Signer,
    /// The public keys, for a server that receives them with the registration.
    key_set: Value,
}

/// The key that signs a client's assertions.
#[derive(Clone, Copy, Debug)]
pub(crate) enum By {
    /// RSA of 2048 bits.
    Ps256,
    /// P-256.
    Es256,
}

impl Requests {
    /// The PKI's first third party, with its own key and an ES256 key.
    pub(crate) fn new(pki: &Pki, es256: &SigningKey, gateway: Endpoints, directory_url: String) -> Result<Self, Error> {
        Ok(Self {
            software: pki.tpp.software.clone(),
            directory_url,
            gateway,
            directory: Signer::new(&pki.directory)?,
            ps256: Signer::new(&pki.tpp.signing)?,
            es256: Signer::new(es256)?,
            key_set: json!({ "keys": [pki.tpp.signing.public_jwk(), es256.public_jwk()] }),
        })
    }

    /// A registration at the gateway: a new statement in a new request, both signed with PS256.
    pub(crate) fn registration(&self, change: impl Fn(Token) -> Token) -> Result<Request, Error> {
        let statement = self.directory.sign(&mint::software_statement(&self.software, &self.directory_url))?;
        let request = mint::registration_request(&self.software, &self.gateway.issuer, &statement);
        let request = self.ps256.sign(&change(request))?;
        post(&self.gateway.registration, "application/jwt", request)
    }

    /// The same registration in the form that node-oidc-provider accepts: the metadata as JSON, with the keys and the statement.
    pub(crate) fn oidc_registration(&self) -> Result<Request, Error> {
        let statement = self.directory.sign(&mint::software_statement(&self.software, &self.directory_url))?;
        let request = mint::registration_request(&self.software, &self.gateway.issuer, &statement);
        let mut metadata: Map<String, Value> = request.claims().clone();
        // The claims of a JWT, and members that the other server would need extra features for.
        for name in ["iss", "iat", "exp", "jti", "aud"] {
            metadata.shift_remove(name);
        }
        metadata.insert("jwks".into(), self.key_set.clone());
        metadata.insert("tls_client_certificate_bound_access_tokens".into(), true.into());
        metadata.insert("scope".into(), "openid accounts payments".into());
        post(&format!("{}/reg", oidc_provider::ISSUER), "application/json", Value::Object(metadata).to_string())
    }

    /// Gets a token at the gateway with `private_key_jwt`.
    pub(crate) fn token(&self, client_id: &str, by: By) -> Result<Request, Error> {
        self.token_of(&self.gateway.token, &mint::client_assertion(client_id, &self.gateway.issuer), by)
    }

    /// Gets a token at node-oidc-provider with `private_key_jwt`.
    pub(crate) fn oidc_token(&self, client_id: &str) -> Result<Request, Error> {
        let url = format!("{}/token", oidc_provider::ISSUER);
        self.token_of(&url, &mint::client_assertion(client_id, oidc_provider::ISSUER), By::Ps256)
    }

    /// Asks for a token with an assertion that expired one hour ago.
    pub(crate) fn expired_token(&self, client_id: &str) -> Result<Request, Error> {
        let assertion = mint::client_assertion(client_id, &self.gateway.issuer);
        let expired = assertion.claim("iat", mint::now() - 7200).claim("exp", mint::now() - 3600);
        self.token_of(&self.gateway.token, &expired, By::Ps256)
    }

    /// Gets a token with `tls_client_auth`.
    pub(crate) fn token_by_certificate(&self, client_id: &str) -> Result<Request, Error> {
        let form = format!("grant_type=client_credentials&scope=accounts&client_id={client_id}");
        post(&self.gateway.token, FORM, form)
    }

    /// An assertion in the header that `jwt_authn` reads.
    pub(crate) fn assertion_in_header(&self, client_id: &str, by: By) -> Result<Request, Error> {
        self.assertion_to("https://jwt-authn.example/token", client_id, by)
    }

    /// The same, to a path that does not belong to the gateway's endpoints.
    pub(crate) fn other_path(&self, client_id: &str) -> Result<Request, Error> {
        self.assertion_to(&format!("https://jwt-authn.example{OTHER_PATH}"), client_id, By::Ps256)
    }

    /// GET of a registration.
    pub(crate) fn retrieval(&self, client_id: &str, access_token: &str) -> Result<Request, Error> {
        get(&self.gateway.client(client_id), access_token)
    }

    /// A request with a method that the token endpoint does not have.
    pub(crate) fn wrong_method(&self) -> Result<Request, Error> {
        Ok(request(Method::GET, &self.gateway.token).body(Full::default())?)
    }

    fn assertion_to(&self, url: &str, client_id: &str, by: By) -> Result<Request, Error> {
        let assertion = self.signer(by).sign(&mint::client_assertion(client_id, JWT_AUTHN_AUDIENCE))?;
        get(url, &assertion)
    }

    fn token_of(&self, url: &str, assertion: &Token, by: By) -> Result<Request, Error> {
        let assertion = self.signer(by).sign(assertion)?;
        let kind = JWT_BEARER.replace(':', "%3A");
        let form = format!(
            "grant_type=client_credentials&scope=accounts&client_assertion_type={kind}&client_assertion={assertion}"
        );
        post(url, FORM, form)
    }

    fn signer(&self, by: By) -> &Signer {
        match by {
            By::Ps256 => &self.ps256,
            By::Es256 => &self.es256,
        }
    }
}

fn get(url: &str, bearer: &str) -> Result<Request, Error> {
    Ok(request(Method::GET, url).header(AUTHORIZATION, format!("Bearer {bearer}")).body(Full::default())?)
}

fn post(url: &str, media_type: &str, body: String) -> Result<Request, Error> {
    Ok(request(Method::POST, url).header(CONTENT_TYPE, media_type).body(Full::new(Bytes::from(body)))?)
}

/// A request in the form of HTTP/1.1: the path in the first line, the authority in `host`.
fn request(method: Method, url: &str) -> hyper::http::request::Builder {
    let rest = url.strip_prefix("https://").unwrap_or(url);
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    hyper::Request::builder().method(method).uri(if path.is_empty() { "/" } else { path }).header(HOST, authority)
}
