use jwt_simple::prelude::{
    ECDSAP256PublicKeyLike, ES256PublicKey, Ed25519PublicKey, EdDSAPublicKeyLike, NoCustomClaims, PS256PublicKey,
    RSAPublicKeyLike, Token as Jwt,
};

use super::*;

fn assertion() -> Token {
    client_assertion("client-1", "https://bank.example")
}

fn header_of(token: &str) -> Value {
    let part = token.split('.').next().unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn payload_of(token: &str) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()
}

fn verifies(key: &SigningKey, token: &str) -> bool {
    let pem = key.public_pem();
    match key.algorithm() {
        Algorithm::Es256 => ES256PublicKey::from_pem(&pem).unwrap().verify_token::<NoCustomClaims>(token, None).is_ok(),
        Algorithm::EdDsa => {
            Ed25519PublicKey::from_pem(&pem).unwrap().verify_token::<NoCustomClaims>(token, None).is_ok()
        }
        _ => PS256PublicKey::from_pem(&pem).unwrap().verify_token::<NoCustomClaims>(token, None).is_ok(),
    }
}

#[test]
fn tokens_verify_with_jwt_simple() {
    for key in [SigningKey::generate_ps256().unwrap(), SigningKey::generate_es256(), SigningKey::generate_eddsa()] {
        let named = assertion().sign(&key).unwrap();
        let nameless = assertion().without_header("kid").sign(&key).unwrap();
        assert!(verifies(&key, &named));
        assert!(verifies(&key, &nameless));
        assert_eq!(Jwt::decode_metadata(&named).unwrap().key_id(), Some(key.kid()));
        assert_eq!(Jwt::decode_metadata(&nameless).unwrap().key_id(), None);
    }
}

#[test]
fn another_key_does_not_verify() {
    let (key, other) = (SigningKey::generate_es256(), SigningKey::generate_es256());
    assert!(!verifies(&key, &assertion().sign(&other).unwrap()));
}

#[test]
fn exactly_one_thing_changes() {
    let key = SigningKey::generate_es256();
    let good = assertion();
    let bad = good.clone().claim("aud", json!(["https://other.example"])).without("jti");
    let claims: Value = serde_json::from_slice(&payload_of(&bad.sign(&key).unwrap())).unwrap();
    let mut expected = good.claims().clone();
    expected.insert("aud".into(), json!(["https://other.example"]));
    expected.shift_remove("jti");
    assert_eq!(claims, Value::Object(expected));
}

#[test]
fn a_changed_alg_header_leaves_the_signature_right_for_the_key() {
    let key = SigningKey::generate_ps256().unwrap();
    let renamed = assertion().header("alg", "RS256").sign(&key).unwrap();
    assert_eq!(header_of(&renamed)["alg"], "RS256");
    assert!(!verifies(&key, &renamed), "the name is part of what is verified");

    let rs256 = assertion().sign_as(&key, Algorithm::Rs256).unwrap();
    let public = jwt_simple::prelude::RS256PublicKey::from_pem(&key.public_pem()).unwrap();
    assert!(public.verify_token::<NoCustomClaims>(&rs256, None).is_ok(), "a true RS256 signature");
}

#[test]
fn unsigned_and_confused_tokens_say_so_in_their_header() {
    let unsigned = assertion().unsigned();
    assert_eq!(header_of(&unsigned)["alg"], "none");
    assert!(unsigned.ends_with('.'));
    const SECRET: &[u8] = b"-----BEGIN PUBLIC KEY-----";
    let confused = assertion().sign_with_secret(SECRET, "kid-1");
    assert_eq!(header_of(&confused)["alg"], "HS256");
    let secret = jwt_simple::prelude::HS256Key::from_bytes(SECRET);
    jwt_simple::prelude::MACLike::verify_token::<NoCustomClaims>(&secret, &confused, None).unwrap();
}

#[test]
fn a_payload_is_signed_as_it_is() {
    let key = SigningKey::generate_es256();
    let token = assertion().payload("\n  {\"iss\": 1, \"iss\": 2}").sign(&key).unwrap();
    assert_eq!(payload_of(&token), b"\n  {\"iss\": 1, \"iss\": 2}");
}

#[test]
fn a_brazilian_statement_has_roles_with_their_status_and_no_lifetime() {
    let software = Software::new("Org", "App", "https://app.example").unwrap().in_brazil().unwrap();
    let statement = brazil_software_statement(&software, "https://directory.example");
    let claims = statement.claims();
    assert_eq!(claims["iss"], BRAZIL_DIRECTORY_ISSUER);
    assert_eq!(claims["software_roles"], json!(["DADOS", "PAGTO"]));
    let role = json!({ "role": "PAGTO", "authorisation_domain": "Open Banking", "status": "Active" });
    assert_eq!(claims["software_statement_roles"][1], role);
    assert_eq!(claims["organisation_competent_authority_claims"][0]["status"], "Active");
    let application =
        format!("https://directory.example/{}/{}/application.jwks", software.org_id, software.software_id);
    assert_eq!(claims["software_jwks_uri"], json!(application));
    assert!(!claims.contains_key("exp") && !claims.contains_key("jti"));
    let header = header_of(&statement.sign(&SigningKey::generate_ps256().unwrap()).unwrap());
    assert_eq!((&header["alg"], &header["typ"]), (&json!("PS256"), &json!("JWT")));
    assert!(header["kid"].is_string());
}

#[test]
fn a_brazilian_request_is_a_json_object_with_the_statements_key_set() {
    let software = Software::new("Org", "App", "https://app.example").unwrap().in_brazil().unwrap();
    let statement = brazil_software_statement(&software, "https://directory.example");
    let key_set_uri = statement.claims()["software_jwks_uri"].clone();
    let statement = statement.sign(&SigningKey::generate_es256()).unwrap();
    let request = brazil_registration_request(&software, &statement);
    let sent: Value = serde_json::from_str(&request.to_json()).unwrap();
    assert_eq!(sent, Value::Object(request.claims().clone()));
    assert_eq!((&sent["jwks_uri"], &sent["software_statement"]), (&key_set_uri, &json!(statement)));
    for claim in ["iss", "aud", "iat", "exp", "jti"] {
        assert!(sent.get(claim).is_none(), "{claim}");
    }
    assert_eq!(brazil_registration_request(&software, "a.b.c").claims().get("jwks_uri"), None);
    assert_eq!(request.payload("{\"a\":1,\"a\":2}").to_json(), "{\"a\":1,\"a\":2}");
}

#[test]
fn a_request_for_tls_client_auth_has_the_subject_and_no_signing_algorithm() {
    let software = Software::new("Org", "App", "https://app.example").unwrap();
    let request = registration_request(&software, "https://bank.example", "a.b.c").for_tls_client_auth("CN=a,C=GB");
    assert_eq!(request.claims()["tls_client_auth_subject_dn"], "CN=a,C=GB");
    assert!(!request.claims().contains_key("token_endpoint_auth_signing_alg"));
}
