//! Spellings of names, and which spellings mean the same name.

use dcr_test_support::{mutations, scaled};
use unicode_normalization::UnicodeNormalization;

use super::{Attribute, DistinguishedName, NameError};
use crate::tests::der::{self, BIT_STRING, BMP, IA5, PRINTABLE, TELETEX, UTF8};
use crate::{Certificate, CertificateError};

/// One OBWAC subject as different tools print it (DN-06).
pub(crate) const SAME_SUBJECT: [&str; 14] = [
    // OpenSSL 3, -nameopt RFC2253
    "CN=0015800001HQQrZAAX,organizationIdentifier=PSDGB-OB-Unknown0015800001HQQrZAAX,O=WSO2 (UK) LIMITED,C=GB",
    // python-cryptography, rfc4514_string()
    "CN=0015800001HQQrZAAX,2.5.4.97=PSDGB-OB-Unknown0015800001HQQrZAAX,O=WSO2 (UK) LIMITED,C=GB",
    // Java X500Principal: RFC2253, CANONICAL, RFC1779
    "CN=0015800001HQQrZAAX,2.5.4.97=#132250534447422d4f422d556e6b6e6f776e30303135383030303031485151725a414158,\
     O=WSO2 (UK) LIMITED,C=GB",
    "cn=0015800001hqqrzaax,2.5.4.97=#132250534447422d4f422d556e6b6e6f776e30303135383030303031485151725a414158,\
     o=wso2 (uk) limited,c=gb",
    "CN=0015800001HQQrZAAX, OID.2.5.4.97=PSDGB-OB-Unknown0015800001HQQrZAAX, O=WSO2 (UK) LIMITED, C=GB",
    // DN-04: the same value as UTF8String, in upper-case digits
    "CN=0015800001HQQrZAAX,2.5.4.97=#0C2250534447422D4F422D556E6B6E6F776E30303135383030303031485151725A414158,\
     O=WSO2 (UK) LIMITED,C=GB",
    // Go, Subject.String(): moved to the end
    "CN=0015800001HQQrZAAX,O=WSO2 (UK) LIMITED,C=GB,\
     2.5.4.97=#132250534447422d4f422d556e6b6e6f776e30303135383030303031485151725a414158",
    // Revolut's guide: moved to the front
    "organizationIdentifier=PSDGB-OB-Unknown0015800001HQQrZAAX,CN=0015800001HQQrZAAX,O=WSO2 (UK) LIMITED,C=GB",
    // RFC 2253 and RFC 1779 input
    "CN=0015800001HQQrZAAX;organizationIdentifier=PSDGB-OB-Unknown0015800001HQQrZAAX;O=WSO2 (UK) LIMITED;C=GB",
    " CN = 0015800001HQQrZAAX , organizationIdentifier = PSDGB-OB-Unknown0015800001HQQrZAAX , \
      O = \"WSO2 (UK) LIMITED\" ; C = GB ",
    // Long names, other letter case, other spaces, needless escapes
    "commonName=0015800001HQQrZAAX,ORGANIZATIONIDENTIFIER=psdgb-ob-unknown0015800001hqqrzaax,\
     organizationName=Wso2  (UK)   Limited,countryName=gb",
    "oid.2.5.4.3=0015800001HQQrZAAX,Oid.2.5.4.97=PSDGB-OB-Unknown0015800001HQQrZAAX,2.5.4.10=WSO2 (UK) LIMITED,\
     2.5.4.6=GB",
    "CN=\\30015800001HQQrZAAX,organizationIdentifier=PSDGB-OB-Unknown0015800001HQQrZAAX,\
     O=\\20WSO2 (UK) LIMITED\\ ,C=GB",
    "CN=0015800001HQQrZAAX,organizationIdentifier=PSDGB-OB-Unknown0015800001HQQrZAAX,\
     O=WSO2 (UK)\u{a0}LIMI\u{ad}TED,C=GB",
];

/// Names that are not that subject.
pub(crate) const OTHER_SUBJECTS: [&str; 8] = [
    // Go, Subject.ToRDNSequence().String(): the attribute is lost
    "CN=0015800001HQQrZAAX,O=WSO2 (UK) LIMITED,C=GB",
    // DN-03: RDNs in another order
    "C=GB,O=WSO2 (UK) LIMITED,organizationIdentifier=PSDGB-OB-Unknown0015800001HQQrZAAX,CN=0015800001HQQrZAAX",
    "O=WSO2 (UK) LIMITED,organizationIdentifier=PSDGB-OB-Unknown0015800001HQQrZAAX,CN=0015800001HQQrZAAX,C=GB",
    // One RDN more, one less
    "CN=0015800001HQQrZAAX,organizationIdentifier=PSDGB-OB-Unknown0015800001HQQrZAAX,O=WSO2 (UK) LIMITED,L=London,C=GB",
    "CN=0015800001HQQrZAAX,organizationIdentifier=PSDGB-OB-Unknown0015800001HQQrZAAX,C=GB",
    // Twice
    "CN=0015800001HQQrZAAX,organizationIdentifier=PSDGB-OB-Unknown0015800001HQQrZAAX,\
     organizationIdentifier=PSDGB-OB-Unknown0015800001HQQrZAAX,O=WSO2 (UK) LIMITED,C=GB",
    // Another value, and the same inside a set
    "CN=0015800001HQQrZAAX,organizationIdentifier=PSDGB-OB-Unknown0015800001HQQrZAAY,O=WSO2 (UK) LIMITED,C=GB",
    "CN=0015800001HQQrZAAX+organizationIdentifier=PSDGB-OB-Unknown0015800001HQQrZAAX,O=WSO2 (UK) LIMITED,C=GB",
];

fn parse(text: &str) -> DistinguishedName {
    DistinguishedName::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
}

fn subject(name: Vec<u8>) -> DistinguishedName {
    Certificate::from_der(&der::certificate(name, &[])).unwrap().subject().clone()
}

fn assert_same(left: &str, right: &str) {
    assert!(parse(left).matches(&parse(right)), "{left} | {right}");
    assert!(parse(right).matches(&parse(left)), "{right} | {left}");
}

fn assert_different(left: &str, right: &str) {
    assert!(!parse(left).matches(&parse(right)), "{left} | {right}");
    assert!(!parse(right).matches(&parse(left)), "{right} | {left}");
}

fn common_name(text: &str) -> String {
    parse(text).values(&Attribute::CommonName).concat()
}

#[test]
fn dn_06_what_tools_print_equals_the_certificate() {
    let certificate = subject(der::name(&[
        ("2.5.4.6", PRINTABLE, b"GB"),
        ("2.5.4.10", PRINTABLE, b"WSO2 (UK) LIMITED"),
        ("2.5.4.97", PRINTABLE, b"PSDGB-OB-Unknown0015800001HQQrZAAX"),
        ("2.5.4.3", PRINTABLE, b"0015800001HQQrZAAX"),
    ]));
    for spelling in SAME_SUBJECT {
        assert!(parse(spelling).matches(&certificate), "{spelling}");
        assert!(certificate.matches(&parse(spelling)), "{spelling}");
    }
    for spelling in OTHER_SUBJECTS {
        assert!(!parse(spelling).matches(&certificate), "{spelling}");
        assert!(!certificate.matches(&parse(spelling)), "{spelling}");
    }
}

#[test]
fn dn_01_escapes_stand_for_what_they_escape() {
    assert_eq!(common_name(r#"CN=\,\+\"\\\<\>\;\#\=\ "#), ",+\"\\<>;#= ");
    assert_eq!(common_name(r"CN=\23a#b=c"), "#a#b=c");
    assert_eq!(common_name(r"CN=\C3\A9t\c3\a9"), "été");
    assert_eq!(common_name(r"CN=\ a  b\20"), " a  b ");
    assert_eq!(common_name(r"CN=a\ "), "a ");
    assert_eq!(common_name(r"CN=a\ \  "), "a  ");
    assert_eq!(common_name(r"CN=a\00b"), "a\0b");
    assert_eq!(common_name("CN=  plain  "), "plain");
    assert_eq!(common_name("CN=Łódź"), "Łódź");
}

#[test]
fn dn_01_quoted_values_may_hold_separators() {
    assert_eq!(common_name(r#"CN="a, b; c+d=<e>#" ,O=x"#), "a, b; c+d=<e>#");
    assert_eq!(common_name(r#"CN="a\"b\\c\C3\A9""#), "a\"b\\cé");
    assert_eq!(common_name(r#"CN="  a  ""#), "  a  ");
    assert_eq!(common_name(r#"CN="""#), "");
}

#[test]
fn dn_01_what_is_no_name_is_refused() {
    for (text, why) in [
        ("", NameError::Empty),
        ("   ", NameError::Empty),
        (" \r\n\t\u{a0} ", NameError::Empty),
        ("subject=", NameError::Empty),
        ("subject = \n", NameError::Empty),
        ("subject=x", NameError::Attribute),
        ("subject", NameError::Attribute),
        ("subject=CN", NameError::Attribute),
        ("subject=subject=CN=x", NameError::UnknownAttribute),
        ("CN=x,subject=y", NameError::UnknownAttribute),
        ("subject,CN=x", NameError::Attribute),
        ("issuer=CN=x", NameError::UnknownAttribute),
        ("C\tN=x", NameError::Attribute),
        ("x", NameError::Attribute),
        ("CN", NameError::Attribute),
        ("=x", NameError::Attribute),
        ("CN=x,", NameError::Attribute),
        (",CN=x", NameError::Attribute),
        ("CN=x,,O=y", NameError::Attribute),
        ("CN=x+", NameError::Attribute),
        ("CN=x,O", NameError::Attribute),
        ("C N=x", NameError::Attribute),
        ("É=x", NameError::Attribute),
        ("/C=GB/O=x", NameError::Attribute),
        ("2.5.4.=x", NameError::Attribute),
        ("2=x", NameError::Attribute),
        ("9.9.9=x", NameError::Attribute),
        ("OID.=x", NameError::Attribute),
        ("OID.CN=x", NameError::Attribute),
        ("nonsense=x", NameError::UnknownAttribute),
        ("CN=a\"b", NameError::Unescaped),
        ("CN=a<b", NameError::Unescaped),
        ("CN=a>b", NameError::Unescaped),
        ("CN=a\0b", NameError::Unescaped),
        (r"CN=a\", NameError::Escape),
        (r"CN=a\x", NameError::Escape),
        (r"CN=a\4", NameError::Escape),
        (r"CN=a\4g", NameError::Escape),
        (r"CN=a\é", NameError::Escape),
        (r"CN=a\,b\", NameError::Escape),
        (r"CN=\C3", NameError::NotUtf8),
        (r"CN=\C3x", NameError::NotUtf8),
        (r"CN=\ED\A0\80", NameError::NotUtf8),
        (r#"CN="a"#, NameError::Quote),
        (r#"CN="a"b"#, NameError::Quote),
        (r#"CN="a"#, NameError::Quote),
        (r#"CN="a" "b""#, NameError::Quote),
        ("CN=#", NameError::Hex),
        ("CN=#1", NameError::Hex),
        ("CN=#zz", NameError::Hex),
        ("CN=#1302", NameError::Hex),
        ("CN=#13014100", NameError::Hex),
        ("CN=#1301 41", NameError::Hex),
    ] {
        assert_eq!(DistinguishedName::parse(text).map(|name| name.to_string()), Err(why), "{text:?}");
    }
}

#[test]
fn a_text_is_bounded() {
    let text = |length: usize| format!("CN={}", "a".repeat(length - 3));
    assert!(DistinguishedName::parse(&text(4096)).is_ok());
    assert_eq!(DistinguishedName::parse(&text(4097)).map(|_| ()), Err(NameError::TooLong));
}

#[test]
fn dn_02_attribute_types_have_many_names() {
    for names in [
        &["CN", "cn", "commonName", "2.5.4.3", "OID.2.5.4.3", "oid.2.5.4.3"][..],
        &["L", "localityName", "2.5.4.7"],
        &["ST", "S", "stateOrProvinceName", "2.5.4.8"],
        &["O", "organizationName", "2.5.4.10"],
        &["OU", "organizationalUnitName", "2.5.4.11"],
        &["C", "countryName", "2.5.4.6"],
        &["STREET", "streetAddress", "2.5.4.9"],
        &["DC", "domainComponent", "0.9.2342.19200300.100.1.25"],
        &["UID", "userId", "0.9.2342.19200300.100.1.1"],
        &["serialNumber", "SERIALNUMBER", "2.5.4.5"],
        &["businessCategory", "2.5.4.15"],
        &["jurisdictionCountryName", "jurisdictionC", "1.3.6.1.4.1.311.60.2.1.3"],
        &["organizationIdentifier", "2.5.4.97"],
        &["emailAddress", "E", "1.2.840.113549.1.9.1"],
        &["SN", "surname", "2.5.4.4"],
        &["GN", "givenName", "2.5.4.42"],
        &["T", "title", "2.5.4.12"],
        &["postalCode", "2.5.4.17"],
        &["1.2.3.4", "OID.1.2.3.4"],
    ] {
        for name in names {
            assert_same(&format!("{name}=x"), &format!("{}=x", names[0]));
            assert_different(&format!("{name}=x"), "pseudonym=x");
        }
    }
}

/// Each name is what `openssl x509 -noout -subject -nameopt RFC2253` prints for the type (OpenSSL 3.0.19), and the others are what
/// `-nameopt multiline`, Bouncy Castle and LDAP print.
#[test]
fn dn_02_rare_attribute_types_have_names_too() {
    for (oid, names) in [
        ("2.5.4.16", &["postalAddress"][..]),
        ("2.5.4.18", &["postOfficeBox"]),
        ("2.5.4.19", &["physicalDeliveryOfficeName"]),
        ("2.5.4.21", &["telexNumber"]),
        ("2.5.4.22", &["teletexTerminalIdentifier"]),
        ("2.5.4.23", &["facsimileTelephoneNumber"]),
        ("2.5.4.24", &["x121Address"]),
        ("2.5.4.25", &["internationaliSDNNumber"]),
        ("2.5.4.26", &["registeredAddress"]),
        ("2.5.4.27", &["destinationIndicator"]),
        ("2.5.4.43", &["initials"]),
        ("2.5.4.44", &["generationQualifier"]),
        ("2.5.4.45", &["x500UniqueIdentifier"]),
        ("2.5.4.51", &["houseIdentifier"]),
        ("2.5.4.54", &["dmdName"]),
        ("2.5.4.65", &["pseudonym"]),
        ("2.5.4.72", &["role"]),
        ("2.5.4.98", &["c3", "countryCode3c"]),
        ("2.5.4.99", &["n3", "countryCode3n"]),
        ("2.5.4.100", &["dnsName"]),
        ("0.9.2342.19200300.100.1.3", &["mail", "rfc822Mailbox"]),
        ("0.9.2342.19200300.100.1.4", &["info"]),
        ("0.9.2342.19200300.100.1.6", &["roomNumber"]),
        ("0.9.2342.19200300.100.1.8", &["userClass"]),
        ("0.9.2342.19200300.100.1.9", &["host"]),
        ("0.9.2342.19200300.100.1.20", &["homeTelephoneNumber", "homePhone"]),
        ("0.9.2342.19200300.100.1.37", &["associatedDomain"]),
        ("0.9.2342.19200300.100.1.39", &["homePostalAddress"]),
        ("0.9.2342.19200300.100.1.40", &["personalTitle"]),
        ("0.9.2342.19200300.100.1.41", &["mobileTelephoneNumber", "mobile"]),
        ("0.9.2342.19200300.100.1.42", &["pagerTelephoneNumber", "pager"]),
        ("0.9.2342.19200300.100.1.43", &["friendlyCountryName", "co"]),
        ("0.9.2342.19200300.100.1.45", &["organizationalStatus"]),
        ("0.9.2342.19200300.100.1.48", &["buildingName"]),
        ("1.2.840.113549.1.9.1", &["emailAddress", "E", "email"]),
        ("1.2.840.113549.1.9.2", &["unstructuredName"]),
        ("1.2.840.113549.1.9.8", &["unstructuredAddress"]),
        (
            "1.3.6.1.4.1.311.60.2.1.1",
            &["jurisdictionL", "jurisdictionLocalityName", "jurisdictionOfIncorporationLocalityName"],
        ),
        (
            "1.3.6.1.4.1.311.60.2.1.2",
            &["jurisdictionST", "jurisdictionStateOrProvinceName", "jurisdictionOfIncorporationStateOrProvinceName"],
        ),
        (
            "1.3.6.1.4.1.311.60.2.1.3",
            &["jurisdictionC", "jurisdictionCountryName", "jurisdictionOfIncorporationCountryName"],
        ),
        ("1.3.6.1.5.5.7.9.1", &["dateOfBirth", "id-pda-dateOfBirth"]),
        ("1.3.6.1.5.5.7.9.2", &["placeOfBirth", "id-pda-placeOfBirth"]),
        ("1.3.6.1.5.5.7.9.3", &["gender", "id-pda-gender"]),
        ("1.3.6.1.5.5.7.9.4", &["countryOfCitizenship", "id-pda-countryOfCitizenship"]),
        ("1.3.6.1.5.5.7.9.5", &["countryOfResidence", "id-pda-countryOfResidence"]),
        ("1.2.643.100.1", &["OGRN"]),
        ("1.2.643.100.3", &["SNILS"]),
        ("1.2.643.100.4", &["INNLE"]),
        ("1.2.643.100.5", &["OGRNIP"]),
        ("1.2.643.3.131.1.1", &["INN"]),
    ] {
        let certificate = subject(der::name(&[("2.5.4.6", PRINTABLE, b"GB"), (oid, UTF8, b"x")]));
        for name in names.iter().chain([&oid]) {
            let parsed = parse(&format!("{name}=x,C=GB"));
            assert!(parsed.matches(&certificate), "{name}");
            assert!(parse(&parsed.to_string()).matches(&certificate), "{parsed}");
            assert_different(&format!("{name}=x"), "description=x");
        }
    }
}

/// Tools call two types so: 2.5.4.45 (Bouncy Castle) and 0.9.2342.19200300.100.1.44 (OpenSSL, LDAP). OpenSSL's short name of the second one
/// is `uid`, which is another type's name in every other tool.
#[test]
fn dn_02_a_name_of_two_types_is_unknown() {
    let refused = DistinguishedName::parse("uniqueIdentifier=x").map(|name| name.to_string());
    assert_eq!(refused, Err(NameError::UnknownAttribute));
    assert_same("uid=x", "0.9.2342.19200300.100.1.1=x");
    assert_different("uid=x", "0.9.2342.19200300.100.1.44=x");
    assert_different("2.5.4.45=x", "0.9.2342.19200300.100.1.44=x");
}

#[test]
fn dn_02_a_rare_attribute_type_prints_as_its_oid() {
    let parsed = parse("postalAddress=Main St 1+role=tpp,unstructuredName=a,C=GB");
    assert_eq!(parsed.to_string(), "2.5.4.16=Main St 1+2.5.4.72=tpp,1.2.840.113549.1.9.2=a,C=GB");
    let postal_address = Attribute::from_name("postaladdress").unwrap();
    assert_eq!(parsed.values(&postal_address), ["Main St 1"]);
}

/// The prefix of two octets of which the second has more than seven bits is another prefix.
#[test]
fn an_oid_beside_a_known_one_is_unknown() {
    for oid in ["2.5.4.1", "2.5.4.128", "2.5.4.131", "2.5.4.3.3", "2.5.4", "2.5.5.3", "1.2.3"] {
        assert_eq!(parse(&format!("{oid}=x")).to_string(), format!("{oid}=x"));
        assert_different(&format!("{oid}=x"), "CN=x");
    }
}

/// Libraries disagree about which identifier such octets are.
#[test]
fn an_oid_with_leading_zeros_in_an_arc_is_refused() {
    let common_name = |oid: &[u8]| {
        let attribute = der::sequence(&[der::tlv(6, oid), der::tlv(UTF8, b"a")]);
        der::certificate(der::sequence(&[der::tlv(0x31, &attribute)]), &[])
    };
    assert!(Certificate::from_der(&common_name(&[0x55, 4, 3])).is_ok());
    assert!(Certificate::from_der(&common_name(&[0x55, 4, 0x81, 0x80, 3])).is_ok());
    for padded in [&[0x55, 4, 0x80, 3][..], &[0x80, 0x55, 4, 3], &[0x55, 4, 0x80, 0x80, 3]] {
        assert_eq!(Certificate::from_der(&common_name(padded)).err(), Some(CertificateError::Der), "{padded:?}");
    }
}

#[test]
fn dn_06_white_space_around_separators_is_no_part_of_a_value() {
    let plain = "CN=a b,OU=c+UID=d,2.5.4.97=#0c0141,O=e f";
    for space in [" ", "\n", "\r\n", "\t", "\u{a0}", " \u{a0}\t\r\n "] {
        let spaced: String = plain
            .chars()
            .map(|character| match character {
                '=' | ',' | '+' => format!("{space}{character}{space}"),
                ' ' => space.to_owned(),
                other => other.to_string(),
            })
            .collect();
        let pasted = format!("{space}{spaced}{space}");
        assert_same(plain, &pasted);
        assert_same(plain, &pasted.replace(',', ";"));
        assert_same(&plain.replace("e f", "\"e f\""), &pasted);
        assert_eq!(parse(&pasted).values(&Attribute::UserId), ["d"]);
        assert_eq!(parse(&pasted).values(&Attribute::CommonName), [format!("a{space}b")]);
    }
    // Inside quotes and behind a backslash it is a part of the value.
    assert_eq!(common_name("CN=\"\ta\n\""), "\ta\n");
    assert_eq!(common_name("CN= \\09a\\0A\n"), "\ta\n");
    assert_eq!(common_name("CN=a\\ \n"), "a ");
}

#[test]
fn dn_06_the_label_of_openssl_is_skipped() {
    for label in ["subject=", "subject= ", "subject = ", " subject=", "\nsubject =\t", "Subject="] {
        assert_same(&format!("{label}CN=a,O=b"), "CN=a,O=b");
        assert_same(&format!("{label}CN = a, O = b\n"), "CN=a,O=b");
    }
}

#[test]
fn dn_06_all_spellings_print_the_same_but_for_case_and_spaces_and_order() {
    let essence = |spelling: &str| {
        let printed = parse(spelling).to_string().to_lowercase().replace("\\c2\\ad", "").replace('\\', "");
        let mut attributes: Vec<String> =
            printed.split(',').map(|one| one.split_whitespace().collect::<String>()).collect();
        attributes.sort_unstable();
        attributes.join(",")
    };
    for spelling in SAME_SUBJECT {
        assert_eq!(
            essence(spelling),
            "c=gb,cn=0015800001hqqrzaax,o=wso2(uk)limited,organizationidentifier=psdgb-ob-unknown0015800001hqqrzaax",
            "{spelling}"
        );
    }
    assert_eq!(
        parse(SAME_SUBJECT[2]).to_string(),
        SAME_SUBJECT[0],
        "a hexadecimal value is printed as text, so its length is that of the text"
    );
}

#[test]
fn the_first_attribute_is_the_first_of_the_text() {
    let first = |text: &str| parse(text).first_attribute();
    assert_eq!(first("CN=a,O=b"), Some(Attribute::CommonName));
    assert_eq!(first("commonName = a,O=b"), Some(Attribute::CommonName));
    assert_eq!(first("2.5.4.3=a,O=b"), Some(Attribute::CommonName));
    assert_eq!(first("subject=CN=a,O=b"), Some(Attribute::CommonName));
    assert_eq!(first("O=b,CN=a"), Some(Attribute::Organization));
    assert_eq!(first("UID=a+CN=b,O=c"), Some(Attribute::UserId));
    assert_eq!(first("role=a,O=c"), Attribute::from_name("role"));
    let certificate = subject(der::name(&[("2.5.4.6", PRINTABLE, b"GB"), ("2.5.4.3", UTF8, b"a")]));
    assert_eq!(certificate.first_attribute(), Some(Attribute::CommonName));
    assert_eq!(subject(der::name(&[])).first_attribute(), None);
}

#[test]
fn dn_03_rdns_are_compared_in_order() {
    assert_same("CN=a,O=b", "CN=a,O=b");
    assert_different("CN=a,O=b", "O=b,CN=a");
    assert_different("CN=a,O=b", "CN=a");
    assert_different("CN=a,CN=b", "CN=b,CN=a");
    assert_different("OU=a,OU=a", "OU=a");
    assert_different("CN=a", "O=a");
}

#[test]
fn dn_03_an_rdn_is_a_set() {
    assert_same("CN=a+OU=b,O=c", "OU=b + CN=a,O=c");
    assert_different("CN=a+OU=b,O=c", "CN=a,OU=b,O=c");
    assert_different("CN=a+OU=b", "CN=a+OU=c");
    assert_different("CN=a+OU=b", "CN=a");
    let certificate = subject(der::name_of_sets(&[
        &[("2.5.4.6", PRINTABLE, b"GB")],
        &[("2.5.4.11", UTF8, b"b"), ("2.5.4.3", UTF8, b"a")],
    ]));
    assert!(certificate.matches(&parse("CN=a+OU=b,C=GB")));
}

#[test]
fn dn_03_text_is_compared_without_regard_to_case_and_spaces() {
    assert_same("CN=Straße", "CN=STRASSE");
    assert_same("CN=ΟΔΟΣ", "CN=οδος");
    assert_same("CN=Łódź Ção", "CN=ŁÓDŹ  ÇÃO");
    assert_same("CN=a b", "CN= a \\09 \\0A b\\ ");
    assert_same("CN=a\u{200b}b\u{ad}", "CN=AB");
    assert_same("CN=", "CN=\\ ");
    assert_different("CN=a b", "CN=ab");
    assert_different("CN=e", "CN=é");
    assert_different("CN=a-b", "CN=ab");
}

#[test]
fn dn_03_letters_with_accents_may_be_one_character_or_two() {
    for (composed, decomposed) in [
        ("São João", "Sa\u{303}o Joa\u{303}o"),
        ("SÃO JOÃO", "sa\u{303}o joa\u{303}o"),
        ("são joão", "SA\u{303}O JOA\u{303}O"),
        ("İstanbul", "I\u{307}stanbul"),
        ("Nguyễn Thị", "Nguye\u{302}\u{303}n Thi\u{323}"),
        ("Nguyễn Thị", "Nguy\u{ea}\u{303}n Thi\u{323}"),
        ("ậ", "a\u{323}\u{302}"),
        ("Ähre", "A\u{308}hre"),
        ("ŠKODA", "s\u{30c}koda"),
        ("Αθήνα", "ΑΘΗ\u{301}ΝΑ"),
        ("Ёлка Йод", "е\u{308}лка и\u{306}од"),
        ("ṩ", "s\u{323}\u{307}"),
    ] {
        assert_same(&format!("CN={composed}"), &format!("CN={decomposed}"));
        let certificate = subject(der::name(&[("2.5.4.3", UTF8, decomposed.as_bytes())]));
        assert!(certificate.matches(&parse(&format!("CN={composed}"))), "{composed}");
        assert!(!certificate.matches(&parse(&format!("CN={composed}x"))), "{composed}");
    }
    assert!(subject(der::name(&[("2.5.4.3", TELETEX, b"Caf\xe9")])).matches(&parse("CN=cafe\u{301}")));
}

#[test]
fn dn_03_other_letters_and_other_marks_make_another_name() {
    assert_different("CN=São", "CN=Sao");
    assert_different("CN=Sa\u{303}o", "CN=Sao");
    assert_different("CN=Sa\u{303}o", "CN=Sáo");
    assert_different("CN=Sa\u{303}o", "CN=Sao\u{303}");
    assert_different("CN=ø", "CN=o");
    assert_different("CN=ø", "CN=o\u{338}");
    assert_different("CN=đ", "CN=d");
    assert_different("CN=ß", "CN=s");
    assert_different("CN=ế", "CN=é\u{302}");
    // Unicode calls these the same. They differ here, so that the tables stay small.
    assert_different("CN=ậ", "CN=a\u{302}\u{323}");
    assert_different("CN=ﬁ", "CN=fi");
    assert_different("CN=か\u{3099}", "CN=が");
}

#[test]
fn dn_03_each_letter_of_the_blocks_equals_its_other_forms_and_not_its_base() {
    let certificate = |text: &str| subject(der::name(&[("2.5.4.3", UTF8, text.as_bytes())]));
    let blocks = ('\u{C0}'..='\u{24F}').chain('\u{370}'..='\u{4FF}').chain('\u{1E00}'..='\u{1EFF}');
    let letters: Vec<char> = blocks.filter(|letter| letter.nfd().count() > 1).collect();
    assert!(letters.len() > 500, "{}", letters.len());
    for letter in letters {
        let composed = certificate(&letter.to_string());
        let decomposed: String = letter.nfd().collect();
        assert!(composed.matches(&certificate(&decomposed)), "{letter}");
        assert!(composed.matches(&certificate(&decomposed.to_lowercase())), "{letter}");
        assert!(!composed.matches(&certificate(decomposed.get(..decomposed.len() - 2).unwrap())), "{letter}");
    }
}

#[test]
fn dn_03_prohibited_characters_match_nothing() {
    for text in ["CN=a\u{fffd}", "CN=\u{e000}"] {
        assert_different(text, text);
    }
}

#[test]
fn dn_03_string_types_do_not_matter() {
    let name = |tag, octets: &[u8]| subject(der::name(&[("2.5.4.10", tag, octets)]));
    for (tag, octets) in [
        (UTF8, &b"Acme & Co"[..]),
        (PRINTABLE, b"ACME & Co"),
        (IA5, b"acme & co"),
        (TELETEX, b"Acme & Co"),
        (BMP, b"\0A\0c\0m\0e\0 \0&\0 \0C\0o"),
    ] {
        assert!(name(tag, octets).matches(&parse("O=Acme & Co")), "{tag:#x}");
        assert!(name(tag, octets).matches(&name(UTF8, b"Acme & Co")), "{tag:#x}");
    }
    assert!(name(TELETEX, b"Caf\xe9").matches(&parse("O=Café")));
    assert!(name(BMP, b"\x01\x41").matches(&parse("O=ł")));
}

#[test]
fn email_and_domain_components_ignore_case() {
    let certificate = subject(der::name(&[
        ("0.9.2342.19200300.100.1.25", IA5, b"Example"),
        ("1.2.840.113549.1.9.1", IA5, b"Admin@Example.org"),
    ]));
    assert!(certificate.matches(&parse("emailAddress=admin@example.org,DC=example")));
    assert!(!certificate.matches(&parse("E=#160D61646D696E406578616D706C65,DC=example")));
    assert!(certificate.matches(&parse("1.2.840.113549.1.9.1=#161141646d696e406578616d706c652e6f7267,DC=EXAMPLE")));
}

#[test]
fn values_that_are_not_text_are_compared_as_der() {
    let name = |octets: &[u8]| subject(der::name(&[("2.5.4.45", BIT_STRING, octets)]));
    assert!(name(&[0, 0xa5]).matches(&parse("2.5.4.45=#030200A5")));
    assert!(!name(&[0, 0xa5]).matches(&parse("2.5.4.45=#030200A4")));
    assert!(!name(&[0, 0xa5]).matches(&parse("2.5.4.45=030200A5")));
    assert_eq!(name(&[0, 0xa5]).to_string(), "2.5.4.45=#030200a5");

    let broken_utf8 = subject(der::name(&[("2.5.4.3", UTF8, b"\xff")]));
    assert!(broken_utf8.matches(&parse("CN=#0c01ff")));
    assert!(!broken_utf8.matches(&parse("CN=\u{ff}")));
    assert_eq!(broken_utf8.values(&Attribute::CommonName), [""; 0]);
    let odd_bmp = subject(der::name(&[("2.5.4.3", BMP, b"\0a\0")]));
    assert!(odd_bmp.matches(&parse("CN=#1e03006100")));
}

#[test]
fn dn_04_a_hexadecimal_value_equals_its_text() {
    assert_same("2.5.4.97=#130141,C=GB", "organizationIdentifier=A,C=GB");
    assert_same("O=#0c0141", "O=#130161");
    assert_same("O=#1e020041", "O=a");
    assert_same("O = #0C0141 , C = GB", "O=a,C=GB");
}

#[test]
fn values_come_in_the_certificates_order() {
    let name = parse("OU=third,OU=second+OU=also,OU=first,C=GB");
    assert_eq!(name.values(&Attribute::OrganizationalUnit), ["first", "second", "also", "third"]);
    assert_eq!(name.values(&Attribute::Country), ["GB"]);
    assert_eq!(name.values(&Attribute::UserId), [""; 0]);
}

#[test]
fn three_values_of_one_set_are_all_given() {
    let certificate = subject(der::name_of_sets(&[
        &[("2.5.4.10", UTF8, b"o")],
        &[("2.5.4.11", UTF8, b"first"), ("2.5.4.11", UTF8, b"second"), ("2.5.4.11", UTF8, b"third")],
        &[("2.5.4.3", UTF8, b"c")],
    ]));
    assert_eq!(certificate.values(&Attribute::OrganizationalUnit), ["first", "second", "third"]);
    assert!(certificate.matches(&parse("CN=c,OU=third+OU=first+OU=second,O=o")));
    assert!(!certificate.matches(&parse("CN=c,OU=third,OU=second,OU=first,O=o")));
    assert!(!certificate.matches(&parse("CN=c,OU=third+OU=first,O=o")));
    assert!(!certificate.matches(&parse("CN=c,OU=third+OU=first+OU=first,O=o")));
}

#[test]
fn printing_is_fit_for_a_log_and_can_be_read_back() {
    for (text, printed) in [
        ("cn=a , o=b", "CN=a,O=b"),
        (r#"CN="a, b"+UID=1"#, r"CN=a\, b+UID=1"),
        (r#"CN=\"\+\,\;\<\>\\"#, r#"CN=\"\+\,\;\<\>\\"#),
        (r"CN=\#a#", r"CN=\#a#"),
        (r"CN=\ a b\ ", r"CN=\ a b\ "),
        (r"CN=\ ", r"CN=\ "),
        ("CN=\"\u{a0}a\u{a0}\"", r"CN=\C2\A0a\C2\A0"),
        ("CN=a\u{a0}b", "CN=a\u{a0}b"),
        ("CN=\"\ta\n\"", r"CN=\09a\0A"),
        (r"CN=a\0D\0Ab\00\1B[2J", r"CN=a\0D\0Ab\00\1B[2J"),
        ("CN=a\u{202e}b\u{2028}", r"CN=a\E2\80\AEb\E2\80\A8"),
        ("CN=Łódź", "CN=Łódź"),
        ("oid.1.2.3=x", "1.2.3=x"),
        ("2.5.4.97=#0c0141", "organizationIdentifier=A"),
        ("CN=", "CN="),
    ] {
        assert_eq!(parse(text).to_string(), printed, "{text}");
        assert_eq!(parse(printed).to_string(), printed);
        assert!(parse(printed).matches(&parse(text)), "{text}");
    }
}

#[test]
fn a_name_in_plain_ascii_has_hexadecimal_values_where_text_needs_escapes() {
    for (text, plain) in [
        ("CN=harbour,O=Harbour = Budgeting (UK) #1,C=GB", "CN=harbour,O=Harbour = Budgeting (UK) #1,C=GB"),
        (r"CN=a\,b+UID=u,C=GB", "CN=#0c03612c62+UID=u,C=GB"),
        (r"CN=\#a,O=\ a,OU=a\ ,L=\22,ST=\\", "CN=#0c022361,O=#0c022061,OU=#0c026120,L=#0c0122,ST=#0c015c"),
        ("CN=Łódź", "CN=#0c07c581c3b364c5ba"),
        ("2.5.4.45=#030200a5", "2.5.4.45=#030200a5"),
        ("CN=", "CN="),
    ] {
        assert_eq!(parse(text).to_plain_ascii(), plain, "{text}");
        assert_eq!(parse(plain).to_string(), parse(text).to_string(), "{text}");
    }
    let long = format!(r"CN=\,{}", "a".repeat(300));
    assert_eq!(parse(&parse(&long).to_plain_ascii()).to_string(), long);
}

#[test]
fn a_changed_name_never_panics_and_prints_what_it_read() {
    let mut read = 0;
    for genuine in SAME_SUBJECT.into_iter().chain([r#"CN="a, b\"\C3\A9"+UID=\#\,x\20,OU=Łódź; 2.5.4.45=#030200A5"#])
    {
        for changed in mutations(genuine.as_bytes(), 2000) {
            let Ok(text) = String::from_utf8(changed) else { continue };
            let Ok(name) = DistinguishedName::parse(&text) else { continue };
            let printed = name.to_string();
            assert!(!printed.chars().any(char::is_control), "{printed:?}");
            assert_eq!(parse(&printed).to_string(), printed);
            assert_eq!(name.matches(&parse(&printed)), name.matches(&name), "{text:?}");
            let plain = name.to_plain_ascii();
            assert!(plain.bytes().all(|octet| matches!(octet, b' '..=b'~') && !b"\"\\".contains(&octet)), "{plain}");
            if let Ok(again) = DistinguishedName::parse(&plain) {
                assert_eq!(again.to_string(), printed, "{plain}");
            } else {
                assert!(plain.len() > 4096, "{plain}");
            }
            read += 1;
        }
    }
    assert!(read > scaled(1000), "{read}");
}
