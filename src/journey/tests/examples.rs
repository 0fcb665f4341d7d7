//! The examples of the specifications: the request of each is registered, and the answer has the members of its answer. Only signatures,
//! dates that have passed, and what a comment names are other than in the example.

use dcr_mint::pki::TransportShape;
use dcr_mint::software::Software;
use rcgen::{DistinguishedName, DnType};

use super::*;
use crate::host::mock::run;

const KEYSTORE: &str = "https://keystore.openbankingtest.org.uk";

/// The configuration of a bank with one directory, whose statements name key sets on the host of `key_set`.
fn bank(profile: &str, issuer: &str, directory: &str, key_set: &str) -> Value {
    json!({
        "profile": profile,
        "issuer": issuer,
        "directories": [{
            "issuer": directory,
            "jwks_uri": format!("{DIRECTORY}/directory.jwks"),
            "cluster": "directory",
            "software_key_sets": [{ "host": key_set.split('/').nth(2).unwrap(), "cluster": "directory" }]
        }],
        "store": { "cluster": "dcr_store" }
    })
}

/// A gate for which the directory and the software at `key_set` publish the keys of [`PKI`].
fn gate_of(host: &MockHost, config: Value, key_set: &str) -> Rc<Gate<MockHost>> {
    host.now.set(mint::now());
    host.shared.borrow_mut().clear();
    host.key_sets.borrow_mut().extend([
        ("keystore.example/directory.jwks".to_owned(), PKI.directory_key_set().unwrap()),
        (key_set.replacen("https://", "", 1), json!({ "keys": [PKI.tpp.signing.public_jwk()] })),
    ]);
    Rc::new(Gate::new(Config::from_value(config).unwrap(), host.clone()))
}

/// A transport certificate of this software and organisation.
fn certificate(shape: TransportShape, software: Software) -> Identity {
    PKI.tpp_ca.issue_client(shape.subject(&software).unwrap()).unwrap()
}

fn software(software_id: &str, org_id: &str) -> Software {
    Software { software_id: software_id.to_owned(), org_id: org_id.to_owned(), ..PKI.tpp.software.clone() }
}

/// A request with this statement. Both are signed.
fn signed(request: &Value, statement: &Value) -> String {
    let statement = Token::of(statement.clone()).sign(&PKI.directory).unwrap();
    Token::of(request.clone()).claim("software_statement", statement).sign(&PKI.tpp.signing).unwrap()
}

async fn post(gate: &Gate<MockHost>, certificate: &Identity, media_type: &str, body: &str) -> Answer {
    answered(gate, &Endpoint::Register, &request(media_type, Some(certificate), body)).await
}

/// The request was accepted. The answer has these members, an id and its date.
#[track_caller]
fn assert_registered(answer: &Answer, expected: &Value) {
    let registered = body(answer);
    assert_eq!(answer.status, 201, "{registered}");
    for (member, value) in expected.as_object().unwrap() {
        assert_eq!(registered.get(member), Some(value), "{member}");
    }
    for member in ["client_id", "client_id_issued_at", "software_statement"] {
        assert!(registered.get(member).is_some(), "{member}");
    }
}

/// `value` with these members in place of its own.
fn with(mut value: Value, members: Value) -> Value {
    value.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    value
}

/// A statement of the directory of Open Banking UK for tests, as the documentation of WSO2 shows it. The contacts are others.
fn uk_statement() -> Value {
    let authorisation = |state: &str| json!({ "member_state": state, "roles": ["PISP", "AISP", "CBPII"] });
    let contact = |kind: &str| json!({ "name": kind, "email": "a@b.example", "phone": "+441632960000", "type": kind });
    json!({
        "iss": "OpenBanking Ltd",
        "iat": 1_647_405_940,
        "jti": "36b5dfe0205c4060",
        "software_environment": "sandbox",
        "software_mode": "Test",
        "software_id": "oQ4KoaavpOuoE7rvQsZEOV",
        "software_client_id": "oQ4KoaavpOuoE7rvQsZEOV",
        "software_client_name": "WSO2 Open Banking TPP2 (Sandbox)",
        "software_client_description": "WSO2 Open Banking TPP2 for testing",
        "software_version": 1.5,
        "software_client_uri": "https://www.google.com",
        "software_redirect_uris": ["https://www.google.com/redirects/redirect1"],
        "software_roles": ["PISP", "AISP", "CBPII"],
        "organisation_competent_authority_claims": {
            "authority_id": "OBGBR",
            "registration_id": "Unknown0015800001HQQrZAAX",
            "status": "Active",
            "authorisations": [authorisation("GB"), authorisation("IE"), authorisation("NL")]
        },
        "software_logo_uri": "https://www.google.com",
        "org_status": "Active",
        "org_id": "0015800001HQQrZAAX",
        "org_name": "WSO2 (UK) LIMITED",
        "org_contacts": [contact("Technical"), contact("Business")],
        "org_jwks_endpoint": format!("{KEYSTORE}/0015800001HQQrZAAX/0015800001HQQrZAAX.jwks"),
        "org_jwks_revoked_endpoint": format!("{KEYSTORE}/0015800001HQQrZAAX/revoked/0015800001HQQrZAAX.jwks"),
        "software_jwks_endpoint": format!("{KEYSTORE}/0015800001HQQrZAAX/oQ4KoaavpOuoE7rvQsZEOV.jwks"),
        "software_jwks_revoked_endpoint": format!("{KEYSTORE}/0015800001HQQrZAAX/revoked/oQ4KoaavpOuoE7rvQsZEOV.jwks"),
        "software_policy_uri": "https://www.google.com",
        "software_tos_uri": "https://www.google.com",
        "software_on_behalf_of_org": "WSO2 Open Banking"
    })
}

fn uk_key_set() -> String {
    format!("{KEYSTORE}/0015800001HQQrZAAX/oQ4KoaavpOuoE7rvQsZEOV.jwks")
}

/// The claims of a statement that describe the software. An answer has them as they are (Open Banking UK, data dictionary).
fn of_software(statement: &Value) -> Value {
    let mut claims = statement.clone();
    for of_token in ["iss", "iat", "exp", "jti"] {
        claims.as_object_mut().unwrap().shift_remove(of_token);
    }
    // RFC 7591 section 2 has a string, the directory a number.
    if claims["software_version"].is_number() {
        claims["software_version"] = json!(claims["software_version"].to_string());
    }
    claims
}

/// Open Banking UK DCR 3.3 has no whole example. These are all members of its data dictionary, with values of the form that it gives: `aud`
/// is an id that the directory gave to the bank, and `jti` is a UUID in capitals.
fn uk_request() -> Value {
    json!({
        "iss": "oQ4KoaavpOuoE7rvQsZEOV",
        "iat": mint::now(),
        "exp": mint::now() + 3600,
        "aud": "0015800001HQQrZAAX",
        "jti": "5C4F7F5A-2D0E-4B52-9A0C-6E0E0A5B7C11",
        "redirect_uris": ["https://www.google.com/redirects/redirect1"],
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "PS256",
        "grant_types":
            ["client_credentials", "authorization_code", "refresh_token", "urn:openid:params:grant-type:ciba"],
        "response_types": ["code", "code id_token"],
        "software_id": "oQ4KoaavpOuoE7rvQsZEOV",
        "scope": "openid accounts payments fundsconfirmations",
        "application_type": "web",
        "id_token_signed_response_alg": "PS256",
        "request_object_signing_alg": "PS256",
        "backchannel_token_delivery_mode": "ping",
        "backchannel_client_notification_endpoint": "https://www.google.com/ciba",
        "backchannel_authentication_request_signing_alg": "PS256",
        "backchannel_user_code_parameter_supported": false
    })
}

/// The members of a request that its answer has.
fn of_client(request: &Value) -> Value {
    let mut members = request.clone();
    for of_token in ["iss", "iat", "exp", "aud", "jti"] {
        members.as_object_mut().unwrap().shift_remove(of_token);
    }
    members
}

#[test]
fn uk_obie_3_3_all_members_of_the_data_dictionary() {
    run(0, |host| async move {
        let mut config = bank("uk-obie-3.3", ISSUER, "OpenBanking Ltd", &uk_key_set());
        config["registration"] = json!({ "audiences": ["0015800001HQQrZAAX"] });
        let gate = gate_of(&host, config, &uk_key_set());
        let transport =
            certificate(TransportShape::ObTransport, software("oQ4KoaavpOuoE7rvQsZEOV", "0015800001HQQrZAAX"));
        let answer = post(&gate, &transport, "application/jwt", &signed(&uk_request(), &uk_statement())).await;
        assert_registered(&answer, &of_client(&uk_request()));
        assert_registered(&answer, &of_software(&uk_statement()));
        for of_request in ["iss", "iat", "exp", "aud", "jti"] {
            assert!(body(&answer).get(of_request).is_none(), "the location of {of_request} is the request only");
        }
    });
}

#[test]
fn uk_obie_3_4_the_name_of_an_obwac() {
    run(0, |host| async move {
        // The example of `tls_client_auth_subject_dn` in the OpenAPI document.
        let name = "CN=TPPIdentifier,organizationIdentifier=PSDGB-OB-UnknownTPPID,O=Open Banking Limited (A),C=GB";
        let mut config = bank("uk-obie-3.4", ISSUER, "OpenBanking Ltd", &uk_key_set());
        config["registration"] = json!({ "audiences": ["0015800001HQQrZAAX"] });
        let gate = gate_of(&host, config, &uk_key_set());
        let of_name = Software {
            org_name: "Open Banking Limited (A)".to_owned(),
            registration_id: "UnknownTPPID".to_owned(),
            ..software("oQ4KoaavpOuoE7rvQsZEOV", "TPPIdentifier")
        };
        let mut statement = with(uk_statement(), json!({ "org_id": "TPPIdentifier" }));
        statement["organisation_competent_authority_claims"]["registration_id"] = json!("UnknownTPPID");
        let changes = json!({
            "token_endpoint_auth_method": "tls_client_auth",
            "tls_client_auth_subject_dn": name,
            "application_type": "native",
            "grant_types": [
                "client_credentials", "authorization_code", "refresh_token", "urn:openid:params:grant-type:ciba",
                "urn:ietf:params:oauth:grant-type:jwt-bearer"
            ]
        });
        let request = with(uk_request(), changes);
        let obwac = certificate(TransportShape::Obwac, of_name);
        let answer = post(&gate, &obwac, "application/jwt", &signed(&request, &statement)).await;
        assert_registered(&answer, &of_client(&request));
        assert_registered(&answer, &of_software(&statement));
    });
}

/// WSO2 Open Banking Accelerator 3, *Dynamic Client Registration*. In the signed form of its statement the software has the id that the
/// request has; in the readable form the last digit is missing. The dates are those of the example.
#[test]
fn wso2_accelerator_3_the_example_of_the_documentation() {
    run(0, |host| async move {
        let id = "oQ4KoaavpOuoE7rvQsZEOV3";
        let statement = with(uk_statement(), json!({ "software_id": id, "software_client_id": id }));
        let request = json!({
            "iss": id,
            "iat": 1_571_808_167,
            "exp": 2_147_483_646,
            "jti": "37747cd1c10545699f754adf28b73e31",
            "aud": "https://secure.api.dataholder.com/issuer",
            "redirect_uris": [
                "https://www.mockcompany.com.au/redirects/redirect1", "https://www.mockcompany.com.au/redirects/redirect2"
            ],
            "token_endpoint_auth_signing_alg": "PS256",
            "token_endpoint_auth_method": "private_key_jwt",
            "grant_types": [
                "client_credentials", "authorization_code", "refresh_token",
                "urn:ietf:params:oauth:grant-type:jwt-bearer"
            ],
            "response_types": ["code id_token"],
            "application_type": "web",
            "id_token_signed_response_alg": "PS256",
            "id_token_encrypted_response_alg": "RSA-OAEP",
            "id_token_encrypted_response_enc": "A256GCM",
            "request_object_signing_alg": "PS256",
            "scope": "openid accounts payments"
        });
        let issuer = "https://secure.api.dataholder.com/issuer";
        let gate = gate_of(&host, bank("wso2-accelerator-3", issuer, "OpenBanking Ltd", &uk_key_set()), &uk_key_set());
        let transport = certificate(TransportShape::ObTransport, software(id, "0015800001HQQrZAAX"));
        let answer = post(&gate, &transport, "application/jwt", &signed(&request, &statement)).await;
        // The answer of the example has `tls_client_auth`, for which its request does not ask.
        assert_registered(&answer, &of_client(&request));
        assert_eq!(body(&answer)["software_id"], id);
        assert!(body(&answer)["client_id_issued_at"].is_string());
    });
}

/// The claims by which the register and the request of the example describe the software.
fn au_software() -> Value {
    let scopes = "openid profile bank:accounts.basic:read bank:accounts.detail:read bank:transactions:read \
        bank:payees:read bank:regular_payments:read common:customer.basic:read common:customer.detail:read \
        cdr:registration";
    json!({
        "client_name": "Mock Software",
        "client_description": "A mock software product",
        "client_uri": "https://adr.example.com",
        "legal_entity_id": "3B0B0A7B-3E7B-4A2C-9497-E357A71D07C7",
        "legal_entity_name": "Mock Company Pty Ltd.",
        "org_id": "3B0B0A7B-3E7B-4A2C-9497-E357A71D07C8",
        "org_name": "Mock Company Brand",
        "redirect_uris": ["https://adr.example.com/redirects/redirect1", "https://adr.example.com/redirects/redirect2"],
        "sector_identifier_uri": "https://adr.example.com/sector_identifier.json",
        "logo_uri": "https://adr.example.com/logos/logo1.png",
        "tos_uri": "https://adr.example.com/tos.html",
        "policy_uri": "https://adr.example.com/policy.html",
        "jwks_uri": "https://adr.example.com/jwks",
        "revocation_uri": "https://adr.example.com/revocation",
        "recipient_base_uri": "https://adr.example.com",
        "software_id": "740C368F-ECF9-4D29-A2EA-0514A66B0CDE",
        "software_roles": "data-recipient-software-product",
        "scope": scopes
    })
}

/// Consumer Data Standards, *CDR Dynamic Client Registration API*, `ClientRegistration` and its answer. `iss` is the software's id, for
/// which the example has words. The standard has dates far in the future, and the register issues statements for ten minutes.
#[test]
fn au_cdr_the_example_of_the_standard() {
    run(0, |host| async move {
        let issuer = "https://mtls.dh.example.com/issuer";
        let key_set = "https://adr.example.com/jwks";
        let gate = gate_of(&host, bank("au-cdr", issuer, "cdr-register", key_set), key_set);
        let metadata = json!({
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": "PS256",
            "grant_types": ["client_credentials", "authorization_code", "refresh_token"],
            "response_types": ["code"],
            "application_type": "web",
            "id_token_signed_response_alg": "PS256",
            "id_token_encrypted_response_alg": "RSA-OAEP",
            "id_token_encrypted_response_enc": "A256GCM",
            "authorization_signed_response_alg": "PS256",
            "authorization_encrypted_response_alg": "RSA-OAEP",
            "authorization_encrypted_response_enc": "A128CBC-HS256",
            "request_object_signing_alg": "PS256"
        });
        let expected = with(au_software(), metadata);
        let of_request = json!({
            "iss": "740C368F-ECF9-4D29-A2EA-0514A66B0CDE",
            "iat": mint::now(),
            "exp": mint::now() + 300,
            "jti": "37747cd1c10545699f754adf28b73e31",
            "aud": issuer,
            "client_id": "2cfefa98-7d4a-4bcb-95da-47063b84d410",
            "client_id_issued_at": 1_574_398_833
        });
        let of_statement = json!({
            "iss": "cdr-register",
            "iat": mint::now(),
            "exp": mint::now() + 600,
            "jti": "3bc205a1ebc943fbb624b14fcb241196"
        });
        let (request, statement) = (with(expected.clone(), of_request), with(au_software(), of_statement));
        let answer = post(&gate, &PKI.tpp.transport, "application/jwt", &signed(&request, &statement)).await;
        assert_registered(&answer, &expected);
        assert_ne!(body(&answer)["client_id"], "2cfefa98-7d4a-4bcb-95da-47063b84d410", "the bank chooses the id");
    });
}

/// The claims and members that docs/configuration.md calls not read may have any value. Those of the statement come back as they are; those
/// of the request are gone.
#[test]
fn rg_09_what_is_not_read_may_have_any_value() {
    run(0, |host| async move {
        let gate = gate(&host);
        let unread = json!({
            "legal_entity_id": 7,
            "legal_entity_name": ["a"],
            "sector_identifier_uri": "http://a.example",
            "org_name": null,
            "org_contacts": [{ "name": "A", "email": 7 }],
            "software_client_id": {},
            "software_client_description": "a\u{7}b",
            "software_environment": 1,
            "software_on_behalf_of_org": false,
            "contacts": "a@b.example"
        });
        let mut statement = with(Value::Object(statement().claims().clone()), unread.clone());
        statement["organisation_competent_authority_claims"]["authorisations"] =
            json!([{ "member_state": 7, "roles": "none" }]);
        let signed = Token::of(statement.clone()).sign(&PKI.directory).unwrap();
        let request = with(Value::Object(registration().claims().clone()), json!({ "software_statement": signed }));
        let request =
            with(request, json!({ "contacts": [7], "sector_identifier_uri": 7, "legal_entity_id": "of the request" }));
        let answer = register(&gate, &Token::of(request)).await;
        assert_registered(&answer, &unread);
        let claim = "organisation_competent_authority_claims";
        assert_eq!((&body(&answer)[claim], &body(&answer)["software_statement"]), (&statement[claim], &json!(signed)));
        let stored = host.store.borrow().clients.values().next().unwrap().clone();
        assert!(stored.to_string().contains(&signed), "the record has the whole statement");
        assert!(!stored.to_string().contains("of the request"));
    });
}

/// The statement of Open Finance Brasil DCR (1.0 ID3 and 2.0), section 8.1.
fn brazil_statement() -> Value {
    let software = "https://keystore.directory.openbankingbrasil.org.br/b961c4eb-509d-4edf-afeb-35642b38185d/\
        25556d5a-b9dd-4e27-aa1a-cce732fe74de";
    let role = |role: &str| json!({ "role": role, "authorisation_domain": "Open Banking", "status": "Active" });
    let authority = |role: &str| {
        json!({
            "authorisation_domain": "Open Banking",
            "authorisations": [],
            "registration_id": format!("13353236-OBB-{role}"),
            "authority_id": "687a1c94-b360-4e04-9589-0fa5cb16451b",
            "authority_name": "Banco Central",
            "authorisation_role": role,
            "authority_code": "BCB",
            "status": "Active"
        })
    };
    json!({
        "software_mode": "Live",
        "software_redirect_uris": ["https://www.raidiam.com/accounting/cb"],
        "software_api_webhook_uris": ["https://www.myitp.com/mykong3"],
        "software_statement_roles": [role("DADOS"), role("PAGTO")],
        "software_client_name": "Raidiam Accounting",
        "org_status": "Active",
        "software_client_id": "Cki1EbvjwyhPB12NGLlz2",
        "iss": "Open Banking Open Banking Brasil prod SSA issuer",
        "software_tos_uri": "https://www.raidiam.com/accounting/tos.html",
        "software_client_description": "Raidiam Accounting",
        "software_jwks_uri": format!("{software}/application.jwks"),
        "software_policy_uri": "https://www.raidiam.com/accounting/policy.html",
        "software_id": "25556d5a-b9dd-4e27-aa1a-cce732fe74de",
        "software_client_uri": "https://www.raidiam.com/accounting.html",
        "software_jwks_inactive_uri": format!("{software}/inactive/application.jwks"),
        "software_jwks_transport_inactive_uri": format!("{software}/inactive/transport.jwks"),
        "software_jwks_transport_uri": format!("{software}/transport.jwks"),
        "software_logo_uri": "https://www.raidiam.com/accounting/logo.png",
        "org_id": "b961c4eb-509d-4edf-afeb-35642b38185d",
        "org_number": "112233445566",
        "software_environment": "production",
        "software_version": "1.1",
        "software_roles": ["DADOS", "PAGTO"],
        "org_name": "Open Banking Brasil",
        "iat": mint::now(),
        "origin": ["https://www.origem-1.com.br", "https://www.origem-2.com.br", "android:apk-key-hash:AbCdEf123456"],
        "organisation_competent_authority_claims": [authority("CONTA"), authority("DADOS"), authority("PAGTO")]
    })
}

/// Open Finance Brasil DCR (1.0 ID3 and 2.0), section 9.1.
#[test]
fn br_openfinance_the_example_of_the_specification() {
    run(0, |host| async move {
        let statement = brazil_statement();
        let key_set = statement["software_jwks_uri"].as_str().unwrap().to_owned();
        let directory = statement["iss"].as_str().unwrap();
        let gate = gate_of(&host, bank("br-openfinance", "https://auth.raidiam.com", directory, &key_set), &key_set);
        let metadata = json!({
            "application_type": "web",
            "grant_types": ["client_credentials", "authorization_code", "refresh_token", "implicit"],
            "id_token_signed_response_alg": "PS256",
            "require_auth_time": false,
            "response_types": ["code id_token", "id_token"],
            "subject_type": "public",
            "token_endpoint_auth_method": "private_key_jwt",
            "request_object_signing_alg": "PS256",
            "require_signed_request_object": true,
            "require_pushed_authorization_requests": false,
            "tls_client_certificate_bound_access_tokens": true,
            "client_name": "Raidiam Accounting",
            "client_uri": "https://www.raidiam.com/accounting.html",
            "request_object_encryption_alg": "RSA-OAEP",
            "request_object_encryption_enc": "A256GCM",
            "jwks_uri": key_set,
            "redirect_uris": ["https://www.raidiam.com/accounting/cb"],
            "webhook_uris": ["https://www.myitp.com/mykong3"]
        });
        let of_request = json!({
            "software_statement": Token::of(statement.clone()).sign(&PKI.directory).unwrap(),
            "client_id": "aCnBHjZBvD6ku3KVBaslL"
        });
        let brcac = certificate(
            TransportShape::Brcac,
            Software {
                registration_id: "112233445566".to_owned(),
                ..software("25556d5a-b9dd-4e27-aa1a-cce732fe74de", "b961c4eb-509d-4edf-afeb-35642b38185d")
            },
        );

        // The response type `id_token` is wrong by the specification's own OpenAPI document, which allows `code id_token` only, and by
        // FAPI 1.0 Advanced section 5.2.2.
        let request = with(metadata.clone(), of_request.clone());
        let answer = post(&gate, &brcac, "application/json", &request.to_string()).await;
        assert_refused(&host, &answer, 400, "invalid_client_metadata", "response_types");

        let metadata = with(metadata, json!({ "response_types": ["code id_token"] }));
        let request = with(metadata.clone(), of_request);
        let answer = post(&gate, &brcac, "application/json", &request.to_string()).await;
        assert_registered(&answer, &metadata);
        assert_registered(&answer, &of_software(&statement));
        for member in ["registration_client_uri", "registration_access_token"] {
            assert!(body(&answer)[member].is_string(), "{member}");
        }
    });
}

/// The sample of Revolut's *Register an application*. Its statement is for a third party with an eIDAS certificate, which writes and does
/// not sign it. This gate accepts statements of a directory only. So the statement is another one, and `iss` is its software.
#[test]
fn revolut_the_sample_of_the_documentation() {
    run(0, |host| async move {
        let (id, organisation) = ("2kiXQyo0tedjW2somjSgH7", "001580000103UAvAAM");
        let identifier = "PSDUK-REVCA-95248b85-bc39-413a-8a16-b5abbf6202cb";
        let mut name = DistinguishedName::new();
        for (kind, value) in [
            (DnType::CountryName, "GB"),
            (DnType::OrganizationName, "Revolut"),
            (DnType::OrganizationalUnitName, organisation),
            (DnType::CommonName, id),
            (DnType::CustomDnType(vec![2, 5, 4, 97]), identifier),
        ] {
            name.push(kind, value);
        }
        let transport = PKI.tpp_ca.issue_client(name).unwrap();
        let changes = json!({
            "software_id": id, "software_client_id": id, "org_id": organisation, "org_name": "Revolut",
            "software_redirect_uris": ["https://example.com"]
        });
        let statement = with(uk_statement(), changes);
        let metadata = json!({
            "id_token_signed_response_alg": "PS256",
            "request_object_signing_alg": "PS256",
            "token_endpoint_auth_method": "tls_client_auth",
            "application_type": "web",
            "redirect_uris": ["https://example.com"],
            "scope": "openid payments accounts",
            "tls_client_auth_dn": format!("organizationIdentifier={identifier},CN={id},OU={organisation},O=Revolut,C=GB")
        });
        // The sample has neither `jti` nor `grant_types`, and the list of required claims has neither.
        let of_request = json!({ "iss": id, "aud": "revolut", "exp": mint::now() + 3600, "iat": mint::now() });
        let request = with(metadata.clone(), of_request);
        let mut config = bank("revolut", ISSUER, "OpenBanking Ltd", &uk_key_set());
        config["registration"] = json!({ "audiences": ["revolut"] });
        let gate = gate_of(&host, config, &uk_key_set());
        let answer = post(&gate, &transport, "application/jwt", &signed(&request, &statement)).await;
        assert_registered(&answer, &metadata);
        assert_eq!(body(&answer)["grant_types"], json!(["client_credentials", "authorization_code", "refresh_token"]));
        assert_eq!(body(&answer)["org_jwks_endpoint"], statement["org_jwks_endpoint"]);
        let consumed = host.store.borrow().consumed[0]["jti"].clone();
        assert!(consumed.as_str().unwrap().starts_with("sha-256:"), "the request cannot be sent again: {consumed}");

        let unsigned = Token::of(json!({
            "software_client_name": "DCR Application 1705320990",
            "org_jwks_endpoint": "https://example.com/myjwks.json",
            "software_redirect_uris": ["https://example.com"]
        }));
        let request = Token::of(request).claim("software_statement", unsigned.unsigned());
        let answer = post(&gate, &transport, "application/jwt", &request.sign(&PKI.tpp.signing).unwrap()).await;
        assert_refused(&host, &answer, 400, "invalid_software_statement", "unsigned");
    });
}
