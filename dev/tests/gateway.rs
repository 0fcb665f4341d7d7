//! The whole gateway, started in the same way as for `make demo` and the end-to-end tests.

#![allow(clippy::unwrap_used, reason = "clippy takes helpers beside tests for code")]

use std::sync::{Arc, LazyLock};

use dcr_dev::{Gateway, Store};
use dcr_mint::pki::Pki;
use dcr_parties::client::Tpp;
use serde_json::json;

static PKI: LazyLock<Arc<Pki>> = LazyLock::new(|| Arc::new(Pki::generate().unwrap()));

async fn register(gateway: &Gateway, tpp: &Tpp) -> String {
    let request = gateway.registration_request(&PKI.tpp).unwrap().sign(&PKI.tpp.signing).unwrap();
    let answer = tpp.register(&request).await.unwrap();
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
    answer.member("client_id").unwrap()
}

async fn token(gateway: &Gateway, tpp: &Tpp, client_id: &str) -> Option<String> {
    let assertion = gateway.client_assertion(client_id).sign(&PKI.tpp.signing).unwrap();
    tpp.token_by_assertion(&assertion, None).await.unwrap().member("access_token")
}

#[tokio::test]
async fn a_store_that_was_killed_comes_back_with_its_clients() {
    let mut gateway = Gateway::builder(PKI.clone()).start().await.unwrap();
    let tpp = gateway.client(Some(&PKI.tpp.transport)).unwrap();
    let client_id = register(&gateway, &tpp).await;
    let access_token = token(&gateway, &tpp, &client_id).await.unwrap();

    gateway.kill_store();
    assert_eq!(tpp.retrieve(&client_id, &access_token).await.unwrap().status, 503);

    gateway.restart_store().await.unwrap();
    let answer = tpp.retrieve(&client_id, &access_token).await.unwrap();
    assert_eq!((answer.status, answer.member("client_id")), (200, Some(client_id)));
}

#[tokio::test]
async fn both_shapes_of_transport_certificate_register() {
    let gateway = Gateway::builder(PKI.clone()).start().await.unwrap();
    for transport in [&PKI.tpp.transport, &PKI.tpp.obwac] {
        register(&gateway, &gateway.client(Some(transport)).unwrap()).await;
    }
    let logged = gateway.access_logged(|line| line["method"] == "POST").await.unwrap();
    assert_eq!((&logged["status"], &logged["upstream_host"]), (&json!(201), &json!(null)));
    assert!(gateway.backend().requests().is_empty());
}

#[tokio::test]
async fn a_registration_for_tls_client_auth_gets_its_token_by_certificate() {
    let gateway = Gateway::builder(PKI.clone()).start().await.unwrap();
    for transport in [&PKI.tpp.transport, &PKI.tpp.obwac] {
        let tpp = gateway.client(Some(transport)).unwrap();
        let request = gateway.registration_request(&PKI.tpp).unwrap();
        let request = request.for_tls_client_auth(&transport.subject_dn().unwrap()).sign(&PKI.tpp.signing).unwrap();
        let answer = tpp.register(&request).await.unwrap();
        assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
        let answer = tpp.token_by_certificate(&answer.member("client_id").unwrap(), None).await.unwrap();
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    }
}

#[tokio::test]
async fn the_filters_counters_have_labels() {
    let gateway = Gateway::builder(PKI.clone()).start().await.unwrap();
    let tpp = gateway.client(Some(&PKI.tpp.transport)).unwrap();
    let request = gateway.registration_request(&PKI.tpp).unwrap().claim("redirect_uris", json!(["https://a.example/"]));
    assert_eq!(tpp.register(&request.sign(&PKI.tpp.signing).unwrap()).await.unwrap().status, 400);
    let page = gateway.admin("/stats/prometheus?filter=dcr").await.unwrap();
    let page = String::from_utf8_lossy(&page.body).into_owned();
    let denied = page.lines().find(|line| line.starts_with("dcr_denied{") && line.ends_with(" 1"));
    assert!(denied.is_some_and(|line| line.contains(r#"rule="MD_01""#)), "{page}");
}

#[tokio::test]
async fn a_patched_configuration_reaches_the_filter() {
    let builder = Gateway::builder(PKI.clone()).store(Store::At(1)).plugin(json!({ "no_such_setting": 1 }));
    let error = builder.start().await.err().unwrap().to_string();
    assert!(error.contains("no_such_setting"), "{error}");
}
