//! Fields of a certificate.

use std::net::IpAddr;

use base64::prelude::{BASE64_STANDARD, Engine};
use dcr_test_support::{mutations, scaled};
use sha2::{Digest, Sha256};

use super::der::{self, UTF8, oid, sequence, tlv};
use crate::{AlternativeName, Attribute, Certificate, CertificateError, DistinguishedName, Thumbprint};

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
fn what_is_no_certificate_is_refused() {
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
fn alternative_names_of_other_kinds_are_passed_over() {
    let other_name = tlv(0xa0, b"\x06\x03\x55\x04\x03\xa0\x03\x0c\x01a");
    let directory_name = tlv(0xa4, &subject());
    let x400_address = tlv(0xa3, &[]);
    let registered_id = tlv(0x88, &[0x55, 4, 3]);
    let names = names_of(&[other_name, directory_name, x400_address, registered_id, tlv(0x82, b"a")]);
    assert_eq!(names.unwrap(), [AlternativeName::Dns("a".into())]);
}

#[test]
fn an_alternative_name_that_cannot_be_read_is_left_out() {
    let good = || tlv(0x82, b"a.example");
    for unreadable in [
        tlv(0x81, "jos\u{e9}@tpp.example".as_bytes()),
        tlv(0x81, b"a\xff@tpp.example"),
        tlv(0x82, "\u{e9}.example".as_bytes()),
        tlv(0x82, b"\x80"),
        tlv(0x86, "https://\u{e9}.example/".as_bytes()),
        tlv(0x87, &[127, 0, 1]),
        tlv(0x87, &[127, 0, 0, 1, 0]),
        tlv(0x87, &[0; 15]),
        tlv(0x87, &[]),
        tlv(0xa2, b"constructed"),
    ] {
        for names in [
            vec![unreadable.clone(), good()],
            vec![good(), unreadable.clone()],
            vec![good(), unreadable.clone(), unreadable.clone()],
        ] {
            assert_eq!(names_of(&names).unwrap(), [AlternativeName::Dns("a.example".into())], "{unreadable:02x?}");
        }
        assert_eq!(names_of(std::slice::from_ref(&unreadable)).unwrap(), [], "{unreadable:02x?}");
    }
}

#[test]
fn a_list_of_alternative_names_that_cannot_be_read_gives_no_names() {
    let extension = |value: &[u8]| sequence(&[oid("2.5.29.17"), tlv(0x04, value)]);
    let good = sequence(&[tlv(0x82, b"a")]);
    let one = extension(&good);
    for extensions in [
        vec![extension(&sequence(&[tlv(0x82, b"a"), vec![0x82, 9, b'b']]))],
        vec![extension(&sequence(&[tlv(0x82, b"a"), vec![0x1c, 0]]))],
        vec![extension(&[])],
        vec![extension(&[good.as_slice(), &[0]].concat())],
        vec![extension(&tlv(0x31, &tlv(0x82, b"a")))],
        vec![one.clone(), one.clone()],
        vec![one.clone(), extension(&[])],
        vec![one.clone(), one.clone(), one],
    ] {
        let der = der::certificate(subject(), &extensions);
        let certificate = Certificate::from_der(&der).unwrap();
        assert_eq!(certificate.subject_alternative_names(), [], "{extensions:02x?}");
        assert_eq!(certificate.subject().to_string(), "CN=software,C=GB");
        assert_eq!(certificate.thumbprint(), Thumbprint::of_der(&der));
    }
}

/// The id is 2.25 and a UUID, as ITU-T X.667 makes them.
#[test]
fn an_extension_with_a_large_id_is_passed_over() {
    let large = tlv(0x06, &[[0x69, 0x83].as_slice(), &[0xff; 16], &[0x7f]].concat());
    let extension = |id: &[u8]| sequence(&[id.to_vec(), tlv(0x04, b"")]);
    let names = der::alternative_names(&[tlv(0x82, b"a")]);
    let certificate = Certificate::from_der(&der::certificate(subject(), &[extension(&large), names])).unwrap();
    assert_eq!(certificate.subject_alternative_names(), [AlternativeName::Dns("a".into())]);
    let no_id = der::certificate(subject(), &[extension(&tlv(0x02, &[1]))]);
    assert_eq!(Certificate::from_der(&no_id).map(|_| ()), Err(CertificateError::Der));
}

#[test]
fn a_value_of_the_subject_that_cannot_be_read_is_compared_by_its_octets() {
    let universal = |text: &str| text.chars().flat_map(|letter| u32::from(letter).to_be_bytes()).collect::<Vec<u8>>();
    let unreadable = [
        (0x1c, universal("b")),
        (0x1c, vec![0, 0, 1]),
        (0x1b, b"general".to_vec()),
        (0x15, b"videotex".to_vec()),
        (0x1d, b"unassigned".to_vec()),
        (UTF8, b"\xff".to_vec()),
        (der::PRINTABLE, b"\xe9".to_vec()),
        (der::IA5, b"\xe9".to_vec()),
        (der::BMP, b"\0a\0".to_vec()),
        (der::BMP, b"\xd8\0".to_vec()),
        (0x24, tlv(UTF8, b"constructed")),
    ];
    for (tag, octets) in unreadable {
        let read = |value: &[u8]| {
            let name =
                der::name(&[("2.5.4.6", der::PRINTABLE, b"GB"), ("2.5.4.10", tag, value), ("2.5.4.3", UTF8, b"x")]);
            Certificate::from_der(&der::certificate(name, &[])).unwrap().subject().clone()
        };
        let name = read(&octets);
        assert_eq!(name.values(&Attribute::CommonName), ["x"]);
        assert_eq!(name.values(&Attribute::Organization), [""; 0]);
        assert_eq!(name.single_value(&Attribute::Organization), None);
        assert!(name.contains(&Attribute::Organization));
        let written = format!("CN=x,O=#{},C=GB", hex_of(&tlv(tag, &octets)));
        assert_eq!(name.to_string(), written);
        assert!(name.matches(&DistinguishedName::parse(&written).unwrap()), "{written}");
        assert!(name.matches(&read(&octets)), "{written}");
        assert!(!name.matches(&read(&[octets.as_slice(), b"a"].concat())), "{written}");
        assert!(!name.matches(&DistinguishedName::parse("CN=x,O=b,C=GB").unwrap()), "{written}");
        assert!(!name.matches(&DistinguishedName::parse("CN=x,C=GB").unwrap()), "{written}");
    }
}

#[test]
fn cb_04_a_second_value_that_cannot_be_read_is_not_hidden() {
    let read = |values: &[(u8, &[u8])]| {
        let attributes: Vec<_> = values.iter().map(|(tag, octets)| ("2.5.4.3", *tag, *octets)).collect();
        let apart = der::certificate(der::name(&attributes), &[]);
        let in_one_set = der::certificate(der::name_of_sets(&[&attributes]), &[]);
        [apart, in_one_set].map(|der| Certificate::from_der(&der).unwrap().subject().clone())
    };
    let good: (u8, &[u8]) = (UTF8, b"software");
    for unreadable in [(0x1c_u8, &b"\0\0\0a"[..]), (UTF8, b"\xff"), (0x05, b"")] {
        for values in [[good, unreadable], [unreadable, good]] {
            for name in read(&values) {
                assert_eq!(name.values(&Attribute::CommonName), ["software"], "one value can be read");
                assert_eq!(name.single_value(&Attribute::CommonName), None, "but it is not the only one");
                assert!(name.contains(&Attribute::CommonName));
            }
        }
    }
    for name in read(&[good]) {
        assert_eq!(name.single_value(&Attribute::CommonName), Some("software"));
        assert_eq!(name.single_value(&Attribute::Organization), None);
        assert!(!name.contains(&Attribute::Organization));
    }
    for name in read(&[good, good]) {
        assert_eq!(name.single_value(&Attribute::CommonName), None);
    }
}

#[test]
fn a_subject_that_is_malformed_makes_the_certificate_unusable() {
    let attribute = |parts: &[Vec<u8>]| sequence(&[tlv(0x31, &sequence(parts))]);
    for name in [
        attribute(&[oid("2.5.4.3")]),
        attribute(&[oid("2.5.4.3"), vec![0x1c, 2, 0]]),
        attribute(&[oid("2.5.4.3"), tlv(0x1c, b"a"), tlv(0x1c, b"b")]),
        attribute(&[oid("2.5.4.3"), vec![0x1f, 1, 0]]),
        attribute(&[tlv(UTF8, b"a"), tlv(UTF8, b"b")]),
        sequence(&[sequence(&[oid("2.5.4.3"), tlv(UTF8, b"a")])]),
        sequence(&[tlv(0x31, &tlv(0x31, &[oid("2.5.4.3"), tlv(UTF8, b"a")].concat()))]),
        tlv(0x31, &[]),
    ] {
        let read = Certificate::from_der(&der::certificate(name.clone(), &[])).map(|_| ());
        assert_eq!(read, Err(CertificateError::Der), "{name:02x?}");
    }
}

#[test]
fn a_subject_may_be_empty_but_matches_nothing() {
    let certificate = Certificate::from_der(&der::certificate(der::name(&[]), &[])).unwrap();
    assert_eq!(certificate.subject().to_string(), "");
    assert!(!certificate.subject().matches(certificate.subject()));
}

#[test]
fn the_issuer_is_named() {
    let issuer = |name: Vec<u8>| {
        let der = der::certificate_of(name, subject(), &[]);
        Certificate::from_der(&der).unwrap().issuer().clone()
    };
    let name = issuer(der::name(&[("2.5.4.6", der::PRINTABLE, b"GB"), ("2.5.4.3", UTF8, b"OB Issuing CA")]));
    assert_eq!(name.to_string(), "CN=OB Issuing CA,C=GB");
    assert!(name.matches(&DistinguishedName::parse("cn=ob issuing ca, c=gb").unwrap()));
    assert!(!name.matches(&DistinguishedName::parse("CN=OB Issuing CA").unwrap()));
    let odd = issuer(der::name(&[("2.5.4.6", der::PRINTABLE, b"GB"), ("2.5.4.3", 0x1c, b"\0\0\0a")]));
    assert_eq!(odd.to_string(), "CN=#1c0400000061,C=GB");
    for malformed in [der::name(&[]), tlv(0x31, &[]), sequence(&[tlv(0x31, &[0x30, 9])]), tlv(UTF8, b"CN=x")] {
        let name = issuer(malformed.clone());
        assert_eq!(name.to_string(), "", "{malformed:02x?}");
        assert!(!name.matches(&name), "{malformed:02x?}");
    }
}

#[test]
fn the_issuers_key_is_named() {
    let identifier = |extensions: &[Vec<u8>]| {
        let certificate = Certificate::from_der(&der::certificate(subject(), extensions)).unwrap();
        certificate.authority_key_identifier().map(<[u8]>::to_vec)
    };
    let (key, serial) = (tlv(0x80, b"0123456789"), tlv(0x82, &[1]));
    let general_names = tlv(0xa1, &tlv(0xa4, &subject()));
    let extension = der::authority_key_identifier(std::slice::from_ref(&key));
    assert_eq!(identifier(std::slice::from_ref(&extension)).as_deref(), Some(&b"0123456789"[..]));
    let all = der::authority_key_identifier(&[key.clone(), general_names.clone(), serial.clone()]);
    assert_eq!(identifier(&[all]).as_deref(), Some(&b"0123456789"[..]));
    for (of, extensions) in [
        ("no extension", vec![]),
        ("no id", vec![der::authority_key_identifier(&[general_names, serial.clone()])]),
        ("no field", vec![der::authority_key_identifier(&[])]),
        ("an empty id", vec![der::authority_key_identifier(&[tlv(0x80, b"")])]),
        ("in the wrong place", vec![der::authority_key_identifier(&[serial, key.clone()])]),
        ("constructed", vec![der::authority_key_identifier(&[tlv(0xa0, &tlv(0x04, b"a"))])]),
        ("an octet string", vec![der::authority_key_identifier(&[tlv(0x04, b"a")])]),
        ("cut short", vec![der::authority_key_identifier(&[vec![0x80, 9, 1]])]),
        ("not a sequence", vec![sequence(&[oid("2.5.29.35"), tlv(0x04, &key)])]),
        ("something behind it", vec![sequence(&[oid("2.5.29.35"), tlv(0x04, &[sequence(&[key]), vec![0]].concat())])]),
        ("twice", vec![extension.clone(), extension]),
    ] {
        assert_eq!(identifier(&extensions), None, "{of}");
    }
}

#[test]
fn a_changed_certificate_never_panics() {
    let names = [tlv(0x82, b"a.example"), tlv(0x87, &[127, 0, 0, 1]), tlv(0x86, b"https://a")];
    let key = der::authority_key_identifier(&[tlv(0x80, b"0123456789")]);
    let genuine = der::certificate(subject(), &[der::alternative_names(&names), key]);
    let mut read = 0;
    for changed in mutations(&genuine, 10_000) {
        if let Ok(certificate) = Certificate::from_der(&changed) {
            let subject = certificate.subject();
            assert!(subject.to_string().len() < 4096);
            let _ = subject.matches(subject);
            assert!(certificate.issuer().to_string().len() < 4096);
            assert!(certificate.authority_key_identifier().is_none_or(|key| !key.is_empty()));
            read += 1;
        }
    }
    assert!(read > scaled(100), "{read}");
    for changed in mutations(der::pem(&genuine).as_bytes(), 4000) {
        let _ = Certificate::from_pem(&changed);
    }
}
