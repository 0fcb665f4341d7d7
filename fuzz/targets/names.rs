//! Reads any text as a distinguished name. What it prints can be read again, and x509-cert reads the same name from the same text.

#![no_main]

use std::str::FromStr;

use dcr_fuzz::{certificate_with, prints_what_it_read};
use dcr_x509::{Certificate, DistinguishedName};
use libfuzzer_sys::fuzz_target;
use x509_cert::der::{Encode, Tag, Tagged};
use x509_cert::name::RdnSequence;

fuzz_target!(|text: &str| {
    let Ok(name) = DistinguishedName::parse(text) else { return };
    prints_what_it_read(&name);

    if !is_plain(text) {
        return;
    }
    let Ok(other) = RdnSequence::from_str(text) else { return };
    let mut attributes = other.iter().flat_map(|rdn| rdn.iter());
    // x509-cert does not check what it puts into a PrintableString.
    if !attributes.all(|one| one.value.tag() == Tag::Utf8String || one.value.value().is_ascii()) {
        return;
    }
    let Ok(der) = other.to_der() else { return };
    let Ok(certificate) = Certificate::from_der(&certificate_with(&der)) else { return };
    assert_eq!(name.matches(certificate.subject()), name.matches(&name), "{name} is not {}", certificate.subject());
});

/// Whether both libraries read the text by RFC 4514 alone. x509-cert does not read the older forms, with `;` or quotes. It takes a `#` with
/// an odd number of digits, and it takes separators behind two backslashes for escaped.
fn is_plain(text: &str) -> bool {
    !text.contains([';', '"', '#', '/']) && !text.contains(r"\\")
}
