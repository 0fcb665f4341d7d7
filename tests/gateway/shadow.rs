//! Shadow mode for the whole gate, and single rules that are set aside.

use dcr_cli::client::{Answer, HttpVersion, Tpp};
use dcr_cli::directory::DIRECTORY_KEY_SET;
use dcr_cli::mint;
use dcr_dev::Gateway;
use dcr_dev::backend::sha256;
use reqwest::Method;
use serde_json::{Value, json};

use crate::PKI;

const REGISTRATION: &str = "/open-banking/v3.3.0/register";
const JWT: &str = "application/jwt";
const FORM: &str = "application/x-www-form-urlencoded";

/// A request to a gate in shadow mode, and the reason for which it would be refused.
struct Sample {
    name: &'static str,
    method: Method,
    path: String,
    content_type: Option<&'static str>,
    body: String,
    reason: Option<&'static str>,
}

impl Sample {
    fn new(name: &'static str, method: Method, path: impl Into<String>, reason: Option<&'static str>) -> Self {
        Self { name, method, path: path.into(), content_type: None, body: String::new(), reason }
    }

    fn with(self, content_type: &'static str, body: impl Into<String>) -> Self {
        Self { content_type: Some(content_type), body: body.into(), ..self }
    }
}

fn requests(gateway: &Gateway) -> Vec<Sample> {
    let request = || gateway.registration_request(&PKI.tpp).unwrap();
    let signed = |token: &mint::Token| token.sign(&PKI.tpp.signing).unwrap();
    let beyond = signed(&request().claim("scope", "openid fundsconfirmations"));
    let large = signed(&request().claim("filler", "x".repeat(30_000)));
    let form = "grant_type=client_credentials&client_id=unknown";
    let collection = |name, body: String, reason| Sample::new(name, Method::POST, REGISTRATION, reason).with(JWT, body);
    let of_client = |name, method, reason| Sample::new(name, method, format!("{REGISTRATION}/somebody?a=%20b"), reason);
    vec![
        collection("a good request, the first", signed(&request()), None),
        collection("a good request", signed(&request()), None),
        collection("a scope beyond the roles", beyond.clone(), Some("scope_beyond_roles")),
        collection("no JWT", "a.b.c".to_owned(), Some("jws_malformed")),
        collection("no body", String::new(), Some("jws_malformed")),
        collection("a large one", large, None),
        collection("more than the limit", "x".repeat(70_000), Some("body_too_large")),
        Sample::new("JSON", Method::POST, REGISTRATION, Some("media_type_unsupported")).with("application/json", "{}"),
        of_client("a good update", Method::PUT, None).with(JWT, signed(&request())),
        of_client("an update beyond the roles", Method::PUT, Some("scope_beyond_roles")).with(JWT, beyond),
        of_client("retrieve", Method::GET, None),
        of_client("delete", Method::DELETE, None),
        of_client("another method", Method::PATCH, Some("method_not_allowed")).with(JWT, "whatever it is"),
        Sample::new("a client of the upstream", Method::POST, "/token", None).with(FORM, form),
        Sample::new("no grant", Method::POST, "/token", Some("grant_type_missing")).with(FORM, "client_id=unknown"),
        Sample::new("the metadata", Method::GET, "/.well-known/openid-configuration", None),
        Sample::new("no canonical path", Method::GET, format!("{REGISTRATION}/a/"), Some("path_not_canonical")),
        Sample::new("a path of the upstream", Method::POST, "/accounts?x=1", None).with("text/plain", "hello"),
    ]
}

#[tokio::test]
async fn a_gate_in_shadow_lets_every_request_pass_whole_and_tells_what_it_would_have_refused() {
    for version in [HttpVersion::Http1, HttpVersion::Http2] {
        let plugin = json!({ "mode": "shadow", "danger_rules": { "MD-01": "enforce" } });
        let gateway = crate::gateway().plugin(plugin).start().await.unwrap();
        let tpp = gateway.client_speaking(Some(&PKI.tpp.transport), version).unwrap();
        let mut denied = 0;
        for sample in requests(&gateway) {
            let answer = send(&gateway, &tpp, &sample).await;
            assert_passed_whole(&gateway, &sample, &answer).await;
            denied += u64::from(sample.reason.is_some());
        }
        let anonymous = gateway.client_speaking(None, version).unwrap();
        let request = gateway.registration_request(&PKI.tpp).unwrap().sign(&PKI.tpp.signing).unwrap();
        let reason = Some("client_certificate_missing");
        let sample = Sample::new("no certificate", Method::POST, REGISTRATION, reason).with(JWT, request);
        assert_passed_whole(&gateway, &sample, &send(&gateway, &anonymous, &sample).await).await;
        denied += 1;

        assert!(gateway.directory().fetches(DIRECTORY_KEY_SET) > 0, "statements were verified");
        assert_eq!(counted(&gateway, "requests_total.*shadow_denied").await, denied);
        assert_eq!(counted(&gateway, "shadow_denied\\.").await, denied, "a rule each");
        assert_eq!(counted(&gateway, "requests_total.*\\.denied").await, 0);

        // This rule is enforced, although the others are not.
        let reached = crate::forwarded::reached(&gateway);
        let thief =
            gateway.registration_request(&PKI.tpp).unwrap().claim("redirect_uris", json!(["https://thief.example/"]));
        let refused = tpp.register(&thief.sign(&PKI.tpp.signing).unwrap()).await.unwrap();
        assert_eq!((refused.status, refused.member("error").as_deref()), (400, Some("invalid_redirect_uri")));
        assert_eq!(crate::forwarded::reached(&gateway), reached);
        assert_eq!(
            in_store(&gateway).await,
            ["dcr_store_clients 0", "dcr_store_live_tokens 0", "dcr_store_jti_kept 0"]
        );
    }
}

#[tokio::test]
async fn single_rules_are_watched_or_off_and_all_others_refuse() {
    let rules = json!({ "MD-15": "shadow", "MD-23": "off", "CB-04": "shadow" });
    let gateway = crate::gateway().plugin(json!({ "danger_rules": rules })).start().await.unwrap();
    for (id, mode) in [("MD-15", "shadow"), ("MD-23", "off"), ("CB-04", "shadow")] {
        gateway.envoy_logged(&format!("danger_rules.{id}: {mode}")).await.unwrap();
    }
    let tpp = gateway.client(Some(&PKI.tpp.transport)).unwrap();
    let request = || gateway.registration_request(&PKI.tpp).unwrap();
    let beyond = request().claim("scope", "openid fundsconfirmations");
    let ciba = |token: mint::Token| token.claim("backchannel_token_delivery_mode", "push");
    let both = ciba(request().claim("scope", "openid fundsconfirmations"));
    for (name, token, sample) in [
        ("nothing broken", request(), None),
        ("the rule in shadow mode", beyond, Some("scope_beyond_roles")),
        ("the rule that is off", ciba(request()), None),
        ("both", both.clone(), Some("scope_beyond_roles")),
    ] {
        let answer = tpp.register(&token.sign(&PKI.tpp.signing).unwrap()).await.unwrap();
        assert_eq!(answer.status, 201, "{name}: {}", answer.json());
        assert_eq!(answer.json()["scope"], token.claims()["scope"], "{name}");
        let logged = logged(&gateway, &answer).await;
        assert_eq!(
            (&logged["details"], &logged["dcr_shadow_reason"]),
            (&json!("dcr_allowed"), &json!(sample)),
            "{name}"
        );
    }
    let third = both.claim("grant_types", json!(["password"]));
    let answer = tpp.register(&third.sign(&PKI.tpp.signing).unwrap()).await.unwrap();
    assert_eq!(answer.status, 400, "{}", answer.json());
    assert_eq!(Gateway::broken_rule(&logged(&gateway, &answer).await).unwrap().1, "grant_types");

    // The certificate rule has the same mode in every place where it is checked.
    let other = gateway.client(Some(&PKI.other_tpp.transport)).unwrap();
    let created = other.register(&request().sign(&PKI.tpp.signing).unwrap()).await.unwrap();
    assert_eq!(created.status, 201, "{}", created.json());
    let assertion = gateway.client_assertion(&created.member("client_id").unwrap());
    let issued = other.token_by_assertion(&assertion.sign(&PKI.tpp.signing).unwrap(), None).await.unwrap();
    assert_eq!(issued.status, 200, "{}", issued.json());
    for answer in [&created, &issued] {
        assert_eq!(logged(&gateway, answer).await["dcr_shadow_reason"], "transport_certificate_of_another");
    }
    assert_eq!(counted(&gateway, "shadow_denied.CB_04").await, 2);
    assert_eq!(counted(&gateway, "shadow_denied.MD_15").await, 2);
    assert_eq!(counted(&gateway, "MD_23").await, 0, "a rule that is off is not counted");
}

async fn send(gateway: &Gateway, client: &Tpp, sample: &Sample) -> Answer {
    let request = client.request(sample.method.clone(), &format!("{}{}", gateway.url(), sample.path));
    let request = match sample.content_type {
        Some(content_type) => request.header("content-type", content_type).body(sample.body.clone()),
        None => request,
    };
    client.send(request).await.unwrap()
}

/// The backend got the method, path and body unchanged, and the access log has the result of the rules.
async fn assert_passed_whole(gateway: &Gateway, sample: &Sample, answer: &Answer) {
    let name = sample.name;
    assert_eq!((answer.status, answer.member("backend").as_deref()), (200, Some("echo")), "{name}: {}", answer.json());
    let seen = &answer.json()["request"];
    let sent = json!([sample.method.as_str(), sample.path, sample.body.len(), sha256(sample.body.as_bytes())]);
    assert_eq!(json!([seen["method"], seen["path"], seen["body_bytes"], seen["body_sha256"]]), sent, "{name}");
    let logged = logged(gateway, answer).await;
    assert_eq!(
        (&logged["dcr_shadow_reason"], &logged["details"]),
        (&json!(sample.reason), &json!("via_upstream")),
        "{name}"
    );
    let is_ours = !sample.path.starts_with("/accounts");
    assert_eq!(logged["dcr_outcome"], if is_ours { json!("passed") } else { Value::Null }, "{name}");
}

async fn logged(gateway: &Gateway, answer: &Answer) -> Value {
    let id = answer.header("x-request-id").unwrap();
    gateway.access_logged(|line| line["request_id"] == id).await.unwrap()
}

/// The sum of the gate's counters whose names match this regular expression.
async fn counted(gateway: &Gateway, name: &str) -> u64 {
    gateway.stats(&format!("dcr\\..*{name}")).await.unwrap().values().sum()
}

/// The store's counts of what it keeps.
async fn in_store(gateway: &Gateway) -> Vec<String> {
    let client = gateway.client(None).unwrap();
    let metrics = client.send(client.request(Method::GET, &format!("{}/metrics", gateway.store_url()))).await.unwrap();
    let metrics = String::from_utf8(metrics.body).unwrap();
    let value = |name: &str| metrics.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap().to_owned();
    ["dcr_store_clients", "dcr_store_live_tokens", "dcr_store_jti_kept"].map(value).to_vec()
}
