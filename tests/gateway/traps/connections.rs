//! Connections: many requests over one, one after the other and all at once, each with its own answer.

use dcr_cli::client::Answer;
use serde_json::json;

use super::doors::{Doors, SHIPPED, doors};
use super::wire::{After, request_octets};
use super::{
    FOREIGN_REDIRECT_URI, NEAR_MISS, NO_GRANT_TYPE, NO_TOKEN, NOT_A_JWS, PKI, REGISTRATION, WRONG_METHOD,
    assert_passed, assert_registered, good_request, run, signed,
};

const REQUESTS: usize = 50;

/// A request whose answer cannot be taken for that of its neighbours.
struct Mixed {
    method: &'static str,
    path: String,
    content_type: &'static str,
    body: String,
    id: String,
    kind: usize,
}

/// The `i`-th request of a sequence in which all kinds take turns.
fn mixed(doors: &Doors, test: &str, i: usize) -> Mixed {
    let foreign = good_request(&doors.gateway).claim("redirect_uris", json!(["https://elsewhere.example/"]));
    let (jwt, form) = ("application/jwt", "application/x-www-form-urlencoded");
    let registration = || REGISTRATION.to_owned();
    let (method, path, content_type, body) = match i % 9 {
        0 => ("GET", "/.well-known/openid-configuration".to_owned(), jwt, String::new()),
        1 => ("POST", "/token".to_owned(), form, "scope=accounts".to_owned()),
        2 => ("GET", format!("{REGISTRATION}/client-{i}"), jwt, String::new()),
        3 => ("POST", registration(), jwt, signed(&good_request(&doors.gateway))),
        4 => ("POST", registration(), jwt, format!("not-a-jws-{i}")),
        5 => ("POST", format!("/accounts/{i}"), jwt, "a".repeat(i)),
        6 => ("POST", registration(), jwt, signed(&foreign)),
        7 => ("DELETE", "/.well-known/openid-configuration".to_owned(), jwt, String::new()),
        _ => ("GET", format!("{REGISTRATION};{i}"), jwt, String::new()),
    };
    Mixed { method, path, content_type, body, id: format!("{test}-{i}"), kind: i % 9 }
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
            0 => assert_eq!((answer.status, answer.member("issuer").as_deref()), (200, Some(gateway.url()))),
            1 => NO_GRANT_TYPE.check(gateway, answer, &self.id).await,
            2 => NO_TOKEN.check(gateway, answer, &self.id).await,
            3 => drop(assert_registered(gateway, answer, &self.id).await),
            4 => NOT_A_JWS.check(gateway, answer, &self.id).await,
            5 => {
                let reached = assert_passed(gateway, answer).await;
                assert_eq!((&reached["path"], &reached["body_bytes"]), (&json!(self.path), &json!(self.body.len())));
            }
            6 => FOREIGN_REDIRECT_URI.check(gateway, answer, &self.id).await,
            7 => WRONG_METHOD.check(gateway, answer, &self.id).await,
            _ => NEAR_MISS.check(gateway, answer, &self.id).await,
        }
    }
}

#[test]
fn requests_one_after_the_other_over_one_http1_connection() {
    run(async {
        let doors = doors().await;
        let mut connection = doors.http1(SHIPPED, Some(&PKI.tpp.transport)).await;
        for i in 0..REQUESTS {
            let request = mixed(doors, "in-turn", i);
            connection.write(request.octets()).await;
            request.check(doors, &connection.answer().await).await;
        }
    });
}

#[test]
fn requests_written_ahead_of_their_answers_over_one_http1_connection() {
    run(async {
        let doors = doors().await;
        let mut connection = doors.http1(SHIPPED, Some(&PKI.tpp.transport)).await;
        let requests: Vec<Mixed> = (0..REQUESTS).map(|i| mixed(doors, "pipelined", i)).collect();
        connection.write(requests.iter().flat_map(Mixed::octets).collect::<Vec<u8>>()).await;
        for request in &requests {
            request.check(doors, &connection.answer().await).await;
        }
    });
}

#[test]
fn requests_all_at_once_over_one_http2_connection() {
    run(async {
        let doors = doors().await;
        let connection = doors.http2(SHIPPED, Some(&PKI.tpp.transport)).await;
        let requests: Vec<Mixed> = (0..REQUESTS).map(|i| mixed(doors, "at-once", i)).collect();
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
