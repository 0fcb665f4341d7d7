//! Either everything in an operation happens or nothing does, and exactly one of several competing operations succeeds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Waker};

use axum::http::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{Answer, NOW, Rig, jti, jti_until, new_client, new_token, post, replacement, with};

pub(crate) async fn a_refused_duplicate_has_not_consumed_its_jti(rig: Rig) {
    let single = |id: &str| with(new_client(json!([jti(id)])), "/single_registration", json!(true));
    rig.create(&single("a")).await.assert_status(201);
    rig.create(&single("b")).await.assert_refused(409, "duplicate_software");
    rig.create(&new_client(json!([jti("b")]))).await.assert_status(201);
}

pub(crate) async fn a_replay_has_created_nothing_and_consumed_nothing_else(rig: Rig) {
    rig.create(&new_client(json!([jti("used")]))).await.assert_status(201);
    for both in [json!([jti("fresh"), jti("used")]), json!([jti("used"), jti("fresh")])] {
        let which = both.as_array().unwrap().iter().position(|one| *one == jti("used"));
        let refused = rig.create(&new_client(both)).await;
        refused.assert_refused(409, "replayed");
        assert_eq!(refused.body["replayed"], json!(which));
    }
    let counts = rig.database.counts().await.unwrap();
    assert_eq!((counts.clients, counts.jti_kept), (1, 1));
    rig.create(&new_client(json!([jti("fresh")]))).await.assert_status(201);
}

pub(crate) async fn a_refused_update_has_changed_nothing_and_consumed_nothing(rig: Rig) {
    let path = rig.registered().await;
    let before = rig.get(&path).await.text;
    rig.create(&new_client(json!([jti("used")]))).await.assert_status(201);

    let fresh = replacement(json!([jti("fresh")]));
    rig.put(&path, "\"7\"", &fresh).await.assert_refused(412, "version_mismatch");
    let foreign = with(fresh.clone(), "/software/id", json!("another"));
    rig.put(&path, "\"1\"", &foreign).await.assert_refused(409, "software_mismatch");
    let replayed = replacement(json!([jti("fresh"), jti("used")]));
    rig.put(&path, "\"1\"", &replayed).await.assert_refused(409, "replayed");
    assert_eq!(rig.get(&path).await.text, before);
    rig.put(&path, "\"1\"", &fresh).await.assert_status(200);
}

pub(crate) async fn a_token_for_an_unknown_client_has_consumed_nothing(rig: Rig) {
    let client = rig.registered().await;
    let request = new_token(json!([jti("t")]));
    rig.issue("unknown", &request).await.assert_refused(404, "unknown_client");
    rig.issue(&client, &request).await.assert_status(201);
}

pub(crate) async fn an_expired_jti_among_good_ones_consumes_none(rig: Rig) {
    let expired = jti_until("old", NOW - 1);
    let mixed = new_client(json!([jti("fresh"), expired]));
    rig.create(&mixed).await.assert_refused(400, "clocks_apart");
    rig.create(&new_client(json!([jti("fresh")]))).await.assert_status(201);
}

pub(crate) async fn of_50_identical_creates_one_wins(rig: Rig) {
    let body = one_client(&new_client(json!([jti("contested")])));
    let answers = all_at_once(rig, 50, move |_| ("/v1/clients".to_owned(), Method::POST, body.clone())).await;
    assert_eq!(outcomes(&answers), BTreeMap::from([("201".to_owned(), 1), ("409 replayed".to_owned(), 49)]));
}

pub(crate) async fn of_many_single_registrations_one_wins(rig: Rig) {
    let single = with(new_client(json!([])), "/single_registration", json!(true));
    let answers = all_at_once(rig, 30, move |number| {
        let body = with(single.clone(), "/consume_jti", json!([jti(&number.to_string())]));
        ("/v1/clients".to_owned(), Method::POST, one_client(&body))
    })
    .await;
    assert_eq!(outcomes(&answers), BTreeMap::from([("201".to_owned(), 1), ("409 duplicate_software".to_owned(), 29)]));
}

pub(crate) async fn of_many_updates_of_one_version_one_wins(rig: Rig) {
    let path = rig.registered().await;
    let answers =
        all_at_once(rig, 30, move |number| (path.clone(), Method::PUT, replacement(json!([jti(&number.to_string())]))))
            .await;
    assert_eq!(outcomes(&answers), BTreeMap::from([("200".to_owned(), 1), ("412 version_mismatch".to_owned(), 29)]));
}

pub(crate) async fn a_token_is_never_issued_to_a_client_that_is_deleted_meanwhile(rig: Rig) {
    let path = rig.registered().await;
    let database = rig.database.clone();
    let answers = all_at_once(rig, 30, move |number| match number {
        15 => (path.clone(), Method::DELETE, json!(null)),
        _ => ("/v1/tokens".to_owned(), Method::POST, one_token(&path)),
    })
    .await;
    let outcomes = outcomes(&answers);
    assert_eq!(outcomes.get("204"), Some(&1), "{outcomes:?}");
    assert!(
        outcomes.keys().all(|outcome| ["201", "204", "404 unknown_client"].contains(&outcome.as_str())),
        "{outcomes:?}"
    );
    assert_eq!(database.counts().await.unwrap().live_tokens, 0);
}

/// A gateway closes the connection after its timeout, and the server drops the handler at any point.
pub(crate) async fn callers_that_give_up_leave_all_or_nothing(rig: Rig) {
    let mut finished = 0;
    for polls in 0..200 {
        let body = new_client(json!([jti(&polls.to_string())]));
        let mut create = Box::pin(rig.create(&body));
        for _poll in 0..polls {
            if create.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                finished += 1;
                break;
            }
            std::thread::yield_now();
        }
    }
    rig.create(&new_client(json!([jti("last")]))).await.assert_status(201);
    let counts = rig.database.counts().await.unwrap();
    assert_eq!(counts.clients, counts.jti_kept);
    assert!(counts.clients > finished, "{counts:?}, {finished} answered");
}

async fn all_at_once(rig: Rig, requests: usize, request: impl Fn(usize) -> (String, Method, Value)) -> Vec<Answer> {
    let rig = Arc::new(rig);
    let start = Arc::new(tokio::sync::Barrier::new(requests));
    let mut running = JoinSet::new();
    for number in 0..requests {
        let (path, method, body) = request(number);
        let mut request = post(&path, &body);
        *request.method_mut() = method;
        request.headers_mut().insert("if-match", "\"1\"".parse().unwrap());
        let (rig, start) = (rig.clone(), start.clone());
        running.spawn(async move {
            start.wait().await;
            rig.send(request).await.of_one()
        });
    }
    running.join_all().await
}

fn one_client(client: &Value) -> Value {
    json!({ "clients": [client] })
}

fn one_token(client: &str) -> Value {
    let mut token = new_token(json!([]));
    token["client_id"] = json!(client.trim_start_matches("/v1/clients/"));
    json!({ "tokens": [token] })
}

fn outcomes(answers: &[Answer]) -> BTreeMap<String, usize> {
    let mut outcomes = BTreeMap::new();
    for answer in answers {
        let error = answer.body["error"].as_str().unwrap_or_default();
        let outcome = format!("{} {error}", answer.status.as_u16()).trim().to_owned();
        *outcomes.entry(outcome).or_default() += 1;
    }
    outcomes
}
