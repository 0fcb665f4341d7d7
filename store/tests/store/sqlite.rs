//! The suite over SQLite, and tests that only a SQLite file needs: damage, and two processes with one file.

use std::any::Any;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request};
use dcr_store::clock::Clock;
use dcr_store::database::Database;
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::suite::atomicity::{one_client, one_token, outcomes};
use crate::suite::every_case;
use crate::support::{
    Answer, Fixture, PROGRAM, Process, Rig, asking_for_token, configured, creation, form_request, new_client, now_jti,
    post,
};

every_case!(crate::sqlite::open);

/// Opens a database in its own folder.
pub(crate) async fn open(clock: Clock) -> SqliteFile {
    SqliteFile::open_in(tempfile::tempdir().unwrap(), clock).await
}

/// A database file in its own folder.
pub(crate) struct SqliteFile {
    database: Database,
    folder: TempDir,
}

impl SqliteFile {
    async fn open_in(folder: TempDir, clock: Clock) -> Self {
        let url = format!("sqlite:{}", file_in(folder.path()).display());
        Self { database: Database::open(&url, clock).await.unwrap(), folder }
    }
}

impl Fixture for SqliteFile {
    fn database(&self) -> Database {
        self.database.clone()
    }

    fn block_writers(&self) -> Box<dyn Any> {
        let other = Connection::open(file_in(self.folder.path())).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        Box::new(other)
    }
}

fn file_in(folder: &Path) -> PathBuf {
    folder.join("store.db")
}

#[tokio::test]
async fn a_damaged_record_is_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    let file = file_in(folder.path());
    let rig = Rig::over(async |clock| SqliteFile::open_in(folder, clock).await).await;
    let path = rig.registered().await;
    let other = Connection::open(file).unwrap();
    other.execute("UPDATE clients SET record = '{'", []).unwrap();
    rig.get(&path).await.assert_refused(503, "temporarily_unavailable");
}

/// A write that is counted is a write that was committed: another connection sees it.
#[tokio::test(start_paused = true)]
async fn however_many_ask_for_readiness_it_is_proved_once_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let file = file_in(folder.path());
    let rig = Rig::over(async |clock| SqliteFile::open_in(folder, clock).await).await;
    let other = Connection::open(file).unwrap();
    let writes = || other.query_row("SELECT writes FROM readiness", [], |row| row.get::<_, i64>(0)).unwrap();
    // The paused clock does not advance by itself while a task is busy.
    let busy = tokio::spawn(async {
        loop {
            tokio::task::yield_now().await;
        }
    });
    for second in 1..=3 {
        let (one, other) = tokio::join!(rig.get("/readyz"), rig.get("/readyz"));
        one.assert_status(200);
        other.assert_status(200);
        for _ in 0..20 {
            rig.get("/readyz").await.assert_status(200);
        }
        assert_eq!(writes(), second);
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    busy.abort();
}

/// A caller that goes away before the answer does not cause another write, and the write goes on.
#[tokio::test]
async fn probes_that_are_given_up_share_a_write_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = file_in(folder.path());
    let rig = Rig::over(async |clock| SqliteFile::open_in(folder, clock).await).await;
    let blocked = rig.fixture.block_writers();
    for _ in 0..20 {
        let mut given_up = Box::pin(rig.get("/readyz"));
        assert!(given_up.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    let release = async { drop(blocked) };
    let (answer, ()) = tokio::join!(rig.get("/readyz"), release);
    answer.assert_status(200);
    let other = Connection::open(file).unwrap();
    let writes: i64 = other.query_row("SELECT writes FROM readiness", [], |row| row.get(0)).unwrap();
    assert_eq!(writes, 1);
}

/// The limit on the size of files stands for a disk that takes nothing more: reads go on, and writes fail.
#[tokio::test]
async fn a_disk_that_takes_no_write_is_not_ready_until_it_does() {
    let folder = tempfile::tempdir().unwrap();
    // A process that is told to ignore SIGXFSZ gets an error from the write instead.
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", PROGRAM]);
    let store = Process::spawn(folder.path(), &mut configured(shell, folder.path())).await;
    let get = |path: &str| store.send(Request::get(path).body(Body::empty()).unwrap());
    let client = store.send(creation(&new_client(json!([])))).await.of_one().assert_status(201).member("client_id");
    get("/readyz").await.assert_status(200);

    let unlimited = store.limit_files(Some(0));
    store.answers("/readyz", 503).await;
    get("/healthz").await.assert_status(200);
    get(&format!("/v1/clients/{client}")).await.assert_status(200);
    store.send(creation(&new_client(json!([])))).await.assert_refused(503, "temporarily_unavailable");

    store.limit_files(unlimited);
    store.answers("/readyz", 200).await;
    store.send(creation(&new_client(json!([])))).await.of_one().assert_status(201);
}

/// A token that one process has registered is known to the other. A token that one process has deleted is unknown to the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_registration_access_token_is_known_and_dead_in_both_processes() {
    let pair = Pair::start().await;
    let [one, other] = &*pair.processes;
    let created = one.send(creation(&asking_for_token(new_client(json!([]))))).await.of_one();
    let form = format!("token={}", created.assert_status(201).member("registration_access_token"));
    let known = other.send(form_request("/v1/tokens/introspect", &form)).await;
    assert_eq!(known.assert_status(200).body["token_use"], "registration");

    let mut delete = post(&format!("/v1/clients/{}", created.member("client_id")), &json!(null));
    *delete.method_mut() = Method::DELETE;
    other.send(delete).await.assert_status(204);
    let dead = one.send(form_request("/v1/tokens/introspect", &form)).await;
    assert_eq!(dead.assert_status(200).body, json!({ "active": false }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_50_identical_creates_over_two_processes_one_wins() {
    let pair = Pair::start().await;
    let body = one_client(&asking_for_token(new_client(json!([now_jti("contested")]))));
    let answers = pair.all_at_once(50, "/v1/clients", &body).await;
    assert_eq!(outcomes(&answers), BTreeMap::from([("201".to_owned(), 1), ("409 replayed".to_owned(), 49)]));
    let won = answers.iter().find(|answer| answer.status.as_u16() == 201).unwrap();
    let form = format!("token={}", won.member("registration_access_token"));
    let active = pair.processes[0].send(form_request("/v1/tokens/introspect", &form)).await;
    assert_eq!(active.assert_status(200).body["client_id"], won.body["client_id"]);
}

/// A transaction that took the write lock only after reading would fail if another one wrote in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_in_two_processes_wait_for_each_other() {
    let pair = Pair::start().await;
    let created = pair.processes[0].send(creation(&new_client(json!([])))).await.of_one();
    let body = one_token(&created.assert_status(201).member("client_id"));
    let answers = pair.all_at_once(60, "/v1/tokens", &body).await;
    assert_eq!(outcomes(&answers), BTreeMap::from([("201".to_owned(), 60)]));
}

/// Two processes with one file. Their locks meet in SQLite, not in a pool.
struct Pair {
    processes: Arc<[Process; 2]>,
    _folder: TempDir,
}

impl Pair {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let one = Process::start(folder.path(), &[]).await;
        let beside = folder.path().join("other");
        std::fs::create_dir(&beside).unwrap();
        let other = Process::start(&beside, &["--database", "sqlite:../store.db"]).await;
        Self { processes: Arc::new([one, other]), _folder: folder }
    }

    async fn all_at_once(&self, requests: usize, path: &str, body: &Value) -> Vec<Answer> {
        let mut running = JoinSet::new();
        for number in 0..requests {
            let (processes, request) = (self.processes.clone(), post(path, body));
            running.spawn(async move { processes[number % 2].send(request).await.of_one() });
        }
        running.join_all().await
    }
}
