//! The roles of a payment service provider in its certificate (ETSI TS 119 495 section 5.1).

use der::asn1::{AnyRef, ObjectIdentifier, Utf8StringRef};
use der::{Decode, Tag};

use super::fields::elements;

/// `id-pe-qcStatements` (RFC 3739 section 3.2.6).
pub(super) const QC_STATEMENTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.3");

/// `etsi-psd2-qcStatement`.
const PSD2_STATEMENT: ObjectIdentifier = ObjectIdentifier::new_unwrap("0.4.0.19495.2");

/// A role that the competent authority has granted to a payment service provider under PSD2.
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

    /// The name of the role in the standard and in certificates.
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

/// The roles in the value of a QCStatements extension, each once, in its order. Without a PSD2 statement the list is empty.
///
/// `None` if the extension or its PSD2 statement is malformed, or if there are two such statements. Such an extension grants no role.
pub(super) fn roles(qc_statements: &[u8]) -> Option<Vec<Psd2Role>> {
    let mut found = None;
    for statement in elements(AnyRef::from_der(qc_statements).ok()?, Tag::Sequence)? {
        let statement = elements(statement, Tag::Sequence)?;
        let [id, info @ ..] = statement.as_slice() else { return None };
        if id.decode_as::<ObjectIdentifier>().ok()? == PSD2_STATEMENT {
            let [info] = info else { return None };
            found = if found.is_none() { Some(roles_of_statement(*info)?) } else { return None };
        }
    }
    Some(found.unwrap_or_default())
}

/// Reads `PSD2QcType`: the roles, then the name and the id of the competent authority. Only the roles are used.
fn roles_of_statement(info: AnyRef<'_>) -> Option<Vec<Psd2Role>> {
    let [list, authority_name, authority_id] = *elements(info, Tag::Sequence)? else { return None };
    for text in [authority_name, authority_id] {
        text.decode_as::<Utf8StringRef<'_>>().ok()?;
    }
    let mut roles = Vec::new();
    for role in elements(list, Tag::Sequence)? {
        let [oid, name] = *elements(role, Tag::Sequence)? else { return None };
        let (oid, name) = (oid.decode_as::<ObjectIdentifier>().ok()?, name.decode_as::<Utf8StringRef<'_>>().ok()?);
        // A role that PSD2 does not define grants nothing here. Some issuers name a role in their own words: then its id decides. A role
        // with another role's name, or a repeated role, is an error.
        if let Some(known) = Psd2Role::ALL.into_iter().find(|known| known.oid() == oid) {
            let named = Psd2Role::ALL.into_iter().find(|role| role.name().eq_ignore_ascii_case(name.as_str().trim()));
            if named.is_some_and(|named| named != known) || roles.contains(&known) {
                return None;
            }
            roles.push(known);
        }
    }
    Some(roles)
}
