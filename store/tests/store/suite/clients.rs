//! Clients are created, read, replaced and deleted.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::support::{NOW, Rig, asking_for_token, jti, jti_until, new_client, new_token, replacement, software, with};

pub(crate) async fn create_answers_what_the_caller_does_not_know(rig: Rig) {
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

pub(crate) async fn read_answers_the_whole_client(rig: Rig) {
    let sent = new_client(json!([]));
    let mut created = rig.create(&sent).await;
    let read = rig.get(&format!("/v1/clients/{}", created.member("client_id"))).await;
    created.body["record"] = sent["record"].clone();
    assert_eq!(read.assert_status(200).body, created.body);
    assert!(read.text.contains(&sent["record"].to_string()), "the order of the record's members is kept");
    assert_eq!(read.header("etag"), "\"1\"");
}

/// A fault in one client does not affect the others. If one is refused, all of its writes are undone.
pub(crate) async fn several_are_created_each_for_itself(rig: Rig) {
    let used = rig.create(&new_client(json!([jti("used")]))).await.assert_status(201).member("client_id");
    let of = |id: &str, client: Value| with(client, "/software/id", json!(id));
    let items = json!([
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
    let answer = rig.post("/v1/clients", &json!({ "clients": items })).await;
    let replies = answer.assert_status(200).body["clients"].as_array().unwrap();
    let outcomes: Vec<(u64, Option<&str>)> =
        replies.iter().map(|reply| (reply["status"].as_u64().unwrap(), reply["error"].as_str())).collect();
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
    assert_eq!((&replies[1]["replayed"], &replies[6]["replayed"]), (&json!(1), &json!(0)));
    for (reply, item) in replies.iter().zip(items.as_array().unwrap()).filter(|(reply, _)| reply["status"] == 201) {
        assert_eq!(reply["software"], item["software"]);
        let read = rig.get(&format!("/v1/clients/{}", reply["client_id"].as_str().unwrap())).await;
        assert_eq!(read.assert_status(200).body["software"], item["software"]);
        assert_ne!(reply["client_id"], used);
        assert_eq!(reply.get("registration_access_token").is_some(), item["software"]["id"] == "last");
    }
    let counts = rig.database.counts().await.unwrap();
    assert_eq!((counts.clients, counts.jti_kept), (5, 3));
}

pub(crate) async fn a_record_is_kept_as_it_is_written(rig: Rig) {
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

pub(crate) async fn a_client_that_is_not_there_is_unknown_to_every_operation(rig: Rig) {
    let too_long = "a".repeat(65);
    for id in ["0123456789abcdef0123456789abcdef", "x", too_long.as_str(), "%2e%2e", "a%20b", "%ff", "'--", "%00"] {
        let path = format!("/v1/clients/{id}");
        rig.get(&path).await.assert_refused(404, "unknown_client");
        rig.delete(&path).await.assert_refused(404, "unknown_client");
        rig.put(&path, "\"1\"", &replacement(json!([]))).await.assert_refused(404, "unknown_client");
        let tokens = rig.issue(&path, &new_token(json!([]))).await;
        tokens.assert_refused(404, "unknown_client");
    }
}

pub(crate) async fn several_registrations_of_a_software_unless_single_is_asked_for(rig: Rig) {
    let single = with(new_client(json!([])), "/single_registration", json!(true));
    rig.create(&single).await.assert_status(201);
    rig.create(&single).await.assert_refused(409, "duplicate_software");

    let other_id = with(single.clone(), "/software/id", json!("another"));
    rig.create(&other_id).await.assert_status(201);
    let other_issuer = with(single.clone(), "/software/issuer", json!("Another Directory"));
    rig.create(&other_issuer).await.assert_status(201);
    rig.create(&new_client(json!([]))).await.assert_status(201);
}

pub(crate) async fn a_software_may_register_again_after_deletion(rig: Rig) {
    let single = with(new_client(json!([])), "/single_registration", json!(true));
    let created = rig.create(&single).await;
    rig.delete(&format!("/v1/clients/{}", created.member("client_id"))).await.assert_status(204);
    rig.create(&single).await.assert_status(201);
}

pub(crate) async fn a_jti_is_taken_once_until_it_expires(rig: Rig) {
    rig.create(&new_client(json!([jti("a")]))).await.assert_status(201);
    rig.create(&new_client(json!([jti("a")]))).await.assert_refused(409, "replayed");
    rig.create(&new_client(json!([jti("b")]))).await.assert_status(201);

    rig.set_time(NOW + 601);
    let later = new_client(json!([jti_until("a", NOW + 700)]));
    rig.create(&later).await.assert_status(201);
    rig.create(&later).await.assert_refused(409, "replayed");
}

pub(crate) async fn update_replaces_the_record_and_counts_the_version(rig: Rig) {
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

pub(crate) async fn update_refuses_what_is_stale_foreign_or_replayed(rig: Rig) {
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

pub(crate) async fn delete_removes_the_client(rig: Rig) {
    let path = rig.registered().await;
    let deleted = rig.delete(&path).await;
    deleted.assert_status(204);
    assert_eq!(deleted.text, "");
    rig.get(&path).await.assert_refused(404, "unknown_client");
    rig.delete(&path).await.assert_refused(404, "unknown_client");
}

pub(crate) async fn what_is_just_within_the_bounds_is_taken(rig: Rig) {
    let long = |length: usize| json!("é".repeat(length / 2));
    let body = new_client((0..8).map(|number| jti(&format!("{number}{}", "j".repeat(1023)))).collect());
    let body = with(body, "/software", json!({ "issuer": long(512), "id": long(512) }));
    let body = with(body, "/consume_jti/0/issuer", long(1024));
    let created = rig.create(&body).await;
    created.assert_status(201);
    assert_eq!(created.body["software"], body["software"]);
}

pub(crate) async fn software_and_record_are_data_and_never_sql(rig: Rig) {
    let hostile = "'; DROP TABLE clients; --";
    let body = with(new_client(json!([jti(hostile)])), "/software/id", json!(hostile));
    let body = with(body, "/record", json!({ hostile: hostile }));
    let created = rig.create(&body).await;
    let read = rig.get(&format!("/v1/clients/{}", created.assert_status(201).member("client_id"))).await;
    assert_eq!(read.assert_status(200).body["record"], body["record"]);
    assert_ne!(software(), read.body["software"]);
}

/// A database must be able to keep text without this character, because PostgreSQL cannot keep it.
pub(crate) async fn text_with_nul_is_refused(rig: Rig) {
    let good = new_client(json!([jti("a")]));
    for pointer in ["/software/issuer", "/software/id", "/consume_jti/0/issuer", "/consume_jti/0/jti"] {
        let body = with(good.clone(), pointer, json!("nul\0"));
        rig.create(&body).await.assert_refused(400, "invalid_request");
    }
    let client = rig.registered().await;
    let update = with(replacement(json!([jti("u")])), "/consume_jti/0/jti", json!("nul\0"));
    rig.put(&client, "\"1\"", &update).await.assert_refused(400, "invalid_request");
    for pointer in ["/scope", "/cnf/x5t#S256", "/consume_jti/0/jti"] {
        let token = with(new_token(json!([jti("t")])), pointer, json!("nul\0"));
        rig.issue(&client, &token).await.assert_refused(400, "invalid_request");
    }
    rig.get("/v1/clients/nul%00").await.assert_refused(404, "unknown_client");
    let unknown = rig.form("/v1/tokens/introspect", "token=nul%00").await;
    assert_eq!(unknown.assert_status(200).body, json!({ "active": false }));
    let counts = rig.database.counts().await.unwrap();
    assert_eq!((counts.clients, counts.live_tokens, counts.jti_kept), (1, 0, 0));

    // A record contains this character only as an escape, and the escape is kept unchanged.
    let record = json!({ "text": "nul\0" });
    let created = rig.create(&with(good, "/record", record.clone())).await.assert_status(201).member("client_id");
    assert_eq!(rig.get(&format!("/v1/clients/{created}")).await.assert_status(200).body["record"], record);
}
