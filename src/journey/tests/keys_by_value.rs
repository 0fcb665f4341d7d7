//! Software statements that hold the keys of their software, where the dialect of the directory says so.

use dcr_mint::keys::SigningKey;

use super::caches::token;
use super::*;
use crate::host::mock::run;

/// The configuration of a directory whose statements may hold the keys in `software_jwks`.
pub(super) fn by_value(mut config: Value, profile: &str) -> Value {
    config["profile"] = json!({
        "extends": profile,
        "name": "keys-by-value",
        "software_statement": { "claims": { "key_set": "software_jwks" } }
    });
    config
}

fn gate_by_value(host: &MockHost) -> Rc<Gate<MockHost>> {
    gate_with(host, by_value(config(), "uk-obie-3.3"))
}

/// A statement that names no key set and holds this one.
fn holding(keys: Value) -> Token {
    statement().without("software_jwks_endpoint").without("org_jwks_endpoint").claim("software_jwks", keys)
}

fn keys_of(keys: &[&SigningKey]) -> Value {
    json!({ "keys": keys.iter().map(|key| key.public_jwk()).collect::<Vec<_>>() })
}

fn request_with(statement: &Token) -> Token {
    registration().claim("software_statement", statement.sign(&PKI.directory).unwrap())
}

fn own_keys() -> Value {
    keys_of(&[&PKI.tpp.signing])
}

fn may_manage(host: &MockHost, client_id: &str) {
    let own = request("", Some(&PKI.tpp.transport), "");
    let thumbprint = own.head.certificate.presented().unwrap().thumbprint().x5t_s256();
    host.store.borrow_mut().introspection =
        json!({ "active": true, "client_id": client_id, "cnf": { "x5t#S256": thumbprint } });
}

async fn update(gate: &Gate<MockHost>, client_id: &str, token: &Token, key: &SigningKey) -> Answer {
    let put = request("application/jwt", Some(&PKI.tpp.transport), &token.sign(key).unwrap());
    answered(gate, &Endpoint::Update(client_id.to_owned()), &with_token(put, "token")).await
}

async fn token_by(gate: &Gate<MockHost>, client_id: &str, key: &SigningKey) -> Answer {
    let assertion = mint::client_assertion(client_id, ISSUER).sign(key).unwrap();
    let form = format!(
        "grant_type=client_credentials&client_assertion_type={}&client_assertion={assertion}",
        "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"
    );
    let form = request("application/x-www-form-urlencoded", Some(&PKI.tpp.transport), &form);
    answered(gate, &Endpoint::Token, &form).await
}

#[test]
fn ss_13_keys_by_value_verify_requests_and_assertions_without_a_fetch() {
    run(0, |host| async move {
        let gate = gate_by_value(&host);
        let answer = register(&gate, &request_with(&holding(own_keys()))).await;
        let registered = body(&answer);
        assert_eq!((answer.status, &registered["jwks"]), (201, &own_keys()), "{registered}");
        assert_eq!(registered.get("jwks_uri"), None, "RFC 7591 section 2: never both");
        assert_eq!(registered["software_jwks"], own_keys(), "a claim of the statement like any other (RG-06)");
        let id = registered["client_id"].as_str().unwrap();
        let record = host.store.borrow().clients[id]["record"].clone();
        assert_eq!((&record["key_set"], record.get("key_set_uri")), (&own_keys(), None));

        assert_eq!(token(&gate, id, "").await.status, 200);
        assert_eq!(host.calls_to("directory"), 1, "the directory's own key set");

        let thief = token_by(&gate, id, &PKI.other_tpp.signing).await;
        assert_refused(&host, &thief, 401, "invalid_client", "kid_unknown");
        assert!(body(&thief)["error_description"].as_str().unwrap().contains("a statement that holds this one"));
        let as_own = SigningKey::from_pem(&PKI.other_tpp.signing.to_pem()).unwrap().with_kid(PKI.tpp.signing.kid());
        let thief = token_by(&gate, id, &as_own).await;
        assert_refused(&host, &thief, 401, "invalid_client", "assertion_signature");
        assert_eq!(host.calls_to("directory"), 1, "no fetch can bring another key");
    });
}

#[test]
fn ss_13_keys_by_value_need_no_host_of_key_sets() {
    run(0, |host| async move {
        let mut config = by_value(config(), "uk-obie-3.3");
        config["profile"]["software_statement"]["claims"]["key_set_uris"] = json!([]);
        config["directories"][0].as_object_mut().unwrap().remove("software_key_sets");
        let gate = gate_with(&host, config);
        let id = registered(&gate, &request_with(&statement().claim("software_jwks", own_keys()))).await;
        assert_eq!(token(&gate, &id, "").await.status, 200);

        let answer = register(&gate, &registration()).await;
        assert_refused(&host, &answer, 400, "invalid_software_statement", "key_set_by_value");
        assert_eq!(refusal(&host).claim.as_deref(), Some("software_jwks"));
    });
}

#[test]
fn ss_13_a_url_comes_before_keys_by_value() {
    run(0, |host| async move {
        let gate = gate_by_value(&host);
        let both = statement().claim("software_jwks", keys_of(&[&PKI.other_tpp.signing]));
        let answer = register(&gate, &request_with(&both)).await;
        let registered = body(&answer);
        assert_eq!((answer.status, &registered["jwks_uri"]), (201, &both.claims()["software_jwks_endpoint"]));
        assert_eq!(registered.get("jwks"), None);
        assert_eq!(host.calls_to("directory"), 2);
    });
}

#[test]
fn ss_13_only_a_bounded_set_of_public_keys_is_registered() {
    run(0, |host| async move {
        let gate = gate_by_value(&host);
        let mut private = own_keys();
        private["keys"][0]["d"] = json!("AAAA");
        let many = json!({ "keys": vec![PKI.tpp.signing.public_jwk(); 33] });
        for keys in [private, many, json!([]), json!("https://keystore.example/keys.jwks"), json!({ "keys": 1 })] {
            let answer = register(&gate, &request_with(&holding(keys))).await;
            assert_refused(&host, &answer, 400, "invalid_software_statement", "key_set_by_value");
        }
        let answer = register(&gate, &request_with(&holding(json!({ "keys": [] })))).await;
        assert_refused(&host, &answer, 400, "invalid_client_metadata", "kid_unknown");
        let mut of_tls = own_keys();
        of_tls["keys"][0]["use"] = json!("tls");
        let answer = register(&gate, &request_with(&holding(of_tls))).await;
        assert_refused(&host, &answer, 400, "invalid_client_metadata", "key_unfit");
        assert_eq!(host.calls_to("dcr_store"), 0);
    });
}

/// A profile that names no such claim does not believe it.
#[test]
fn ss_13_keys_by_value_count_only_where_the_dialect_names_them() {
    run(0, |host| async move {
        let gate = gate(&host);
        let answer = register(&gate, &request_with(&holding(own_keys()))).await;
        assert_refused(&host, &answer, 400, "invalid_software_statement", "key_set_location");
    });
}

#[test]
fn md_22_a_request_may_repeat_the_keys_and_choose_no_others() {
    run(0, |host| async move {
        let gate = gate_by_value(&host);
        let good = request_with(&holding(own_keys()));
        assert_eq!(register(&gate, &good.clone().claim("jwks", own_keys())).await.status, 201);
        for other in [
            good.clone().claim("jwks", keys_of(&[&PKI.other_tpp.signing])),
            good.clone().claim("jwks", keys_of(&[&PKI.tpp.signing, &PKI.other_tpp.signing])),
            good.claim("jwks_uri", format!("{DIRECTORY}/software.jwks")),
            registration().claim("jwks", own_keys()),
        ] {
            let answer = register(&gate, &other).await;
            assert_refused(&host, &answer, 400, "invalid_client_metadata", "key_set_in_request");
        }
    });
}

#[test]
fn an_update_with_a_new_statement_changes_the_keys() {
    run(0, |host| async move {
        let gate = gate_by_value(&host);
        let id = registered(&gate, &request_with(&holding(own_keys()))).await;
        may_manage(&host, &id);
        assert_eq!(token(&gate, &id, "").await.status, 200);

        // The new key signs nothing before a statement of the directory has it.
        let new_key = SigningKey::generate_es256().with_kid("new");
        let answer = update(&gate, &id, &request_with(&holding(own_keys())), &new_key).await;
        assert_refused(&host, &answer, 400, "invalid_client_metadata", "kid_unknown");

        let rotated = request_with(&holding(keys_of(&[&new_key]))).claim("token_endpoint_auth_signing_alg", "ES256");
        let answer = update(&gate, &id, &rotated, &new_key).await;
        assert_eq!((answer.status, &body(&answer)["jwks"]), (200, &keys_of(&[&new_key])), "{}", body(&answer));
        assert_eq!(token_by(&gate, &id, &new_key).await.status, 200);
        assert_refused(&host, &token(&gate, &id, "").await, 401, "invalid_client", "assertion_alg");

        // A statement with a URL takes their place, and the other way round.
        let answer = update(&gate, &id, &registration(), &PKI.tpp.signing).await;
        let updated = body(&answer);
        assert_eq!((answer.status, updated.get("jwks")), (200, None));
        assert_eq!(updated["jwks_uri"], statement().claims()["software_jwks_endpoint"]);
        assert_refused(&host, &token_by(&gate, &id, &new_key).await, 401, "invalid_client", "assertion_alg");
        assert_eq!(token(&gate, &id, "").await.status, 200);
        let answer = update(&gate, &id, &request_with(&holding(own_keys())), &PKI.tpp.signing).await;
        assert_eq!((answer.status, body(&answer).get("jwks_uri")), (200, None));
    });
}

/// As with a host of key sets that is taken off the list.
#[test]
fn jo_19_keys_by_value_end_when_the_operator_takes_them_no_longer() {
    run(0, |host| async move {
        let id = registered(&gate_by_value(&host), &request_with(&holding(own_keys()))).await;
        let answer = token(&gate(&host), &id, "").await;
        assert_refused(&host, &answer, 503, "temporarily_unavailable", "key_set_unavailable");
    });
}

/// Another gateway changed the keys, and this one still has the old ones in its cache.
#[test]
fn keys_by_value_from_the_cache_are_compared_with_the_store() {
    run(0, |host| async move {
        let gate = gate_by_value(&host);
        let id = registered(&gate, &request_with(&holding(own_keys()))).await;
        assert_eq!(token(&gate, &id, "").await.status, 200);
        {
            let mut store = host.store.borrow_mut();
            let client = store.clients.get_mut(&id).unwrap();
            client["record"]["key_set"] = keys_of(&[&PKI.other_tpp.signing]);
            client["version"] = json!(2);
        }
        assert_eq!(token_by(&gate, &id, &PKI.other_tpp.signing).await.status, 200);
        assert_refused(&host, &token(&gate, &id, "").await, 401, "invalid_client", "kid_unknown");
    });
}

#[test]
fn jo_16_a_record_with_unfit_keys_admits_no_client() {
    run(0, |host| async move {
        let gate = gate_by_value(&host);
        let id = registered(&gate, &request_with(&holding(own_keys()))).await;
        let with_record = |change: &dyn Fn(&mut Value)| {
            change(&mut host.store.borrow_mut().clients.get_mut(&id).unwrap()["record"]);
            host.now.set(host.now.get() + 30);
        };
        with_record(&|record| record["key_set"]["keys"][0]["d"] = json!("AAAA"));
        assert_refused(&host, &token(&gate, &id, "").await, 401, "invalid_client", "key_private");
        with_record(&|record| record["key_set"]["keys"] = json!(1));
        assert_refused(&host, &token(&gate, &id, "").await, 503, "temporarily_unavailable", "store_unavailable");
    });
}

#[test]
fn ss_14_revoked_keys_are_fetched_also_for_keys_by_value() {
    run(0, |host| async move {
        let mut config = by_value(config(), "uk-obie-3.3");
        config["directories"][0]["statements"] = json!({ "refuse_revoked_keys": true });
        let revoked = "keystore.example/revoked.jwks";
        host.key_sets.borrow_mut().insert(revoked.to_owned(), json!({ "keys": [] }));
        let gate = gate_with(&host, config.clone());
        let listing = holding(own_keys()).claim("software_jwks_revoked_endpoint", format!("https://{revoked}"));
        let id = registered(&gate, &request_with(&listing)).await;
        let silent = holding(own_keys()).without("software_jwks_revoked_endpoint");
        let answer = register(&gate, &request_with(&silent)).await;
        assert_refused(&host, &answer, 400, "invalid_software_statement", "revoked_key_set_location");

        host.key_sets.borrow_mut().insert(revoked.to_owned(), own_keys());
        // A gate that has not fetched the set before.
        host.shared.borrow_mut().clear();
        let gate = gate_with(&host, config);
        assert_refused(&host, &token(&gate, &id, "").await, 401, "invalid_client", "key_revoked");
    });
}

#[test]
fn cb_07_the_statement_lists_the_transport_certificate() {
    run(0, |host| async move {
        let mut config = by_value(config(), "uk-obie-3.3");
        config["directories"][0]["statements"] = json!({ "certificate_in_key_set": true });
        let gate = gate_with(&host, config);
        let answer = register(&gate, &request_with(&holding(own_keys()))).await;
        assert_refused(&host, &answer, 400, "invalid_software_statement", "certificate_not_in_key_set");

        let pem = &PKI.tpp.transport.certificate_pem;
        let certificate: String = pem.lines().take_while(|line| !line.contains("END")).skip(1).collect();
        let mut keys = keys_of(&[&PKI.tpp.signing, &PKI.other_tpp.signing]);
        keys["keys"][1]["use"] = json!("tls");
        keys["keys"][1]["x5c"] = json!([certificate]);
        assert_eq!(register(&gate, &request_with(&holding(keys))).await.status, 201);
    });
}
