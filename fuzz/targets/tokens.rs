//! Reading any input as a token, a key set or JSON ends in a value or an error. The parts of a token are those of its text.

#![no_main]

use dcr_jose::jwk::{KeySet, KeySetLimits};
use dcr_jose::jws::{Jws, Limits};
use dcr_jose::Algorithm;
use dcr_json as json;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let _ = json::parse(input, 16);
    if let Ok(jws) = Jws::parse(input, &Limits::default()) {
        assert_eq!(jws.compact().as_bytes(), input);
        assert!(input.starts_with(jws.signing_input()));
        assert!(!jws.signature().is_empty());
    }
    if let Ok(keys) = KeySet::parse(input, &KeySetLimits::default()) {
        for algorithm in [Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa] {
            for key in keys.select(None, algorithm).unwrap_or_default() {
                assert!(key.verify(input, &[1; 64]).is_err());
                assert!(keys.holds_key(&key.identity()));
            }
        }
    }
});
