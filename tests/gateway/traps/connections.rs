//! Connections: many requests over one connection, one after the other and at the same time. Each gets its own answer.

use dcr_cli::client::Answer;
use serde_json::json;

use super::doors::{Doors, SHIPPED, doors};
use super::wire::{After, request_octets};
use super::{
    FOREIGN_REDIRECT_URI, NEAR_MISS, NO_GRANT_TYPE, NO_TOKEN, NOT_A_JWS, PKI, REGISTRATION, WRONG_METHOD,
    assert_passed, assert_registered, good_request, run, signed,
};

const REQUESTS: usize = 50;

/// The kind of a request. It determines the answer.
#[derive(Clone, Copy)]
enum Kind {
    Discovery,
    NoToken,
    Registration,
    Passing,
    WrongMethod,
    NoGrantType,
    NotAJws,
    ForeignRedirectUri,
    NearMiss,
}

use Kind::{
    Discovery, ForeignRedirectUri, NearMiss, NoGrantType, NoToken, NotAJws, Passing, Registration, WrongMethod,
};

const ALL: &[Kind] =
    &[Discovery, NoToken, Registration, Passing, WrongMethod, NoGrantType, NotAJws, ForeignRedirectUri, NearMiss];

/// The kinds that are not answered with 400.
const KEEPING_HTTP1_OPEN: &[Kind] = &[Discovery, NoToken, Registration, Passing, WrongMethod];

/// A request whose answer differs from those of its neighbours.
struct Mixed {
    kind: Kind,
    method: &'static str,
    path: String,
    content_type: &'static str,
    body: String,
    id: String,
}

/// A sequence of requests, in which the kinds take turns.
fn mixed(doors: &Doors, kinds: &[Kind], test: &str) -> Vec<Mixed> {
    kinds.iter().cycle().take(REQUESTS).enumerate().map(|(i, kind)| request(doors, *kind, test, i)).collect()
}

fn request(doors: &Doors, kind: Kind, test: &str, i: usize) -> Mixed {
    let metadata = || "/.well-known/openid-configuration".to_owned();
    let registration = || REGISTRATION.to_owned();
    let good = good_request(&doors.gateway);
    let (method, path, body) = match kind {
        Discovery => ("GET", metadata(), String::new()),
        WrongMethod => ("DELETE", metadata(), String::new()),
        NoGrantType => ("POST", "/token".to_owned(), format!("scope=accounts-{i}")),
        NoToken => ("GET", format!("{REGISTRATION}/client-{i}"), String::new()),
        Registration => ("POST", registration(), signed(&good)),
        NotAJws => ("POST", registration(), format!("not-a-jws-{i}")),
        ForeignRedirectUri => {
            ("POST", registration(), signed(&good.claim("redirect_uris", json!(["https://a.example/"]))))
        }
        NearMiss => ("GET", format!("{REGISTRATION};{i}"), String::new()),
        Passing => ("POST", format!("/accounts/{i}"), "a".repeat(i)),
    };
    let content_type = match kind {
        NoGrantType => "application/x-www-form-urlencoded",
        _ => "application/jwt",
    };
    Mixed { kind, method, path, content_type, body, id: format!("{test}-{i}") }
}

impl Mixed {
    fn octets(&self) -> Vec<u8> {
        let content_type = format!("content-type: {}", self.content_type);
        let id = format!("x-request-id: {}", self.id);
        let headers = [content_type.as_bytes(), id.as_bytes()];
        request_octets(&format!("{} {}", self.method, self.path), &headers, self.body.as_bytes())
    }

    async fn check(&self, doors: &Doors, answer: &Answer) {
        let gateway = &doors.gateway;
        assert_eq!(answer.header("x-request-id"), Some(self.id.as_str()));
        match self.kind {
            Discovery => assert_eq!((answer.status, answer.member("issuer").as_deref()), (200, Some(gateway.url()))),
            WrongMethod => WRONG_METHOD.check(gateway, answer, &self.id).await,
            NoGrantType => NO_GRANT_TYPE.check(gateway, answer, &self.id).await,
            NoToken => NO_TOKEN.check(gateway, answer, &self.id).await,
            Registration => drop(assert_registered(gateway, answer, &self.id).await),
            NotAJws => NOT_A_JWS.check(gateway, answer, &self.id).await,
            ForeignRedirectUri => FOREIGN_REDIRECT_URI.check(gateway, answer, &self.id).await,
            NearMiss => NEAR_MISS.check(gateway, answer, &self.id).await,
            Passing => {
                let reached = assert_passed(gateway, answer).await;
                assert_eq!((&reached["path"], &reached["body_bytes"]), (&json!(self.path), &json!(self.body.len())));
            }
        }
    }
}

#[test]
fn requests_one_after_the_other_over_one_http1_connection() {
    run(async {
        let doors = doors().await;
        let mut connection = doors.http1(SHIPPED, Some(&PKI.tpp.transport)).await;
        for request in mixed(doors, KEEPING_HTTP1_OPEN, "in-turn") {
            connection.write(request.octets()).await;
            request.check(doors, &connection.answer().await).await;
        }
    });
}

/// Envoy treats every 400 that it sends itself, even one from a filter, as the answer to a broken message. It then closes the HTTP/1.1
/// connection.
#[test]
fn a_400_ends_its_http1_connection_and_says_so() {
    run(async {
        let doors = doors().await;
        let mut connection = doors.http1(SHIPPED, Some(&PKI.tpp.transport)).await;
        let [bad, good] = [request(doors, NotAJws, "ends", 0), request(doors, Discovery, "ends", 1)];
        connection.write([bad.octets(), good.octets()].concat()).await;
        let answer = connection.answer().await;
        bad.check(doors, &answer).await;
        assert_eq!(answer.header("connection"), Some("close"));
        connection.ended().await;
    });
}

#[test]
fn requests_all_at_once_over_one_http2_connection() {
    run(async {
        let doors = doors().await;
        let connection = doors.http2(SHIPPED, Some(&PKI.tpp.transport)).await;
        let requests = mixed(doors, ALL, "at-once");
        let mut sent = Vec::new();
        for request in &requests {
            let headers = [("content-type", request.content_type), ("x-request-id", request.id.as_str())];
            let after = if request.body.is_empty() { After::Nothing } else { After::Body(request.body.clone().into()) };
            sent.push(connection.send(request.method, &request.path, &headers, after).await);
        }
        for (request, sent) in requests.iter().zip(sent) {
            request.check(doors, &sent.answer().await).await;
        }
    });
}
