//! Fields of a certificate.

use std::net::IpAddr;

use base64::prelude::{BASE64_STANDARD, Engine};
use dcr_test_support::mutations;
use sha2::{Digest, Sha256};

use super::der::{self, UTF8, tlv};
use crate::{AlternativeName, Attribute, Certificate, CertificateError, Thumbprint};

fn subject() -> Vec<u8> {
    der::name(&[("2.5.4.6", der::PRINTABLE, b"GB"), ("2.5.4.3", UTF8, b"software")])
}

fn names_of(names: &[Vec<u8>]) -> Result<Vec<AlternativeName>, CertificateError> {
    let der = der::certificate(subject(), &[der::alternative_names(names)]);
    Certificate::from_der(&der).map(|certificate| certificate.subject_alternative_names().to_vec())
}

#[test]
fn the_fields_are_read() {
    let der = der::certificate(subject(), &[]);
    let certificate = Certificate::from_der(&der).unwrap();
    assert_eq!(certificate.subject().to_string(), "CN=software,C=GB");
    assert_eq!(certificate.subject().values(&Attribute::CommonName), ["software"]);
    assert_eq!(certificate.not_before(), 1_704_067_200);
    assert_eq!(certificate.not_after(), 2_524_607_999);
    assert_eq!(certificate.subject_alternative_names(), []);
    assert_eq!(certificate.thumbprint().hex(), hex_of(&Sha256::digest(&der)));
}

fn hex_of(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[test]
fn at_01_a_thumbprint_has_two_spellings() {
    // The SHA-256 digest of the empty message.
    let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let thumbprint = Thumbprint::from_hex(hex).unwrap();
    assert_eq!(thumbprint.x5t_s256(), "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU");
    assert_eq!(thumbprint.hex(), hex);
    assert_eq!(Thumbprint::from_hex(&hex.to_uppercase()), Some(thumbprint));
    for wrong in
        ["", "e3", &hex.replacen('e', "", 1), &format!("{hex}00"), &hex.replace('e', "g"), &hex.replacen('e', " ", 1)]
    {
        assert_eq!(Thumbprint::from_hex(wrong), None, "{wrong}");
    }
}

#[test]
fn the_first_block_of_a_pem_text_is_read() {
    let [first, second] =
        [&b"first"[..], b"second"].map(|cn| der::certificate(der::name(&[("2.5.4.3", UTF8, cn)]), &[]));
    let chain = format!("Bag Attributes\r\n{}{}", der::pem(&first), der::pem(&second));
    let names = |pem: &str| Certificate::from_pem(pem.as_bytes()).map(|one| one.subject().to_string());
    assert_eq!(names(&chain).as_deref(), Ok("CN=first"));
    assert_eq!(names(&der::pem(&first).replace('\n', "\r\n")).as_deref(), Ok("CN=first"));
    assert_eq!(names(der::pem(&first).trim_end()).as_deref(), Ok("CN=first"));
    let (begin, end) = ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----");
    let text = BASE64_STANDARD.encode(&first);
    assert_eq!(names(&format!("{begin}{text}{end}")).as_deref(), Ok("CN=first"), "one line");
    assert_eq!(names(&format!("{begin}\n{begin}\n{text}\n{end}\n")), Err(CertificateError::Pem));
    assert_eq!(names(&format!("{begin}\nProc-Type: 4\n\n{text}\n{end}\n")), Err(CertificateError::Pem));
    assert_eq!(
        Certificate::from_pem(der::pem(&first).as_bytes()).unwrap().thumbprint(),
        Certificate::from_der(&first).unwrap().thumbprint()
    );
}

#[test]
fn bytes_that_are_not_a_certificate_are_refused() {
    let genuine = der::certificate(subject(), &[]);
    let pem = der::pem(&genuine);
    let from_pem = |pem: &str| Certificate::from_pem(pem.as_bytes()).map(|_| ()).unwrap_err();
    assert_eq!(from_pem(""), CertificateError::Pem);
    assert_eq!(from_pem(&pem.replace("CERTIFICATE", "PUBLIC KEY")), CertificateError::Pem);
    assert_eq!(from_pem(&pem.replace("END", "BEGIN")), CertificateError::Pem);
    assert_eq!(from_pem(&pem.replacen('M', "*", 1)), CertificateError::Pem);
    assert_eq!(from_pem("-----END CERTIFICATE----------BEGIN CERTIFICATE-----"), CertificateError::Pem);
    assert_eq!(from_pem(&"-".repeat(300_000)), CertificateError::TooLong);

    let from_der = |der: &[u8]| Certificate::from_der(der).map(|_| ()).unwrap_err();
    assert_eq!(from_der(&[]), CertificateError::Der);
    assert_eq!(from_der(&[genuine.as_slice(), &[0]].concat()), CertificateError::Der);
    assert_eq!(from_der(&genuine[..genuine.len() - 1]), CertificateError::Der);
    assert_eq!(from_der(&vec![0x30; 70_000]), CertificateError::TooLong);
}

#[test]
fn alternative_names_are_read_in_order() {
    let names = names_of(&[
        tlv(0x82, b"TPP.example"),
        tlv(0x86, b"https://tpp.example/a,b"),
        tlv(0x81, b"a@tpp.example"),
        tlv(0x87, &[192, 0, 2, 1]),
        tlv(0x87, &"2001:db8::1".parse::<std::net::Ipv6Addr>().unwrap().octets()),
    ]);
    let expected = [
        AlternativeName::Dns("TPP.example".into()),
        AlternativeName::Uri("https://tpp.example/a,b".into()),
        AlternativeName::Email("a@tpp.example".into()),
        AlternativeName::Ip(IpAddr::from([192, 0, 2, 1])),
        AlternativeName::Ip("2001:db8::1".parse().unwrap()),
    ];
    assert_eq!(names.unwrap(), expected);
}

#[test]
fn alternative_names_of_other_kinds_are_ignored() {
    let other_name = tlv(0xa0, b"\x06\x03\x55\x04\x03\xa0\x03\x0c\x01a");
    let directory_name = tlv(0xa4, &subject());
    let x400_address = tlv(0xa3, &[]);
    let registered_id = tlv(0x88, &[0x55, 4, 3]);
    let names = names_of(&[other_name, directory_name, x400_address, registered_id, tlv(0x82, b"a")]);
    assert_eq!(names.unwrap(), [AlternativeName::Dns("a".into())]);
}

#[test]
fn malformed_alternative_names_make_the_certificate_unusable() {
    for name in [tlv(0x82, "é".as_bytes()), tlv(0x87, &[127, 0, 1]), tlv(0x87, &[]), vec![0x82, 9, b'a']] {
        assert_eq!(names_of(std::slice::from_ref(&name)), Err(CertificateError::AlternativeNames), "{name:?}");
    }
    let one = der::alternative_names(&[tlv(0x82, b"a")]);
    let twice = der::certificate(subject(), &[one.clone(), one]);
    assert_eq!(Certificate::from_der(&twice).map(|_| ()), Err(CertificateError::AlternativeNames));
}

#[test]
fn a_subject_may_be_empty_but_matches_nothing() {
    let certificate = Certificate::from_der(&der::certificate(der::name(&[]), &[])).unwrap();
    assert_eq!(certificate.subject().to_string(), "");
    assert!(!certificate.subject().matches(certificate.subject()));
}

#[test]
fn a_changed_certificate_never_panics() {
    let names = [tlv(0x82, b"a.example"), tlv(0x87, &[127, 0, 0, 1]), tlv(0x86, b"https://a")];
    let genuine = der::certificate(subject(), &[der::alternative_names(&names)]);
    let mut read = 0;
    for changed in mutations(&genuine, 10_000) {
        if let Ok(certificate) = Certificate::from_der(&changed) {
            let subject = certificate.subject();
            assert!(subject.to_string().len() < 4096);
            let _ = subject.matches(subject);
            read += 1;
        }
    }
    assert!(read > 100, "{read}");
    for changed in mutations(der::pem(&genuine).as_bytes(), 4000) {
        let _ = Certificate::from_pem(&changed);
    }
}
