//! Helpers of all tests: the router over its own database, short requests, and the binary as a process.

use std::any::Any;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use dcr_store::clock::Clock;
use dcr_store::credential::Credential;
use dcr_store::database::Database;
use dcr_store::spans::Spans;
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::openapi::{self, Sent};
use crate::sqlite;

/// The time of the routers' clocks at the start of a test.
pub(crate) const NOW: i64 = 1_643_090_861;

/// The caller's trace and span, as a header.
pub(crate) const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A complete answer. If the body is not JSON, it is `Null`; see `text`.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    pub(crate) body: Value,
}

impl Answer {
    async fn read<B>(response: axum::http::Response<B>) -> Self
    where
        B: axum::body::HttpBody,
        B::Error: std::fmt::Debug,
    {
        let (parts, body) = response.into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        let body = serde_json::from_str(&text).unwrap_or_default();
        Self { status: parts.status, headers: parts.headers, text, body }
    }

    /// The reply for the one client or token in the request, as if it were the answer. A request that was refused as a whole stays
    /// unchanged.
    pub(crate) fn of_one(mut self) -> Self {
        let all = ["/clients", "/tokens"].into_iter().find(|all| self.body.pointer(all).is_some()).unwrap_or_default();
        if let Some([reply]) = self.body.pointer_mut(all).and_then(Value::as_array_mut).map(Vec::as_mut_slice) {
            let status = reply.as_object_mut().unwrap().remove("status").unwrap();
            self.status = StatusCode::from_u16(status.as_u64().unwrap().try_into().unwrap()).unwrap();
            self.body = reply.take();
        }
        self
    }

    /// Asserts a refusal: its status, its code, a description, for a replay the index of the `jti`, and no other members.
    #[track_caller]
    pub(crate) fn assert_refused(&self, status: u16, error: &str) {
        assert_eq!((self.status.as_u16(), self.body["error"].as_str()), (status, Some(error)), "{self:?}");
        let members: Vec<&String> = self.body.as_object().unwrap().keys().collect();
        let expected = ["error", "error_description", "replayed"];
        assert_eq!(members, expected.split_at(if error == "replayed" { 3 } else { 2 }).0);
        assert!(!self.body["error_description"].as_str().unwrap().is_empty());
        assert_eq!(self.header("content-type"), "application/json");
    }

    #[track_caller]
    pub(crate) fn assert_status(&self, status: u16) -> &Self {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name} in {self:?}")).to_str().unwrap()
    }

    #[track_caller]
    pub(crate) fn member(&self, name: &str) -> String {
        self.body[name].as_str().unwrap_or_else(|| panic!("no {name} in {self:?}")).to_owned()
    }
}

/// A fresh database for one test, with the operations that the suite needs besides its interface.
pub(crate) trait Fixture: Send + Sync {
    /// The database.
    fn database(&self) -> Database;

    /// Makes every operation that writes wait until the returned value is dropped. Operations that read go on.
    fn block_writers(&self) -> Box<dyn Any>;
}

/// The router over its own database, with a clock that the test sets.
pub(crate) struct Rig {
    pub(crate) router: Router,
    pub(crate) database: Database,
    pub(crate) fixture: Box<dyn Fixture>,
    clock: Clock,
    time: Arc<AtomicI64>,
}

impl Rig {
    /// Over SQLite, for tests that do not depend on the kind of database.
    pub(crate) async fn new() -> Self {
        Self::over(sqlite::open).await
    }

    pub(crate) async fn with_credential(credential: Option<Credential>) -> Self {
        let mut rig = Self::new().await;
        rig.router = dcr_store::api::router(rig.database.clone(), rig.clock.clone(), credential, Spans::none());
        rig
    }

    /// Over the database that `open` opens with this clock.
    pub(crate) async fn over<F: Fixture + 'static>(open: impl AsyncFnOnce(Clock) -> F) -> Self {
        let time = Arc::new(AtomicI64::new(NOW));
        let clock = Clock::from_fn({
            let time = time.clone();
            move || time.load(Ordering::SeqCst)
        });
        let fixture = Box::new(open(clock.clone()).await);
        let database = fixture.database();
        let router = dcr_store::api::router(database.clone(), clock.clone(), None, Spans::none());
        Self { router, database, fixture, clock, time }
    }

    pub(crate) fn set_time(&self, now: i64) {
        self.time.store(now, Ordering::SeqCst);
    }

    /// Sends a request, and checks the answer against the OpenAPI document.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let sent = request.extensions().get().cloned();
        let answer = Answer::read(self.router.clone().oneshot(request).await.unwrap()).await;
        openapi::check(&method, &path, sent.as_ref(), &answer);
        answer
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(post(path, body)).await
    }

    pub(crate) async fn put(&self, path: &str, version: &str, body: &Value) -> Answer {
        let mut request = post(path, body);
        *request.method_mut() = axum::http::Method::PUT;
        request.headers_mut().insert("if-match", version.parse().unwrap());
        self.send(request).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Request::delete(path).body(Body::empty()).unwrap()).await
    }

    /// Requests one client.
    pub(crate) async fn create(&self, client: &Value) -> Answer {
        self.send(creation(client)).await.of_one()
    }

    /// Requests one token for the client with this path.
    pub(crate) async fn issue(&self, client: &str, token: &Value) -> Answer {
        self.send(issue(client, token)).await.of_one()
    }

    pub(crate) async fn form(&self, path: &str, form: &str) -> Answer {
        self.send(form_request(path, form)).await
    }

    /// Creates a client and returns its path.
    pub(crate) async fn registered(&self) -> String {
        let created = self.create(&new_client(json!([]))).await;
        format!("/v1/clients/{}", created.assert_status(201).member("client_id"))
    }
}

pub(crate) fn post(path: &str, body: &Value) -> Request<Body> {
    let request = Request::post(path).header("content-type", "application/json").extension(Sent(body.clone()));
    request.body(Body::from(body.to_string())).unwrap()
}

/// A request for one client.
pub(crate) fn creation(client: &Value) -> Request<Body> {
    post("/v1/clients", &json!({ "clients": [client] }))
}

/// A request for one token, for the client with this path.
pub(crate) fn issue(client: &str, token: &Value) -> Request<Body> {
    let mut token = token.clone();
    if let Some(members) = token.as_object_mut() {
        members.insert("client_id".to_owned(), json!(client.trim_start_matches("/v1/clients/")));
    }
    post("/v1/tokens", &json!({ "tokens": [token] }))
}

pub(crate) fn form_request(path: &str, form: &str) -> Request<Body> {
    let request = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
    request.body(Body::from(form.to_owned())).unwrap()
}

pub(crate) fn software() -> Value {
    json!({ "issuer": "OpenBanking Ltd", "id": "sgsMuc8ACBgBzinpr8oJ8B" })
}

pub(crate) fn jti(jti: &str) -> Value {
    jti_until(jti, NOW + 600)
}

pub(crate) fn jti_until(jti: &str, expires_at: i64) -> Value {
    json!({ "issuer": "OpenBanking Ltd request", "jti": jti, "expires_at": expires_at })
}

/// A jti that the clock of a process accepts.
pub(crate) fn now_jti(jti: &str) -> Value {
    jti_until(jti, Clock::system().now() + 600)
}

pub(crate) fn new_client(consume_jti: Value) -> Value {
    json!({
        "software": software(),
        "single_registration": false,
        "consume_jti": consume_jti,
        "record": { "redirect_uris": ["https://tpp.example/cb"], "nested": { "number": 1.5, "null": null } },
    })
}

/// The same body, with a request for a registration access token.
pub(crate) fn asking_for_token(mut body: Value) -> Value {
    body["registration_access_token"] = json!(true);
    body
}

pub(crate) fn replacement(consume_jti: Value) -> Value {
    json!({ "software": software(), "consume_jti": consume_jti, "record": { "replaced": true } })
}

pub(crate) fn new_token(consume_jti: Value) -> Value {
    json!({
        "scope": "accounts openid",
        "expires_in": 600,
        "cnf": { "x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2" },
        "consume_jti": consume_jti,
    })
}

/// `value`, with another member at `pointer`.
pub(crate) fn with(mut value: Value, pointer: &str, replaced: Value) -> Value {
    *value.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = replaced;
    value
}

/// The running binary, over the database of a folder. It is killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) url: String,
    client: Client<HttpConnector, Body>,
}

impl Process {
    /// Starts the binary on a free port, and waits until it reports that it serves.
    pub(crate) async fn start(folder: &Path, more: &[&str]) -> Self {
        Self::spawn(folder, command(folder).args(more)).await
    }

    /// Starts this command for the binary in `folder`, and waits until it reports that it serves.
    pub(crate) async fn spawn(folder: &Path, command: &mut Command) -> Self {
        let ready = folder.join("ready");
        drop(std::fs::remove_file(&ready)); // a killed store leaves its own behind
        let mut child = command.arg("--ready-file").arg(&ready).spawn().unwrap();
        let url = until("the ready file", async || {
            assert_eq!(child.try_wait().unwrap(), None, "the store ended: {}", log(folder));
            std::fs::read_to_string(&ready).ok()
        })
        .await;
        Self { child, url, client: Client::builder(TokioExecutor::new()).build_http() }
    }

    pub(crate) async fn send(&self, mut request: Request<Body>) -> Answer {
        *request.uri_mut() = format!("{}{}", self.url, request.uri()).parse().unwrap();
        Answer::read(self.client.request(request).await.unwrap()).await
    }

    pub(crate) fn address(&self) -> &str {
        self.url.strip_prefix("http://").unwrap()
    }

    /// Kills the process with SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Sets the length in bytes up to which the process can write files. Returns the limit before. `None` means no limit.
    pub(crate) fn limit_files(&self, bytes: Option<u64>) -> Option<u64> {
        let maximum = getrlimit(Resource::Fsize).maximum;
        let limit = Rlimit { current: bytes, maximum };
        prlimit(Some(Pid::from_child(&self.child)), Resource::Fsize, limit).unwrap().current
    }

    /// Asks again and again until the answer has this status. It gives up after half a minute.
    pub(crate) async fn answers(&self, path: &str, status: u16) {
        let ask = async || self.send(Request::get(path).body(Body::empty()).unwrap()).await.status == status;
        until(&format!("{status} of {path}"), async || ask().await.then_some(())).await;
    }

    pub(crate) async fn ended(&mut self) -> ExitStatus {
        until("the store's end", async || self.child.try_wait().unwrap()).await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The path of the binary.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_dcr-store");

/// The command for the binary on a free loopback port, with the database and the log in `folder`.
pub(crate) fn command(folder: &Path) -> Command {
    configured(Command::new(PROGRAM), folder)
}

/// The same for another command that starts the binary.
pub(crate) fn configured(mut command: Command, folder: &Path) -> Command {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("log")).unwrap();
    // Set by environment variables, so that the arguments of a test replace them.
    command.env("DCR_STORE_LISTEN", "127.0.0.1:0").env("DCR_STORE_DATABASE", "sqlite:store.db");
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command
}

pub(crate) fn log(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("log")).unwrap()
}

/// Asks again and again until there is a value. It gives up after half a minute.
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
