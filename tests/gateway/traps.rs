//! The traps: input from a real Envoy, or behaviour of Envoy, that a filter does not expect. Each is tried here.
//!
//! Most tests share one Envoy with many [`doors`]: listeners that differ from the shipped one in one respect. The `x-request-id` of an
//! answer identifies the request in the logs, so tests do not disturb each other.

mod bodies;
mod caches;
mod certificates;
mod configuration;
mod connections;
mod doors;
mod forward;
mod handshakes;
mod headers;
mod key_sets;
mod module;
mod paths;
mod revocation;
mod scripted_store;
mod store;
mod together;
pub(crate) mod wire;
mod withheld;

use std::fs::File;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use dcr_cli::client::Answer;
use dcr_cli::mint::Token;
use dcr_dev::Gateway;
use dcr_dev::process::wait_for;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::{PKI, forwarded};

/// The longest wait for an answer. It is long, because a machine that builds and tests at the same time is slow.
const START_TIMEOUT: Duration = Duration::from_secs(60);

const REGISTRATION: &str = "/open-banking/v3.3.0/register";

/// Runs a test on a runtime that all tests share. A connection of a shared gateway must outlive the test that opened it.
fn run<T>(test: impl Future<Output = T>) -> T {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
    RUNTIME.block_on(test)
}

/// Checks again and again until there is a value.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    wait_for(what, Path::new(env!("CARGO_TARGET_TMPDIR")), async || Ok(look().await)).await.unwrap()
}

/// An empty folder for a gateway whose files a test reads. It is in cargo's target folder, and the next run uses it again.
fn empty_folder(name: &str) -> PathBuf {
    // Test runs at the same time have different folders. The lock ends with the process.
    static OURS: LazyLock<(PathBuf, File)> = LazyLock::new(|| {
        let traps = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("traps");
        std::fs::create_dir_all(&traps).unwrap();
        let free = (0..).find_map(|number: u32| {
            let lock = File::create(traps.join(format!("{number}.lock"))).unwrap();
            lock.try_lock().is_ok().then(|| (traps.join(number.to_string()), lock))
        });
        free.unwrap()
    });
    let folder = OURS.0.join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// A registration request of the first third party that passes every check.
fn good_request(gateway: &Gateway) -> Token {
    gateway.registration_request(&PKI.tpp).unwrap()
}

fn signed(request: &Token) -> String {
    request.sign(&PKI.tpp.signing).unwrap()
}

/// A refusal by the gate: status, `error`, rule, reason.
struct Refused(u16, &'static str, &'static str, &'static str);

const NO_CERTIFICATE: Refused = Refused(401, "invalid_client", "RG-01", "client_certificate_missing");
const CERTIFICATE_UNREADABLE: Refused = Refused(401, "invalid_client", "RG-01", "client_certificate_unreadable");
const MEDIA_TYPE: Refused = Refused(400, "invalid_client_metadata", "RG-02", "media_type_unsupported");
const BODY_TOO_LARGE: Refused = Refused(413, "invalid_client_metadata", "RG-13", "body_too_large");
const WRONG_METHOD: Refused = Refused(405, "invalid_request", "RG-14", "method_not_allowed");
const NEAR_MISS: Refused = Refused(400, "invalid_request", "GW-02", "path_not_canonical");
const NOT_A_JWS: Refused = Refused(400, "invalid_client_metadata", "JO-01", "jws_malformed");
const FOREIGN_REDIRECT_URI: Refused = Refused(400, "invalid_redirect_uri", "MD-01", "redirect_uri_not_in_statement");
const NO_GRANT_TYPE: Refused = Refused(400, "invalid_request", "CA-20", "grant_type_missing");
const NO_TOKEN: Refused = Refused(401, "invalid_token", "AT-05", "token_missing");
const TOKEN_WITHOUT_CERTIFICATE: Refused = Refused(401, "invalid_token", "AT-03", "token_without_certificate");
const ANOTHERS_CERTIFICATE: Refused =
    Refused(400, "invalid_software_statement", "CB-04", "transport_certificate_of_another");
const STORE_UNAVAILABLE: Refused = Refused(503, "temporarily_unavailable", "GW-01", "store_unavailable");

impl Refused {
    /// The answer has exactly this content.
    fn check_answer(&self, answer: &Answer, of: &str) {
        let Self(status, error, rule, _) = *self;
        let body = answer.json();
        assert_eq!((answer.status, &body["error"]), (status, &json!(error)), "{of}: {}", text(answer));
        assert_eq!(body.as_object().unwrap().len(), 2, "{of}: {body}");
        let description = body["error_description"].as_str().unwrap();
        assert!(description.ends_with(&format!("(rule {rule})")), "{of}: {description}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{of}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{of}");
    }

    /// The answer and the access log show this refusal, and the request did not reach the backend.
    async fn check(&self, gateway: &Gateway, answer: &Answer, of: &str) {
        let Self(status, _, rule, reason) = *self;
        self.check_answer(answer, of);
        let logged = access_line(gateway, answer).await;
        let outcome = if status == 503 { "error" } else { "denied" };
        let details = format!("dcr_{outcome}{{{rule}:{reason}}}");
        assert_eq!((&logged["status"], &logged["details"]), (&json!(status), &json!(details)), "{of}: {logged}");
        assert_nothing_upstream(gateway, answer, &logged, of);
    }
}

/// Envoy itself refused the request with its own answer, and the request did not reach the backend.
async fn assert_refused_by_envoy(gateway: &Gateway, answer: &Answer, status: u16, details: &str, of: &str) {
    assert_eq!(answer.status, status, "{of}: {}", text(answer));
    let logged = access_line(gateway, answer).await;
    assert_eq!(&logged["details"], &json!(details), "{of}: {logged}");
    assert_nothing_upstream(gateway, answer, &logged, of);
}

/// The request reached the backend. Returns the backend's description of it.
async fn assert_passed(gateway: &Gateway, answer: &Answer) -> Value {
    assert_eq!((answer.status, answer.member("backend").as_deref()), (200, Some("echo")), "{}", text(answer));
    let logged = access_line(gateway, answer).await;
    assert!(logged["details"] == "via_upstream" && logged["upstream_host"].is_string(), "{logged}");
    answer.json()["request"].clone()
}

/// The gate itself answered the registration with 201.
async fn assert_registered(gateway: &Gateway, answer: &Answer, of: &str) -> String {
    assert_eq!(answer.status, 201, "{of}: {}", text(answer));
    let logged = access_line(gateway, answer).await;
    assert_eq!(logged["details"], "dcr_allowed", "{of}: {logged}");
    assert_nothing_upstream(gateway, answer, &logged, of);
    answer.member("client_id").unwrap()
}

fn assert_nothing_upstream(gateway: &Gateway, answer: &Answer, logged: &Value, of: &str) {
    let id = answer.header("x-request-id").unwrap();
    let reached = gateway.backend().requests();
    let mut reached = reached.iter().filter(|request| request["headers"]["x-request-id"] == json!([id]));
    if *forwarded::IS_ON {
        assert!(reached.all(|request| request["body_bytes"] == 0), "the body of {of} reached the backend");
        return;
    }
    assert!(logged["upstream_host"].is_null(), "{of}: {logged}");
    assert!(matches!(logged["upstream_bytes_sent"].as_u64(), None | Some(0)), "{of}: {logged}");
    assert!(reached.next().is_none(), "{of} reached the backend");
}

/// The line of the access log for this answer.
async fn access_line(gateway: &Gateway, answer: &Answer) -> Value {
    let id = answer.header("x-request-id").unwrap_or_else(|| panic!("no x-request-id: {}", text(answer)));
    gateway.access_logged(|line| line["request_id"] == id).await.unwrap()
}

fn text(answer: &Answer) -> String {
    format!("{} {:?} {}", answer.status, answer.headers, String::from_utf8_lossy(&answer.body))
}

fn assert_no_panic(gateway: &Gateway) {
    let log = gateway.envoy_log();
    let panicked = log.lines().find(|line| line.contains("panicked") || line.contains("Function failed"));
    assert!(panicked.is_none(), "{panicked:?}");
}
