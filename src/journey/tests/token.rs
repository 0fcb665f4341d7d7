use super::*;
use crate::host::AudienceName;
use crate::host::mock::{answer as response, run};

const FORM: &str = "application/x-www-form-urlencoded;charset=UTF-8";
const TYPE: &str = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";

fn assertion(client_id: &str) -> Token {
    mint::client_assertion(client_id, ISSUER)
}

fn by(assertion: &str, more: &str) -> Request {
    let body = format!("grant_type=client_credentials&client_assertion_type={TYPE}&client_assertion={assertion}{more}");
    request(FORM, Some(&PKI.tpp.transport), &body)
}

fn signed(token: &Token) -> String {
    token.sign(&PKI.tpp.signing).unwrap()
}

#[test]
fn ca_07_only_the_servers_own_audiences_are_accepted() {
    run(0, |host| async move {
        let gate = gate(&host);
        let id = registered(&gate, &registration()).await;
        for audience in [json!(ISSUER), json!([ISSUER, "https://other.example"]), json!(format!("{ISSUER}/token"))] {
            let token = assertion(&id).claim("aud", audience.clone());
            let answer = answered(&gate, &Endpoint::Token, &by(&signed(&token), "")).await;
            assert_eq!(answer.status, 200, "{audience}: {}", body(&answer));
        }
        for audience in
            [json!("https://other.example"), json!([]), json!(format!("{ISSUER}/")), json!(ISSUER.to_uppercase())]
        {
            let token = assertion(&id).claim("aud", audience);
            let answer = answered(&gate, &Endpoint::Token, &by(&signed(&token), "")).await;
            assert_refused(&host, &answer, 401, "invalid_client", "assertion_audience");
        }
    });
}

#[test]
fn jo_14_an_assertion_without_kid_is_tried_with_every_fitting_key() {
    run(0, |host| async move {
        let gate = gate(&host);
        let id = registered(&gate, &registration()).await;
        let nameless = assertion(&id).without_header("kid").sign(&PKI.tpp.signing).unwrap();
        assert_eq!(answered(&gate, &Endpoint::Token, &by(&nameless, "")).await.status, 200);
        let forged = assertion(&id).without_header("kid").sign(&PKI.other_tpp.signing).unwrap();
        let answer = answered(&gate, &Endpoint::Token, &by(&forged, "")).await;
        assert_refused(&host, &answer, 401, "invalid_client", "assertion_signature");
    });
}

#[test]
fn ca_15_an_unknown_client_gets_the_answer_to_a_bad_signature() {
    run(0, |host| async move {
        let gate = gate(&host);
        let id = registered(&gate, &registration()).await;
        let unknown = answered(&gate, &Endpoint::Token, &by(&signed(&assertion("unknown")), "")).await;
        assert_refused(&host, &unknown, 401, "invalid_client", "assertion_client_unknown");
        let forged = assertion(&id).without_header("kid").sign(&PKI.other_tpp.signing).unwrap();
        let forged = answered(&gate, &Endpoint::Token, &by(&forged, "")).await;
        assert_eq!(unknown, forged);
    });
}

#[test]
fn ca_12_a_replayed_assertion_is_refused() {
    run(0, |host| async move {
        let gate = gate(&host);
        let id = registered(&gate, &registration()).await;
        let replayed = || response(200, json!({ "tokens": [{ "status": 409, "error": "replayed" }] }));
        host.instead(move |call| call.path.ends_with("/tokens").then(|| Ok(replayed())));
        let answer = answered(&gate, &Endpoint::Token, &by(&signed(&assertion(&id)), "")).await;
        assert_refused(&host, &answer, 401, "invalid_client", "assertion_replayed");
    });
}

#[test]
fn ca_19_another_transport_certificate_is_refused_with_a_good_assertion() {
    run(0, |host| async move {
        let gate = gate(&host);
        let id = registered(&gate, &registration()).await;
        let mut request = by(&signed(&assertion(&id)), "");
        request.head.certificate =
            Some(Rc::new(Certificate::from_pem(PKI.other_tpp.transport.certificate_pem.as_bytes()).unwrap())).into();
        let answer = answered(&gate, &Endpoint::Token, &request).await;
        assert_refused(&host, &answer, 401, "invalid_client", "assertion_over_foreign_certificate");
        let unknown = answered(&gate, &Endpoint::Token, &by(&signed(&assertion("unknown")), "")).await;
        assert_eq!(answer, unknown, "the caller does not learn that the client exists");
        assert!(!host.calls.borrow().iter().any(|call| call.path.ends_with("/tokens")), "its jti was not consumed");
    });
}

#[test]
fn ca_03_a_client_cannot_fall_back_to_its_certificate() {
    run(0, |host| async move {
        let gate = gate(&host);
        let id = registered(&gate, &registration()).await;
        let body = format!("grant_type=client_credentials&client_id={id}");
        let answer = answered(&gate, &Endpoint::Token, &request(FORM, Some(&PKI.tpp.transport), &body)).await;
        assert_refused(&host, &answer, 401, "invalid_client", "authentication_method_not_registered");
    });
}

#[test]
fn ca_17_a_certificate_with_the_registered_subject_gets_a_bound_token() {
    run(0, |host| async move {
        let gate = gate(&host);
        let subject = format!("CN={},OU={},O=OpenBanking,C=GB", PKI.tpp.software.software_id, PKI.tpp.software.org_id);
        let id = registered(&gate, &registration().for_tls_client_auth(&subject)).await;
        let post = |certificate| {
            let body = format!("grant_type=client_credentials&client_id={id}&scope=accounts");
            request(FORM, Some(certificate), &body)
        };
        let answer = answered(&gate, &Endpoint::Token, &post(&PKI.tpp.transport)).await;
        assert_eq!((answer.status, &body(&answer)["scope"]), (200, &json!("accounts")));
        let issued = host.calls.borrow().iter().find(|call| call.path.ends_with("/tokens")).unwrap().clone();
        let thumbprint = post(&PKI.tpp.transport).head.certificate.presented().unwrap().thumbprint().x5t_s256();
        assert_eq!(
            serde_json::from_slice::<Value>(&issued.body).unwrap()["tokens"][0]["cnf"]["x5t#S256"],
            json!(thumbprint)
        );

        let answer = answered(&gate, &Endpoint::Token, &post(&PKI.tpp.obwac)).await;
        assert_refused(&host, &answer, 401, "invalid_client", "certificate_subject");
        let answer = answered(&gate, &Endpoint::Token, &post(&PKI.other_tpp.transport)).await;
        assert_refused(&host, &answer, 401, "invalid_client", "certificate_of_another_client");
    });
}

#[test]
fn ca_15_a_client_of_a_removed_directory_is_unknown() {
    run(0, |host| async move {
        let gate = gate(&host);
        let subject = PKI.tpp.transport.subject_dn().unwrap();
        let id = registered(&gate, &registration().for_tls_client_auth(&subject)).await;
        host.store.borrow_mut().clients.values_mut().for_each(|client| client["record"]["issuer"] = json!("elsewhere"));
        let body = format!("grant_type=client_credentials&client_id={id}");
        let answer = answered(&gate, &Endpoint::Token, &request(FORM, Some(&PKI.tpp.transport), &body)).await;
        assert_refused(&host, &answer, 401, "invalid_client", "certificate_client_unknown");
    });
}

#[test]
fn ca_01_a_token_request_with_two_readings_does_not_reach_the_upstream() {
    run(0, |host| async move {
        let mut config = config();
        config["other_grants"] = json!("pass");
        let gate = gate_with(&host, config);
        let form = "application/x-www-form-urlencoded";
        let code = "grant_type=authorization_code&code=x";
        let with = |media_type: &str, body: &str| request(media_type, Some(&PKI.tpp.transport), body);
        assert_eq!(gate.serve(&Endpoint::Token, &with(form, code)).await, Decision::hand_on_unchanged());
        let utf_8 = with(&format!("{form}; charset=\"UTF-8\""), code);
        assert_eq!(gate.serve(&Endpoint::Token, &utf_8).await, Decision::hand_on_unchanged());

        let in_query = || {
            let mut request = with(form, code);
            request.head.query = Some("grant_type=client_credentials".to_owned());
            request
        };
        for ambiguous in [
            with(form, &format!("{code}&Grant_Type=client_credentials")),
            with(form, &format!("{code}&client_assertion[]=x")),
            with(form, "grant_type=Client_Credentials"),
            with(&format!("{form}; charset=utf-7"), code),
            with(&format!("{form};Charset=iso-8859-1"), code),
            in_query(),
        ] {
            let answer = answered(&gate, &Endpoint::Token, &ambiguous).await;
            assert_refused(&host, &answer, 400, "invalid_request", "token_request_ambiguous");
        }
        let mut coded = with(form, code);
        coded.head.headers.push(("content-encoding".to_owned(), b"gzip".to_vec()));
        assert_refused(
            &host,
            &answered(&gate, &Endpoint::Token, &coded).await,
            415,
            "invalid_request",
            "content_coding",
        );
    });
}

#[test]
fn gw_04_a_record_that_changes_twice_in_a_row_is_told_as_such() {
    run(0, |host| async move {
        let gate = gate(&host);
        let id = registered(&gate, &registration()).await;
        host.instead(move |call| {
            let refused = json!({ "status": 412, "error": "version_mismatch", "error_description": "changed" });
            let answer = crate::host::mock::answer(200, json!({ "tokens": [refused] }));
            (call.path == "/v1/tokens").then_some(Ok(answer))
        });
        let answer = answered(&gate, &Endpoint::Token, &by(&signed(&assertion(&id)), "")).await;
        assert_refused(&host, &answer, 409, "invalid_request", "record_changed_meanwhile");
    });
}

#[test]
fn the_audience_of_an_assertion_is_counted() {
    run(0, |host| async move {
        let gate = gate(&host);
        let id = registered(&gate, &registration()).await;
        for (audience, name) in [
            (json!(ISSUER), AudienceName::Issuer),
            (json!(gate.config.token_endpoint()), AudienceName::TokenEndpoint),
            (json!(["https://other.example", gate.config.token_endpoint(), ISSUER]), AudienceName::Issuer),
        ] {
            let token = signed(&assertion(&id).claim("aud", audience));
            assert_eq!(answered(&gate, &Endpoint::Token, &by(&token, "")).await.status, 200);
            assert!(host.events.borrow().contains(&Event::AssertionAudience(name)), "{name:?}");
            host.events.borrow_mut().clear();
        }
    });
}
