//! Key sets. One fetch serves all requests that wait, even if the first of them ends. An unknown `kid` causes at most one more fetch for
//! each interval.

use std::time::{Duration, Instant};

use dcr_cli::directory::Behaviour;
use dcr_cli::keys::SigningKey;
use dcr_cli::mint::Token;
use serde_json::json;

use super::doors::{Doors, FIRST_REQUESTS, LOST_STARTER, MADE_UP_KIDS, ROTATED_KEY, doors, key_set};
use super::wire::{After, Http2};
use super::{PKI, REGISTRATION, Refused, assert_no_panic, assert_registered, good_request, run, signed, text, until};

const JWT: (&str, &str) = ("content-type", "application/jwt");
const UNKNOWN_KID_OF_STATEMENT: Refused = Refused(400, "invalid_software_statement", "JO-13", "kid_unknown");
const UNKNOWN_KID_OF_REQUEST: Refused = Refused(400, "invalid_client_metadata", "JO-13", "kid_unknown");

/// Envoy's worker threads. Each has its own VM.
const WORKERS: u64 = 2;

#[test]
fn whoever_waits_for_a_key_set_gets_it_though_the_one_who_asked_first_is_gone() {
    run(async {
        let doors = doors().await;
        let (directory, path) = (doors.gateway.directory(), key_set(LOST_STARTER));
        directory.behave(&path, Behaviour { delay: Some(Duration::from_secs(3)), ..Behaviour::default() });
        // One connection is served by one worker, and so by one VM.
        let connection = doors.http2(LOST_STARTER, Some(&PKI.tpp.transport)).await;

        let first = connection.send("POST", REGISTRATION, &[JWT, ("x-request-id", "asked-first")], body(doors)).await;
        until("the key set to be asked for", async || (directory.fetches(&path) == 1).then_some(())).await;
        let mut waiting = Vec::new();
        for _ in 0..5 {
            waiting.push(connection.send("POST", REGISTRATION, &[JWT], body(doors)).await);
        }
        first.cancel();
        let gone = doors.gateway.access_logged(|line| line["request_id"] == "asked-first").await.unwrap();
        assert_eq!(gone["status"], 0, "{gone}");
        assert!(gone["duration_ms"].as_u64().unwrap() < 3000, "it left when the key set was there already: {gone}");
        for sent in waiting {
            assert_registered(&doors.gateway, &sent.answer().await, "one that waited").await;
        }
        assert_eq!(directory.fetches(&path), 1);
        assert_no_panic(&doors.gateway);
    });
}

#[test]
fn two_hundred_first_requests_fetch_a_key_set_once_in_each_worker() {
    run(async {
        let doors = doors().await;
        let (directory, path) = (doors.gateway.directory(), key_set(FIRST_REQUESTS));
        // A software whose keys no other test fetches.
        let software_path = "/first-requests/software.jwks";
        directory.publish(software_path, PKI.tpp.key_set().unwrap());
        directory.behave(&path, Behaviour { delay: Some(Duration::from_millis(500)), ..Behaviour::default() });
        let statement = doors.gateway.software_statement(&PKI.tpp);
        let statement = statement.claim("software_jwks_endpoint", format!("{}{software_path}", directory.url()));
        let statement = statement.sign(&PKI.directory).unwrap();
        let request = || signed(&good_request(&doors.gateway).claim("software_statement", statement.as_str()));
        let bodies: Vec<String> = (0..200).map(|_| request()).collect();

        let mut connections = Vec::new();
        for _ in 0..8 {
            connections.push(doors.http2(FIRST_REQUESTS, Some(&PKI.tpp.transport)).await);
        }
        let mut sent = Vec::new();
        for (body, connection) in bodies.into_iter().zip(connections.iter().cycle()) {
            sent.push(connection.send("POST", REGISTRATION, &[JWT], After::Body(body.into_bytes())).await);
        }
        for sent in sent {
            let answer = sent.answer().await;
            assert_eq!(answer.status, 201, "{}", text(&answer));
        }
        for path in [&path, software_path] {
            assert!((1..=WORKERS).contains(&directory.fetches(path)), "{path}: {}", directory.fetches(path));
        }
        assert_no_panic(&doors.gateway);
    });
}

#[test]
fn a_new_key_of_the_directory_is_found_by_one_more_fetch() {
    run(async {
        let doors = doors().await;
        let (directory, path) = (doors.gateway.directory(), key_set(ROTATED_KEY));
        let connection = doors.http2(ROTATED_KEY, Some(&PKI.tpp.transport)).await;
        let answer = connection.request("POST", REGISTRATION, &[JWT], body(doors)).await;
        assert_registered(&doors.gateway, &answer, "the old key").await;
        assert_eq!(directory.fetches(&path), 1);

        let new_key = SigningKey::generate_es256();
        let old = PKI.directory.public_jwk();
        directory.publish(&path, json!({ "keys": [old, new_key.public_jwk()] }));
        let answer = until("the new key to be accepted", async || {
            let statement = doors.gateway.software_statement(&PKI.tpp).sign(&new_key).unwrap();
            let request = good_request(&doors.gateway).claim("software_statement", statement);
            let answer = register(&connection, &request).await;
            if answer.status == 201 {
                return Some(answer);
            }
            UNKNOWN_KID_OF_STATEMENT.check(&doors.gateway, &answer, "a key too new to be known").await;
            assert_eq!(directory.fetches(&path), 1, "asked again within the interval");
            None
        })
        .await;
        assert_registered(&doors.gateway, &answer, "the new key").await;
        assert_eq!(directory.fetches(&path), 2);
    });
}

#[test]
fn made_up_kids_do_not_hammer_the_directory() {
    run(async {
        let doors = doors().await;
        let directory = doors.gateway.directory();
        let (directory_path, software_path) = (key_set(MADE_UP_KIDS), "/made-up-kids/software.jwks");
        directory.publish(software_path, PKI.tpp.key_set().unwrap());
        let connection = doors.http2(MADE_UP_KIDS, Some(&PKI.tpp.transport)).await;
        let statement = doors.gateway.software_statement(&PKI.tpp);
        let statement = statement.claim("software_jwks_endpoint", format!("{}{software_path}", directory.url()));
        let good = good_request(&doors.gateway).claim("software_statement", statement.sign(&PKI.directory).unwrap());

        let started = Instant::now();
        for i in 0..100 {
            let forged = statement.clone().header("kid", format!("made-up-{i}")).sign(&PKI.directory).unwrap();
            let answer = register(&connection, &good.clone().claim("software_statement", forged)).await;
            UNKNOWN_KID_OF_STATEMENT.check_answer(&answer, "a statement");
            let answer = register(&connection, &good.clone().header("kid", format!("made-up-{i}"))).await;
            UNKNOWN_KID_OF_REQUEST.check_answer(&answer, "a request");
        }
        // The first fetch, and at most one for each interval of one second since then.
        let most = 2 + started.elapsed().as_secs();
        for path in [directory_path.as_str(), software_path] {
            assert!((1..=most).contains(&directory.fetches(path)), "{path}: {} of {most}", directory.fetches(path));
        }
        let answer = register(&connection, &good).await;
        assert_registered(&doors.gateway, &answer, "a kid that is known").await;
    });
}

async fn register(connection: &Http2, request: &Token) -> dcr_cli::client::Answer {
    let body = After::Body(signed(request).into_bytes());
    connection.request("POST", REGISTRATION, &[JWT], body).await
}

fn body(doors: &Doors) -> After {
    After::Body(signed(&good_request(&doors.gateway)).into_bytes())
}
