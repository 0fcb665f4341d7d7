//! The statements of proxies about certificates.

use dcr_test_support::mutations;

use super::der::{self, UTF8};
use crate::xfcc::{Element, XfccError, parse};
use crate::{Certificate, CertificateError};

fn certificate(common_name: &[u8]) -> Vec<u8> {
    der::certificate(der::name(&[("2.5.4.3", UTF8, common_name)]), &[])
}

fn hash(der: &[u8]) -> String {
    Certificate::from_der(der).unwrap().thumbprint().hex()
}

/// The PEM in the form that Envoy writes into the header.
fn url_encoded(der: &[u8]) -> String {
    let replacements = [(" ", "%20"), ("\n", "%0A"), ("+", "%2B"), ("/", "%2F"), ("=", "%3D")];
    replacements.iter().fold(der::pem(der), |text, (from, to)| text.replace(from, to))
}

fn element(der: &[u8]) -> String {
    format!(
        r#"By=spiffe://gateway;Hash={};Cert="{}";Subject="CN=a\,b,O=\"x\"";URI=;DNS=a.example;DNS=b.example"#,
        hash(der),
        url_encoded(der)
    )
}

/// The hash and the common name of each element.
fn seen(elements: &[Element]) -> Vec<(Option<String>, Option<String>)> {
    let hash = |element: &Element| element.hash.map(|hash| hash.hex());
    let name = |element: &Element| element.certificate.as_ref().map(|one| one.subject().to_string());
    elements.iter().map(|element| (hash(element), name(element))).collect()
}

fn refusal(header: &str) -> XfccError {
    parse(header.as_bytes()).expect_err(header)
}

#[test]
fn an_element_of_envoy_is_read() {
    let der = certificate(b"tpp");
    let elements = parse(element(&der).as_bytes()).unwrap();
    assert_eq!(seen(&elements), [(Some(hash(&der)), Some("CN=tpp".to_owned()))]);
    assert_eq!(elements[0].certificate.as_ref().map(Certificate::thumbprint), elements[0].hash);
}

#[test]
fn elements_come_left_to_right() {
    let [client, proxy] = [&b"client"[..], b"proxy"].map(certificate);
    let header = format!("{},{}", element(&client), element(&proxy));
    let names: Vec<_> = seen(&parse(header.as_bytes()).unwrap()).into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, [Some("CN=client".to_owned()), Some("CN=proxy".to_owned())]);
}

#[test]
fn hash_and_certificate_are_optional() {
    let der = certificate(b"tpp");
    assert_eq!(seen(&parse(b"By=a").unwrap()), [(None, None)]);
    assert_eq!(seen(&parse(format!("Hash={}", hash(&der)).as_bytes()).unwrap()), [(Some(hash(&der)), None)]);
    let upper = format!("HASH={};cert=\"{}\"", hash(&der).to_uppercase(), url_encoded(&der));
    assert_eq!(seen(&parse(upper.as_bytes()).unwrap()), [(Some(hash(&der)), Some("CN=tpp".to_owned()))]);
}

#[test]
fn separators_inside_quotes_separate_nothing() {
    let der = certificate(b"tpp");
    let header = format!(r#"Subject="CN=x,Hash=00;Cert=\"y\"\\";Hash={}"#, hash(&der));
    assert_eq!(seen(&parse(header.as_bytes()).unwrap()), [(Some(hash(&der)), None)]);
}

#[test]
fn an_unbalanced_quote_on_the_left_makes_the_header_unusable() {
    let der = certificate(b"tpp");
    for left in [r#"Subject=""#, r#"Subject="\"#, r#"By=a;Subject="x;"#, r#"a="b"c"#, r#"a=b""#] {
        assert_eq!(refusal(&format!("{left},{}", element(&der))), XfccError::Syntax, "{left}");
    }
}

#[test]
fn text_that_is_not_a_list_of_pairs_is_refused() {
    for header in
        ["", " ", ",", ";", "By", "By=a;", "By=a,", ",By=a", "=a", "B y=a", "By=a,,By=b", "\"By\"=a", "By=a;;URI=b"]
    {
        assert_eq!(refusal(header), XfccError::Syntax, "{header}");
    }
    assert_eq!(parse(b"By=\xff").unwrap_err(), XfccError::Syntax);
}

#[test]
fn a_value_that_cannot_be_read_is_refused() {
    let der = certificate(b"tpp");
    let hash = hash(&der);
    for wrong in ["", "00", &format!("{hash}00"), &format!("{hash} "), &"g".repeat(64)] {
        assert_eq!(refusal(&format!("Hash={wrong}")), XfccError::Hash, "{wrong}");
    }
    for wrong in ["%", "%2", "%zz", "-----BEGIN%20CERTIFICATE-----%0"] {
        assert_eq!(refusal(&format!("Cert=\"{wrong}\"")), XfccError::UrlEncoding, "{wrong}");
    }
    assert_eq!(refusal("Cert=\"\""), XfccError::Certificate(CertificateError::Pem));
    let broken = url_encoded(&der[..der.len() - 3]);
    assert_eq!(refusal(&format!("Cert=\"{broken}\"")), XfccError::Certificate(CertificateError::Der));
}

#[test]
fn a_repeated_hash_or_certificate_is_refused() {
    let der = certificate(b"tpp");
    assert_eq!(refusal(&format!("Hash={0};Hash={0}", hash(&der))), XfccError::Repeated);
    assert_eq!(refusal(&format!("Cert=\"{0}\";cert=\"{0}\"", url_encoded(&der))), XfccError::Repeated);
}

#[test]
fn the_header_is_bounded() {
    let elements = |count: usize| vec!["By=a"; count].join(",");
    assert_eq!(parse(elements(16).as_bytes()).unwrap().len(), 16);
    assert_eq!(refusal(&elements(17)), XfccError::TooManyElements);
    assert_eq!(refusal(&format!("By={}", "a".repeat(64 * 1024))), XfccError::TooLong);
}

#[test]
fn a_changed_header_never_panics() {
    let genuine = format!("{},{}", element(&certificate(b"client")), element(&certificate(b"proxy")));
    let read = mutations(genuine.as_bytes(), 10_000).filter(|changed| parse(changed).is_ok()).count();
    assert!(read > 100, "{read}");
}
