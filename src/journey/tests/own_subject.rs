//! A caller that names another subject than that of its certificate is told how this gateway writes its own. What it is told can be sent (MD-06).

use dcr_mint::pki::TransportShape;
use rcgen::{DnType, DnValue};

use super::*;
use crate::host::mock::run;

const WRITTEN: &str = "this gateway writes that subject ";

fn text(value: &str) -> DnValue {
    DnValue::Utf8String(value.to_owned())
}

/// Values that RFC 4514 writes with escapes, in hexadecimal, or as they are; by the attribute that has them.
fn subjects() -> Vec<Vec<(DnType, DnValue)>> {
    let other = |oid: &[u64]| DnType::CustomDnType(oid.to_vec());
    let (o, l, st) = (DnType::OrganizationName, DnType::LocalityName, DnType::StateOrProvinceName);
    vec![
        vec![],
        vec![(o.clone(), text(r#"A, B+C "D" \E<F>; G=H"#))],
        vec![(o.clone(), text(" leading")), (l.clone(), text("trailing ")), (st.clone(), text("#first"))],
        vec![(o.clone(), text(" ")), (l.clone(), text("\u{a0}x\u{a0}")), (st.clone(), text("a\nb\u{202e}c"))],
        vec![(o.clone(), text("Łódź Ærø ßtraße")), (l.clone(), text("東京"))],
        vec![
            (o.clone(), DnValue::TeletexString("Teletex, Ltd".try_into().unwrap())),
            (l.clone(), DnValue::BmpString("Łódź + Bmp".try_into().unwrap())),
            (st.clone(), DnValue::UniversalString("Universal".try_into().unwrap())),
        ],
        vec![
            (other(&[1, 2, 840, 113_549, 1, 9, 1]), DnValue::Ia5String("ada@harbour.example".try_into().unwrap())),
            (other(&[2, 5, 4, 5]), DnValue::PrintableString("12, 34".try_into().unwrap())),
            (other(&[1, 2, 3, 4]), text("of no name")),
            (other(&[1, 2, 3, 5]), text("of no name, and with a comma")),
        ],
    ]
}

fn certificate_of(shape: TransportShape, further: Vec<(DnType, DnValue)>) -> Identity {
    let mut subject = shape.subject(&PKI.tpp.software).unwrap();
    further.into_iter().for_each(|(kind, value)| subject.push(kind, value));
    PKI.tpp_ca.issue_client(subject).unwrap()
}

async fn by_subject(gate: &Gate<MockHost>, certificate: &Identity, subject: &str) -> Answer {
    let body = registration().for_tls_client_auth(subject).sign(&PKI.tpp.signing).unwrap();
    answered(gate, &Endpoint::Register, &request("application/jwt", Some(certificate), &body)).await
}

/// The subject in the answer, as a third party copies it.
fn told(answer: &Answer) -> String {
    let description = body(answer)["error_description"].as_str().unwrap().to_owned();
    let behind = description.split_once(WRITTEN).unwrap_or_else(|| panic!("{description}")).1;
    behind.strip_suffix(" (rule MD-06)").unwrap().to_owned()
}

#[test]
fn md_06_the_subject_in_the_answer_can_be_sent_back() {
    run(0, |host| async move {
        let mut config = config();
        // Hexadecimal is counted as the text that it stands for, but these names are longer than those of the ecosystem.
        config["danger_profile_values"] = json!({ "client_metadata": { "subject_dn_max_chars": 512 } });
        let gate = gate_with(&host, config);
        let mut certificates: Vec<_> =
            subjects().into_iter().map(|further| certificate_of(TransportShape::ObTransport, further)).collect();
        let nasty = vec![(DnType::OrganizationName, text(r"Harbour, \ Ltd"))];
        certificates.push(certificate_of(TransportShape::Obwac, nasty));

        for certificate in &certificates {
            let refused = by_subject(&gate, certificate, "CN=another").await;
            assert_refused(&host, &refused, 400, "invalid_client_metadata", "subject_dn_not_of_certificate");
            let subject = told(&refused);
            let printed = Certificate::from_pem(certificate.certificate_pem.as_bytes()).unwrap().subject().to_string();
            // The tools' own printer does not know every type of text.
            let by_oid = certificate.subject_dn().ok();
            for sent in [&subject, &printed].into_iter().chain(&by_oid) {
                let answer = by_subject(&gate, certificate, sent).await;
                assert_eq!(answer.status, 201, "{sent}: {}", body(&answer));
                assert_eq!(&body(&answer)["tls_client_auth_subject_dn"], sent);
                let id = body(&answer)["client_id"].as_str().unwrap().to_owned();
                let form = format!("grant_type=client_credentials&client_id={id}");
                let form = request("application/x-www-form-urlencoded", Some(certificate), &form);
                let answer = answered(&gate, &Endpoint::Token, &form).await;
                assert_eq!(answer.status, 200, "{sent}: {}", body(&answer));
            }
        }
    });
}

/// The long subject of a BRCAC is told too. Its issuer writes it in one form, the gateway in another.
#[test]
fn md_06_a_long_subject_is_told() {
    run(0, |host| async move {
        let mut config = config();
        config["profile"] = json!("br-openfinance");
        config["directories"][0]["issuer"] = json!(mint::BRAZIL_DIRECTORY_ISSUER);
        let gate = gate_with(&host, config);
        let statement = mint::brazil_software_statement(&PKI.tpp.brazilian_software, DIRECTORY);
        let statement = statement.sign(&PKI.directory).unwrap();
        let post = async |subject: &str| {
            let token = mint::brazil_registration_request(&PKI.tpp.brazilian_software, &statement);
            let body = token.for_tls_client_auth(subject).to_json();
            answered(&gate, &Endpoint::Register, &request("application/json", Some(&PKI.tpp.brcac), &body)).await
        };
        let refused = post("CN=another").await;
        assert_refused(&host, &refused, 400, "invalid_client_metadata", "subject_dn_not_of_certificate");
        let subject = told(&refused);
        assert!(subject.len() > 220, "{subject}");
        let answer = post(&subject).await;
        assert_eq!(answer.status, 201, "{subject}: {}", body(&answer));
    });
}
