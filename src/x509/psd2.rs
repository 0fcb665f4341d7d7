//! The roles of a payment service provider, as its certificate states them (ETSI TS 119 495 section 5.1).

use x509_cert::der::asn1::{AnyRef, ObjectIdentifier, Utf8StringRef};
use x509_cert::der::{self, Decode, Reader, SliceReader};

/// `id-pe-qcStatements` (RFC 3739 section 3.2.6).
pub(super) const QC_STATEMENTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.3");

/// `etsi-psd2-qcStatement`.
const PSD2_STATEMENT: ObjectIdentifier = ObjectIdentifier::new_unwrap("0.4.0.19495.2");

/// What a payment service provider may do under PSD2, as the competent authority authorised it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Psd2Role {
    /// PSP_AS: keeps accounts (account servicing).
    AccountServicing,
    /// PSP_PI: initiates payments.
    PaymentInitiation,
    /// PSP_AI: reads accounts (account information).
    AccountInformation,
    /// PSP_IC: issues card-based payment instruments.
    CardIssuing,
}

impl Psd2Role {
    const ALL: [Self; 4] =
        [Self::AccountServicing, Self::PaymentInitiation, Self::AccountInformation, Self::CardIssuing];

    /// The name that the standard gives the role, and certificates with it.
    pub fn name(self) -> &'static str {
        match self {
            Self::AccountServicing => "PSP_AS",
            Self::PaymentInitiation => "PSP_PI",
            Self::AccountInformation => "PSP_AI",
            Self::CardIssuing => "PSP_IC",
        }
    }

    fn oid(self) -> ObjectIdentifier {
        match self {
            Self::AccountServicing => ObjectIdentifier::new_unwrap("0.4.0.19495.1.1"),
            Self::PaymentInitiation => ObjectIdentifier::new_unwrap("0.4.0.19495.1.2"),
            Self::AccountInformation => ObjectIdentifier::new_unwrap("0.4.0.19495.1.3"),
            Self::CardIssuing => ObjectIdentifier::new_unwrap("0.4.0.19495.1.4"),
        }
    }
}

/// The roles in the value of a QCStatements extension, each once, in its order.
///
/// `None` where the extension or its PSD2 statement is malformed, or there are two such statements: then nothing in it
/// grants a role. Without a PSD2 statement the list is empty.
pub(super) fn roles(qc_statements: &[u8]) -> Option<Vec<Psd2Role>> {
    let mut statements = Vec::new();
    each_in_sequence(AnyRef::from_der(qc_statements), |statement| {
        statement.sequence(|fields| {
            let id = ObjectIdentifier::decode(fields)?;
            let info = if fields.is_finished() { None } else { Some(AnyRef::decode(fields)?) };
            statements.extend((id == PSD2_STATEMENT).then_some(info));
            Ok(())
        })
    })?;
    match statements.as_slice() {
        [] => Some(Vec::new()),
        [Some(info)] => roles_of_statement(*info),
        _ => None,
    }
}

/// `PSD2QcType`: the roles, then the name and the id of the competent authority.
fn roles_of_statement(info: AnyRef<'_>) -> Option<Vec<Psd2Role>> {
    let list = info.sequence(|fields| {
        let roles = AnyRef::decode(fields)?;
        let _authority_name = Utf8StringRef::decode(fields)?;
        let _authority_id = Utf8StringRef::decode(fields)?;
        Ok::<_, der::Error>(roles)
    });
    let mut roles = Vec::new();
    let mut is_sound = true;
    each_in_sequence(list, |role| {
        let (oid, name) = role.sequence(|fields| {
            Ok::<_, der::Error>((ObjectIdentifier::decode(fields)?, Utf8StringRef::decode(fields)?))
        })?;
        // A role that PSD2 does not have grants nothing here. One whose name is another's, or that is listed twice, is wrong.
        if let Some(known) = Psd2Role::ALL.into_iter().find(|known| known.oid() == oid) {
            is_sound &= known.name() == name.as_str() && !roles.contains(&known);
            roles.push(known);
        }
        Ok(())
    })?;
    is_sound.then_some(roles)
}

/// Reads a SEQUENCE OF to its end; `None` where it is none, or `read` cannot read an element.
fn each_in_sequence<'a>(
    list: der::Result<AnyRef<'a>>,
    mut read: impl FnMut(AnyRef<'a>) -> der::Result<()>,
) -> Option<()> {
    let read_all = |elements: &mut SliceReader<'a>| {
        while !elements.is_finished() {
            read(AnyRef::decode(elements)?)?;
        }
        Ok::<_, der::Error>(())
    };
    list.and_then(|list| list.sequence(read_all)).ok()
}
