//! Tokens and registrations that share calls to the store: there are fewer calls, and each request gets its own outcome.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::{join, join_all};
use futures_util::{FutureExt, poll};

use super::caches::{token, token_request};
use super::*;
use crate::host::Host;
use crate::host::mock::{answer as response, run};

/// The number of tokens in each call.
fn groups(host: &MockHost) -> Vec<usize> {
    asked(host, "tokens").iter().map(Vec::len).collect()
}

/// The elements of each call.
fn asked(host: &MockHost, what: &str) -> Vec<Vec<Value>> {
    let calls = host.calls.borrow();
    let bodies = calls.iter().filter(|call| call.path == format!("/v1/{what}")).map(|call| call.body.as_slice());
    bodies.map(|body| serde_json::from_slice::<Value>(body).unwrap()[what].as_array().unwrap().clone()).collect()
}

/// A gate, and a client in its cache.
async fn gate_and_client(host: &MockHost) -> (Rc<Gate<MockHost>>, String) {
    let gate = gate(host);
    let client = registered(&gate, &registration()).await;
    assert_eq!(token(&gate, &client, "").await.status, 200);
    assert_eq!(groups(host), [1]);
    host.calls.borrow_mut().clear();
    (gate, client)
}

#[test]
fn requests_during_a_call_share_the_next_call() {
    run(0, |host| async move {
        let (gate, client) = gate_and_client(&host).await;
        let first = token(&gate, &client, "");
        let others = async {
            // These requests start after the call of the first one was sent.
            host.sleep(Duration::ZERO).await;
            join_all((0..6).map(|_| token(&gate, &client, ""))).await
        };
        let (first, others) = join(first, others).await;
        assert_eq!(groups(&host), [1, 6]);
        let tokens: HashSet<String> = others
            .iter()
            .chain([&first])
            .map(|answer| {
                assert_eq!(answer.status, 200, "{}", body(answer));
                body(answer)["access_token"].as_str().unwrap().to_owned()
            })
            .collect();
        assert_eq!(tokens.len(), 7, "each request gets its own token");
    });
}

#[test]
fn each_client_gets_its_own_token_and_each_refusal_is_its_own() {
    run(0, |host| async move {
        let (gate, one) = gate_and_client(&host).await;
        let other = registered(&gate, &registration()).await;
        let replayed = mint::client_assertion(&one, ISSUER);
        assert_eq!(answered(&gate, &Endpoint::Token, &token_request(&replayed, "")).await.status, 200);
        assert_eq!(token(&gate, &other, "").await.status, 200);
        host.calls.borrow_mut().clear();

        let assertions = [
            mint::client_assertion(&one, ISSUER),
            replayed,
            mint::client_assertion(&other, ISSUER),
            mint::client_assertion(&one, ISSUER),
        ];
        let requests: Vec<Request> = assertions.iter().map(|assertion| token_request(assertion, "")).collect();
        let answers = join_all(requests.iter().map(|request| answered(&gate, &Endpoint::Token, request))).await;
        assert_eq!(groups(&host), [4]);
        assert_eq!(answers.iter().map(|answer| answer.status).collect::<Vec<_>>(), [200, 401, 200, 200]);
        let reason = host.events.borrow().iter().find_map(|event| match event {
            Event::Denied { refusal, .. } => Some(refusal.rule.reason),
            _ => None,
        });
        assert_eq!(reason, Some("assertion_replayed"));
        for (answer, client) in
            answers.iter().zip([&one, &one, &other, &one]).filter(|(answer, _)| answer.status == 200)
        {
            assert!(
                body(answer)["access_token"].as_str().unwrap().ends_with(&format!("-of-{client}")),
                "{}",
                body(answer)
            );
        }
    });
}

#[test]
fn a_call_has_at_most_64_elements_and_several_calls_may_be_under_way() {
    run(0, |host| async move {
        let (gate, client) = gate_and_client(&host).await;
        let answers = join_all((0..150).map(|_| token(&gate, &client, ""))).await;
        assert!(answers.iter().all(|answer| answer.status == 200));
        assert_eq!(groups(&host), [64, 64, 22]);
    });
}

#[test]
fn an_answer_without_an_outcome_for_each_request_is_an_error() {
    /// Makes the list of outcomes from one outcome that fits both requests.
    type Outcomes = fn(Value) -> Value;
    let answers: [(&str, Outcomes, [u16; 2]); 14] = [
        ("both", |issued| json!([issued, issued]), [200, 200]),
        ("one missing", |issued| json!([issued]), [503, 503]),
        ("one more", |issued| json!([issued, issued, issued]), [503, 503]),
        ("no list", |issued| issued, [503, 503]),
        ("another client's", |issued| json!([with(&issued, "client_id", json!("client-2")), issued]), [503, 200]),
        ("of another scope", |issued| json!([issued, with(&issued, "scope", json!("accounts"))]), [200, 503]),
        ("of another lifetime", |issued| json!([issued, with(&issued, "expires_in", json!(86_400))]), [200, 503]),
        (
            "of another certificate",
            |issued| json!([issued, with(&issued, "cnf", json!({ "x5t#S256": "A".repeat(43) }))]),
            [200, 503],
        ),
        ("of no certificate", |issued| json!([issued, with(&issued, "cnf", Value::Null)]), [200, 503]),
        ("of another type", |issued| json!([issued, with(&issued, "token_type", json!("DPoP"))]), [200, 503]),
        ("no token", |issued| json!([issued, with(&issued, "access_token", json!("a\nb"))]), [200, 503]),
        ("an empty token", |issued| json!([issued, with(&issued, "access_token", json!(""))]), [200, 503]),
        ("no status", |issued| json!([{ "client_id": "client-1" }, issued]), [503, 200]),
        ("a failure of one", |issued| json!([issued, { "status": 503, "error": "x" }]), [200, 503]),
    ];
    for (what, answer, expected) in answers {
        run(0, move |host| async move {
            let (gate, client) = gate_and_client(&host).await;
            host.instead(move |call| {
                let asked: Value = serde_json::from_slice(&call.body).ok().filter(|_| call.path == "/v1/tokens")?;
                let mut issued = asked["tokens"][0].clone();
                issued["status"] = json!(201);
                issued["access_token"] = json!("t");
                issued["token_type"] = json!("Bearer");
                Some(Ok(response(200, json!({ "tokens": answer(issued) }))))
            });
            let answers = join_all((0..2).map(|_| token(&gate, &client, ""))).await;
            assert_eq!(answers.iter().map(|answer| answer.status).collect::<Vec<_>>(), expected, "{what}");
            for answer in answers.iter().filter(|answer| answer.status == 503) {
                assert_eq!(body(answer)["error"], "temporarily_unavailable", "{what}");
            }
        });
    }
}

/// The object with this member.
fn with(object: &Value, member: &str, value: Value) -> Value {
    let mut changed = object.clone();
    changed[member] = value;
    changed
}

#[test]
fn a_request_that_ended_is_not_sent_and_does_not_stop_the_others() {
    run(0, |host| async move {
        let (gate, client) = gate_and_client(&host).await;
        let mut leaving = Box::pin(token(&gate, &client, ""));
        assert!(poll!(leaving.as_mut()).is_pending());
        drop(leaving);
        assert_eq!(token(&gate, &client, "").await.status, 200);
        assert_eq!(groups(&host), [1]);
    });
}

#[test]
fn registrations_share_a_call_and_each_has_its_own_outcome() {
    run(0, |host| async move {
        let gate = gate(&host);
        let replayed = registration();
        assert_eq!(register(&gate, &replayed).await.status, 201);
        let of_scope = |scope: &str| registration().claim("scope", scope);
        let tokens = [of_scope("openid accounts"), of_scope("openid payments"), replayed];
        let requests = tokens.iter().zip(["one", "two", "three"]).map(|(token, id)| {
            let body = token.sign(&PKI.tpp.signing).unwrap();
            let mut request = request("application/jwt", Some(&PKI.tpp.transport), &body);
            request.head.headers.push(("x-request-id".to_owned(), id.as_bytes().to_vec()));
            request
        });
        let requests: Vec<Request> = requests.collect();
        let answers = join_all(requests.iter().map(|request| answered(&gate, &Endpoint::Register, request))).await;

        let [alone, together] = asked(&host, "clients").try_into().unwrap();
        assert_eq!(alone.len(), 1);
        let ids: Vec<&str> = together.iter().map(|order| order["request_id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["one", "two", "three"]);
        let [one, two, three] = answers.try_into().unwrap();
        for (answer, scope) in [(&one, "openid accounts"), (&two, "openid payments")] {
            assert_eq!((answer.status, body(answer)["scope"].as_str()), (201, Some(scope)));
        }
        assert_ne!(body(&one)["client_id"], body(&two)["client_id"]);
        assert_refused(&host, &three, 400, "invalid_client_metadata", "request_replayed");
    });
}

/// This happens if Envoy loses the message that wakes the root context.
#[test]
fn lost_work_is_done_by_a_later_request() {
    run(0, |host| async move {
        let (gate, client) = gate_and_client(&host).await;
        host.loses_work.set(true);
        let mut stuck = Box::pin(token(&gate, &client, ""));
        assert!(poll!(stuck.as_mut()).is_pending());
        host.loses_work.set(false);

        let mut early = Box::pin(token(&gate, &client, ""));
        for _ in 0..10 {
            host.sleep(Duration::ZERO).await;
            assert!(poll!(early.as_mut()).is_pending());
        }
        // `store.timeout` is 2 s.
        host.now.set(host.now.get() + 5);
        assert_eq!(token(&gate, &client, "").await.status, 200);
        assert_eq!(groups(&host), [3]);
        for waited in [stuck, early] {
            assert_eq!(waited.now_or_never().unwrap().status, 200);
        }
    });
}

#[test]
fn the_stores_log_can_distinguish_the_requests() {
    run(0, |host| async move {
        let (gate, client) = gate_and_client(&host).await;
        for (id, sent) in [("0b6c7a0e-8a53", Some("0b6c7a0e-8a53")), ("a b", None), ("", None)] {
            let mut request = token_request(&mint::client_assertion(&client, ISSUER), "");
            request.head.headers.push(("x-request-id".to_owned(), id.as_bytes().to_vec()));
            assert_eq!(answered(&gate, &Endpoint::Token, &request).await.status, 200);
            let calls = host.calls.borrow();
            let asked: Value = serde_json::from_slice(&calls.last().unwrap().body).unwrap();
            assert_eq!(asked["tokens"][0].get("request_id").and_then(Value::as_str), sent, "{id}");
        }
    });
}

#[test]
fn the_store_learns_the_trace_of_a_request_if_it_is_well_formed() {
    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    run(0, |host| async move {
        let (gate, client) = gate_and_client(&host).await;
        for (parents, sent) in [
            (&[PARENT][..], Some(PARENT)),
            (&[&PARENT.to_ascii_uppercase()], None),
            (&["00-00000000000000000000000000000000-00f067aa0ba902b7-01"], None),
            (&[PARENT, PARENT], None),
            (&[], None),
        ] {
            let mut request = token_request(&mint::client_assertion(&client, ISSUER), "");
            let headers = parents.iter().map(|parent| ("traceparent".to_owned(), parent.as_bytes().to_vec()));
            request.head.headers.extend(headers);
            assert_eq!(answered(&gate, &Endpoint::Token, &request).await.status, 200);
            let calls = host.calls.borrow();
            let asked: Value = serde_json::from_slice(&calls.last().unwrap().body).unwrap();
            assert_eq!(asked["tokens"][0].get("traceparent").and_then(Value::as_str), sent, "{parents:?}");
        }
    });
}
