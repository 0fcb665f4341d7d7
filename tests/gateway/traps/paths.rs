//! Paths. A path that is almost one of the gate's never reaches the backend, whether Envoy normalises paths or not. Other paths do.

use super::doors::{RAW_PATHS, SHIPPED, doors};
use super::wire::After;
use super::{
    NEAR_MISS, NO_CERTIFICATE, NO_GRANT_TYPE, NO_TOKEN, NOT_A_JWS, PKI, REGISTRATION, Refused, WRONG_METHOD,
    assert_passed, good_request, run, signed, text,
};

/// The result for a path with the shipped normalisation of Envoy.
enum Normalised {
    /// The filter sees a path of the gate and serves it. The answer asks for a certificate.
    Ours,
    /// The filter sees a path that is almost one of the gate's.
    NearMiss,
    /// Envoy refuses a path that it cannot normalise, before it gives the request an id.
    ByEnvoy,
}

use Normalised::{ByEnvoy, NearMiss, Ours};

const NEAR_MISSES: &[(&str, Normalised)] = &[
    ("/open-banking/v3.3.0/register;a=b", NearMiss),
    ("/open-banking/v3.3.0;a/register", NearMiss),
    ("/open-banking/v3.3.0/register/", NearMiss),
    ("/open-banking/v3.3.0/register/one/two", NearMiss),
    ("/open-banking/v3.3.0/register/one;two", NearMiss),
    ("/open-banking/v3.3.0/Register", NearMiss),
    ("/OPEN-BANKING/v3.3.0/register", NearMiss),
    ("/open-banking/v3.3.0/register%20", NearMiss),
    ("/open-banking/v3.3.0/register%00", ByEnvoy),
    ("/open-banking/v3.3.0/register%3b", NearMiss),
    ("/open-banking/v3.3.0/register%3fa", NearMiss),
    ("/open-banking/v3.3.0/register%252fone", NearMiss),
    ("/open-banking%2fv3.3.0/register", ByEnvoy),
    ("/open-banking/v3.3.0%2Fregister", ByEnvoy),
    ("/open-banking/v3.3.0/register%2fone", ByEnvoy),
    ("/open-banking/v3.3.0%5cregister", ByEnvoy),
    ("//open-banking/v3.3.0/register", Ours),
    ("/open-banking//v3.3.0/register", Ours),
    ("/open-banking/v3.3.0//register", Ours),
    ("/open-banking/./v3.3.0/register", Ours),
    ("/accounts/../open-banking/v3.3.0/register", Ours),
    ("/accounts/%2e%2e/open-banking/v3.3.0/register", Ours),
    ("/open-banking/v3.3.0/%72egister", Ours),
    ("/token;a", NearMiss),
    ("/token/", NearMiss),
    ("/Token", NearMiss),
    ("/%2ftoken", ByEnvoy),
    ("//token", Ours),
    ("/accounts/../token", Ours),
    ("/%74oken", Ours),
];

#[test]
fn a_path_that_is_almost_ours_is_refused_or_ours() {
    run(async {
        let doors = doors().await;
        let mut connection = doors.http1(SHIPPED, None).await;
        for (i, (path, normalised)) in NEAR_MISSES.iter().enumerate() {
            let media_type: &[u8] = match path.contains("oken") {
                true => b"content-type: application/x-www-form-urlencoded",
                false => b"content-type: application/jwt",
            };
            // Envoy logs this id even if it refuses the request before it makes its own id.
            let id = format!("near-miss-{i}");
            let headers = [media_type, &[b"x-request-id: ", id.as_bytes()].concat()];
            let answer = connection.request(&format!("POST {path}"), &headers, b"a.b.c").await;
            match normalised {
                Ours => NO_CERTIFICATE.check(&doors.gateway, &answer, path).await,
                NearMiss => NEAR_MISS.check(&doors.gateway, &answer, path).await,
                ByEnvoy => {
                    assert_eq!((answer.status, answer.body.len()), (400, 0), "{path}: {}", text(&answer));
                    let logged = doors.gateway.access_logged(|line| line["request_id"] == id.as_str()).await.unwrap();
                    assert_eq!(logged["details"], "path_normalization_failed", "{path}: {logged}");
                    assert!(logged["upstream_host"].is_null(), "{path}: {logged}");
                }
            }
        }
    });
}

#[test]
fn without_envoys_normalisation_every_path_that_is_almost_ours_is_refused() {
    run(async {
        let doors = doors().await;
        let mut connection = doors.http1(RAW_PATHS, Some(&PKI.tpp.transport)).await;
        let body = signed(&good_request(&doors.gateway));
        for (path, _) in NEAR_MISSES {
            for method in ["POST", "GET"] {
                let line = format!("{method} {path}");
                let answer = connection.request(&line, &[b"content-type: application/jwt"], body.as_bytes()).await;
                NEAR_MISS.check(&doors.gateway, &answer, &line).await;
            }
        }
        // The path was the reason for the refusal.
        let line = format!("POST {REGISTRATION}");
        let answer = connection.request(&line, &[b"content-type: application/jwt"], body.as_bytes()).await;
        assert_eq!(answer.status, 201);
    });
}

#[test]
fn a_request_without_a_path_is_refused() {
    run(async {
        let doors = doors().await;
        let mut connection = doors.http1(SHIPPED, None).await;
        connection.write("CONNECT localhost:443 HTTP/1.1\r\nhost: localhost:443\r\n\r\n").await;
        NEAR_MISS.check(&doors.gateway, &connection.answer().await, "CONNECT").await;
    });
}

#[test]
fn a_refused_request_sends_not_one_byte_upstream() {
    run(async {
        let doors = doors().await;
        let connection = doors.http2(SHIPPED, Some(&PKI.tpp.transport)).await;
        let client = format!("{REGISTRATION}/0123456789abcdef");
        let jwt = ("content-type", "application/jwt");
        let form = ("content-type", "application/x-www-form-urlencoded");
        let cases: [(&str, &str, (&str, &str), Refused); 8] = [
            ("POST", REGISTRATION, jwt, NOT_A_JWS),
            ("GET", REGISTRATION, jwt, WRONG_METHOD),
            ("PATCH", &client, jwt, WRONG_METHOD),
            ("GET", &client, jwt, NO_TOKEN),
            ("DELETE", &client, jwt, NO_TOKEN),
            ("POST", "/token", form, NO_GRANT_TYPE),
            ("DELETE", "/.well-known/openid-configuration", jwt, WRONG_METHOD),
            ("POST", "/open-banking/v3.3.0/register/one/two", jwt, NEAR_MISS),
        ];
        for (method, path, header, refused) in cases {
            let answer = connection.request(method, path, &[header], After::Body(b"a.b.c".into())).await;
            refused.check(&doors.gateway, &answer, &format!("{method} {path}")).await;
        }
    });
}

/// A backend that does not resolve dots would read these as paths below the registration endpoint.
#[test]
fn without_envoys_normalisation_dots_do_not_lead_out_of_a_registration() {
    run(async {
        let doors = doors().await;
        let mut connection = doors.http1(RAW_PATHS, None).await;
        for path in
            ["/open-banking/v3.3.0/register/../../../accounts", "/open-banking/v3.3.0/register/one/%2e%2e/../../x"]
        {
            let answer = connection.request(&format!("GET {path}"), &[], b"").await;
            NEAR_MISS.check(&doors.gateway, &answer, path).await;
        }
    });
}

#[test]
fn a_path_that_is_not_ours_reaches_the_backend_whole() {
    run(async {
        let doors = doors().await;
        let connection = doors.http2(SHIPPED, Some(&PKI.tpp.transport)).await;
        for path in
            ["/accounts?page=2", "/open-banking/v3.1/aisp/accounts", "/tokens", "/register", "/open-banking/v3.3.0"]
        {
            let answer = connection.request("POST", path, &[], After::Body(vec![b'a'; 100_000])).await;
            let reached = assert_passed(&doors.gateway, &answer).await;
            assert_eq!((reached["path"].as_str(), reached["body_bytes"].as_u64()), (Some(path), Some(100_000)));
        }
    });
}
