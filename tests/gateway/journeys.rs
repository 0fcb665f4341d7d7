//! The five steps of a third party at a bank, and the cases around them.

use std::time::Duration;

use dcr_cli::client::{Answer, HttpVersion};
use dcr_cli::directory::Behaviour;
use dcr_cli::keys::SigningKey;
use dcr_cli::mint;
use dcr_dev::Gateway;
use dcr_policy::profile::Profile;
use serde_json::json;

use crate::PKI;

fn signed(token: &dcr_cli::mint::Token) -> String {
    token.sign(&PKI.tpp.signing).unwrap()
}

#[track_caller]
fn assert_refused(answer: &Answer, status: u16, error: &str, rule: &str) {
    let body = answer.json();
    assert_eq!((answer.status, body["error"].as_str()), (status, Some(error)), "{body}");
    let description = body["error_description"].as_str().unwrap();
    assert!(description.ends_with(&format!("(rule {rule})")), "{description}");
}

async fn token(gateway: &Gateway, client_id: &str) -> String {
    let tpp = gateway.client(Some(&PKI.tpp.transport)).unwrap();
    let answer = tpp.token_by_assertion(&signed(&gateway.client_assertion(client_id)), None).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.json());
    answer.member("access_token").unwrap()
}

#[tokio::test]
async fn a_third_party_registers_gets_a_token_retrieves_updates_and_deletes() {
    let gateway = crate::gateway().start().await.unwrap();
    let tpp = gateway.client(Some(&PKI.tpp.transport)).unwrap();

    let request = gateway.registration_request(&PKI.tpp).unwrap();
    let created = tpp.register(&signed(&request)).await.unwrap();
    assert_eq!(created.status, 201, "{}", created.json());
    assert_eq!(created.header("content-type"), Some("application/json"));
    assert_eq!((created.header("cache-control"), created.header("pragma")), (Some("no-store"), Some("no-cache")));
    let body = created.json();
    let client_id = body["client_id"].as_str().unwrap().to_owned();
    assert!((1..=36).contains(&client_id.len()));
    assert!(body["client_id_issued_at"].is_u64());
    for member in
        ["redirect_uris", "grant_types", "response_types", "scope", "token_endpoint_auth_method", "software_statement"]
    {
        assert_eq!(&body[member], &request.claims()[member], "{member}");
    }
    assert_eq!(body["org_name"], PKI.tpp.software.org_name.as_str(), "the statement's claims come with it");

    let access_token = token(&gateway, &client_id).await;
    let retrieved = tpp.retrieve(&client_id, &access_token).await.unwrap();
    assert_eq!((retrieved.status, &retrieved.json()), (200, &body));

    let update = gateway.registration_request(&PKI.tpp).unwrap().claim("scope", "openid accounts");
    let updated = tpp.update(&client_id, &access_token, &signed(&update)).await.unwrap();
    assert_eq!((updated.status, updated.json()["scope"].as_str()), (200, Some("openid accounts")));
    assert_eq!(updated.json()["client_id_issued_at"], body["client_id_issued_at"]);

    let deleted = tpp.delete(&client_id, &access_token).await.unwrap();
    assert_eq!((deleted.status, deleted.body.len()), (204, 0));
    assert_refused(&tpp.retrieve(&client_id, &access_token).await.unwrap(), 401, "invalid_token", "AT-01");
    let late = tpp.token_by_assertion(&signed(&gateway.client_assertion(&client_id)), None).await.unwrap();
    assert_refused(&late, 401, "invalid_client", "CA-13");

    for method in ["POST", "GET", "PUT", "DELETE"] {
        gateway.access_logged(|line| line["method"] == method && line["details"] == "dcr_allowed").await.unwrap();
    }
}

#[tokio::test]
async fn an_ed25519_key_registers_and_authenticates_under_fapi_2() {
    let gateway = crate::gateway().plugin(json!({ "profile": "fapi2" })).start().await.unwrap();
    let mut tpp = gateway.client(Some(&PKI.tpp.transport)).unwrap();
    let metadata = gateway.client(None).unwrap().discover().await.unwrap();
    tpp.endpoints.registration = metadata.member("registration_endpoint").unwrap();
    assert_eq!(
        metadata.json()["token_endpoint_auth_signing_alg_values_supported"],
        json!(["PS256", "ES256", "EdDSA", "Ed25519"])
    );

    let key = SigningKey::generate_eddsa();
    gateway.directory().publish("/ed25519.jwks", json!({ "keys": [key.public_jwk()] }));
    let key_set = format!("{}/ed25519.jwks", gateway.directory().url());
    let statement = gateway.software_statement(&PKI.tpp).claim("software_jwks_endpoint", key_set);
    let request = gateway
        .registration_request(&PKI.tpp)
        .unwrap()
        .claim("software_statement", statement.sign(&PKI.directory).unwrap())
        .claim("response_types", json!(["code"]))
        .claim("token_endpoint_auth_signing_alg", "EdDSA");
    let created = tpp.register(&request.sign(&key).unwrap()).await.unwrap();
    assert_eq!(created.status, 201, "{}", created.json());

    let client_id = created.member("client_id").unwrap();
    let assertion = gateway.client_assertion(&client_id);
    let issued = tpp.token_by_assertion(&assertion.sign(&key).unwrap(), None).await.unwrap();
    assert_eq!(issued.status, 200, "{}", issued.json());
    let by_another = assertion.sign(&SigningKey::generate_eddsa().with_kid(key.kid())).unwrap();
    let refused = tpp.token_by_assertion(&by_another, None).await.unwrap();
    assert_refused(&refused, 401, "invalid_client", "CA-13");
}

#[tokio::test]
async fn cm_03_a_foreign_client_id_is_as_unknown_as_any_and_ends_the_token() {
    let gateway = crate::gateway().start().await.unwrap();
    let tpp = gateway.client(Some(&PKI.tpp.transport)).unwrap();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let request = signed(&gateway.registration_request(&PKI.tpp).unwrap());
        ids.push(tpp.register(&request).await.unwrap().member("client_id").unwrap());
    }
    let mut answers = Vec::new();
    for path_id in [ids[1].as_str(), "13viXsOYQBR8hOhGas4kLpM77UIa"] {
        let access_token = token(&gateway, &ids[0]).await;
        let answer = tpp.retrieve(path_id, &access_token).await.unwrap();
        assert_refused(&answer, 401, "invalid_token", "CM-03");
        answers.push((answer.body.clone(), answer.header("www-authenticate").map(str::to_owned)));
        let again = tpp.retrieve(&ids[0], &access_token).await.unwrap();
        assert_refused(&again, 401, "invalid_token", "AT-01");
    }
    assert_eq!(answers[0], answers[1], "unknown and foreign cannot be told apart");
}

#[tokio::test]
async fn discovery_is_readable_without_a_certificate() {
    let gateway = crate::gateway().start().await.unwrap();
    let answer = gateway.client(None).unwrap().discover().await.unwrap();
    let metadata = answer.json();
    assert_eq!((answer.status, metadata["issuer"].as_str()), (200, Some(gateway.url())));
    let endpoints = gateway.endpoints();
    assert_eq!(metadata["token_endpoint"], endpoints.token.as_str());
    assert_eq!(metadata["registration_endpoint"], endpoints.registration.as_str());
    assert_eq!(metadata["mtls_endpoint_aliases"]["token_endpoint"], endpoints.token.as_str());
    assert_eq!(metadata["token_endpoint_auth_methods_supported"], json!(["private_key_jwt", "tls_client_auth"]));
    assert_eq!(metadata["token_endpoint_auth_signing_alg_values_supported"], json!(["PS256", "ES256"]));
    assert_eq!(metadata["request_object_signing_alg_values_supported"][0], "PS256");
    assert_eq!(metadata["response_types_supported"], json!(["code", "code id_token"]));
    assert_eq!(metadata["tls_client_certificate_bound_access_tokens"], true);
}

#[tokio::test]
async fn a_registration_survives_the_death_of_the_store() {
    let mut gateway = crate::gateway().start().await.unwrap();
    let tpp = gateway.client(Some(&PKI.tpp.transport)).unwrap();
    let request = signed(&gateway.registration_request(&PKI.tpp).unwrap());
    let client_id = tpp.register(&request).await.unwrap().member("client_id").unwrap();
    gateway.kill_store();
    let refused = tpp.token_by_assertion(&signed(&gateway.client_assertion(&client_id)), None).await.unwrap();
    assert_refused(&refused, 503, "temporarily_unavailable", "GW-01");
    assert!(refused.header("retry-after").is_some());
    gateway.restart_store().await.unwrap();
    let access_token = token(&gateway, &client_id).await;
    assert_eq!(tpp.retrieve(&client_id, &access_token).await.unwrap().status, 200);
    assert_refused(&tpp.register(&request).await.unwrap(), 400, "invalid_client_metadata", "RQ-04");
}

#[tokio::test]
async fn jo_19_nothing_passes_while_the_directory_is_down() {
    let gateway = crate::gateway().start().await.unwrap();
    let tpp = gateway.client(Some(&PKI.tpp.transport)).unwrap();
    let register = async || tpp.register(&signed(&gateway.registration_request(&PKI.tpp).unwrap())).await.unwrap();
    let path = dcr_cli::directory::DIRECTORY_KEY_SET;
    gateway.directory().behave(path, Behaviour { status: Some(500), ..Behaviour::default() });
    let refused = register().await;
    assert_refused(&refused, 503, "temporarily_unavailable", "JO-19");
    assert!(refused.header("retry-after").is_some());
    gateway.directory().behave(path, Behaviour::default());
    // After a failed fetch, the gate does not ask the source again for two seconds.
    let served = async {
        loop {
            let answer = register().await;
            if answer.status != 503 {
                return answer.status;
            }
        }
    };
    assert_eq!(tokio::time::timeout(Duration::from_secs(20), served).await, Ok(201));
}

#[tokio::test]
async fn settings_that_narrow_what_the_profile_allows() {
    let narrow = json!({ "registration": { "single_registration": true } });
    let aging = json!({ "statements": { "max_age": "60s" } });
    let gateway = crate::gateway().plugin(narrow).directory(aging).start().await.unwrap();
    let tpp = gateway.client(Some(&PKI.tpp.transport)).unwrap();
    let register = async |iat: u64| {
        let statement = gateway.software_statement(&PKI.tpp).claim("iat", iat).sign(&PKI.directory).unwrap();
        let request = gateway.registration_request(&PKI.tpp).unwrap().claim("software_statement", statement);
        tpp.register(&signed(&request)).await.unwrap()
    };
    let now = dcr_cli::mint::now();
    assert_refused(&register(now - 120).await, 400, "invalid_software_statement", "SS-06");
    assert_eq!(register(now - 30).await.status, 201);
    assert_refused(&register(now - 30).await, 400, "invalid_client_metadata", "MD-26");
    for reason in ["statement_too_old", "software_already_registered"] {
        gateway
            .access_logged(|line| Gateway::broken_rule(line).is_some_and(|(_, broken)| broken == reason))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn each_profile_serves_where_its_metadata_says() {
    for profile in Profile::names() {
        let in_brazil = profile == "br-openfinance";
        let issuer = if in_brazil { mint::BRAZIL_DIRECTORY_ISSUER } else { mint::DIRECTORY_ISSUER };
        let builder = crate::gateway().plugin(json!({ "profile": profile }));
        let gateway = builder.directory(json!({ "issuer": issuer })).start().await.unwrap();
        let metadata = gateway.client(None).unwrap().discover().await.unwrap();
        let endpoint = |name| metadata.member(name).unwrap();
        let mut tpp = gateway.client(Some(if in_brazil { &PKI.tpp.brcac } else { &PKI.tpp.transport })).unwrap();
        tpp.endpoints.registration = endpoint("registration_endpoint");
        tpp.endpoints.token = endpoint("token_endpoint");

        let types = metadata.json()["response_types_supported"].clone();
        let directory = gateway.directory().url();
        let request = match profile {
            "au-cdr" => {
                let statement =
                    mint::cdr_software_statement(&PKI.tpp.software, &directory).sign(&PKI.directory).unwrap();
                signed(&mint::cdr_registration_request(&PKI.tpp.software, gateway.url(), &statement))
            }
            "br-openfinance" => {
                let software = &PKI.tpp.brazilian_software;
                let statement = mint::brazil_software_statement(software, &directory).sign(&PKI.directory).unwrap();
                mint::brazil_registration_request(software, &statement).to_json()
            }
            "revolut" => signed(
                &gateway
                    .registration_request(&PKI.tpp)
                    .unwrap()
                    .claim("token_endpoint_auth_method", "tls_client_auth")
                    .claim("tls_client_auth_dn", PKI.tpp.transport.subject_dn().unwrap()),
            ),
            _ => signed(&gateway.registration_request(&PKI.tpp).unwrap().claim("response_types", types)),
        };
        let created = tpp.register(&request).await.unwrap();
        assert_eq!(created.status, 201, "{profile}: {}", created.json());
        let client_id = created.member("client_id").unwrap();
        let issued = if profile == "revolut" {
            tpp.token_by_certificate(&client_id, None).await.unwrap()
        } else {
            tpp.token_by_assertion(&signed(&gateway.client_assertion(&client_id)), None).await.unwrap()
        };
        assert_eq!(issued.status, 200, "{profile}: {}", issued.json());
        let of_registration = created.member("registration_access_token");
        assert_eq!(of_registration.is_some(), in_brazil, "{profile}");
        let token = of_registration.unwrap_or_else(|| issued.member("access_token").unwrap());
        let retrieved = tpp.retrieve(&client_id, &token).await.unwrap();
        assert_eq!((retrieved.status, retrieved.json()), (200, created.json()), "{profile}");

        let warned = gateway.envoy_log().contains("widens what the standards allow");
        assert_eq!(warned, !Profile::named(profile).unwrap().dangers().is_empty(), "{profile}");
    }
}

#[tokio::test]
async fn other_grants_go_to_the_authorization_server_where_the_operator_says_so() {
    let gateway = crate::gateway().plugin(json!({ "other_grants": "pass" })).start().await.unwrap();
    let form = [
        ("grant_type", "authorization_code"),
        ("code", "a code"),
        ("redirect_uri", "https://harbour.example/callback"),
    ];
    for version in [HttpVersion::Http1, HttpVersion::Http2] {
        let tpp = gateway.client_speaking(Some(&PKI.tpp.transport), version).unwrap();
        assert_eq!(tpp.token(&form).await.unwrap().member("backend").as_deref(), Some("echo"));
        let seen = gateway.backend().requests().pop().unwrap();
        assert_eq!((&seen["method"], &seen["path"]), (&json!("POST"), &json!("/token")));
        assert_eq!(seen["body_bytes"], json!(form_length(&form)), "whole");
    }
    gateway.access_logged(|line| line["dcr_outcome"] == "passed").await.unwrap();

    let reached = crate::forwarded::reached(&gateway);
    let tpp = gateway.client(Some(&PKI.tpp.transport)).unwrap();
    assert_refused(&gateway.client(None).unwrap().token(&form).await.unwrap(), 401, "invalid_client", "RG-01");
    assert_refused(&tpp.token(&[("code", "a code")]).await.unwrap(), 400, "invalid_request", "CA-20");
    let ours = [("grant_type", "client_credentials"), ("client_id", "unknown")];
    assert_refused(&tpp.token(&ours).await.unwrap(), 401, "invalid_client", "CA-17");
    assert_eq!(crate::forwarded::reached(&gateway), reached, "what is ours or broken does not pass");
}

fn form_length(form: &[(&str, &str)]) -> usize {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish().len()
}
