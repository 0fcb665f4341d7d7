use std::future::Future;
use std::pin::pin;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Waker};

use serde_json::Map;
use tempfile::TempDir;

use super::*;
use crate::purge::purge_all;

const NOW: i64 = 1_643_090_861;

/// A database in its own folder, whose clock the test sets.
struct Rig {
    database: Database,
    time: Arc<AtomicI64>,
    _folder: TempDir,
}

impl Rig {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let time = Arc::new(AtomicI64::new(NOW));
        let clock = Clock::from_fn({
            let time = time.clone();
            move || time.load(Ordering::SeqCst)
        });
        let url = format!("sqlite:{}", folder.path().join("store.db").display());
        Self { database: Database::open(&url, clock).await.unwrap(), time, _folder: folder }
    }

    fn set_time(&self, now: i64) {
        self.time.store(now, Ordering::SeqCst);
    }
}

fn jti(jti: &str, expires_at: i64) -> Jti {
    Jti { issuer: "scope".to_owned(), jti: jti.to_owned(), expires_at }
}

fn new_client(consume_jti: Vec<Jti>) -> NewClient {
    let software = Software { issuer: "OpenBanking Ltd".to_owned(), id: "sgsMuc8ACBgBzinpr8oJ8B".to_owned() };
    NewClient {
        software,
        single_registration: false,
        registration_access_token: false,
        consume_jti,
        record: Map::new(),
    }
}

fn new_token(expires_in: i64) -> NewToken {
    NewToken {
        scope: "accounts".to_owned(),
        expires_in,
        certificate_thumbprint: "A".repeat(43),
        consume_jti: Vec::new(),
    }
}

fn refusal<T: std::fmt::Debug>(result: Result<T, Failure>) -> Refusal {
    match result {
        Err(Failure::Refused(refusal)) => refusal,
        other => panic!("not a refusal: {other:?}"),
    }
}

#[tokio::test]
async fn a_commit_waits_for_the_disk() {
    let rig = Rig::new().await;
    let (synchronous, journal_mode, foreign_keys): (i64, String, i64) = sqlx::query_as(
        "SELECT synchronous, journal_mode, foreign_keys FROM pragma_synchronous, pragma_journal_mode, pragma_foreign_keys",
    )
    .fetch_one(&rig.database.pools.writer)
    .await
    .unwrap();
    let full = 2;
    assert_eq!((synchronous, journal_mode.as_str(), foreign_keys), (full, "wal", 1));
}

#[tokio::test]
async fn readers_cannot_write() {
    let rig = Rig::new().await;
    assert!(sqlx::query("DELETE FROM clients").execute(&rig.database.pools.readers).await.is_err());
}

#[tokio::test]
async fn the_file_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let rig = Rig::new().await;
    rig.database.create_client(&new_client(vec![])).await.unwrap();
    for entry in std::fs::read_dir(rig._folder.path()).unwrap() {
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
    let url = format!("sqlite:{}", file.path().display());
    assert!(matches!(Database::open(&url, Clock::system()).await, Err(OpenError::Connect(_))));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), content);
}

#[tokio::test]
async fn a_jti_is_kept_through_the_second_it_expires() {
    let rig = Rig::new().await;
    let expires_at = NOW + 10;
    rig.database.create_client(&new_client(vec![jti("a", expires_at)])).await.unwrap();

    rig.set_time(expires_at);
    purge_all(&rig.database).await.unwrap();
    let again = rig.database.create_client(&new_client(vec![jti("a", expires_at + 100)])).await;
    assert_eq!(refusal(again), Refusal::Replayed { index: 0 });

    rig.set_time(expires_at + 1);
    rig.database.create_client(&new_client(vec![jti("a", expires_at + 100)])).await.unwrap();
    let again = rig.database.create_client(&new_client(vec![jti("a", expires_at + 100)])).await;
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
        let created = rig.database.create_client(&new_client(vec![jti(&expires_at.to_string(), expires_at)])).await;
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
    let other = everybody_queues(&rig).await;
    let new = new_client(vec![jti("a", NOW + 1)]);
    let mut queued = pin!(rig.database.create_client(&new));
    assert!(queued.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());

    rig.set_time(NOW + 2);
    other.commit().await.unwrap();
    assert_eq!(refusal(queued.await), Refusal::JtiExpired);
}

/// All that queue behind this join one transaction when it ends.
async fn everybody_queues(rig: &Rig) -> sqlx::Transaction<'static, sqlx::Sqlite> {
    rig.database.pools.writer.begin_with("BEGIN IMMEDIATE").await.unwrap()
}

#[tokio::test]
async fn who_is_refused_undoes_nothing_of_those_who_share_the_transaction() {
    let rig = Rig::new().await;
    let other = everybody_queues(&rig).await;
    let [first, again, last] = ["a", "a", "b"].map(|id| new_client(vec![jti(id, NOW + 9)]));
    let release = async { other.rollback().await.unwrap() };
    let (first, again, last, ()) = tokio::join!(
        rig.database.create_client(&first),
        rig.database.create_client(&again),
        rig.database.create_client(&last),
        release
    );
    assert_eq!(refusal(again), Refusal::Replayed { index: 0 });
    for created in [first.unwrap().client, last.unwrap().client] {
        assert_eq!(rig.database.client(&created.client_id).await.unwrap(), created);
    }
    assert_eq!(rig.database.counts().await.unwrap(), Counts { clients: 2, live_tokens: 0, jti_kept: 2 });
}

#[tokio::test]
async fn a_transaction_that_fails_is_undone_whole_and_the_next_one_is_good() {
    let rig = Rig::new().await;
    let other = everybody_queues(&rig).await;
    let new = new_client(vec![jti("a", NOW + 9)]);
    let broken = rig.database.writer.write(|work| {
        Box::pin(async move {
            sqlx::query("nonsense").execute(work).await?;
            Ok(())
        })
    });
    let release = async { other.rollback().await.unwrap() };
    let (created, broken, ()) = tokio::join!(rig.database.create_client(&new), broken, release);
    assert!(matches!(created, Err(Failure::Transaction(_))), "{created:?}");
    assert!(matches!(broken, Err(Failure::Transaction(_))), "{broken:?}");
    assert_eq!(rig.database.counts().await.unwrap(), Counts { clients: 0, live_tokens: 0, jti_kept: 0 });
    rig.database.create_client(&new).await.unwrap();
}

#[tokio::test]
async fn whoever_leaves_before_its_turn_changes_nothing() {
    let rig = Rig::new().await;
    let other = everybody_queues(&rig).await;
    let new = new_client(vec![jti("a", NOW + 9)]);
    // The first is what the writer has in hand, the second waits in its queue and is given up there.
    let mut first = pin!(rig.database.create_client(&new));
    assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    {
        let left = new_client(vec![jti("b", NOW + 9)]);
        let mut left = pin!(rig.database.create_client(&left));
        assert!(left.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    other.rollback().await.unwrap();
    first.await.unwrap();
    assert_eq!(rig.database.counts().await.unwrap(), Counts { clients: 1, live_tokens: 0, jti_kept: 1 });
}

#[tokio::test]
async fn a_jti_named_twice_in_one_request_is_a_replay() {
    let rig = Rig::new().await;
    let twice = new_client(vec![jti("a", NOW + 9), jti("a", NOW + 9)]);
    assert_eq!(refusal(rig.database.create_client(&twice).await), Refusal::Replayed { index: 1 });
    assert_eq!(rig.database.counts().await.unwrap(), Counts { clients: 0, live_tokens: 0, jti_kept: 0 });
}

#[tokio::test]
async fn the_same_jti_of_another_scope_is_another_jti() {
    let rig = Rig::new().await;
    let other_scope = Jti { issuer: "other".to_owned(), ..jti("a", NOW + 9) };
    rig.database.create_client(&new_client(vec![jti("a", NOW + 9), other_scope])).await.unwrap();
}

#[tokio::test]
async fn the_purge_takes_what_expired_in_batches_and_leaves_the_rest() {
    let rig = Rig::new().await;
    let mut client_id = String::new();
    for number in 0..5 {
        let every = vec![jti(&format!("short {number}"), NOW + 10), jti(&format!("long {number}"), NOW + 1000)];
        client_id = rig.database.create_client(&new_client(every)).await.unwrap().client.client_id;
    }
    let short = rig.database.issue_token(&client_id, None, &new_token(10)).await.unwrap();
    let long = rig.database.issue_token(&client_id, None, &new_token(1000)).await.unwrap();
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
    let client_id = rig.database.create_client(&new_client(vec![])).await.unwrap().client.client_id;
    let token = rig.database.issue_token(&client_id, None, &new_token(600)).await.unwrap();

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
    let client_id = rig.database.create_client(&new_client(vec![])).await.unwrap().client.client_id;
    let kept = rig.database.create_client(&new_client(vec![])).await.unwrap().client.client_id;
    rig.database.issue_token(&client_id, None, &new_token(600)).await.unwrap();
    rig.database.issue_token(&kept, None, &new_token(600)).await.unwrap();
    rig.database.delete_client(&client_id).await.unwrap();
    assert_eq!(rig.database.counts().await.unwrap(), Counts { clients: 1, live_tokens: 1, jti_kept: 0 });
}

#[tokio::test]
async fn a_registration_access_token_lives_as_long_as_its_client() {
    let rig = Rig::new().await;
    let new = NewClient { registration_access_token: true, ..new_client(vec![]) };
    let created = rig.database.create_client(&new).await.unwrap();
    let token = created.registration_access_token.unwrap();
    let client_id = created.client.client_id;
    let active = ActiveToken { client_id: client_id.clone(), issued_at: NOW, token_use: TokenUse::Registration };

    rig.set_time(NOW + 10 * MAX_LIFETIME);
    purge_all(&rig.database).await.unwrap();
    assert_eq!(rig.database.introspect(&token).await.unwrap(), Some(active));
    rig.database.delete_client(&client_id).await.unwrap();
    assert_eq!(rig.database.introspect(&token).await.unwrap(), None);
}

/// What an older store wrote is read on, and can be given what the newer schema knows.
#[tokio::test]
async fn a_database_of_the_first_schema_is_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("store.db").display());
    let options = sqlx::sqlite::SqliteConnectOptions::from_str(&url).unwrap().create_if_missing(true);
    let old = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let mut first = sqlx::migrate!();
    first.migrations.to_mut().truncate(1);
    first.run(&old).await.unwrap();
    let row = "INSERT INTO clients VALUES ('old', 1, 1, 'OpenBanking Ltd', 'sgsMuc8ACBgBzinpr8oJ8B', '{}')";
    sqlx::query(row).execute(&old).await.unwrap();
    old.close().await;

    let database = Database::open(&url, Clock::from_fn(|| NOW)).await.unwrap();
    assert_eq!(database.client("old").await.unwrap().version, 1);
    for _several in 0..2 {
        database.create_client(&new_client(vec![])).await.unwrap();
    }
    assert_eq!(database.counts().await.unwrap().clients, 3, "any number of clients has no registration access token");
}

#[tokio::test]
async fn tokens_and_client_ids_have_their_shape_and_differ() {
    let (one, other) = (random_token().unwrap(), random_token().unwrap());
    assert_eq!(Base64UrlUnpadded::decode_vec(&one).unwrap().len(), 32);
    assert_ne!(one, other);
    let (one, other) = (random_client_id().unwrap(), random_client_id().unwrap());
    assert!(one.len() == 32 && one.bytes().all(|byte| byte.is_ascii_hexdigit()), "{one}");
    assert_ne!(one, other);
}
