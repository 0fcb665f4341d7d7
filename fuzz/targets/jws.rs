//! Takes any input apart as a compact JWS. Its text can be written again from its parts, and serde_json reads the same header.

#![no_main]

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use dcr_jose::jws::{Jws, Limits};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

fuzz_target!(|input: &[u8]| {
    let limits = Limits { token_bytes: 4096, ..Limits::default() };
    let Ok(jws) = Jws::parse(input, &limits) else { return };
    assert!(input.len() <= limits.token_bytes);
    assert_eq!(jws.compact().as_bytes(), input);

    let part = |octets: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(octets);
    let (header, _) = jws.compact().split_once('.').unwrap();
    let signing_input = [header, &part(jws.payload())].join(".");
    assert_eq!(jws.signing_input(), signing_input.as_bytes());
    assert_eq!(input, [signing_input, part(jws.signature())].join(".").as_bytes());

    let octets = BASE64_URL_SAFE_NO_PAD.decode(header).unwrap();
    let members: Map<String, Value> = serde_json::from_slice(&octets).unwrap();
    let header = jws.header();
    assert_eq!(header.members, members);
    assert_eq!(members["alg"], header.alg.as_str());
    assert_eq!(members.get("kid").map(|kid| kid.as_str().unwrap()), header.kid.as_deref());
    assert_eq!(members.get("typ").map(|typ| typ.as_str().unwrap()), header.typ.as_deref());
    assert!(!jws.signature().is_empty());
    assert!(!header.alg.eq_ignore_ascii_case("none") && !members.contains_key("crit") && !members.contains_key("b64"));
});
