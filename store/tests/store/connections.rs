//! The deadlines of a connection, and the bound on their number.

use std::io::ErrorKind;
use std::process::Stdio;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Request, Version};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Process, command, log};

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nhost: store\r\n\r\n";

/// The first bytes of every connection over HTTP/2 (RFC 9113 section 3.4), with an empty SETTINGS frame.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A store with these arguments, and its folder.
async fn store(arguments: &[&str]) -> (Process, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (Process::start(folder.path(), arguments).await, folder)
}

async fn connected(store: &Process, sent: impl AsRef<[u8]>) -> TcpStream {
    let mut connection = TcpStream::connect(store.address()).await.unwrap();
    connection.write_all(sent.as_ref()).await.unwrap();
    connection
}

/// Reads one answer of `/healthz`.
async fn answered(connection: &mut TcpStream) {
    let mut text = String::new();
    while !text.ends_with("{\"status\":\"alive\"}") {
        let mut part = [0; 1024];
        let length = connection.read(&mut part).await.unwrap();
        assert_ne!(length, 0, "closed after {text}");
        text += std::str::from_utf8(&part[..length]).unwrap();
    }
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
}

/// Waits until the store has closed the connection without an answer.
async fn closed(connection: &mut TcpStream) {
    let mut rest = Vec::new();
    let ended = timeout(Duration::from_secs(30), connection.read_to_end(&mut rest)).await.expect("it is still open");
    match ended {
        Ok(_) => assert!(!rest.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&rest)),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
}

#[tokio::test]
async fn a_connection_whose_head_does_not_come_is_closed() {
    let (store, _folder) = store(&["--head-timeout", "200ms"]).await;
    let halves: [&[u8]; 5] = [b"", b"G", b"GET /healthz HTTP/1.1\r\nhost: sto", b"PRI * HTT", HTTP2_PREFACE];
    for half in halves {
        closed(&mut connected(&store, half).await).await;
    }
}

#[tokio::test]
async fn the_head_of_a_later_request_has_the_deadline_too() {
    let (store, _folder) = store(&["--head-timeout", "200ms"]).await;
    let mut connection = connected(&store, HEALTH).await;
    answered(&mut connection).await;
    connection.write_all(b"GET /healthz HTTP/1.1\r\n").await.unwrap();
    closed(&mut connection).await;
}

#[tokio::test]
async fn a_connection_that_waits_for_its_next_request_is_closed_after_the_idle_timeout_only() {
    let (store, _folder) = store(&["--head-timeout", "500ms", "--idle-timeout", "1500ms"]).await;
    let started = Instant::now();
    let mut connection = connected(&store, HEALTH).await;
    answered(&mut connection).await;
    closed(&mut connection).await;
    assert!(started.elapsed() >= Duration::from_millis(1500), "closed after {:?}", started.elapsed());
}

#[tokio::test]
async fn a_request_that_runs_is_not_cut_off_by_the_deadlines_of_the_connection() {
    let (store, _folder) = store(&["--head-timeout", "500ms", "--idle-timeout", "500ms"]).await;
    // The body never comes. Its own deadline is 5 seconds.
    let head =
        "POST /v1/clients HTTP/1.1\r\nhost: store\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n";
    let mut connection = connected(&store, head).await;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn http2_is_served() {
    let (store, _folder) = store(&[]).await;
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    for _ in 0..2 {
        let request =
            Request::get(format!("{}/healthz", store.url)).version(Version::HTTP_2).body(Body::empty()).unwrap();
        let answer = client.request(request).await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, Version::HTTP_2));
    }
}

#[tokio::test]
async fn over_the_bound_a_connection_waits_and_harms_no_other() {
    let (store, folder) = store(&["--max-connections", "2"]).await;
    let mut open = connected(&store, HEALTH).await;
    let mut leaving = connected(&store, HEALTH).await;
    answered(&mut open).await;
    answered(&mut leaving).await;

    let mut waiting = connected(&store, HEALTH).await;
    for _ in 0..20 {
        open.write_all(HEALTH.as_bytes()).await.unwrap();
        answered(&mut open).await;
    }
    let nothing = waiting.try_read(&mut [0]).unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
    assert!(log(folder.path()).contains("--max-connections"));

    drop(leaving);
    answered(&mut waiting).await;
    open.write_all(HEALTH.as_bytes()).await.unwrap();
    answered(&mut open).await;
}

#[test]
fn the_help_names_the_bounds_of_connections() {
    let folder = tempfile::tempdir().unwrap();
    let help = command(folder.path()).arg("--help").stdout(Stdio::piped()).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for setting in ["--max-connections", "--head-timeout", "--idle-timeout"] {
        assert!(help.contains(setting), "{setting}");
    }
}
