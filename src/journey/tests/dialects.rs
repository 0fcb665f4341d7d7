//! Directories whose statements have other forms, and further demands of an operator on statements.

use super::*;
use crate::host::mock::run;

const REGISTER: &str = "https://directory.example";

/// A gate of this profile whose second directory is the Brazilian one.
fn gate_of(host: &MockHost, profile: &str) -> Rc<Gate<MockHost>> {
    let mut config = config();
    config["profile"] = json!(profile);
    config["directories"][1] = json!({
        "issuer": mint::BRAZIL_DIRECTORY_ISSUER,
        "jwks_uri": format!("{REGISTER}/brazil.jwks"),
        "cluster": "directory",
        "dialect": "br-openfinance",
        "software_key_sets": [{ "host": "directory.example", "cluster": "directory" }]
    });
    let software = &PKI.tpp.brazilian_software;
    // The Brazilian directory signs with a key of its own.
    let directory = json!({ "keys": [PKI.other_tpp.signing.public_jwk()] });
    host.key_sets.borrow_mut().extend([
        ("directory.example/brazil.jwks".to_owned(), directory),
        (format!("directory.example{}", software.application_key_set_path()), PKI.tpp.application_key_set().unwrap()),
    ]);
    gate_with(host, config)
}

fn brazilian_statement() -> Token {
    mint::brazil_software_statement(&PKI.tpp.brazilian_software, REGISTER)
}

fn signed_in_brazil(statement: &Token) -> String {
    statement.sign(&PKI.other_tpp.signing).unwrap()
}

fn brazilian_request(statement: &str) -> Token {
    mint::brazil_registration_request(&PKI.tpp.brazilian_software, statement)
}

async fn post_json(gate: &Gate<MockHost>, certificate: &Identity, request: &Token) -> Answer {
    let request = super::request("application/json", Some(certificate), &request.to_json());
    answered(gate, &Endpoint::Register, &request).await
}

#[test]
fn one_gateway_reads_statements_of_two_ecosystems() {
    run(0, |host| async move {
        let gate = gate_of(&host, "uk-obie-3.3");
        assert_eq!(register(&gate, &registration()).await.status, 201);
        let software = &PKI.tpp.brazilian_software;
        let of_brazil =
            |statement: &str| mint::registration_request(software, ISSUER, statement).claim("scope", "openid consents");
        let post = async |token: Token, certificate| {
            let body = token.sign(&PKI.tpp.signing).unwrap();
            answered(&gate, &Endpoint::Register, &request("application/jwt", Some(certificate), &body)).await
        };
        let answer = post(of_brazil(&signed_in_brazil(&brazilian_statement())), &PKI.tpp.brcac).await;
        assert_eq!((answer.status, &body(&answer)["scope"]), (201, &json!("openid consents")));

        // The key of a directory verifies only the statements of that directory. The issuer that a statement names does not change this.
        let key_of_the_other = brazilian_statement().sign(&PKI.directory).unwrap();
        let answer = post(of_brazil(&key_of_the_other), &PKI.tpp.brcac).await;
        assert_refused(&host, &answer, 400, "invalid_software_statement", "kid_unknown");
        let forger = dcr_mint::keys::SigningKey::from_pem(&PKI.directory.to_pem()).unwrap();
        let forged = brazilian_statement().sign(&forger.with_kid(PKI.other_tpp.signing.kid())).unwrap();
        let answer = post(of_brazil(&forged), &PKI.tpp.brcac).await;
        assert_refused(&host, &answer, 400, "invalid_software_statement", "statement_signature");

        // Each statement must fit the dialect of its own directory: age, roles, certificates.
        let old = brazilian_statement().claim("iat", host.now.get() - 301);
        let answer = post(of_brazil(&signed_in_brazil(&old)), &PKI.tpp.brcac).await;
        assert_refused(&host, &answer, 400, "invalid_software_statement", "statement_too_old");
        let answer = post(of_brazil(&signed_in_brazil(&brazilian_statement())), &PKI.tpp.transport).await;
        assert_refused(&host, &answer, 400, "invalid_software_statement", "certificate_of_another_software");
    });
}

#[test]
fn rq_06_cm_14_the_certificate_vouches_for_an_unsigned_request() {
    run(0, |host| async move {
        let gate = gate_of(&host, "br-openfinance");
        let statement = signed_in_brazil(&brazilian_statement());
        let answer = post_json(&gate, &PKI.tpp.brcac, &brazilian_request(&statement)).await;
        let registered = body(&answer);
        assert_eq!(answer.status, 201, "{registered}");
        let id = registered["client_id"].as_str().unwrap().to_owned();
        assert_eq!(registered["registration_client_uri"], json!(format!("{ISSUER}/register/{id}")));
        assert_eq!(registered["registration_access_token"], "token-of-the-registration");
        assert!(registered["scope"].as_str().unwrap().starts_with("openid "), "all of the roles: {registered}");
        assert!(host.store.borrow().consumed.is_empty(), "there is nothing to consume");

        for (certificate, token, error, reason) in [
            (
                &PKI.other_tpp.brcac,
                brazilian_request(&statement),
                "invalid_software_statement",
                "certificate_of_another_software",
            ),
            (
                &PKI.tpp.brcac,
                brazilian_request(&statement).without("redirect_uris"),
                "invalid_redirect_uri",
                "redirect_uris_missing",
            ),
            (
                &PKI.tpp.brcac,
                brazilian_request(&statement).claim("grant_types", json!(["authorization_code"])),
                "invalid_client_metadata",
                "response_type_without_implicit",
            ),
            (
                &PKI.tpp.brcac,
                brazilian_request(&statement).payload("[]"),
                "invalid_client_metadata",
                "request_malformed",
            ),
            (
                &PKI.tpp.brcac,
                brazilian_request(&statement).payload(r#"{"a":1,"a":1}"#),
                "invalid_client_metadata",
                "request_malformed",
            ),
        ] {
            assert_refused(&host, &post_json(&gate, certificate, &token).await, 400, error, reason);
        }
        let signed = brazilian_request(&statement).sign(&PKI.tpp.signing).unwrap();
        let answer =
            answered(&gate, &Endpoint::Register, &request("application/json", Some(&PKI.tpp.brcac), &signed)).await;
        assert_refused(&host, &answer, 400, "invalid_client_metadata", "request_malformed");
    });
}

#[test]
fn cm_01_cm_13_only_the_token_of_the_registration_manages_it() {
    run(0, |host| async move {
        let gate = gate_of(&host, "br-openfinance");
        let statement = signed_in_brazil(&brazilian_statement());
        let answer = post_json(&gate, &PKI.tpp.brcac, &brazilian_request(&statement)).await;
        let id = body(&answer)["client_id"].as_str().unwrap().to_owned();
        let get = |certificate| with_token(request("", Some(certificate), ""), "the-token");
        let token_use = |token_use: &str| {
            host.store.borrow_mut().introspection = json!({ "active": true, "client_id": id, "token_use": token_use });
        };

        token_use("registration");
        let answer = answered(&gate, &Endpoint::Retrieve(id.clone()), &get(&PKI.tpp.brcac)).await;
        assert_eq!((answer.status, &body(&answer)["registration_access_token"]), (200, &json!("the-token")));
        let update = brazilian_request(&statement).to_json();
        let put = with_token(request("application/json", Some(&PKI.tpp.brcac), &update), "the-token");
        let answer = answered(&gate, &Endpoint::Update(id.clone()), &put).await;
        assert_eq!((answer.status, &body(&answer)["registration_access_token"]), (200, &json!("the-token")));
        let answer = answered(&gate, &Endpoint::Retrieve(id.clone()), &get(&PKI.other_tpp.brcac)).await;
        assert_refused(&host, &answer, 401, "invalid_token", "certificate_not_of_client");

        // If its own client uses it for another registration, it is revoked. An attacker cannot cause this.
        for (certificate, revoked) in [(&PKI.other_tpp.brcac, 0), (&PKI.tpp.brcac, 1)] {
            let answer = answered(&gate, &Endpoint::Retrieve("another".to_owned()), &get(certificate)).await;
            assert_refused(&host, &answer, 401, "invalid_token", "client_unknown");
            assert_eq!(host.store.borrow().revoked.len(), revoked);
        }

        token_use("access");
        let answer = answered(&gate, &Endpoint::Retrieve(id.clone()), &get(&PKI.tpp.brcac)).await;
        assert_refused(&host, &answer, 401, "invalid_token", "token_of_another_kind");
    });
}

#[test]
fn cm_01_a_registration_access_token_is_not_an_access_token() {
    run(0, |host| async move {
        let gate = gate(&host);
        let id = registered(&gate, &registration()).await;
        host.store.borrow_mut().introspection = json!({ "active": true, "client_id": id, "token_use": "registration" });
        let get = with_token(request("", Some(&PKI.tpp.transport), ""), "token");
        let answer = answered(&gate, &Endpoint::Retrieve(id), &get).await;
        assert_refused(&host, &answer, 401, "invalid_token", "token_of_another_kind");
    });
}

/// A gate of the UK profile with further demands on the statements. Its cache of key sets is empty.
fn demanding(host: &MockHost, demands: Value) -> Rc<Gate<MockHost>> {
    host.shared.borrow_mut().clear();
    let mut config = config();
    config["directories"][0]["statements"] = demands;
    gate_with(host, config)
}

fn request_with(statement: &Token) -> Token {
    registration().claim("software_statement", statement.sign(&PKI.directory).unwrap())
}

#[test]
fn ss_08_a_single_use_statement_is_consumed_with_the_request() {
    run(0, |host| async move {
        let gate = demanding(&host, json!({ "single_use": true, "max_age": "10m" }));
        let token = registration();
        assert_eq!(register(&gate, &token).await.status, 201);
        let consumed = host.store.borrow().consumed.clone();
        let issuers: Vec<&str> = consumed.iter().map(|id| id["issuer"].as_str().unwrap()).collect();
        assert!(issuers[0].starts_with("registration request of ") && issuers[1].starts_with("software statement of "));
        assert!(consumed[1]["expires_at"].as_u64().unwrap() <= mint::now() + 600);
        for (index, error, reason) in [
            (0, "invalid_client_metadata", "request_replayed"),
            (1, "invalid_software_statement", "statement_replayed"),
        ] {
            store_refuses(&host, json!({ "error": "replayed", "replayed": index }));
            assert_refused(&host, &register(&gate, &token).await, 400, error, reason);
        }
    });
}

#[test]
fn ss_04_ss_08_a_dialect_may_do_without_the_id_of_a_statement() {
    run(0, |host| async move {
        let without_id = request_with(&statement().without("jti"));
        let answer = register(&gate(&host), &without_id).await;
        assert_refused(&host, &answer, 400, "invalid_software_statement", "statement_claim_missing");

        let mut config = config();
        config["profile"] = json!({
            "extends": "uk-obie-3.3",
            "name": "another-directory",
            "software_statement": { "required_claims": ["software_id", "iss", "iat"] }
        });
        assert_eq!(register(&gate_with(&host, config.clone()), &without_id).await.status, 201);

        // A statement that is used once is remembered by its id.
        config["directories"][0]["statements"] = json!({ "single_use": true, "max_age": "10m" });
        let answer = register(&gate_with(&host, config), &without_id).await;
        assert_refused(&host, &answer, 400, "invalid_software_statement", "statement_claim_missing");
        assert_eq!(refusal(&host).claim.as_deref(), Some("jti"));
    });
}

#[test]
fn ss_12_a_live_endpoint_refuses_a_statement_for_tests() {
    run(0, |host| async move {
        let gate = demanding(&host, json!({ "modes": ["Live"] }));
        assert_eq!(register(&gate, &request_with(&statement().claim("software_mode", "Live"))).await.status, 201);
        for statement in [statement().claim("software_mode", "Test"), statement().without("software_mode")] {
            let answer = register(&gate, &request_with(&statement)).await;
            assert_refused(&host, &answer, 400, "unapproved_software_statement", "software_mode");
        }
    });
}

#[test]
fn ss_16_uris_for_people_are_on_the_hosts_of_the_redirect_uris() {
    run(0, |host| async move {
        let gate = demanding(&host, json!({ "uris_on_redirect_hosts": true }));
        assert_eq!(register(&gate, &registration()).await.status, 201);
        let elsewhere = statement().claim("software_logo_uri", "https://elsewhere.example/logo.png");
        let answer = register(&gate, &request_with(&elsewhere)).await;
        assert_refused(&host, &answer, 400, "invalid_client_metadata", "uri_on_another_host");
    });
}

#[test]
fn rg_15_an_interaction_id_is_repeated_and_may_be_required() {
    run(0, |host| async move {
        let id = "73cac523-d3ae-2289-b106-330a6218710d";
        let mut config = config();
        config["danger_profile_values"] = json!({ "answers": { "interaction_id": "require" } });
        let gate = gate_with(&host, config);
        let post = async |value: Option<&str>| {
            let body = registration().sign(&PKI.tpp.signing).unwrap();
            let mut request = request("application/jwt", Some(&PKI.tpp.transport), &body);
            request
                .head
                .headers
                .extend(value.map(|value| ("x-fapi-interaction-id".to_owned(), value.as_bytes().to_vec())));
            answered(&gate, &Endpoint::Register, &request).await
        };
        let answer = post(Some(id)).await;
        assert_eq!((answer.status, answer.interaction_id.as_deref()), (201, Some(id)));
        for value in [None, Some("not a UUID"), Some("73cac523-d3ae-2289-b106-330a6218710d\r\nx: y")] {
            let answer = post(value).await;
            assert_refused(&host, &answer, 400, "invalid_request", "interaction_id_missing");
            assert_eq!(answer.interaction_id, None);
        }
    });
}

#[test]
fn ss_14_a_key_that_the_directory_has_revoked_signs_nothing() {
    run(0, |host| async move {
        let revoked = |keys: Value| {
            let set = ("keystore.example/revoked.jwks".to_owned(), json!({ "keys": keys }));
            host.key_sets.borrow_mut().extend([set]);
            demanding(&host, json!({ "refuse_revoked_keys": true }))
        };
        let listing = statement().claim("software_jwks_revoked_endpoint", format!("{DIRECTORY}/revoked.jwks"));
        let id = registered(&revoked(json!([])), &request_with(&listing)).await;

        let mut key = PKI.tpp.signing.public_jwk();
        key["kid"] = json!("under another name");
        let gate = revoked(json!([key]));
        let answer = register(&gate, &request_with(&listing)).await;
        assert_refused(&host, &answer, 400, "invalid_client_metadata", "key_revoked");
        let form = format!(
            "grant_type=client_credentials&client_assertion_type={}&client_assertion={}",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".replace(':', "%3A"),
            mint::client_assertion(&id, ISSUER).sign(&PKI.tpp.signing).unwrap()
        );
        let form = request("application/x-www-form-urlencoded", Some(&PKI.tpp.transport), &form);
        assert_refused(&host, &answered(&gate, &Endpoint::Token, &form).await, 401, "invalid_client", "key_revoked");

        for elsewhere in [json!("https://thief.example/none.jwks"), json!(null)] {
            let answer =
                register(&gate, &request_with(&statement().claim("software_jwks_revoked_endpoint", elsewhere))).await;
            assert_refused(&host, &answer, 400, "invalid_software_statement", "revoked_key_set_location");
        }
        host.key_sets.borrow_mut().remove("keystore.example/revoked.jwks");
        let gate = demanding(&host, json!({ "refuse_revoked_keys": true }));
        let answer = register(&gate, &request_with(&listing)).await;
        assert_refused(&host, &answer, 503, "temporarily_unavailable", "key_set_unavailable");
    });
}

#[test]
fn cb_07_the_software_has_published_the_transport_certificate() {
    run(0, |host| async move {
        let gate = demanding(&host, json!({ "certificate_in_key_set": true }));
        let answer = register(&gate, &registration()).await;
        assert_refused(&host, &answer, 400, "invalid_software_statement", "certificate_not_in_key_set");

        let pem = &PKI.tpp.transport.certificate_pem;
        let certificate: String = pem.lines().take_while(|line| !line.contains("END")).skip(1).collect();
        for (purpose, status) in [("tls", 201), ("sig", 400)] {
            let mut transport = PKI.other_tpp.signing.public_jwk();
            transport["use"] = json!(purpose);
            transport["x5c"] = json!([certificate]);
            let keys = json!({ "keys": [PKI.tpp.signing.public_jwk(), transport] });
            let gate = demanding(&host, json!({ "certificate_in_key_set": true }));
            host.key_sets.borrow_mut().insert(format!("keystore.example{}", PKI.tpp.software.key_set_path()), keys);
            assert_eq!(register(&gate, &registration()).await.status, status, "{purpose}");
        }
    });
}

#[test]
fn cb_06_a_certificate_without_psd2_roles_grants_none() {
    run(0, |host| async move {
        let gate = demanding(&host, json!({ "certificate_psd2_roles": true }));
        let answer = register(&gate, &registration()).await;
        assert_refused(&host, &answer, 400, "unapproved_software_statement", "certificate_lacks_role");
        let without_roles_of_psd2 = statement().claim("software_roles", json!(["something-else"]));
        let answer = register(&gate, &request_with(&without_roles_of_psd2).claim("scope", "openid")).await;
        assert_eq!(answer.status, 201);
    });
}
