//! `/v1/clients`: requests that are refused before the database is asked, and answers without the record.

use serde_json::{Value, json};

use crate::support::{NOW, Rig, jti, new_client, post, replacement, with};

#[tokio::test]
async fn of_1_to_64_clients_each_has_a_reply() {
    let rig = Rig::new().await;
    let one = new_client(json!([]));
    for clients in [json!([]), json!(vec![one.clone(); 65]), json!({}), json!("x")] {
        rig.post("/v1/clients", &json!({ "clients": clients })).await.assert_refused(400, "invalid_request");
    }
    rig.post("/v1/clients", &one).await.assert_refused(400, "invalid_request");
    assert_eq!(rig.database.counts().await.unwrap().clients, 0);
    let answer = rig.post("/v1/clients", &json!({ "clients": vec![one; 64] })).await;
    assert_eq!(answer.assert_status(200).body["clients"].as_array().unwrap().len(), 64);
}

#[tokio::test]
async fn an_update_can_be_answered_without_the_record() {
    let rig = Rig::new().await;
    let path = rig.registered().await;
    let mut update = post(&path, &replacement(json!([])));
    *update.method_mut() = axum::http::Method::PUT;
    update.headers_mut().insert("if-match", "\"1\"".parse().unwrap());
    update.headers_mut().insert("prefer", "respond-async, return=minimal".parse().unwrap());
    let updated = rig.send(update).await;
    updated.assert_status(200);
    let members: Vec<&String> = updated.body.as_object().unwrap().keys().collect();
    assert_eq!(members, ["client_id", "client_id_issued_at", "version", "software"]);
    assert_eq!((updated.header("etag"), updated.header("preference-applied")), ("\"2\"", "return=minimal"));
}

#[tokio::test]
async fn if_match_must_be_one_entity_tag_of_the_store() {
    let rig = Rig::new().await;
    let path = rig.registered().await;
    for tag in
        ["1", "*", "W/\"1\"", "\"\"", "\"", "\"1", "\"1\", \"2\"", "\"-1\"", "\"+1\"", "\"99999999999999999999\""]
    {
        rig.put(&path, tag, &replacement(json!([]))).await.assert_refused(400, "invalid_request");
    }
    let mut twice = post(&path, &replacement(json!([])));
    *twice.method_mut() = axum::http::Method::PUT;
    twice.headers_mut().append("if-match", "\"1\"".parse().unwrap());
    twice.headers_mut().append("if-match", "\"1\"".parse().unwrap());
    rig.send(twice).await.assert_refused(400, "invalid_request");
}

#[tokio::test]
async fn create_and_update_refuse_every_body_out_of_shape() {
    let rig = Rig::new().await;
    let path = rig.registered().await;
    let good = replacement(json!([jti("a")]));
    let long = |length: usize| json!("a".repeat(length));

    let mut bodies: Vec<Value> = ["/software", "/software/issuer", "/software/id", "/consume_jti", "/record"]
        .into_iter()
        .chain(["/consume_jti/0", "/consume_jti/0/issuer", "/consume_jti/0/jti", "/consume_jti/0/expires_at"])
        .flat_map(|pointer| [json!(null), json!(true), json!("")].map(|wrong| with(good.clone(), pointer, wrong)))
        .collect();
    bodies.extend(["/software", "", "/consume_jti/0"].map(|pointer| {
        let mut extended = good.clone();
        extended.pointer_mut(pointer).unwrap()["surprise"] = json!(1);
        extended
    }));
    bodies.extend(["software", "consume_jti", "record"].map(|member| {
        let mut reduced = good.clone();
        reduced.as_object_mut().unwrap().remove(member).unwrap();
        reduced
    }));
    bodies.extend([
        with(good.clone(), "/record", json!([])),
        with(good.clone(), "/software/issuer", long(513)),
        with(good.clone(), "/software/id", long(513)),
        with(good.clone(), "/software/id", json!("line\nbreak")),
        with(good.clone(), "/consume_jti/0/issuer", long(1025)),
        with(good.clone(), "/consume_jti/0/jti", long(1025)),
        with(good.clone(), "/consume_jti/0/jti", json!("nul\u{0}")),
        with(good.clone(), "/consume_jti/0/expires_at", json!(1.5)),
        with(good.clone(), "/consume_jti/0/expires_at", json!("1643094466")),
        with(good.clone(), "/consume_jti/0/expires_at", json!(u64::MAX)),
        with(good.clone(), "/consume_jti/0/expires_at", json!(NOW + 366 * 86_400 + 1)),
        with(good.clone(), "/consume_jti", (0..9).map(|number| jti(&number.to_string())).collect()),
        json!([]),
        json!(null),
    ]);
    let of_another_time = with(good.clone(), "/consume_jti/0/expires_at", json!(NOW - 1));
    let bodies = bodies.into_iter().map(|body| (body, "invalid_request")).chain([(of_another_time, "clocks_apart")]);
    for (body, error) in bodies {
        rig.put(&path, "\"1\"", &body).await.assert_refused(400, error);
        let mut creation = body.clone();
        if let Some(members) = creation.as_object_mut() {
            members.insert("single_registration".to_owned(), json!(false));
        }
        rig.create(&creation).await.assert_refused(400, error);
    }
    let undecided = with(new_client(json!([])), "/single_registration", json!("false"));
    rig.create(&undecided).await.assert_refused(400, "invalid_request");
    rig.create(&good).await.assert_refused(400, "invalid_request");
    assert_eq!(rig.get(&path).await.body["version"], 1);
    assert_eq!(rig.database.counts().await.unwrap().clients, 1);
}
