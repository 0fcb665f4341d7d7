//! Reads any input as the subject of a certificate. What it prints can be read again, and x509-parser reads the same name.

#![no_main]

use dcr_fuzz::{certificate_with, is_same};
use dcr_x509::Certificate;
use libfuzzer_sys::fuzz_target;
use x509_parser::prelude::{FromDer, X509Name};

fuzz_target!(|input: &[u8]| {
    let Ok(certificate) = Certificate::from_der(&certificate_with(input)) else { return };
    let subject = certificate.subject();
    let _ = subject.to_string();
    let Ok((rest, other)) = X509Name::from_der(input) else { return };
    // More elements than the name would be other fields of the certificate.
    if !rest.is_empty() {
        return;
    }
    is_same(subject, &other);
});
