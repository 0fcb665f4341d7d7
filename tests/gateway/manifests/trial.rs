//! What every gateway must do, however it was installed.

use dcr_cli::client::{Answer, HttpVersion};
use dcr_cli::mint::Token;
use dcr_dev::{Gateway, GatewayBuilder};
use serde_json::{Value, json};

use crate::PKI;
use crate::traps::wire::{After, Http2};

const REGISTRATION: &str = "/open-banking/v3.3.0/register";
const JWT: (&str, &str) = ("content-type", "application/jwt");

/// The filter's default for `limits.body_bytes`.
const BODY_BYTES: usize = 64 * 1024;

/// What a way to install the filter has.
#[derive(Clone, Copy)]
pub(super) struct Installed {
    /// Envoy holds the headers of a request, so the upstream sees nothing of one that the gate answers.
    pub(super) holds_headers: bool,
    /// The access log and the labels of the statistics are those of `envoy.yaml`.
    pub(super) has_settings: bool,
    /// How Prometheus sees the counter of rules that are broken in shadow mode.
    pub(super) shadow_counter: &'static str,
}

/// Tries a gateway that enforces, and the same gateway in shadow mode. `start` gets a change of the filter's configuration.
pub(super) async fn of(installed: Installed, start: impl Fn(Value) -> GatewayBuilder) {
    let mut gateway = start(json!({})).start().await.unwrap();
    third_parties_register_and_get_tokens(&gateway).await;
    bad_requests_are_refused(&gateway, installed).await;
    other_paths_pass(&gateway).await;
    if installed.has_settings {
        operators_see_it(&gateway).await;
    }
    ends_well(&mut gateway);

    let mut gateway = start(json!({ "mode": "shadow" })).start().await.unwrap();
    shadow_mode_refuses_nothing(&gateway, installed).await;
    ends_well(&mut gateway);
}

fn signed(token: &Token) -> String {
    token.sign(&PKI.tpp.signing).unwrap()
}

fn good(gateway: &Gateway) -> String {
    signed(&gateway.registration_request(&PKI.tpp).unwrap())
}

/// A request with a redirect URI that is not in the statement.
fn bad(gateway: &Gateway) -> String {
    let request = gateway.registration_request(&PKI.tpp).unwrap();
    signed(&request.claim("redirect_uris", json!(["https://elsewhere.example/"])))
}

async fn third_parties_register_and_get_tokens(gateway: &Gateway) {
    let discovered = gateway.client(None).unwrap().discover().await.unwrap();
    assert_eq!((discovered.status, discovered.member("issuer").as_deref()), (200, Some(gateway.url())));
    for version in [HttpVersion::Http1, HttpVersion::Http2] {
        let tpp = gateway.client_speaking(Some(&PKI.tpp.transport), version).unwrap();
        let created = tpp.register(&good(gateway)).await.unwrap();
        assert_eq!(created.status, 201, "{}", created.json());
        let client_id = created.member("client_id").unwrap();
        let assertion = signed(&gateway.client_assertion(&client_id));
        let issued = tpp.token_by_assertion(&assertion, None).await.unwrap();
        assert_eq!(issued.status, 200, "{}", issued.json());
        let token = issued.member("access_token").unwrap();
        let retrieved = tpp.retrieve(&client_id, &token).await.unwrap();
        assert_eq!((retrieved.status, retrieved.json()), (200, created.json()));
        let updated = tpp.update(&client_id, &token, &good(gateway)).await.unwrap();
        assert_eq!(updated.status, 200, "{}", updated.json());
        assert_eq!(tpp.delete(&client_id, &token).await.unwrap().status, 204);
        assert_refused(&tpp.retrieve(&client_id, &token).await.unwrap(), 401, "AT-01");
    }
}

#[track_caller]
fn assert_refused(answer: &Answer, status: u16, rule: &str) {
    let description = answer.member("error_description").unwrap_or_default();
    let text = String::from_utf8_lossy(&answer.body);
    assert!(answer.status == status && description.ends_with(&format!("(rule {rule})")), "{} {text}", answer.status);
}

async fn bad_requests_are_refused(gateway: &Gateway, installed: Installed) {
    for version in [HttpVersion::Http1, HttpVersion::Http2] {
        let client = |transport| gateway.client_speaking(transport, version).unwrap();
        let tpp = client(Some(&PKI.tpp.transport));
        assert_refused(&tpp.register(&bad(gateway)).await.unwrap(), 400, "MD-01");
        assert_refused(&tpp.register(&"a".repeat(BODY_BYTES + 1)).await.unwrap(), 413, "RG-13");
        assert_refused(&client(None).register(&good(gateway)).await.unwrap(), 401, "RG-01");
        let other = client(Some(&PKI.other_tpp.transport));
        assert_refused(&other.register(&good(gateway)).await.unwrap(), 400, "CB-04");
    }
    let http2 = Http2::tls(port(gateway), Some(&PKI.tpp.transport)).await;
    let answer = http2.request("POST", REGISTRATION, &[JWT], After::BodyAndTrailers(bad(gateway).into())).await;
    assert_refused(&answer, 400, "MD-01");
    let answer = http2.request("POST", REGISTRATION, &[JWT], After::BodyAndTrailers(good(gateway).into())).await;
    assert_eq!(answer.status, 201, "{}", answer.json());

    let reached = gateway.backend().requests();
    if installed.holds_headers {
        assert!(reached.is_empty(), "{reached:?}");
    } else {
        assert!(reached.iter().all(|request| request["body_bytes"] == 0), "{reached:?}");
    }
}

fn port(gateway: &Gateway) -> u16 {
    gateway.url().rsplit_once(':').unwrap().1.parse().unwrap()
}

async fn other_paths_pass(gateway: &Gateway) {
    let http2 = Http2::tls(port(gateway), None).await;
    for after in [After::Body(vec![b'a'; 1000]), After::BodyAndTrailers(vec![b'a'; 1000])] {
        let answer = http2.request("POST", "/payments", &[], after).await;
        assert_eq!((answer.status, &answer.json()["request"]["body_bytes"]), (200, &json!(1000)));
    }
}

async fn operators_see_it(gateway: &Gateway) {
    let refused = "dcr_denied{MD-01:redirect_uri_not_in_statement}";
    let logged = gateway.access_logged(|line| line["details"] == refused).await.unwrap();
    assert_eq!((&logged["method"], &logged["path"]), (&json!("POST"), &json!(REGISTRATION)));
    assert!(logged["certificate_sha256"].is_string() && logged["request_id"].is_string(), "{logged}");
    gateway.access_logged(|line| line["details"] == "dcr_allowed").await.unwrap();
    assert_counted(gateway, "dcr_denied{").await;
}

/// Prometheus sees this counter for the rule of [`bad`], with its labels.
async fn assert_counted(gateway: &Gateway, counter: &str) {
    let metrics = gateway.admin("/stats/prometheus").await.unwrap();
    let metrics = String::from_utf8(metrics.body).unwrap();
    let labels = r#"rule="MD_01",reason="redirect_uri_not_in_statement"}"#;
    let mut ours = metrics.lines().filter(|line| line.starts_with(counter));
    let counted = ours.find(|line| line.contains(labels)).unwrap_or_else(|| panic!("no {counter}{labels}"));
    assert!(!counted.ends_with(" 0"), "{counted}");
}

async fn shadow_mode_refuses_nothing(gateway: &Gateway, installed: Installed) {
    for version in [HttpVersion::Http1, HttpVersion::Http2] {
        let tpp = gateway.client_speaking(Some(&PKI.tpp.transport), version).unwrap();
        for body in [good(gateway), bad(gateway), "a".repeat(BODY_BYTES + 1)] {
            let answer = tpp.register(&body).await.unwrap();
            let seen = &answer.json()["request"]["body_bytes"];
            assert_eq!((answer.status, seen), (200, &json!(body.len())), "{}", answer.json());
        }
        let answer = gateway.client_speaking(None, version).unwrap().register(&good(gateway)).await.unwrap();
        assert_eq!((answer.status, answer.member("backend").as_deref()), (200, Some("echo")));
    }
    let would_refuse = gateway.stats("wasmcustom\\.dcr\\.shadow_denied\\.").await.unwrap();
    assert_eq!(would_refuse.values().sum::<u64>(), 6, "{would_refuse:?}");
    if installed.has_settings {
        let reason = "redirect_uri_not_in_statement";
        let logged = gateway.access_logged(|line| line["dcr_shadow_reason"] == reason).await.unwrap();
        assert_eq!((&logged["dcr_outcome"], &logged["dcr_shadow_rule"]), (&json!("passed"), &json!("MD-01")));
        assert_counted(gateway, installed.shadow_counter).await;
    }
}

fn ends_well(gateway: &mut Gateway) {
    gateway.still_runs().unwrap();
    let log = gateway.envoy_log();
    let fault = log.lines().find(|line| line.contains("panicked") || line.contains("Function failed"));
    assert!(fault.is_none(), "{fault:?}");
}
