//! Reads any input as the form of a token request. The same parameters in another encoding have the same meaning.

#![no_main]

use dcr_policy::token_request::TokenRequest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(request) = TokenRequest::ca_01_parse(input) else { return };

    // Every octet escaped, and each parameter that is not read left out.
    let mut again = String::new();
    for (name, value) in form_urlencoded::parse(input) {
        if READ.contains(&name.as_ref()) {
            again.push_str(&format!("&&{}={}", escaped(&name), escaped(&value)));
        }
    }
    let again = TokenRequest::ca_01_parse(again.as_bytes()).unwrap();
    for has_authorization in [false, true] {
        assert_eq!(request.ca_02_credential(has_authorization), again.ca_02_credential(has_authorization));
    }
    assert_eq!(request.ca_20_grant(), again.ca_20_grant());
    assert_eq!(request.names_another_grant(), again.names_another_grant());
    assert!(!(request.ca_20_grant().is_ok() && request.names_another_grant()));
});

const READ: [&str; 6] =
    ["grant_type", "scope", "client_id", "client_secret", "client_assertion", "client_assertion_type"];

fn escaped(text: &str) -> String {
    text.bytes().map(|octet| format!("%{octet:02X}")).collect()
}
