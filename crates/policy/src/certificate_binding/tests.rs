use std::rc::Rc;

use dcr_json::ByName;
use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair, date_time_ymd};

use super::*;
use crate::mode::{Mode, Modes};
use crate::profile::Profile;
use crate::settings::{CertificateIssuer, Settings};
use crate::tests::{ORGANISATION, SOFTWARE, assert_refused};

const STATEMENT: &str = "invalid_software_statement";
const REGISTRATION: &str = "Unknown0015800001HQQrZAAX";

/// 2021-06-15. The certificates of these tests are valid then.
const WITHIN: Timestamp = 1_623_715_200;

fn binding() -> Binding {
    Binding {
        software_id: SOFTWARE.to_owned(),
        organisation_id: ORGANISATION.to_owned(),
        registration_ids: vec!["another".to_owned(), REGISTRATION.to_owned()],
        authority_ids: vec![Some("FCAGBR".to_owned()), Some("OBGBR".to_owned())],
    }
}

/// A certificate with this subject, most significant name first, valid in 2021.
fn certificate(subject: &[(DnType, &str)]) -> Certificate {
    let mut name = DistinguishedName::new();
    for (kind, value) in subject {
        name.push(kind.clone(), *value);
    }
    certificate_of(name)
}

fn certificate_of(name: DistinguishedName) -> Certificate {
    Certificate::from_der(&der_of(name)).unwrap()
}

fn der_of(name: DistinguishedName) -> Vec<u8> {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = name;
    parameters.not_before = date_time_ymd(2021, 1, 1);
    parameters.not_after = date_time_ymd(2021, 12, 31);
    let key = KeyPair::generate().unwrap();
    parameters.self_signed(&key).unwrap().der().to_vec()
}

fn ob_transport(common_name: &str, unit: &str) -> Certificate {
    certificate(&[
        (DnType::CountryName, "GB"),
        (DnType::OrganizationName, "OpenBanking"),
        (DnType::OrganizationalUnitName, unit),
        (DnType::CommonName, common_name),
    ])
}

fn obwac(common_name: &str, identifier: &str) -> Certificate {
    certificate(&[
        (DnType::CountryName, "GB"),
        (DnType::OrganizationName, "WSO2 (UK) LIMITED"),
        (DnType::CustomDnType(vec![2, 5, 4, 97]), identifier),
        (DnType::CommonName, common_name),
    ])
}

/// Checks a certificate with the dialect of a profile.
fn check(binding: &Binding, certificate: &Certificate, profile: &str, now: Timestamp) -> Result<(), Refusal> {
    binding.check(certificate, &directory(profile), now, &Evaluation::new(Rc::default()))
}

/// A directory whose statements have the dialect of a profile.
fn directory(profile: &str) -> Directory {
    Settings::of_one_directory(Profile::named(profile).unwrap(), "directory").directories.remove(0)
}

#[track_caller]
fn refused(certificate: &Certificate, now: Timestamp, reason: &str) {
    assert_refused(check(&binding(), certificate, "uk-obie-3.3", now), 400, STATEMENT, reason);
}

#[test]
fn cb_04_software_and_organisation_of_a_legacy_certificate() {
    assert_eq!(check(&binding(), &ob_transport(SOFTWARE, ORGANISATION), "uk-obie-3.3", WITHIN), Ok(()));
    for (common_name, unit) in [
        ("u3ZWlf9Yt42dyZgIvzkvqb", ORGANISATION),
        (SOFTWARE, "0015800001HQQrZAAY"),
        (&SOFTWARE.to_lowercase(), ORGANISATION),
        (ORGANISATION, SOFTWARE),
        (SOFTWARE, ""),
    ] {
        refused(&ob_transport(common_name, unit), WITHIN, "transport_certificate_of_another");
    }
}

#[test]
fn cb_04_cb_05_a_second_value_that_cannot_be_read_counts() {
    let unreadable = || DnValue::UniversalString("x".try_into().unwrap());
    let identifier = DnType::CustomDnType(vec![2, 5, 4, 97]);
    let with = |attributes: &[(DnType, DnValue)]| {
        let mut name = DistinguishedName::new();
        name.push(DnType::OrganizationalUnitName, ORGANISATION);
        attributes.iter().for_each(|(kind, value)| name.push(kind.clone(), value.clone()));
        certificate_of(name)
    };
    let own = (DnType::CommonName, DnValue::from(SOFTWARE));
    assert_eq!(check(&binding(), &with(std::slice::from_ref(&own)), "uk-obie-3.3", WITHIN), Ok(()));
    let second = (DnType::CustomDnType(vec![2, 5, 4, 3]), unreadable());
    for both in [[own.clone(), second.clone()], [second, own.clone()]] {
        refused(&with(&both), WITHIN, "transport_certificate_of_another");
    }
    let beside = with(&[own, (identifier, unreadable())]);
    assert_eq!(check(&binding(), &beside, "uk-obie-3.3", WITHIN), Ok(()), "the form that it fulfils has no identifier");
}

/// The directory of Open Banking UK checks that a certificate request has the org_id as its OU, so its certificates have one. Which of
/// several OUs the authority has checked is unknown. A subject with all of them must not pass for one with the right one.
#[test]
fn cb_04_several_units_in_one_set_are_ambiguous() {
    let units = |units: &[&str]| ob_transport_with_set(&units_in_one_set(units));
    assert_eq!(check(&binding(), &units(&[ORGANISATION]), "uk-obie-3.3", WITHIN), Ok(()));
    for several in [
        ["a", "b", ORGANISATION],
        [ORGANISATION, "a", "b"],
        ["a", ORGANISATION, "b"],
        [ORGANISATION, ORGANISATION, ORGANISATION],
    ] {
        let certificate = units(&several);
        assert_eq!(certificate.subject().values(&Attribute::OrganizationalUnit), several);
        refused(&certificate, WITHIN, "transport_certificate_of_another");
    }
}

/// DER of a relative distinguished name: a set of units. `rcgen` writes one attribute in each set.
fn units_in_one_set(units: &[&str]) -> Vec<u8> {
    let tagged = |tag: u8, content: &[u8]| {
        let length = u8::try_from(content.len()).ok().filter(|length| *length < 128).unwrap();
        [&[tag, length], content].concat()
    };
    let unit = |unit: &&str| tagged(0x30, &[&[0x06, 3, 0x55, 0x04, 0x0b], &*tagged(0x0c, unit.as_bytes())].concat());
    tagged(0x31, &units.iter().flat_map(unit).collect::<Vec<u8>>())
}

/// A certificate of the software with this set in its subject. A unit of the same length is made first and then replaced, so that no length
/// around it changes. The signature is not looked at.
fn ob_transport_with_set(set: &[u8]) -> Certificate {
    let placeholder = "x".repeat(set.len() - units_in_one_set(&[""]).len());
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationalUnitName, placeholder.as_str());
    name.push(DnType::CommonName, SOFTWARE);
    let mut certificate = der_of(name);
    let placeholder = units_in_one_set(&[&placeholder]);
    let places: Vec<usize> =
        (0..certificate.len()).filter(|place| certificate[*place..].starts_with(&placeholder)).collect();
    assert_eq!(places.len(), 2, "the names of the issuer and of the subject");
    for place in places {
        certificate[place..place + set.len()].copy_from_slice(set);
    }
    Certificate::from_der(&certificate).unwrap()
}

#[test]
fn cb_05_organisation_and_registration_of_an_obwac() {
    let identifier = format!("PSDGB-OB-{REGISTRATION}");
    assert_eq!(check(&binding(), &obwac(ORGANISATION, &identifier), "uk-obie-3.3", WITHIN), Ok(()));
    for identifier in [
        "PSDGB-OB-Unknown0015800001HQQrZAAY",
        "PSDGB-OB-x-Unknown0015800001HQQrZAAX",
        "PSDGB-OB-",
        "Unknown0015800001HQQrZAAX",
        "PSDgb-OB-Unknown0015800001HQQrZAAX",
        "VATGB-OB-Unknown0015800001HQQrZAAX",
        "PSDGB--Unknown0015800001HQQrZAAX",
    ] {
        refused(&obwac(ORGANISATION, identifier), WITHIN, "organisation_certificate_of_another");
    }
}

/// A trust service provider writes a host into the CN of a QWAC.
#[test]
fn cb_05_the_whole_identifier_of_a_qwac_decides() {
    let own = format!("PSDGB-OB-{REGISTRATION}");
    for common_name in ["api.harbour.example", SOFTWARE, ""] {
        assert_eq!(check(&binding(), &obwac(common_name, &own), "uk-obie-3.3", WITHIN), Ok(()), "{common_name}");
    }
    assert_eq!(check(&binding(), &obwac("a.example", "PSDGB-FCA-another"), "uk-obie-3.3", WITHIN), Ok(()));
    for identifier in [
        // Another country, another authority, the authority of another registration, another number.
        format!("PSDIE-OB-{REGISTRATION}"),
        format!("PSDGB-CBI-{REGISTRATION}"),
        format!("PSDGB-FCA-{REGISTRATION}"),
        format!("PSDGB-O-{REGISTRATION}"),
        "PSDGB-OB-Unknown0015800001HQQrZAAY".to_owned(),
        format!("PSDGB-OB-x-{REGISTRATION}"),
        format!("NTRGB-OB-{REGISTRATION}"),
        format!("PSDXX-OB-{REGISTRATION}"),
        format!("PSD-OB-{REGISTRATION}"),
    ] {
        refused(&obwac("api.harbour.example", &identifier), WITHIN, "organisation_certificate_of_another");
    }
    // Numbers of different authorities can be equal, so the statement has to tell the authority.
    for authority_ids in [Vec::new(), vec![None, None]] {
        let binding = Binding { authority_ids, ..binding() };
        let checked = check(&binding, &obwac("api.harbour.example", &own), "uk-obie-3.3", WITHIN);
        assert_refused(checked, 400, STATEMENT, "organisation_certificate_of_another");
    }
}

/// Revolut's guide and ForgeRock's directory have such subjects.
#[test]
fn cb_04_a_certificate_may_fulfil_any_form() {
    let with_identifier = |software: &str, organisation: &str, identifier: &str| {
        certificate(&[
            (DnType::CountryName, "GB"),
            (DnType::OrganizationName, "Harbour"),
            (DnType::OrganizationalUnitName, organisation),
            (DnType::CustomDnType(vec![2, 5, 4, 97]), identifier),
            (DnType::CommonName, software),
        ])
    };
    let other = "PSDGB-FCA-9";
    assert_eq!(check(&binding(), &with_identifier(SOFTWARE, ORGANISATION, other), "uk-obie-3.3", WITHIN), Ok(()));
    assert_eq!(check(&binding(), &with_identifier(SOFTWARE, ORGANISATION, other), "revolut", WITHIN), Ok(()));
    refused(&with_identifier(SOFTWARE, "another", other), WITHIN, "organisation_certificate_of_another");
    refused(&with_identifier("another", ORGANISATION, other), WITHIN, "organisation_certificate_of_another");
}

#[test]
fn cb_01_the_operator_may_name_the_certification_authorities_of_a_directory() {
    let own = ob_transport(SOFTWARE, ORGANISATION);
    let check = |issuers: Vec<CertificateIssuer>| {
        let directory = Directory { certificate_issuers: issuers, ..directory("uk-obie-3.3") };
        binding().check(&own, &directory, WITHIN, &Evaluation::new(Rc::default()))
    };
    // The certificate signed itself.
    let name = Some(own.subject().clone());
    let other_name = Some(dcr_x509::DistinguishedName::parse("CN=the bank's own authority,C=GB").unwrap());
    let issuer = |name, key_identifier| CertificateIssuer { name, key_identifier };
    assert_eq!(check(Vec::new()), Ok(()));
    assert_eq!(check(vec![issuer(other_name.clone(), None), issuer(name.clone(), None)]), Ok(()));
    for others in
        [vec![issuer(other_name, None)], vec![issuer(name, Some(vec![1; 20]))], vec![issuer(None, Some(vec![1]))]]
    {
        assert_refused(check(others), 400, STATEMENT, "certificate_of_another_authority");
    }
}

#[test]
fn cb_05_a_statement_without_registration_binds_no_obwac() {
    let without = Binding { registration_ids: Vec::new(), authority_ids: Vec::new(), ..binding() };
    let certificate = obwac(ORGANISATION, "PSDGB-OB-");
    let checked = check(&without, &certificate, "uk-obie-3.3", WITHIN);
    assert_refused(checked, 400, STATEMENT, "organisation_certificate_of_another");
}

#[test]
fn cb_04_cb_05_certificates_are_valid_between_their_dates() {
    const BEFORE: Timestamp = 1_609_459_199;
    const AFTER: Timestamp = 1_640_995_200;
    for now in [BEFORE, AFTER] {
        refused(&ob_transport(SOFTWARE, ORGANISATION), now, "transport_certificate_dates");
        refused(&obwac(ORGANISATION, &format!("PSDGB-OB-{REGISTRATION}")), now, "organisation_certificate_dates");
    }
}

#[test]
fn cb_01_cb_10_where_nothing_names_the_software_only_the_dates_count() {
    let certificate = ob_transport("a product", "Consumer Data Right");
    assert_eq!(check(&binding(), &certificate, "au-cdr", WITHIN), Ok(()));
    assert_refused(check(&binding(), &certificate, "au-cdr", 1_640_995_200), 400, STATEMENT, "certificate_dates");
}

/// A certificate in the Brazilian form. The software is its UID, and the organisation is in one of two attributes.
fn brazilian(software: &str, organisation: (DnType, &str), year: i32) -> Certificate {
    let mut name = DistinguishedName::new();
    name.push(DnType::CountryName, "BR");
    name.push(organisation.0, organisation.1);
    name.push(DnType::CustomDnType(vec![0, 9, 2342, 19_200_300, 100, 1, 1]), software);
    name.push(DnType::CommonName, "tpp.example");
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = name;
    parameters.not_before = date_time_ymd(year, 1, 1);
    parameters.not_after = date_time_ymd(year, 12, 31);
    let key = KeyPair::generate().unwrap();
    Certificate::from_der(parameters.self_signed(&key).unwrap().der()).unwrap()
}

#[test]
fn cb_08_cb_09_software_and_organisation_of_a_brazilian_certificate() {
    let own = format!("OFBBR-{ORGANISATION}");
    let own = own.as_str();
    let identifier = |value| (DnType::CustomDnType(vec![2, 5, 4, 97]), value);
    let unit = |value| (DnType::OrganizationalUnitName, value);
    let within = |year: u64| WITHIN + (year - 2021) * 365 * 24 * 60 * 60;
    for (certificate, year, reason) in [
        (brazilian(SOFTWARE, identifier(own), 2024), 2024, None),
        (brazilian(SOFTWARE, unit(ORGANISATION), 2022), 2022, None),
        (brazilian("another", identifier(own), 2024), 2024, Some("certificate_of_another_software")),
        (brazilian(SOFTWARE, identifier("OFBBR-another"), 2024), 2024, Some("certificate_of_another_organisation")),
        (brazilian(SOFTWARE, identifier(ORGANISATION), 2024), 2024, Some("certificate_of_another_organisation")),
        (brazilian(SOFTWARE, unit("another"), 2022), 2022, Some("certificate_of_another_organisation")),
        (brazilian(SOFTWARE, unit(ORGANISATION), 2024), 2024, Some("certificate_of_another_software")),
    ] {
        let checked = check(&binding(), &certificate, "br-openfinance", within(year));
        match reason {
            Some(reason) => assert_refused(checked, 400, STATEMENT, reason),
            None => assert_eq!(checked, Ok(()), "{}", certificate.subject()),
        }
    }
}

#[test]
fn cb_09_is_checked_where_cb_08_is_set_aside() {
    let mut of_rules = ByName::new();
    of_rules.insert("CB-08".to_owned(), Mode::Off);
    let modes = Rc::new(Modes { general: Mode::Enforce, of_rules });
    let directory = directory("br-openfinance");
    let check = |certificate: &Certificate| {
        let now = WITHIN + 3 * 365 * 24 * 60 * 60;
        binding().check(certificate, &directory, now, &Evaluation::new(modes.clone()))
    };
    let of = |organisation: &str| brazilian("another", (DnType::CustomDnType(vec![2, 5, 4, 97]), organisation), 2024);
    assert_eq!(check(&of(&format!("OFBBR-{ORGANISATION}"))), Ok(()));
    assert_refused(check(&of("OFBBR-another")), 400, STATEMENT, "certificate_of_another_organisation");
}

#[test]
fn cb_06_a_certificate_grants_the_roles_of_the_statement() {
    let mut dialect = Profile::named("uk-obie-3.3").unwrap().software_statement;
    let certificate = ob_transport(SOFTWARE, ORGANISATION);
    let granted = |role: &str, dialect: &Dialect| cb_06_psd2_roles(&certificate, &[role.to_owned()], dialect);
    assert_eq!(granted("AISP", &dialect), Ok(()), "unless it is asked for");
    dialect.certificate_psd2_roles = true;
    assert_refused(granted("AISP", &dialect), 400, "unapproved_software_statement", "certificate_lacks_role");
    assert_eq!(granted("a role that PSD2 does not know", &dialect), Ok(()));
}
