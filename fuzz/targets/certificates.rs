//! Compares the reader of certificates with x509-parser, and with x509-cert. If both accept a certificate, they read the same subject, the
//! same dates and the same alternative names. The input is DER, or PEM if it has the first line of PEM.

#![no_main]

use std::net::IpAddr;

use base64::prelude::{BASE64_STANDARD, Engine};
use dcr_fuzz::is_same;
use dcr_x509::{AlternativeName, Certificate, Thumbprint};
use libfuzzer_sys::fuzz_target;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

fuzz_target!(|input: &[u8]| {
    let of_text = Certificate::from_pem(input);
    let Ok(certificate) = Certificate::from_der(input) else {
        // Printing must not fail.
        if let Ok(certificate) = of_text {
            let _ = certificate.subject().to_string();
        }
        return;
    };
    assert_eq!(certificate.thumbprint(), Thumbprint::of_der(input));
    assert_eq!(Thumbprint::from_hex(&certificate.thumbprint().hex()), Some(certificate.thumbprint()));
    let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", BASE64_STANDARD.encode(input));
    assert_eq!(Certificate::from_pem(pem.as_bytes()).unwrap().thumbprint(), certificate.thumbprint());

    has_alternative_names(&certificate, input);
    let Ok((rest, other)) = X509Certificate::from_der(input) else { return };
    assert!(rest.is_empty());
    let validity = other.validity();
    assert_eq!(i64::try_from(certificate.not_before()), Ok(validity.not_before.timestamp()));
    assert_eq!(i64::try_from(certificate.not_after()), Ok(validity.not_after.timestamp()));
    is_same(certificate.subject(), other.subject());
});

/// x509-parser would take other fields for extensions, so another parser reads the alternative names.
fn has_alternative_names(certificate: &Certificate, der: &[u8]) {
    let Ok(other) = x509_cert::Certificate::from_der(der) else { return };
    let Ok(names) = other.tbs_certificate().get_extension::<SubjectAltName>() else { return };
    let names = names.into_iter().flat_map(|(_, names)| names.0);
    let names: Vec<_> = names.filter_map(alternative_name).collect();
    assert_eq!(certificate.subject_alternative_names(), names);
}

/// `None` for a kind that RFC 8705 does not know, and for an address with another number of octets than 4 and 16.
fn alternative_name(name: GeneralName) -> Option<AlternativeName> {
    Some(match name {
        GeneralName::DnsName(text) => AlternativeName::Dns(text.to_string()),
        GeneralName::UniformResourceIdentifier(text) => AlternativeName::Uri(text.to_string()),
        GeneralName::Rfc822Name(text) => AlternativeName::Email(text.to_string()),
        GeneralName::IpAddress(octets) => {
            let octets = octets.as_bytes();
            let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
            AlternativeName::Ip(v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()?)
        }
        _ => return None,
    })
}
