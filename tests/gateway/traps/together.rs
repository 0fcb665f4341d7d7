//! Several clients request tokens at the same time. One call to the store carries many requests, and each client gets its own token.

use std::collections::HashSet;
use std::process::Command;

use dcr_cli::client::Tpp;
use dcr_dev::Gateway;
use serde_json::json;

use super::caches::{connect, gateway, signature_checks};
use super::wire::{After, Http2, Sent};
use super::{PKI, assert_no_panic, good_request, run, signed, text, until};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const TYPE: &str = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";

async fn registered(gateway: &Gateway, tpp: &Tpp) -> String {
    tpp.register(&signed(&good_request(gateway))).await.unwrap().member("client_id").unwrap()
}

fn token_request(gateway: &Gateway, client_id: &str) -> Vec<u8> {
    let assertion = signed(&gateway.client_assertion(client_id));
    format!("grant_type=client_credentials&client_assertion_type={TYPE}&client_assertion={assertion}").into_bytes()
}

async fn ask(connection: &Http2, id: &str, body: Vec<u8>) -> Sent {
    connection.send("POST", "/token", &[FORM, ("x-request-id", id)], After::Body(body)).await
}

/// The number of calls that the store has answered, and the number of tokens in them.
async fn calls_and_tokens(gateway: &Gateway, tpp: &Tpp) -> (u64, u64) {
    let url = format!("{}/metrics", gateway.store_url());
    let metrics = tpp.send(tpp.request(http::Method::GET, &url)).await.unwrap();
    let metrics = String::from_utf8(metrics.body).unwrap();
    let sum = |name: &str| {
        let lines = metrics.lines().filter(|line| line.starts_with(name));
        lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
    };
    (sum(r#"dcr_store_requests_total{route="/v1/tokens","#), sum("dcr_store_tokens_total{"))
}

#[test]
fn of_two_hundred_at_once_each_gets_its_own_and_many_share_a_call() {
    run(async {
        let gateway = gateway(2, json!({ "store": { "timeout": "60s" } })).await;
        let tpp = gateway.client(Some(&PKI.tpp.transport)).unwrap();
        let clients = [registered(&gateway, &tpp).await, registered(&gateway, &tpp).await];
        let bodies: Vec<_> = (0..200).zip(clients.iter().cycle()).map(|(_, id)| token_request(&gateway, id)).collect();

        let mut connections = Vec::new();
        for _ in 0..32 {
            connections.push(connect(&gateway).await);
        }
        let mut sent = Vec::new();
        for (number, (body, connection)) in bodies.into_iter().zip(connections.iter().cycle()).enumerate() {
            sent.push(ask(connection, &format!("token-{number}"), body).await);
        }
        let mut tokens = HashSet::new();
        for (sent, client_id) in sent.into_iter().zip(clients.iter().cycle()) {
            let answer = sent.answer().await;
            assert_eq!(answer.status, 200, "{}", text(&answer));
            let token = answer.member("access_token").unwrap();
            let url = format!("{}/v1/tokens/introspect", gateway.store_url());
            let introspect = tpp.request(http::Method::POST, &url).form(&[("token", token.as_str())]);
            let known = tpp.send(introspect).await.unwrap().json();
            assert_eq!((&known["active"], &known["client_id"]), (&json!(true), &json!(client_id)), "{known}");
            assert!(tokens.insert(token), "handed out twice");
        }
        let (calls, asked) = calls_and_tokens(&gateway, &tpp).await;
        assert_eq!(asked, 200);
        assert!(calls < 150, "{calls} calls");

        // Each request can be found in the store's log by its own id.
        let log = std::fs::read_to_string(gateway.folder().join("store.log")).unwrap();
        for number in 0..200 {
            let id = format!("request_id=\"token-{number}\"");
            assert!(log.lines().any(|line| line.contains(&id) && line.contains("status=201")), "{id}");
        }
        assert_no_panic(&gateway);
    });
}

/// The store does not answer while a call is under way. If a client goes away, its request is dropped, and the requests behind it lose
/// nothing.
#[test]
fn a_client_that_leaves_takes_no_others_token_with_it() {
    run(async {
        let mut gateway = gateway(1, json!({ "store": { "timeout": "60s" } })).await;
        let tpp = gateway.client(Some(&PKI.tpp.transport)).unwrap();
        let client_id = registered(&gateway, &tpp).await;
        let answer = tpp.token_by_assertion(&signed(&gateway.client_assertion(&client_id)), None).await.unwrap();
        assert_eq!(answer.status, 200, "{}", text(&answer));
        let (verified, (calls, asked)) = (signature_checks(&gateway).await, calls_and_tokens(&gateway, &tpp).await);

        let connections = [connect(&gateway).await, connect(&gateway).await];
        signal(&gateway, "STOP");
        let first = ask(&connections[0], "leaves-its-call", token_request(&gateway, &client_id)).await;
        until("the first one's call", async || (calls_out(&gateway).await == 1).then_some(())).await;
        let waits = ask(&connections[0], "leaves-the-queue", token_request(&gateway, &client_id)).await;
        let stay = [
            ask(&connections[0], "stays-1", token_request(&gateway, &client_id)).await,
            ask(&connections[1], "stays-2", token_request(&gateway, &client_id)).await,
        ];
        until("all to be verified", async || (signature_checks(&gateway).await == verified + 4).then_some(())).await;
        for (leaving, id) in [(first, "leaves-its-call"), (waits, "leaves-the-queue")] {
            leaving.cancel();
            let line = gateway.access_logged(|line| line["request_id"] == id).await.unwrap();
            assert!(line["status"] == 0 && !line["details"].as_str().unwrap().starts_with("dcr_"), "{line}");
        }
        signal(&gateway, "CONT");
        for sent in stay {
            let answer = sent.answer().await;
            assert_eq!(answer.status, 200, "{}", text(&answer));
        }
        // The call under way went on. No token was requested for the client that left the queue.
        assert_eq!(calls_and_tokens(&gateway, &tpp).await, (calls + 2, asked + 3));
        gateway.still_runs().unwrap();
        assert_no_panic(&gateway);
    });
}

async fn calls_out(gateway: &Gateway) -> u64 {
    gateway.stats("^cluster\\.dcr_store\\.upstream_rq_active$").await.unwrap().values().sum()
}

fn signal(gateway: &Gateway, signal: &str) {
    let store = gateway.store_id().unwrap().to_string();
    assert!(Command::new("kill").args(["-s", signal, &store]).status().unwrap().success());
}
