//! Transport certificates: that of the connection, and those in `x-forwarded-client-cert`.

use dcr_cli::client::Answer;
use dcr_cli::pki::Identity;
use dcr_x509::Certificate;

use super::doors::{BEHIND_PROXY, Doors, FORWARD_ONLY, PLAIN, PROXY, SANITIZE_SET, SHIPPED, doors};
use super::wire::Http1;
use super::{
    ANOTHERS_CERTIFICATE, NO_CERTIFICATE, PKI, REGISTRATION, TOKEN_WITHOUT_CERTIFICATE, assert_registered,
    good_request, run, signed,
};

/// A registration of the first third party over a connection with this certificate. The client may send the header itself.
async fn register(doors: &Doors, door: &str, transport: Option<&Identity>, forwarded: Option<&str>) -> Answer {
    let mut connection = doors.http1(door, transport).await;
    let header = format!("x-forwarded-client-cert: {}", forwarded.unwrap_or_default());
    let mut headers: Vec<&[u8]> = vec![b"content-type: application/jwt"];
    headers.extend(forwarded.map(|_| header.as_bytes()));
    let body = signed(&good_request(&doors.gateway));
    connection.request(&format!("POST {REGISTRATION}"), &headers, body.as_bytes()).await
}

/// An element of x-forwarded-client-cert in the form that Envoy writes.
fn element(identity: &Identity) -> String {
    element_with_hash(identity, identity)
}

fn element_with_hash(certificate: &Identity, hash: &Identity) -> String {
    let hash = Certificate::from_pem(hash.certificate_pem.as_bytes()).unwrap().thumbprint().hex();
    let escaped: String = certificate.certificate_pem.bytes().map(|octet| format!("%{octet:02X}")).collect();
    format!("Hash={hash};Cert=\"{escaped}\"")
}

#[test]
fn a_header_is_not_believed_where_the_connection_is_asked() {
    run(async {
        let doors = doors().await;
        let (own, other) = (&PKI.tpp.transport, &PKI.other_tpp.transport);

        let answer = register(doors, SHIPPED, Some(other), Some(&element(own))).await;
        ANOTHERS_CERTIFICATE.check(&doors.gateway, &answer, "another's connection with our header").await;
        let answer = register(doors, SHIPPED, None, Some(&element(own))).await;
        NO_CERTIFICATE.check(&doors.gateway, &answer, "no certificate with our header").await;
        let answer = register(doors, SHIPPED, Some(own), Some(&element(other))).await;
        assert_registered(&doors.gateway, &answer, "our connection with another's header").await;
    });
}

#[test]
fn a_header_that_envoy_writes_itself_replaces_the_clients() {
    run(async {
        let doors = doors().await;
        let (own, other) = (&PKI.tpp.transport, &PKI.other_tpp.transport);

        assert_registered(&doors.gateway, &register(doors, SANITIZE_SET, Some(own), None).await, "ours").await;
        let answer = register(doors, SANITIZE_SET, Some(own), Some(&element(other))).await;
        assert_registered(&doors.gateway, &answer, "our connection with another's header").await;
        let answer = register(doors, SANITIZE_SET, Some(other), Some(&element(own))).await;
        ANOTHERS_CERTIFICATE.check(&doors.gateway, &answer, "another's connection with our header").await;
        let answer = register(doors, SANITIZE_SET, None, Some(&element(own))).await;
        NO_CERTIFICATE.check(&doors.gateway, &answer, "no certificate with our header").await;
    });
}

/// If the operator lets Envoy forward what clients send, only an element for the connection's own certificate is accepted.
#[test]
fn a_header_that_envoy_only_forwards_is_held_against_the_connection() {
    run(async {
        let doors = doors().await;
        let (own, other) = (&PKI.tpp.transport, &PKI.other_tpp.transport);
        let spoofed = [
            ("another's connection", Some(other), element(own)),
            ("a proxy that is not trusted", Some(&*PROXY), element(own)),
            ("no certificate", None, element(own)),
            ("our certificate under the hash of the connection", Some(other), element_with_hash(own, other)),
            ("the right hash with another certificate", Some(own), element_with_hash(other, own)),
            ("ours in front of what the nearest proxy says", Some(other), format!("{},{}", element(own), element(own))),
            ("a hash alone", Some(own), element(own).split(';').next().unwrap().to_owned()),
            ("nothing", Some(own), String::new()),
        ];
        for (of, transport, header) in &spoofed {
            let answer = register(doors, FORWARD_ONLY, *transport, Some(header)).await;
            NO_CERTIFICATE.check(&doors.gateway, &answer, of).await;
        }
        NO_CERTIFICATE.check(&doors.gateway, &register(doors, FORWARD_ONLY, Some(own), None).await, "no header").await;
        let answer =
            register(doors, FORWARD_ONLY, Some(other), Some(&format!("{},{}", element(own), element(other)))).await;
        ANOTHERS_CERTIFICATE.check(&doors.gateway, &answer, "ours on the left, the connection's on the right").await;
        let answer = register(doors, FORWARD_ONLY, Some(own), Some(&element(own))).await;
        assert_registered(&doors.gateway, &answer, "what the connection bears out").await;

        let mut connection = doors.http1(FORWARD_ONLY, Some(other)).await;
        let forwarded = format!("x-forwarded-client-cert: {}", element(own));
        let headers: [&[u8]; 2] = [b"authorization: Bearer abc", forwarded.as_bytes()];
        let answer = connection.request(&format!("GET {REGISTRATION}/0123456789abcdef"), &headers, b"").await;
        TOKEN_WITHOUT_CERTIFICATE.check(&doors.gateway, &answer, "a bearer token").await;
    });
}

#[test]
fn a_proxy_is_believed_by_the_digest_of_its_certificate_only() {
    run(async {
        let doors = doors().await;
        let (own, other) = (&PKI.tpp.transport, &PKI.other_tpp.transport);

        let answer = register(doors, BEHIND_PROXY, Some(&PROXY), Some(&element(own))).await;
        assert_registered(&doors.gateway, &answer, "the proxy forwards ours").await;
        let answer = register(doors, BEHIND_PROXY, Some(&PROXY), Some(&element(other))).await;
        ANOTHERS_CERTIFICATE.check(&doors.gateway, &answer, "the proxy forwards another's").await;
        let answer =
            register(doors, BEHIND_PROXY, Some(&PROXY), Some(&format!("{},{}", element(own), element(other)))).await;
        ANOTHERS_CERTIFICATE.check(&doors.gateway, &answer, "the client had sent ours to the proxy").await;
        let answer = register(doors, BEHIND_PROXY, Some(&PROXY), Some(&element_with_hash(own, other))).await;
        NO_CERTIFICATE.check(&doors.gateway, &answer, "hash and certificate differ").await;
        let answer = register(doors, BEHIND_PROXY, Some(&PROXY), None).await;
        NO_CERTIFICATE.check(&doors.gateway, &answer, "the proxy forwards nothing").await;
        let answer = register(doors, BEHIND_PROXY, Some(other), Some(&element(own))).await;
        NO_CERTIFICATE.check(&doors.gateway, &answer, "past the proxy").await;
    });
}

#[test]
fn without_tls_there_is_no_certificate() {
    run(async {
        let doors = doors().await;
        let mut connection = Http1::plain(doors.port(PLAIN)).await;
        let body = signed(&good_request(&doors.gateway));
        let forwarded = format!("x-forwarded-client-cert: {}", element(&PKI.tpp.transport));
        let headers: [&[u8]; 2] = [b"content-type: application/jwt", forwarded.as_bytes()];
        let answer = connection.request(&format!("POST {REGISTRATION}"), &headers, body.as_bytes()).await;
        NO_CERTIFICATE.check(&doors.gateway, &answer, "a registration").await;
        let form: &[u8] = b"content-type: application/x-www-form-urlencoded";
        let answer = connection.request("POST /token", &[form], b"grant_type=client_credentials").await;
        NO_CERTIFICATE.check(&doors.gateway, &answer, "a token").await;
        let answer = connection.request("GET /.well-known/openid-configuration", &[], b"").await;
        assert_eq!(answer.status, 200);
    });
}
