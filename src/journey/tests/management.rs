use super::*;
use crate::host::mock::{answer as response, run};

async fn managed(host: &MockHost, token_client: Option<&str>) -> (Rc<Gate<MockHost>>, String) {
    let gate = gate(host);
    let client_id = registered(&gate, &registration()).await;
    let owner = token_client.unwrap_or(&client_id).to_owned();
    let thumbprint = request("", Some(&PKI.tpp.transport), "")
        .head
        .certificate
        .presented()
        .cloned()
        .unwrap()
        .thumbprint()
        .x5t_s256();
    host.store.borrow_mut().introspection =
        json!({ "active": true, "client_id": owner, "cnf": { "x5t#S256": thumbprint } });
    (gate, client_id)
}

fn get(certificate: Option<&Identity>) -> Request {
    with_token(request("", certificate, ""), "token")
}

fn put(token: &Token) -> Request {
    let body = token.sign(&PKI.tpp.signing).unwrap();
    with_token(request("application/jwt", Some(&PKI.tpp.transport), &body), "token")
}

#[test]
fn a_client_retrieves_updates_and_deletes_itself() {
    run(0, |host| async move {
        let (gate, id) = managed(&host, None).await;
        let answer = answered(&gate, &Endpoint::Retrieve(id.clone()), &get(Some(&PKI.tpp.transport))).await;
        assert_eq!((answer.status, body(&answer)["client_id"].as_str()), (200, Some(id.as_str())));

        let update = registration().claim("scope", "openid accounts").claim("client_id", id.clone());
        let answer = answered(&gate, &Endpoint::Update(id.clone()), &put(&update)).await;
        assert_eq!((answer.status, body(&answer)["scope"].as_str()), (200, Some("openid accounts")));
        let sent = host.calls.borrow().iter().find(|call| call.method == "PUT").unwrap().headers.clone();
        assert!(sent.contains(&("if-match", "\"1\"".to_owned())));

        let answer = answered(&gate, &Endpoint::Delete(id.clone()), &get(Some(&PKI.tpp.transport))).await;
        assert_eq!((answer.status, answer.body.len()), (204, 0));
        assert!(host.store.borrow().clients.is_empty());
    });
}

#[test]
fn cm_03_cm_04_an_unknown_and_another_client_get_the_same_answer_and_the_token_is_revoked() {
    run(0, |host| async move {
        let (gate, id) = managed(&host, Some("somebody-else")).await;
        let foreign = answered(&gate, &Endpoint::Retrieve(id), &get(Some(&PKI.tpp.transport))).await;
        assert_refused(&host, &foreign, 401, "invalid_token", "client_of_another");
        let unknown = answered(&gate, &Endpoint::Retrieve("unknown".to_owned()), &get(Some(&PKI.tpp.transport))).await;
        assert_refused(&host, &unknown, 401, "invalid_token", "client_unknown");
        assert_eq!(foreign, unknown);
        assert_eq!(host.store.borrow().revoked, ["token=token", "token=token"]);
    });
}

#[test]
fn at_02_at_03_the_token_is_bound_to_the_certificate() {
    run(0, |host| async move {
        let (gate, id) = managed(&host, None).await;
        let answer = answered(&gate, &Endpoint::Retrieve(id.clone()), &get(Some(&PKI.other_tpp.transport))).await;
        assert_refused(&host, &answer, 401, "invalid_token", "token_bound_to_another_certificate");
        assert!(answer.www_authenticate.as_deref().unwrap().starts_with("Bearer error=\"invalid_token\""));
        let answer = answered(&gate, &Endpoint::Retrieve(id.clone()), &get(None)).await;
        assert_refused(&host, &answer, 401, "invalid_token", "token_without_certificate");
        let answer = answered(&gate, &Endpoint::Retrieve(id), &request("", None, "")).await;
        assert_refused(&host, &answer, 401, "invalid_client", "client_certificate_missing");
        assert!(host.store.borrow().revoked.is_empty(), "an attacker must not be able to revoke a stolen token");
    });
}

#[test]
fn cm_15_a_token_of_another_clients_certificate_is_refused() {
    run(0, |host| async move {
        let (gate, id) = managed(&host, None).await;
        let thief = request("", Some(&PKI.other_tpp.transport), "").head.certificate.presented().cloned().unwrap();
        host.store.borrow_mut().introspection["cnf"]["x5t#S256"] = json!(thief.thumbprint().x5t_s256());
        let answer = answered(&gate, &Endpoint::Retrieve(id), &get(Some(&PKI.other_tpp.transport))).await;
        assert_refused(&host, &answer, 401, "invalid_token", "certificate_not_of_client");
    });
}

#[test]
fn at_01_at_05_inactive_and_missing_tokens() {
    run(0, |host| async move {
        let (gate, id) = managed(&host, None).await;
        host.store.borrow_mut().introspection = json!({ "active": false });
        let answer = answered(&gate, &Endpoint::Retrieve(id.clone()), &get(Some(&PKI.tpp.transport))).await;
        assert_refused(&host, &answer, 401, "invalid_token", "token_inactive");
        let answer = answered(&gate, &Endpoint::Retrieve(id), &request("", Some(&PKI.tpp.transport), "")).await;
        assert_refused(&host, &answer, 401, "invalid_token", "token_missing");
        assert_eq!(answer.www_authenticate.as_deref(), Some("Bearer"), "a caller without a token gets no error code");
    });
}

#[test]
fn gw_04_one_of_two_simultaneous_updates_is_refused() {
    run(0, |host| async move {
        let (gate, id) = managed(&host, None).await;
        let changed = || response(412, json!({ "error": "version_mismatch" }));
        host.instead(move |call| (call.method == "PUT").then(|| Ok(changed())));
        let answer = answered(&gate, &Endpoint::Update(id), &put(&registration())).await;
        assert_refused(&host, &answer, 409, "invalid_request", "record_changed_meanwhile");
    });
}

#[test]
fn cm_08_cm_09_rq_07_an_update_stays_with_its_registration() {
    run(0, |host| async move {
        let (gate, id) = managed(&host, None).await;
        let update = Endpoint::Update(id);
        let answer = answered(&gate, &update, &put(&registration().claim("client_id", "another"))).await;
        assert_refused(&host, &answer, 400, "invalid_client_metadata", "client_id_mismatch");
        let answer = answered(&gate, &update, &put(&registration().claim("client_id_issued_at", 1))).await;
        assert_refused(&host, &answer, 400, "invalid_client_metadata", "server_member_in_update");
        let moved = statement().claim("org_id", "another").sign(&PKI.directory).unwrap();
        let answer = answered(&gate, &update, &put(&registration().claim("software_statement", moved))).await;
        assert_refused(&host, &answer, 400, "invalid_software_statement", "transport_certificate_of_another");
        let of_issuer = |issuer: &str| {
            let mut store = host.store.borrow_mut();
            store.clients.values_mut().for_each(|client| client["record"]["issuer"] = json!(issuer));
        };
        of_issuer("Another Directory");
        let answer = answered(&gate, &update, &put(&registration())).await;
        assert_refused(&host, &answer, 400, "invalid_client_metadata", "software_changed");
        of_issuer("A directory taken off the list");
        let answer = answered(&gate, &update, &put(&registration())).await;
        assert_refused(&host, &answer, 401, "invalid_token", "certificate_not_of_client");
        assert_eq!(host.store.borrow().consumed.len(), 1, "only the registration itself");
    });
}
