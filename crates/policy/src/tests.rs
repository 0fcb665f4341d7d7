//! Helpers for the tests of several rules: settings, documents that break no rule, and a way to change them.

use std::fmt::Debug;
use std::rc::Rc;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use dcr_jose::jwk::{KeySet, KeySetLimits};
use serde_json::{Map, Value, json};

use crate::profile::Profile;
use crate::settings::Settings;
use crate::{Evaluation, Refusal, Timestamp};

/// The time of all tests.
pub(crate) const NOW: Timestamp = 1_700_000_000;

/// This authorization server, the audience of every request and assertion.
pub(crate) const ISSUER: &str = "https://bank.example";

/// The only directory.
pub(crate) const DIRECTORY: &str = "directory";

/// The only software of the directory, and its organisation.
pub(crate) const SOFTWARE: &str = "sgsMuc8ACBgBzinpr8oJ8B";
pub(crate) const ORGANISATION: &str = "0015800001HQQrZAAX";

/// A redirect URI of the software.
pub(crate) const CALLBACK: &str = "https://harbour.example/callback";

pub(crate) fn settings() -> Settings {
    settings_of("uk-obie-3.3")
}

pub(crate) fn settings_of(profile: &str) -> Settings {
    let mut settings = Settings::of_one_directory(Profile::named(profile).unwrap(), DIRECTORY);
    settings.directories[0].key_set_hosts = vec!["keystore.example".to_owned()];
    settings.registration_audiences = vec![ISSUER.to_owned()];
    settings.assertion_audiences = vec![ISSUER.to_owned()];
    settings
}

/// An evaluation that enforces every rule.
pub(crate) fn evaluation() -> Evaluation {
    Evaluation::new(Rc::default())
}

/// The claims of a software statement in the UK.
pub(crate) fn statement() -> Value {
    json!({
        "iss": DIRECTORY,
        "iat": NOW,
        "jti": "statement-1",
        "software_id": SOFTWARE,
        "software_mode": "Live",
        "software_roles": ["AISP"],
        "software_redirect_uris": [CALLBACK],
        "software_logo_uri": "https://harbour.example/logo.png",
        "software_jwks_endpoint": "https://keystore.example/software.jwks",
        "software_jwks_revoked_endpoint": "https://keystore.example/revoked.jwks",
        "organisation_competent_authority_claims": { "registration_id": "123456", "status": "Active" },
        "org_id": ORGANISATION,
        "org_status": "Active"
    })
}

/// Settings under which a statement may hold the keys in `software_jwks`.
pub(crate) fn settings_of_keys_by_value() -> Settings {
    let mut settings = settings();
    settings.directories[0].dialect.claims.key_set = Some("software_jwks".to_owned());
    settings
}

/// A statement that holds this key set and names none.
pub(crate) fn statement_holding(keys: impl Into<Value>) -> Value {
    with(without(statement(), "software_jwks_endpoint"), "software_jwks", keys)
}

/// A key set with one public key (RFC 8037 appendix A.2), with this kid.
pub(crate) fn public_keys(kid: &str) -> Value {
    let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid }] })
}

/// The claims of a registration request in the UK.
pub(crate) fn request() -> Value {
    json!({
        "iss": SOFTWARE,
        "iat": NOW,
        "exp": NOW + 600,
        "jti": "request-1",
        "aud": ISSUER,
        "software_statement": "statement",
        "redirect_uris": [CALLBACK],
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "PS256",
        "grant_types": ["authorization_code", "client_credentials"],
        "response_types": ["code id_token"],
        "application_type": "web",
        "id_token_signed_response_alg": "PS256",
        "request_object_signing_alg": "PS256",
        "scope": "openid accounts"
    })
}

/// The claims of a client assertion.
pub(crate) fn assertion() -> Value {
    json!({ "iss": "client", "sub": "client", "aud": ISSUER, "iat": NOW, "exp": NOW + 60, "jti": "assertion-1" })
}

/// The header of each token.
pub(crate) fn header() -> Value {
    json!({ "alg": "ES256", "typ": "JWT", "kid": "known" })
}

/// The same with another value of a member.
pub(crate) fn with(mut members: Value, name: &str, value: impl Into<Value>) -> Value {
    members[name] = value.into();
    members
}

/// The same without a member.
pub(crate) fn without(mut members: Value, name: &str) -> Value {
    members.as_object_mut().unwrap().shift_remove(name);
    members
}

pub(crate) fn object(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

/// A compact JWS. Its signature is not made with any key.
pub(crate) fn token(header: &Value, payload: &Value) -> String {
    let parts = [header.to_string().into_bytes(), payload.to_string().into_bytes(), vec![1; 64]];
    parts.map(|part| BASE64_URL_SAFE_NO_PAD.encode(part)).join(".")
}

/// The ES256 key of RFC 7515 appendix A.3.
pub(crate) fn jwk(kid: &str) -> Value {
    json!({
        "kty": "EC", "crv": "P-256", "kid": kid,
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
    })
}

pub(crate) fn key_set(keys: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes(), &KeySetLimits::default()).unwrap()
}

#[track_caller]
pub(crate) fn assert_refused<T: Debug>(outcome: Result<T, Refusal>, status: u16, error: &str, reason: &str) {
    let refusal = outcome.expect_err(reason);
    assert_eq!((refusal.rule.reason, refusal.status(), refusal.error().as_str()), (reason, status, error));
}
