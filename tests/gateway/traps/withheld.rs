//! Hosts that keep a body from the filter until the headers may continue: Envoy does so without `allow_on_headers_stop_iteration`, which
//! Istio and Envoy Gateway have no field for.

use dcr_cli::mint::Token;
use serde_json::{Value, json};

use super::bodies::client_with_token;
use super::doors::{Doors, IMPATIENT, SHIPPED, WITHHOLDING, WITHHOLDING_SHADOW, doors};
use super::wire::{After, request_octets};
use super::{
    PKI, REGISTRATION, Refused, WRONG_METHOD, access_line, assert_passed, assert_refused_by_envoy, good_request, run,
    signed,
};

const WITHHELD: Refused = Refused(503, "temporarily_unavailable", "GW-07", "request_body_withheld");
const JWT: (&str, &str) = ("content-type", "application/jwt");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const FORM_BODY: &[u8] = b"grant_type=client_credentials";

fn good(doors: &Doors) -> Vec<u8> {
    signed(&good_request(&doors.gateway)).into_bytes()
}

#[test]
fn gw_07_a_body_that_envoy_keeps_is_an_answer_and_a_line_in_the_log() {
    run(async {
        let doors = doors().await;
        let http2 = doors.http2(WITHHOLDING, Some(&PKI.tpp.transport)).await;
        for (name, path, media_type, after) in [
            ("a registration", REGISTRATION, JWT, After::Body(good(doors))),
            ("with trailers", REGISTRATION, JWT, After::BodyAndTrailers(good(doors))),
            ("a form", "/token", FORM, After::Body(FORM_BODY.into())),
            // No byte is received here. What came before shows that Envoy keeps bodies.
            ("an empty frame", REGISTRATION, JWT, After::Body(Vec::new())),
        ] {
            let answer = http2.request("POST", path, &[media_type], after).await;
            WITHHELD.check(&doors.gateway, &answer, name).await;
            assert_eq!(answer.header("retry-after"), None, "{name}: it lasts until the operator acts");
        }
        let mut http1 = doors.http1(WITHHOLDING, Some(&PKI.tpp.transport)).await;
        let answer =
            http1.request("POST /token", &[b"content-type: application/x-www-form-urlencoded"], FORM_BODY).await;
        WITHHELD.check(&doors.gateway, &answer, "HTTP/1.1").await;
        // The head is here, and the body comes later.
        let octets = request_octets("POST /token", &[b"content-type: application/x-www-form-urlencoded"], FORM_BODY);
        let (head, body) = octets.split_at(octets.len() - FORM_BODY.len());
        let mut http1 = doors.http1(WITHHOLDING, Some(&PKI.tpp.transport)).await;
        http1.write(head).await;
        http1.write(body).await;
        WITHHELD.check(&doors.gateway, &http1.answer().await, "HTTP/1.1 in two writes").await;

        doors
            .gateway
            .envoy_logged("dcr-gate gets no request bodies: set allow_on_headers_stop_iteration")
            .await
            .unwrap();
        let log = doors.gateway.envoy_log();
        let lines: Vec<_> = log.lines().filter(|line| line.contains("gets no request bodies")).collect();
        assert!(lines.iter().all(|line| line.contains("[critical]")), "{lines:?}");
        for place in ["EnvoyFilter", "EnvoyPatchPolicy", "headers: forward"] {
            assert!(lines.iter().all(|line| line.contains(place)), "{place}: {lines:?}");
        }
    });
}

#[test]
fn what_needs_no_body_works_where_bodies_are_kept() {
    run(async {
        let doors = doors().await;
        let (client_id, access_token) = client_with_token(doors, SHIPPED).await;
        let bearer = format!("Bearer {access_token}");
        let http2 = doors.http2(WITHHOLDING, Some(&PKI.tpp.transport)).await;
        let path = format!("{REGISTRATION}/{client_id}");
        let answer = http2.request("GET", &path, &[("authorization", &bearer)], After::Nothing).await;
        assert_eq!(answer.status, 200, "{}", answer.json());

        let answer = http2.request("PATCH", REGISTRATION, &[JWT], After::Body(good(doors))).await;
        WRONG_METHOD.check(&doors.gateway, &answer, "another method, with a body").await;
    });
}

#[test]
fn a_gate_in_shadow_passes_a_request_whose_body_it_does_not_get() {
    run(async {
        let doors = doors().await;
        let http2 = doors.http2(WITHHOLDING_SHADOW, Some(&PKI.tpp.transport)).await;
        let broken: Token = good_request(&doors.gateway).claim("redirect_uris", json!(["https://elsewhere.example/"]));
        let body = signed(&broken).into_bytes();
        let answer = http2.request("POST", REGISTRATION, &[JWT], After::Body(body.clone())).await;
        assert_eq!(assert_passed(&doors.gateway, &answer).await["body_bytes"], body.len());
        let logged = access_line(&doors.gateway, &answer).await;
        let told = |member: &str| logged[member].clone();
        assert_eq!(told("dcr_shadow_reason"), json!("request_body_withheld"));
        assert_eq!(told("dcr_outcome"), json!("passed"));
        let counted = doors.gateway.stats("dcr\\.shadow_denied\\.GW_07").await.unwrap();
        assert!(counted.values().sum::<u64>() > 0, "{counted:?}");
        assert_ne!(told("request_id"), Value::Null);
    });
}

/// A client that is slow to send its body has the time that Envoy gives it. Here Envoy ends the request, after the filter has looked.
#[test]
fn a_client_that_sends_no_body_is_not_told_that_the_gateway_keeps_it() {
    run(async {
        let doors = doors().await;
        let mut connection = doors.http1(IMPATIENT, Some(&PKI.tpp.transport)).await;
        let head = "content-type: application/jwt\r\ncontent-length: 2";
        connection.write(format!("POST {REGISTRATION} HTTP/1.1\r\nhost: a\r\n{head}\r\n\r\n")).await;
        let answer = connection.answer().await;
        assert_refused_by_envoy(&doors.gateway, &answer, 408, "request_overall_timeout", "no body").await;
    });
}
