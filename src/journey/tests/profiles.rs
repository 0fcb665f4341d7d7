//! The differences between the profiles.

use super::*;
use crate::host::mock::run;

fn of_profile(name: &str) -> Value {
    let mut config = config();
    config["profile"] = json!(name);
    config
}

#[test]
fn md_19_md_06_uk_3_4_knows_native_applications_and_long_names() {
    run(0, |host| async move {
        let gate = gate_with(&host, of_profile("uk-obie-3.4"));
        assert_eq!(register(&gate, &registration().claim("application_type", "native")).await.status, 201);
        let answer = register(&gate, &registration().claim("application_type", "mobile")).await;
        assert_refused(&host, &answer, 400, "invalid_client_metadata", "application_type");
        let subject = PKI.tpp.transport.subject_dn().unwrap();
        assert_eq!(register(&gate, &registration().for_tls_client_auth(&subject)).await.status, 201);
        let oid = subject.replacen("CN=", "2.5.4.3=", 1);
        assert_eq!(register(&gate, &registration().for_tls_client_auth(&oid)).await.status, 201);
        let mut names: Vec<&str> = subject.split(',').collect();
        names.reverse();
        let answer = register(&gate, &registration().for_tls_client_auth(&names.join(","))).await;
        assert_refused(&host, &answer, 400, "invalid_client_metadata", "subject_dn_order");
        let grants = json!(["client_credentials", "authorization_code", "urn:ietf:params:oauth:grant-type:jwt-bearer"]);
        assert_eq!(register(&gate, &registration().claim("grant_types", grants)).await.status, 201);
    });
}

#[test]
fn rg_05_md_01_wso2_has_a_date_in_a_string_and_redirect_uris_of_its_own() {
    run(0, |host| async move {
        let gate = gate_with(&host, of_profile("wso2-accelerator-3"));
        assert!(!gate.config.dangers.is_empty(), "the gate warns of it at start");
        let beyond = json!(["https://www.mockcompany.com.au/redirects/redirect1"]);
        let answer = register(&gate, &registration().claim("redirect_uris", beyond.clone())).await;
        assert_eq!((answer.status, &body(&answer)["redirect_uris"]), (201, &beyond));
        assert_eq!(body(&answer)["client_id_issued_at"], "1700000000");
        let answer = register(&gate, &registration().claim("redirect_uris", json!(["http://a.example"]))).await;
        assert_refused(&host, &answer, 400, "invalid_redirect_uri", "redirect_uri_unacceptable");
    });
}

#[test]
fn rq_04_wso2_forgets_the_id_of_a_long_lived_request_after_a_year() {
    run(0, |host| async move {
        let gate = gate_with(&host, of_profile("wso2-accelerator-3"));
        let year = 365 * 24 * 60 * 60;
        assert_eq!(register(&gate, &registration().claim("exp", mint::now() + 10 * year)).await.status, 201);
        assert_eq!(host.store.borrow().consumed[0]["expires_at"], json!(host.now.get() + year));
    });
}

#[test]
fn ca_07_fapi_2_accepts_only_the_issuer_as_a_string() {
    run(0, |host| async move {
        let gate = gate_with(&host, of_profile("fapi2"));
        let id = registered(&gate, &registration().without("response_types")).await;
        for (audience, status) in
            [(json!(ISSUER), 200), (json!([ISSUER]), 401), (json!(format!("{ISSUER}/token")), 401)]
        {
            let assertion =
                mint::client_assertion(&id, ISSUER).claim("aud", audience.clone()).sign(&PKI.tpp.signing).unwrap();
            let form = format!(
                "grant_type=client_credentials&client_assertion_type={}&client_assertion={assertion}",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".replace(':', "%3A")
            );
            let request = request("application/x-www-form-urlencoded", Some(&PKI.tpp.transport), &form);
            let answer = answered(&gate, &Endpoint::Token, &request).await;
            assert_eq!(answer.status, status, "{audience}");
            if status == 401 {
                let reason = if audience.is_array() { "assertion_audience_array" } else { "assertion_audience" };
                assert_refused(&host, &answer, 401, "invalid_client", reason);
            }
        }
    });
}

fn cdr_statement() -> Token {
    mint::cdr_software_statement(&PKI.tpp.software, DIRECTORY)
}

fn cdr_request(statement: &Token) -> Token {
    mint::cdr_registration_request(&PKI.tpp.software, ISSUER, &statement.sign(&PKI.directory).unwrap())
}

#[test]
fn md_17_cb_10_au_takes_scopes_from_the_statement_and_accepts_any_certificate() {
    run(0, |host| async move {
        let gate = gate_with(&host, of_profile("au-cdr"));
        let statement = cdr_statement().claim("scope", "openid unheard:of cdr:registration");
        let body = cdr_request(&statement).sign(&PKI.tpp.signing).unwrap();
        let answer =
            answered(&gate, &Endpoint::Register, &request("application/jwt", Some(&PKI.other_tpp.transport), &body))
                .await;
        let registered = super::body(&answer);
        assert_eq!(answer.status, 201, "{registered}");
        assert_eq!(registered["scope"], "openid cdr:registration", "unknown scopes are ignored");
        assert_eq!(
            (&registered["application_type"], &registered["client_name"]),
            (&json!("web"), &json!(PKI.tpp.software.client_name))
        );
        let asked: Value = serde_json::from_slice(&host.calls.borrow().last().unwrap().body).unwrap();
        assert_eq!(asked["clients"][0]["single_registration"], true);
    });
}

#[test]
fn au_differs_in_what_it_demands_and_in_how_it_answers() {
    run(0, |host| async move {
        let gate = gate_with(&host, of_profile("au-cdr"));
        for (token, error, reason) in [
            (cdr_request(&cdr_statement().without("exp")), "invalid_software_statement", "statement_claim_missing"),
            (
                cdr_request(&cdr_statement().without("revocation_uri")),
                "invalid_software_statement",
                "statement_claim_missing",
            ),
            (
                cdr_request(&cdr_statement().claim("exp", host.now.get())),
                "invalid_software_statement",
                "statement_expired",
            ),
            (
                cdr_request(&cdr_statement()).without("software_statement"),
                "invalid_software_statement",
                "statement_missing",
            ),
            (
                cdr_request(&cdr_statement()).claim("token_endpoint_auth_method", "tls_client_auth"),
                "invalid_client_metadata",
                "auth_method",
            ),
            (
                cdr_request(&cdr_statement()).claim("response_types", json!(["code id_token"])),
                "invalid_client_metadata",
                "response_types",
            ),
            (
                cdr_request(&cdr_statement()).without("authorization_signed_response_alg"),
                "invalid_client_metadata",
                "signing_alg_metadata",
            ),
            (
                cdr_request(&cdr_statement()).claim("scope", "bank:payees:read"),
                "invalid_client_metadata",
                "scope_beyond_roles",
            ),
        ] {
            let answer = register(&gate, &token).await;
            assert_refused(&host, &answer, 400, error, reason);
        }
        host.instead(|call| {
            (call.cluster == "dcr_store")
                .then(|| Ok(crate::host::mock::answer(409, json!({ "error": "duplicate_software" }))))
        });
        let answer = register(&gate, &cdr_request(&cdr_statement())).await;
        assert_refused(&host, &answer, 400, "invalid_software_statement", "software_already_registered");
    });
}

#[test]
fn at_07_au_requires_a_scope_for_managing_a_registration() {
    run(0, |host| async move {
        let gate = gate_with(&host, of_profile("au-cdr"));
        let id = registered(&gate, &cdr_request(&cdr_statement())).await;
        let get = || with_token(request("", Some(&PKI.tpp.transport), ""), "token");
        let thumbprint = get().head.certificate.presented().unwrap().thumbprint().x5t_s256();
        for (scope, status) in [("bank:accounts.basic:read", 403), ("openid cdr:registration", 200)] {
            host.store.borrow_mut().introspection =
                json!({ "active": true, "client_id": id, "scope": scope, "cnf": { "x5t#S256": thumbprint } });
            let answer = answered(&gate, &Endpoint::Retrieve(id.clone()), &get()).await;
            assert_eq!(answer.status, status, "{scope}");
            if status == 403 {
                assert_refused(&host, &answer, 403, "insufficient_scope", "scope_insufficient");
                assert!(answer.www_authenticate.unwrap().contains("insufficient_scope"));
            }
        }
    });
}

fn revolut_request(subject: &str) -> Token {
    registration()
        .without("token_endpoint_auth_signing_alg")
        .without("application_type")
        .claim("token_endpoint_auth_method", "tls_client_auth")
        .claim("tls_client_auth_dn", subject)
        .claim("scope", json!(["openid", "accounts", "payments"]))
}

#[test]
fn md_09_md_16_revolut_names_the_subject_and_lists_scopes_in_its_own_way() {
    run(0, |host| async move {
        let gate = gate_with(&host, of_profile("revolut"));
        let asked = answered(&gate, &Endpoint::DistinguishedName, &request("", Some(&PKI.tpp.obwac), "")).await;
        let subject = body(&asked)["tls_client_auth_dn"].as_str().unwrap().to_owned();
        let signed = revolut_request(&subject).sign(&PKI.tpp.signing).unwrap();
        let answer =
            answered(&gate, &Endpoint::Register, &request("application/jwt", Some(&PKI.tpp.obwac), &signed)).await;
        let registered = body(&answer);
        assert_eq!(answer.status, 201, "{registered}");
        assert_eq!(
            (&registered["tls_client_auth_dn"], &registered["scope"]),
            (&json!(subject), &json!("openid accounts payments"))
        );
        assert!(registered.get("tls_client_auth_subject_dn").is_none());

        let anonymous = answered(&gate, &Endpoint::DistinguishedName, &request("", None, "")).await;
        assert_refused(&host, &anonymous, 401, "invalid_client", "client_certificate_missing");
        let answer = register(&gate, &registration()).await;
        assert_refused(&host, &answer, 400, "invalid_client_metadata", "auth_method");
        let both = revolut_request(&subject).claim("tls_client_auth_subject_dn", subject.clone());
        assert_refused(&host, &register(&gate, &both).await, 400, "invalid_client_metadata", "subject_identifiers");
    });
}

#[test]
fn cm_11_revolut_changes_the_subject_over_the_old_certificate() {
    run(0, |host| async move {
        let gate = gate_with(&host, of_profile("revolut"));
        let (old, new) = (&PKI.tpp.transport, &PKI.tpp.obwac);
        let id = registered(&gate, &revolut_request(&old.subject_dn().unwrap())).await;
        let call = |certificate: &Identity, body: &str| {
            let request = with_token(request("application/jwt", Some(certificate), body), "token");
            let thumbprint = request.head.certificate.presented().unwrap().thumbprint().x5t_s256();
            host.store.borrow_mut().introspection =
                json!({ "active": true, "client_id": id, "cnf": { "x5t#S256": thumbprint } });
            request
        };
        let update = revolut_request(&new.subject_dn().unwrap()).sign(&PKI.tpp.signing).unwrap();
        let over_new = answered(&gate, &Endpoint::Update(id.clone()), &call(new, &update)).await;
        assert_refused(&host, &over_new, 401, "invalid_token", "certificate_subject_not_registered");
        let over_old = answered(&gate, &Endpoint::Update(id.clone()), &call(old, &update)).await;
        assert_eq!(over_old.status, 200, "{}", body(&over_old));

        assert_eq!(answered(&gate, &Endpoint::Retrieve(id.clone()), &call(new, "")).await.status, 200);
        let over_old = answered(&gate, &Endpoint::Retrieve(id.clone()), &call(old, "")).await;
        assert_refused(&host, &over_old, 401, "invalid_token", "certificate_subject_not_registered");
    });
}
