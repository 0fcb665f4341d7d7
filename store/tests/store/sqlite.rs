//! The suite over SQLite, and tests that only a SQLite file needs: damage, full disks, and other programs with the same file.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::task::{Context, Waker};
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use dcr_store::clock::Clock;
use dcr_store::database::Database;
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::suite::every_case;
use crate::support::{
    Fixture, PROGRAM, Process, Rig, command, configured, creation, issue, log, new_client, new_token,
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

#[tokio::test]
async fn a_second_store_on_the_same_file_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let first = Process::start(folder.path(), &[]).await;
    let beside = folder.path().join("other");
    std::fs::create_dir(&beside).unwrap();
    std::os::unix::fs::symlink(file_in(folder.path()), beside.join("link.db")).unwrap();
    for database in ["sqlite:../store.db", "sqlite:link.db"] {
        let mut second = command(&beside);
        second.args(["--database", database]);
        let ended = tokio::process::Command::from(second).kill_on_drop(true).status();
        let ended = timeout(Duration::from_secs(30), ended).await.expect("it started").unwrap();
        assert_eq!(ended.code(), Some(1), "{database}");
    }
    let told = log(&beside);
    assert_eq!(told.matches("belongs to another dcr-store that is running").count(), 2, "{told}");
    first.send(creation(&new_client(json!([])))).await.of_one().assert_status(201);

    // The lock ends with the process, even if it is killed.
    first.kill();
    Process::start(&beside, &["--database", "sqlite:link.db"]).await;
}

/// A transaction that took the write lock only after reading would fail if another program wrote in between, or would miss what it wrote.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_another_program_writes_is_waited_for_and_seen() {
    let folder = tempfile::tempdir().unwrap();
    let store = Process::start(folder.path(), &[]).await;
    let client = store.send(creation(&new_client(json!([])))).await.of_one().assert_status(201).member("client_id");
    let mut token = new_token(json!([]));
    token["version"] = json!(1);
    store.send(issue(&client, &token)).await.of_one().assert_status(201);

    let other = Connection::open(file_in(folder.path())).unwrap();
    other.execute_batch("BEGIN IMMEDIATE; UPDATE clients SET version = 2").unwrap();
    let release = async {
        // By now the request is with the store: it has answered one that came later.
        store.send(Request::get(format!("/v1/clients/{client}")).body(Body::empty()).unwrap()).await.assert_status(200);
        other.execute_batch("COMMIT").unwrap();
    };
    let (refused, ()) = tokio::join!(store.send(issue(&client, &token)), release);
    refused.of_one().assert_refused(412, "version_mismatch");
}
