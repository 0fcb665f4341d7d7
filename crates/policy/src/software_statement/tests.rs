use std::time::Duration;

use serde_json::json;

use super::*;
use crate::jwt::tests::verified;
use crate::software_keys::{MAX_BYTES, MAX_KEYS};
use crate::tests::{
    NOW, assert_refused, evaluation, header, public_keys, settings, settings_of, settings_of_keys_by_value, statement,
    statement_holding, token, with, without,
};

const STATEMENT: &str = "invalid_software_statement";
const UNAPPROVED: &str = "unapproved_software_statement";
const SKEW: u64 = 30;

/// The statement with these claims, checked under `settings`.
pub(crate) fn checked(claims: &Value, settings: &Settings) -> Result<SoftwareStatement, Refusal> {
    let verified = verified(Document::SoftwareStatement, claims);
    SoftwareStatement::check(verified, &settings.directories[0], SKEW, NOW, &evaluation())
}

#[track_caller]
fn refused(claims: &Value, error: &str, reason: &str) {
    assert_refused(checked(claims, &settings()), 400, error, reason);
}

/// The settings with changes to the dialect.
fn asking(ask: impl FnOnce(&mut Dialect)) -> Settings {
    let mut settings = settings();
    ask(&mut settings.directories[0].dialect);
    settings
}

fn open(claims: &Value) -> Result<(), Refusal> {
    UnverifiedStatement::open(&token(&header(), claims), &settings(), &evaluation()).map(|_| ())
}

#[test]
fn a_statement_that_breaks_no_rule_is_accepted() {
    assert_eq!(open(&statement()), Ok(()));
    assert_eq!(checked(&statement(), &settings()).unwrap().roles(), ["AISP"]);
}

#[test]
fn jw_08_a_request_is_no_statement() {
    let request = with(statement(), "software_statement", "e30.e30.e30");
    assert_refused(open(&request), 400, STATEMENT, "token_confused");
}

#[test]
fn ss_03_the_issuer_is_a_directory_on_the_list() {
    for claims in [with(statement(), "iss", "Directory"), with(statement(), "iss", 7), without(statement(), "iss")] {
        assert_refused(open(&claims), 400, UNAPPROVED, "statement_issuer");
    }
}

#[test]
fn jo_18_the_dialect_demands_a_typ() {
    let (settings, token) = (settings(), token(&without(header(), "typ"), &statement()));
    assert_refused(UnverifiedStatement::open(&token, &settings, &evaluation()), 400, STATEMENT, "typ_missing");
}

#[test]
fn ss_04_claims_are_there_and_of_their_types() {
    for name in ["software_id", "iat", "jti"] {
        refused(&without(statement(), name), STATEMENT, "statement_claim_missing");
        refused(&with(statement(), name, Value::Null), STATEMENT, "statement_claim_missing");
    }
    for (name, value) in [
        ("software_id", json!(7)),
        ("software_id", json!("")),
        ("org_id", json!("x".repeat(257))),
        ("org_id", json!("a\nb")),
        ("software_redirect_uris", json!("https://harbour.example/callback")),
        ("software_redirect_uris", json!([7])),
    ] {
        refused(&with(statement(), name, value), STATEMENT, "statement_claim_missing");
    }
}

#[test]
fn jw_02_jw_04_dates_of_a_statement() {
    for date in ["exp", "iat", "nbf"] {
        refused(&with(statement(), date, "1700000000"), STATEMENT, "date_malformed");
    }
    refused(&with(statement(), "nbf", NOW + SKEW + 1), STATEMENT, "not_yet_valid");
}

#[test]
fn ss_05_a_statement_expires() {
    refused(&with(statement(), "exp", NOW), STATEMENT, "statement_expired");
    assert!(checked(&with(statement(), "exp", NOW + 1), &settings()).is_ok());
}

#[test]
fn ss_06_a_statement_grows_too_old() {
    let settings = asking(|dialect| dialect.max_age = Some(Duration::from_secs(60)));
    let of_age = |age: u64| checked(&with(statement(), "iat", NOW - age), &settings);
    assert_refused(of_age(61), 400, STATEMENT, "statement_too_old");
    assert!(of_age(60).is_ok());
}

#[test]
fn ss_05_ss_06_are_checked_before_the_signature() {
    let settings = asking(|dialect| dialect.max_age = Some(Duration::from_secs(60)));
    for (name, value, reason) in [("exp", NOW, "statement_expired"), ("iat", NOW - 61, "statement_too_old")] {
        let token = token(&header(), &with(statement(), name, value));
        let (unverified, directory) = UnverifiedStatement::open(&token, &settings, &evaluation()).unwrap();
        assert_refused(unverified.ss_05_ss_06_early(directory, NOW, &evaluation()), 400, STATEMENT, reason);
    }
}

#[test]
fn ss_07_a_statement_is_not_from_the_future() {
    refused(&with(statement(), "iat", NOW + SKEW + 1), STATEMENT, "statement_from_the_future");
    assert!(checked(&with(statement(), "iat", NOW + SKEW), &settings()).is_ok());
}

#[test]
fn ss_08_a_statement_that_serves_once_has_an_id_and_an_end() {
    let settings = asking(|dialect| {
        dialect.single_use = true;
        dialect.required_claims.clear();
    });
    let good = with(statement(), "exp", NOW + 60);
    let id = checked(&good, &settings).unwrap().single_use().cloned();
    assert_eq!(id, Some(Jti { jti: "statement-1".to_owned(), expires_at: NOW + 60 }));
    for broken in [without(good.clone(), "jti"), without(good, "exp")] {
        assert_refused(checked(&broken, &settings), 400, STATEMENT, "statement_claim_missing");
    }
}

#[test]
fn ss_09_the_organisation_is_active() {
    for status in [json!("Revoked"), json!("active"), json!(null)] {
        refused(&with(statement(), "org_status", status), UNAPPROVED, "organisation_not_active");
    }
}

#[test]
fn ss_10_the_software_has_a_role() {
    for roles in [json!([]), json!("AISP"), json!(["AISP", 7]), json!(null)] {
        refused(&with(statement(), "software_roles", roles), STATEMENT, "software_roles_missing");
    }
    let of_brazil = |status: &str| {
        let roles = json!([{ "role": "DADOS", "authorisation_domain": "Open Banking", "status": status }]);
        let claims = with(statement(), "software_statement_roles", roles);
        let claims = with(claims, "software_jwks_uri", "https://keystore.example/software.jwks");
        checked(&claims, &settings_of("br-openfinance"))
    };
    assert_eq!(of_brazil("Active").unwrap().roles(), ["DADOS"]);
    assert_refused(of_brazil("Inactive"), 400, STATEMENT, "software_roles_missing");
}

#[test]
fn ss_11_the_authorisation_is_active() {
    for authority_claims in
        [json!({ "status": "Revoked" }), json!([]), json!([{ "status": "Revoked" }]), json!("Active")]
    {
        let claims = with(statement(), "organisation_competent_authority_claims", authority_claims);
        refused(&claims, UNAPPROVED, "authority_claims_not_active");
    }
}

#[test]
fn ss_12_the_software_is_of_a_mode_that_is_taken() {
    let settings = asking(|dialect| dialect.modes = Some(vec!["Live".to_owned()]));
    assert!(checked(&statement(), &settings).is_ok());
    for claims in [with(statement(), "software_mode", "Test"), without(statement(), "software_mode")] {
        assert_refused(checked(&claims, &settings), 400, UNAPPROVED, "software_mode");
    }
}

#[test]
fn ss_13_the_key_set_is_on_a_host_of_the_directory() {
    for url in [
        json!("https://thief.example/software.jwks"),
        json!("http://keystore.example/software.jwks"),
        json!("https://keystore.example:444/software.jwks"),
        json!(7),
        json!(null),
    ] {
        refused(&with(statement(), "software_jwks_endpoint", url), STATEMENT, "key_set_location");
    }
}

/// The keys as a record has them.
fn kept(claims: &Value, settings: &Settings) -> Value {
    json!(checked(claims, settings).unwrap().keys())
}

#[test]
fn ss_13_a_statement_may_hold_the_keys_if_its_dialect_says_so() {
    let (settings, keys) = (settings_of_keys_by_value(), public_keys("a"));
    assert_eq!(kept(&statement_holding(keys.clone()), &settings), json!({ "key_set": keys }));
    refused(&statement_holding(keys), STATEMENT, "key_set_location");
}

#[test]
fn ss_13_a_url_comes_before_keys_by_value() {
    let settings = settings_of_keys_by_value();
    let both = with(statement(), "software_jwks", public_keys("a"));
    assert_eq!(kept(&both, &settings), json!({ "key_set_uri": both["software_jwks_endpoint"] }));
    let elsewhere = with(both.clone(), "software_jwks_endpoint", "https://thief.example/software.jwks");
    assert_refused(checked(&elsewhere, &settings), 400, STATEMENT, "key_set_location");
    let neither = without(statement(), "software_jwks_endpoint");
    assert_refused(checked(&neither, &settings), 400, STATEMENT, "key_set_location");

    let mut by_value_only = settings_of_keys_by_value();
    by_value_only.directories[0].dialect.claims.key_set_uris.clear();
    assert_eq!(kept(&both, &by_value_only), json!({ "key_set": public_keys("a") }));
    assert_refused(checked(&statement(), &by_value_only), 400, STATEMENT, "key_set_by_value");
}

#[test]
fn ss_13_keys_by_value_are_a_bounded_set_of_public_keys() {
    let settings = settings_of_keys_by_value();
    let key = &public_keys("a")["keys"][0];
    let set = |count: usize, kid: usize| json!({ "keys": vec![with(key.clone(), "kid", "k".repeat(kid)); count] });
    assert!(checked(&statement_holding(set(MAX_KEYS, 1)), &settings).is_ok());
    let longest = MAX_BYTES - set(1, 0).to_string().len();
    assert!(checked(&statement_holding(set(1, longest)), &settings).is_ok());
    let with_member = |name: &str| json!({ "keys": [key.clone(), with(key.clone(), name, "AAAA")] });
    for keys in [
        set(MAX_KEYS + 1, 1),
        set(1, longest + 1),
        with_member("d"),
        with_member("k"),
        json!([key]),
        json!({ "keys": key }),
        key.clone(),
        json!("https://keystore.example/software.jwks"),
        json!(7),
    ] {
        assert_refused(checked(&statement_holding(keys), &settings), 400, STATEMENT, "key_set_by_value");
    }
}

#[test]
fn ss_13_only_the_members_of_a_key_are_kept() {
    let mut keys = public_keys("a");
    keys["keys"][0]["contacts"] = json!(["ada@harbour.example"]);
    keys["keys"].as_array_mut().unwrap().push(json!("ada@harbour.example"));
    keys["contacts"] = json!(["ada@harbour.example"]);
    let mut expected = public_keys("a");
    expected["keys"].as_array_mut().unwrap().push(json!({}));
    assert_eq!(kept(&statement_holding(keys), &settings_of_keys_by_value()), json!({ "key_set": expected }));
}

#[test]
fn ss_14_the_list_of_revoked_keys_is_on_a_host_of_the_directory() {
    let settings = asking(|dialect| dialect.refuse_revoked_keys = true);
    assert!(checked(&statement(), &settings).unwrap().revoked_key_set_uri().is_some());
    let elsewhere = with(statement(), "software_jwks_revoked_endpoint", "https://thief.example/revoked.jwks");
    assert_refused(checked(&elsewhere, &settings), 400, STATEMENT, "revoked_key_set_location");
}
