//! The store is down, slow, or answers with nonsense, or the client of a call is gone.

use std::sync::Arc;
use std::time::Duration;

use dcr_cli::mint;
use dcr_store_protocol::Software;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::doors::{Doors, NO_STORE, SCRIPTED_STORE, SILENT_STORE, UNKNOWN_CLUSTER, doors};
use super::scripted_store::{Script, created};
use super::wire::{After, request_octets};
use super::{
    PKI, REGISTRATION, STORE_UNAVAILABLE, access_line, assert_no_panic, assert_registered, good_request, run, signed,
};

/// When this many registrations wait for the end of a call, another call is sent.
const BATCH_THRESHOLD: usize = 8;

const JSON: &str = "application/json";
const JWT: (&str, &str) = ("content-type", "application/jwt");

#[test]
fn a_store_that_is_not_there_or_says_nothing_is_503() {
    run(async {
        let doors = doors().await;
        for (door, cause) in [
            (NO_STORE, "did not answer: no connection to it"),
            (UNKNOWN_CLUSTER, "could not be called: Envoy has no such cluster"),
            (SILENT_STORE, "did not answer in time"),
        ] {
            let tpp = doors.tpp(door, Some(&PKI.tpp.transport));
            let assertion = signed(&doors.gateway.client_assertion("0123456789abcdef"));
            let answers = [
                ("register", tpp.register(&signed(&good_request(&doors.gateway))).await),
                ("retrieve", tpp.retrieve("0123456789abcdef", "a-token").await),
                ("update", tpp.update("0123456789abcdef", "a-token", &signed(&good_request(&doors.gateway))).await),
                ("delete", tpp.delete("0123456789abcdef", "a-token").await),
                ("a token by assertion", tpp.token_by_assertion(&assertion, None).await),
                ("a token by certificate", tpp.token_by_certificate("0123456789abcdef", None).await),
            ];
            for (of, answer) in answers {
                let answer = answer.unwrap();
                STORE_UNAVAILABLE.check(&doors.gateway, &answer, &format!("{door}: {of}")).await;
                assert!(
                    answer.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok()),
                    "{door}: {of}"
                );
                assert_eq!(answer.header("www-authenticate"), None, "{door}: {of}");
            }
            doors.gateway.envoy_logged(&format!("dcr-gate: the store {cause}")).await.unwrap();
            // Requests that need no store are still served.
            assert_eq!(tpp.discover().await.unwrap().status, 200, "{door}");
        }
        assert_no_panic(&doors.gateway);
    });
}

#[test]
fn a_store_that_answers_otherwise_than_its_api_says_is_503() {
    run(async {
        let doors = doors().await;
        let tpp = doors.tpp(SCRIPTED_STORE, Some(&PKI.tpp.transport));
        let software = |issuer: &str, id: &str| Software { issuer: issuer.to_owned(), id: id.to_owned() };
        let one = |told: Value| json!({ "clients": [told] }).to_string();
        let ours = json!(created(software(mint::DIRECTORY_ISSUER, &PKI.tpp.software.software_id)));
        let without = |member: &str| {
            let mut told = ours.clone();
            told.as_object_mut().unwrap().remove(member);
            one(told)
        };
        let refused = |status: u16, error: Value| one(json!({ "status": status, "error": error }));
        let answers = [
            ("no version", 200, JSON, without("version")),
            ("no client_id", 200, JSON, without("client_id")),
            ("no status", 200, JSON, without("status")),
            ("no software", 200, JSON, without("software")),
            ("another software", 200, JSON, one(json!(created(software("a", "b"))))),
            ("none of one", 200, JSON, json!({ "clients": [] }).to_string()),
            ("two of one", 200, JSON, json!({ "clients": [ours, ours] }).to_string()),
            ("tokens", 200, JSON, json!({ "tokens": [ours] }).to_string()),
            ("a client that stands alone", 201, JSON, ours.to_string()),
            ("JSON cut short", 200, JSON, "{\"clients\": [{\"client_id\": \"a".to_owned()),
            ("no JSON", 200, JSON, "created".to_owned()),
            ("an array", 200, JSON, "[]".to_owned()),
            ("JSON too deep", 200, JSON, "[".repeat(100_000)),
            ("nothing", 200, JSON, String::new()),
            (
                "a control character in a string",
                200,
                "application/json; charset=utf-8",
                "{\"clients\": [{\"client_id\": \"\u{0}\"}]}".to_owned(),
            ),
            ("a page", 200, "text/html", "<html>".to_owned()),
            ("the right words as text", 200, "text/plain", one(ours.clone())),
            ("201 in place of 200", 201, JSON, one(ours.clone())),
            ("a redirect", 302, JSON, "{}".to_owned()),
            ("not authorised", 401, JSON, json!({ "error": "invalid_token" }).to_string()),
            ("an error it does not have", 200, JSON, refused(409, json!("out_of_cheese"))),
            ("an error without its name", 200, JSON, refused(409, json!(null))),
            ("an error with another status", 200, JSON, refused(500, json!("replayed"))),
            ("replayed, for all", 409, JSON, json!({ "error": "replayed" }).to_string()),
            ("500", 500, JSON, json!({ "error": "replayed" }).to_string()),
            ("500 as a page", 500, "text/html", "<html>".to_owned()),
        ];
        for (of, status, content_type, body) in answers {
            let script = Script::Answer(status, content_type, body);
            let (request, jti) = doors.store.script(good_request(&doors.gateway), script);
            let answer = tpp.register(&signed(&request)).await.unwrap();
            doors.store.was_asked(&jti).await;
            STORE_UNAVAILABLE.check(&doors.gateway, &answer, of).await;
            assert!(answer.header("retry-after").is_some(), "{of}");
        }
        let (request, _) = doors.store.script(good_request(&doors.gateway), Script::Answer(200, JSON, one(ours)));
        let answer = tpp.register(&signed(&request)).await.unwrap();
        assert_registered(&doors.gateway, &answer, "what the others have is right").await;

        // The door itself works.
        let answer = tpp.register(&signed(&good_request(&doors.gateway))).await.unwrap();
        assert_registered(&doors.gateway, &answer, "a store that does as it should").await;
        assert_no_panic(&doors.gateway);
    });
}

/// Over HTTP/1.1 the connection ends. Over HTTP/2 only the stream ends, and the other streams go on.
#[test]
fn a_client_that_leaves_while_the_store_works_harms_nobody() {
    run(async {
        let doors = doors().await;
        let neighbours = doors.http2(SCRIPTED_STORE, Some(&PKI.tpp.transport)).await;

        let held = Arc::new(Semaphore::new(0));
        let (request, jti) = doors.store.script(good_request(&doors.gateway), Script::Hold(held.clone()));
        let mut leaving = doors.http1(SCRIPTED_STORE, Some(&PKI.tpp.transport)).await;
        let headers: [&[u8]; 2] = [b"content-type: application/jwt", b"x-request-id: left-by-closing"];
        leaving.write(request_octets(&format!("POST {REGISTRATION}"), &headers, signed(&request).as_bytes())).await;
        doors.store.was_asked(&jti).await;
        drop(leaving);
        assert_eq!(gone(doors, "left-by-closing").await["flags"], "DC");
        held.add_permits(1);
        register_well(doors, &neighbours).await;

        let held = Arc::new(Semaphore::new(0));
        let (request, jti) = doors.store.script(good_request(&doors.gateway), Script::Hold(held.clone()));
        let other = good_request(&doors.gateway);
        let body = |request| After::Body(signed(request).into_bytes());
        let headers = [JWT, ("x-request-id", "left-by-resetting")];
        let leaving = neighbours.send("POST", REGISTRATION, &headers, body(&request)).await;
        let staying = neighbours.send("POST", REGISTRATION, &[JWT], body(&other)).await;
        doors.store.was_asked(&jti).await;
        leaving.cancel();
        gone(doors, "left-by-resetting").await;
        held.add_permits(1);
        assert_registered(&doors.gateway, &staying.answer().await, "the neighbour that stayed").await;
        register_well(doors, &neighbours).await;
        assert_no_panic(&doors.gateway);
    });
}

#[test]
fn a_store_that_is_slow_within_its_time_is_waited_for() {
    run(async {
        let doors = doors().await;
        let held = Arc::new(Semaphore::new(0));
        let (request, jti) = doors.store.script(good_request(&doors.gateway), Script::Hold(held.clone()));
        let connection = doors.http2(SCRIPTED_STORE, Some(&PKI.tpp.transport)).await;
        let sent = connection.send("POST", REGISTRATION, &[JWT], After::Body(signed(&request).into_bytes())).await;
        doors.store.was_asked(&jti).await;
        // Meanwhile the same worker serves other requests. Registrations that arrive now share a call when there are enough of them.
        assert_eq!(
            connection.request("GET", "/.well-known/openid-configuration", &[], After::Nothing).await.status,
            200
        );
        let body = || After::Body(signed(&good_request(&doors.gateway)).into_bytes());
        let mut others = Vec::new();
        for _ in 0..BATCH_THRESHOLD {
            others.push(connection.send("POST", REGISTRATION, &[JWT], body()).await);
        }
        for other in others {
            assert_registered(&doors.gateway, &other.answer().await, "one of many").await;
        }
        held.add_permits(1);
        let answer = sent.answer().await;
        assert_registered(&doors.gateway, &answer, "the held one").await;
        let logged = access_line(&doors.gateway, &answer).await;
        assert!(logged["duration_ms"].as_u64().unwrap() < Duration::from_secs(60).as_millis().try_into().unwrap());
    });
}

async fn register_well(doors: &Doors, connection: &super::wire::Http2) {
    let body = After::Body(signed(&good_request(&doors.gateway)).into_bytes());
    let answer = connection.request("POST", REGISTRATION, &[JWT], body).await;
    assert_registered(&doors.gateway, &answer, "the next request").await;
}

/// The line of the access log for a request whose client has gone.
async fn gone(doors: &Doors, request_id: &str) -> Value {
    let line = doors.gateway.access_logged(|line| line["request_id"] == request_id).await.unwrap();
    assert!(line["status"] == 0 && !line["details"].as_str().unwrap().starts_with("dcr_"), "{line}");
    line
}
