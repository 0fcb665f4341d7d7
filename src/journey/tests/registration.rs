use super::*;
use crate::host::CallNotSent;
use crate::host::mock::{answer as response, run};

#[test]
fn a_good_request_registers_after_all_checks() {
    run(0, |host| async move {
        let gate = gate(&host);
        let answer = register(&gate, &registration()).await;
        assert_eq!(answer.status, 201);
        assert!(answer.headers.contains(&("cache-control", "no-store")));
        let body = body(&answer);
        assert_eq!(body["client_id_issued_at"], 1_700_000_000, "a number");
        assert_eq!(body["software_id"], PKI.tpp.software.software_id.as_str());
        assert_eq!(body["org_id"], PKI.tpp.software.org_id.as_str(), "the statement's claims come with it");
        assert!(body.get("iss").is_none() && body.get("jti").is_none(), "but no claim about the statement itself");
        assert_eq!(body["redirect_uris"], json!(PKI.tpp.software.redirect_uris));
        assert_eq!(host.store.borrow().consumed.len(), 1);
    });
}

#[test]
fn jo_12_no_url_of_an_unverified_statement_is_fetched() {
    run(0, |host| async move {
        let gate = gate(&host);
        let forged = statement()
            .claim("software_jwks_endpoint", "https://keystore.example/thief.jwks")
            .sign(&thief_as(PKI.directory.kid()))
            .unwrap();
        let answer = register(&gate, &registration().claim("software_statement", forged)).await;
        assert_refused(&host, &answer, 400, "invalid_software_statement", "statement_signature");
        let fetched: Vec<String> = host.calls.borrow().iter().map(|call| call.path.clone()).collect();
        assert_eq!(fetched, ["/openbanking.jwks"], "the directory's own key set and nothing else");
    });
}

#[test]
fn rq_04_a_refused_request_consumes_nothing() {
    run(0, |host| async move {
        let gate = gate(&host);
        let answer = register(&gate, &registration().claim("redirect_uris", json!(["https://thief.example"]))).await;
        assert_refused(&host, &answer, 400, "invalid_redirect_uri", "redirect_uri_not_in_statement");
        assert_eq!(host.calls_to("dcr_store"), 0);
    });
}

#[test]
fn rq_04_a_replayed_request_is_refused() {
    run(0, |host| async move {
        let gate = gate(&host);
        store_refuses(&host, json!({ "error": "replayed" }));
        let answer = register(&gate, &registration()).await;
        assert_refused(&host, &answer, 400, "invalid_client_metadata", "request_replayed");
    });
}

#[test]
fn md_26_a_software_registered_already_is_refused() {
    run(0, |host| async move {
        let mut config = config();
        config["registration"] = json!({ "single_registration": true });
        let gate = gate_with(&host, config);
        store_refuses(&host, json!({ "error": "duplicate_software" }));
        let answer = register(&gate, &registration()).await;
        let asked: Value = serde_json::from_slice(&host.calls.borrow().last().unwrap().body).unwrap();
        assert_eq!(asked["clients"][0]["single_registration"], true);
        assert_refused(&host, &answer, 400, "invalid_client_metadata", "software_already_registered");
    });
}

#[test]
fn ss_13_a_key_set_on_another_host_is_refused_before_it_is_fetched() {
    run(0, |host| async move {
        let gate = gate(&host);
        for url in [
            "https://thief.example/keys.jwks",
            "http://keystore.example/keys.jwks",
            "https://keystore.example@thief.example/keys.jwks",
            "https://keystore.example:444/keys.jwks",
            "https://keystore.example.thief.example/keys.jwks",
            "https://keystore.example/keys.jwks\r\nx: y",
        ] {
            let moved = statement().claim("software_jwks_endpoint", url).sign(&PKI.directory).unwrap();
            let answer = register(&gate, &registration().claim("software_statement", moved)).await;
            assert_refused(&host, &answer, 400, "invalid_software_statement", "key_set_location");
        }
        assert_eq!(host.calls_to("directory"), 1, "the directory's own key set, once");
    });
}

#[test]
fn jo_19_without_a_key_set_a_request_is_refused() {
    run(0, |host| async move {
        let gate = gate(&host);
        let broken: [fn() -> Result<crate::host::CallResponse, CallNotSent>; 5] = [
            || Err(CallNotSent::Refused),
            || Err(CallNotSent::UnknownCluster),
            || Ok(response(500, json!({ "keys": [] }))),
            || Ok(response(301, json!({}))),
            || Ok(response(503, json!({}))),
        ];
        for answer in broken {
            host.now.set(host.now.get() + 10);
            host.instead(move |call| (call.cluster == "directory").then(answer));
            let answer = register(&gate, &registration()).await;
            assert_refused(&host, &answer, 503, "temporarily_unavailable", "key_set_unavailable");
            assert!(answer.headers.iter().any(|(name, _)| *name == "retry-after"));
        }
    });
}

/// The directory answers with this media type and body.
fn directory_answers(host: &MockHost, media_type: Option<&'static str>, body: &str) {
    host.now.set(host.now.get() + 10);
    let headers: Vec<_> = media_type.iter().map(|it| ("content-type".to_owned(), it.as_bytes().to_vec())).collect();
    let body = body.as_bytes().to_vec();
    let answer = crate::host::CallResponse { status: Some(200), headers, body };
    host.instead(move |call| (call.cluster == "directory").then(|| Ok(answer.clone())));
}

#[test]
fn jo_19_what_is_no_key_set_is_a_lasting_fault() {
    run(0, |host| async move {
        let gate = gate(&host);
        for body in [
            r#"{"no":"keys"}"#,
            r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#,
            r#"[{"kty":"RSA"}]"#,
            r#"{"keys":{}}"#,
            "<!doctype html>",
            r#"{"keys":["#,
            "",
        ] {
            directory_answers(&host, Some("application/json"), body);
            // The second request comes in the pause after the fetch.
            for _ in 0..2 {
                let answer = register(&gate, &registration()).await;
                assert_refused(&host, &answer, 503, "temporarily_unavailable", "key_set_malformed");
                assert!(!answer.headers.iter().any(|(name, _)| *name == "retry-after"), "{body}");
            }
        }
        let logged = host.events.borrow().iter().find_map(|event| match event {
            Event::KeySetFetchFailed { url, owner, status, .. } => Some((url.clone(), owner.clone(), *status)),
            _ => None,
        });
        let url = "https://keystore.example/openbanking.jwks".to_owned();
        assert_eq!(
            logged,
            Some((url, format!("directory {:?}", statement().claims()["iss"].as_str().unwrap()), Some(200)))
        );
    });
}

#[test]
fn jo_19_a_key_set_is_judged_by_its_content() {
    for media_type in [
        None,
        Some("text/plain"),
        Some("application/octet-stream"),
        Some("application/jwk+json"),
        Some("application/jwk-set+json; charset=utf-8"),
        Some("nonsense"),
    ] {
        run(0, move |host| async move {
            let gate = gate(&host);
            let keys = PKI.tpp.key_set().unwrap()["keys"].as_array().unwrap().clone();
            let directory = PKI.directory_key_set().unwrap()["keys"].as_array().unwrap().clone();
            let all = json!({ "keys": ([keys, directory].concat()) });
            directory_answers(&host, media_type, &all.to_string());
            assert_eq!(register(&gate, &registration()).await.status, 201, "{media_type:?}");
            let asked = host.calls.borrow().iter().find(|call| call.cluster == "directory").cloned().unwrap();
            assert!(asked.headers.contains(&("accept-encoding", "identity".to_owned())));
        });
    }
}

#[test]
fn jo_19_an_operator_may_demand_the_media_types_of_key_sets() {
    run(0, |host| async move {
        let mut config = config();
        config["jwks"] = json!({ "media_types": ["application/jwk-set+json"] });
        let gate = gate_with(&host, config);
        let keys = PKI.directory_key_set().unwrap().to_string();
        directory_answers(&host, Some("text/plain"), &keys);
        assert_refused(
            &host,
            &register(&gate, &registration()).await,
            503,
            "temporarily_unavailable",
            "key_set_malformed",
        );
    });
}

#[test]
fn rg_16_a_coded_body_is_refused() {
    run(0, |host| async move {
        let gate = gate(&host);
        let coded = |coding: &str| {
            let body = registration().sign(&PKI.tpp.signing).unwrap();
            let mut request = request("application/jwt", Some(&PKI.tpp.transport), &body);
            request.head.headers.push(("content-encoding".to_owned(), coding.as_bytes().to_vec()));
            request
        };
        let endpoints = [Endpoint::Register, Endpoint::Update("client".to_owned()), Endpoint::Token];
        for (endpoint, coding) in
            endpoints.iter().flat_map(|endpoint| ["gzip", "br", "gzip, identity", ""].map(|it| (endpoint, it)))
        {
            let answer = answered(&gate, endpoint, &coded(coding)).await;
            assert_refused(&host, &answer, 415, "invalid_request", "content_coding");
        }
        assert_eq!(answered(&gate, &Endpoint::Register, &coded(" Identity")).await.status, 201);
    });
}

#[test]
fn rg_01_gw_05_a_certificate_that_cannot_be_read_is_not_a_missing_one() {
    run(0, |host| async move {
        let gate = gate(&host);
        let over = |certificate: TransportCertificate| {
            let body = registration().sign(&PKI.tpp.signing).unwrap();
            let mut request = request("application/jwt", None, &body);
            request.head.certificate = certificate;
            request
        };
        let answer = answered(&gate, &Endpoint::Register, &over(TransportCertificate::Unreadable)).await;
        assert_refused(&host, &answer, 401, "invalid_client", "client_certificate_unreadable");
        let answer = answered(&gate, &Endpoint::Register, &over(TransportCertificate::OutOfSight)).await;
        assert_refused(&host, &answer, 503, "temporarily_unavailable", "certificate_out_of_sight");
        assert!(!answer.headers.iter().any(|(name, _)| *name == "retry-after"), "only the operator can mend it");
    });
}

#[test]
fn members_that_are_almost_known_ones_are_told_to_the_operator() {
    run(0, |host| async move {
        let gate = gate(&host);
        assert_eq!(
            register(&gate, &registration().claim("scopes", "x").claim("software_roles", "x")).await.status,
            201
        );
        let told = host.events.borrow().iter().find_map(|event| match event {
            Event::NotUnderstood(members) => Some(members.clone()),
            _ => None,
        });
        assert_eq!(told.as_deref(), Some("scopes:scope"));
    });
}

#[test]
fn gw_01_an_answer_that_breaks_the_stores_api_is_an_error() {
    run(0, |host| async move {
        let gate = gate(&host);
        let nonsense: [fn() -> Result<crate::host::CallResponse, CallNotSent>; 6] = [
            || Err(CallNotSent::Refused),
            || Ok(response(200, json!({}))),
            || Ok(response(201, json!({ "client_id": 7 }))),
            || Ok(crate::host::CallResponse { headers: Vec::new(), ..response(201, json!({})) }),
            || Ok(response(409, json!({ "error": "unheard_of" }))),
            || Ok(response(504, json!({}))),
        ];
        for answer in nonsense {
            host.instead(move |call| (call.cluster == "dcr_store").then(answer));
            let answer = register(&gate, &registration()).await;
            assert_refused(&host, &answer, 503, "temporarily_unavailable", "store_unavailable");
        }
    });
}

/// The store refuses an id that its own clock holds to be over, and the caller did nothing wrong.
#[test]
fn gw_06_a_store_with_another_time_is_told_as_such() {
    run(0, |host| async move {
        let gate = gate(&host);
        let apart = || Ok(response(400, json!({ "error": "clocks_apart", "error_description": "the id is over" })));
        host.instead(move |call| (call.cluster == "dcr_store").then(apart));
        let answer = register(&gate, &registration()).await;
        assert_refused(&host, &answer, 503, "temporarily_unavailable", "clocks_apart");
        let told = host
            .events
            .borrow()
            .iter()
            .any(|event| matches!(event, Event::StoreFailed(problem) if problem.contains("clocks")));
        assert!(told);
    });
}

#[test]
fn rg_01_a_registration_without_a_certificate_is_refused() {
    run(0, |host| async move {
        let gate = gate(&host);
        let body = registration().sign(&PKI.tpp.signing).unwrap();
        let answer = answered(&gate, &Endpoint::Register, &request("application/jwt", None, &body)).await;
        assert_refused(&host, &answer, 401, "invalid_client", "client_certificate_missing");
        assert_eq!(host.calls.borrow().len(), 0, "refused before any call");
    });
}

#[test]
fn rg_02_media_types() {
    run(0, |host| async move {
        let gate = gate(&host);
        for good in [
            "application/jwt",
            "application/jose",
            "APPLICATION/JWT; charset=ISO-8859-1",
            "application/jwt;charset=UTF-8",
        ] {
            let body = registration().sign(&PKI.tpp.signing).unwrap();
            let answer = answered(&gate, &Endpoint::Register, &request(good, Some(&PKI.tpp.transport), &body)).await;
            assert_eq!(answer.status, 201, "{good}");
        }
        for bad in
            ["application/json", "", "text/plain", "application/jwt, application/json", "application/jwtx", "jwt"]
        {
            let answer = answered(&gate, &Endpoint::Register, &request(bad, Some(&PKI.tpp.transport), "x")).await;
            assert_refused(&host, &answer, 400, "invalid_client_metadata", "media_type_unsupported");
        }
    });
}

#[test]
fn gw_03_a_repeated_header_is_refused() {
    run(0, |host| async move {
        let gate = gate(&host);
        let body = registration().sign(&PKI.tpp.signing).unwrap();
        let mut twice = request("application/jwt", Some(&PKI.tpp.transport), &body);
        twice.head.headers.push(("content-type".to_owned(), b"application/jwt".to_vec()));
        let answer = answered(&gate, &Endpoint::Register, &twice).await;
        assert_refused(&host, &answer, 400, "invalid_request", "header_repeated");
    });
}

#[test]
fn rg_13_a_body_too_large_is_refused() {
    run(0, |host| async move {
        let gate = gate(&host);
        let (sender, received) = Body::channel();
        sender.too_large();
        let mut request = request("application/jwt", Some(&PKI.tpp.transport), "");
        request.body = received;
        let answer = answered(&gate, &Endpoint::Register, &request).await;
        assert_refused(&host, &answer, 413, "invalid_client_metadata", "body_too_large");
    });
}

#[test]
fn gw_07_gw_08_a_body_that_the_gateway_does_not_get_is_its_own_fault() {
    run(0, |host| async move {
        let gate = gate(&host);
        for (endpoint, content_type) in
            [(Endpoint::Register, "application/jwt"), (Endpoint::Token, "application/x-www-form-urlencoded")]
        {
            for reason in ["request_body_withheld", "upstream_answered_first"] {
                let (sender, received) = Body::channel();
                if reason == "request_body_withheld" {
                    sender.withheld()
                } else {
                    sender.cut_off()
                }
                let mut request = request(content_type, Some(&PKI.tpp.transport), "");
                request.body = received;
                let answer = answered(&gate, &endpoint, &request).await;
                assert_refused(&host, &answer, 503, "temporarily_unavailable", reason);
                let again = answer.headers.iter().any(|(name, _)| *name == "retry-after");
                assert!(!again, "it lasts until the operator acts");
            }
        }
    });
}

#[test]
fn jo_13_a_new_key_is_fetched_once() {
    run(0, |host| async move {
        let gate = gate(&host);
        registered(&gate, &registration()).await;
        assert_eq!(host.calls_to("directory"), 2, "the directory's key set, and the software's");

        // The software publishes a new key and uses it at once, before `jwks.refetch_interval` has passed.
        let new_key = dcr_mint::keys::SigningKey::generate_es256().with_kid("new");
        let path = format!("keystore.example{}", PKI.tpp.software.key_set_path());
        host.key_sets.borrow_mut().insert(path, json!({ "keys": [new_key.public_jwk()] }));
        let signed = |token: Token| token.sign(&new_key).unwrap();
        let post = |body: String| request("application/jwt", Some(&PKI.tpp.transport), &body);
        let answer = answered(&gate, &Endpoint::Register, &post(signed(registration()))).await;
        assert_refused(&host, &answer, 400, "invalid_client_metadata", "kid_unknown");
        assert_eq!(host.calls_to("directory"), 2, "it is not fetched again within the interval");

        host.now.set(host.now.get() + 31);
        let answer = answered(&gate, &Endpoint::Register, &post(signed(registration()))).await;
        assert_eq!(answer.status, 201);
        assert_eq!(host.calls_to("directory"), 3);
    });
}

/// The key of the other third party, with this kid.
fn thief_as(kid: &str) -> dcr_mint::keys::SigningKey {
    dcr_mint::keys::SigningKey::from_pem(&PKI.other_tpp.signing.to_pem()).unwrap().with_kid(kid)
}

#[test]
fn ss_15_the_directory_describes_a_client_to_people() {
    run(0, |host| async move {
        let gate = gate(&host);
        let thief = registration()
            .claim("client_name", "Another Bank")
            .claim("logo_uri", "javascript:alert(1)")
            .claim("software_version", "evil-9");
        let answer = register(&gate, &thief).await;
        assert_eq!(answer.status, 201);
        let body = body(&answer);
        assert_eq!(body["client_name"], PKI.tpp.software.client_name.as_str());
        assert_eq!(body["logo_uri"], statement().claims()["software_logo_uri"]);
        assert_eq!(body["software_version"], "1.0", "a string (RFC 7591 section 2)");

        // If the statement has no description, that of the request is used, but only if it is safe to show.
        let silent =
            statement().without("software_client_name").without("software_logo_uri").sign(&PKI.directory).unwrap();
        let request = || registration().claim("software_statement", silent.clone());
        let good =
            register(&gate, &request().claim("client_name", "Harbour").claim("logo_uri", "https://a.example/l.png"))
                .await;
        assert_eq!(
            (&super::body(&good)["client_name"], &super::body(&good)["logo_uri"]),
            (&json!("Harbour"), &json!("https://a.example/l.png"))
        );
        let bad =
            register(&gate, &request().claim("client_name", "a\u{202e}b").claim("logo_uri", "data:text/html,x")).await;
        assert_eq!(super::body(&bad)["client_name"], "ab", "without the character that reorders");
        assert_eq!(super::body(&bad).get("logo_uri"), None);
    });
}

/// RFC 7591 section 2 has `contacts`, and directories write people into their statements. A record keeps them nowhere but in the statement.
#[test]
fn contacts_are_kept_in_the_statement_only() {
    run(0, |host| async move {
        let gate = gate(&host);
        let (name, mail, telephone) = ("Ada Example", "ada@harbour.example", "+44 20 7946 0000");
        let person = json!({ "name": name, "email": mail, "phone": telephone, "type": "Technical" });
        let statement = statement()
            .claim("org_contacts", json!([person]))
            .claim("software_contacts", json!([person]))
            .claim("contacts", json!([mail]))
            .sign(&PKI.directory)
            .unwrap();
        let request_with = || {
            registration()
                .claim("software_statement", statement.as_str())
                .claim("contacts", json!([mail, telephone]))
                .claim("contact", name)
                .claim("org_contacts", json!([person]))
        };
        let answer = register(&gate, &request_with()).await;
        let registered = body(&answer);
        assert_eq!((answer.status, &registered["software_statement"]), (201, &json!(statement)));
        assert_eq!(registered["org_contacts"], json!([person]), "an answer has the statement's claims (RG-06)");
        assert_eq!(registered["contacts"], json!([mail]), "the statement's, not the request's");

        let id = registered["client_id"].as_str().unwrap().to_owned();
        let own = request("", Some(&PKI.tpp.transport), "").head.certificate.presented().unwrap().thumbprint();
        host.store.borrow_mut().introspection =
            json!({ "active": true, "client_id": id, "cnf": { "x5t#S256": own.x5t_s256() } });
        let put = request("application/jwt", Some(&PKI.tpp.transport), &request_with().sign(&PKI.tpp.signing).unwrap());
        let answer = answered(&gate, &Endpoint::Update(id), &with_token(put, "token")).await;
        assert_eq!((answer.status, &body(&answer)["software_statement"]), (200, &json!(statement)));

        let calls = host.calls.borrow();
        let sent: Vec<String> =
            calls.iter().map(|call| format!("{call:?} {}", String::from_utf8_lossy(&call.body))).collect();
        let with_statement = sent.iter().filter(|call| call.contains(&statement)).count();
        assert_eq!(with_statement, 2, "the registration and the update keep the whole statement");
        for kept in sent.iter().map(|call| call.replace(&statement, "")).chain([format!("{:?}", host.events.borrow())])
        {
            for of_a_person in [name, mail, telephone] {
                assert!(!kept.contains(of_a_person), "{of_a_person}: {kept}");
            }
        }
    });
}

/// What the operator reads when a call got no answer, and the caller does not.
#[test]
fn gw_01_jo_19_the_log_says_why_a_call_got_no_answer() {
    run(0, |host| async move {
        let gate = gate(&host);
        for (status, text, cause) in [
            (503, "no healthy upstream", "no healthy host"),
            (
                503,
                "upstream connect error or disconnect/reset before headers. reset reason: overflow",
                "circuit breaker",
            ),
            (504, "upstream request timeout", "did not answer in time"),
            (503, "nothing that Envoy writes", "refused the connection or did not answer in time"),
        ] {
            for (cluster, reason) in [("dcr_store", "store_unavailable"), ("directory", "key_set_unavailable")] {
                let gate = if cluster == "directory" { gate_with(&host, config()) } else { gate.clone() };
                host.shared.borrow_mut().clear();
                host.events.borrow_mut().clear();
                host.instead(move |call| {
                    let headers = vec![("content-type".to_owned(), b"text/plain".to_vec())];
                    let answer =
                        crate::host::CallResponse { status: Some(status), headers, body: text.as_bytes().to_vec() };
                    (call.cluster == cluster).then_some(Ok(answer))
                });
                let answer = register(&gate, &registration()).await;
                assert_refused(&host, &answer, 503, "temporarily_unavailable", reason);
                let told = host.events.borrow().iter().find_map(|event| match event {
                    Event::StoreFailed(problem) => Some((*problem, None)),
                    Event::KeySetFetchFailed { problem, status, .. } => Some((*problem, *status)),
                    _ => None,
                });
                let (problem, seen) = told.unwrap();
                assert!(problem.contains(cause), "{cluster}: {problem}");
                assert_eq!(seen, (cluster == "directory").then_some(status));
                assert!(!body(&answer)["error_description"].as_str().unwrap().contains(cause), "{answer:?}");
            }
        }
    });
}
