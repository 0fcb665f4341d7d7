use dcr_mint as mint;
use dcr_mint::keys::SigningKey;
use dcr_mint::software::Software;

use super::*;

const NOW: u64 = 1_800_000_000;

fn software() -> Software {
    Software::new("Org", "App", "https://app.example").unwrap()
}

fn uk() -> Profile {
    Profile::named("uk-obie-3.3").unwrap()
}

fn request(change: impl FnOnce(mint::Token) -> mint::Token) -> Inspected {
    let (key, software) = (SigningKey::generate_es256(), software());
    let statement = mint::software_statement(&software, "https://directory.example").claim("iat", NOW - 259_200);
    let request = mint::registration_request(&software, "https://bank.example", &statement.sign(&key).unwrap());
    let request = request.claim("iat", NOW - 60).claim("exp", NOW + 240);
    Inspected::parse(&change(request).sign(&key).unwrap()).unwrap()
}

fn state(inspected: &Inspected, claim: &str) -> State {
    inspected.findings(&uk(), NOW).iter().find(|finding| finding.claim == claim).unwrap().state
}

#[test]
fn a_good_request_has_nothing_missing_and_times_in_words() {
    let inspected = request(|request| request);
    assert_eq!(inspected.kind, Kind::RegistrationRequest);
    let report = inspected.report(&uk(), NOW, &[]);
    assert!(!report.contains('✗'), "{report}");
    assert!(report.contains("expires in 4 min") && report.contains("issued 1 min ago"), "{report}");
    assert!(report.contains("Inside it: software statement") && report.contains("issued 3 days ago"), "{report}");
}

#[test]
fn what_is_missing_or_wrong_is_named_with_its_rule() {
    let inspected = request(|request| {
        let request =
            request.without("jti").claim("exp", NOW - 7200).claim("redirect_uris", json!(["http://app.example"]));
        request.claim("token_endpoint_auth_signing_alg", "RS256")
    });
    assert_eq!(state(&inspected, "jti"), State::Missing);
    assert_eq!(state(&inspected, "exp"), State::Wrong);
    assert_eq!(state(&inspected, "redirect_uris"), State::Wrong);
    assert_eq!(state(&inspected, "token_endpoint_auth_signing_alg"), State::Wrong);
    let report = inspected.report(&uk(), NOW, &[]);
    assert!(report.contains("expired 2 hours ago") && report.contains("RQ-04  missing: "), "{report}");
}

#[test]
fn what_depends_on_the_method_does() {
    let by_key = request(|request| request);
    assert_eq!(state(&by_key, "tls_client_auth_subject_dn"), State::Absent);
    let by_certificate = request(|request| request.for_tls_client_auth("CN=a"));
    assert_eq!(state(&by_certificate, "tls_client_auth_subject_dn"), State::Present);
    assert_eq!(state(&by_certificate, "token_endpoint_auth_signing_alg"), State::Absent);
    let both = request(|request| request.claim("tls_client_auth_subject_dn", "CN=a"));
    assert_eq!(state(&both, "tls_client_auth_subject_dn"), State::Wrong);
}

#[test]
fn a_token_is_compared_with_the_profile_whose_statements_look_like_its_own() {
    assert_eq!(request(|request| request).likely_profile().unwrap().name, "uk-obie-3.3");

    let (key, software) = (SigningKey::generate_es256(), software());
    let statement = mint::cdr_software_statement(&software, "https://directory.example").sign(&key).unwrap();
    let request = mint::cdr_registration_request(&software, "https://bank.example", &statement).sign(&key).unwrap();
    let assertion = mint::client_assertion("client", "https://bank.example").sign(&key).unwrap();
    for (token, name) in [(&statement, "au-cdr"), (&request, "au-cdr"), (&assertion, "uk-obie-3.3")] {
        let inspected = Inspected::parse(token).unwrap();
        let profile = inspected.likely_profile().unwrap();
        assert_eq!(profile.name, name);
        let report = inspected.report(&profile, mint::now(), &[]);
        assert!(!report.contains('✗') && report.contains(&format!("Profile {name}")), "{report}");
    }
}

#[test]
fn what_another_profile_wants_is_told_by_its_values() {
    let inspected = request(|request| request);
    let cdr = Profile::named("au-cdr").unwrap();
    let finding = |claim: &str| inspected.findings(&cdr, NOW).into_iter().find(|finding| finding.claim == claim);
    assert_eq!(finding("authorization_signed_response_alg").unwrap().state, State::Missing);
    assert_eq!(finding("response_types").unwrap().state, State::Wrong);
    assert_eq!(finding("application_type").unwrap().state, State::Present);
    let statement = inspected.software_statement().unwrap();
    let missing = statement.findings(&cdr, NOW).into_iter().filter(|finding| finding.state == State::Missing);
    let missing: Vec<String> = missing.map(|finding| finding.claim).collect();
    assert!(missing.contains(&"jwks_uri".into()) && missing.contains(&"exp".into()), "{missing:?}");
}

#[test]
fn a_statement_has_an_age_where_the_profile_has_one() {
    let mut profile = uk();
    let statement = request(|request| request).software_statement().unwrap();
    let state = |profile: &Profile| {
        statement.findings(profile, NOW).into_iter().find(|finding| finding.claim == "iat").unwrap().state
    };
    assert_eq!(state(&profile), State::Present);
    profile.software_statement.max_age = Some(Duration::from_secs(300));
    assert_eq!(state(&profile), State::Wrong);
}

#[test]
fn a_role_counts_where_it_is_active() {
    let software = software().in_brazil().unwrap();
    let brazil = Profile::named("br-openfinance").unwrap();
    let statement = mint::brazil_software_statement(&software, "https://directory.example");
    for (status, expected) in [("Active", State::Present), ("Inactive", State::Wrong)] {
        let roles = json!([{ "role": "DADOS", "authorisation_domain": "Open Banking", "status": status }]);
        let statement = statement.clone().claim("software_statement_roles", roles).unsigned();
        let findings = Inspected::parse(&statement).unwrap().findings(&brazil, mint::now());
        let roles = findings.iter().find(|finding| finding.claim == "software_statement_roles").unwrap();
        assert_eq!(roles.state, expected, "{status}");
    }
}

#[test]
fn an_unsigned_request_is_a_json_object_without_the_claims_of_a_signature() {
    let software = software().in_brazil().unwrap();
    let statement = mint::brazil_software_statement(&software, "https://directory.example");
    let statement = statement.sign(&SigningKey::generate_es256()).unwrap();
    let inspected = Inspected::parse(&mint::brazil_registration_request(&software, &statement).to_json()).unwrap();
    assert_eq!((inspected.kind, inspected.is_signed()), (Kind::RegistrationRequest, false));
    let claims: Vec<String> = inspected.findings(&uk(), NOW).into_iter().map(|finding| finding.claim).collect();
    assert!(!claims.contains(&"aud".into()) && claims.contains(&"grant_types".into()), "{claims:?}");
    let profile = inspected.likely_profile().unwrap();
    assert_eq!(profile.name, "br-openfinance");
    let report = inspected.report(&profile, mint::now(), &[]);
    assert!(!report.contains('✗'), "{report}");
    assert!(report.starts_with("registration request (a JSON object, not signed)\n\nClaims\n"), "{report}");
    assert!(report.contains("Inside it: software statement"), "{report}");
    assert!(Inspected::parse_jws("{}").is_err() && Inspected::parse("{\"a\"").is_err());
}

#[test]
fn kinds_are_told_apart() {
    let (key, software) = (SigningKey::generate_es256(), software());
    let in_brazil = software.clone().in_brazil().unwrap();
    let directory = "https://directory.example";
    let statement = mint::software_statement(&software, directory);
    let signed = statement.sign(&key).unwrap();
    let request = mint::registration_request(&software, "https://bank.example", &signed);
    let bare = request.clone().without("software_statement").without("token_endpoint_auth_method");
    let assertion = mint::client_assertion("client", "https://bank.example");
    let token = |claims: Value| mint::Token::of(claims);
    let of_bank = |claims: Value| {
        let about =
            json!({ "iss": "https://bank.example", "sub": "user", "aud": "client", "iat": NOW, "exp": NOW + 60 });
        let with = |token: mint::Token, (name, value): (&String, &Value)| token.claim(name, value.clone());
        claims.as_object().unwrap().iter().fold(mint::Token::of(about), with)
    };
    for (token, kind) in [
        (statement.clone(), Kind::SoftwareStatement),
        (statement.without("org_id"), Kind::SoftwareStatement),
        (mint::cdr_software_statement(&software, directory), Kind::SoftwareStatement),
        (mint::cdr_software_statement(&software, directory).without("org_id"), Kind::SoftwareStatement),
        (mint::brazil_software_statement(&in_brazil, directory), Kind::SoftwareStatement),
        (mint::brazil_software_statement(&in_brazil, directory).without("org_id"), Kind::SoftwareStatement),
        (token(json!({ "iss": "directory", "software_roles": ["AISP"] })), Kind::SoftwareStatement),
        (token(json!({ "software_jwks_uri": "https://directory.example/jwks" })), Kind::SoftwareStatement),
        (request.clone(), Kind::RegistrationRequest),
        (request.claim("org_id", "copied"), Kind::RegistrationRequest),
        (bare, Kind::RegistrationRequest),
        (mint::cdr_registration_request(&software, "https://bank.example", &signed), Kind::RegistrationRequest),
        (mint::brazil_registration_request(&in_brazil, &signed), Kind::RegistrationRequest),
        (token(json!({ "redirect_uris": ["https://app.example"] })), Kind::RegistrationRequest),
        (assertion.clone(), Kind::ClientAssertion),
        (assertion.without("iss").header("typ", "client-authentication+jwt"), Kind::ClientAssertion),
        (of_bank(json!({})).header("typ", "at+jwt"), Kind::AccessToken),
        (of_bank(json!({ "nonce": "n" })).header("typ", "application/AT+JWT"), Kind::AccessToken),
        (of_bank(json!({ "scope": "accounts" })), Kind::AccessToken),
        (of_bank(json!({ "client_id": "client", "acr": "1", "auth_time": NOW })), Kind::AccessToken),
        (of_bank(json!({ "cnf": { "x5t#S256": "thumbprint" } })), Kind::AccessToken),
        (of_bank(json!({ "nonce": "n" })), Kind::IdentityToken),
        (of_bank(json!({ "at_hash": "h", "client_id": "client" })), Kind::IdentityToken),
        (of_bank(json!({ "c_hash": "h" })), Kind::IdentityToken),
        (of_bank(json!({ "s_hash": "h" })), Kind::IdentityToken),
        (of_bank(json!({ "auth_time": NOW })), Kind::IdentityToken),
        (of_bank(json!({ "acr": "urn:openbanking:psd2:sca" })), Kind::IdentityToken),
        (
            token(json!({
                "iss": "client", "client_id": "client", "response_type": "code", "redirect_uri": "https://app.example",
                "scope": "openid", "nonce": "n"
            })),
            Kind::RequestObject,
        ),
        (of_bank(json!({ "client_id": "client" })).header("typ", "oauth-authz-req+jwt"), Kind::RequestObject),
        (of_bank(json!({})), Kind::Other),
        (token(json!({})), Kind::Other),
    ] {
        let inspected = Inspected::parse(&token.sign(&key).unwrap()).unwrap();
        assert_eq!(inspected.kind, kind, "{:?} {:?}", inspected.header, inspected.claims);
        assert!(inspected.report(&uk(), NOW, &[]).starts_with(kind.name()));
    }
}

#[test]
fn a_statement_may_hold_the_keys_where_the_profile_says_so() {
    let mut by_value = uk();
    by_value.software_statement.claims.key_set = Some("software_jwks".to_owned());
    let key = SigningKey::generate_es256();
    let found = |statement: mint::Token, profile: &Profile| {
        let statement = Inspected::parse(&statement.sign(&key).unwrap()).unwrap();
        let findings = statement.findings(profile, NOW).into_iter();
        findings.filter(|finding| finding.rule == "SS-13").map(|one| (one.claim, one.state)).collect::<Vec<_>>()
    };
    let statement = || mint::software_statement(&software(), "https://directory.example");
    let without_url = || statement().without("software_jwks_endpoint").without("org_jwks_endpoint");
    let keys = json!({ "keys": [] });
    let (url, value) = ("software_jwks_endpoint".to_owned(), "software_jwks".to_owned());
    for (statement, profile, claim, state) in [
        (statement().claim("software_jwks", keys.clone()), &by_value, &url, State::Present),
        (without_url().claim("software_jwks", keys.clone()), &by_value, &value, State::Present),
        (without_url().claim("software_jwks", "x"), &by_value, &value, State::Wrong),
        (without_url(), &by_value, &url, State::Missing),
        (without_url().claim("software_jwks", keys.clone()), &uk(), &url, State::Missing),
    ] {
        assert_eq!(found(statement, profile), [(claim.clone(), state)]);
    }
}

#[test]
fn every_profile_belongs_to_an_ecosystem_that_its_statements_show() {
    for profile in Profile::names().map(|name| Profile::named(name).unwrap()) {
        let is_its = |ecosystem: &&Ecosystem| profile.families.iter().any(|family| family == ecosystem.family);
        let ecosystem = ECOSYSTEMS.iter().find(is_its).unwrap_or_else(|| panic!("{} has no ecosystem", profile.name));
        let names = &profile.software_statement.claims;
        let statement = [&names.roles, &names.software_id, &names.organisation_id, &names.redirect_uris]
            .into_iter()
            .chain(&names.key_set_uris)
            .chain(&profile.software_statement.required_claims)
            .fold(mint::Token::of(json!({})), |statement, name| statement.claim(name, "x"));
        let origin = Inspected::parse(&statement.unsigned()).unwrap().origin();
        assert_eq!(origin.map(|origin| origin.ecosystem.name), Some(ecosystem.name), "{}", profile.name);
    }
}

#[test]
fn the_ecosystem_of_a_token_is_shown_by_what_only_it_has() {
    let (key, software) = (SigningKey::generate_es256(), software());
    let directory = "https://directory.example";
    let in_brazil = software.clone().in_brazil().unwrap();
    let signed = |statement: mint::Token| statement.sign(&key).unwrap();
    let uk = signed(mint::software_statement(&software, directory));
    let cdr = signed(mint::cdr_software_statement(&software, directory));
    let brazil = signed(mint::brazil_software_statement(&in_brazil, directory));
    let of = |claims: Value| mint::Token::of(claims).unsigned();
    const UK: Option<&str> = Some("Open Banking UK");
    const BRAZIL: Option<&str> = Some("Open Finance Brasil");
    const AUSTRALIA: Option<&str> = Some("Consumer Data Right, Australia");
    for (token, ecosystem, shown_by) in [
        (uk.clone(), UK, "software_jwks_endpoint"),
        (cdr.clone(), AUSTRALIA, "recipient_base_uri"),
        (brazil.clone(), BRAZIL, "software_statement_roles"),
        (signed(mint::registration_request(&software, "https://bank.example", &uk)), UK, "software_jwks_endpoint"),
        (
            signed(mint::cdr_registration_request(&software, "https://bank.example", &cdr)),
            AUSTRALIA,
            "recipient_base_uri",
        ),
        (mint::brazil_registration_request(&in_brazil, &brazil).to_json(), BRAZIL, "software_statement_roles"),
        (of(json!({ "iss": "OpenBanking Ltd", "org_id": "o" })), UK, "iss OpenBanking Ltd"),
        (of(json!({ "iss": "cdr-register", "org_id": "o" })), AUSTRALIA, "iss cdr-register"),
        (
            of(json!({ "iss": mint::BRAZIL_DIRECTORY_ISSUER })),
            BRAZIL,
            "iss Open Banking Open Banking Brasil sandbox SSA issuer",
        ),
        (of(json!({ "acr": "urn:openbanking:psd2:sca" })), UK, "urn:openbanking:psd2:"),
        (of(json!({ "acr": "urn:brasil:openbanking:loa2" })), BRAZIL, "urn:brasil:openbanking:"),
        (of(json!({ "acr": "urn:cds.au:cdr:2" })), AUSTRALIA, "urn:cds.au:cdr:"),
        (of(json!({ "claims": { "id_token": { "openbanking_intent_id": {} } } })), UK, "openbanking_intent_id"),
        (of(json!({ "claims": { "sharing_duration": 1 } })), AUSTRALIA, "sharing_duration"),
        (signed(mint::client_assertion("client", "https://bank.example")), None, ""),
        (of(json!({ "iss": "https://bank.example" })), None, ""),
    ] {
        let inspected = Inspected::parse(&token).unwrap();
        let origin = inspected.origin();
        let found = origin.as_ref().map(|origin| (origin.ecosystem.name, origin.shown_by.as_str()));
        assert_eq!(found, ecosystem.map(|name| (name, shown_by)), "{:?}", inspected.claims);
        let report = inspected.report(&self::uk(), NOW, &[]);
        let line = ecosystem.map(|name| format!("\nEcosystem\n  {name}, as {shown_by} shows\n"));
        assert!(line.map_or(!report.contains("Ecosystem"), |line| report.contains(&line)), "{report}");
    }
}

#[test]
fn the_profiles_that_fit_are_named() {
    let (es256, ps256) = (SigningKey::generate_es256(), SigningKey::generate_ps256().unwrap());
    let software = software();
    let statement = mint::software_statement(&software, "https://directory.example");
    let request = |key: &SigningKey, change: &dyn Fn(mint::Token) -> mint::Token| {
        let statement = statement.sign(key).unwrap();
        change(mint::registration_request(&software, "https://bank.example", &statement)).sign(key).unwrap()
    };
    let cdr = mint::cdr_software_statement(&software, "https://directory.example").sign(&ps256).unwrap();
    let cdr = mint::cdr_registration_request(&software, "https://bank.example", &cdr);
    let assertion = mint::client_assertion("client", "https://bank.example");
    let of_uk = ["uk-obie-3.3", "uk-obie-3.4", "wso2-accelerator-3"];
    let nothing: [&str; 0] = [];
    for (token, fitting) in [
        (
            statement.sign(&ps256).unwrap(),
            &["uk-obie-3.3", "uk-obie-3.4", "wso2-accelerator-3", "fapi2", "revolut"][..],
        ),
        // Revolut takes PS256 only.
        (statement.sign(&es256).unwrap(), &["uk-obie-3.3", "uk-obie-3.4", "wso2-accelerator-3", "fapi2"]),
        // An expired token belongs to the same profiles.
        (request(&ps256, &|request| request.claim("exp", 1)), &of_uk),
        (
            request(&ps256, &|request| request.claim("response_types", json!(["code"]))),
            &["uk-obie-3.3", "uk-obie-3.4", "wso2-accelerator-3", "fapi2"],
        ),
        (request(&ps256, &|request| request.claim("application_type", "native")), &["uk-obie-3.4"]),
        (request(&ps256, &|request| request.without("aud")), &nothing),
        (cdr.sign(&ps256).unwrap(), &["au-cdr"]),
        (cdr.to_json(), &nothing),
        (
            assertion.sign(&ps256).unwrap(),
            &["uk-obie-3.3", "uk-obie-3.4", "wso2-accelerator-3", "fapi2", "au-cdr", "br-openfinance"],
        ),
        (
            assertion.clone().claim("aud", json!(["https://bank.example"])).sign(&es256).unwrap(),
            &["uk-obie-3.3", "uk-obie-3.4", "wso2-accelerator-3", "au-cdr"],
        ),
    ] {
        let inspected = Inspected::parse(&token).unwrap();
        let fits = inspected.fits().unwrap();
        let found: Vec<&str> =
            fits.iter().filter(|fit| fit.unmet.is_empty()).map(|fit| fit.profile.name.as_str()).collect();
        assert_eq!(found, fitting, "{token}: {fits:?}");
        let likely = inspected.likely_profile().unwrap();
        assert!(fitting.is_empty() || likely.name == fitting[0], "{}", likely.name);
        let (report, json) = (inspected.report(&likely, NOW, &[]), inspected.to_json(&likely, NOW, &[]));
        let names = if fitting.is_empty() { "none".into() } else { fitting.join(", ") };
        assert!(report.contains(&format!("\nProfiles\n  fits     {names}\n")), "{report}");
        let in_json = json["profiles"].as_array().unwrap().iter().filter(|fit| fit["fits"] == true).count();
        assert_eq!(in_json, fitting.len(), "{json}");
    }

    let mobile = request(&ps256, &|request| request.claim("application_type", "mobile"));
    let report = Inspected::parse(&mobile).unwrap().report(&uk(), NOW, &[]);
    assert!(report.contains("\n  differs  uk-obie-3.4: application_type\n"), "{report}");
    for (token, line) in [
        (cdr.to_json(), "au-cdr: is not signed"),
        (
            cdr.clone().claim("software_statement", statement.sign(&es256).unwrap()).sign(&ps256).unwrap(),
            "fapi2: application_type",
        ),
        (request(&es256, &|request| request), "revolut: alg, token_endpoint_auth_method, software_statement.alg"),
        (assertion.sign(&ps256).unwrap(), "revolut: private_key_jwt"),
    ] {
        let report = Inspected::parse(&token).unwrap().report(&uk(), NOW, &[]);
        assert!(report.contains(&format!("\n  differs  {line}")), "{line}: {report}");
    }
    let in_brazil = software.clone().in_brazil().unwrap();
    let brazil = mint::brazil_software_statement(&in_brazil, "https://directory.example").sign(&ps256).unwrap();
    let brazil = mint::brazil_registration_request(&in_brazil, &brazil);
    let fits = |token: &str| Inspected::parse(token).unwrap().fits().unwrap();
    assert!(matches!(&fits(&brazil.to_json())[..], [only] if only.unmet.is_empty()));
    assert!(matches!(&fits(&brazil.sign(&ps256).unwrap())[..], [only] if only.unmet[0] == "is signed"));
    let unknown = mint::Token::of(json!({ "scope": "accounts" })).unsigned();
    let report = Inspected::parse(&unknown).unwrap().report(&uk(), NOW, &[]);
    assert!(!report.contains("Profile"), "profiles make no demands on an access token: {report}");
}

#[test]
fn a_token_cannot_steer_the_terminal() {
    let token = mint::Token::of(json!({ "name\u{1b}[2J": "\u{9b}2J \u{7f} \u{1b}[31m" })).unsigned();
    let report = Inspected::parse(&token).unwrap().report(&uk(), NOW, &[]);
    assert!(report.chars().all(|letter| letter == '\n' || !letter.is_control()), "{report:?}");
}

#[test]
fn what_is_no_compact_jws_is_said() {
    for (token, said) in [
        ("", "1 parts"),
        ("a.b", "2 parts"),
        ("a.b.c.d.e", "5 parts"),
        ("e30.e30.=", "signature"),
        ("e30.W10.", "JSON object"),
    ] {
        let error = Inspected::parse(token).unwrap_err().to_string();
        assert!(error.contains(said), "{token}: {error}");
    }
}

#[test]
fn absurd_times_do_not_panic() {
    for time in [json!(u64::MAX), json!(-1), json!(1.5e300)] {
        let token = mint::Token::of(json!({ "exp": time })).unsigned();
        Inspected::parse(&token).unwrap().report(&uk(), NOW, &[]);
    }
}

#[test]
fn with_keys_the_signatures_are_verified() {
    let (key, other) =
        (SigningKey::generate_es256().with_kid("tpp"), SigningKey::generate_es256().with_kid("directory"));
    let software = software();
    let statement = mint::software_statement(&software, "https://directory.example").sign(&other).unwrap();
    let request = mint::registration_request(&software, "https://bank.example", &statement).sign(&key).unwrap();
    let inspected = Inspected::parse(&format!(" {request}\n")).unwrap();
    let sets = |key: &SigningKey| [json!({ "keys": [key.public_jwk()] })];

    let report = inspected.report(&uk(), NOW, &sets(&key));
    assert!(report.starts_with("registration request (verifies with the key \"tpp\")\n\nHeader\n"), "{report}");
    let of_statement = "Inside it: software statement (the signature does not verify)\n\nSignature\n  no key for ES256 with the \
                        kid \"directory\" is among the keys\n";
    assert!(report.contains(of_statement), "{report}");
    let found = inspected.to_json(&uk(), NOW, &sets(&other));
    assert_eq!(found["signature"]["verifies"], false);
    let expected = json!({ "verifies": true, "said": "verifies with the key \"directory\"" });
    assert_eq!(found["software_statement"]["signature"], expected);
    assert_eq!(inspected.to_json(&uk(), NOW, &[])["signature"], Value::Null);
}
