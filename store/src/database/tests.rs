use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Waker};

use tempfile::TempDir;
use tokio::task::JoinSet;

use super::*;
use crate::purge::purge_all;

const NOW: i64 = 1_643_090_861;

/// A database in its own folder, whose clock the test sets.
struct Rig {
    database: Database,
    time: Arc<AtomicI64>,
    folder: TempDir,
}

impl Rig {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let time = Arc::new(AtomicI64::new(NOW));
        let clock = Clock::from_fn({
            let time = time.clone();
            move || time.load(Ordering::SeqCst)
        });
        Self { database: Database::open(&url(&file_in(&folder)), clock).unwrap(), time, folder }
    }

    fn set_time(&self, now: i64) {
        self.time.store(now, Ordering::SeqCst);
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
        software,
        single_registration: false,
        registration_access_token: false,
        consume_jti,
        record: Record::from_text("{}".to_owned()).unwrap(),
    }
}

fn new_token(client_id: &str, expires_in: i64) -> NewToken {
    NewToken {
        request_id: None,
        client_id: client_id.to_owned(),
        version: None,
        scope: "accounts".to_owned(),
        expires_in,
        cnf: Confirmation { certificate_thumbprint: "A".repeat(43) },
        consume_jti: Vec::new(),
    }
}

async fn issued(rig: &Rig, new: NewToken) -> IssuedToken {
    rig.database.issue_tokens(vec![new]).await.unwrap().remove(0).unwrap()
}

fn refusal<T: std::fmt::Debug>(result: Result<T, Failure>) -> Refusal {
    match result {
        Err(Failure::Refused(refusal)) => refusal,
        other => panic!("not a refusal: {other:?}"),
    }
}

/// Creates one.
async fn create_client(database: &Database, new: NewClient) -> Result<WrittenClient, Failure> {
    database.create_clients(vec![new]).await?.pop().unwrap()
}

#[tokio::test]
async fn a_commit_waits_for_the_disk() {
    let rig = Rig::new().await;
    let settings = rig.database.writer.give(|work| {
        let setting = "SELECT synchronous, journal_mode, foreign_keys FROM pragma_synchronous, pragma_journal_mode, pragma_foreign_keys";
        Ok(work.query_row(setting, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?)
    });
    let (synchronous, journal_mode, foreign_keys): (i64, String, i64) = settings.await.unwrap();
    let full = 2;
    assert_eq!((synchronous, journal_mode.as_str(), foreign_keys), (full, "wal", 1));
}

#[tokio::test]
async fn the_log_is_moved_into_the_file_while_others_write() {
    let rig = Rig::new().await;
    let held = |name: &str| {
        let content = std::fs::read(rig.folder.path().join(name)).unwrap();
        content.windows(7).any(|window| window == b"in-file")
    };
    let record = Record::from_text(r#"{"in-file":1}"#.to_owned()).unwrap();
    create_client(&rig.database, NewClient { record, ..new_client(vec![]) }).await.unwrap();
    assert!(held("store.db-wal") && !held("store.db"));

    // Another has the write lock, and nothing waits for it.
    let other = Connection::open(file_in(&rig.folder)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    rig.database.checkpoint().await.unwrap();
    assert!(held("store.db"));
}

#[tokio::test]
async fn readers_cannot_write() {
    let rig = Rig::new().await;
    for reader in [&rig.database.reader, &rig.database.counter] {
        let deleted = reader.give(|data| Ok(data.execute("DELETE FROM clients", [])?)).await;
        assert!(deleted.unwrap_err().to_string().contains("readonly"));
    }
}

#[tokio::test]
async fn the_file_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let rig = Rig::new().await;
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
        let error = Database::open(url, Clock::system()).unwrap_err().to_string();
        assert!(error.contains(expected), "{url}: {error}");
    }
}

#[tokio::test]
async fn a_file_of_something_else_is_not_touched() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let content = "not a database\n".repeat(100);
    std::fs::write(&file, &content).unwrap();
    assert!(matches!(Database::open(&url(file.path()), Clock::system()), Err(OpenError::Connect(_))));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), content);
}

#[tokio::test]
async fn a_jti_is_kept_through_the_second_it_expires() {
    let rig = Rig::new().await;
    let expires_at = NOW + 10;
    create_client(&rig.database, new_client(vec![jti("a", expires_at)])).await.unwrap();

    rig.set_time(expires_at);
    purge_all(&rig.database).await.unwrap();
    let again = create_client(&rig.database, new_client(vec![jti("a", expires_at + 100)])).await;
    assert_eq!(refusal(again), Refusal::Replayed { index: 0 });

    rig.set_time(expires_at + 1);
    create_client(&rig.database, new_client(vec![jti("a", expires_at + 100)])).await.unwrap();
    let again = create_client(&rig.database, new_client(vec![jti("a", expires_at + 100)])).await;
    assert_eq!(refusal(again), Refusal::Replayed { index: 0 }, "taken anew, it is used again");
}

#[tokio::test]
async fn a_jti_must_expire_within_bounds() {
    let rig = Rig::new().await;
    for (expires_at, expected) in [
        (NOW - 1, Err(Refusal::JtiExpired)),
        (i64::MIN, Err(Refusal::JtiExpired)),
        (NOW, Ok(())),
        (NOW + MAX_LIFETIME, Ok(())),
        (NOW + MAX_LIFETIME + 1, Err(Refusal::JtiTooFarAhead)),
        (i64::MAX, Err(Refusal::JtiTooFarAhead)),
    ] {
        let created = create_client(&rig.database, new_client(vec![jti(&expires_at.to_string(), expires_at)])).await;
        match expected {
            Ok(()) => assert!(created.is_ok(), "{expires_at}: {created:?}"),
            Err(expected) => assert_eq!(refusal(created), expected, "{expires_at}"),
        }
    }
}

/// Otherwise: consumed by another before it expired, purged after, and consumed a second time by the one that queued.
#[tokio::test]
async fn a_request_that_queued_past_the_expiry_consumes_nothing() {
    let rig = Rig::new().await;
    let other = everybody_queues(&rig);
    let new = new_client(vec![jti("a", NOW + 1)]);
    let mut queued = pin!(create_client(&rig.database, new));
    assert!(queued.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());

    rig.set_time(NOW + 2);
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(refusal(queued.await), Refusal::JtiExpired);
}

/// All that queue behind this join one transaction when it ends.
fn everybody_queues(rig: &Rig) -> Connection {
    let other = Connection::open(file_in(&rig.folder)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    other
}

#[tokio::test]
async fn who_is_refused_undoes_nothing_of_those_who_share_the_transaction() {
    let rig = Rig::new().await;
    let other = everybody_queues(&rig);
    let [first, again, last] = ["a", "a", "b"].map(|id| new_client(vec![jti(id, NOW + 9)]));
    let release = async { other.execute_batch("ROLLBACK").unwrap() };
    let (first, again, last, ()) = tokio::join!(
        create_client(&rig.database, first),
        create_client(&rig.database, again),
        create_client(&rig.database, last),
        release
    );
    assert_eq!(refusal(again), Refusal::Replayed { index: 0 });
    for created in [first.unwrap(), last.unwrap()] {
        let read = rig.database.client(created.client_id.clone()).await.unwrap();
        assert_eq!(read.record.text(), "{}");
        assert_eq!(WrittenClient::from(read), created);
    }
    assert_eq!(rig.database.counts().await.unwrap(), Counts { clients: 2, live_tokens: 0, jti_kept: 2 });
}

#[tokio::test]
async fn a_transaction_that_fails_is_undone_whole_and_the_next_one_is_good() {
    let rig = Rig::new().await;
    let other = everybody_queues(&rig);
    let new = new_client(vec![jti("a", NOW + 9)]);
    let broken = rig.database.writer.give(|work| Ok(work.execute_batch("nonsense")?));
    let release = async { other.execute_batch("ROLLBACK").unwrap() };
    let (created, broken, ()) = tokio::join!(create_client(&rig.database, new.clone()), broken, release);
    assert!(matches!(created, Err(Failure::Transaction(_))), "{created:?}");
    assert!(matches!(broken, Err(Failure::Transaction(_))), "{broken:?}");
    assert_eq!(rig.database.counts().await.unwrap(), Counts { clients: 0, live_tokens: 0, jti_kept: 0 });
    create_client(&rig.database, new).await.unwrap();
}

/// The clock of the runtime stands still until nothing else is left to do.
#[tokio::test(start_paused = true)]
async fn whoever_finds_no_place_in_the_queue_is_told_so() {
    let rig = Rig::new().await;
    let (release, released) = std::sync::mpsc::channel::<()>();
    let mut given = JoinSet::new();
    let mut give = |operation: Box<dyn FnOnce() + Send>| {
        let database = rig.database.clone();
        given.spawn(async move {
            let given = database.writer.give(move |_| {
                operation();
                Ok(())
            });
            given.await
        });
    };
    give(Box::new(move || released.recv().unwrap()));
    (0..2 * orders::QUEUE).for_each(|_| give(Box::new(|| ())));

    // Nothing else can end while the first is not released. What the writer has in hand may have left its place in the queue, or not yet.
    for _ in 0..orders::QUEUE {
        let refused = given.join_next().await.unwrap().unwrap();
        assert!(matches!(refused, Err(Failure::Overloaded)), "{refused:?}");
    }
    release.send(()).unwrap();
    let given = given.join_all().await;
    let (done, overloaded): (Vec<_>, Vec<_>) = given.into_iter().partition(Result::is_ok);
    assert!((orders::QUEUE..=orders::QUEUE + 1).contains(&done.len()), "{} done", done.len());
    assert!(overloaded.iter().all(|given| matches!(given, Err(Failure::Overloaded))), "{overloaded:?}");
    create_client(&rig.database, new_client(vec![])).await.unwrap();
}

#[tokio::test]
async fn whoever_leaves_before_its_turn_changes_nothing() {
    let rig = Rig::new().await;
    let other = everybody_queues(&rig);
    let new = new_client(vec![jti("a", NOW + 9)]);
    // The first is what the writer has in hand, the second waits in its queue and is given up there.
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

#[tokio::test]
async fn a_jti_named_twice_in_one_request_is_a_replay() {
    let rig = Rig::new().await;
    let twice = new_client(vec![jti("a", NOW + 9), jti("a", NOW + 9)]);
    assert_eq!(refusal(create_client(&rig.database, twice).await), Refusal::Replayed { index: 1 });
    assert_eq!(rig.database.counts().await.unwrap(), Counts { clients: 0, live_tokens: 0, jti_kept: 0 });
}

#[tokio::test]
async fn the_same_jti_of_another_scope_is_another_jti() {
    let rig = Rig::new().await;
    let other_scope = Jti { issuer: "other".to_owned(), ..jti("a", NOW + 9) };
    create_client(&rig.database, new_client(vec![jti("a", NOW + 9), other_scope])).await.unwrap();
}

#[tokio::test]
async fn the_purge_takes_what_expired_in_batches_and_leaves_the_rest() {
    let rig = Rig::new().await;
    let mut client_id = String::new();
    for number in 0..5 {
        let every = vec![jti(&format!("short {number}"), NOW + 10), jti(&format!("long {number}"), NOW + 1000)];
        client_id = create_client(&rig.database, new_client(every)).await.unwrap().client_id;
    }
    let short = issued(&rig, new_token(&client_id, 10)).await.access_token;
    let long = issued(&rig, new_token(&client_id, 1000)).await.access_token;
    assert_eq!(rig.database.counts().await.unwrap(), Counts { clients: 5, live_tokens: 2, jti_kept: 10 });
    assert_eq!(purge_all(&rig.database).await.unwrap(), 0);

    rig.set_time(NOW + 11);
    assert_eq!(rig.database.purge_expired(2).await.unwrap(), 3, "two jti, one token");
    assert_eq!(rig.database.counts().await.unwrap(), Counts { clients: 5, live_tokens: 1, jti_kept: 8 });
    assert_eq!(purge_all(&rig.database).await.unwrap(), 3);
    assert_eq!(rig.database.counts().await.unwrap(), Counts { clients: 5, live_tokens: 1, jti_kept: 5 });
    assert_eq!(rig.database.introspect(&short).await.unwrap(), None);
    assert!(rig.database.introspect(&long).await.unwrap().is_some());
}

#[tokio::test]
async fn a_token_is_active_until_the_second_it_expires() {
    let rig = Rig::new().await;
    let client_id = create_client(&rig.database, new_client(vec![])).await.unwrap().client_id;
    let token = issued(&rig, new_token(&client_id, 600)).await.access_token;

    rig.set_time(NOW + 599);
    let active = rig.database.introspect(&token).await.unwrap().unwrap();
    assert_eq!(active.issued_at, NOW);
    assert!(
        matches!(active.token_use, TokenUse::Access { expires_at, .. } if expires_at == NOW + 600),
        "{:?}",
        active.token_use
    );
    rig.set_time(NOW + 600);
    assert_eq!(rig.database.introspect(&token).await.unwrap(), None);
}

#[tokio::test]
async fn deleting_a_client_leaves_no_token_behind() {
    let rig = Rig::new().await;
    let client_id = create_client(&rig.database, new_client(vec![])).await.unwrap().client_id;
    let kept = create_client(&rig.database, new_client(vec![])).await.unwrap().client_id;
    issued(&rig, new_token(&client_id, 600)).await;
    issued(&rig, new_token(&kept, 600)).await;
    rig.database.delete_client(client_id).await.unwrap();
    assert_eq!(rig.database.counts().await.unwrap(), Counts { clients: 1, live_tokens: 1, jti_kept: 0 });
}

#[tokio::test]
async fn a_registration_access_token_lives_as_long_as_its_client() {
    let rig = Rig::new().await;
    let new = NewClient { registration_access_token: true, ..new_client(vec![]) };
    let created = create_client(&rig.database, new).await.unwrap();
    let token = created.registration_access_token.unwrap();
    let client_id = created.client_id;
    let active = ActiveToken { client_id: client_id.clone(), issued_at: NOW, token_use: TokenUse::Registration };

    rig.set_time(NOW + 10 * MAX_LIFETIME);
    purge_all(&rig.database).await.unwrap();
    assert_eq!(rig.database.introspect(&token).await.unwrap(), Some(active));
    rig.database.delete_client(client_id).await.unwrap();
    assert_eq!(rig.database.introspect(&token).await.unwrap(), None);
}

const OLD_CLIENT: &str = "INSERT INTO clients (client_id, issued_at, version, software_issuer, software_id, record)
                          VALUES ('old', 1, 1, 'OpenBanking Ltd', 'sgsMuc8ACBgBzinpr8oJ8B', '{}')";

/// How stores counted what of the schema a file has, before it was in the file's header.
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

/// What an older store wrote is read on, and can be given what the newer schema knows.
#[tokio::test]
async fn a_database_of_the_first_schema_is_brought_up_to_date() {
    let [first, second] = schema::STEPS;
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
            let database = Database::open(&url(&file), Clock::from_fn(|| NOW)).unwrap();
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
        "PRAGMA user_version = 3;".to_owned(),
        "PRAGMA user_version = -1;".to_owned(),
        format!("{COUNTED_IN_A_TABLE} {} {} {}", counted(1), counted(2), counted(3)),
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
        let error = Database::open(&url(&file), Clock::system()).unwrap_err().to_string();
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
        Database::open(&url, Clock::system()).unwrap().ready().await.unwrap();
        assert!(folder.path().join(name).exists(), "{url}");
    }
}

#[tokio::test]
async fn tokens_and_client_ids_have_their_shape_and_differ() {
    let (one, other) = (random_token().unwrap(), random_token().unwrap());
    assert_eq!(BASE64_URL_SAFE_NO_PAD.decode(&one).unwrap().len(), 32);
    assert_ne!(one, other);
    let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let (one, other) = (new_client_id().unwrap(), new_client_id().unwrap());
    assert!(one.len() == 32 && one.bytes().all(|byte| byte.is_ascii_hexdigit()), "{one}");
    let ((time, random), (later, more)) = (one.split_at(12), other.split_at(12));
    assert_ne!(random, more);
    assert!(format!("{before:012x}").as_str() <= time && time <= later, "{one} {other}");
}
