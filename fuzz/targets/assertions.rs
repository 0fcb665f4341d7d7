//! Judges a client assertion with any claims, signed by a key of the client. The first line of the input is the name of a profile, the
//! rest the claims.

#![no_main]

use dcr_fuzz::{ISSUER, NOW, evaluation, is_told, kept_all, keys, lines, settings, signed};
use dcr_policy::client_assertion::{ClientAssertion, UnverifiedAssertion};
use dcr_policy::settings::Settings;
use dcr_policy::{Evaluation, Refusal};
use dcr_store_protocol::bounds::{MAX_JTI, is_name};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|input: &[u8]| {
    let Some([profile, claims]) = lines(input) else { return };
    let Some(settings) = settings(profile) else { return };
    let evaluation = evaluation(&settings);
    match judge(&signed(claims), &settings, &evaluation) {
        Err(refusal) => is_told(&refusal, &evaluation),
        Ok(assertion) => {
            kept_all(&evaluation);
            let claims: Value = serde_json::from_slice(claims).unwrap();
            assert_eq!((&claims["iss"], &claims["sub"]), (&claims["sub"], &Value::from(assertion.client_id())));
            let audiences = claims["aud"].as_array().map_or(vec![&claims["aud"]], |all| all.iter().collect());
            assert!(audiences.contains(&&Value::from(ISSUER)));
            let longest = settings.profile.client_assertion.max_lifetime + settings.profile.clock_skew;
            assert!((NOW + 1..=NOW + longest.as_secs()).contains(&assertion.expires_at()));
            assert!(is_name(assertion.jti(), MAX_JTI));
        }
    }
});

fn judge(token: &str, settings: &Settings, evaluation: &Evaluation) -> Result<ClientAssertion, Refusal> {
    let assertion = UnverifiedAssertion::open(token, None, settings, NOW, evaluation)?;
    let verified = assertion.unverified().verify(keys(), || ()).unwrap();
    ClientAssertion::check(&verified, settings, NOW, evaluation)
}
