//! Roles of payment service providers.

use dcr_test_support::mutations;

use super::der::{self, PRINTABLE, UTF8, oid, sequence, tlv};
use crate::Psd2Role::{AccountInformation, AccountServicing, CardIssuing, PaymentInitiation};
use crate::{Certificate, Psd2Role};

const PSD2: &str = "0.4.0.19495.2";

fn certificate_with(extensions: &[Vec<u8>]) -> Certificate {
    let subject = der::name(&[("2.5.4.3", UTF8, b"software")]);
    Certificate::from_der(&der::certificate(subject, extensions)).unwrap()
}

/// The roles of a certificate whose statements are not malformed.
fn roles_in(extensions: &[Vec<u8>]) -> Vec<Psd2Role> {
    let certificate = certificate_with(extensions);
    assert!(!certificate.psd2_statement_is_malformed());
    certificate.psd2_roles().to_vec()
}

fn assert_malformed(extensions: &[Vec<u8>], of: &str) {
    let certificate = certificate_with(extensions);
    assert!(certificate.psd2_statement_is_malformed(), "{of}");
    assert_eq!(certificate.psd2_roles(), [], "{of}");
}

/// The roles of a certificate with these QCStatements.
fn roles_of(statements: &[Vec<u8>]) -> Vec<Psd2Role> {
    roles_in(&[der::qc_statements(statements)])
}

fn role(number: u8, name: &str) -> Vec<u8> {
    sequence(&[oid(&format!("0.4.0.19495.1.{number}")), tlv(UTF8, name.as_bytes())])
}

fn authority() -> [Vec<u8>; 2] {
    [tlv(UTF8, b"Financial Conduct Authority"), tlv(UTF8, b"GB-FCA")]
}

fn psd2(roles: &[Vec<u8>]) -> Vec<u8> {
    let [name, id] = authority();
    sequence(&[oid(PSD2), sequence(&[sequence(roles), name, id])])
}

fn qualified() -> Vec<u8> {
    sequence(&[oid("0.4.0.1862.1.1")])
}

#[test]
fn roles_are_read_in_order_beside_other_statements() {
    let all = [role(3, "PSP_AI"), role(2, "PSP_PI"), role(1, "PSP_AS"), role(4, "PSP_IC")];
    let expected = [AccountInformation, PaymentInitiation, AccountServicing, CardIssuing];
    assert_eq!(roles_of(&[qualified(), psd2(&all)]), expected);
    assert_eq!(expected.map(Psd2Role::name), ["PSP_AI", "PSP_PI", "PSP_AS", "PSP_IC"]);
    assert_eq!(roles_of(&[psd2(&all[..1])]), [AccountInformation]);
}

#[test]
fn without_a_statement_there_are_no_roles() {
    assert_eq!(roles_in(&[]), []);
    assert_eq!(roles_of(&[qualified()]), []);
    assert_eq!(roles_of(&[psd2(&[])]), []);
    assert_eq!(roles_of(&[sequence(&[oid("0.4.0.19495.3"), sequence(&[])])]), []);
}

#[test]
fn a_role_that_psd2_does_not_have_grants_nothing() {
    assert_eq!(roles_of(&[psd2(&[role(5, "PSP_XX"), role(3, "PSP_AI")])]), [AccountInformation]);
}

#[test]
fn what_is_malformed_grants_no_role() {
    let good = role(3, "PSP_AI");
    assert_eq!(roles_of(&[psd2(std::slice::from_ref(&good))]), [AccountInformation]);

    let [name, id] = authority();
    let list = sequence(std::slice::from_ref(&good));
    for statement in [
        psd2(&[good.clone(), role(2, "PSP_AI")]),
        psd2(&[good.clone(), good.clone()]),
        psd2(&[good.clone(), role(2, "psp_as")]),
        psd2(&[role(1, " PSP_PI ")]),
        psd2(&[good.clone(), sequence(&[oid("0.4.0.19495.1.2")])]),
        psd2(&[sequence(&[oid("0.4.0.19495.1.3"), tlv(PRINTABLE, b"PSP_AI")])]),
        psd2(&[sequence(&[oid("0.4.0.19495.1.3"), tlv(UTF8, b"PSP_AI"), tlv(UTF8, b"")])]),
        psd2(&[good.clone(), tlv(UTF8, b"PSP_PI")]),
        sequence(&[oid(PSD2)]),
        sequence(&[oid(PSD2), list.clone()]),
        sequence(&[oid(PSD2), sequence(&[list.clone(), name.clone()])]),
        sequence(&[oid(PSD2), sequence(&[name.clone(), list.clone(), id.clone()])]),
        sequence(&[oid(PSD2), sequence(&[list.clone(), name.clone(), id.clone(), id.clone()])]),
        sequence(&[oid(PSD2), sequence(&[list, name, tlv(UTF8, b"\xff")])]),
    ] {
        assert_malformed(&[der::qc_statements(std::slice::from_ref(&statement))], &format!("{statement:02x?}"));
        let beside = der::qc_statements(&[qualified(), statement.clone()]);
        assert_malformed(&[beside], &format!("{statement:02x?} beside another"));
    }
    let good = psd2(&[good]);
    assert_malformed(&[der::qc_statements(&[good.clone(), good.clone()])], "two statements");
    assert_malformed(&[der::qc_statements(&[good.clone(), tlv(UTF8, b"")])], "a text in place of a statement");
    let extension = der::qc_statements(&[good]);
    assert_malformed(&[extension.clone(), extension], "two extensions");
    let not_a_list = sequence(&[oid("1.3.6.1.5.5.7.1.3"), tlv(0x04, b"")]);
    assert_malformed(&[not_a_list], "no list of statements");
}

/// The UK's pre-production issuer writes so.
#[test]
fn all_roles_in_one_sequence_are_malformed() {
    let role = |number: u8, name: &str| [oid(&format!("0.4.0.19495.1.{number}")), tlv(UTF8, name.as_bytes())].concat();
    let [name, id] = authority();
    for roles in [
        vec![role(3, "PSP_AI"), role(2, "PSP_PI")],
        vec![role(1, "PSP_AS"), role(2, "PSP_PI"), role(3, "PSP_AI"), role(4, "PSP_IC")],
    ] {
        let list = sequence(&[sequence(&roles)]);
        let statement = sequence(&[oid(PSD2), sequence(&[list, name.clone(), id.clone()])]);
        assert_malformed(&[der::qc_statements(&[statement])], "in the list");
        let statement = sequence(&[oid(PSD2), sequence(&[sequence(&roles), name.clone(), id.clone()])]);
        assert_malformed(&[der::qc_statements(&[statement])], "in place of the list");
    }
}

#[test]
fn a_role_without_the_list_around_it_is_malformed() {
    let [name, id] = authority();
    let statement = sequence(&[oid(PSD2), sequence(&[role(3, "PSP_AI"), name, id])]);
    assert_malformed(&[der::qc_statements(&[statement])], "one role");
}

#[test]
fn the_id_decides_where_an_issuer_names_a_role_in_its_own_words() {
    for name in [
        "Account Information",
        "PSP_AI",
        "psp_ai",
        " PSP_AI ",
        "PSP-AI",
        "AISP",
        "PSP_PIX",
        "Kontoinformationsdienst",
        "",
    ] {
        assert_eq!(
            roles_of(&[psd2(&[role(3, name), role(2, "PSP_PI")])]),
            [AccountInformation, PaymentInitiation],
            "{name}"
        );
    }
    for (number, name) in [
        (1, "PSP_PI"),
        (1, "PSP_AI"),
        (1, "PSP_IC"),
        (2, "PSP_AS"),
        (2, "PSP_AI"),
        (3, "PSP_PI"),
        (3, "psp_pi"),
        (4, "PSP_AS\n"),
    ] {
        assert_malformed(&[der::qc_statements(&[psd2(&[role(number, name)])])], name);
    }
}

#[test]
fn changed_statements_never_panic() {
    let subject = der::name(&[("2.5.4.3", UTF8, b"software")]);
    let statements = der::qc_statements(&[qualified(), psd2(&[role(3, "PSP_AI"), role(2, "PSP_PI")])]);
    let genuine = der::certificate(subject, &[statements]);
    for changed in mutations(&genuine, 10_000) {
        if let Ok(certificate) = Certificate::from_der(&changed) {
            assert!(certificate.psd2_roles().len() <= 4);
        }
    }
}
