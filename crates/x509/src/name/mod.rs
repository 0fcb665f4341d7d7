//! Distinguished names (X.501): read from certificates and from text (RFC 4514), compared by RFC 4517.
//!
//! One certificate's subject is printed in a different way by nearly every tool (DN-06), so names are never compared as
//! text: both sides are parsed, and [`DistinguishedName::matches`] compares what they say.

mod attribute;
mod parse;
mod value;

#[cfg(test)]
pub(crate) mod tests;

use std::fmt;

use der::Tag;
use der::asn1::AnyRef;

use super::fields::elements;

pub use attribute::Attribute;
pub use parse::NameError;
use value::{Prepared, Value};

/// A distinguished name: relative distinguished names (RDNs), each a set of attributes with their values.
///
/// There is deliberately no `PartialEq`: two names that mean the same can differ in every octet. Use
/// [`matches`](Self::matches).
#[derive(Debug, Clone)]
pub struct DistinguishedName {
    /// In the certificate's order, most significant (usually the country) first: the reverse of RFC 4514's text.
    rdns: Vec<Rdn>,
}

#[derive(Debug, Clone)]
struct Rdn {
    attributes: Vec<AttributeValue>,
}

#[derive(Debug, Clone)]
struct AttributeValue {
    attribute: Attribute,
    value: Value,
}

impl DistinguishedName {
    /// Reads a name's text form: RFC 4514, and what tools print instead (DN-01, DN-02, DN-04).
    ///
    /// Beyond RFC 4514 these are understood: `;` as separator and spaces around separators (RFC 2253), values in quotes
    /// (RFC 1779), the prefix `OID.` (Java), long names (`commonName`) and short ones that LDAP does not register (`E`,
    /// `S`, `GN`, `jurisdictionC`, …), all in any letter case, and plain text for an attribute named by its OID.
    ///
    /// At most 4096 octets. An empty text is an error: it names nobody.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        parse::distinguished_name(text)
    }

    /// Whether both names are the same by distinguishedNameMatch (DN-03, RFC 4517 section 4.2.15).
    ///
    /// They have as many RDNs, in the same order, and each pair of RDNs holds the same set of attribute values. Text is
    /// compared by caseIgnoreMatch whatever its ASN.1 string type; other values by their DER octets.
    ///
    /// One attribute is exempt from the order (DN-06): an RDN that holds nothing but `organizationIdentifier` may stand
    /// anywhere. Go prints it last and Revolut's guide prints it first, wherever the certificate has it, and TPPs
    /// register what they see there. It still has to be there, with the same value.
    ///
    /// A name without RDNs matches nothing, not even another such name.
    pub fn matches(&self, other: &Self) -> bool {
        match (Comparable::of(self), Comparable::of(other)) {
            (Some(own), Some(others)) => own == others,
            _ => false,
        }
    }

    /// Whether both names match in these attributes, whatever else they hold; in all of them where none is given. A name without any of
    /// them matches nothing.
    pub fn matches_in(&self, other: &Self, attributes: &[Attribute]) -> bool {
        if attributes.is_empty() {
            return self.matches(other);
        }
        self.only(attributes).matches(&other.only(attributes))
    }

    fn only(&self, attributes: &[Attribute]) -> Self {
        let kept = |rdn: &Rdn| {
            let kept: Vec<_> =
                rdn.attributes.iter().filter(|one| attributes.contains(&one.attribute)).cloned().collect();
            (!kept.is_empty()).then_some(Rdn { attributes: kept })
        };
        Self { rdns: self.rdns.iter().filter_map(kept).collect() }
    }

    /// The text values of every occurrence of `attribute`, as they are spelled, in the certificate's order (most
    /// significant RDN first). A value that is not text is left out.
    pub fn values(&self, attribute: &Attribute) -> Vec<&str> {
        let all = self.rdns.iter().flat_map(|rdn| &rdn.attributes);
        all.filter(|one| one.attribute == *attribute).filter_map(|one| one.value.text()).collect()
    }

    /// The name as a certificate holds it: a `RDNSequence` (RFC 5280 section 4.1.2.4); `None` where it is none.
    pub(super) fn from_asn1(name: AnyRef<'_>) -> Option<Self> {
        let attribute_value = |one| {
            let [attribute, value] = *elements(one, Tag::Sequence)? else { return None };
            let attribute = Attribute::from_oid(attribute.decode_as().ok()?);
            Some(AttributeValue { attribute, value: Value::from_asn1(value).ok()? })
        };
        let rdn = |rdn| {
            let attributes = elements(rdn, Tag::Set)?.into_iter().map(attribute_value).collect::<Option<_>>()?;
            Some(Rdn { attributes })
        };
        Some(Self { rdns: elements(name, Tag::Sequence)?.into_iter().map(rdn).collect::<Option<_>>()? })
    }
}

/// RFC 4514 text, fit for a log line: control characters are escaped. It parses back to a name that matches.
///
/// Text is printed as text even where the attribute has no name, only an OID.
impl fmt::Display for DistinguishedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (rdn_index, rdn) in self.rdns.iter().rev().enumerate() {
            f.write_str(if rdn_index == 0 { "" } else { "," })?;
            for (index, AttributeValue { attribute, value }) in rdn.attributes.iter().enumerate() {
                f.write_str(if index == 0 { "" } else { "+" })?;
                write!(f, "{attribute}={value}")?;
            }
        }
        Ok(())
    }
}

/// A name brought into the form in which equal names are equal.
#[derive(PartialEq)]
struct Comparable {
    /// The values of RDNs that hold only an `organizationIdentifier`: their place says nothing.
    organization_identifiers: Sorted,
    /// All other RDNs in order; each is a set.
    rdns: Vec<Sorted>,
}

/// Attributes in an order of their own. There are a few at most: the library's sorting would be 4 KB of the module.
#[derive(Default, PartialEq)]
struct Sorted(Vec<(Attribute, Prepared)>);

impl Sorted {
    fn put(&mut self, attribute: (Attribute, Prepared)) {
        let place = self.0.partition_point(|known| *known < attribute);
        self.0.insert(place, attribute);
    }
}

impl Comparable {
    /// `None` where the name is empty or holds a character that RFC 4518 section 2.4 prohibits: nothing equals it.
    fn of(name: &DistinguishedName) -> Option<Self> {
        if name.rdns.is_empty() {
            return None;
        }
        let mut comparable = Self { organization_identifiers: Sorted::default(), rdns: Vec::new() };
        for rdn in &name.rdns {
            match rdn.attributes.as_slice() {
                [only] if only.attribute == Attribute::OrganizationIdentifier => {
                    comparable.organization_identifiers.put((only.attribute, only.value.prepare()?));
                }
                several => {
                    let mut rdn = Sorted::default();
                    for one in several {
                        rdn.put((one.attribute, one.value.prepare()?));
                    }
                    comparable.rdns.push(rdn);
                }
            }
        }
        Some(comparable)
    }
}
