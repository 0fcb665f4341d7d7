//! The caches: no work is done twice. The directory and Envoy's statistics count what the workers of one Envoy share and keep.

use std::time::{Duration, Instant};

use dcr_cli::directory::{Behaviour, DIRECTORY_KEY_SET};
use dcr_cli::mint::Token;
use dcr_dev::Gateway;
use serde_json::{Value, json};

use super::wire::{After, Http2};
use super::{FOREIGN_REDIRECT_URI, PKI, REGISTRATION, assert_no_panic, good_request, run, signed, text, until};

const JWT: (&str, &str) = ("content-type", "application/jwt");

/// Enough connections that every worker gets one.
const CONNECTIONS: usize = 32;

pub(super) async fn gateway(workers: u32, plugin: Value) -> Gateway {
    crate::gateway().workers(workers).plugin(plugin).start().await.unwrap()
}

pub(super) async fn connect(gateway: &Gateway) -> Http2 {
    let port = gateway.url().rsplit_once(':').unwrap().1.parse().unwrap();
    Http2::tls(port, Some(&PKI.tpp.transport)).await
}

/// A counter of the filter.
async fn counter(gateway: &Gateway, name: &str) -> u64 {
    let name = format!("wasmcustom.dcr.{name}");
    gateway.stats(&format!("^{}$", name.replace('.', "\\."))).await.unwrap()[&name]
}

/// A request that is refused after both signatures were verified. It can be sent again and again.
fn refused_late(gateway: &Gateway) -> Token {
    good_request(gateway).claim("redirect_uris", json!(["https://elsewhere.example/"]))
}

async fn register(connection: &Http2, request: &str) -> dcr_cli::client::Answer {
    connection.request("POST", REGISTRATION, &[JWT], After::Body(request.as_bytes().to_vec())).await
}

#[test]
fn two_hundred_first_requests_in_four_workers_fetch_a_key_set_once() {
    run(async {
        let gateway = gateway(4, json!({ "jwks": { "timeout": "30s" }, "store": { "timeout": "60s" } })).await;
        let (directory, software) = (gateway.directory(), PKI.tpp.software.key_set_path());
        let slow = Behaviour { delay: Some(Duration::from_millis(500)), ..Behaviour::default() };
        directory.behave(DIRECTORY_KEY_SET, slow.clone());
        directory.behave(&software, slow);
        let bodies: Vec<String> = (0..200).map(|_| signed(&good_request(&gateway))).collect();

        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            connections.push(connect(&gateway).await);
        }
        let mut sent = Vec::new();
        for (body, connection) in bodies.into_iter().zip(connections.iter().cycle()) {
            sent.push(connection.send("POST", REGISTRATION, &[JWT], After::Body(body.into_bytes())).await);
        }
        for sent in sent {
            let answer = sent.answer().await;
            assert_eq!(answer.status, 201, "{}", text(&answer));
        }
        for path in [DIRECTORY_KEY_SET, &software] {
            assert_eq!(directory.fetches(path), 1, "{path}");
        }
        assert_eq!(counter(&gateway, "jwks_fetch_success").await, 2);
        // Every worker except the one that fetched has taken both sets from the shared data.
        let adopted = counter(&gateway, "cache.shared_key_sets.hit").await;
        assert!((2..=6).contains(&adopted), "{adopted}");
        assert_no_panic(&gateway);
    });
}

#[test]
fn a_worker_that_comes_to_a_warm_envoy_fetches_nothing() {
    run(async {
        let gateway = gateway(4, json!({})).await;
        let request = signed(&refused_late(&gateway));
        let first = connect(&gateway).await;
        FOREIGN_REDIRECT_URI.check_answer(&register(&first, &request).await, "the first worker");
        assert_eq!(counter(&gateway, "cache.shared_key_sets.hit").await, 0);

        for _ in 0..CONNECTIONS {
            let connection = connect(&gateway).await;
            FOREIGN_REDIRECT_URI.check_answer(&register(&connection, &request).await, "any worker");
        }
        let adopted = counter(&gateway, "cache.shared_key_sets.hit").await;
        assert!(adopted >= 2, "other workers were asked, and took what the first had: {adopted}");
        for path in [DIRECTORY_KEY_SET, &PKI.tpp.software.key_set_path()] {
            assert_eq!(gateway.directory().fetches(path), 1, "{path}");
        }
    });
}

#[test]
fn when_a_set_gets_old_one_worker_fetches_it_for_all() {
    run(async {
        let jwks = json!({ "max_age": "2s", "refetch_interval": "1s", "stale_if_error": "0s" });
        let gateway = gateway(4, json!({ "jwks": jwks })).await;
        let directory = gateway.directory();
        let request = signed(&refused_late(&gateway));
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            connections.push(connect(&gateway).await);
        }
        let started = Instant::now();
        until("the set to be fetched again and again", async || {
            for connection in &connections {
                FOREIGN_REDIRECT_URI.check_answer(&register(connection, &request).await, "a worker");
            }
            (directory.fetches(DIRECTORY_KEY_SET) >= 4).then_some(())
        })
        .await;
        // Each of four workers alone would ask every two seconds.
        let most = 2 + started.elapsed().as_secs();
        assert!(directory.fetches(DIRECTORY_KEY_SET) <= most, "{} of {most}", directory.fetches(DIRECTORY_KEY_SET));
    });
}

#[test]
fn a_statements_signature_is_verified_once_in_a_worker() {
    run(async {
        let gateway = gateway(1, json!({})).await;
        let request = signed(&refused_late(&gateway));
        let connection = connect(&gateway).await;
        for sent in 1..=3 {
            FOREIGN_REDIRECT_URI.check_answer(&register(&connection, &request).await, "a request");
            assert_eq!(signature_checks(&gateway).await, 1 + sent, "the statement's once, the request's each time");
        }
        assert_eq!(counter(&gateway, "cache.statements.hit").await, 2);
        assert_eq!(counter(&gateway, "cache.statements.miss").await, 1);
        assert_eq!(counter(&gateway, "cache.key_sets.miss").await, 2);
        assert_eq!(counter(&gateway, "cache.key_sets.hit").await, 4);
    });
}

#[test]
fn a_client_is_kept_at_hand_and_its_changes_count_at_once() {
    run(async {
        let gateway = gateway(2, json!({ "cache": { "client_max_age": "1m" } })).await;
        let tpp = gateway.client(Some(&PKI.tpp.transport)).unwrap();
        let answer = tpp.register(&signed(&good_request(&gateway).claim("scope", "openid accounts"))).await.unwrap();
        let client_id = answer.member("client_id").unwrap();
        let token = async |scope: &str| {
            let assertion = signed(&gateway.client_assertion(&client_id));
            tpp.token_by_assertion(&assertion, Some(scope)).await.unwrap()
        };
        // After three requests, one of the two workers has received two.
        for _ in 0..3 {
            assert_eq!(token("accounts").await.status, 200);
        }
        let hits = counter(&gateway, "cache.clients.hit").await;
        assert!(hits >= 1, "{hits}");

        // Another gateway with the same store updates the client.
        let url = format!("{}/v1/clients/{client_id}", gateway.store_url());
        let mut client = tpp.send(tpp.request(http::Method::GET, &url)).await.unwrap().json();
        client["record"]["metadata"]["scope"] = json!("openid payments");
        let update = json!({ "software": client["software"], "consume_jti": [], "record": client["record"] });
        let put = tpp.request(http::Method::PUT, &url).header("if-match", "\"1\"").json(&update);
        assert_eq!(tpp.send(put).await.unwrap().status, 200);

        // In both workers, the old record permits nothing and refuses nothing any more.
        for _ in 0..8 {
            let answer = token("accounts").await;
            assert_eq!((answer.status, answer.member("error").as_deref()), (400, Some("invalid_scope")));
            let answer = token("payments").await;
            assert_eq!(
                (answer.status, answer.member("scope").as_deref()),
                (200, Some("payments")),
                "{}",
                text(&answer)
            );
        }
        assert_eq!(tpp.send(tpp.request(http::Method::DELETE, &url)).await.unwrap().status, 204);
        for _ in 0..4 {
            assert_eq!(token("payments").await.status, 401);
        }
        assert_no_panic(&gateway);
    });
}

/// How often a signature was checked, for all algorithms together.
pub(super) async fn signature_checks(gateway: &Gateway) -> u64 {
    gateway.stats("^wasmcustom\\.dcr\\.signature_checks\\.").await.unwrap().values().sum()
}

/// Requests that can be refused without arithmetic are: no signature is checked, and no key set is fetched.
#[test]
fn cheap_refusals_are_cheap() {
    run(async {
        let statements = json!({ "max_age": "1h" });
        let gateway = crate::gateway()
            .workers(1)
            .envoy(move |envoy| {
                envoy.plugin_configuration()?["directories"][0]["statements"] = statements;
                Ok(())
            })
            .start()
            .await
            .unwrap();
        let now = dcr_cli::mint::now();
        let (tpp, bare) = (gateway.client(Some(&PKI.tpp.transport)).unwrap(), gateway.client(None).unwrap());
        let good = signed(&good_request(&gateway));
        let with_statement = |statement: Token| {
            signed(&good_request(&gateway).claim("software_statement", statement.sign(&PKI.directory).unwrap()))
        };
        let statement = || gateway.software_statement(&PKI.tpp);
        let assertion = gateway.client_assertion("0123456789abcdef");

        let url = tpp.endpoints.registration.clone();
        let post = |media_type: &str, body: String| {
            tpp.request(http::Method::POST, &url).header("content-type", media_type).body(body)
        };
        let form = |assertion: String| {
            [
                ("grant_type", "client_credentials".to_owned()),
                ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".to_owned()),
                ("client_assertion", assertion),
            ]
        };
        let token = |assertion: String| tpp.request(http::Method::POST, &tpp.endpoints.token).form(&form(assertion));
        let jwt = |body: String| post("application/jwt", body);
        let cases = [
            (
                "RG-01",
                bare.request(http::Method::POST, &url).header("content-type", "application/jwt").body(good.clone()),
            ),
            ("RG-01", bare.request(http::Method::POST, &tpp.endpoints.token).form(&form(signed(&assertion)))),
            (
                "RG-14",
                tpp.request(http::Method::PATCH, &url).header("content-type", "application/jwt").body(good.clone()),
            ),
            ("GW-02", tpp.request(http::Method::POST, &format!("{url};x")).body(good.clone())),
            ("RG-02", post("text/plain", good.clone())),
            ("RG-13", jwt("a".repeat(70_000))),
            ("JO-01", jwt(good.replace('.', "!"))),
            ("JO-02", jwt(format!("AAAA{good}"))),
            ("JO-04", jwt(good_request(&gateway).unsigned())),
            ("JO-05", jwt(signed(&good_request(&gateway).header("alg", "RS256")))),
            ("JW-03", jwt(signed(&good_request(&gateway).claim("exp", now - 1)))),
            ("JO-01", jwt(signed(&good_request(&gateway).claim("software_statement", "a.b")))),
            ("JO-05", jwt(with_statement(statement().header("alg", "HS256")))),
            ("SS-03", jwt(with_statement(statement().claim("iss", "Somebody Else")))),
            ("SS-05", jwt(with_statement(statement().claim("exp", now - 1)))),
            ("SS-06", jwt(with_statement(statement().claim("iat", now - 3700)))),
            ("JO-05", token(signed(&assertion.clone().header("alg", "RS256")))),
            ("JW-03", token(signed(&assertion.clone().claim("iat", now - 60).claim("exp", now - 1)))),
            ("CA-07", token(signed(&assertion.clone().claim("aud", "https://elsewhere.example")))),
            ("AT-05", tpp.request(http::Method::GET, &format!("{url}/0123456789abcdef"))),
        ];
        let mut wrong = Vec::new();
        for (rule, request) in cases {
            let sender = if rule == "RG-01" { &bare } else { &tpp };
            let answer = sender.send(request).await.unwrap();
            let description = answer.member("error_description").unwrap_or_default();
            if !description.ends_with(&format!("(rule {rule})")) {
                wrong.push(format!("{rule}: {}", text(&answer)));
            }
            assert_eq!(signature_checks(&gateway).await, 0, "{rule}");
            assert_eq!(gateway.directory().fetches(DIRECTORY_KEY_SET), 0, "{rule}");
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        // This request shows that the counter counts.
        assert_eq!(tpp.send(jwt(good)).await.unwrap().status, 201);
        assert_eq!(signature_checks(&gateway).await, 2);
    });
}
