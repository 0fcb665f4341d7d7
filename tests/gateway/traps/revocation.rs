//! Revocation, through Envoy's TLS: `docs/certificates.md` describes what is tried here.

use std::io::Error;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dcr_cli::client::client_config;
use dcr_cli::pki::Identity;
use dcr_dev::Gateway;
use dcr_dev::envoy::EnvoyConfiguration;
use dcr_x509::Certificate;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CrlDistributionPoint,
    CrlIssuingDistributionPoint, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, NameConstraints, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, HandshakeKind};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::doors::ports;
use super::wire::Http1;
use super::{PKI, run, until};

const HOUR: Duration = Duration::from_secs(3600);

/// Asks over a new connection. Answers how the handshake went if the gateway answered, and `None` if it did not let the client in: in TLS 1.3 a client
/// learns that only after its handshake, as an alert or a closed connection.
async fn ask(config: &Arc<ClientConfig>, port: u16) -> Option<HandshakeKind> {
    let attempt = async {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = TlsConnector::from(config.clone()).connect(name, stream).await?;
        stream
            .write_all(
                b"GET /.well-known/openid-configuration HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
            )
            .await?;
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer).await;
        let kind = stream.get_ref().1.handshake_kind().unwrap();
        if answer.starts_with(b"HTTP/1.1 200 ") {
            Ok(kind)
        } else {
            Err(read.err().unwrap_or_else(|| Error::other("closed")))
        }
    };
    attempt.await.ok()
}

fn configuration(transport: &Identity) -> Arc<ClientConfig> {
    let mut config = client_config(&PKI.server_ca.certificate_pem, Some(transport)).unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

fn port_of(gateway: &Gateway) -> u16 {
    gateway.url().rsplit(':').next().unwrap().parse().unwrap()
}

/// What the listener's access log says of the last connection with this certificate that TLS ended.
async fn failure(gateway: &Gateway, transport: &Identity, containing: &str) -> Value {
    let thumbprint = Certificate::from_pem(transport.certificate_pem.as_bytes()).unwrap().thumbprint().hex();
    let wanted = |line: &Value| {
        line["certificate_sha256"] == thumbprint
            && line["tls_failure"].as_str().is_some_and(|failure| failure.contains(containing))
    };
    gateway.access_logged(wanted).await.unwrap_or_else(|error| panic!("{containing}: {error}"))
}

/// How often the listener has got new authorities or lists.
async fn updates(gateway: &Gateway) -> u64 {
    gateway.stats("^listener.*ssl_context_update_by_sds$").await.unwrap().into_values().sum()
}

/// Renames a new list into the place of the old one, and waits until Envoy has read it.
async fn publish(gateway: &Gateway, list: &str) {
    replace(gateway, "tpp-ca.crl", list).await;
}

async fn replace(gateway: &Gateway, file: &str, content: &str) {
    let before = updates(gateway).await;
    let (new, current) = (gateway.folder().join("new"), gateway.folder().join(file));
    std::fs::write(&new, content).unwrap();
    std::fs::rename(new, current).unwrap();
    until("the new file in Envoy", async || (updates(gateway).await > before).then_some(())).await;
}

#[test]
fn a_new_list_of_revoked_certificates_is_read_while_envoy_runs() {
    run(async {
        let gateway = crate::gateway().workers(1).start().await.unwrap();
        let port = port_of(&gateway);
        let (ours, others) = (&PKI.tpp.transport, &PKI.other_tpp.transport);
        let list = |revoked: &[&Identity], end| PKI.tpp_ca.revocation_list(revoked, end).unwrap();
        let later = SystemTime::now() + 24 * HOUR;

        // The client keeps its session, and the certificate with it.
        let kept = configuration(ours);
        assert_eq!(ask(&kept, port).await, Some(HandshakeKind::Full));
        assert_eq!(ask(&kept, port).await, Some(HandshakeKind::Resumed));

        let mut open = Http1::tls(port, Some(ours)).await;
        let mut discover = async || open.request("GET /.well-known/openid-configuration", &[], b"").await.status;
        assert_eq!(discover().await, 200);

        publish(&gateway, &list(&[ours], later)).await;
        assert_eq!(discover().await, 200, "a connection from before the list goes on");
        assert_eq!(ask(&kept, port).await, None, "a session from before the list cannot be resumed");
        assert_eq!(ask(&configuration(ours), port).await, None);
        let line = failure(&gateway, ours, "certificate_revoked").await;
        assert_eq!(line["tls_version"], "TLSv1.3", "{line}");
        assert!(line["remote_address"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
        assert_eq!(ask(&configuration(others), port).await, Some(HandshakeKind::Full));
        let refused = gateway.stats("^listener.*ssl.fail_verify_error$").await.unwrap();
        assert_eq!(refused.into_values().sum::<u64>(), 2);

        publish(&gateway, &list(&[], SystemTime::now() - HOUR)).await;
        assert_eq!(ask(&configuration(others), port).await, None);
        failure(&gateway, others, "CRL_has_expired").await;

        publish(&gateway, "this is no list\n").await;
        assert_eq!(ask(&configuration(others), port).await, None);
        failure(&gateway, others, "unable_to_get_certificate_CRL").await;

        publish(&gateway, &list(&[], later)).await;
        for transport in [ours, others] {
            assert_eq!(ask(&configuration(transport), port).await, Some(HandshakeKind::Full));
        }

        replace(&gateway, "tpp-ca.pem", &PKI.server_ca.certificate_pem).await;
        assert_eq!(ask(&configuration(ours), port).await, None, "its authority is not trusted any more");
        failure(&gateway, ours, "unable_to_get_local_issuer_certificate").await;
    });
}

/// An authority for these tests: its certificate, and what it needs to sign.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

fn authority(name: &str, parent: Option<&Authority>, constraints: Option<NameConstraints>) -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints = constraints;
    params.use_authority_key_identifier_extension = parent.is_some();
    let key = KeyPair::generate().unwrap();
    let certificate = match parent {
        Some(parent) => params.signed_by(&key, &parent.issuer).unwrap(),
        None => params.self_signed(&key).unwrap(),
    };
    Authority { pem: certificate.pem(), issuer: Issuer::new(params, key) }
}

impl Authority {
    /// A transport certificate. Its common name is like a `software_id`.
    fn client(&self, serial: u64, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "SoftwareId0000000000AB");
        params.serial_number = Some(SerialNumber::from(serial));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        Identity { certificate_pem: params.signed_by(&key, &self.issuer).unwrap().pem(), key_pem: key.serialize_pem() }
    }

    /// A list with one revoked certificate, of all certificates or of those with a distribution point.
    fn list(&self, revoked: u64, part: Option<&str>) -> String {
        let part = part.map(|uri| CrlIssuingDistributionPoint { distribution_point: point(uri), scope: None });
        let list = CertificateRevocationListParams {
            this_update: (SystemTime::now() - HOUR).into(),
            next_update: (SystemTime::now() + HOUR).into(),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: part,
            revoked_certs: vec![RevokedCertParams {
                serial_number: SerialNumber::from(revoked),
                revocation_time: date_time_ymd(2026, 1, 1),
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

fn point(uri: &str) -> CrlDistributionPoint {
    CrlDistributionPoint { uris: vec![uri.to_owned()] }
}

/// Listeners without the filter that verify certificates as their context says.
fn verify_with(
    contexts: Vec<(&'static str, Value)>,
) -> impl FnOnce(&mut EnvoyConfiguration) -> Result<(), dcr_dev::Error> {
    move |envoy| {
        let shipped = envoy.listener("gateway")?.clone();
        for (name, context) in contexts {
            let mut listener = shipped.clone();
            listener["name"] = name.into();
            listener["stat_prefix"] = name.into();
            listener["address"]["socket_address"]["port_value"] = 0.into();
            let chain = &mut listener["filter_chains"][0];
            let tls = &mut chain["transport_socket"]["typed_config"]["common_tls_context"];
            tls.as_object_mut().unwrap().shift_remove("validation_context_sds_secret_config").unwrap();
            tls["validation_context"] = context;
            chain["filters"][0]["typed_config"]["http_filters"].as_array_mut().unwrap().remove(0);
            envoy.document["static_resources"]["listeners"].as_array_mut().unwrap().push(listener);
        }
        Ok(())
    }
}

#[test]
fn which_lists_a_chain_needs() {
    run(async {
        const A: &str = "http://ca.example/a.crl";
        const B: &str = "http://ca.example/b.crl";
        let root = authority("root", None, None);
        let issuing = authority("issuing", Some(&root), None);
        let second = authority("second", None, None);
        let excluded = GeneralSubtree::DnsName("bank.example".into());
        let constraints = NameConstraints { permitted_subtrees: vec![], excluded_subtrees: vec![excluded] };
        let constrained = authority("constrained", Some(&root), Some(constraints));

        let good = issuing.client(1, |_| ());
        let revoked = issuing.client(2, |_| ());
        let expired = issuing.client(5, |params| params.not_after = date_time_ymd(2026, 1, 1));
        let of_second = second.client(1, |_| ());
        let in_a = issuing.client(3, |params| params.crl_distribution_points = vec![point(A)]);
        let revoked_in_b = issuing.client(4, |params| params.crl_distribution_points = vec![point(B)]);
        let unnamed = constrained.client(1, |_| ());
        let named = constrained.client(2, |params| {
            params.subject_alt_names = vec![SanType::DnsName("tpp.example".try_into().unwrap())];
        });

        let list = issuing.list(2, None);
        let both = format!("{list}{}", root.list(99, None));
        let part_a = issuing.list(99, Some(A));
        let parts = format!("{part_a}{}", issuing.list(4, Some(B)));
        let chain = format!("{}{}", issuing.pem, root.pem);
        let two = format!("{}{}", issuing.pem, second.pem);
        let context = |authorities: &str, lists: &str, leaf_only: bool| {
            let mut context = json!({ "trusted_ca": { "inline_string": authorities } });
            if !lists.is_empty() {
                context["crl"] = json!({ "inline_string": lists });
                context["only_verify_leaf_cert_crl"] = leaf_only.into();
            }
            context
        };
        let contexts = vec![
            ("no_list", context(&issuing.pem, "", false)),
            ("issuing", context(&issuing.pem, &list, false)),
            ("issuing_leaf", context(&issuing.pem, &list, true)),
            ("issuing_both_lists", context(&issuing.pem, &both, false)),
            ("chain_both_lists", context(&chain, &both, false)),
            ("two_authorities_leaf", context(&two, &list, true)),
            ("part_leaf", context(&issuing.pem, &part_a, true)),
            ("parts_leaf", context(&issuing.pem, &parts, true)),
            ("constrained", context(&constrained.pem, "", false)),
        ];
        let gateway = crate::gateway().workers(1).envoy(verify_with(contexts)).start().await.unwrap();
        let ports = ports(&gateway).await;

        let (passes, no_list) = ("", "unable_to_get_certificate_CRL");
        for (of, listener, transport, expected) in [
            ("without a list everything passes", "no_list", &revoked, passes),
            ("an old certificate", "no_list", &expired, "certificate_has_expired"),
            ("the root's list is missing", "issuing", &good, no_list),
            ("only the issuer's list is asked", "issuing_leaf", &good, passes),
            ("only the issuer's list is asked", "issuing_leaf", &revoked, "certificate_revoked"),
            ("the root's list without the root", "issuing_both_lists", &good, no_list),
            ("the whole chain and all lists", "chain_both_lists", &good, passes),
            ("the whole chain and all lists", "chain_both_lists", &revoked, "certificate_revoked"),
            ("the list of one of two authorities", "two_authorities_leaf", &good, passes),
            ("the list of one of two authorities", "two_authorities_leaf", &of_second, no_list),
            ("its own part", "part_leaf", &in_a, passes),
            ("another part", "part_leaf", &revoked_in_b, "Different_CRL_scope"),
            ("no part", "part_leaf", &good, "Different_CRL_scope"),
            ("all parts", "parts_leaf", &in_a, passes),
            ("all parts", "parts_leaf", &revoked_in_b, "certificate_revoked"),
            ("name constraints, no SAN", "constrained", &unnamed, "leaf_has_no_SANs"),
            ("name constraints, a SAN", "constrained", &named, passes),
        ] {
            let let_in = ask(&configuration(transport), ports[listener]).await.is_some();
            assert_eq!(let_in, expected == passes, "{of}: {listener}");
            if !let_in {
                failure(&gateway, transport, expected).await;
            }
        }
    });
}
