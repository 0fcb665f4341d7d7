//! The real binary: what it refuses at start, what remains after a kill, and how it stops.

use std::path::Path;
use std::process::Stdio;

use axum::body::Body;
use axum::http::{Method, Request};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{
    Process, asking_for_token, command, creation, form_request, issue, log, new_client, new_token, now_jti, post,
    replacement, until,
};

const CREDENTIAL: &str = "0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn what_was_answered_201_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let create = asking_for_token(new_client(json!([now_jti("a")])));
    let store = Process::start(folder.path(), &[]).await;
    let mut created = store.send(creation(&create)).await.of_one();
    store.kill();

    let store = Process::start(folder.path(), &[]).await;
    let path = format!("/v1/clients/{}", created.assert_status(201).member("client_id"));
    let issued = store.send(issue(&path, &new_token(json!([now_jti("t")])))).await.of_one();
    store.kill();

    let store = Process::start(folder.path(), &[]).await;
    let read = store.send(Request::get(&path).body(Body::empty()).unwrap()).await;
    let registration_token = created.body.as_object_mut().unwrap().remove("registration_access_token").unwrap();
    created.body["record"] = create["record"].clone();
    assert_eq!(read.assert_status(200).body, created.body);
    store.send(creation(&create)).await.of_one().assert_refused(409, "replayed");
    for token in [issued.assert_status(201).member("access_token").as_str(), registration_token.as_str().unwrap()] {
        let introspected = store.send(form_request("/v1/tokens/introspect", &format!("token={token}"))).await;
        assert_eq!(introspected.assert_status(200).body["active"], true);
    }
    store.send(form_request("/v1/tokens/revoke", &format!("token={}", registration_token.as_str().unwrap()))).await;
    store.kill();

    let store = Process::start(folder.path(), &[]).await;
    let revoked = format!("token={}", registration_token.as_str().unwrap());
    let introspected = store.send(form_request("/v1/tokens/introspect", &revoked)).await;
    assert_eq!(introspected.assert_status(200).body, json!({ "active": false }));
}

#[tokio::test]
async fn a_stop_finishes_what_is_in_flight() {
    for signal in [Signal::TERM, Signal::INT] {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Process::start(folder.path(), &[]).await;
        let body = json!({ "clients": [new_client(json!([now_jti("a")]))] }).to_string();
        let mut connection = in_flight(&store, body.len()).await;

        store.signal(signal);
        refusing(&store).await;
        connection.write_all(body.as_bytes()).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");

        assert_eq!(store.ended().await.code(), Some(0), "{}", log(folder.path()));
        assert!(!folder.path().join("ready").exists());
        assert!(!folder.path().join("store.db-wal").exists(), "the log was moved into the file");
        let replies: Value = serde_json::from_str(answer.split("\r\n\r\n").last().unwrap()).unwrap();
        let store = Process::start(folder.path(), &[]).await;
        let path = format!("/v1/clients/{}", replies["clients"][0]["client_id"].as_str().unwrap());
        store.send(Request::get(path).body(Body::empty()).unwrap()).await.assert_status(200);
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Process::start(folder.path(), &[]).await;
    let mut connection = in_flight(&store, 100).await;
    store.signal(Signal::TERM);
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert_eq!(store.ended().await.code(), Some(0), "{}", log(folder.path()));
}

#[tokio::test]
async fn tokens_jti_and_bodies_do_not_reach_the_log_nor_tokens_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let mut store =
        Process::start(folder.path(), &["--log", "trace,hyper=info,hyper_util=info", "--log-format", "json"]).await;
    let create = asking_for_token(new_client(json!([now_jti("jti-of-the-request")])));
    let created = store.send(creation(&create)).await.of_one();
    let registration_token = created.assert_status(201).member("registration_access_token");
    store.send(form_request("/v1/tokens/introspect", &format!("token={registration_token}"))).await.assert_status(200);
    let client = created.member("client_id");
    let mut asked = new_token(json!([now_jti("jti-of-the-assertion")]));
    asked["request_id"] = json!("asked-first");
    let mut request = issue(&client, &asked);
    request.headers_mut().insert("x-request-id", "request-42".parse().unwrap());
    let token = store.send(request).await.of_one().assert_status(201).member("access_token");
    for route in ["introspect", "revoke", "introspect"] {
        store.send(form_request(&format!("/v1/tokens/{route}"), &format!("token={token}"))).await.assert_status(200);
    }
    let mut forged = new_token(json!([]));
    forged["request_id"] = json!("forged\" status=");
    let kept = store.send(issue(&client, &forged)).await.of_one().assert_status(201).member("access_token");

    let on_disk = |name: &str| std::fs::read(folder.path().join(name)).unwrap_or_default();
    let contains = |content: &[u8], text: &str| content.windows(text.len()).any(|window| window == text.as_bytes());
    let running = [on_disk("store.db"), on_disk("store.db-wal")].concat();
    store.signal(Signal::TERM);
    store.ended().await;
    for content in [running, on_disk("store.db")] {
        assert!(contains(&content, "accounts openid"), "the rows were looked at");
        assert!([&token, &kept, &registration_token].iter().all(|token| !contains(&content, token)));
    }

    let log = log(folder.path());
    let line = |wanted: [&str; 2]| -> Value {
        let line = log.lines().find(|line| wanted.iter().all(|text| line.contains(text)));
        serde_json::from_str(line.unwrap_or_else(|| panic!("{wanted:?}"))).unwrap()
    };
    let answered = line(["request-42", "answered"]);
    assert_eq!(answered["status"], 200);
    assert!(answered["duration_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(answered["span"]["method"], "POST");
    assert_eq!(answered["span"]["route"], "/v1/tokens");
    let reply = line(["asked-first", "\"token\""]);
    assert_eq!((&reply["status"], &reply["span"]["request_id"]), (&json!(201), &json!("request-42")));
    assert!(!log.contains("forged"), "an id that could forge a line is left out");
    for secret in [&token, &kept, &registration_token, "jti-of-the-request", "jti-of-the-assertion", "tpp.example"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test]
async fn a_good_walk_logs_no_warning_and_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Process::start(folder.path(), &["--log", "debug", "--log-format", "json"]).await;
    walk(&store).await;
    store.signal(Signal::TERM);
    store.ended().await;

    let log = log(folder.path());
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let answered = lines.iter().filter(|line| line["message"] == "answered").count();
    assert_eq!(answered, 7, "every request of the walk is in the log");
    for line in lines {
        assert!(["INFO", "DEBUG"].contains(&line["level"].as_str().unwrap()), "{line}");
    }
}

#[tokio::test]
async fn a_log_that_cannot_be_written_costs_its_lines_and_nothing_else() {
    let full_disk = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (_, closed_pipe) = std::io::pipe().unwrap();
    for stderr in [Stdio::from(full_disk), Stdio::from(closed_pipe)] {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Process::spawn(folder.path(), command(folder.path()).stderr(stderr)).await;
        walk(&store).await;
        store.signal(Signal::TERM);
        assert_eq!(store.ended().await.code(), Some(0));
    }
}

#[test]
fn a_start_that_fails_without_a_log_has_its_exit_code() {
    let full_disk = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    for arguments in [["--log", "=,="], ["--database", "sqlite::memory:"]] {
        let folder = tempfile::tempdir().unwrap();
        let ended = command(folder.path()).args(arguments).stderr(full_disk()).status().unwrap();
        assert_eq!(ended.code(), Some(1), "{arguments:?}");
    }
}

#[tokio::test]
async fn the_credential_of_the_file_is_demanded() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("credential"), format!("{CREDENTIAL}\n")).unwrap();
    let store = Process::start(folder.path(), &["--credential-file", "credential"]).await;
    let create = || creation(&new_client(json!([])));
    store.send(create()).await.assert_refused(401, "unauthorized");
    let mut with_credential = create();
    with_credential.headers_mut().insert("authorization", format!("Bearer {CREDENTIAL}").parse().unwrap());
    store.send(with_credential).await.of_one().assert_status(201);
    store.send(Request::get("/readyz").body(Body::empty()).unwrap()).await.assert_status(200);
    assert!(!log(folder.path()).contains(CREDENTIAL));
}

/// A URL that looks as if it held a password may do so, although no file has one.
#[tokio::test]
async fn a_password_in_the_url_of_the_database_does_not_reach_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Process::start(folder.path(), &["--database", "sqlite://dcr:pass-word@store.db"]).await;
    store.signal(Signal::TERM);
    store.ended().await;
    assert!(log(folder.path()).contains("sqlite://store.db"), "{}", log(folder.path()));
    for url in ["sqlite://dcr:pass-word@missing/store.db", "postgres://dcr:pass-word@db.example/dcr"] {
        assert_eq!(run_to_end(folder.path(), &["--database", url]), Some(1));
    }
    assert!(!log(folder.path()).contains("pass-word"), "{}", log(folder.path()));
}

#[test]
fn what_cannot_be_served_safely_is_refused_at_start() {
    for (arguments, expected) in [
        (&["--listen", "0.0.0.0:0"][..], "--credential-file"),
        (&["--listen", "[::]:0"], "--danger-no-credential"),
        (&["--credential-file", "missing"], "cannot be read"),
        (&["--credential-file", "weak"], "32 to 512"),
        (&["--database", "postgres://localhost/dcr"], "sqlite:PATH"),
        (&["--database", "sqlite::memory:"], "in memory"),
        (&["--database", "sqlite:missing/store.db"], "its folder must exist"),
        (&["--ready-file", "missing/ready"], "ready file"),
        (&["--log", "=,="], "--log"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("weak"), "secret").unwrap();
        assert_eq!(run_to_end(folder.path(), arguments), Some(1), "{arguments:?}");
        assert!(log(folder.path()).contains(expected), "{arguments:?}: {}", log(folder.path()));
    }
}

#[tokio::test]
async fn the_port_of_another_is_refused_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let store = Process::start(folder.path(), &[]).await;
    let other = tempfile::tempdir().unwrap();
    assert_eq!(run_to_end(other.path(), &["--listen", store.address()]), Some(1));
    assert!(log(other.path()).contains("choose another address or port"));
}

#[tokio::test]
async fn beyond_loopback_it_serves_when_told_that_this_is_meant() {
    let folder = tempfile::tempdir().unwrap();
    let store = Process::start(folder.path(), &["--listen", "0.0.0.0:0", "--danger-no-credential"]).await;
    store.send(Request::get("/readyz").body(Body::empty()).unwrap()).await.assert_status(200);
}

/// Registers, reads, updates, gets a token, introspects, revokes and deletes.
async fn walk(store: &Process) {
    let created = store.send(creation(&new_client(json!([now_jti("a")])))).await.of_one();
    let path = format!("/v1/clients/{}", created.assert_status(201).member("client_id"));
    store.send(Request::get(&path).body(Body::empty()).unwrap()).await.assert_status(200);
    let mut update = post(&path, &replacement(json!([now_jti("b")])));
    *update.method_mut() = Method::PUT;
    update.headers_mut().insert("if-match", "\"1\"".parse().unwrap());
    store.send(update).await.assert_status(200);
    let issued = store.send(issue(&path, &new_token(json!([now_jti("t")])))).await.of_one();
    let form = format!("token={}", issued.assert_status(201).member("access_token"));
    for route in ["introspect", "revoke"] {
        store.send(form_request(&format!("/v1/tokens/{route}"), &form)).await.assert_status(200);
    }
    store.send(Request::delete(&path).body(Body::empty()).unwrap()).await.assert_status(204);
}

/// Runs the binary until it ends by itself. `arguments` replace those that [`command`] sets.
fn run_to_end(folder: &Path, arguments: &[&str]) -> Option<i32> {
    command(folder).args(arguments).status().unwrap().code()
}

/// A request whose head was read, and whose handler waits for the body. Only then the server answers 100.
async fn in_flight(store: &Process, length: usize) -> TcpStream {
    let mut connection = TcpStream::connect(store.address()).await.unwrap();
    let head = format!(
        "POST /v1/clients HTTP/1.1\r\nhost: store\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         expect: 100-continue\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut interim = [0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
    connection.read_exact(&mut interim).await.unwrap();
    assert!(interim.starts_with(b"HTTP/1.1 100 "));
    connection
}

/// Waits until the store accepts no more connections.
async fn refusing(store: &Process) {
    let address = store.address().to_owned();
    until("the store to stop accepting", async || std::net::TcpStream::connect(&address).is_err().then_some(())).await;
}
