//! Headers: octets that are not UTF-8, repeated headers, and text that could break an answer if the answer contained it.

use dcr_cli::client::Answer;
use serde_json::json;

use super::doors::{FORWARD_ONLY, SHIPPED, doors};
use super::wire::{After, request_octets};
use super::{
    CERTIFICATE_UNREADABLE, MEDIA_TYPE, PKI, REGISTRATION, Refused, assert_no_panic, assert_passed, assert_registered,
    good_request, run, signed, text,
};

const JWT: &[u8] = b"content-type: application/jwt";
const FORM: &[u8] = b"content-type: application/x-www-form-urlencoded";

/// Octets that are not UTF-8 in any part.
const OCTETS: &[u8] = b"x-odd: \x80\xff\xc3(\xf0\x9f";

const BEARER_MALFORMED: Refused = Refused(401, "invalid_token", "CM-02", "bearer_malformed");

#[test]
fn a_header_that_is_not_utf_8_is_carried_and_harms_nothing() {
    run(async {
        let doors = doors().await;
        let mut connection = doors.http1(SHIPPED, Some(&PKI.tpp.transport)).await;

        let answer = connection.request("GET /accounts", &[OCTETS], b"").await;
        let reached = assert_passed(&doors.gateway, &answer).await;
        assert_eq!(reached["headers"]["x-odd"], json!([String::from_utf8_lossy(b"\x80\xff\xc3(\xf0\x9f")]));

        let answer = connection.request("GET /.well-known/openid-configuration", &[OCTETS], b"").await;
        assert_eq!((answer.status, answer.member("issuer").as_deref()), (200, Some(doors.gateway.url())));

        let good = signed(&good_request(&doors.gateway));
        let answer = connection.request(&format!("POST {REGISTRATION}"), &[JWT, OCTETS], good.as_bytes()).await;
        assert_registered(&doors.gateway, &answer, "an odd header beside a good request").await;
        assert_no_panic(&doors.gateway);
    });
}

#[test]
fn a_header_that_is_read_and_not_utf_8_is_refused() {
    run(async {
        let doors = doors().await;
        let mut connection = doors.http1(SHIPPED, Some(&PKI.tpp.transport)).await;
        let registration = format!("GET {REGISTRATION}/0123456789abcdef");

        let answer = connection.request(&registration, &[b"authorization: Bearer \xff\xfe"], b"").await;
        BEARER_MALFORMED.check(&doors.gateway, &answer, "authorization").await;
        let media_type = b"content-type: application/jwt\xff";
        let answer = connection.request(&format!("POST {REGISTRATION}"), &[media_type], b"a.b.c").await;
        MEDIA_TYPE.check(&doors.gateway, &answer, "content-type").await;

        let mut connection = doors.http1(FORWARD_ONLY, Some(&PKI.tpp.transport)).await;
        let certificate = b"x-forwarded-client-cert: Hash=\xff\xfe";
        let answer = connection.request(&format!("POST {REGISTRATION}"), &[JWT, certificate], b"a.b.c").await;
        CERTIFICATE_UNREADABLE.check(&doors.gateway, &answer, "x-forwarded-client-cert").await;
        assert_no_panic(&doors.gateway);
    });
}

#[test]
fn a_repeated_content_type_is_refused() {
    run(async {
        let doors = doors().await;
        let body = signed(&good_request(&doors.gateway));
        let mut http1 = doors.http1(SHIPPED, Some(&PKI.tpp.transport)).await;
        let answer = http1.request(&format!("POST {REGISTRATION}"), &[JWT, JWT], body.as_bytes()).await;
        // Envoy joins the two headers with a comma.
        MEDIA_TYPE.check(&doors.gateway, &answer, "HTTP/1.1").await;

        let http2 = doors.http2(SHIPPED, Some(&PKI.tpp.transport)).await;
        let twice = [("content-type", "application/jwt"), ("content-type", "application/jose")];
        let answer = http2.request("POST", REGISTRATION, &twice, After::Body(body.into_bytes())).await;
        MEDIA_TYPE.check(&doors.gateway, &answer, "HTTP/2").await;
    });
}

#[test]
fn a_repeated_authorization_is_refused() {
    run(async {
        let doors = doors().await;
        let mut http1 = doors.http1(SHIPPED, Some(&PKI.tpp.transport)).await;
        let path = format!("{REGISTRATION}/0123456789abcdef");
        let headers: [&[u8]; 2] = [b"authorization: Bearer one", b"authorization: Bearer two"];
        let answer = http1.request(&format!("GET {path}"), &headers, b"").await;
        BEARER_MALFORMED.check(&doors.gateway, &answer, "HTTP/1.1").await;

        let http2 = doors.http2(SHIPPED, Some(&PKI.tpp.transport)).await;
        let twice = [("authorization", "Bearer one"), ("authorization", "Bearer two")];
        let answer = http2.request("GET", &path, &twice, After::Nothing).await;
        BEARER_MALFORMED.check(&doors.gateway, &answer, "HTTP/2").await;
    });
}

/// This text is put into every place of a request that an answer could repeat, after a line break if the place allows one.
const MARK: &str = "x-smuggled";

#[test]
fn nothing_a_caller_sent_comes_back() {
    run(async {
        let doors = doors().await;
        let mut connection = doors.http1(SHIPPED, Some(&PKI.tpp.transport)).await;
        let unknown = format!("{REGISTRATION}/0123456789abcdef");
        let bearer = format!("authorization: Bearer a\", error=\"{MARK}");
        let basic = format!("authorization: Basic {MARK}");
        let media_type = format!("content-type: {MARK}/{MARK}; a=\"b\"");

        let lines = [
            format!("POST {REGISTRATION}/%0d%0a{MARK}:%20yes"),
            format!("POST {REGISTRATION}?a=%0d%0a{MARK}:%20yes"),
            format!("POST /token?grant_type=%0d%0a{MARK}"),
            format!("GET {unknown}?access_token=%0d%0a{MARK}"),
            format!("{MARK} {REGISTRATION}"),
            format!("{MARK} /.well-known/openid-configuration"),
            format!("POST {REGISTRATION};{MARK}=%0d%0a"),
        ];
        for line in &lines {
            let answer = connection.request(line, &[JWT], b"").await;
            assert_silent(&answer, line);
        }
        for (line, header) in [(&unknown, &bearer), (&unknown, &basic), (&unknown, &media_type)] {
            assert_silent(&connection.request(&format!("GET {line}"), &[header.as_bytes()], b"").await, header);
        }
        assert_silent(
            &connection.request(&format!("POST {REGISTRATION}"), &[media_type.as_bytes()], b"").await,
            "type",
        );

        let injected = format!("accounts\r\n{MARK}: \"yes\"\\");
        for form in [
            format!("grant_type=%0d%0a{MARK}%3a+yes"),
            format!("grant_type=client_credentials&client_id=%0d%0a{MARK}%3a+yes"),
            format!(
                "grant_type=client_credentials&client_assertion_type=%0d%0a{MARK}&client_assertion={MARK}.{MARK}.a"
            ),
            format!("grant_type=client_credentials&%0d%0a{MARK}=a&%0d%0a{MARK}=b"),
        ] {
            assert_silent(&connection.request("POST /token", &[FORM], form.as_bytes()).await, &form);
        }
        let assertion = signed(&doors.gateway.client_assertion(&injected));
        let kid = signed(&doors.gateway.client_assertion("0123456789abcdef").header("kid", injected.as_str()));
        for assertion in [assertion, kid] {
            let tpp = doors.tpp(SHIPPED, Some(&PKI.tpp.transport));
            assert_silent(&tpp.token_by_assertion(&assertion, Some(&injected)).await.unwrap(), "a client assertion");
        }
    });
}

#[test]
fn control_characters_in_claims_do_not_come_back_in_a_refusal() {
    run(async {
        let doors = doors().await;
        let tpp = doors.tpp(SHIPPED, Some(&PKI.tpp.transport));
        let injected = format!("accounts\r\n{MARK}: \"yes\"\\\u{0}\u{7f}\u{2028}");
        let claims = [
            "iss",
            "aud",
            "jti",
            "exp",
            "scope",
            "software_id",
            "redirect_uris",
            "grant_types",
            "response_types",
            "token_endpoint_auth_method",
            "token_endpoint_auth_signing_alg",
            "application_type",
            "software_statement",
            "id_token_signed_response_alg",
            "request_object_signing_alg",
            "tls_client_auth_subject_dn",
            "jwks_uri",
        ];
        for claim in claims {
            let request = good_request(&doors.gateway).claim(claim, injected.as_str());
            let answer = tpp.register(&signed(&request)).await.unwrap();
            assert_eq!(answer.status, 400, "{claim}: {}", text(&answer));
            assert_silent(&answer, claim);
        }
        let uris =
            good_request(&doors.gateway).claim("redirect_uris", json!([format!("https://a.example/\r\n{MARK}")]));
        assert_silent(&tpp.register(&signed(&uris)).await.unwrap(), "a redirect URI");
        for parameter in ["alg", "typ", "kid", "crit", "jku"] {
            let request = good_request(&doors.gateway).header(parameter, injected.as_str());
            let answer = tpp.register(&signed(&request)).await.unwrap();
            assert_eq!(answer.status, 400, "{parameter}: {}", text(&answer));
            assert_silent(&answer, parameter);
        }
        for claim in ["iss", "org_status", "software_jwks_endpoint", "software_roles", "org_id"] {
            let statement = doors.gateway.software_statement(&PKI.tpp).claim(claim, injected.as_str());
            let statement = statement.sign(&PKI.directory).unwrap();
            let request = good_request(&doors.gateway).claim("software_statement", statement);
            let answer = tpp.register(&signed(&request)).await.unwrap();
            assert_eq!(answer.status, 400, "{claim}: {}", text(&answer));
            assert_silent(&answer, claim);
        }
    });
}

/// Neither the headers nor the body of the answer contain what was sent, and no line is broken.
fn assert_silent(answer: &Answer, of: &str) {
    assert!((400..500).contains(&answer.status), "{of}: {}", text(answer));
    let whole = text(answer).to_ascii_lowercase();
    assert!(!whole.contains(MARK), "{of}: {whole}");
    for value in answer.headers.values() {
        assert!(value.as_bytes().iter().all(|octet| matches!(octet, b' '..=b'~')), "{of}: {value:?}");
    }
    if let Some(description) = answer.member("error_description") {
        assert!(description.bytes().all(|octet| matches!(octet, b' '..=b'~')), "{of}: {description:?}");
    }
}

#[test]
fn octets_in_the_path_are_refused() {
    run(async {
        let doors = doors().await;
        for path in [&b"/open-banking/v3.3.0/register\xff"[..], b"/open-banking/v3.3.0/regi\xc5\xbfter", b"/token\x80"]
        {
            let mut connection = doors.http1(SHIPPED, Some(&PKI.tpp.transport)).await;
            let mut octets = b"POST ".to_vec();
            octets.extend_from_slice(path);
            octets.extend_from_slice(&request_octets("", &[JWT], b"a.b.c"));
            connection.write(octets).await;
            let answer = connection.answer().await;
            assert_eq!(answer.status, 400, "{path:?}: {}", text(&answer));
        }
        // Other tests send paths of registrations to doors that forward headers.
        let reached = doors.gateway.backend().requests();
        let mut paths = reached.iter().map(|request| request["path"].as_str().unwrap());
        let is_ours = |path: &str| {
            path.strip_prefix(REGISTRATION).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
        };
        assert!(paths.all(|path| is_ours(path) || !path.contains("regi")));
        assert_no_panic(&doors.gateway);
    });
}
