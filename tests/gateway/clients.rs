//! Independent clients get tokens through the gateway and report its refusals: openid-client (npm), Authlib (PyPI), and curl with openssl.
//! Each forms its requests in its own way. `tests/clients/` contains the scripts that drive them.
//!
//! `make clients` installs the libraries. If a library is missing, its test prints a message and passes, unless `DCR_CLIENTS=required` is
//! set, as in `make test`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use dcr_cli::client::JWT_BEARER;
use dcr_cli::inspect::Inspected;
use dcr_cli::mint::Token;
use dcr_dev::Gateway;
use dcr_dev::installation::project_folder;
use dcr_policy::catalogue::{Answer, RULES};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::PKI;

/// A client that has not finished within this time hangs. The limit is long, because a machine that builds and tests at the same time is
/// slow.
const START_TIMEOUT: Duration = Duration::from_secs(60);

const SCOPE: &str = "accounts";

#[tokio::test]
async fn openid_client_gets_tokens_and_reports_refusals() {
    let Some(client) = Client::openid_client() else { return };
    let bank = Bank::open().await;

    let report = client.run(&bank.by_assertion).await;
    bank.assert_token(&report, &bank.by_assertion);
    let sent = Sent::of(&report);
    assert_eq!(sent.content_type, "application/x-www-form-urlencoded;charset=UTF-8");
    assert_eq!(sent.form["client_id"], bank.by_assertion.client_id);
    let assertion = sent.assertion();
    assert_eq!(assertion.header["kid"], PKI.tpp.signing.kid());
    assert_eq!(assertion.claims["aud"], bank.gateway.url());

    let report = client.run(&bank.by_certificate).await;
    bank.assert_token(&report, &bank.by_certificate);
    let sent = Sent::of(&report);
    assert_eq!(sent.form["client_id"], bank.by_certificate.client_id);
    assert!(!sent.form.contains_key("client_assertion"), "{:?}", sent.form);

    bank.refuses(&client, &bank.by_assertion.clone().to("https://another.example"), "assertion_audience").await;
    bank.refuses(&client, &bank.by_assertion.clone().with_transport_of("other-tpp"), ANOTHERS_CERTIFICATE).await;
    bank.refuses(&client, &bank.by_certificate.clone().with_transport_of("other-tpp"), "certificate_of_another_client")
        .await;
}

#[tokio::test]
async fn authlib_gets_a_token_and_reports_refusals() {
    let Some(client) = Client::authlib() else { return };
    let bank = Bank::open().await;

    let report = client.run(&bank.by_assertion).await;
    bank.assert_token(&report, &bank.by_assertion);
    let sent = Sent::of(&report);
    assert!(!sent.form.contains_key("client_id"), "{:?}", sent.form);
    let assertion = sent.assertion();
    assert!(!assertion.header.contains_key("kid"), "{:?}", assertion.header);
    assert_eq!(assertion.claims["aud"], bank.gateway.endpoints().token);
    let lifetime = assertion.claims["exp"].as_u64().unwrap() - assertion.claims["iat"].as_u64().unwrap();
    assert_eq!(lifetime, 60 * 60);

    let elsewhere = bank.by_assertion.clone().to("https://another.example/token");
    bank.refuses(&client, &elsewhere, "assertion_audience").await;
    bank.refuses(&client, &bank.by_assertion.clone().with_transport_of("other-tpp"), ANOTHERS_CERTIFICATE).await;
}

#[tokio::test]
async fn curl_gets_tokens_and_shows_refusals() {
    let Some(client) = Client::curl() else { return };
    let bank = Bank::open().await;
    for role in [&bank.by_assertion, &bank.by_certificate] {
        bank.assert_token(&client.run(role).await, role);
    }
    bank.refuses(&client, &bank.by_assertion.clone().to("https://another.example"), "assertion_audience").await;
    bank.refuses(&client, &bank.by_assertion.clone().with_transport_of("other-tpp"), ANOTHERS_CERTIFICATE).await;
    bank.refuses(&client, &bank.by_certificate.clone().with_transport_of("other-tpp"), "certificate_of_another_client")
        .await;
}

/// An answer that comes before the end of the request's body is lost in some tries: Envoy resets the stream behind it, and curl 7.88 reads
/// the reset first.
#[tokio::test]
async fn curl_gets_every_refusal_of_a_request_that_it_still_sends() {
    if Client::curl().is_none() {
        return;
    }
    let gateway = Gateway::builder(PKI.clone()).start().await.unwrap();
    let folder = gateway.folder();
    let body = folder.join("body");
    std::fs::write(&body, vec![b'a'; 60_000]).unwrap();
    let endpoints = gateway.endpoints();
    for (name, method, url, media_type, status) in [
        ("another method", "PATCH", &endpoints.registration, "application/jwt", "405"),
        ("another media type", "POST", &endpoints.registration, "text/plain", "400"),
        ("no certificate", "POST", &endpoints.token, "application/x-www-form-urlencoded", "401"),
    ] {
        for attempt in 0..20 {
            let mut curl = Command::new("curl");
            curl.args(["--http2", "--silent", "--show-error", "--request", method, "--write-out", " %{http_code}"]);
            curl.arg("--cacert").arg(folder.join("ca.pem")).arg("--header").arg(format!("content-type: {media_type}"));
            if status != "401" {
                curl.arg("--cert")
                    .arg(folder.join("tpp/transport.pem"))
                    .arg("--key")
                    .arg(folder.join("tpp/transport.key"));
            }
            curl.arg("--data-binary").arg(format!("@{}", body.display())).arg(url).env("no_proxy", "localhost");
            let output = curl.kill_on_drop(true).output().await.unwrap();
            let (answer, complaint) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success(), "{name}, try {attempt}: {answer} {complaint}");
            assert!(answer.ends_with(&format!("}} {status}")), "{name}, try {attempt}: {answer}");
        }
    }
}

const ANOTHERS_CERTIFICATE: &str = "assertion_over_foreign_certificate";

/// A gateway at which a third party has registered twice, once for each authentication method.
struct Bank {
    gateway: Gateway,
    by_assertion: Role,
    by_certificate: Role,
}

impl Bank {
    async fn open() -> Self {
        let gateway = Gateway::builder(PKI.clone()).start().await.unwrap();
        let request = gateway.registration_request(&PKI.tpp).unwrap();
        let by_assertion = Role::register(&gateway, "private_key_jwt", request).await;
        let subject = PKI.tpp.transport.subject_dn().unwrap();
        let request = gateway.registration_request(&PKI.tpp).unwrap().for_tls_client_auth(&subject);
        let by_certificate = Role::register(&gateway, "tls_client_auth", request).await;
        Self { gateway, by_assertion, by_certificate }
    }

    /// The client has got a token, and has read its own registration with it.
    #[track_caller]
    fn assert_token(&self, report: &Value, role: &Role) {
        let (token, registration) = (&report["token"], &report["registration"]);
        assert!(token["token_type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("Bearer")), "{report}");
        assert_eq!((&token["scope"], &token["expires_in"]), (&json!(SCOPE), &json!(600)), "{report}");
        assert_eq!(registration["client_id"], role.client_id, "{report}");
        assert_eq!(registration["token_endpoint_auth_method"], role.method, "{report}");
    }

    /// The client reports `invalid_client`, and the gateway logs this reason.
    async fn refuses(&self, client: &Client, role: &Role, reason: &str) {
        let report = client.run(role).await;
        assert_eq!(report["refused"]["error"], "invalid_client", "{report}");
        // The log has the broken rule. The caller may have received another one that hides it.
        let broken = RULES.iter().find(|rule| rule.reason == reason).unwrap();
        let wanted = |line: &Value| Gateway::broken_rule(line) == Some((broken.id, reason));
        let refused = self.gateway.access_logged(wanted).await.unwrap();
        let rule = if let Answer::SameAs(shown) = broken.answer { shown.id } else { broken.id };
        let description = report["refused"]["error_description"].as_str().unwrap();
        assert!(description.ends_with(&format!("(rule {rule})")), "{description}");
        assert_eq!((&refused["status"], &report["token"]), (&json!(401), &Value::Null), "{report}");
    }
}

/// The identity of a client.
#[derive(Clone)]
struct Role {
    client_id: String,
    method: &'static str,
    variables: BTreeMap<&'static str, String>,
    keys: PathBuf,
}

impl Role {
    async fn register(gateway: &Gateway, method: &'static str, request: Token) -> Self {
        let tpp = gateway.client(Some(&PKI.tpp.transport)).unwrap();
        let answer = tpp.register(&request.sign(&PKI.tpp.signing).unwrap()).await.unwrap();
        assert_eq!(answer.status, 201, "{}", answer.json());
        let client_id = answer.member("client_id").unwrap();
        let keys = gateway.folder().to_path_buf();
        let variables = BTreeMap::from([
            ("ISSUER", gateway.url().to_owned()),
            ("CLIENT_ID", client_id.clone()),
            ("AUTH_METHOD", method.to_owned()),
            ("SCOPE", SCOPE.to_owned()),
            ("CA", keys.join("ca.pem").display().to_string()),
            ("SIGNING_KEY", keys.join("tpp/signing.key").display().to_string()),
            ("SIGNING_KID", PKI.tpp.signing.kid().to_owned()),
        ]);
        Self { client_id, method, variables, keys }.with_transport_of("tpp")
    }

    /// Presents the transport certificate of one of the two third parties, named by its folder.
    fn with_transport_of(mut self, party: &str) -> Self {
        let transport = self.keys.join(party).join("transport");
        self.variables.insert("TRANSPORT_CERTIFICATE", transport.with_extension("pem").display().to_string());
        self.variables.insert("TRANSPORT_KEY", transport.with_extension("key").display().to_string());
        self
    }

    /// Signs assertions for this audience instead of the client's own choice.
    fn to(mut self, audience: &str) -> Self {
        self.variables.insert("AUDIENCE", audience.to_owned());
        self
    }
}

/// A program that reads its script from standard input, in the folder with its libraries.
struct Client {
    program: String,
    arguments: &'static [&'static str],
    script: &'static str,
    folder: PathBuf,
}

impl Client {
    fn openid_client() -> Option<Self> {
        let folder = installed("openid-client")?;
        let (program, arguments) = ("node".to_owned(), &["--input-type=module", "-"]);
        Some(Self { program, arguments, script: "openid-client/token.mjs", folder })
    }

    fn authlib() -> Option<Self> {
        let folder = installed("authlib")?;
        let program = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
        Some(Self { program, arguments: &["-"], script: "authlib/token.py", folder })
    }

    fn curl() -> Option<Self> {
        for (program, version) in [("curl", "--version"), ("openssl", "version")] {
            let probe = std::process::Command::new(program).arg(version).stdout(Stdio::null()).status();
            if probe.is_err() {
                skipped(&format!("there is no {program} here"));
                return None;
            }
        }
        Some(Self { program: "sh".to_owned(), arguments: &["-s"], script: "curl/token.sh", folder: project_folder() })
    }

    /// The output of the script.
    async fn run(&self, role: &Role) -> Value {
        let script = File::open(project_folder().join("tests/clients").join(self.script)).unwrap();
        let mut command = Command::new(&self.program);
        command.args(self.arguments).current_dir(&self.folder).envs(&role.variables);
        // A proxy cannot reach this machine's loopback.
        command.env("no_proxy", "localhost").stdin(script).kill_on_drop(true);
        let finished = tokio::time::timeout(START_TIMEOUT, command.output()).await;
        let output = finished.unwrap_or_else(|_| panic!("{} hangs", self.script));
        let output = output.unwrap_or_else(|error| panic!("cannot start {}: {error}", self.program));
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} ended with {}:\n{complaint}", self.script, output.status);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{}: {error}\n{complaint}", self.script))
    }
}

/// The token request in the form in which the library sent it.
struct Sent {
    content_type: String,
    form: BTreeMap<String, String>,
}

impl Sent {
    fn of(report: &Value) -> Self {
        let sent = &report["sent"];
        let form = form_urlencoded::parse(sent["form"].as_str().unwrap().as_bytes());
        let content_type = sent["content_type"].as_str().unwrap().to_owned();
        Self { content_type, form: form.into_owned().collect() }
    }

    fn assertion(&self) -> Inspected {
        assert_eq!(self.form["client_assertion_type"], JWT_BEARER);
        Inspected::parse(&self.form["client_assertion"]).unwrap()
    }
}

/// The folder into which make has installed a library. `None` if the installation is not complete.
fn installed(library: &str) -> Option<PathBuf> {
    let folder = project_folder().join(".tools/clients").join(library);
    if folder.join("installed").is_file() {
        return Some(folder);
    }
    let missing = format!("{library} is not in {}; `make clients` puts it there", folder.display());
    assert!(std::env::var_os("DCR_CLIENTS").is_none_or(|wanted| wanted != "required"), "{missing}");
    skipped(&missing);
    None
}

/// Whether there are openssl, and a curl that uses it.
pub(crate) fn has_curl_with_openssl() -> bool {
    let version = std::process::Command::new("curl").arg("--version").output();
    let uses_it = version.is_ok_and(|version| String::from_utf8_lossy(&version.stdout).contains("OpenSSL"));
    let installed = Client::curl().is_some();
    if installed && !uses_it {
        skipped("this curl does not use OpenSSL");
    }
    installed && uses_it
}

#[expect(clippy::explicit_write, reason = "the test harness keeps what `eprintln!` says in a test that passes")]
fn skipped(why: &str) {
    writeln!(std::io::stderr(), "SKIPPED: {why}").unwrap();
}
