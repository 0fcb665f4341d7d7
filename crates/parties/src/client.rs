//! A third party that calls a gateway over mutual TLS: register, token, retrieve, update, delete.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dcr_mint::pki::Identity;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Method, RequestBuilder};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;

use crate::Error;

/// `client_assertion_type` of RFC 7523, section 2.2.
pub const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The longest time that a gateway may take to answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The URLs of a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// The authorization server's issuer. It is the audience of requests and assertions.
    pub issuer: String,
    /// The registration endpoint. Each client has its own resource below it.
    pub registration: String,
    /// The token endpoint.
    pub token: String,
    /// The URL of the metadata document.
    pub discovery: String,
}

impl Endpoints {
    /// The default paths (Open Banking UK 3.3) below a gateway's base URL, such as `https://localhost:8443`.
    pub fn of(url: &str) -> Self {
        let url = url.trim_end_matches('/');
        Self {
            issuer: url.into(),
            registration: format!("{url}/open-banking/v3.3.0/register"),
            token: format!("{url}/token"),
            discovery: format!("{url}/.well-known/openid-configuration"),
        }
    }

    /// Other paths below a gateway's base URL, such as those of a profile.
    pub fn at(url: &str, registration_path: &str, token_path: &str) -> Self {
        let url = url.trim_end_matches('/');
        Self { registration: format!("{url}{registration_path}"), token: format!("{url}{token_path}"), ..Self::of(url) }
    }

    /// The URL of a client's own resource.
    pub fn client(&self, client_id: &str) -> String {
        format!("{}/{client_id}", self.registration)
    }
}

/// The version of HTTP that a client uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/2 if the gateway offers it.
    #[default]
    Negotiated,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 only.
    Http2,
}

/// A third party with its transport certificate.
#[derive(Clone, Debug)]
pub struct Tpp {
    http: reqwest::Client,
    /// The transport certificate that it presents, as PEM.
    pub certificate: Option<String>,
    /// The gateway that it calls.
    pub endpoints: Endpoints,
}

/// The gateway's answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body's bytes.
    pub body: Vec<u8>,
    /// The HTTP version of the answer.
    pub version: reqwest::Version,
    /// The time from the first byte sent to the last byte read. It includes the TLS handshake if there was one.
    pub elapsed: Duration,
}

impl Tpp {
    /// A third party that trusts `ca_pem`. It presents `transport`, or no certificate.
    pub fn new(endpoints: Endpoints, ca_pem: &str, transport: Option<&Identity>) -> Result<Self, Error> {
        Self::with_http_version(endpoints, ca_pem, transport, HttpVersion::Negotiated)
    }

    /// Like [`new`](Self::new), with this version of HTTP.
    pub fn with_http_version(
        endpoints: Endpoints,
        ca_pem: &str,
        transport: Option<&Identity>,
        version: HttpVersion,
    ) -> Result<Self, Error> {
        let mut tls = client_config(ca_pem, transport)?;
        tls.alpn_protocols = match version {
            HttpVersion::Negotiated => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            HttpVersion::Http1 => vec![b"http/1.1".to_vec()],
            HttpVersion::Http2 => vec![b"h2".to_vec()],
        };
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none());
        builder = match version {
            HttpVersion::Negotiated => builder,
            HttpVersion::Http1 => builder.http1_only(),
            HttpVersion::Http2 => builder.http2_prior_knowledge(),
        };
        let http = builder.build().map_err(|error| unreachable_at("the HTTP client", &error))?;
        let certificate = transport.map(|identity| identity.certificate_pem.clone());
        Ok(Self { http, certificate, endpoints })
    }

    /// POST of a registration request. A JSON object is sent as `application/json` (RFC 7591 section 3.1), any other text as
    /// `application/jwt`.
    pub async fn register(&self, request: &str) -> Result<Answer, Error> {
        let post = self.request(Method::POST, &self.endpoints.registration);
        self.send(post.header(CONTENT_TYPE, media_type(request)).body(request.to_string())).await
    }

    /// Gets a token with `client_credentials` and `private_key_jwt` (RFC 7523). Without a scope the gateway grants its default.
    pub async fn token_by_assertion(&self, assertion: &str, scope: Option<&str>) -> Result<Answer, Error> {
        let mut form = vec![
            ("grant_type", "client_credentials"),
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", assertion),
        ];
        form.extend(scope.map(|scope| ("scope", scope)));
        self.token(&form).await
    }

    /// Gets a token with `client_credentials` and `tls_client_auth` (RFC 8705, section 2.1).
    pub async fn token_by_certificate(&self, client_id: &str, scope: Option<&str>) -> Result<Answer, Error> {
        let mut form = vec![("grant_type", "client_credentials"), ("client_id", client_id)];
        form.extend(scope.map(|scope| ("scope", scope)));
        self.token(&form).await
    }

    /// Sends a token request with any form.
    pub async fn token(&self, form: &[(&str, &str)]) -> Result<Answer, Error> {
        self.send(self.request(Method::POST, &self.endpoints.token).form(form)).await
    }

    /// GET of a client's own resource.
    pub async fn retrieve(&self, client_id: &str, access_token: &str) -> Result<Answer, Error> {
        let url = self.endpoints.client(client_id);
        self.send(self.request(Method::GET, &url).bearer_auth(access_token)).await
    }

    /// PUT of a registration request to a client's own resource. The media type is as in [`register`](Self::register).
    pub async fn update(&self, client_id: &str, access_token: &str, request: &str) -> Result<Answer, Error> {
        let put = self.request(Method::PUT, &self.endpoints.client(client_id)).bearer_auth(access_token);
        self.send(put.header(CONTENT_TYPE, media_type(request)).body(request.to_string())).await
    }

    /// DELETE of a client.
    pub async fn delete(&self, client_id: &str, access_token: &str) -> Result<Answer, Error> {
        let url = self.endpoints.client(client_id);
        self.send(self.request(Method::DELETE, &url).bearer_auth(access_token)).await
    }

    /// GET of the metadata document.
    pub async fn discover(&self) -> Result<Answer, Error> {
        self.send(self.request(Method::GET, &self.endpoints.discovery)).await
    }

    /// Prepares any request over the same connection. [`send`](Self::send) sends it.
    pub fn request(&self, method: Method, url: &str) -> RequestBuilder {
        self.http.request(method, url)
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer, Error> {
        let request = request.build().map_err(|error| unreachable_at("the request", &error))?;
        let url = request.url().to_string();
        let started = Instant::now();
        let response = self.http.execute(request).await.map_err(|error| unreachable_at(&url, &error))?;
        let (status, headers, version) = (response.status().as_u16(), response.headers().clone(), response.version());
        let body = response.bytes().await.map_err(|error| unreachable_at(&url, &error))?.to_vec();
        Ok(Answer { status, headers, body, version, elapsed: started.elapsed() })
    }
}

/// The media type of a registration request: that of a JSON object, or that of a compact JWS.
pub fn media_type(request: &str) -> &'static str {
    if request.trim_start().starts_with('{') { "application/json" } else { "application/jwt" }
}

impl Answer {
    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as JSON, or `null` if it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A member of a JSON body that is a string, such as `client_id` or `error`.
    pub fn member(&self, name: &str) -> Option<String> {
        self.json().get(name).and_then(Value::as_str).map(str::to_string)
    }

    /// Whether a member of a JSON body has this value.
    pub fn says(&self, name: &str, value: impl Into<Value>) -> bool {
        self.json().get(name) == Some(&value.into())
    }

    /// The first value of a header. `None` if the header is missing or not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// The TLS settings of a third party. It trusts `ca_pem`, presents `transport` or no certificate, and offers no ALPN protocol.
pub fn client_config(ca_pem: &str, transport: Option<&Identity>) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
        roots.add(certificate.map_err(bad_pem("the gateway's CA"))?)?;
    }
    if roots.is_empty() {
        return Err(unusable("the gateway's CA: no `BEGIN CERTIFICATE` in it".into()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let Some(identity) = transport else { return Ok(builder.with_no_client_auth()) };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(identity.certificate_pem.as_bytes()).collect();
    let chain = chain.map_err(bad_pem("the transport certificate"))?;
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).map_err(bad_pem("the transport key"))?;
    Ok(builder.with_client_auth_cert(chain, key)?)
}

fn bad_pem(what: &str) -> impl Fn(rustls::pki_types::pem::Error) -> Error {
    move |error| unusable(format!("{what}: {error}"))
}

fn unusable(problem: String) -> Error {
    dcr_mint::Error::Certificate(problem).into()
}

/// reqwest says only "error sending request". The causes are in the error's chain.
fn unreachable_at(url: &str, error: &reqwest::Error) -> Error {
    let mut reason = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        reason = error.to_string();
        cause = error.source();
    }
    if error.is_connect() {
        reason.push_str("; is a gateway running there, with a certificate of the CA that is trusted?");
    }
    Error::Http { url: url.into(), reason }
}
