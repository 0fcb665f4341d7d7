//! The statements of proxies about certificates.

use dcr_test_support::{mutations, scaled};

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

/// What Envoy writes with `cert` and `subject`.
fn element(der: &[u8]) -> String {
    format!(r#"By=spiffe://gateway;Hash={};Cert="{}";Subject="CN=a\,b,O=\"x\"""#, hash(der), url_encoded(der))
}

/// What Envoy writes with `uri` and `dns` too.
fn element_with_names(der: &[u8]) -> String {
    format!("{};URI=;DNS=a.example;DNS=b.example", element(der))
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
    for element in [element(&der), element_with_names(&der)] {
        let elements = parse(element.as_bytes()).unwrap();
        assert_eq!(seen(&elements), [(Some(hash(&der)), Some("CN=tpp".to_owned()))]);
        assert_eq!(elements[0].certificate.as_ref().map(Certificate::thumbprint), elements[0].hash);
    }
}

#[test]
fn elements_come_left_to_right() {
    let [client, proxy] = [&b"client"[..], b"proxy"].map(certificate);
    for right in [element(&proxy), element_with_names(&proxy)] {
        let header = format!("{},{right}", element(&client));
        let names: Vec<_> = seen(&parse(header.as_bytes()).unwrap()).into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, [Some("CN=client".to_owned()), Some("CN=proxy".to_owned())]);
    }
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
fn an_unbalanced_quote_on_the_left_hides_nothing_on_the_right() {
    let der = certificate(b"tpp");
    for left in [r#"Subject=""#, r#"Subject="\"#, r#"By=a;Subject="x;"#, r#"a="b"c"#, r#"a=b""#] {
        assert_eq!(refusal(&format!("{left},{}", element(&der))), XfccError::Syntax, "{left}");
    }
}

#[test]
fn what_is_no_list_of_pairs_is_refused() {
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
    let genuine = format!("{},{}", element(&certificate(b"client")), element_with_names(&certificate(b"proxy")));
    let read = mutations(genuine.as_bytes(), 10_000).filter(|changed| parse(changed).is_ok()).count();
    assert!(read > scaled(100), "{read}");
}

#[test]
fn the_proxys_own_name_may_hold_separators() {
    let der = certificate(b"tpp");
    let own = (Some(hash(&der)), Some("CN=tpp".to_owned()));
    let rest = format!("Hash={};Cert=\"{}\"", hash(&der), url_encoded(&der));
    for by in [
        "",
        "spiffe://gateway",
        "https://gateway.example/a,b",
        "https://gateway.example/a;b",
        "https://gateway.example/?a=b",
        "https://gateway.example/?a=b;c=d,e=f",
        "urn:a;b;By=urn:c,d",
        "a,",
        "a;",
        ",;=",
        "a,Bye=b;Hashes=c",
        "a;Hash",
        "\u{e9}",
    ] {
        for key in ["By=", "by=", " By =", "By= "] {
            let header = format!("{key}{by};{rest}");
            assert_eq!(seen(&parse(header.as_bytes()).unwrap()), std::slice::from_ref(&own), "{key}{by}");
            let behind_another = format!("{},{header}", element(&certificate(b"client")));
            assert_eq!(seen(&parse(behind_another.as_bytes()).unwrap()).last(), Some(&own), "{key}{by}");
        }
        let spaced = format!("By={by}; Hash = {rest}").replace("= Hash=", "=");
        assert_eq!(seen(&parse(spaced.as_bytes()).unwrap()), std::slice::from_ref(&own), "{by}");
    }
}

#[test]
fn the_proxys_own_name_ends_where_it_would_hide_another_element() {
    let [client, tpp] = [&b"client"[..], b"tpp"].map(certificate);
    let hash_of = |der| (Some(hash(der)), None);
    for (header, expected) in [
        (format!("By=a,Hash={}", hash(&tpp)), vec![(None, None), hash_of(&tpp)]),
        (format!("By=a, Hash ={}", hash(&tpp)), vec![(None, None), hash_of(&tpp)]),
        (format!("By=a,By=b;Hash={}", hash(&tpp)), vec![(None, None), hash_of(&tpp)]),
        (format!("By=a,by =b;Hash={}", hash(&tpp)), vec![(None, None), hash_of(&tpp)]),
        (format!("By=a;By=b,By=c,d;Hash={}", hash(&tpp)), vec![(None, None), hash_of(&tpp)]),
        (format!("By=a;Hash={},By=b,c;Hash={}", hash(&client), hash(&tpp)), vec![hash_of(&client), hash_of(&tpp)]),
        (format!("By=a,URI=b,Hash={}", hash(&tpp)), vec![]),
        (format!("By=a,b,Hash={}", hash(&tpp)), vec![]),
        (format!("By=a\",b;Hash={}", hash(&tpp)), vec![]),
        (format!("Foo=1;By=a,b;Hash={}", hash(&tpp)), vec![]),
        ("By=a,b".to_owned(), vec![]),
    ] {
        let read = parse(header.as_bytes()).map(|elements| seen(&elements)).unwrap_or_default();
        assert_eq!(read, expected, "{header}");
    }
    assert_eq!(refusal("By=a;Hash=00"), XfccError::Hash);
    assert_eq!(refusal(&format!("By=a,b;Hash={0};Hash={0}", hash(&tpp))), XfccError::Repeated);
}

#[test]
fn the_clients_names_stand_last() {
    let [client, tpp] = [&b"client"[..], b"tpp"].map(certificate);
    let own = element(&tpp);
    for names in
        ["URI=", "URI=spiffe://a", "URI=a=b", "URI=a;URI=b", "DNS=a", "URI=a;DNS=b;DNS=c", "uri=\"a,b;Hash=c\""]
    {
        let header = format!("{own};{names}");
        assert_eq!(
            seen(&parse(header.as_bytes()).unwrap()),
            [(Some(hash(&tpp)), Some("CN=tpp".to_owned()))],
            "{names}"
        );
        for more in [
            format!(",{}", element(&client)),
            ";By=a".to_owned(),
            format!(";Hash={}", hash(&client)),
            ";Foo=1".to_owned(),
        ] {
            assert_eq!(refusal(&format!("{header}{more}")), XfccError::Ambiguous, "{names}{more}");
            assert_eq!(refusal(&format!("By=a;{names}{more}")), XfccError::Ambiguous, "{names}{more}");
        }
        assert_eq!(refusal(&format!("{header},")), XfccError::Ambiguous, "{names}");
        assert_eq!(refusal(&format!("{header};")), XfccError::Syntax, "{names}");
    }
    assert_eq!(refusal(&format!("{own};URI=a\"b")), XfccError::Syntax);
}

/// What a client can write: pieces of elements, of which the last ones are whole elements for the certificate of another client.
fn pieces(victim: &[u8]) -> Vec<String> {
    let forged = format!("Hash={};Cert=\"{}\"", hash(victim), url_encoded(victim));
    let mut pieces: Vec<String> =
        ["", ",", ";", "=", "\"", "\\", " ", "a", "By=", "Hash=", "Cert=", "Subject=\"", "URI=", "DNS=a"]
            .map(str::to_owned)
            .into();
    pieces.extend([format!("Hash={}", hash(victim)), forged.clone(), format!(",By=a;{forged}"), format!(";{forged},")]);
    pieces
}

/// Each text of up to three pieces.
fn texts(victim: &[u8]) -> impl Iterator<Item = String> {
    let pieces = pieces(victim);
    let count = pieces.len();
    (0..count.pow(3)).map(move |number| {
        [number % count, number / count % count, number / count / count].map(|place| pieces[place].as_str()).concat()
    })
}

/// What the trusted proxy writes for its client: with and without a name of its own, with `Cert` and without.
fn elements_of_the_proxy(der: &[u8]) -> Vec<String> {
    let own = ["", "By=urn:a,b;c=d;By=e;"];
    let details = [String::new(), format!(";Cert=\"{}\"", url_encoded(der)), ";Subject=\"\"".to_owned()];
    own.iter().flat_map(|own| details.iter().map(move |details| format!("{own}Hash={}{details}", hash(der)))).collect()
}

/// How many of these headers are read. In each, the last element is for `der`.
fn read_as_the_proxys(headers: impl Iterator<Item = String>, der: &[u8]) -> usize {
    let own = Certificate::from_der(der).unwrap().thumbprint();
    let mut read = 0;
    for header in headers {
        let Ok(elements) = parse(header.as_bytes()) else { continue };
        let last = elements.last().unwrap();
        assert_eq!(last.hash, Some(own), "{header}");
        assert!(last.certificate.as_ref().is_none_or(|one| one.thumbprint() == own), "{header}");
        read += 1;
    }
    read
}

#[test]
fn a_client_forges_no_element_by_the_names_in_its_certificate() {
    let [tpp, victim] = [&b"tpp"[..], b"victim"].map(certificate);
    for element in elements_of_the_proxy(&tpp) {
        let read = read_as_the_proxys(texts(&victim).map(|names| format!("{element};URI={names}")), &tpp);
        assert!(read > scaled(10), "{element}: {read}");
        let attack =
            format!("{element};URI=a,By=spiffe://gateway;Hash={};Cert=\"{}\"", hash(&victim), url_encoded(&victim));
        assert_eq!(refusal(&attack), XfccError::Ambiguous);
        let changed = mutations(attack.get(element.len()..).unwrap().as_bytes(), 2000);
        let changed = changed.filter_map(|names| String::from_utf8(names).ok());
        read_as_the_proxys(changed.map(|names| format!("{element};URI=a{names}")), &tpp);
    }
}

#[test]
fn a_client_forges_no_element_by_a_header_of_its_own() {
    let [tpp, victim] = [&b"tpp"[..], b"victim"].map(certificate);
    for element in elements_of_the_proxy(&tpp) {
        let read = read_as_the_proxys(texts(&victim).map(|text| format!("{text},{element}")), &tpp);
        assert!(read > scaled(10), "{element}: {read}");
        let names = format!(";URI=a;Hash={};Cert=\"{}\"", hash(&victim), url_encoded(&victim));
        let read = read_as_the_proxys(texts(&victim).map(|text| format!("{text},{element}{names}")), &tpp);
        assert_eq!(read, 0, "{element}{names}");
        let forged = format!("By=spiffe://gateway;Hash={};Cert=\"{}\";By=", hash(&victim), url_encoded(&victim));
        let changed = mutations(forged.as_bytes(), 2000).filter_map(|text| String::from_utf8(text).ok());
        read_as_the_proxys(changed.map(|text| format!("{text},{element}")), &tpp);
    }
}
