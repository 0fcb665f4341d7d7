//! Shadow mode, for the whole gate or for single rules, and rules that are off.

use std::pin::pin;

use dcr_mint::keys::SigningKey;
use dcr_policy::catalogue::{RULES, Waivability};
use futures_util::future::{Either, select};

use super::*;
use crate::host::Host;
use crate::host::mock::run;
use crate::journey::SHADOW_WAIT;

fn with(member: &str, value: Value) -> Value {
    let mut config = config();
    config[member] = value;
    config
}

/// The reasons of the refusals in shadow mode, in order.
fn in_shadow(host: &MockHost) -> Vec<&'static str> {
    let of = |event: &Event| match event {
        Event::ShadowDenied { refusals, .. } => refusals.iter().map(|refusal| refusal.rule.reason).collect(),
        _ => Vec::new(),
    };
    host.events.borrow().iter().flat_map(of).collect()
}

async fn post(gate: &Gate<MockHost>, token: &Token) -> Decision {
    let body = token.sign(&PKI.tpp.signing).unwrap();
    gate.serve(&Endpoint::Register, &request("application/jwt", Some(&PKI.tpp.transport), &body)).await
}

#[test]
fn a_gate_in_shadow_mode_passes_every_request_and_writes_nothing() {
    run(0, |host| async move {
        let gate = gate_with(&host, with("mode", json!("shadow")));
        let broken =
            registration().claim("scope", "openid payments fundsconfirmations").claim("aud", "https://b.example");
        for (token, reasons) in [
            (registration(), &[][..]),
            (broken, &["request_audience", "scope_beyond_roles"]),
            (registration().without("software_statement"), &["statement_missing"]),
            (registration().claim("exp", 1), &["expired"]),
        ] {
            host.events.borrow_mut().clear();
            assert_eq!(post(&gate, &token).await, Decision::hand_on_unchanged());
            assert_eq!(in_shadow(&host), reasons);
            assert_eq!(host.events.borrow().last(), Some(&Event::Passed { endpoint: "register" }));
        }
        for endpoint in [Endpoint::Discovery, Endpoint::Retrieve("x".into()), Endpoint::Delete("x".into())] {
            assert_eq!(gate.serve(&endpoint, &request("", None, "")).await, Decision::hand_on_unchanged());
        }
        assert_eq!(host.calls_to("dcr_store"), 0);
        assert!(
            gate.refuse("register", Refusal::by(&dcr_policy::catalogue::RG_14), None) == Decision::hand_on_unchanged()
        );
    });
}

#[test]
fn a_gate_in_shadow_mode_waits_a_second_for_what_it_needs_and_then_passes_the_request() {
    run(0, |host| async move {
        let gate = gate_with(&host, with("mode", json!("shadow")));
        let (_sender, never) = Body::channel();
        let mut stuck = request("application/jwt", Some(&PKI.tpp.transport), "");
        stuck.body = never;
        assert_eq!(gate.serve(&Endpoint::Register, &stuck).await, Decision::hand_on_unchanged());
        assert_eq!(*host.events.borrow(), [Event::ShadowTimedOut, Event::Passed { endpoint: "register" }]);

        let mut document = with("mode", json!("shadow"));
        document["danger_rules"] = json!({ "MD-01": "enforce" });
        let gate = gate_with(&host, document);
        let (mut waits, enough) = (pin!(gate.serve(&Endpoint::Register, &stuck)), host.sleep(SHADOW_WAIT * 10));
        assert!(matches!(select(&mut waits, pin!(enough)).await, Either::Right(_)), "no slow caller gets past MD-01");
    });
}

#[test]
fn a_gate_in_shadow_mode_judges_token_requests_of_clients_it_knows() {
    run(0, |host| async move {
        let id = registered(&gate(&host), &registration()).await;
        let gate = gate_with(&host, with("mode", json!("shadow")));
        let post = async |assertion: Token| {
            let form = format!(
                "grant_type=client_credentials&client_assertion_type={}&client_assertion={}",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".replace(':', "%3A"),
                assertion.sign(&PKI.tpp.signing).unwrap()
            );
            let request = request("application/x-www-form-urlencoded", Some(&PKI.tpp.transport), &form);
            host.events.borrow_mut().clear();
            assert_eq!(gate.serve(&Endpoint::Token, &request).await, Decision::hand_on_unchanged());
            in_shadow(&host)
        };
        assert!(post(mint::client_assertion(&id, ISSUER)).await.is_empty());
        assert!(post(mint::client_assertion("unknown", ISSUER)).await.is_empty(), "the upstream may know it");
        assert_eq!(post(mint::client_assertion(&id, "https://b.example")).await, ["assertion_audience"]);
        assert!(!host.calls.borrow().iter().any(|call| call.path.ends_with("/tokens")), "no token was issued");
    });
}

#[test]
fn one_rule_is_in_shadow_mode_or_off_and_the_others_are_enforced() {
    run(0, |host| async move {
        let gate =
            gate_with(&host, with("danger_rules", json!({ "RQ-03": "shadow", "MD-15": false, "MD-12": "enforce" })));
        assert_eq!(gate.config.dangers, ["danger_rules.MD-15: off", "danger_rules.RQ-03: shadow"]);
        let token =
            registration().claim("scope", "openid payments fundsconfirmations").claim("aud", "https://b.example");
        let answer = register(&gate, &token).await;
        assert_eq!((answer.status, &body(&answer)["scope"]), (201, &json!("openid payments fundsconfirmations")));
        assert_eq!(in_shadow(&host), ["request_audience"]);
        let answer = register(&gate, &token.claim("grant_types", json!(["password"]))).await;
        assert_refused(&host, &answer, 400, "invalid_client_metadata", "grant_types");
    });
}

#[test]
fn one_rule_is_enforced_by_a_gate_in_shadow_mode() {
    run(0, |host| async move {
        let mut config = with("mode", json!("shadow"));
        config["danger_rules"] = json!({ "MD-01": "enforce", "SS-02": "enforce" });
        let gate = gate_with(&host, config);
        let beyond = registration().claim("redirect_uris", json!(["https://thief.example/callback"]));
        assert_refused(
            &host,
            &register(&gate, &beyond).await,
            400,
            "invalid_redirect_uri",
            "redirect_uri_not_in_statement",
        );
        let forger = SigningKey::from_pem(&PKI.tpp.signing.to_pem()).unwrap().with_kid(PKI.directory.kid());
        let forged = statement().sign(&forger).unwrap();
        let answer = register(&gate, &registration().claim("software_statement", forged)).await;
        assert_refused(&host, &answer, 400, "invalid_software_statement", "statement_signature");
        assert_eq!(post(&gate, &registration().claim("scope", "unheard-of")).await, Decision::hand_on_unchanged());
    });
}

/// The store does not accept an id that ends in the past, or more than 366 days in the future.
#[test]
fn rq_04_ss_08_an_id_is_remembered_for_a_year_if_its_end_is_set_aside() {
    run(0, |host| async move {
        let mut config = with("danger_rules", json!({ "JW-06": "off", "SS-05": "shadow" }));
        config["directories"][0]["statements"] = json!({ "single_use": true, "max_age": "1h" });
        let gate = gate_with(&host, config);
        let (now, year) = (host.now.get(), 365 * 24 * 60 * 60);
        let statement = statement().claim("exp", now - 1).sign(&PKI.directory).unwrap();
        let request = registration().claim("software_statement", statement).claim("exp", now + 10 * year);
        registered(&gate, &request).await;
        let consumed = host.store.borrow().consumed.clone();
        assert_eq!([&consumed[0]["expires_at"], &consumed[1]["expires_at"]], [now + year; 2]);
    });
}

#[test]
fn a_rule_that_establishes_the_caller_is_never_set_aside() {
    for rule in RULES {
        let waivable = RULES.iter().any(|row| row.id == rule.id && row.waivability == Waivability::Waivable);
        for mode in ["off", "shadow"] {
            let read = Config::from_value(with("danger_rules", json!({ rule.id: mode })));
            assert_eq!(read.is_ok(), waivable, "{} {mode}", rule.id);
        }
    }
    for room in ["GW", "JO", "CA", "AT", "DN"] {
        assert!(
            !RULES.iter().any(|rule| rule.id.starts_with(room) && rule.waivability == Waivability::Waivable),
            "{room}"
        );
    }
}
