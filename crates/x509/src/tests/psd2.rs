//! Roles of payment service providers.

use dcr_test_support::mutations;

use super::der::{self, PRINTABLE, UTF8, oid, sequence, tlv};
use crate::Psd2Role::{AccountInformation, AccountServicing, CardIssuing, PaymentInitiation};
use crate::{Certificate, Psd2Role};

const PSD2: &str = "0.4.0.19495.2";

fn roles_in(extensions: &[Vec<u8>]) -> Vec<Psd2Role> {
    let subject = der::name(&[("2.5.4.3", UTF8, b"software")]);
    Certificate::from_der(&der::certificate(subject, extensions)).unwrap().psd2_roles().to_vec()
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
fn a_malformed_statement_grants_no_role() {
    let good = role(3, "PSP_AI");
    assert_eq!(roles_of(&[psd2(std::slice::from_ref(&good))]), [AccountInformation]);

    let [name, id] = authority();
    let list = sequence(std::slice::from_ref(&good));
    for statement in [
        psd2(&[good.clone(), role(2, "PSP_AI")]),
        psd2(&[good.clone(), good.clone()]),
        psd2(&[role(3, "psp_ai")]),
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
        assert_eq!(roles_of(std::slice::from_ref(&statement)), [], "{statement:02x?}");
    }
    let good = psd2(&[good]);
    assert_eq!(roles_of(&[good.clone(), good.clone()]), [], "two statements");
    assert_eq!(roles_of(&[good.clone(), tlv(UTF8, b"")]), [], "an empty string in place of a statement");
    let extension = der::qc_statements(&[good]);
    assert_eq!(roles_in(&[extension.clone(), extension]), [], "two extensions");
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
