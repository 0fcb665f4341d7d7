//! Behaviour of every route: media types, sizes, methods, the credential, a failing database, and the counters.

use std::future::Future;
use std::task::{Context, Waker};

use axum::body::Body;
use axum::http::Request;
use dcr_store::credential::Credential;
use http_body_util::channel::Channel;
use serde_json::json;

use crate::support::{NOW, Rig, creation, form_request, issue, jti, new_client, new_token, post, replacement};

const CREDENTIAL: &str = "0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn only_json_is_taken_as_json() {
    let rig = Rig::new().await;
    let send = async |content_types: &[&str]| {
        let mut request = creation(&new_client(json!([])));
        request.headers_mut().remove("content-type");
        for content_type in content_types {
            request.headers_mut().append("content-type", content_type.parse().unwrap());
        }
        rig.send(request).await
    };
    for wrong in [&[][..], &["text/plain"], &["application/jsonx"], &["application/json", "application/json"], &[""]] {
        send(wrong).await.assert_refused(415, "invalid_request");
    }
    send(&["Application/JSON; charset=utf-8"]).await.of_one().assert_status(201);
}

#[tokio::test]
async fn what_is_not_json_is_refused_without_being_repeated() {
    let rig = Rig::new().await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let broken_record = json!({ "clients": [new_client(json!([]))] }).to_string().replace("1.5", "1.5.5");
    let bodies = ["", "{", "{\"software\": \"marker\"}", "\u{feff}{}", &deep, &broken_record, "{} {}", "marker"];
    for body in bodies.map(|body| body.as_bytes().to_vec()).into_iter().chain([vec![0xff, 0xfe], vec![0; 64]]) {
        let request = Request::post("/v1/clients").header("content-type", "application/json");
        let answer = rig.send(request.body(Body::from(body)).unwrap()).await.of_one();
        answer.assert_refused(400, "invalid_request");
        assert!(!answer.text.contains("marker"), "{answer:?}");
    }
}

#[tokio::test]
async fn a_body_over_256_kib_is_refused() {
    let rig = Rig::new().await;
    let sized = |size: usize| {
        let body = json!({ "clients": [new_client(json!([]))] }).to_string();
        let padding = " ".repeat(size - body.len());
        Request::post("/v1/clients")
            .header("content-type", "application/json")
            .body(Body::from(body + &padding))
            .unwrap()
    };
    rig.send(sized(256 * 1024)).await.of_one().assert_status(201);
    rig.send(sized(256 * 1024 + 1)).await.assert_refused(413, "invalid_request");
    let form = form_request("/v1/tokens/introspect", &format!("token=x&y={}", "a".repeat(256 * 1024)));
    rig.send(form).await.assert_refused(413, "invalid_request");
}

#[tokio::test]
async fn unknown_routes_and_methods_are_named_as_such() {
    let rig = Rig::new().await;
    for path in ["/", "/v1", "/v1/clients/", "/v1/clients/a/b", "/v2/clients", "//v1/clients", "/v1/clients/a/tokens"] {
        rig.get(path).await.assert_refused(404, "not_found");
    }
    for (path, allowed) in [
        ("/v1/clients", "POST"),
        ("/v1/tokens", "POST"),
        ("/v1/tokens/introspect", "POST"),
        ("/v1/tokens/revoke", "POST"),
    ] {
        let answer = rig.get(path).await;
        answer.assert_refused(405, "method_not_allowed");
        assert_eq!(answer.header("allow"), allowed);
    }
    rig.delete("/healthz").await.assert_refused(405, "method_not_allowed");
}

#[tokio::test]
async fn with_a_credential_every_call_has_to_show_it() {
    let rig = Rig::with_credential(Some(Credential::parse(CREDENTIAL).unwrap())).await;
    let calls = || {
        let mut put = post("/v1/clients/a", &replacement(json!([])));
        *put.method_mut() = axum::http::Method::PUT;
        [
            (200, creation(&new_client(json!([])))),
            (404, Request::get("/v1/clients/a").body(Body::empty()).unwrap()),
            (428, put),
            (404, Request::delete("/v1/clients/a").body(Body::empty()).unwrap()),
            (200, issue("/v1/clients/a", &new_token(json!([])))),
            (200, form_request("/v1/tokens/introspect", "token=a")),
            (200, form_request("/v1/tokens/revoke", "token=a")),
        ]
    };
    for wrong in [None, Some("Bearer"), Some("Bearer wrong"), Some("Basic 0123456789abcdef0123456789abcdef")] {
        for (_status, mut request) in calls() {
            if let Some(wrong) = wrong {
                request.headers_mut().insert("authorization", wrong.parse().unwrap());
            }
            let answer = rig.send(request).await;
            answer.assert_refused(401, "unauthorized");
            assert_eq!(answer.header("www-authenticate"), "Bearer");
        }
    }
    assert_eq!(rig.database.counts().await.unwrap().clients, 0);
    for (status, mut request) in calls() {
        request.headers_mut().insert("authorization", format!("Bearer {CREDENTIAL}").parse().unwrap());
        rig.send(request).await.assert_status(status);
    }
    for open in ["/healthz", "/readyz", "/metrics"] {
        rig.get(open).await.assert_status(200);
    }
}

#[tokio::test]
async fn metrics_count_by_route_template_and_show_what_is_kept() {
    let rig = Rig::new().await;
    let client = rig.registered().await;
    rig.get(&client).await.assert_status(200);
    rig.get("/v1/clients/unknown").await.assert_status(404);
    rig.get("/some/random/path").await.assert_status(404);
    rig.issue(&client, &new_token(json!([jti("t")]))).await.assert_status(201);

    let metrics = rig.get("/metrics").await;
    for line in [
        r#"dcr_store_requests_total{route="/v1/clients",method="POST",status="200"} 1"#,
        r#"dcr_store_registrations_total{status="201"} 1"#,
        r#"dcr_store_tokens_total{status="201"} 1"#,
        r#"dcr_store_requests_total{route="/v1/clients/{client_id}",method="GET",status="200"} 1"#,
        r#"dcr_store_requests_total{route="/v1/clients/{client_id}",method="GET",status="404"} 1"#,
        r#"dcr_store_requests_total{route="unmatched",method="GET",status="404"} 1"#,
        r#"dcr_store_request_duration_seconds_count{route="/v1/clients/{client_id}",method="GET"} 2"#,
        "dcr_store_clients 1",
        "dcr_store_live_tokens 1",
        "dcr_store_jti_kept 1",
    ] {
        assert!(metrics.text.lines().any(|written| written == line), "{line} is not in\n{}", metrics.text);
    }
    rig.set_time(NOW + 600);
    assert!(rig.get("/metrics").await.text.contains("dcr_store_live_tokens 0\n"));
}

#[tokio::test]
async fn a_caller_that_goes_away_is_counted() {
    let rig = Rig::new().await;
    let (_more_to_come, body) = Channel::<axum::body::Bytes>::new(1);
    let request = Request::post("/v1/clients").header("content-type", "application/json");
    let mut waiting = Box::pin(rig.send(request.body(Body::new(body)).unwrap()));
    assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(waiting);
    let line = r#"dcr_store_requests_total{route="/v1/clients",method="POST",status="499"} 1"#;
    assert!(rig.get("/metrics").await.text.contains(line));
}
