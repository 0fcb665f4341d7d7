//! Guarantees of the database's interface that callers of the API cannot see: the second of an expiry, the moment at which the clock is
//! read, shared transactions, and the purge.

use std::fmt::Debug;
use std::pin::pin;
use std::task::{Context, Waker};

use dcr_store::database::{Counts, Database, Failure, Refusal};
use dcr_store::model::{
    ActiveToken, Confirmation, IssuedToken, Jti, MAX_LIFETIME, NewClient, NewToken, Record, Software, TokenUse,
    WrittenClient,
};
use dcr_store::purge::purge_all;

use crate::support::{NOW, Rig};

pub(crate) async fn a_jti_is_kept_through_the_second_it_expires(rig: Rig) {
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

pub(crate) async fn a_jti_must_expire_within_bounds(rig: Rig) {
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

/// The opposite would be an error: another request consumes the id before it expires, the purge deletes it, and the request in the queue
/// consumes it a second time.
pub(crate) async fn a_request_that_queued_past_the_expiry_consumes_nothing(rig: Rig) {
    let blocked = rig.fixture.block_writers();
    let new = new_client(vec![jti("a", NOW + 1)]);
    let mut queued = pin!(create_client(&rig.database, new));
    assert!(queued.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());

    rig.set_time(NOW + 2);
    drop(blocked);
    assert_eq!(refusal(queued.await), Refusal::JtiExpired);
}

pub(crate) async fn a_refused_operation_undoes_nothing_of_those_that_share_its_transaction(rig: Rig) {
    let blocked = rig.fixture.block_writers();
    let [first, again, last] = ["a", "a", "b"].map(|id| new_client(vec![jti(id, NOW + 9)]));
    let release = async { drop(blocked) };
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

pub(crate) async fn a_jti_named_twice_in_one_request_is_a_replay(rig: Rig) {
    let twice = new_client(vec![jti("a", NOW + 9), jti("a", NOW + 9)]);
    assert_eq!(refusal(create_client(&rig.database, twice).await), Refusal::Replayed { index: 1 });
    assert_eq!(rig.database.counts().await.unwrap(), Counts { clients: 0, live_tokens: 0, jti_kept: 0 });
}

pub(crate) async fn the_same_jti_of_another_scope_is_another_jti(rig: Rig) {
    let other_scope = Jti { issuer: "other".to_owned(), ..jti("a", NOW + 9) };
    create_client(&rig.database, new_client(vec![jti("a", NOW + 9), other_scope])).await.unwrap();
}

pub(crate) async fn the_purge_takes_what_expired_in_batches_and_leaves_the_rest(rig: Rig) {
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

pub(crate) async fn a_token_is_active_until_the_second_it_expires(rig: Rig) {
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

pub(crate) async fn deleting_a_client_leaves_no_token_behind(rig: Rig) {
    let client_id = create_client(&rig.database, new_client(vec![])).await.unwrap().client_id;
    let kept = create_client(&rig.database, new_client(vec![])).await.unwrap().client_id;
    issued(&rig, new_token(&client_id, 600)).await;
    issued(&rig, new_token(&kept, 600)).await;
    rig.database.delete_client(client_id).await.unwrap();
    assert_eq!(rig.database.counts().await.unwrap(), Counts { clients: 1, live_tokens: 1, jti_kept: 0 });
}

pub(crate) async fn a_registration_access_token_lives_as_long_as_its_client(rig: Rig) {
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

fn new_token(client_id: &str, expires_in: i64) -> NewToken {
    NewToken {
        request_id: None,
        traceparent: None,
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

fn refusal<T: Debug>(result: Result<T, Failure>) -> Refusal {
    match result {
        Err(Failure::Refused(refusal)) => refusal,
        other => panic!("not a refusal: {other:?}"),
    }
}

/// Creates one client.
async fn create_client(database: &Database, new: NewClient) -> Result<WrittenClient, Failure> {
    Ok(database.create_clients(vec![new]).await?.pop().unwrap()?)
}
