//! `headers: forward`: the upstream has the headers before the decision. It must not get the body of a request that is refused, and the
//! caller must not get an answer of the upstream about it, however early it comes.

use dcr_dev::Gateway;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::doors::{
    Doors, FORWARD, FORWARD_AND_HOLD, FORWARD_EARLY, FORWARD_EARLY_SHADOW, FORWARD_EARLY_TRAILERS, FORWARD_LOST,
    FORWARD_SHADOW, doors,
};
use super::wire::After;
use super::{
    FOREIGN_REDIRECT_URI, PKI, REGISTRATION, Refused, WRONG_METHOD, access_line, assert_no_panic, assert_registered,
    good_request, run, signed, text,
};

const JWT: (&str, &str) = ("content-type", "application/jwt");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// The body of a request that is handed on: a grant of the upstream.
const FOR_UPSTREAM: &[u8] = b"grant_type=authorization_code&code=x";

/// What an upstream answers that does not wait for a body.
pub(super) const EARLY_ANSWER: &[u8] = b"HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 5\r\n\r\nearly";
pub(super) const EARLY_ANSWER_WITH_TRAILERS: &[u8] =
    b"HTTP/1.1 404 Not Found\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n5\r\nearly\r\n0\r\nx-checksum: 0\r\n\r\n";

const ANSWERED_FIRST: Refused = Refused(503, "temporarily_unavailable", "GW-08", "upstream_answered_first");

/// An upstream that gives every request this answer as soon as it has the headers, and never reads a body. Returns its port.
pub(super) async fn early_upstream(answer: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut read = Vec::new();
                while !read.windows(4).any(|window| window == b"\r\n\r\n") {
                    if !matches!(stream.read_buf(&mut read).await, Ok(1..)) {
                        return;
                    }
                }
                let _ = stream.write_all(answer).await;
                // Envoy closes the connection.
                while matches!(stream.read_buf(&mut read).await, Ok(1..)) {}
            });
        }
    });
    port
}

fn good(gateway: &Gateway) -> Vec<u8> {
    signed(&good_request(gateway)).into_bytes()
}

fn foreign(gateway: &Gateway) -> Vec<u8> {
    signed(&good_request(gateway).claim("redirect_uris", json!(["https://elsewhere.example/"]))).into_bytes()
}

fn after(body: Vec<u8>, with_trailers: bool) -> After {
    if with_trailers { After::BodyAndTrailers(body) } else { After::Body(body) }
}

/// The bytes of the bodies that came to the backend with this request.
fn body_at_backend(doors: &Doors, id: &str) -> Vec<u64> {
    let reached = doors.gateway.backend().requests();
    let of_this = reached.iter().filter(|request| request["headers"]["x-request-id"] == json!([id]));
    of_this.map(|request| request["body_bytes"].as_u64().unwrap()).collect()
}

#[test]
fn the_upstream_gets_no_body_of_a_request_that_the_gate_answers() {
    run(async {
        let doors = doors().await;
        let http2 = doors.http2(FORWARD, Some(&PKI.tpp.transport)).await;
        for with_trailers in [false, true] {
            let bad = after(foreign(&doors.gateway), with_trailers);
            let answer = http2.request("POST", REGISTRATION, &[JWT], bad).await;
            FOREIGN_REDIRECT_URI.check_answer(&answer, "a bad request");
            let id = answer.header("x-request-id").unwrap();
            assert!(body_at_backend(doors, id).iter().all(|bytes| *bytes == 0));

            let answer = http2.request("POST", REGISTRATION, &[JWT], after(good(&doors.gateway), with_trailers)).await;
            assert_eq!(answer.status, 201, "{}", text(&answer));
            assert_eq!(access_line(&doors.gateway, &answer).await["details"], "dcr_allowed");
            let id = answer.header("x-request-id").unwrap();
            assert!(body_at_backend(doors, id).iter().all(|bytes| *bytes == 0));
        }
        // What the headers alone decide does not reach the upstream at all.
        let answer = http2.request("PATCH", REGISTRATION, &[JWT], After::Body(good(&doors.gateway))).await;
        WRONG_METHOD.check(&doors.gateway, &answer, "another method").await;
        doors.gateway.envoy_logged("dcr-gate: headers forward: the upstream sees the headers").await.unwrap();
    });
}

#[test]
fn a_request_that_is_handed_on_reaches_the_upstream_whole() {
    run(async {
        let doors = doors().await;
        let http2 = doors.http2(FORWARD, Some(&PKI.tpp.transport)).await;
        for with_trailers in [false, true] {
            let answer = http2.request("POST", "/token", &[FORM], after(FOR_UPSTREAM.into(), with_trailers)).await;
            assert_eq!(answer.json()["request"]["body_bytes"], FOR_UPSTREAM.len(), "trailers: {with_trailers}");
        }
        let shadow = doors.http2(FORWARD_SHADOW, Some(&PKI.tpp.transport)).await;
        let body = foreign(&doors.gateway);
        let answer = shadow.request("POST", REGISTRATION, &[JWT], After::Body(body.clone())).await;
        assert_eq!(answer.json()["request"]["body_bytes"], body.len(), "{}", text(&answer));
        let logged = access_line(&doors.gateway, &answer).await;
        assert_eq!(logged["dcr_shadow_reason"], "redirect_uri_not_in_statement", "{logged}");
    });
}

#[test]
fn an_answer_that_the_upstream_gives_too_early_waits_for_the_decision() {
    run(async {
        let doors = doors().await;
        for door in [FORWARD_EARLY, FORWARD_EARLY_TRAILERS] {
            let http2 = doors.http2(door, Some(&PKI.tpp.transport)).await;
            let mut http1 = doors.http1(door, Some(&PKI.tpp.transport)).await;
            for _ in 0..3 {
                let answer = http2.request("POST", REGISTRATION, &[JWT], After::Body(foreign(&doors.gateway))).await;
                FOREIGN_REDIRECT_URI.check_answer(&answer, door);
                let answer = http2.request("POST", REGISTRATION, &[JWT], After::Body(good(&doors.gateway))).await;
                assert_eq!(answer.status, 201, "{door}: {}", text(&answer));
                let headers: [&[u8]; 1] = [b"content-type: application/jwt"];
                let line = format!("POST {REGISTRATION}");
                let answer = http1.request(&line, &headers, &foreign(&doors.gateway)).await;
                FOREIGN_REDIRECT_URI.check_answer(&answer, door);
                let answer = http2.request("POST", "/token", &[FORM], After::Body(FOR_UPSTREAM.into())).await;
                assert_eq!((answer.status, answer.body.as_slice()), (404, &b"early"[..]), "{door}: {}", text(&answer));
            }
        }
        assert_no_panic(&doors.gateway);
    });
}

/// Envoy drops the rest of a request that the upstream has answered. The headers go before the body is there only if it is slow.
#[test]
fn gw_08_an_upstream_that_answers_before_the_body_came_leaves_nothing_to_judge() {
    run(async {
        let doors = doors().await;
        let slow = || After::Beginning(vec![b'a'; 100]);
        let length = ("content-length", "5000");
        for door in [FORWARD_EARLY, FORWARD_EARLY_TRAILERS] {
            let http2 = doors.http2(door, Some(&PKI.tpp.transport)).await;
            for (path, media_type) in [(REGISTRATION, JWT), ("/token", FORM)] {
                let answer = http2.request("POST", path, &[media_type, length], slow()).await;
                ANSWERED_FIRST.check_answer(&answer, door);
                assert_eq!(answer.header("retry-after"), None, "{door}: it lasts until the operator acts");
                let logged = access_line(&doors.gateway, &answer).await;
                assert_eq!(logged["details"], "dcr_error{GW-08:upstream_answered_first}", "{door}: {logged}");
            }
        }
        doors.gateway.envoy_logged("dcr-gate: the upstream answered a request before its body came").await.unwrap();

        let http2 = doors.http2(FORWARD_EARLY_SHADOW, Some(&PKI.tpp.transport)).await;
        let answer = http2.request("POST", REGISTRATION, &[JWT, length], slow()).await;
        assert_eq!((answer.status, answer.body.as_slice()), (404, &b"early"[..]), "{}", text(&answer));
        assert_no_panic(&doors.gateway);
    });
}

/// Where Envoy could hold the headers, it does.
#[test]
fn headers_are_forwarded_only_where_bodies_are_kept_otherwise() {
    run(async {
        let doors = doors().await;
        let http2 = doors.http2(FORWARD_AND_HOLD, Some(&PKI.tpp.transport)).await;
        for with_trailers in [false, true] {
            let bad = after(foreign(&doors.gateway), with_trailers);
            let answer = http2.request("POST", REGISTRATION, &[JWT], bad).await;
            FOREIGN_REDIRECT_URI.check(&doors.gateway, &answer, "a bad request").await;
            let good = after(good(&doors.gateway), with_trailers);
            let answer = http2.request("POST", REGISTRATION, &[JWT], good).await;
            assert_registered(&doors.gateway, &answer, "a good request").await;
        }
    });
}

/// The gate answers these requests itself, so it needs no upstream for them.
#[test]
fn a_registration_needs_no_upstream() {
    run(async {
        let doors = doors().await;
        let http2 = doors.http2(FORWARD_LOST, Some(&PKI.tpp.transport)).await;
        for _ in 0..3 {
            let answer = http2.request("POST", REGISTRATION, &[JWT], After::Body(good(&doors.gateway))).await;
            assert_eq!(answer.status, 201, "{}", text(&answer));
            let answer = http2.request("POST", REGISTRATION, &[JWT], After::Body(foreign(&doors.gateway))).await;
            FOREIGN_REDIRECT_URI.check_answer(&answer, "no upstream");
            let answer = http2.request("POST", "/token", &[FORM], After::Body(FOR_UPSTREAM.into())).await;
            assert_eq!(answer.status, 503, "Envoy tells that the upstream is away: {}", text(&answer));
        }
        assert_no_panic(&doors.gateway);
    });
}
