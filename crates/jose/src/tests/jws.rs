//! The format and the header of a token.

use dcr_json::JsonError;

use super::support::{EcKey, base64url, token};
use crate::jws::{Jws, JwsError, Limits};

const HEADER: &str = r#"{"alg":"ES256","kid":"k","typ":"JWT"}"#;

fn parse(token: &str) -> Result<Jws, JwsError> {
    Jws::parse(token.as_bytes(), &Limits::default())
}

fn refusal(token: &str) -> JwsError {
    parse(token).expect_err(token)
}

fn with_header(header: &str) -> Result<Jws, JwsError> {
    parse(&token(header, b"{}", b"signature"))
}

#[test]
fn a_token_keeps_its_parts() {
    let compact = token(HEADER, b" {\"a\":1}\n", b"signature");
    let jws = parse(&compact).unwrap();
    assert_eq!(**jws.compact(), *compact);
    assert_eq!(jws.payload(), b" {\"a\":1}\n");
    assert_eq!(**jws.signature(), *b"signature");
    assert_eq!(jws.signing_input(), compact.rsplit_once('.').unwrap().0.as_bytes());
    assert_eq!(jws.header().alg, "ES256");
    assert_eq!(jws.header().kid.as_deref(), Some("k"));
    assert_eq!(jws.header().typ.as_deref(), Some("JWT"));
    assert_eq!(jws.header().members.len(), 3);
}

#[test]
fn kid_and_typ_are_optional_strings() {
    let jws = with_header(r#"{"alg":"PS256"}"#).unwrap();
    assert_eq!((&jws.header().kid, &jws.header().typ), (&None, &None));
    for header in [r#"{"alg":"PS256","kid":1}"#, r#"{"alg":"PS256","kid":null}"#, r#"{"alg":"PS256","typ":["JWT"]}"#] {
        assert_eq!(with_header(header).unwrap_err(), JwsError::MemberType, "{header}");
    }
}

#[test]
fn a_token_may_be_as_long_as_the_limit_and_no_longer() {
    let compact = token(HEADER, b"{}", b"signature");
    let exact = Limits { token_bytes: compact.len(), ..Limits::default() };
    assert!(Jws::parse(compact.as_bytes(), &exact).is_ok());
    let less = Limits { token_bytes: compact.len() - 1, ..Limits::default() };
    assert_eq!(Jws::parse(compact.as_bytes(), &less).unwrap_err(), JwsError::TooLong);
    assert_eq!(Limits::default(), Limits { token_bytes: 49152, json_depth: 16 });
}

#[test]
fn jo_01_three_parts_are_asked_for() {
    for input in ["", ".", "a", "a.b", "a.b.c.d", "a.b.c.d.e.f", "..........", "\u{e9}"] {
        assert_eq!(refusal(input), JwsError::NotCompact, "{input}");
    }
    let not_utf8 = [token(HEADER, b"{}", b"signature").as_bytes(), b"\xff"].concat();
    assert_eq!(Jws::parse(&not_utf8, &Limits::default()).unwrap_err(), JwsError::NotCompact);
}

#[test]
fn jo_01_padding_is_refused() {
    let [header, payload, signature] = [HEADER.as_bytes(), b"{}", b"sign"].map(base64url);
    assert_eq!(refusal(&format!("{header}=.{payload}.{signature}")), JwsError::Base64);
    assert_eq!(refusal(&format!("{header}.{payload}=.{signature}")), JwsError::Base64);
    assert_eq!(refusal(&format!("{header}.{payload}.{signature}==")), JwsError::Base64);
}

#[test]
fn jo_01_white_space_and_other_characters_are_refused() {
    let compact = token(HEADER, b"{\"a\":\"bcdef\"}", b"signature");
    for intruder in [" ", "\n", "\r\n", "\t", "+", "/", ",", "\0", "~"] {
        for position in [0, 5, compact.find('.').unwrap() + 3, compact.rfind('.').unwrap() + 2, compact.len()] {
            let mut broken = compact.clone();
            broken.insert_str(position, intruder);
            // In the signature, a character that is neither white space nor padding is damage: the token can be read, but its signature
            // does not verify.
            let is_damage = position > compact.rfind('.').unwrap() && ["+", "/", ",", "~"].contains(&intruder);
            let expected = if is_damage { JwsError::SignatureDamaged } else { JwsError::Base64 };
            assert_eq!(refusal(&broken), expected, "{intruder:?} at {position}");
        }
    }
}

#[test]
fn jo_01_stray_trailing_bits_are_refused() {
    let compact = token(HEADER, b"{}", b"s");
    assert!(compact.ends_with(".cw"));
    for twin in ["cx", "cy", "cz", "c3"] {
        assert_eq!(refusal(&compact.replace(".cw", &format!(".{twin}"))), JwsError::SignatureDamaged, "{twin}");
    }
    let [header, signature] = [HEADER.as_bytes(), b"s"].map(base64url);
    assert_eq!(refusal(&format!("{header}.cx.{signature}")), JwsError::Base64, "in the payload it is the shape");
}

#[test]
fn jo_01_json_serialisation_is_refused() {
    let [header, payload, signature] = [HEADER.as_bytes(), b"{}", b"sign"].map(base64url);
    let flattened = format!(r#"{{"protected":"{header}","payload":"{payload}","signature":"{signature}"}}"#);
    assert_eq!(refusal(&flattened), JwsError::NotCompact);
    assert_eq!(refusal(&format!(r#"{{"a":"{header}.{payload}.{signature}"}}"#)), JwsError::Base64);
}

#[test]
fn jo_02_the_header_is_one_object_with_unique_members() {
    for (header, why) in [
        (r#"{"alg":"ES256","alg":"none"}"#, JsonError::DuplicateMember),
        (r#"{"alg":"ES256","\u0061lg":"none"}"#, JsonError::DuplicateMember),
        (r#"{"alg":"ES256","x":{"y":1,"y":2}}"#, JsonError::DuplicateMember),
        (r#"["ES256"]"#, JsonError::NotAnObject),
        (r#"{"alg":"ES256"}{}"#, JsonError::Syntax),
        (r#"{"alg":"ES256",}"#, JsonError::Syntax),
        ("", JsonError::Syntax),
    ] {
        assert_eq!(with_header(header).unwrap_err(), JwsError::HeaderJson(why), "{header}");
    }
    let deep = format!(r#"{{"alg":"ES256","x":{}1{}}}"#, "[".repeat(16), "]".repeat(16));
    assert_eq!(with_header(&deep).unwrap_err(), JwsError::HeaderJson(JsonError::TooDeep));
}

#[test]
fn jo_03_alg_is_a_string() {
    for header in ["{}", r#"{"alg":null}"#, r#"{"alg":256}"#, r#"{"alg":["ES256"]}"#, r#"{"Alg":"ES256"}"#] {
        assert_eq!(with_header(header).unwrap_err(), JwsError::AlgMissing, "{header}");
    }
}

#[test]
fn jo_04_none_is_refused_in_any_letter_case() {
    for none in ["none", "None", "NONE", "nOnE"] {
        let header = format!(r#"{{"alg":"{none}"}}"#);
        assert_eq!(refusal(&token(&header, b"{}", b"")), JwsError::AlgNone, "{none}");
        assert_eq!(refusal(&token(&header, b"{}", b"signature")), JwsError::AlgNone, "{none}");
    }
}

#[test]
fn jo_04_an_empty_signature_is_refused() {
    assert_eq!(refusal(&token(HEADER, b"{}", b"")), JwsError::SignatureEmpty);
}

#[test]
fn jo_10_crit_is_refused_whatever_it_lists() {
    for crit in ["[]", r#"["exp"]"#, r#"["alg"]"#, r#"["b64"]"#, r#""exp""#, "null"] {
        let header = format!(r#"{{"alg":"ES256","crit":{crit},"exp":1}}"#);
        assert_eq!(with_header(&header).unwrap_err(), JwsError::Critical, "{crit}");
    }
}

#[test]
fn jo_11_unencoded_payloads_are_refused() {
    for b64 in ["false", "true", "null"] {
        let header = format!(r#"{{"alg":"ES256","b64":{b64}}}"#);
        assert_eq!(with_header(&header).unwrap_err(), JwsError::UnencodedPayload, "{b64}");
    }
}

#[test]
fn jo_12_a_key_in_the_header_is_left_where_it_is() {
    let header = format!(r#"{{"alg":"ES256","jwk":{}}}"#, EcKey::named("attacker").jwk());
    assert!(with_header(&header).unwrap().header().members.contains_key("jwk"));
}

#[test]
fn jo_17_an_encrypted_token_is_told_apart() {
    let header = base64url(br#"{"alg":"RSA-OAEP","enc":"A256GCM"}"#);
    assert_eq!(refusal(&format!("{header}.a.b.c.d")), JwsError::Encrypted);
    assert_eq!(refusal(&format!("{header}....")), JwsError::Encrypted);
    assert_eq!(refusal(r#"{"aud":"https://a.b.example/","x":"a.b"}"#), JwsError::NotCompact);
}
