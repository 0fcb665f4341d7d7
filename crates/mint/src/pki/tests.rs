use std::os::unix::fs::PermissionsExt;

use super::*;

fn software() -> Software {
    Software {
        software_id: "SoftwareId0000000000AB".into(),
        client_name: "Name".into(),
        org_id: "001580000ORGANISAT".into(),
        org_name: "Org, Ltd".into(),
        registration_id: "123456".into(),
        redirect_uris: vec!["https://tpp.example/callback".into()],
        roles: vec!["AISP".into()],
    }
}

#[test]
fn transport_certificates_have_the_subjects_of_open_banking() {
    let authority = CertificateAuthority::new("CA").unwrap();
    let transport = authority.issue_transport(&software(), TransportShape::ObTransport).unwrap();
    assert_eq!(transport.subject_dn().unwrap(), "CN=SoftwareId0000000000AB,OU=001580000ORGANISAT,O=OpenBanking,C=GB");
    let obwac = authority.issue_transport(&software(), TransportShape::Obwac).unwrap();
    assert_eq!(
        obwac.subject_dn().unwrap(),
        // 2.5.4.97 is organizationIdentifier. Its value is BER in hexadecimal: a UTF8String of 15 bytes.
        r"CN=001580000ORGANISAT,2.5.4.97=#0c0f50534447422d4f422d313233343536,O=Org\, Ltd,C=GB"
    );
}

/// In the form of the certificate standard (section 9.5). An attribute without a short name keeps its ASN.1 value in the RFC 4514 form: 13
/// is a PrintableString, 0c a UTF8String.
const BRCAC_SUBJECT: &str = concat!(
    "CN=tpp.example,UID=bc97b8f0-cae0-4f2f-9978-d93f0e56a833,",
    "2.5.4.97=#0c2a4f464242522d64373338346264302d383432662d343363352d626530322d396432623264356566633263,",
    r"L=Sao Paulo,ST=SP,O=Org\, Ltd,C=BR,2.5.4.5=#130e3433313432363636303030313937,",
    "1.3.6.1.4.1.311.60.2.1.3=#13024252,2.5.4.15=#0c1450726976617465204f7267616e697a6174696f6e",
);

#[test]
fn transport_certificates_have_the_subjects_of_open_finance_brasil() {
    let authority = CertificateAuthority::new("CA").unwrap();
    let software = Software {
        software_id: "bc97b8f0-cae0-4f2f-9978-d93f0e56a833".into(),
        org_id: "d7384bd0-842f-43c5-be02-9d2b2d5efc2c".into(),
        registration_id: "43142666000197".into(),
        ..software()
    };
    let (before, after) = BRCAC_SUBJECT.split_once("2.5.4.97=").unwrap();
    let after = after.split_once(',').unwrap().1;
    let until_2022 = format!("{before}OU=d7384bd0-842f-43c5-be02-9d2b2d5efc2c,{after}");
    for (shape, subject) in [(TransportShape::Brcac, BRCAC_SUBJECT), (TransportShape::BrcacUntil2022, &until_2022)] {
        let issued = authority.issue_transport(&software, shape).unwrap();
        assert_eq!(issued.subject_dn().unwrap(), subject);
        let read_by_the_gateway = dcr_x509::Certificate::from_pem(issued.certificate_pem.as_bytes()).unwrap();
        assert!(
            read_by_the_gateway.subject().matches(&dcr_x509::DistinguishedName::parse(subject).unwrap()),
            "{subject}"
        );
    }
}

#[test]
fn a_pki_survives_its_folder_and_is_reused() {
    let folder = std::env::temp_dir().join(format!("dcr-pki-{}", uuid::Uuid::new_v4()));
    let made = Pki::reuse_or_generate(&folder).unwrap();
    let reused = Pki::reuse_or_generate(&folder).unwrap();
    assert_eq!(reused.tpp.software, made.tpp.software);
    assert_eq!(reused.tpp.brazilian_software, made.tpp.brazilian_software);
    assert_eq!(reused.tpp.signing.kid(), made.tpp.signing.kid());
    assert_eq!(reused.server_ca.certificate_pem.trim(), made.server_ca.certificate_pem.trim());
    assert_ne!(made.tpp.software.software_id, made.other_tpp.software.software_id);

    for key in ["ca.key", "server.key", "tpp/transport.key", "tpp/signing.key", "other-tpp/obwac.key", "tpp/brcac.key"]
    {
        let mode = std::fs::metadata(folder.join(key)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Envoy reads the lists in the end-to-end tests. Here they are read back.
#[test]
fn a_revocation_list_names_what_is_revoked() {
    use x509_cert::crl::CertificateList;

    let authority = CertificateAuthority::new("CA").unwrap();
    let revoked = authority.issue_server(&["localhost"]).unwrap();
    let end = SystemTime::now() + DAY;
    let of = |identities: &[&Identity]| {
        let list = authority.revocation_list(identities, end).unwrap();
        CertificateList::<x509_cert::certificate::Rfc5280>::from_pem(list.as_bytes()).unwrap().tbs_cert_list
    };
    let list = of(&[&revoked]);
    let serial = parse(&revoked.certificate_pem).unwrap().tbs_certificate().serial_number().clone();
    let listed: Vec<_> = list.revoked_certificates.unwrap().into_iter().map(|entry| entry.serial_number).collect();
    assert_eq!(listed, [serial]);
    assert_eq!(list.issuer.to_string(), "CN=CA");
    assert!(of(&[]).revoked_certificates.is_none());
}

#[test]
fn a_damaged_folder_is_named_not_overwritten() {
    let folder = std::env::temp_dir().join(format!("dcr-pki-{}", uuid::Uuid::new_v4()));
    Pki::generate_into(&folder).unwrap();
    files::write_text(&folder.join("tpp/software.json"), "{}").unwrap();
    let error = Pki::reuse_or_generate(&folder).unwrap_err();
    assert!(error.to_string().contains("tpp/software.json"), "{error}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_key_set_offers_one_key_for_signatures() {
    let authority = CertificateAuthority::new("CA").unwrap();
    let party = ThirdParty::new(software(), &authority).unwrap();
    let keys = party.key_set().unwrap();
    let uses: Vec<&str> = keys["keys"].as_array().unwrap().iter().map(|key| key["use"].as_str().unwrap()).collect();
    assert_eq!(uses, ["tls", "sig"]);
}
