use reqwest::Method;

use super::*;
use crate::client::{Answer, Endpoints, HttpVersion, Tpp};

async fn get(pki: &Pki, directory: &Directory, path: &str, version: HttpVersion) -> Answer {
    let endpoints = Endpoints::of(&directory.url());
    let tpp = Tpp::with_http_version(endpoints, &pki.server_ca.certificate_pem, None, version).unwrap();
    tpp.send(tpp.request(Method::GET, &format!("{}{path}", directory.url()))).await.unwrap()
}

#[tokio::test]
async fn key_sets_are_served_over_tls_and_counted() {
    let pki = Pki::generate().unwrap();
    let directory = Directory::start(&pki, ([127, 0, 0, 1], 0).into()).unwrap();
    let path = pki.tpp.software.key_set_path();

    for version in [HttpVersion::Http1, HttpVersion::Http2] {
        let answer = get(&pki, &directory, &path, version).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
        assert_eq!(answer.json(), pki.tpp.key_set().unwrap());
    }
    assert_eq!(directory.fetches(&path), 2);

    let directory_keys = get(&pki, &directory, DIRECTORY_KEY_SET, HttpVersion::Negotiated).await.json();
    assert_eq!(directory_keys["keys"][0]["kid"], pki.directory.kid());
    assert_eq!(get(&pki, &directory, "/unknown.jwks", HttpVersion::Negotiated).await.status, 404);

    let bad = Behaviour { status: Some(502), content_type: Some("text/html".into()), ..Behaviour::default() };
    directory.behave(&path, bad);
    let answer = get(&pki, &directory, &path, HttpVersion::Negotiated).await;
    assert_eq!((answer.status, answer.header("content-type")), (502, Some("text/html")));

    directory.behave(&path, Behaviour { delay: Some(Duration::from_millis(50)), ..Behaviour::default() });
    let answer = get(&pki, &directory, &path, HttpVersion::Negotiated).await;
    assert!(answer.elapsed >= Duration::from_millis(50));
    assert_eq!(directory.fetches(&path), 4);
}

#[tokio::test]
async fn a_client_that_trusts_another_authority_is_told_why() {
    let pki = Pki::generate().unwrap();
    let directory = Directory::start(&pki, ([127, 0, 0, 1], 0).into()).unwrap();
    let tpp = Tpp::new(Endpoints::of(&directory.url()), &pki.tpp_ca.certificate_pem, None).unwrap();
    let error = tpp.discover().await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
}
