use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use rusqlite::Connection;
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::*;
use crate::database::Database;
use crate::model::{Jti, NewClient, Record, Software};

const NOW: i64 = 1_643_090_861;

/// A database in its own folder, whose clock stands still.
struct Rig {
    sqlite: Arc<Sqlite>,
    database: Database,
    folder: TempDir,
}

impl Rig {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = Arc::new(Sqlite::open(&url(&file_in(&folder)), Clock::from_fn(|| NOW)).unwrap());
        Self { database: Database(sqlite.clone()), sqlite, folder }
    }
}

fn file_in(folder: &TempDir) -> PathBuf {
    folder.path().join("store.db")
}

fn url(file: &Path) -> String {
    format!("sqlite:{}", file.display())
}

fn jti(jti: &str, expires_at: i64) -> Jti {
    Jti { issuer: "scope".to_owned(), jti: jti.to_owned(), expires_at }
}

fn new_client(consume_jti: Vec<Jti>) -> NewClient {
    let software = Software { issuer: "OpenBanking Ltd".to_owned(), id: "sgsMuc8ACBgBzinpr8oJ8B".to_owned() };
    NewClient {
        request_id: None,
        traceparent: None,
        software,
        single_registration: false,
        registration_access_token: false,
        consume_jti,
        record: Record::from_text("{}".to_owned()).unwrap(),
    }
}

/// Creates one client.
async fn create_client(database: &Database, new: NewClient) -> Result<WrittenClient, Failure> {
    Ok(database.create_clients(vec![new]).await?.pop().unwrap()?)
}

#[tokio::test]
async fn a_commit_waits_for_the_disk() {
    let rig = Rig::new();
    let settings = rig.sqlite.writer.run(|work| {
        let setting = "SELECT synchronous, journal_mode, foreign_keys FROM pragma_synchronous, pragma_journal_mode, pragma_foreign_keys";
        Ok(work.query_row(setting, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?)
    });
    let (synchronous, journal_mode, foreign_keys): (i64, String, i64) = settings.await.unwrap();
    let full = 2;
    assert_eq!((synchronous, journal_mode.as_str(), foreign_keys), (full, "wal", 1));
}

#[tokio::test]
async fn the_log_is_moved_into_the_file_while_others_write() {
    let rig = Rig::new();
    let held = |name: &str| {
        let content = std::fs::read(rig.folder.path().join(name)).unwrap();
        content.windows(7).any(|window| window == b"in-file")
    };
    let record = Record::from_text(r#"{"in-file":1}"#.to_owned()).unwrap();
    create_client(&rig.database, NewClient { record, ..new_client(vec![]) }).await.unwrap();
    assert!(held("store.db-wal") && !held("store.db"));

    // Another connection has the write lock. Readers do not wait for it.
    let other = Connection::open(file_in(&rig.folder)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    rig.sqlite.checkpoint().await.unwrap();
    assert!(held("store.db"));
}

#[tokio::test]
async fn readers_cannot_write() {
    let rig = Rig::new();
    for reader in [&rig.sqlite.reader, &rig.sqlite.counter] {
        let deleted = reader.run(|data| Ok(data.execute("DELETE FROM clients", [])?)).await;
        assert!(deleted.unwrap_err().to_string().contains("readonly"));
    }
}

#[tokio::test]
async fn the_file_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let rig = Rig::new();
    create_client(&rig.database, new_client(vec![])).await.unwrap();
    for entry in std::fs::read_dir(rig.folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", entry.path().display());
    }
}

#[tokio::test]
async fn only_a_sqlite_file_is_opened() {
    for (url, expected) in [
        ("postgres://localhost/dcr", "SQLite file"),
        ("./dcr-store.db", "sqlite:PATH"),
        ("sqlite::memory:", "in memory"),
        ("sqlite:x.db?mode=memory", "in memory"),
        ("sqlite:x.db?mode=nonsense", "cannot be read"),
        ("sqlite:x.db?mode=ro", "cannot be read"),
        ("sqlite:x.db?mode=rwc&immutable=1", "cannot be read"),
        ("sqlite:x%ff.db", "cannot be read"),
        ("sqlite:", "its folder must exist"),
        ("sqlite:/nowhere/at/all/x.db", "its folder must exist"),
    ] {
        let error = Database::open(url, Clock::system()).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{url}: {error}");
    }
}

#[tokio::test]
async fn a_file_of_something_else_is_not_touched() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let content = "not a database\n".repeat(100);
    std::fs::write(&file, &content).unwrap();
    assert!(matches!(Sqlite::open(&url(file.path()), Clock::system()), Err(OpenError::Connect(_))));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), content);
}

/// Holds the write lock. Operations that write queue, and share one transaction when this one ends.
fn block_writers(rig: &Rig) -> Connection {
    let other = Connection::open(file_in(&rig.folder)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    other
}

#[tokio::test]
async fn a_transaction_that_fails_is_undone_whole_and_the_next_one_is_good() {
    let rig = Rig::new();
    let other = block_writers(&rig);
    let new = new_client(vec![jti("a", NOW + 9)]);
    let broken = rig.sqlite.writer.run(|work| Ok(work.execute_batch("nonsense")?));
    let release = async { other.execute_batch("ROLLBACK").unwrap() };
    let (created, broken, ()) = tokio::join!(create_client(&rig.database, new.clone()), broken, release);
    assert!(matches!(created, Err(Failure::Database(_))), "{created:?}");
    assert!(matches!(broken, Err(Failure::Database(_))), "{broken:?}");
    assert_eq!(rig.database.counts().await.unwrap(), Counts { clients: 0, live_tokens: 0, jti_kept: 0 });
    create_client(&rig.database, new).await.unwrap();
}

/// The clock of the runtime advances only when there is nothing else to do.
#[tokio::test(start_paused = true)]
async fn a_job_that_finds_no_place_in_the_queue_fails() {
    let rig = Rig::new();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let mut running = JoinSet::new();
    let mut run = |operation: Box<dyn FnOnce() + Send>| {
        let sqlite = rig.sqlite.clone();
        running.spawn(async move {
            let done = sqlite.writer.run(move |_| {
                operation();
                Ok(())
            });
            done.await
        });
    };
    run(Box::new(move || released.recv().unwrap()));
    (0..2 * thread::QUEUE_LENGTH).for_each(|_| run(Box::new(|| ())));

    // No other job can end before the first one is released. The job that the writer is running may or may not have left its place in the
    // queue.
    for _ in 0..thread::QUEUE_LENGTH {
        let refused = running.join_next().await.unwrap().unwrap();
        assert!(matches!(refused, Err(Failure::Overloaded)), "{refused:?}");
    }
    release.send(()).unwrap();
    let ended = running.join_all().await;
    let (done, overloaded): (Vec<_>, Vec<_>) = ended.into_iter().partition(Result::is_ok);
    assert!((thread::QUEUE_LENGTH..=thread::QUEUE_LENGTH + 1).contains(&done.len()), "{} done", done.len());
    assert!(overloaded.iter().all(|ended| matches!(ended, Err(Failure::Overloaded))), "{overloaded:?}");
    create_client(&rig.database, new_client(vec![])).await.unwrap();
}

#[tokio::test]
async fn readiness_does_not_wait_behind_the_queue() {
    let rig = Rig::new();
    // Each job waits for a permit.
    let (permit, permits) = std::sync::mpsc::channel::<()>();
    let permits = Arc::new(std::sync::Mutex::new(permits));
    let mut queued = Vec::new();
    let mut poll_once = |mut operation: Pin<Box<dyn Future<Output = Result<(), Failure>>>>| {
        assert!(operation.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        queued.push(operation);
    };
    for _ in 0..=thread::QUEUE_LENGTH {
        let (sqlite, permits) = (rig.sqlite.clone(), permits.clone());
        poll_once(Box::pin(async move {
            let done = sqlite.writer.run(move |_| {
                let _no_more = permits.lock().unwrap().recv();
                Ok(())
            });
            done.await
        }));
    }
    // The queue is full. As many jobs as share a transaction may end, and the next one waits.
    let mut ready = pin!(rig.database.ready());
    assert!(ready.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    (0..writer::MAX_JOBS).for_each(|_| permit.send(()).unwrap());
    ready.await.unwrap();
    drop(permit);
}

#[tokio::test]
async fn a_database_that_can_be_read_only_is_not_ready() {
    let rig = Rig::new();
    rig.database.ready().await.unwrap();
    rig.sqlite.writer.run(|work| Ok(work.execute_batch("PRAGMA query_only = ON")?)).await.unwrap();
    let refused = rig.database.ready().await.unwrap_err().to_string();
    assert!(refused.contains("readonly"), "{refused}");
    assert!(rig.database.client("a".to_owned()).await.is_err_and(|failure| matches!(failure, Failure::Refused(_))));
}

#[tokio::test]
async fn an_operation_whose_caller_leaves_before_its_turn_changes_nothing() {
    let rig = Rig::new();
    let other = block_writers(&rig);
    let new = new_client(vec![jti("a", NOW + 9)]);
    // The writer is running the first job. The second one waits in its queue and is given up there.
    let mut first = pin!(create_client(&rig.database, new));
    assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    {
        let left = new_client(vec![jti("b", NOW + 9)]);
        let mut left = pin!(create_client(&rig.database, left));
        assert!(left.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    other.execute_batch("ROLLBACK").unwrap();
    first.await.unwrap();
    assert_eq!(rig.database.counts().await.unwrap(), Counts { clients: 1, live_tokens: 0, jti_kept: 1 });
}

const OLD_CLIENT: &str = "INSERT INTO clients (client_id, issued_at, version, software_issuer, software_id, record)
                          VALUES ('old', 1, 1, 'OpenBanking Ltd', 'sgsMuc8ACBgBzinpr8oJ8B', '{}')";

/// How older stores counted the migration steps of a file, before the file's header did.
const COUNTED_IN_A_TABLE: &str = "
    CREATE TABLE _sqlx_migrations (
        version BIGINT PRIMARY KEY,
        description TEXT NOT NULL,
        installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
        success BOOLEAN NOT NULL,
        checksum BLOB NOT NULL,
        execution_time BIGINT NOT NULL
    );";

fn counted(step: usize) -> String {
    format!("INSERT INTO _sqlx_migrations VALUES ({step}, 'clients', '2026-01-01 00:00:00', TRUE, X'00', 1);")
}

/// The data of an older store can still be read, and can be extended with the columns of the newer schema.
#[tokio::test]
async fn a_database_of_the_first_schema_is_brought_up_to_date() {
    let [first, second, _third] = schema::STEPS;
    for older in [
        format!("{first} PRAGMA user_version = 1;"),
        format!("{COUNTED_IN_A_TABLE} {first} {}", counted(1)),
        format!("{COUNTED_IN_A_TABLE} {first} {} {second} {}", counted(1), counted(2)),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = file_in(&folder);
        let old = Connection::open(&file).unwrap();
        old.execute_batch(&older).unwrap();
        old.execute(OLD_CLIENT, []).unwrap();
        drop(old);

        for clients in [3, 5] {
            let database = Database::open(&url(&file), Clock::from_fn(|| NOW)).await.unwrap();
            assert_eq!(database.client("old".to_owned()).await.unwrap().version, 1);
            for _several in 0..2 {
                create_client(&database, new_client(vec![])).await.unwrap();
            }
            let counts = database.counts().await.unwrap();
            assert_eq!(counts.clients, clients, "any number of clients has no registration access token");
            database.close().await.unwrap();
        }
        let left: i64 = Connection::open(&file)
            .unwrap()
            .query_row("SELECT COUNT(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'", [], |row| row.get(0))
            .unwrap();
        assert_eq!(left, 0, "the version is said in one place");
    }
}

#[tokio::test]
async fn what_a_newer_store_wrote_is_left_alone() {
    for newer in [
        format!("PRAGMA user_version = {};", schema::STEPS.len() + 1),
        "PRAGMA user_version = -1;".to_owned(),
        format!("{COUNTED_IN_A_TABLE} {}", (1..=schema::STEPS.len() + 1).map(counted).collect::<String>()),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = file_in(&folder);
        let whole = |connection: &Connection| -> (i64, i64) {
            let both = "SELECT user_version, (SELECT COUNT(*) FROM sqlite_schema) FROM pragma_user_version";
            connection.query_row(both, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
        };
        let other = Connection::open(&file).unwrap();
        other.execute_batch(&newer).unwrap();
        let before = whole(&other);
        let error = Database::open(&url(&file), Clock::system()).await.unwrap_err().to_string();
        assert!(error.contains("a newer dcr-store may have written this file"), "{error}");
        assert_eq!(whole(&other), before);
    }
}

#[tokio::test]
async fn every_way_to_write_the_url_of_a_file_is_understood() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    for (url, name) in [
        (format!("sqlite:{}", path("a.db")), "a.db"),
        (format!("sqlite://{}", path("b.db")), "b.db"),
        (format!("sqlite:{}?mode=rwc", path("c.db")), "c.db"),
        (format!("sqlite://{}?mode=rw", path("d.db")), "d.db"),
        (format!("sqlite:{}", path("what%3Fis%20it.db")), "what?is it.db"),
        (format!("sqlite:{}", path("file:e.db")), "file:e.db"),
    ] {
        Database::open(&url, Clock::system()).await.unwrap().ready().await.unwrap();
        assert!(folder.path().join(name).exists(), "{url}");
    }
}
