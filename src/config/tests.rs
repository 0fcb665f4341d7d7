use serde_json::{Value, json};

use super::*;
use crate::journey::tests::config as document;

/// The good document, with `value` at the dotted path.
fn with(path: &str, value: Value) -> Value {
    let mut document = document();
    let mut place = &mut document;
    for step in path.split('.') {
        place = match step.parse::<usize>() {
            Ok(index) => &mut place[index],
            Err(_) => &mut place[step],
        };
    }
    *place = value;
    document
}

#[track_caller]
fn refused(document: Value) -> ConfigError {
    Config::from_value(document).unwrap_err()
}

#[test]
fn the_profile_gives_the_defaults() {
    let config = Config::from_value(document()).unwrap();
    assert_eq!(config.profile.name, "uk-obie-3.3");
    assert_eq!(config.registration_endpoint(), "https://bank.example/open-banking/v3.3.0/register");
    assert_eq!(config.token_endpoint(), "https://bank.example/token");
    assert_eq!(config.assertion_audiences, ["https://bank.example", "https://bank.example/token"]);
    assert_eq!(config.limits.body_bytes, 64 * 1024);
    assert_eq!(config.profile.clock_skew, Duration::from_secs(30));
}

#[test]
fn the_operator_overrides_them() {
    let document = with("access_token", json!({ "lifetime": "5m" }));
    assert_eq!(Config::from_value(document).unwrap().profile.access_token.lifetime, Duration::from_secs(300));
    let document = with("paths", json!({ "registration": "/dcr/register", "token": "/oauth2/token" }));
    assert_eq!(Config::from_value(document).unwrap().token_endpoint(), "https://bank.example/oauth2/token");
    let document = with("gateway_url", json!("https://mtls.bank.example:8443"));
    assert_eq!(Config::from_value(document).unwrap().token_endpoint(), "https://mtls.bank.example:8443/token");
}

#[test]
fn what_is_wrong_is_refused_with_its_path_and_what_to_write() {
    for (path, value, at, says) in [
        ("profile", json!("uk"), "profile", "uk-obie-3.3"),
        ("issuer", json!("http://bank.example"), "issuer", "https"),
        ("issuer", json!("https://bank.example/?x"), "issuer", "https"),
        ("issuer", json!("https://u@bank.example"), "issuer", "https"),
        ("directories", json!([]), "directories", "at least one"),
        ("directories.0.jwks_uri", json!("http://k.example/x"), "directories[0].jwks_uri", "https"),
        ("directories.0.issuer", json!(""), "directories[0].issuer", "iss"),
        ("directories.0.cluster", json!(""), "directories[0].cluster", "cluster"),
        ("directories.0.software_key_sets", json!([]), "directories[0].software_key_sets", "hosts"),
        (
            "directories.0.software_key_sets.0.host",
            json!("https://k"),
            "directories[0].software_key_sets[0].host",
            "host",
        ),
        ("directories.0.unheard_of", json!(1), "directories[0].unheard_of", "unknown field"),
        ("store.cluster", json!(""), "store.cluster", "cluster"),
        ("store.timeout", json!("0s"), "store.timeout", "between"),
        ("store.timeout", json!(2), "store.timeout", "string"),
        ("store.timeout", json!("2 fortnights"), "store.timeout", "30s"),
        ("clock_skew", json!("5m"), "clock_skew", "between"),
        ("paths", json!({ "token": "token" }), "paths.token", "/"),
        ("paths", json!({ "distinguished_name": "/token" }), "paths.distinguished_name", "another"),
        ("paths", json!({ "token": "/open-banking/v3.3.0/register/t" }), "paths.token", "below"),
        ("paths", json!({ "token": "/.well-known/token" }), "paths", ".well-known"),
        ("certificate", json!({ "trusted_proxies": ["00"] }), "certificate.trusted_proxies", "forwarded"),
        (
            "certificate",
            json!({ "source": "forwarded", "trusted_proxies": ["00"] }),
            "certificate.trusted_proxies[0]",
            "64",
        ),
        ("certificate", json!({ "source": "header" }), "certificate.source", "forwarded"),
        ("registration", json!({ "audiences": [] }), "registration.audiences", "at least one"),
        ("limits", json!({ "jwt_bytes": 70_000 }), "limits.jwt_bytes", "body_bytes"),
        ("limits", json!({ "body_bytes": 0 }), "limits.body_bytes", "between"),
        ("jwks", json!({ "max_age": "0s" }), "jwks.max_age", "between"),
        ("client_assertion", json!({ "max_lifetime": "48h" }), "client_assertion.max_lifetime", "between"),
        ("discovery", json!({ "issuer": "x" }), "discovery.issuer", "leave it out"),
        ("proflie", json!("x"), "proflie", "unknown field"),
    ] {
        let error = refused(with(path, value.clone()));
        assert_eq!(error.path, at, "{path} = {value}: {error}");
        assert!(error.problem.contains(says), "{path} = {value}: {error}");
    }
}

#[test]
fn what_widens_an_ecosystems_rules_has_danger_in_its_name() {
    let au = |registration: Value| {
        let mut document = with("registration", registration);
        document["profile"] = json!("au-cdr");
        Config::from_value(document)
    };
    let error = au(json!({ "single_registration": false })).unwrap_err();
    assert_eq!(error.path, "registration.single_registration");
    assert!(error.problem.contains("danger_multiple_registrations"));
    let config = au(json!({ "danger_multiple_registrations": true })).unwrap();
    assert!(!config.profile.registration.single_registration);
    assert_eq!(config.dangers, ["registration.danger_multiple_registrations"]);
    assert!(au(json!({})).unwrap().profile.registration.single_registration);
    let narrowed = Config::from_value(with("registration", json!({ "single_registration": true }))).unwrap();
    assert!(narrowed.profile.registration.single_registration && narrowed.dangers.is_empty());
}

#[test]
fn an_issuer_listed_twice_is_refused() {
    let mut document = document();
    let directory = document["directories"][0].clone();
    document["directories"].as_array_mut().unwrap().push(directory);
    assert_eq!(refused(document).path, "directories[2].issuer");
}

#[test]
fn a_missing_member_is_named() {
    for member in ["profile", "issuer", "directories", "store"] {
        let mut document = document();
        document.as_object_mut().unwrap().shift_remove(member);
        assert!(refused(document).problem.contains(member));
    }
}

#[test]
fn key_set_urls() {
    let parsed = KeySetUrl::parse("https://keystore.example:8443/a/b.jwks?x=1").unwrap();
    assert_eq!((parsed.authority, parsed.path), ("keystore.example:8443", "/a/b.jwks?x=1"));
    for url in [
        "http://k.example/x",
        "https://k.example",
        "https:///x",
        "https://u@k.example/x",
        "https://k.example/x#y",
        "https://k.example/x y",
        "https://k.example/\r\nx",
        "https://k.example:99999/x",
        "https://[::1/x",
        "//k.example/x",
    ] {
        assert!(KeySetUrl::parse(url).is_none(), "{url}");
    }
}
