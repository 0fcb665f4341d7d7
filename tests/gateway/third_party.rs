//! The page for third parties (`docs/for-third-parties.md`): its examples run as it shows them, its code is that of the examples, and each
//! mistake of its table gets the answer of its row.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use dcr_cli::client::{Answer, Tpp};
use dcr_cli::keys::{Algorithm, SigningKey};
use dcr_cli::mint::{self, Token};
use dcr_dev::Gateway;
use dcr_dev::installation::project_folder;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::PKI;

/// A program that has not finished within this time hangs. The limit is long, because a machine that builds and tests at the same time is
/// slow.
const LONGEST: Duration = Duration::from_secs(60);

const PAGE: &str = "docs/for-third-parties.md";

#[tokio::test]
async fn register_py_registers_and_deletes() {
    let Some(libraries) = libraries("authlib") else { return };
    registers_and_deletes("python3", "register.py", |desk| {
        desk.environment.insert("PYTHONPATH", libraries.into());
    })
    .await;
}

#[tokio::test]
async fn register_mjs_registers_and_deletes() {
    let Some(libraries) = libraries("openid-client") else { return };
    registers_and_deletes("node", "register.mjs", |desk| {
        std::os::unix::fs::symlink(libraries.join("node_modules"), desk.folder.join("node_modules")).unwrap();
    })
    .await;
}

#[tokio::test]
async fn register_sh_registers_and_deletes() {
    if !has_curl_and_openssl() {
        return;
    }
    registers_and_deletes("sh", "register.sh", |_| ()).await;
}

/// Runs the page's commands with one of the programs, and then with a wrong setting and without any.
async fn registers_and_deletes(interpreter: &str, program: &str, prepare: impl FnOnce(&mut Desk)) {
    let gateway = Gateway::builder(PKI.clone()).start().await.unwrap();
    let mut desk = Desk::new(&gateway, program);
    prepare(&mut desk);
    let (settings, start) = commands(interpreter, program);

    let output = desk.run(&format!("{settings}\n{start}")).await;
    assert!(output.status.success(), "{program}: {output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = printed.lines().collect();
    let [registered, token, read, "updated", "deleted"] = lines.as_slice() else { panic!("{program}: {printed}") };
    let client_id = registered.strip_prefix("registered: ").unwrap();
    assert_eq!(*token, "token: for openid accounts payments, for 600 seconds");
    assert_eq!(*read, format!("read: {}", PKI.tpp.software.redirect_uris.join(" ")));
    let path = format!("/open-banking/v3.3.0/register/{client_id}");
    for (method, status) in [("GET", 200), ("PUT", 200), ("DELETE", 204)] {
        let answered = |line: &Value| (&line["method"], &line["path"]) == (&json!(method), &json!(path));
        let line = gateway.access_logged(answered).await.unwrap();
        assert_eq!((&line["status"], &line["details"]), (&json!(status), &json!("dcr_allowed")), "{line}");
    }

    let output = desk.run(&format!("{settings}\nexport SCOPE='openid accounts'\n{start}")).await;
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("token: for openid accounts, for 600 seconds"), "{program}: {printed}");

    let output = desk.run(&format!("{settings}\nexport SIGNING_KID=another\n{start}")).await;
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && output.stdout.is_empty(), "{program}: {complaint}");
    assert!(complaint.starts_with("refused: ") && complaint.contains("(rule JO-13)"), "{program}: {complaint}");

    let output = desk.run(&start).await;
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && complaint.contains("set ISSUER"), "{program}: {complaint}");

    let output = desk.run(&format!("{start} --help")).await;
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{program}: {help}");
    for setting in SETTINGS {
        assert!(help.contains(&format!("\n  {setting} ")), "{program} does not explain {setting}: {help}");
    }
}

const SETTINGS: [&str; 8] =
    ["ISSUER", "STATEMENT", "SIGNING_KEY", "SIGNING_KID", "TRANSPORT_CERTIFICATE", "TRANSPORT_KEY", "CA", "SCOPE"];

/// A folder that looks like the project's after `make run`, for the commands of the page.
struct Desk {
    folder: PathBuf,
    environment: BTreeMap<&'static str, OsString>,
}

impl Desk {
    fn new(gateway: &Gateway, program: &str) -> Self {
        let files = gateway.folder();
        let statement = gateway.software_statement(&PKI.tpp).sign(&PKI.directory).unwrap();
        std::fs::write(files.join("tpp/ssa.jwt"), statement).unwrap();
        std::fs::write(files.join("gateway.env"), format!("ISSUER={}\n", gateway.url())).unwrap();

        let folder = files.join("desk");
        let (examples, target) = (folder.join("examples/third-party"), folder.join("target"));
        std::fs::create_dir_all(&examples).unwrap();
        std::fs::create_dir_all(&target).unwrap();
        std::os::unix::fs::symlink(files, target.join("dev")).unwrap();
        let source = project_folder().join("examples/third-party").join(program);
        std::fs::copy(source, examples.join(program)).unwrap();
        // A proxy cannot reach this machine's loopback.
        Self { folder, environment: BTreeMap::from([("no_proxy", "localhost".into())]) }
    }

    async fn run(&self, commands: &str) -> Output {
        let mut command = Command::new("sh");
        command.args(["-euc", commands]).current_dir(&self.folder).envs(&self.environment).kill_on_drop(true);
        for setting in SETTINGS {
            command.env_remove(setting);
        }
        let finished = tokio::time::timeout(LONGEST, command.output()).await;
        finished.unwrap_or_else(|_| panic!("hangs: {commands}")).unwrap()
    }
}

/// The settings of the page's commands, and the command that starts this program.
fn commands(interpreter: &str, program: &str) -> (String, String) {
    let start = format!("{interpreter} examples/third-party/{program}");
    let block = blocks("sh").into_iter().find(|block| block.lines().any(|line| line == start));
    let block = block.unwrap_or_else(|| panic!("{PAGE} does not say {start}"));
    let settings = block.lines().filter(|line| !line.contains("examples/"));
    (settings.collect::<Vec<_>>().join("\n"), start)
}

#[test]
fn the_code_of_the_page_is_that_of_the_example() {
    let example = std::fs::read_to_string(project_folder().join("examples/third-party/register.py")).unwrap();
    let shown = blocks("python");
    assert!(shown.len() > 3, "{}", shown.len());
    for block in shown {
        assert!(example.contains(&block), "register.py does not have this:\n{block}");
    }
}

#[tokio::test]
async fn the_usual_mistakes_get_the_answers_of_the_page() {
    if !has_curl_and_openssl() {
        return;
    }
    let scene = Scene::open().await;
    let rows = rows();
    let answers = scene.make_all_mistakes().await;
    assert_eq!(rows.len(), answers.len(), "a mistake is not tried, or not on the page");
    for (row, answer) in rows.iter().zip(&answers) {
        let body = answer.json();
        let description = body["error_description"].as_str().unwrap_or_default();
        let rule = description.rsplit_once("(rule ").and_then(|(_, rule)| rule.strip_suffix(')'));
        let told = (answer.status, body["error"].as_str().unwrap_or_default(), rule.unwrap_or_default());
        assert_eq!(told, (row.status, row.error.as_str(), row.rule.as_str()), "{}: {body}", row.mistake);
    }
}

/// The folder into which make has installed the libraries of a client. `None` if they are not there; `make test` demands them.
fn libraries(client: &str) -> Option<PathBuf> {
    let folder = project_folder().join(".tools/clients").join(client);
    let is_there = folder.join("installed").is_file();
    assert!(is_there || std::env::var_os("DCR_CLIENTS").is_none(), "{} is not there: `make clients`", folder.display());
    is_there.then_some(folder)
}

fn has_curl_and_openssl() -> bool {
    let runs = |program| std::process::Command::new(program).arg("version").output().is_ok();
    runs("curl") && runs("openssl")
}

/// A row of the page's table of mistakes.
struct Row {
    mistake: String,
    status: u16,
    error: String,
    rule: String,
}

fn rows() -> Vec<Row> {
    let numbered =
        |line: &&str| line.strip_prefix("| ").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let page = page();
    let rows = page.lines().filter(numbered).map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [_, mistake, answer, rule, _] = cells.as_slice() else { panic!("{line}") };
        let (status, error) = answer.split_once(' ').unwrap();
        Row {
            mistake: (*mistake).to_owned(),
            status: status.parse().unwrap(),
            error: error.trim_matches('`').to_owned(),
            rule: (*rule).to_owned(),
        }
    });
    rows.collect()
}

/// The code blocks of the page in this language.
fn blocks(language: &str) -> Vec<String> {
    let (page, opening) = (page(), format!("```{language}\n"));
    page.split(&opening).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

fn page() -> String {
    std::fs::read_to_string(project_folder().join(PAGE)).unwrap()
}

/// A bank that takes statements of one hour at most, and a third party with a second signing key, for ES256.
struct Scene {
    gateway: Gateway,
    tpp: Tpp,
    es256: SigningKey,
}

impl Scene {
    async fn open() -> Self {
        let builder = Gateway::builder(PKI.clone()).directory(json!({ "statements": { "max_age": "1h" } }));
        let gateway = builder.start().await.unwrap();
        let tpp = gateway.client(Some(&PKI.tpp.transport)).unwrap();
        let es256 = SigningKey::generate_es256();
        let keys = json!({ "keys": [PKI.tpp.signing.public_jwk(), es256.public_jwk()] });
        gateway.directory().publish(&PKI.tpp.software.key_set_path(), keys);
        Self { gateway, tpp, es256 }
    }

    /// The answers to the mistakes, in the order of the page.
    async fn make_all_mistakes(&self) -> Vec<Answer> {
        let (request, now, key) = (|| self.request(), mint::now(), &PKI.tpp.signing);
        let signed = |token: Token| token.sign(key).unwrap();
        let used = signed(request());
        let registered = self.register(&used).await;
        assert_eq!(registered.status, 201, "{}", registered.json());
        let client_id = registered.member("client_id").unwrap();

        let statement = self.gateway.software_statement(&PKI.tpp).claim("iat", now - 2 * 60 * 60);
        let old = request().claim("software_statement", statement.sign(&PKI.directory).unwrap());
        let es256 = request().sign(&self.es256).unwrap();
        let mut backwards: Vec<String> =
            PKI.tpp.transport.subject_dn().unwrap().split(',').map(str::to_owned).collect();
        backwards.reverse();
        vec![
            self.register(&signed(request().claim("aud", "https://another.example"))).await,
            self.register(&signed(request().claim("iat", now - 600).claim("exp", now - 300))).await,
            self.register(&signed(request().claim("iat", now + 120))).await,
            self.register(&signed(request().claim("exp", (now + 300) * 1000))).await,
            self.register(&used).await,
            self.register(&request().sign_as(key, Algorithm::Rs256).unwrap()).await,
            self.register(&self.with_salt_of_222(&used).await).await,
            self.register(&with_signature_in_der(&es256)).await,
            self.register(&signed(request().header("kid", "another"))).await,
            self.register(&format!("{}\n", signed(request()))).await,
            self.send_json(&signed(request())).await,
            self.register(&signed(old)).await,
            self.register(&signed(request().claim("redirect_uris", json!(["https://elsewhere.example/"])))).await,
            self.register(&signed(request().claim("scope", "openid fundsconfirmations"))).await,
            self.register(&signed(request().without("token_endpoint_auth_signing_alg"))).await,
            self.register(&signed(request().for_tls_client_auth(&backwards.join(",")))).await,
            self.of_other_software().register(&signed(request())).await.unwrap(),
            self.gateway.client(None).unwrap().register(&signed(request())).await.unwrap(),
            self.assert_to_fapi2(&client_id).await,
            self.retrieve_over_another_certificate(&client_id).await,
        ]
    }

    fn request(&self) -> Token {
        self.gateway.registration_request(&PKI.tpp).unwrap()
    }

    async fn register(&self, request: &str) -> Answer {
        self.tpp.register(request).await.unwrap()
    }

    fn of_other_software(&self) -> Tpp {
        self.gateway.client(Some(&PKI.other_tpp.transport)).unwrap()
    }

    async fn send_json(&self, request: &str) -> Answer {
        let post = self.tpp.request(Method::POST, &self.tpp.endpoints.registration);
        self.tpp.send(post.header("content-type", "application/json").body(request.to_owned())).await.unwrap()
    }

    /// The token with another signature of the same key, as openssl makes it with this length of the salt.
    async fn with_salt_of_222(&self, token: &str) -> String {
        let (signing_input, _) = token.rsplit_once('.').unwrap();
        let key = self.gateway.folder().join("tpp/signing.key");
        let signature = openssl_pss(&key, signing_input.as_bytes(), 222).await;
        format!("{signing_input}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }

    async fn assert_to_fapi2(&self, client_id: &str) -> Answer {
        let gateway = Gateway::builder(PKI.clone()).plugin(json!({ "profile": "fapi2" })).start().await.unwrap();
        let assertion = mint::client_assertion(client_id, gateway.url()).claim("aud", json!([gateway.url()]));
        let assertion = assertion.sign(&PKI.tpp.signing).unwrap();
        let tpp = gateway.client(Some(&PKI.tpp.transport)).unwrap();
        tpp.token_by_assertion(&assertion, None).await.unwrap()
    }

    async fn retrieve_over_another_certificate(&self, client_id: &str) -> Answer {
        let assertion = self.gateway.client_assertion(client_id).sign(&PKI.tpp.signing).unwrap();
        let token = self.tpp.token_by_assertion(&assertion, None).await.unwrap();
        assert_eq!(token.status, 200, "{}", token.json());
        let token = token.member("access_token").unwrap();
        self.of_other_software().retrieve(client_id, &token).await.unwrap()
    }
}

async fn openssl_pss(key: &Path, message: &[u8], salt: usize) -> Vec<u8> {
    let mut command = Command::new("openssl");
    command.args(["dgst", "-sha256", "-binary", "-sign"]).arg(key);
    command.args(["-sigopt", "rsa_padding_mode:pss", "-sigopt", &format!("rsa_pss_saltlen:{salt}")]);
    let mut openssl = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    openssl.stdin.take().unwrap().write_all(message).await.unwrap();
    let output = openssl.wait_with_output().await.unwrap();
    assert!(output.status.success() && output.stdout.len() == 256, "{output:?}");
    output.stdout
}

/// The token with its ES256 signature as an ECDSA-Sig-Value (RFC 3279 section 2.2.3).
fn with_signature_in_der(token: &str) -> String {
    let (signing_input, signature) = token.rsplit_once('.').unwrap();
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
    let integer = |number: &[u8]| {
        let zeros = number.iter().take_while(|octet| **octet == 0).count();
        let sign: &[u8] = if number[zeros] < 0x80 { &[] } else { &[0] };
        let octets = [sign, &number[zeros..]].concat();
        [&[2, u8::try_from(octets.len()).unwrap()], octets.as_slice()].concat()
    };
    let (r, s) = signature.split_at(32);
    let numbers = [integer(r), integer(s)].concat();
    let der = [&[0x30, u8::try_from(numbers.len()).unwrap()], numbers.as_slice()].concat();
    format!("{signing_input}.{}", BASE64_URL_SAFE_NO_PAD.encode(der))
}
