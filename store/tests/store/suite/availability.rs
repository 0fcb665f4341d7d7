//! A database that fails or keeps its callers waiting.

use serde_json::json;

use crate::support::{Rig, jti, new_client, new_token, replacement};

pub(crate) async fn a_failing_database_is_unavailable_and_keeps_its_words_to_itself(rig: Rig) {
    let path = rig.registered().await;
    rig.database.clone().close().await.unwrap();

    for answer in [
        rig.create(&new_client(json!([jti("a")]))).await,
        rig.get(&path).await,
        rig.put(&path, "\"1\"", &replacement(json!([]))).await,
        rig.delete(&path).await,
        rig.issue(&path, &new_token(json!([]))).await,
        rig.form("/v1/tokens/introspect", "token=a").await,
        rig.form("/v1/tokens/revoke", "token=a").await,
        rig.get("/readyz").await,
    ] {
        answer.assert_refused(503, "temporarily_unavailable");
        assert_eq!(answer.header("retry-after"), "1");
        let text = answer.text.to_lowercase();
        assert!(["sql", "pool", "clients", "insert"].iter().all(|word| !text.contains(word)), "{text}");
    }
    rig.get("/healthz").await.assert_status(200);
    rig.get("/metrics").await.assert_status(200);
}

pub(crate) async fn a_lock_that_is_not_given_back_is_unavailable_and_consumes_nothing(rig: Rig) {
    let path = rig.registered().await;
    let blocked = rig.fixture.block_writers();

    let body = new_client(json!([jti("a")]));
    let (created, ready) = tokio::join!(rig.create(&body), rig.get("/readyz"));
    created.assert_refused(503, "temporarily_unavailable");
    ready.assert_refused(503, "temporarily_unavailable");
    rig.get(&path).await.assert_status(200);

    drop(blocked);
    rig.get("/readyz").await.assert_status(200);
    rig.create(&body).await.assert_status(201);
}
