use std::path::Path;
use std::sync::LazyLock;

use dcr_policy::profile::Profile;
use serde_json::{Value, json};

use super::schema::schema;
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

/// Faults: the member that is changed, its value, the place of the fault, and a word of the cure.
fn faults() -> Vec<(&'static str, Value, &'static str, &'static str)> {
    vec![
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
    ]
}

static VALIDATOR: LazyLock<jsonschema::Validator> = LazyLock::new(|| jsonschema::draft202012::new(&schema()).unwrap());

/// The faults that only the reader finds, by their places, and why a schema cannot.
const ONLY_THE_READER: [(&str, &str); 14] = [
    ("access_token.lifetime", DURATION),
    ("cache.client_max_age", DURATION),
    ("client_assertion.max_lifetime", DURATION),
    ("clock_skew", DURATION),
    ("directories[0].statements.max_age", DURATION),
    ("jwks.max_age", DURATION),
    ("store.timeout", DURATION),
    ("directories[0].dialect", RELATION),
    ("directories[0].statements.single_use", RELATION),
    ("jwks.cached_bytes", RELATION),
    ("limits.jwt_bytes", RELATION),
    ("paths", RELATION),
    ("paths.distinguished_name", RELATION),
    ("paths.token", RELATION),
];
const DURATION: &str = "a schema bounds numbers, and a duration is a text";
const RELATION: &str = "it depends on the value of another member, or of the profile";

#[test]
fn what_the_reader_refuses_is_invalid_by_the_schema_where_a_schema_can_tell() {
    let validator = &*VALIDATOR;
    assert!(validator.is_valid(&document()));
    let mut only_the_reader = Vec::new();
    for (path, value, at, _) in faults() {
        let is_known = ONLY_THE_READER.iter().any(|(place, _)| *place == at);
        if validator.is_valid(&with(path, value.clone())) {
            assert!(is_known, "{path} = {value} is valid by the schema");
            only_the_reader.push(at);
        }
    }
    let idle: Vec<_> = ONLY_THE_READER.iter().filter(|(place, _)| !only_the_reader.contains(place)).collect();
    assert!(idle.is_empty(), "the schema finds these faults: {idle:?}");
    for member in ["profile", "issuer", "directories", "store"] {
        let mut document = document();
        document.as_object_mut().unwrap().shift_remove(member);
        assert!(!validator.is_valid(&document), "{member}");
    }
}

#[test]
fn what_the_reader_takes_is_valid_by_the_schema() {
    let validator = &*VALIDATOR;
    let mut own = Profile::document("uk-obie-3.3").unwrap();
    own["name"] = json!("own");
    let mut taken = vec![
        with("profile", own),
        with("profile", json!({ "extends": "fapi2", "name": "own", "client_metadata": { "scope_max_chars": 99 } })),
        with("danger_profile_values", json!({ "clock_skew": "20s", "software_statement": { "max_age": null } })),
        with("danger_rules", json!({ "SS-09": "shadow", "MD-23": false, "MD-01": "enforce", "SS-02": "enforce" })),
        with("mode", json!("shadow")),
        with("paths", json!({ "registration": "/dcr/register", "token": "/oauth2/token", "distinguished_name": null })),
        with("gateway_url", json!("https://[::1]:8443")),
        with("issuer", json!("https://bank.example/a/b")),
        with("clock_skew", json!("1m")),
        with("certificate", json!({ "source": "forwarded", "trusted_proxies": ["Ab".repeat(32)] })),
        with("certificate", json!({ "source": "forwarded" })),
        with("certificate", json!({ "trusted_proxies": [] })),
        with("other_grants", json!("pass")),
        with("discovery", json!({ "jwks_uri": "https://bank.example/jwks" })),
        with("directories.0.dialect", json!("br-openfinance")),
        with("directories.0.jwks_uri", json!("https://keystore.example:8443/a.jwks?b=c")),
        with(
            "directories.0.certificate_issuers",
            json!([
                { "name": "CN=OpenBanking Issuing CA,O=OpenBanking,C=GB" },
                { "authority_key_identifier": "0a:1B:2c" },
                { "authority_key_identifier": "0a1B2c" },
            ]),
        ),
        with("directories.0.statements", json!({ "max_age": "10m", "single_use": true, "modes": ["Live"] })),
        with("limits", json!({ "body_bytes": 98304, "jwt_bytes": 98304 })),
        with("jwks", json!({ "shared_bytes": 0, "media_types": ["application/json"], "cached_bytes": 1 << 30 })),
    ];
    taken.extend(Profile::names().map(|name| with("profile", json!(name))));
    taken.extend(
        Profile::names()
            .filter(|name| *name != "br-openfinance")
            .map(|name| with("profile", json!({ "extends": name, "name": "own" }))),
    );
    taken.extend(examples());
    for document in taken {
        if let Err(error) = validator.validate(&document) {
            panic!("{document}: {}: {error}", error.instance_path());
        }
        Config::from_value(document.clone()).unwrap_or_else(|error| panic!("{document}: {error}"));
    }
}

/// The configurations in the repository's files and pages.
fn examples() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap();
    let envoy: Value = serde_saphyr::from_str(&read("envoy/envoy.yaml")).unwrap();
    let mut found = Vec::new();
    parts(&envoy, &mut found);
    assert_eq!(found.len(), 1);
    for page in ["README.md", "docs/configuration.md", "docs/operations.md"] {
        let page = read(page);
        for block in page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()) {
            if block.contains("google.protobuf.Struct") {
                parts(&serde_saphyr::from_str(block).unwrap(), &mut found);
            }
        }
    }
    assert!(found.len() >= 3, "{found:?}");
    found
}

/// The values of all Structs in a document.
fn parts(value: &Value, found: &mut Vec<Value>) {
    match value {
        Value::Object(members) => {
            let is_struct =
                members.get("@type").is_some_and(|name| name == "type.googleapis.com/google.protobuf.Struct");
            found.extend(members.get("value").filter(|_| is_struct).cloned());
            members.values().for_each(|value| parts(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| parts(value, found)),
        _ => {}
    }
}

#[test]
fn a_fault_is_refused_with_its_path_and_the_correct_value() {
    for (path, value, at, says) in faults() {
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
