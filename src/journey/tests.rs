//! The journeys on a host in memory. The tests in `tests/` run the whole path, with a real Envoy and the real store.

mod caches;
mod dialects;
mod examples;
mod keys_by_value;
mod management;
mod modes;
mod own_subject;
mod profiles;
mod registration;
mod round_trip;
mod together;
mod token;
mod vectors;
mod waivable;

use std::rc::Rc;
use std::sync::LazyLock;

use dcr_mint::pki::{Identity, Pki};
use dcr_mint::{self as mint, Token};
use dcr_policy::Refusal;
use dcr_x509::Certificate;
use serde_json::{Value, json};

use super::{Answer, Body, Decision, Endpoint, Gate, Head, Request, TransportCertificate};
use crate::config::Config;
use crate::host::Event;
use crate::host::mock::MockHost;

pub(crate) static PKI: LazyLock<Pki> = LazyLock::new(|| match dcr_test_support::quick() {
    Some(folder) => Pki::reuse_or_generate(&folder.join("pki")).unwrap(),
    None => Pki::generate().unwrap(),
});

const ISSUER: &str = "https://bank.example";
const DIRECTORY: &str = "https://keystore.example";

pub(crate) fn config() -> Value {
    json!({
        "profile": "uk-obie-3.3",
        "issuer": ISSUER,
        "directories": [{
            "issuer": mint::DIRECTORY_ISSUER,
            "jwks_uri": format!("{DIRECTORY}/openbanking.jwks"),
            "cluster": "directory",
            "software_key_sets": [{ "host": "keystore.example", "cluster": "directory" }]
        }, {
            "issuer": "Another Directory",
            "jwks_uri": "https://another.example/directory.jwks",
            "cluster": "another",
            "software_key_sets": [{ "host": "another.example", "cluster": "another" }]
        }],
        "store": { "cluster": "dcr_store" }
    })
}

/// A gate whose directory publishes the keys of [`PKI`].
fn gate(host: &MockHost) -> Rc<Gate<MockHost>> {
    gate_with(host, config())
}

fn gate_with(host: &MockHost, config: Value) -> Rc<Gate<MockHost>> {
    host.now.set(mint::now());
    let tpp_keys = json!({ "keys": [PKI.tpp.signing.public_jwk()] });
    host.key_sets.borrow_mut().extend([
        ("keystore.example/openbanking.jwks".to_owned(), PKI.directory_key_set().unwrap()),
        (format!("keystore.example{}", PKI.tpp.software.key_set_path()), tpp_keys),
    ]);
    Rc::new(Gate::new(Config::from_value(config).unwrap(), host.clone()))
}

fn statement() -> Token {
    mint::software_statement(&PKI.tpp.software, DIRECTORY)
}

fn signed_statement() -> String {
    statement().sign(&PKI.directory).unwrap()
}

fn registration() -> Token {
    mint::registration_request(&PKI.tpp.software, ISSUER, &signed_statement())
}

fn request(media_type: &str, certificate: Option<&Identity>, body: &str) -> Request {
    let (sender, received) = Body::channel();
    sender.complete(body.as_bytes().to_vec());
    Request {
        head: Head {
            method: String::new(),
            path: String::new(),
            query: None,
            headers: vec![("content-type".to_owned(), media_type.as_bytes().to_vec())],
            certificate: certificate
                .map(|identity| Rc::new(Certificate::from_pem(identity.certificate_pem.as_bytes()).unwrap()))
                .into(),
        },
        body: received,
    }
}

fn with_token(mut request: Request, token: &str) -> Request {
    request.head.headers.push(("authorization".to_owned(), format!("Bearer {token}").into_bytes()));
    request
}

/// The answer of the gate. The test fails if the request goes to the upstream.
async fn answered(gate: &Gate<MockHost>, endpoint: &Endpoint, request: &Request) -> Answer {
    match gate.serve(endpoint, request).await {
        Decision::Answer(answer, _) => answer,
        Decision::HandOn(_) => panic!("the request went to the upstream"),
    }
}

/// The store answers every call with this error for its only registration.
fn store_refuses(host: &MockHost, error: Value) {
    let mut told = error;
    told["status"] = json!(409);
    host.instead(move |call| {
        let answer = crate::host::mock::answer(200, json!({ "clients": [told.clone()] }));
        (call.cluster == "dcr_store").then_some(Ok(answer))
    });
}

async fn register(gate: &Gate<MockHost>, token: &Token) -> Answer {
    let body = token.sign(&PKI.tpp.signing).unwrap();
    answered(gate, &Endpoint::Register, &request("application/jwt", Some(&PKI.tpp.transport), &body)).await
}

/// Registers a client. The result is its id.
async fn registered(gate: &Gate<MockHost>, token: &Token) -> String {
    let answer = register(gate, token).await;
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
    body(&answer)["client_id"].as_str().unwrap().to_owned()
}

fn body(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

/// The refusal of the last event.
fn refusal(host: &MockHost) -> Refusal {
    match host.events.borrow().last() {
        Some(Event::Denied { refusal, .. }) => refusal.clone(),
        other => panic!("not refused: {other:?}"),
    }
}

#[track_caller]
fn assert_refused(host: &MockHost, answer: &Answer, status: u16, error: &str, reason: &str) {
    assert_eq!(refusal(host).rule.reason, reason);
    assert_eq!((answer.status, body(answer)["error"].as_str()), (status, Some(error)));
    let members: Vec<String> = body(answer).as_object().unwrap().keys().cloned().collect();
    assert_eq!(members, ["error", "error_description"]);
}
