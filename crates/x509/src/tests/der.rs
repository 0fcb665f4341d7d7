//! A minimal DER writer for test certificates, both valid and invalid. The certificates are not signed, because this crate checks no
//! signature.

use der::Encode;
use der::asn1::ObjectIdentifier;
use der::pem::{LineEnding, encode_string};

pub(crate) const UTF8: u8 = 0x0c;
pub(crate) const PRINTABLE: u8 = 0x13;
pub(crate) const TELETEX: u8 = 0x14;
pub(crate) const IA5: u8 = 0x16;
pub(crate) const BMP: u8 = 0x1e;
pub(crate) const BIT_STRING: u8 = 0x03;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;

/// One attribute: its OID, its string type and its octets.
pub(crate) type Ava<'a> = (&'a str, u8, &'a [u8]);

pub(crate) fn tlv(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = match contents.len() {
        short @ 0..=0x7f => vec![u8::try_from(short).unwrap()],
        medium @ 0x80..=0xff => vec![0x81, u8::try_from(medium).unwrap()],
        long => [&[0x82][..], &u16::try_from(long).unwrap().to_be_bytes()].concat(),
    };
    [&[tag], length.as_slice(), contents].concat()
}

pub(crate) fn sequence(items: &[Vec<u8>]) -> Vec<u8> {
    tlv(SEQUENCE, &items.concat())
}

pub(crate) fn oid(dotted: &str) -> Vec<u8> {
    ObjectIdentifier::new(dotted).unwrap().to_der().unwrap()
}

/// A name. Each RDN holds one attribute, in the certificate's order.
pub(crate) fn name(avas: &[Ava<'_>]) -> Vec<u8> {
    name_of_sets(&avas.iter().map(std::slice::from_ref).collect::<Vec<_>>())
}

pub(crate) fn name_of_sets(rdns: &[&[Ava<'_>]]) -> Vec<u8> {
    let ava = |(dotted, tag, octets): &Ava<'_>| sequence(&[oid(dotted), tlv(*tag, octets)]);
    let rdn = |avas: &&[Ava<'_>]| tlv(SET, &avas.iter().map(ava).collect::<Vec<_>>().concat());
    sequence(&rdns.iter().map(rdn).collect::<Vec<_>>())
}

/// A `subjectAltName` extension with these encoded names.
pub(crate) fn alternative_names(names: &[Vec<u8>]) -> Vec<u8> {
    sequence(&[oid("2.5.29.17"), tlv(0x04, &sequence(names))])
}

/// A `qcStatements` extension with these encoded statements.
pub(crate) fn qc_statements(statements: &[Vec<u8>]) -> Vec<u8> {
    sequence(&[oid("1.3.6.1.5.5.7.1.3"), tlv(0x04, &sequence(statements))])
}

/// An `authorityKeyIdentifier` extension with these encoded fields.
pub(crate) fn authority_key_identifier(fields: &[Vec<u8>]) -> Vec<u8> {
    sequence(&[oid("2.5.29.35"), tlv(0x04, &sequence(fields))])
}

/// A certificate for `subject`, valid from 2024-01-01 00:00:00 to 2049-12-31 23:59:59.
pub(crate) fn certificate(subject: Vec<u8>, extensions: &[Vec<u8>]) -> Vec<u8> {
    certificate_of(name(&[("2.5.4.3", UTF8, b"Issuer")]), subject, extensions)
}

pub(crate) fn certificate_of(issuer: Vec<u8>, subject: Vec<u8>, extensions: &[Vec<u8>]) -> Vec<u8> {
    let algorithm = sequence(&[oid("1.2.840.10045.4.3.2")]);
    let validity = sequence(&[tlv(0x17, b"240101000000Z"), tlv(0x17, b"491231235959Z")]);
    let public_key = sequence(&[algorithm.clone(), tlv(BIT_STRING, &[0, 4])]);
    let mut fields =
        vec![tlv(0xa0, &tlv(0x02, &[2])), tlv(0x02, &[1]), algorithm.clone(), issuer, validity, subject, public_key];
    if !extensions.is_empty() {
        fields.push(tlv(0xa3, &sequence(extensions)));
    }
    sequence(&[sequence(&fields), algorithm, tlv(BIT_STRING, &[0, 1])])
}

pub(crate) fn pem(der: &[u8]) -> String {
    encode_string("CERTIFICATE", LineEnding::LF, der).unwrap()
}
