//! `/v1/clients`: each success, each refusal.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::support::{NOW, Rig, asking_for_token, jti, jti_until, new_client, post, replacement, software, with};

#[tokio::test]
async fn create_answers_what_the_caller_does_not_know() {
    let rig = Rig::new().await;
    let sent = new_client(json!([jti("a")]));
    let created = rig.create(&sent).await;

    created.assert_status(201);
    let client_id = created.member("client_id");
    assert!(client_id.len() == 32 && client_id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{client_id}");
    assert_eq!(
        created.body,
        json!({ "client_id": client_id, "client_id_issued_at": NOW, "version": 1, "software": sent["software"] })
    );
    assert_eq!(created.header("cache-control"), "no-store");
}

#[tokio::test]
async fn read_answers_the_whole_client() {
    let rig = Rig::new().await;
    let sent = new_client(json!([]));
    let mut created = rig.create(&sent).await;
    let read = rig.get(&format!("/v1/clients/{}", created.member("client_id"))).await;
    created.body["record"] = sent["record"].clone();
    assert_eq!(read.assert_status(200).body, created.body);
    assert!(read.text.contains(&sent["record"].to_string()), "the order of the record's members is kept");
    assert_eq!(read.header("etag"), "\"1\"");
}

/// What is wrong with one is its own matter, and what one would have written before it was refused is undone.
#[tokio::test]
async fn several_are_created_each_for_itself() {
    let rig = Rig::new().await;
    let used = rig.create(&new_client(json!([jti("used")]))).await.assert_status(201).member("client_id");
    let of = |id: &str, client: Value| with(client, "/software/id", json!(id));
    let orders = json!([
        of("first", new_client(json!([jti("a")]))),
        of("replayed", new_client(json!([jti("b"), jti("used")]))),
        of("malformed\n", new_client(json!([jti("c")]))),
        with(new_client(json!([jti("c")])), "/consume_jti/0/expires_at", json!(u64::MAX)),
        "nothing like it",
        of("same jti as one that was refused", new_client(json!([jti("b")]))),
        of("same jti as one that was created", new_client(json!([jti("a")]))),
        of("single", with(new_client(json!([])), "/single_registration", json!(true))),
        of("single", with(new_client(json!([])), "/single_registration", json!(true))),
        asking_for_token(of("last", new_client(json!([])))),
    ]);
    let answer = rig.post("/v1/clients", &json!({ "clients": orders })).await;
    let told = answer.assert_status(200).body["clients"].as_array().unwrap();
    let outcomes: Vec<(u64, Option<&str>)> =
        told.iter().map(|told| (told["status"].as_u64().unwrap(), told["error"].as_str())).collect();
    let (malformed, replayed, created) = ((400, Some("invalid_request")), (409, Some("replayed")), (201, None));
    assert_eq!(
        outcomes,
        [
            created,
            replayed,
            malformed,
            malformed,
            malformed,
            created,
            replayed,
            created,
            (409, Some("duplicate_software")),
            created
        ]
    );
    assert_eq!((&told[1]["replayed"], &told[6]["replayed"]), (&json!(1), &json!(0)));
    for (told, order) in told.iter().zip(orders.as_array().unwrap()).filter(|(told, _)| told["status"] == 201) {
        assert_eq!(told["software"], order["software"]);
        let read = rig.get(&format!("/v1/clients/{}", told["client_id"].as_str().unwrap())).await;
        assert_eq!(read.assert_status(200).body["software"], order["software"]);
        assert_ne!(told["client_id"], used);
        assert_eq!(told.get("registration_access_token").is_some(), order["software"]["id"] == "last");
    }
    let counts = rig.database.counts().await.unwrap();
    assert_eq!((counts.clients, counts.jti_kept), (5, 3));
}

#[tokio::test]
async fn of_1_to_64_clients_each_is_told() {
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
async fn who_updated_a_record_need_not_be_told_it() {
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
async fn a_record_is_kept_as_it_is_written() {
    let rig = Rig::new().await;
    let record =
        format!(r#"{{"number": 1.50e+2 , "text":"\u0041", "deep": {}0{} }}"#, "[".repeat(200), "]".repeat(200));
    let body = with(new_client(json!([])), "/record", json!("here"));
    let body = json!({ "clients": [body] }).to_string().replace("\"here\"", &record);
    let request = Request::post("/v1/clients").header("content-type", "application/json");
    let created = rig.send(request.body(Body::from(body)).unwrap()).await.of_one();
    let client_id = created.assert_status(201).member("client_id");
    assert!(rig.get(&format!("/v1/clients/{client_id}")).await.assert_status(200).text.contains(&record));
    for none in ["[]", "\"{}\"", "null", "1"] {
        let body = with(new_client(json!([])), "/record", serde_json::from_str(none).unwrap());
        rig.create(&body).await.assert_refused(400, "invalid_request");
    }
}

#[tokio::test]
async fn a_client_that_is_not_there_is_unknown_to_every_operation() {
    let rig = Rig::new().await;
    let too_long = "a".repeat(65);
    for id in ["0123456789abcdef0123456789abcdef", "x", too_long.as_str(), "%2e%2e", "a%20b", "%ff", "'--", "%00"] {
        let path = format!("/v1/clients/{id}");
        rig.get(&path).await.assert_refused(404, "unknown_client");
        rig.delete(&path).await.assert_refused(404, "unknown_client");
        rig.put(&path, "\"1\"", &replacement(json!([]))).await.assert_refused(404, "unknown_client");
        let tokens = rig.issue(&path, &crate::support::new_token(json!([]))).await;
        tokens.assert_refused(404, "unknown_client");
    }
}

#[tokio::test]
async fn several_registrations_of_a_software_unless_single_is_asked_for() {
    let rig = Rig::new().await;
    let single = with(new_client(json!([])), "/single_registration", json!(true));
    rig.create(&single).await.assert_status(201);
    rig.create(&single).await.assert_refused(409, "duplicate_software");

    let other_id = with(single.clone(), "/software/id", json!("another"));
    rig.create(&other_id).await.assert_status(201);
    let other_issuer = with(single.clone(), "/software/issuer", json!("Another Directory"));
    rig.create(&other_issuer).await.assert_status(201);
    rig.create(&new_client(json!([]))).await.assert_status(201);
}

#[tokio::test]
async fn a_software_may_register_again_after_deletion() {
    let rig = Rig::new().await;
    let single = with(new_client(json!([])), "/single_registration", json!(true));
    let created = rig.create(&single).await;
    rig.delete(&format!("/v1/clients/{}", created.member("client_id"))).await.assert_status(204);
    rig.create(&single).await.assert_status(201);
}

#[tokio::test]
async fn a_jti_is_taken_once_until_it_expires() {
    let rig = Rig::new().await;
    rig.create(&new_client(json!([jti("a")]))).await.assert_status(201);
    rig.create(&new_client(json!([jti("a")]))).await.assert_refused(409, "replayed");
    rig.create(&new_client(json!([jti("b")]))).await.assert_status(201);

    rig.set_time(NOW + 601);
    let later = new_client(json!([jti_until("a", NOW + 700)]));
    rig.create(&later).await.assert_status(201);
    rig.create(&later).await.assert_refused(409, "replayed");
}

#[tokio::test]
async fn update_replaces_the_record_and_counts_the_version() {
    let rig = Rig::new().await;
    let path = rig.registered().await;
    rig.set_time(NOW + 100);
    let updated = rig.put(&path, "\"1\"", &replacement(json!([jti("u")]))).await;
    updated.assert_status(200);
    assert_eq!(updated.header("etag"), "\"2\"");
    assert_eq!(updated.body["version"], 2);
    assert_eq!(updated.body["record"], json!({ "replaced": true }));
    assert_eq!(updated.body["client_id_issued_at"], NOW, "an update does not register anew");
    assert_eq!(rig.get(&path).await.text, updated.text);
}

#[tokio::test]
async fn update_refuses_what_is_stale_foreign_or_replayed() {
    let rig = Rig::new().await;
    let path = rig.registered().await;
    let unconditional = Request::put(&path).header("content-type", "application/json");
    let unconditional = unconditional.body(Body::from(replacement(json!([])).to_string())).unwrap();
    rig.send(unconditional).await.assert_refused(428, "precondition_required");
    rig.put(&path, "\"2\"", &replacement(json!([]))).await.assert_refused(412, "version_mismatch");
    let foreign = with(replacement(json!([])), "/software/id", json!("another"));
    rig.put(&path, "\"1\"", &foreign).await.assert_refused(409, "software_mismatch");
    rig.put(&path, "\"1\"", &replacement(json!([jti("u")]))).await.assert_status(200);
    rig.put(&path, "\"2\"", &replacement(json!([jti("u")]))).await.assert_refused(409, "replayed");
    rig.put(&path, "\"1\"", &replacement(json!([]))).await.assert_refused(412, "version_mismatch");
    assert_eq!(rig.get(&path).await.body["version"], 2);
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
async fn delete_removes_the_client() {
    let rig = Rig::new().await;
    let path = rig.registered().await;
    let deleted = rig.delete(&path).await;
    deleted.assert_status(204);
    assert_eq!(deleted.text, "");
    rig.get(&path).await.assert_refused(404, "unknown_client");
    rig.delete(&path).await.assert_refused(404, "unknown_client");
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
        with(good.clone(), "/consume_jti/0/expires_at", json!(NOW - 1)),
        with(good.clone(), "/consume_jti/0/expires_at", json!(NOW + 366 * 86_400 + 1)),
        with(good.clone(), "/consume_jti", (0..9).map(|number| jti(&number.to_string())).collect()),
        json!([]),
        json!(null),
    ]);
    for body in bodies {
        rig.put(&path, "\"1\"", &body).await.assert_refused(400, "invalid_request");
        let mut creation = body.clone();
        if let Some(members) = creation.as_object_mut() {
            members.insert("single_registration".to_owned(), json!(false));
        }
        rig.create(&creation).await.assert_refused(400, "invalid_request");
    }
    let undecided = with(new_client(json!([])), "/single_registration", json!("false"));
    rig.create(&undecided).await.assert_refused(400, "invalid_request");
    rig.create(&good).await.assert_refused(400, "invalid_request");
    assert_eq!(rig.get(&path).await.body["version"], 1);
    assert_eq!(rig.database.counts().await.unwrap().clients, 1);
}

#[tokio::test]
async fn what_is_just_within_the_bounds_is_taken() {
    let rig = Rig::new().await;
    let long = |length: usize| json!("é".repeat(length / 2));
    let body = new_client((0..8).map(|number| jti(&format!("{number}{}", "j".repeat(1023)))).collect());
    let body = with(body, "/software", json!({ "issuer": long(512), "id": long(512) }));
    let body = with(body, "/consume_jti/0/issuer", long(1024));
    let created = rig.create(&body).await;
    created.assert_status(201);
    assert_eq!(created.body["software"], body["software"]);
}

#[tokio::test]
async fn software_and_record_are_data_and_never_sql() {
    let rig = Rig::new().await;
    let hostile = "'; DROP TABLE clients; --";
    let body = with(new_client(json!([jti(hostile)])), "/software/id", json!(hostile));
    let body = with(body, "/record", json!({ hostile: hostile }));
    let created = rig.create(&body).await;
    let read = rig.get(&format!("/v1/clients/{}", created.assert_status(201).member("client_id"))).await;
    assert_eq!(read.assert_status(200).body["record"], body["record"]);
    assert_ne!(software(), read.body["software"]);
}
