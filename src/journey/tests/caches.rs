//! The caches: the statements whose signature verified, and the clients of the token endpoint.

use dcr_mint::keys::SigningKey;

use super::*;
use crate::host::mock::run;
use crate::host::{CacheEvent, CacheName};

const FORM: &str = "application/x-www-form-urlencoded";
const TYPE: &str = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
const DIRECTORY_KEYS: &str = "keystore.example/openbanking.jwks";

fn checks(host: &MockHost) -> usize {
    host.events.borrow().iter().filter(|event| matches!(event, Event::SignatureCheck(_))).count()
}

fn count(host: &MockHost, cache: CacheName, event: CacheEvent) -> usize {
    host.events.borrow().iter().filter(|recorded| **recorded == Event::Cache(cache, event)).count()
}

fn reads(host: &MockHost) -> usize {
    host.calls.borrow().iter().filter(|call| call.method == "GET" && call.path.starts_with("/v1/clients/")).count()
}

pub(super) fn token_request(assertion: &Token, more: &str) -> Request {
    let assertion = assertion.sign(&PKI.tpp.signing).unwrap();
    let body = format!("grant_type=client_credentials&client_assertion_type={TYPE}&client_assertion={assertion}{more}");
    request(FORM, Some(&PKI.tpp.transport), &body)
}

pub(super) async fn token(gate: &Gate<MockHost>, client_id: &str, more: &str) -> Answer {
    answered(gate, &Endpoint::Token, &token_request(&mint::client_assertion(client_id, ISSUER), more)).await
}

#[test]
fn a_statements_signature_is_checked_once_and_its_claims_every_time() {
    run(0, |host| async move {
        let gate = gate(&host);
        let statement = signed_statement();
        let with_statement = || mint::registration_request(&PKI.tpp.software, ISSUER, &statement);
        for (requests, signatures) in [(1, 2), (2, 3), (3, 4)] {
            assert_eq!(register(&gate, &with_statement()).await.status, 201);
            assert_eq!(checks(&host), signatures, "after {requests}");
        }
        let counted = |event| count(&host, CacheName::Statements, event);
        assert_eq!((counted(CacheEvent::Hit), counted(CacheEvent::Miss)), (2, 1));

        let other = super::statement().claim("org_status", "Withdrawn").sign(&PKI.directory).unwrap();
        for _ in 0..2 {
            let answer = register(&gate, &with_statement().claim("software_statement", other.clone())).await;
            assert_refused(&host, &answer, 400, "unapproved_software_statement", "organisation_not_active");
        }
        assert_eq!(counted(CacheEvent::Hit), 3);
    });
}

#[test]
fn ss_05_a_statement_with_a_verified_signature_still_expires() {
    run(0, |host| async move {
        let gate = gate(&host);
        let expires = host.now.get() + 60;
        let statement = super::statement().claim("exp", expires).sign(&PKI.directory).unwrap();
        let request = mint::registration_request(&PKI.tpp.software, ISSUER, &statement);
        assert_eq!(register(&gate, &request).await.status, 201);
        host.now.set(expires);
        let answer = register(&gate, &request.claim("exp", expires + 60).claim("iat", expires)).await;
        assert_refused(&host, &answer, 400, "invalid_software_statement", "statement_expired");
    });
}

#[test]
fn a_verified_signature_counts_only_under_the_same_key_set() {
    run(0, |host| async move {
        let mut config = config();
        config["jwks"] = json!({ "max_age": "60s" });
        let gate = gate_with(&host, config);
        let statement = signed_statement();
        let again = || mint::registration_request(&PKI.tpp.software, ISSUER, &statement);
        assert_eq!(register(&gate, &again()).await.status, 201);
        assert_eq!(register(&gate, &again()).await.status, 201);
        assert_eq!(checks(&host), 3);

        // The directory replaces its key by another one with the same kid, as after a compromise.
        let other = SigningKey::generate_es256().with_kid(PKI.directory.kid());
        let keys = json!({ "keys": [other.public_jwk()] });
        let good_keys = host.key_sets.borrow_mut().insert(DIRECTORY_KEYS.to_owned(), keys).unwrap();
        host.now.set(host.now.get() + 61);
        let answer = register(&gate, &again()).await;
        assert_eq!(answer.status, 400, "{}", body(&answer));

        // With one key more it is another key set, so the signature is checked again.
        let mut more_keys = good_keys;
        more_keys["keys"].as_array_mut().unwrap().push(other.public_jwk());
        host.key_sets.borrow_mut().insert(DIRECTORY_KEYS.to_owned(), more_keys);
        host.now.set(host.now.get() + 61);
        let before = checks(&host);
        assert_eq!(register(&gate, &again()).await.status, 201);
        assert_eq!(checks(&host), before + 2);

        host.key_sets.borrow_mut().remove(DIRECTORY_KEYS);
        host.now.set(host.now.get() + 61);
        let answer = register(&gate, &again()).await;
        assert_refused(&host, &answer, 503, "temporarily_unavailable", "key_set_unavailable");
    });
}

#[test]
fn a_forged_statement_is_checked_every_time() {
    run(0, |host| async move {
        let gate = gate(&host);
        let thief = SigningKey::from_pem(&PKI.other_tpp.signing.to_pem()).unwrap().with_kid(PKI.directory.kid());
        let forged = super::statement().sign(&thief).unwrap();
        for checked in 1..=3 {
            let answer = register(&gate, &registration().claim("software_statement", forged.clone())).await;
            assert_refused(&host, &answer, 400, "invalid_software_statement", "statement_signature");
            assert_eq!(checks(&host), checked);
        }
        // The good signature of the same claims does not make the forged one good.
        let good = super::statement();
        assert_eq!(
            register(&gate, &registration().claim("software_statement", good.sign(&PKI.directory).unwrap()))
                .await
                .status,
            201
        );
        let answer = register(&gate, &registration().claim("software_statement", good.sign(&thief).unwrap())).await;
        assert_refused(&host, &answer, 400, "invalid_software_statement", "statement_signature");
    });
}

#[test]
fn verified_signatures_are_limited_in_number_and_may_be_switched_off() {
    for (statements, checked, evicted) in [(0, 8, 0), (1, 8, 3), (2, 6, 0)] {
        run(0, move |host| async move {
            let mut config = config();
            config["cache"] = json!({ "statements": statements });
            let gate = gate_with(&host, config);
            let (one, two) = (signed_statement(), signed_statement());
            for statement in [&one, &two, &one, &two] {
                let request = mint::registration_request(&PKI.tpp.software, ISSUER, statement);
                assert_eq!(register(&gate, &request).await.status, 201);
            }
            assert_eq!(checks(&host), checked, "{statements}");
            assert_eq!(count(&host, CacheName::Statements, CacheEvent::Evicted), evicted, "{statements}");
        });
    }
}

#[test]
fn ss_05_ss_06_an_old_statement_costs_neither_a_fetch_nor_a_signature_check() {
    run(0, |host| async move {
        let mut config = config();
        config["directories"][0]["statements"] = json!({ "max_age": "1h" });
        let gate = gate_with(&host, config);
        let now = host.now.get();
        for (claim, value, reason) in [("exp", now, "statement_expired"), ("iat", now - 3601, "statement_too_old")] {
            let statement = super::statement().claim(claim, value).sign(&PKI.other_tpp.signing).unwrap();
            let answer = register(&gate, &registration().claim("software_statement", statement)).await;
            assert_eq!(refusal(&host).rule.reason, reason, "{}", body(&answer));
        }
        assert_eq!((checks(&host), host.calls.borrow().len()), (0, 0));
    });
}

#[test]
fn ss_05_in_shadow_mode_is_neither_refused_early_nor_counted_twice() {
    run(0, |host| async move {
        let mut config = config();
        config["danger_rules"] = json!({ "SS-05": "shadow" });
        let gate = gate_with(&host, config);
        let statement = super::statement().claim("exp", host.now.get()).sign(&PKI.directory).unwrap();
        let answer = register(&gate, &registration().claim("software_statement", statement)).await;
        assert_eq!(answer.status, 201, "{}", body(&answer));
        let in_shadow = host.events.borrow().iter().find_map(|event| match event {
            Event::ShadowDenied { refusals, .. } => {
                Some(refusals.iter().map(|refusal| refusal.rule.id).collect::<Vec<_>>())
            }
            _ => None,
        });
        assert_eq!(in_shadow.unwrap(), ["SS-05"]);
    });
}

#[test]
fn a_cached_client_is_not_read_again_before_it_is_too_old() {
    run(0, |host| async move {
        let gate = gate(&host);
        let id = registered(&gate, &registration()).await;
        let start = host.now.get();
        for (later, expected) in [(0, 1), (4, 1), (5, 2), (9, 2), (10, 3)] {
            host.now.set(start + later);
            assert_eq!(token(&gate, &id, "").await.status, 200);
            assert_eq!(reads(&host), expected, "after {later} s");
        }
    });
}

#[test]
fn clients_can_be_read_every_time() {
    run(0, |host| async move {
        let mut config = config();
        config["cache"] = json!({ "client_max_age": "0s" });
        let gate = gate_with(&host, config);
        let id = registered(&gate, &registration()).await;
        for expected in 1..=3 {
            assert_eq!(token(&gate, &id, "").await.status, 200);
            assert_eq!(reads(&host), expected);
        }
    });
}

/// Another gateway updates the client.
fn updated_elsewhere(host: &MockHost, change: impl Fn(&mut Value)) {
    for client in host.store.borrow_mut().clients.values_mut() {
        client["version"] = json!(client["version"].as_u64().unwrap() + 1);
        change(&mut client["record"]);
    }
}

#[test]
fn an_old_record_permits_nothing() {
    run(0, |host| async move {
        let gate = gate(&host);
        let id = registered(&gate, &registration()).await;
        assert_eq!(token(&gate, &id, "&scope=accounts").await.status, 200);

        updated_elsewhere(&host, |record| record["metadata"]["scope"] = json!("openid payments"));
        let answer = token(&gate, &id, "&scope=accounts").await;
        assert_refused(&host, &answer, 400, "invalid_scope", "scope_not_registered");

        assert_eq!(token(&gate, &id, "&scope=payments").await.status, 200);
        updated_elsewhere(&host, |record| record["key_set_uri"] = json!("https://keystore.example/elsewhere.jwks"));
        let answer = token(&gate, &id, "").await;
        assert_eq!(answer.status, 503, "the new key set is fetched, and it does not exist: {}", body(&answer));

        host.store.borrow_mut().clients.clear();
        let answer = token(&gate, &id, "").await;
        assert_refused(&host, &answer, 401, "invalid_client", "assertion_client_unknown");
    });
}

#[test]
fn an_old_record_leads_to_no_refusal() {
    run(0, |host| async move {
        let gate = gate(&host);
        let id = registered(&gate, &registration().claim("scope", "openid accounts")).await;
        assert_eq!(token(&gate, &id, "").await.status, 200);
        updated_elsewhere(&host, |record| record["metadata"]["scope"] = json!("openid accounts payments"));
        let answer = token(&gate, &id, "&scope=payments").await;
        assert_eq!(answer.status, 200, "{}", body(&answer));

        let before = (reads(&host), checks(&host));
        let answer = token(&gate, &id, "&scope=fundsconfirmations").await;
        assert_refused(&host, &answer, 400, "invalid_scope", "scope_not_registered");
        assert_eq!(
            (reads(&host), checks(&host)),
            (before.0 + 1, before.1 + 1),
            "an unchanged record is not judged twice"
        );
    });
}

#[test]
fn own_updates_and_deletions_count_at_once() {
    run(0, |host| async move {
        let gate = gate(&host);
        let id = registered(&gate, &registration()).await;
        let certificate = request("", Some(&PKI.tpp.transport), "").head.certificate.presented().cloned().unwrap();
        host.store.borrow_mut().introspection =
            json!({ "active": true, "client_id": id, "cnf": { "x5t#S256": certificate.thumbprint().x5t_s256() } });
        let manage = |token: Option<&Token>| {
            let body = token.map_or(String::new(), |token| token.sign(&PKI.tpp.signing).unwrap());
            with_token(request("application/jwt", Some(&PKI.tpp.transport), &body), "token")
        };
        assert_eq!(token(&gate, &id, "").await.status, 200);
        let update = registration().claim("client_id", id.clone());
        let answer = answered(&gate, &Endpoint::Update(id.clone()), &manage(Some(&update))).await;
        assert_eq!(answer.status, 200, "{}", body(&answer));
        let before = reads(&host);
        assert_eq!(token(&gate, &id, "").await.status, 200);
        assert_eq!(reads(&host), before + 1);

        let answer = answered(&gate, &Endpoint::Delete(id.clone()), &manage(None)).await;
        assert_eq!(answer.status, 204);
        let before = reads(&host);
        let answer = token(&gate, &id, "").await;
        assert_refused(&host, &answer, 401, "invalid_client", "assertion_client_unknown");
        assert_eq!(reads(&host), before + 1);
    });
}
