//! Mistakes that real registration servers have made. Each is tried here against a whole gateway. The matrix tries similar ones in every
//! profile.

use dcr_cli::client::{Answer, Tpp};
use dcr_cli::keys::SigningKey;
use dcr_cli::mint::{self, Token};
use dcr_dev::Gateway;
use reqwest::Method;
use serde_json::{Value, json};

use crate::PKI;

/// A gateway with the shipped configuration, and a third party.
struct Scene {
    gateway: Gateway,
    tpp: Tpp,
}

impl Scene {
    async fn new() -> Self {
        let gateway = Gateway::builder(PKI.clone()).start().await.unwrap();
        let tpp = gateway.client(Some(&PKI.tpp.transport)).unwrap();
        Self { gateway, tpp }
    }

    fn request(&self) -> Token {
        self.gateway.registration_request(&PKI.tpp).unwrap()
    }

    async fn register(&self, request: &Token) -> Answer {
        self.tpp.register(&request.sign(&PKI.tpp.signing).unwrap()).await.unwrap()
    }

    async fn registered(&self) -> String {
        let answer = self.register(&self.request()).await;
        assert_eq!(answer.status, 201, "{}", answer.json());
        answer.member("client_id").unwrap()
    }

    /// The answer has this status and this `error`, and the access log has this reason.
    async fn assert_refused(&self, answer: &Answer, status: u16, error: &str, reason: &str) {
        let body = answer.json();
        assert_eq!((answer.status, body["error"].as_str()), (status, Some(error)), "{body}");
        self.gateway
            .access_logged(|line| Gateway::broken_rule(line).is_some_and(|(_, broken)| broken == reason))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn only_the_first_redirect_uri_is_checked() {
    let scene = Scene::new().await;
    let good = PKI.tpp.software.redirect_uris[0].clone();
    let request = scene.request().claim("redirect_uris", json!([good, "https://thief.example/callback"]));
    let answer = scene.register(&request).await;
    scene.assert_refused(&answer, 400, "invalid_redirect_uri", "redirect_uri_not_in_statement").await;
}

#[tokio::test]
async fn redirect_uris_are_compared_without_regard_to_case() {
    let scene = Scene::new().await;
    let shouted = PKI.tpp.software.redirect_uris[0].replace("/callback", "/CALLBACK");
    assert_ne!(shouted, PKI.tpp.software.redirect_uris[0]);
    let answer = scene.register(&scene.request().claim("redirect_uris", json!([shouted]))).await;
    scene.assert_refused(&answer, 400, "invalid_redirect_uri", "redirect_uri_not_in_statement").await;
}

#[tokio::test]
async fn scopes_are_matched_by_substring() {
    let scene = Scene::new().await;
    for scope in ["openid fundsconfirmations", "openid accountsandmore", "openid xaccounts", "acc"] {
        let statement = scene.gateway.software_statement(&PKI.tpp).claim("software_roles", json!(["AISP"]));
        let statement = statement.sign(&PKI.directory).unwrap();
        let answer =
            scene.register(&scene.request().claim("software_statement", statement).claim("scope", scope)).await;
        scene.assert_refused(&answer, 400, "invalid_client_metadata", "scope_beyond_roles").await;
    }
}

#[tokio::test]
async fn a_jti_is_consumed_before_the_signature_is_checked() {
    let scene = Scene::new().await;
    let request = scene.request();
    let forger = SigningKey::from_pem(&PKI.other_tpp.signing.to_pem()).unwrap().with_kid(PKI.tpp.signing.kid());
    let answer = scene.tpp.register(&request.sign(&forger).unwrap()).await.unwrap();
    scene.assert_refused(&answer, 400, "invalid_client_metadata", "request_signature").await;
    let answer = scene.register(&request).await;
    assert_eq!(answer.status, 201, "the forger has not burnt the jti: {}", answer.json());

    let client_id = answer.member("client_id").unwrap();
    let assertion = scene.gateway.client_assertion(&client_id);
    let answer = scene.tpp.token_by_assertion(&assertion.sign(&forger).unwrap(), None).await.unwrap();
    scene.assert_refused(&answer, 401, "invalid_client", "assertion_signature").await;
    let answer = scene.tpp.token_by_assertion(&assertion.sign(&PKI.tpp.signing).unwrap(), None).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.json());
}

#[tokio::test]
async fn a_jti_is_not_scoped_by_its_issuer() {
    let scene = Scene::new().await;
    let request = scene.request().claim("jti", "one for both");
    assert_eq!(scene.register(&request).await.status, 201);
    let answer = scene.register(&request).await;
    scene.assert_refused(&answer, 400, "invalid_client_metadata", "request_replayed").await;

    let other = scene.gateway.client(Some(&PKI.other_tpp.transport)).unwrap();
    let request = scene.gateway.registration_request(&PKI.other_tpp).unwrap().claim("jti", "one for both");
    let answer = other.register(&request.sign(&PKI.other_tpp.signing).unwrap()).await.unwrap();
    assert_eq!(answer.status, 201, "one client cannot use up the jti of another: {}", answer.json());
}

#[tokio::test]
async fn the_algorithm_is_taken_from_the_tokens_header() {
    let scene = Scene::new().await;
    let request = scene.request();
    // An HMAC with the public key as its secret, and a token without a signature.
    let public = PKI.tpp.signing.public_jwk().to_string();
    let confused = request.sign_with_secret(public.as_bytes(), PKI.tpp.signing.kid());
    let answer = scene.tpp.register(&confused).await.unwrap();
    scene.assert_refused(&answer, 400, "invalid_client_metadata", "alg_not_allowed").await;
    let answer = scene.tpp.register(&request.unsigned()).await.unwrap();
    scene.assert_refused(&answer, 400, "invalid_client_metadata", "unsigned").await;
}

#[tokio::test]
async fn a_key_url_is_read_from_an_unverified_statement() {
    let scene = Scene::new().await;
    let directory = scene.gateway.directory();
    directory.publish("/thief.jwks", json!({ "keys": [PKI.other_tpp.signing.public_jwk()] }));
    let url = format!("{}/thief.jwks", directory.url());
    let forger = SigningKey::from_pem(&PKI.other_tpp.signing.to_pem()).unwrap();
    let statement = |key: &SigningKey| {
        let statement = scene.gateway.software_statement(&PKI.tpp).claim("software_jwks_endpoint", url.as_str());
        statement.sign(key).unwrap()
    };
    // The URL is on a host that the operator trusts, so only the statement's signature protects from the attacker.
    let forged = statement(&forger.with_kid(PKI.directory.kid()));
    let request = scene.request().claim("software_statement", forged);
    let answer = scene.tpp.register(&request.sign(&PKI.other_tpp.signing).unwrap()).await.unwrap();
    scene.assert_refused(&answer, 400, "invalid_software_statement", "statement_signature").await;
    assert_eq!(directory.fetches("/thief.jwks"), 0, "the gateway did not fetch it");

    let request = scene.request().claim("software_statement", statement(&PKI.directory));
    let answer = scene.tpp.register(&request.sign(&PKI.other_tpp.signing).unwrap()).await.unwrap();
    assert_eq!((answer.status, directory.fetches("/thief.jwks")), (201, 1), "the directory's word is believed");
}

#[tokio::test]
async fn the_statement_is_not_checked_where_a_setting_is_missing() {
    for (member, says) in [("directories", "missing field"), ("issuer", "missing field"), ("store", "missing field")] {
        let started = Gateway::builder(PKI.clone()).plugin(json!({ member: Value::Null })).start().await;
        let problem = started.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(problem.contains(says) && problem.contains(member), "{member}: {problem}");
    }
    let none = Gateway::builder(PKI.clone()).plugin(json!({ "directories": [] })).start().await;
    assert!(none.err().unwrap().to_string().contains("at least one directory"));

    let scene = Scene::new().await;
    let answer = scene.register(&scene.request().without("software_statement")).await;
    scene.assert_refused(&answer, 400, "invalid_client_metadata", "statement_missing").await;
}

#[tokio::test]
async fn unsigned_json_is_taken_where_a_jwt_is_demanded() {
    let scene = Scene::new().await;
    let body = scene.request().to_json();
    for (media_type, reason) in [("application/json", "media_type_unsupported"), ("application/jwt", "jws_malformed")] {
        let post = scene.tpp.request(Method::POST, &scene.tpp.endpoints.registration);
        let answer = scene.tpp.send(post.header("content-type", media_type).body(body.clone())).await.unwrap();
        scene.assert_refused(&answer, 400, "invalid_client_metadata", reason).await;
    }
}

#[tokio::test]
async fn who_signed_is_asked_of_the_token_and_not_of_the_record() {
    let scene = Scene::new().await;
    let client_id = scene.registered().await;
    let other = scene.gateway.client(Some(&PKI.other_tpp.transport)).unwrap();
    let assertion = mint::client_assertion(&client_id, scene.gateway.url()).sign(&PKI.other_tpp.signing).unwrap();
    let answer = other.token_by_assertion(&assertion, None).await.unwrap();
    scene.assert_refused(&answer, 401, "invalid_client", "assertion_over_foreign_certificate").await;
}
