//! Where the profiles differ from each other.

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
        let answer = register(&gate, &registration().for_tls_client_auth(&oid)).await;
        assert_refused(&host, &answer, 400, "invalid_client_metadata", "subject_dn");
        let grants = json!(["client_credentials", "authorization_code", "urn:ietf:params:oauth:grant-type:jwt-bearer"]);
        assert_eq!(register(&gate, &registration().claim("grant_types", grants)).await.status, 201);
    });
}

#[test]
fn rg_05_md_01_wso2_has_a_date_in_a_string_and_redirect_uris_of_its_own() {
    run(0, |host| async move {
        let gate = gate_with(&host, of_profile("wso2-accelerator-3"));
        assert!(!gate.config.profile.dangers().is_empty(), "and says so at start");
        let beyond = json!(["https://www.mockcompany.com.au/redirects/redirect1"]);
        let answer = register(&gate, &registration().claim("redirect_uris", beyond.clone())).await;
        assert_eq!((answer.status, &body(&answer)["redirect_uris"]), (201, &beyond));
        assert_eq!(body(&answer)["client_id_issued_at"], "1700000000");
        let answer = register(&gate, &registration().claim("redirect_uris", json!(["http://a.example"]))).await;
        assert_refused(&host, &answer, 400, "invalid_redirect_uri", "redirect_uri_unacceptable");
    });
}

#[test]
fn rq_04_wso2_forgets_what_lives_too_long_after_a_year() {
    run(0, |host| async move {
        let gate = gate_with(&host, of_profile("wso2-accelerator-3"));
        let year = 365 * 24 * 60 * 60;
        assert_eq!(register(&gate, &registration().claim("exp", mint::now() + 10 * year)).await.status, 201);
        assert_eq!(host.store.borrow().consumed[0]["expires_at"], json!(host.now.get() + year));
    });
}

#[test]
fn ca_07_fapi_2_takes_the_issuer_as_a_string_and_nothing_else() {
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
            let request = request("POST", "application/x-www-form-urlencoded", Some(&PKI.tpp.transport), &form);
            let answer = gate.serve(&Endpoint::Token, &request).await;
            assert_eq!(answer.status, status, "{audience}");
            if status == 401 {
                assert_refused(&host, &answer, 401, "invalid_client", "assertion_audience");
            }
        }
    });
}
