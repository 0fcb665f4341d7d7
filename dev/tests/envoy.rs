//! The shipped `envoy.yaml` without the filter, to test Envoy's own behaviour around it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "clippy takes helpers beside tests for code")]

use std::sync::{Arc, LazyLock};

use dcr_dev::{Gateway, GatewayBuilder, Store};
use dcr_mint::pki::Pki;
use dcr_parties::client::HttpVersion;
use reqwest::Method;
use serde_json::json;

static PKI: LazyLock<Arc<Pki>> = LazyLock::new(|| Arc::new(Pki::generate().unwrap()));

/// Every request passes to the backend. No store is running.
fn bare() -> GatewayBuilder {
    Gateway::builder(PKI.clone()).store(Store::At(1)).envoy(|envoy| {
        let manager = envoy.connection_manager("gateway")?;
        manager["http_filters"].as_array_mut().unwrap().remove(0);
        Ok(())
    })
}

#[tokio::test]
async fn the_backend_gets_the_certificate_of_the_connection_and_no_other() {
    let gateway = bare().start().await.unwrap();
    for version in [HttpVersion::Http1, HttpVersion::Http2] {
        let client = gateway.client_speaking(Some(&PKI.tpp.transport), version).unwrap();
        let request = client.request(Method::GET, &format!("{}/accounts?page=2", gateway.url()));
        let request =
            request.header("x-forwarded-client-cert", "Hash=00;Cert=\"spoofed\"").header("x-request-id", "mine");
        let answer = client.send(request).await.unwrap();

        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-request-id"), Some("mine"));
        let seen = gateway.backend().requests().pop().unwrap();
        assert_eq!((&seen["method"], &seen["path"]), (&json!("GET"), &json!("/accounts?page=2")));
        let certificates = seen["headers"]["x-forwarded-client-cert"].as_array().unwrap();
        assert_eq!(certificates.len(), 1);
        let certificate = certificates[0].as_str().unwrap();
        assert!(
            certificate.starts_with("Hash=") && certificate.contains("Cert=\"-----BEGIN%20CERTIFICATE"),
            "{certificate}"
        );
        assert!(!certificate.contains("spoofed"), "{certificate}");
    }
    let logged = gateway.access_logged(|line| line["path"] == "/accounts").await.unwrap();
    assert_eq!((&logged["status"], &logged["request_id"]), (&json!(200), &json!("mine")));
    assert_eq!(logged["certificate_sha256"].as_str().unwrap().len(), 64);
}

#[tokio::test]
async fn no_certificate_is_let_in_and_a_foreign_one_is_not() {
    let gateway = bare().start().await.unwrap();
    assert_eq!(gateway.client(None).unwrap().discover().await.unwrap().status, 200);
    let stranger = Pki::generate().unwrap();
    // In TLS 1.3 the client learns of the refusal after its handshake, as an alert or as a closed connection.
    let error = gateway.client(Some(&stranger.tpp.transport)).unwrap().discover().await.unwrap_err();
    assert!(matches!(error, dcr_parties::Error::Http { .. }), "{error}");
    assert_eq!(gateway.stats("^listener.*ssl.fail_verify_error$").await.unwrap().into_values().sum::<u64>(), 1);
}

#[tokio::test]
async fn a_path_has_one_meaning() {
    let gateway = bare().start().await.unwrap();
    let client = gateway.client(None).unwrap();
    let status_of = async |path: &str| {
        let request = client.request(Method::GET, &format!("{}{path}", gateway.url()));
        client.send(request).await.unwrap().status
    };
    assert_eq!(status_of("/a%2fb").await, 400);
    assert_eq!(status_of("/a%5Cb").await, 400);
    assert_eq!(status_of("/x//y").await, 200);
    assert_eq!(gateway.backend().requests().pop().unwrap()["path"], "/x/y");
}

#[tokio::test]
async fn an_envoy_that_refuses_its_configuration_is_an_error_with_its_log() {
    let broken = bare().envoy(|envoy| {
        envoy.cluster("backend")?["connect_timeout"] = "soon".into();
        Ok(())
    });
    let error = broken.start().await.err().unwrap().to_string();
    assert!(error.contains("connect_timeout") || error.contains("soon"), "{error}");
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let ports = dcr_dev::Ports { gateway: Some(port), ..dcr_dev::Ports::default() };
    let error = bare().ports(ports).start().await.err().unwrap().to_string();
    assert!(error.contains(&port.to_string()) && error.contains("choose another"), "{error}");
}
