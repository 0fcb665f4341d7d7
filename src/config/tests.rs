use dcr_policy::profile::Profile;
use serde_json::{Value, json};

use super::*;
use crate::journey::tests::config as document;

/// The valid document, with `value` at the dotted path.
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
    assert_eq!(config.settings.profile.name, "uk-obie-3.3");
    assert_eq!(config.registration_endpoint(), "https://bank.example/open-banking/v3.3.0/register");
    assert_eq!(config.token_endpoint(), "https://bank.example/token");
    assert_eq!(config.settings.assertion_audiences, ["https://bank.example", "https://bank.example/token"]);
    assert_eq!(config.settings.limits.body_bytes, 64 * 1024);
    assert_eq!(config.settings.profile.clock_skew, Duration::from_secs(30));
}

#[test]
fn the_operator_overrides_them() {
    let document = with("access_token", json!({ "lifetime": "5m" }));
    assert_eq!(Config::from_value(document).unwrap().settings.profile.access_token.lifetime, Duration::from_secs(300));
    let document = with("paths", json!({ "registration": "/dcr/register", "token": "/oauth2/token" }));
    assert_eq!(Config::from_value(document).unwrap().token_endpoint(), "https://bank.example/oauth2/token");
    let document = with("gateway_url", json!("https://mtls.bank.example:8443"));
    assert_eq!(Config::from_value(document).unwrap().token_endpoint(), "https://mtls.bank.example:8443/token");
}

#[test]
fn a_fault_is_refused_with_its_path_and_the_correct_value() {
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
        (
            "profile",
            json!({ "extends": "uk-obie-3.3", "name": "own", "software_statement": { "claims": { "key_set_uris": [] } } }),
            "directories[0].dialect",
            "claims.key_set",
        ),
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
        ("jwks", json!({ "cached_sets": 0 }), "jwks.cached_sets", "between"),
        ("jwks", json!({ "cached_bytes": 569_855 }), "jwks.cached_bytes", "569856"),
        ("jwks", json!({ "shared_bytes": 1_u64 << 31 }), "jwks.shared_bytes", "between"),
        ("cache", json!({ "statements": 100_001 }), "cache.statements", "between"),
        ("cache", json!({ "client_max_age": "61s" }), "cache.client_max_age", "between"),
        ("cache", json!({ "client_bytes": 1_u64 << 31 }), "cache.client_bytes", "between"),
        ("profile", json!(["uk-obie-3.3"]), "profile", "whole profile"),
        ("profile", json!({ "name": "own" }), "profile..", "missing field"),
        ("profile", json!({ "extends": "uk" }), "profile.extends", "there are"),
        ("danger_profile_values", json!({ "unheard_of": 1 }), "danger_profile_values.unheard_of", "unknown field"),
        (
            "danger_profile_values",
            json!({ "client_metadata": { "scope_max_chars": "many" } }),
            "danger_profile_values.client_metadata.scope_max_chars",
            "usize",
        ),
        ("mode", json!("off"), "mode", "shadow"),
        ("mode", json!("audit"), "mode", "enforce"),
        ("danger_rules", json!({ "XX-01": "off" }), "danger_rules.XX-01", "not a rule"),
        ("danger_rules", json!({ "SS-02": "off" }), "danger_rules.SS-02", "cannot be set aside"),
        ("danger_rules", json!({ "MD-01": "on" }), "danger_rules.MD-01", "shadow"),
        ("directories.0.dialect", json!("uk"), "directories[0].dialect", "there are"),
        ("directories.0.statements", json!({ "single_use": true }), "directories[0].statements.single_use", "max_age"),
        ("directories.0.statements", json!({ "max_age": "0s" }), "directories[0].statements.max_age", "between"),
        ("access_token", json!({ "lifetime": "1s" }), "access_token.lifetime", "between"),
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
fn at_08_an_ecosystem_bounds_the_lifetime_of_its_tokens() {
    for (profile, lifetime, allowed) in [
        ("au-cdr", "2m", true),
        ("au-cdr", "119s", false),
        ("au-cdr", "601s", false),
        ("br-openfinance", "15m", true),
        ("br-openfinance", "299s", false),
        ("br-openfinance", "901s", false),
    ] {
        let mut document = with("profile", json!(profile));
        document["access_token"] = json!({ "lifetime": lifetime });
        assert_eq!(Config::from_value(document).is_ok(), allowed, "{profile} {lifetime}");
    }
}

#[test]
fn the_demands_on_a_directory_may_exceed_its_dialect_and_not_relax_it() {
    let of_brazil = |statements: Value| {
        let mut document = with("directories.0.dialect", json!("br-openfinance"));
        document["directories"][0]["statements"] = statements;
        Config::from_value(document)
    };
    let config = of_brazil(json!({ "max_age": "1m", "modes": ["Live"] })).unwrap();
    assert_eq!(config.settings.directories[0].dialect.max_age, Some(Duration::from_secs(60)));
    assert!(config.dangers.is_empty(), "further demands cause no warning");
    assert_eq!(of_brazil(json!({ "max_age": "6m" })).unwrap_err().path, "directories[0].statements.max_age");
    let mut document = with("profile", json!("au-cdr"));
    document["directories"][0]["statements"] = json!({ "single_use": false });
    assert_eq!(refused(document).path, "directories[0].statements.single_use");
}

#[test]
fn an_operator_can_write_a_profile_of_their_own() {
    let mut own = Profile::document("uk-obie-3.3").unwrap();
    own["name"] = json!("own");
    own["client_metadata"]["application_types"] = json!(["native"]);
    let config = Config::from_value(with("profile", own)).unwrap();
    assert_eq!((config.settings.profile.name.as_str(), config.dangers.len()), ("own", 0));
    let own = json!({ "extends": "fapi2", "name": "own", "client_metadata": { "scope_max_chars": 99 } });
    let profile = Config::from_value(with("profile", own)).unwrap().settings.profile;
    assert_eq!((profile.name.as_str(), profile.client_metadata.scope_max_chars), ("own", 99));
    assert_eq!(profile.client_metadata.response_types, ["code"], "as in fapi2");
    let config = Config::from_value(with("danger_profile_values", json!({ "clock_skew": "20s" }))).unwrap();
    assert_eq!(config.settings.profile.clock_skew, Duration::from_secs(20));
    assert_eq!(config.dangers, ["danger_profile_values.clock_skew"]);
}

#[test]
fn ss_13_hosts_of_key_sets_are_needed_for_what_is_fetched() {
    let mut document = with("directories.0.software_key_sets", json!([]));
    let mut claims = json!({ "key_set": "software_jwks" });
    let profile =
        |claims: &Value| json!({ "extends": "uk-obie-3.3", "name": "own", "software_statement": { "claims": claims } });
    document["profile"] = profile(&claims);
    let needs_hosts = |document: &Value| {
        Config::from_value(document.clone()).is_err_and(|error| error.path == "directories[0].software_key_sets")
    };
    assert!(needs_hosts(&document));
    claims["key_set_uris"] = json!([]);
    document["profile"] = profile(&claims);
    assert!(Config::from_value(document.clone()).is_ok());
    document["directories"][0]["statements"] = json!({ "refuse_revoked_keys": true });
    assert!(needs_hosts(&document), "the sets of revoked keys are fetched");
}

#[test]
fn rq_06_unsigned_requests_need_certificates_that_name_the_software() {
    let mut document = with("profile", json!("br-openfinance"));
    document["directories"][0]["dialect"] = json!("au-cdr");
    let error = refused(document);
    assert!(error.problem.contains("anybody could register it"), "{error}");
}

#[test]
fn a_value_that_widens_an_ecosystems_rules_has_danger_in_its_name() {
    let au = |registration: Value| {
        let mut document = with("registration", registration);
        document["profile"] = json!("au-cdr");
        Config::from_value(document)
    };
    let error = au(json!({ "single_registration": false })).unwrap_err();
    assert_eq!(error.path, "registration.single_registration");
    assert!(error.problem.contains("danger_multiple_registrations"));
    let config = au(json!({ "danger_multiple_registrations": true })).unwrap();
    assert!(!config.settings.profile.registration.single_registration);
    assert_eq!(config.dangers, ["registration.danger_multiple_registrations"]);
    assert!(au(json!({})).unwrap().settings.profile.registration.single_registration);
    let narrowed = Config::from_value(with("registration", json!({ "single_registration": true }))).unwrap();
    assert!(narrowed.settings.profile.registration.single_registration && narrowed.dangers.is_empty());
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
