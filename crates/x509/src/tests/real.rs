//! Certificates of the Open Banking sandbox, of which the tests run only if these are available, and certificates that are issued here.

use std::fs;

use dcr_test_support::vectors;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

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

#[test]
fn the_issuer_and_its_key_are_named() {
    for name in ["obwac-0015800001HQQrZAAX.pem", "ob-transport-sgsMuc8ACBgBzinpr8oJ8B.pem"] {
        let Some(certificate) = certificate(name) else { return };
        assert_eq!(certificate.issuer().to_string(), "CN=OpenBanking Pre-Production Issuing CA,O=OpenBanking,C=GB");
        assert_eq!(
            certificate.authority_key_identifier().map(crate::hex::encode).as_deref(),
            Some("507391c62172d377f4fe001206815c79796e3f50")
        );
    }
}

#[test]
fn an_issued_certificate_names_its_issuer() {
    let key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::default();
    authority.distinguished_name = rcgen::DistinguishedName::new();
    authority.distinguished_name.push(DnType::CountryName, "GB");
    authority.distinguished_name.push(DnType::CommonName, "Issuing CA");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let key_identifier = authority.key_identifier(&key);
    let own = Certificate::from_der(authority.clone().self_signed(&key).unwrap().der()).unwrap();
    assert!(own.issuer().matches(own.subject()));
    let issuer = Issuer::new(authority, key);

    for names_the_key in [true, false] {
        let mut holder = CertificateParams::new(vec!["tpp.example".to_owned()]).unwrap();
        holder.use_authority_key_identifier_extension = names_the_key;
        let issued = holder.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
        let certificate = Certificate::from_der(issued.der()).unwrap();
        assert!(certificate.issuer().matches(own.subject()));
        assert!(certificate.issuer().matches(&DistinguishedName::parse("CN=Issuing CA,C=GB").unwrap()));
        assert!(!certificate.issuer().matches(certificate.subject()));
        assert_eq!(certificate.authority_key_identifier(), names_the_key.then_some(key_identifier.as_slice()));
    }
}
