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
    let key = SigningKey::generate_es256();
    let assertion = mint::client_assertion("client", "https://bank.example").sign(&key).unwrap();
    assert_eq!(Inspected::parse(&assertion).unwrap().kind, Kind::ClientAssertion);
    let statement = mint::software_statement(&software(), "https://directory.example").sign(&key).unwrap();
    assert_eq!(Inspected::parse(&statement).unwrap().kind, Kind::SoftwareStatement);
    assert_eq!(Inspected::parse(&mint::Token::of(json!({})).unsigned()).unwrap().kind, Kind::Other);
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
