//! Gives the client of the store any answer. The first line of the input is the status, the second the content type, the rest the body. What
//! the client believes is what the protocol's own types read, and it is about what was asked.

#![no_main]

use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use dcr_fuzz::{DIRECTORY, NOW, lines, signed};
use dcr_gate::client_store::{Client, ClientStore, Origin, Record, SingleUse, StoreError, TokenClient};
use dcr_gate::config::Config;
use dcr_gate::host::{Background, Call, CallNotSent, CallResponse, Event, Host, Shared};
use dcr_gate::store_client::StoreClient;
use dcr_json as json;
use dcr_policy::catalogue::RQ_04_REPLAY;
use dcr_store_protocol as protocol;
use futures_util::FutureExt;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

fuzz_target!(|input: &[u8]| {
    let Some([status, media_type, body]) = lines(input) else { return };
    let status = std::str::from_utf8(status).ok().and_then(|status| status.parse().ok());
    let headers = vec![("content-type".to_owned(), media_type.to_owned())];
    let response = CallResponse { status, headers, body: body.to_vec() };
    let document = json::parse(body, 32).unwrap_or_default();

    introspects(&response, &document);
    reads_a_client(&response, &document);
    creates(&response);
    issues(&response);
    let store = store(&response);
    assert_eq!(now(store.delete("client")).is_ok(), status == Some(204));
    assert_eq!(now(store.revoke("token")).is_ok(), status == Some(200));
});

fn introspects(response: &CallResponse, document: &Value) {
    let read = now(store(response).introspect("token"));
    let expected = serde_json::from_value::<protocol::Introspection>(document.clone());
    match (read, expected) {
        (Ok(read), Ok(expected)) => {
            assert_eq!(
                (read.active, read.client_id, read.scope),
                (expected.active, expected.client_id, expected.scope)
            );
            let thumbprint = expected.cnf.map(|cnf| cnf.certificate_thumbprint);
            assert_eq!(read.cnf.map(|cnf| cnf.x5t_s256), thumbprint);
            let token_use = expected.token_use.map(|token_use| json!(token_use).as_str().unwrap().to_owned());
            assert_eq!(read.token_use, token_use);
        }
        (Err(error), Ok(_)) => assert!(!is_success(response, 200), "{error:?}"),
        (read, Err(_)) => assert!(read.is_err() || is_success(response, 200)),
    }
}

fn reads_a_client(response: &CallResponse, document: &Value) {
    match now(store(response).client("client")) {
        Ok(client) => {
            assert!(is_success(response, 200));
            assert_eq!(client.client_id, "client");
            assert_eq!(document["version"], client.version);
            assert_eq!(document["record"]["issuer"], client.record.issuer);
            assert!(TokenClient::of(client).bytes() > 0);
        }
        Err(error) => assert!(!matches!(error, StoreError::Replayed(_)), "no id was sent"),
    }
}

fn creates(response: &CallResponse) {
    let (record, jti) = (record(), || vec![single_use()]);
    let created = now(store(response).create(Origin::default(), record.clone(), jti(), true, false));
    if let Ok(Client { registration_access_token, record, .. }) = &created {
        assert!(is_success(response, 200) && registration_access_token.is_none());
        assert_eq!(record.issuer, DIRECTORY);
    }
    assert!(!matches!(created, Err(StoreError::Replayed(rule)) if rule != &RQ_04_REPLAY));
    let with_token = now(store(response).create(Origin::default(), record, jti(), true, true));
    assert!(with_token.is_err() || created.is_err(), "one answer has a token and has none");

    let known = client();
    if let Ok(replaced) = now(store(response).replace(&known, known.record.clone(), jti())) {
        assert!(is_success(response, 200));
        assert_eq!(replaced.client_id, "client");
    }
}

fn issues(response: &CallResponse) {
    let (client, jti) = (TokenClient::of(client()), Some(single_use()));
    if let Ok(issued) = now(store(response).issue_token(Origin::default(), &client, "accounts", 600, "thumbprint", jti))
    {
        assert!(is_success(response, 200));
        assert_eq!((issued.token_type.as_str(), issued.scope.as_str(), issued.expires_in), ("Bearer", "accounts", 600));
    }
}

fn is_success(response: &CallResponse, status: u16) -> bool {
    response.status == Some(status) && response.media_type().as_deref() == Some("application/json")
}

fn single_use() -> SingleUse {
    SingleUse { issuer: "issuer".to_owned(), jti: "jti".to_owned(), expires_at: NOW + 60, rule: &RQ_04_REPLAY }
}

fn client() -> Client {
    Client {
        client_id: "client".to_owned(),
        client_id_issued_at: 1,
        version: 1,
        record: record(),
        registration_access_token: None,
    }
}

/// The record of the seeds.
fn record() -> Record {
    thread_local!(static RECORD: Record = read_record());
    RECORD.with(Clone::clone)
}

fn read_record() -> Record {
    let metadata = json!({
        "redirect_uris": ["https://tpp.example/callback"],
        "token_endpoint_auth_method": "private_key_jwt",
        "grant_types": ["client_credentials"],
        "response_types": [],
        "application_type": "web",
        "scope": "accounts",
        "software_id": "software",
        "tls_client_certificate_bound_access_tokens": true,
    });
    let record = json!({
        "metadata": metadata,
        "software_statement": signed(b"{}"),
        "issuer": DIRECTORY,
        "binding": { "software_id": "software", "organisation_id": "organisation", "registration_ids": [] },
        "key_set_uri": "https://keystore.example/software.jwks",
    });
    json::read(&record).unwrap()
}

fn store(response: &CallResponse) -> StoreClient<Answering> {
    const CONFIGURATION: &[u8] = include_bytes!("../seeds/configuration/least.json");
    thread_local!(static CONFIG: Config = Config::from_json(CONFIGURATION).unwrap());
    CONFIG.with(|config| StoreClient::new(Answering(Rc::new(response.clone())), config))
}

/// A host that gives one answer to every call, at once.
#[derive(Clone)]
struct Answering(Rc<CallResponse>);

impl Host for Answering {
    fn now(&self) -> u64 {
        NOW
    }

    async fn call(&self, _: Call) -> Result<CallResponse, CallNotSent> {
        Ok((*self.0).clone())
    }

    fn in_background(&self, work: Background) {
        now(work);
    }

    async fn sleep(&self, _: Duration) {}

    fn random(&self) -> u64 {
        0
    }

    fn shared(&self, _: &str) -> Option<Shared> {
        None
    }

    fn share(&self, _: &str, _: &[u8], _: Option<u32>) -> bool {
        false
    }

    fn record(&self, _: Event) {}
}

/// The result of work that waits for nothing.
fn now<T>(work: impl Future<Output = T>) -> T {
    work.now_or_never().expect("every call is answered at once")
}
