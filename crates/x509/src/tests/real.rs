//! Certificates of the Open Banking sandbox. The tests run only if these are available.

use std::fs;

use dcr_test_support::vectors;

use crate::{Attribute, Certificate, DistinguishedName, Psd2Role};

fn certificate(name: &str) -> Option<Certificate> {
    let pem = fs::read(vectors()?.join("certificates").join(name)).unwrap();
    Some(Certificate::from_pem(&pem).unwrap())
}

#[test]
fn every_certificate_is_read() {
    let Some(folder) = vectors() else { return };
    let files: Vec<_> = fs::read_dir(folder.join("certificates")).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() >= 7);
    for file in files {
        let certificate = Certificate::from_pem(&fs::read(&file).unwrap()).unwrap();
        assert!(certificate.not_before() < certificate.not_after());
        let printed = certificate.subject().to_string();
        assert!(DistinguishedName::parse(&printed).unwrap().matches(certificate.subject()), "{printed}");
    }
}

#[test]
fn a_legacy_transport_certificate_names_software_and_organisation() {
    let Some(certificate) = certificate("ob-transport-sgsMuc8ACBgBzinpr8oJ8B.pem") else { return };
    assert_eq!(certificate.subject().values(&Attribute::CommonName), ["sgsMuc8ACBgBzinpr8oJ8B"]);
    assert_eq!(certificate.subject().values(&Attribute::OrganizationalUnit), ["0015800001HQQrZAAX"]);
    assert_eq!(certificate.subject().values(&Attribute::Organization), ["OpenBanking"]);
    assert_eq!(certificate.subject().values(&Attribute::OrganizationIdentifier), [""; 0]);
    assert_eq!((certificate.not_before(), certificate.not_after()), (1_612_760_084, 1_646_717_084));
}

#[test]
fn an_obwac_states_the_roles_of_psd2() {
    let Some(certificate) = certificate("obwac-0015800001HQQrZAAX.pem") else { return };
    assert_eq!(
        certificate.psd2_roles(),
        [Psd2Role::PaymentInitiation, Psd2Role::AccountInformation, Psd2Role::CardIssuing]
    );
}

#[test]
fn dn_06_every_spelling_equals_the_certificate() {
    let Some(certificate) = certificate("obwac-0015800001HQQrZAAX.pem") else { return };
    let subject = certificate.subject();
    assert_eq!(subject.values(&Attribute::OrganizationIdentifier), ["PSDGB-OB-Unknown0015800001HQQrZAAX"]);
    for spelling in crate::name::tests::SAME_SUBJECT {
        assert!(DistinguishedName::parse(spelling).unwrap().matches(subject), "{spelling}");
    }
    for spelling in crate::name::tests::OTHER_SUBJECTS {
        assert!(!DistinguishedName::parse(spelling).unwrap().matches(subject), "{spelling}");
    }
}
