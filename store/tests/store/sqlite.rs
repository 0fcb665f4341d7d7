//! The suite over SQLite, and tests that only a SQLite file needs: damage, and two processes with one file.

use std::any::Any;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::http::Method;
use dcr_store::clock::Clock;
use dcr_store::database::Database;
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::suite::atomicity::{one_client, one_token, outcomes};
use crate::suite::every_case;
use crate::support::{
    Answer, Fixture, Process, Rig, asking_for_token, creation, form_request, new_client, now_jti, post,
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
