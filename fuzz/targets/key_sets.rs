//! Reads any input as a JWK set. Each entry is a key or is skipped, the selected keys fit, and no key verifies a constant signature.

#![no_main]

use dcr_jose::Algorithm;
use dcr_jose::jwk::{KeySet, KeySetLimits};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|input: &[u8]| {
    let limits = KeySetLimits { keys: 20, ..KeySetLimits::default() };
    let Ok(keys) = KeySet::parse(input, &limits) else { return };
    let document: Value = serde_json::from_slice(input).unwrap();
    let entries = document["keys"].as_array().unwrap();
    assert_eq!(keys.usable() + keys.skipped(), entries.len());
    assert!(entries.len() <= limits.keys);

    let kids = entries.iter().map(|entry| entry["kid"].as_str());
    for kid in kids.chain([None, Some("no such key")]) {
        for algorithm in Algorithm::ALL {
            let Ok(selected) = keys.select(kid, algorithm) else { continue };
            assert!(!selected.is_empty());
            for key in selected {
                assert_eq!(key.algorithm(), algorithm);
                assert!(kid.is_none() || key.kid() == kid);
                assert_eq!(keys.revokes(&key.signer()), Ok(true));
                assert!(key.verify(input, &[1; 64]).is_err());
            }
        }
    }
});
