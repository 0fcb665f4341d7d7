//! Spellings of names, and which spellings mean the same name.

use dcr_test_support::mutations;

use super::{Attribute, DistinguishedName, NameError};
use crate::Certificate;
use crate::tests::der::{self, BIT_STRING, BMP, IA5, PRINTABLE, TELETEX, UTF8};

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
fn dn_06_the_text_of_each_tool_equals_the_certificate() {
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
fn dn_01_text_that_is_not_a_name_is_refused() {
    for (text, why) in [
        ("", NameError::Empty),
        ("   ", NameError::Empty),
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
fn printing_is_fit_for_a_log_and_can_be_read_back() {
    for (text, printed) in [
        ("cn=a , o=b", "CN=a,O=b"),
        (r#"CN="a, b"+UID=1"#, r"CN=a\, b+UID=1"),
        (r#"CN=\"\+\,\;\<\>\\"#, r#"CN=\"\+\,\;\<\>\\"#),
        (r"CN=\#a#", r"CN=\#a#"),
        (r"CN=\ a b\ ", r"CN=\ a b\ "),
        (r"CN=\ ", r"CN=\ "),
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
            read += 1;
        }
    }
    assert!(read > 1000, "{read}");
}
