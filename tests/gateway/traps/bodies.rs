//! Bodies: empty, too long, endless, and followed by trailers.

use std::time::Duration;

use dcr_cli::client::HttpVersion;
use serde_json::json;

use super::doors::{Doors, IMPATIENT, SHIPPED, SMALL_BODY, SMALL_BODY_BYTES, SMALL_BUFFER, SMALL_STREAMS, doors};
use super::wire::After;
use super::{
    BODY_TOO_LARGE, FOREIGN_REDIRECT_URI, NO_GRANT_TYPE, NO_TOKEN, NOT_A_JWS, PKI, REGISTRATION, Refused, access_line,
    assert_nothing_upstream, assert_passed, assert_refused_by_envoy, assert_registered, good_request, run, signed,
    text,
};
use crate::forwarded::IS_ON;

const JWS_TOO_LONG: Refused = Refused(400, "invalid_client_metadata", "JO-01", "jws_too_long");
const FORM_TOO_LARGE: Refused = Refused(413, "invalid_request", "RG-13", "form_too_large");
const JWT: (&str, &str) = ("content-type", "application/jwt");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// The filter's default for `limits.body_bytes`.
const BODY_BYTES: usize = 64 * 1024;

#[test]
fn a_body_with_trailers_is_judged_all_the_same() {
    run(async {
        let doors = doors().await;
        let connection = doors.http2(SHIPPED, Some(&PKI.tpp.transport)).await;

        let good = signed(&good_request(&doors.gateway)).into_bytes();
        let answer = connection.request("POST", REGISTRATION, &[JWT], After::BodyAndTrailers(good)).await;
        assert_registered(&doors.gateway, &answer, "a good request with trailers").await;

        let bad = good_request(&doors.gateway).claim("redirect_uris", json!(["https://elsewhere.example/"]));
        let bad = signed(&bad).into_bytes();
        let answer = connection.request("POST", REGISTRATION, &[JWT], After::BodyAndTrailers(bad)).await;
        FOREIGN_REDIRECT_URI.check(&doors.gateway, &answer, "a bad request with trailers").await;

        let answer = connection.request("POST", REGISTRATION, &[JWT], After::BodyAndTrailers(Vec::new())).await;
        NOT_A_JWS.check(&doors.gateway, &answer, "trailers without a body").await;

        let answer =
            connection.request("POST", "/token", &[FORM], After::BodyAndTrailers(b"scope=accounts".into())).await;
        NO_GRANT_TYPE.check(&doors.gateway, &answer, "a form with trailers").await;
    });
}

#[test]
fn trailers_on_a_path_that_is_not_ours_pass_with_the_body() {
    run(async {
        let doors = doors().await;
        let connection = doors.http2(SHIPPED, None).await;
        let answer = connection.request("POST", "/payments", &[], After::BodyAndTrailers(vec![b'a'; 1000])).await;
        assert_eq!(assert_passed(&doors.gateway, &answer).await["body_bytes"], 1000);
    });
}

/// While an update waits for the store's answer about its token, the body and the trailers arrive.
#[test]
fn trailers_do_not_make_a_body_over_the_limit_smaller() {
    run(async {
        let doors = doors().await;
        let (client_id, access_token) = client_with_token(doors, SMALL_BODY).await;
        let connection = doors.http2(SMALL_BODY, Some(&PKI.tpp.transport)).await;
        let mut body = signed(&good_request(&doors.gateway)).into_bytes();
        body.resize(SMALL_BODY_BYTES + 1, b'a');

        let (path, bearer) = (format!("{REGISTRATION}/{client_id}"), format!("Bearer {access_token}"));
        let answer =
            connection.request("PUT", &path, &[JWT, ("authorization", &bearer)], After::BodyAndTrailers(body)).await;
        BODY_TOO_LARGE.check(&doors.gateway, &answer, "too long a body with trailers").await;
    });
}

#[test]
fn a_request_of_headers_only_is_refused_and_does_not_hang() {
    run(async {
        let doors = doors().await;
        let update = format!("{REGISTRATION}/0123456789abcdef");
        let cases: [(&str, &str, (&str, &str), Refused); 3] = [
            ("POST", REGISTRATION, JWT, NOT_A_JWS),
            ("POST", "/token", FORM, NO_GRANT_TYPE),
            ("PUT", &update, JWT, NO_TOKEN),
        ];
        let mut http1 = doors.http1(SHIPPED, Some(&PKI.tpp.transport)).await;
        let http2 = doors.http2(SHIPPED, Some(&PKI.tpp.transport)).await;
        // Where Envoy keeps bodies, the filter learns it from a body with content.
        let answer = http2.request("POST", REGISTRATION, &[JWT], After::Body(b"a".into())).await;
        NOT_A_JWS.check(&doors.gateway, &answer, "a body of one octet").await;
        for (method, path, media_type, refused) in cases {
            let media_type_line = format!("{}: {}", media_type.0, media_type.1);
            let answer = http1.request(&format!("{method} {path}"), &[media_type_line.as_bytes()], b"").await;
            refused.check(&doors.gateway, &answer, &format!("{method} {path} with content-length 0")).await;
            let answer = http2.request(method, path, &[media_type], After::Nothing).await;
            refused.check(&doors.gateway, &answer, &format!("{method} {path} with END_STREAM on its headers")).await;
            let answer = http2.request(method, path, &[media_type], After::Body(Vec::new())).await;
            refused.check(&doors.gateway, &answer, &format!("{method} {path} with an empty frame")).await;
        }
        // An HTTP/1.1 request without body headers has no body.
        let mut http1 = doors.http1(SHIPPED, Some(&PKI.tpp.transport)).await;
        http1.write(format!("POST {REGISTRATION} HTTP/1.1\r\nhost: a\r\ncontent-type: application/jwt\r\n\r\n")).await;
        NOT_A_JWS.check(&doors.gateway, &http1.answer().await, "no content-length").await;
    });
}

#[test]
fn a_body_over_the_filters_limit_is_413() {
    run(async {
        let doors = doors().await;
        for version in [HttpVersion::Http1, HttpVersion::Http2] {
            let tpp = doors.gateway.client_speaking(Some(&PKI.tpp.transport), version).unwrap();
            let answer = tpp.register(&"a".repeat(BODY_BYTES + 1)).await.unwrap();
            BODY_TOO_LARGE.check(&doors.gateway, &answer, &format!("{version:?}, one byte too many")).await;
            let answer = tpp.register(&"a".repeat(BODY_BYTES)).await.unwrap();
            JWS_TOO_LONG.check(&doors.gateway, &answer, &format!("{version:?}, exactly as much as is taken")).await;
            let answer = tpp.token(&[("scope", &"a".repeat(BODY_BYTES))]).await.unwrap();
            FORM_TOO_LARGE.check(&doors.gateway, &answer, &format!("{version:?}, a form")).await;
        }
    });
}

#[test]
fn a_body_over_envoys_buffer_is_envoys_own_413() {
    run(async {
        let doors = doors().await;
        let mut connection = doors.http1(SMALL_BUFFER, Some(&PKI.tpp.transport)).await;
        let line = format!("POST {REGISTRATION}");
        let headers: [&[u8]; 1] = [b"content-type: application/jwt"];
        let answer = connection.request(&line, &headers, &[b'a'; BODY_BYTES]).await;
        // An Envoy that keeps bodies from the filter reads no further when its buffer is full, and waits.
        let (status, details) =
            if *IS_ON { (408, "request_overall_timeout") } else { (413, "request_payload_too_large") };
        assert_refused_by_envoy(&doors.gateway, &answer, status, details, "a body over the buffer").await;

        let good = signed(&good_request(&doors.gateway));
        let answer = connection.request(&line, &headers, good.as_bytes()).await;
        assert_registered(&doors.gateway, &answer, "a body within the buffer").await;
    });
}

/// Over HTTP/2 the window of the stream is the buffer. If it is as small as the filter's limit, both refuse, and Envoy's answer is sent.
#[test]
fn a_body_over_the_window_of_its_stream_is_413_too() {
    run(async {
        let doors = doors().await;
        let connection = doors.http2(SMALL_STREAMS, Some(&PKI.tpp.transport)).await;
        let answer = connection.request("POST", REGISTRATION, &[JWT], After::Body(vec![b'a'; BODY_BYTES + 1])).await;
        assert_eq!(answer.status, 413, "{}", text(&answer));
        let logged = access_line(&doors.gateway, &answer).await;
        assert_nothing_upstream(&doors.gateway, &answer, &logged, "a body over the window");
    });
}

#[test]
fn a_huge_body_is_refused_before_it_is_all_there() {
    run(async {
        let doors = doors().await;
        let mut connection = doors.http1(SHIPPED, Some(&PKI.tpp.transport)).await;
        let head = "content-type: application/jwt\r\ncontent-length: 1000000000";
        connection.write(format!("POST {REGISTRATION} HTTP/1.1\r\nhost: a\r\n{head}\r\n\r\n")).await;
        connection.write(vec![b'a'; BODY_BYTES + 1]).await;
        BODY_TOO_LARGE.check(&doors.gateway, &connection.answer().await, "the beginning of a gigabyte").await;
    });
}

#[test]
fn a_body_that_never_ends_is_not_waited_for() {
    run(async {
        let doors = doors().await;
        let mut connection = doors.http1(IMPATIENT, Some(&PKI.tpp.transport)).await;
        let head = "content-type: application/jwt\r\ncontent-length: 2";
        connection.write(format!("POST {REGISTRATION} HTTP/1.1\r\nhost: a\r\n{head}\r\n\r\na")).await;
        let answer = connection.answer().await;
        assert_refused_by_envoy(&doors.gateway, &answer, 408, "request_overall_timeout", "a body that stays out").await;
        assert!(answer.elapsed < Duration::from_secs(30), "{:?}", answer.elapsed);
    });
}

pub(super) async fn client_with_token(doors: &Doors, door: &str) -> (String, String) {
    let tpp = doors.tpp(door, Some(&PKI.tpp.transport));
    let answer = tpp.register(&signed(&good_request(&doors.gateway))).await.unwrap();
    let client_id = assert_registered(&doors.gateway, &answer, "the client").await;
    let assertion = signed(&doors.gateway.client_assertion(&client_id));
    let answer = tpp.token_by_assertion(&assertion, None).await.unwrap();
    (client_id, answer.member("access_token").unwrap())
}
