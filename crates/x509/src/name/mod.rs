//! Distinguished names (X.501), read from certificates and from text (RFC 4514), and compared by RFC 4517.
//!
//! Nearly every tool prints the subject of one certificate in a different way (DN-06), so names are never compared as text. Both sides are
//! parsed, and [`DistinguishedName::matches`] compares their values.

mod attribute;
mod decomposition;
mod parse;
mod value;

#[cfg(test)]
pub(crate) mod tests;

use std::fmt;

use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode, Reader, SliceReader, Tag, Tagged};

use super::fields::elements;

pub use attribute::Attribute;
pub use parse::NameError;
use value::{Prepared, Value};

/// A distinguished name: a list of relative distinguished names (RDNs), each with a set of attributes and their values.
///
/// It has no `PartialEq` on purpose: two names can have the same meaning and differ in every octet. Use [`matches`](Self::matches). The
/// default is the empty name, which matches nothing.
#[derive(Debug, Clone, Default)]
pub struct DistinguishedName {
    /// In the certificate's order: the most significant RDN (usually the country) comes first. The text of RFC 4514 has the reverse order.
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
    /// Reads the text form of a name: RFC 4514, and the forms that tools print instead (DN-01, DN-02, DN-04). The text has at most 4096
    /// octets.
    ///
    /// These forms beyond RFC 4514 are read: `;` as separator and spaces, tabs, line breaks and no-break spaces around separators
    /// (RFC 2253 knows the space only), values in quotes (RFC 1779), the prefix `OID.` (Java), long names (`commonName`) and short names
    /// that LDAP does not register (`E`, `S`, `GN`, `jurisdictionC`, …), all in any letter case, plain text as the value of an attribute
    /// that is named by its OID, and a `subject=` in front of the name (OpenSSL).
    ///
    /// # Errors
    /// The fault, as a [`NameError`]. An empty text is an error, because it names no subject.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        parse::distinguished_name(text)
    }

    /// Whether both names are the same by distinguishedNameMatch (DN-03, RFC 4517 section 4.2.15).
    ///
    /// They must have equally many RDNs, in the same order, and each pair of RDNs must hold the same set of attribute values. Text is
    /// compared by caseIgnoreMatch. Its ASN.1 string type does not matter, nor whether letters with accents are one character or two. Other values are compared by their DER octets.
    ///
    /// One attribute may be anywhere (DN-06): an RDN with only an `organizationIdentifier`. Go prints it last and Revolut's guide prints
    /// it first, whatever its place in the certificate, and TPPs register the text that they see there. It must still be present with the
    /// same value.
    ///
    /// A name without RDNs matches nothing, not even another such name.
    pub fn matches(&self, other: &Self) -> bool {
        match (Comparable::of(self), Comparable::of(other)) {
            (Some(own), Some(others)) => own == others,
            _ => false,
        }
    }

    /// Whether both names match in these attributes, regardless of their other attributes. An empty `attributes` means all attributes. A
    /// name without any of them matches nothing.
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

    /// The text values of every occurrence of `attribute`, unchanged, in the certificate's order (most significant RDN first). Values that
    /// are not text, or cannot be decoded, are left out. [`single_value`](Self::single_value) is for a value that must be the only one.
    pub fn values(&self, attribute: &Attribute) -> Vec<&str> {
        self.occurrences(attribute).filter_map(Value::text).collect()
    }

    /// The text of the only occurrence of `attribute`, unchanged. `None` if the name lacks the attribute, if it has a second one, readable
    /// or not, or if the value is not text.
    pub fn single_value(&self, attribute: &Attribute) -> Option<&str> {
        let mut occurrences = self.occurrences(attribute);
        let only = occurrences.next().filter(|_| occurrences.next().is_none())?;
        only.text()
    }

    /// Whether the name has `attribute` with any value, readable or not.
    pub fn contains(&self, attribute: &Attribute) -> bool {
        self.occurrences(attribute).next().is_some()
    }

    fn occurrences(&self, attribute: &Attribute) -> impl Iterator<Item = &Value> {
        let all = self.rdns.iter().flat_map(|rdn| &rdn.attributes);
        all.filter(move |one| one.attribute == *attribute).map(|one| &one.value)
    }

    /// The type of the first attribute in the text of RFC 4514, which starts with the last RDN of the certificate. `None` if the name is
    /// empty.
    pub fn first_attribute(&self) -> Option<Attribute> {
        Some(self.rdns.last()?.attributes.first()?.attribute)
    }

    /// The name in printable ASCII without backslashes and quotation marks. It is RFC 4514 text, and a value that needs other characters is
    /// in hexadecimal form. It parses back to a name that matches.
    pub fn to_plain_ascii(&self) -> String {
        self.written(Value::to_plain_ascii)
    }

    fn written<V: fmt::Display>(&self, write_value: impl Fn(&Value) -> V) -> String {
        let rdn = |rdn: &Rdn| {
            let one =
                |AttributeValue { attribute, value }: &AttributeValue| format!("{attribute}={}", write_value(value));
            rdn.attributes.iter().map(one).collect::<Vec<_>>().join("+")
        };
        self.rdns.iter().rev().map(rdn).collect::<Vec<_>>().join(",")
    }

    /// Reads the name in a certificate: a `RDNSequence` (RFC 5280 section 4.1.2.4). `None` if it is malformed. A value of an unknown ASN.1
    /// type, and text that cannot be decoded, are no faults: they are compared by their DER octets.
    pub(super) fn from_asn1(name: AnyRef<'_>) -> Option<Self> {
        let attribute_value = |one: AnyRef<'_>| {
            let mut fields = SliceReader::new(one.value()).ok().filter(|_| one.tag() == Tag::Sequence)?;
            let oid = ObjectIdentifier::decode(&mut fields).ok().filter(|oid| !is_padded(oid.as_bytes()))?;
            let attribute = Attribute::from_oid(oid);
            let value = fields.read_slice(fields.remaining_len()).ok()?;
            Some(AttributeValue { attribute, value: Value::from_der(value)? })
        };
        let rdn = |rdn| {
            let attributes = elements(rdn, Tag::Set)?.into_iter().map(attribute_value).collect::<Option<_>>()?;
            Some(Rdn { attributes })
        };
        Some(Self { rdns: elements(name, Tag::Sequence)?.into_iter().map(rdn).collect::<Option<_>>()? })
    }
}

/// Whether an arc of an object identifier has leading zeros, which BER forbids (X.690 section 8.19.2). The library reads two such forms as
/// two identifiers, and other libraries as one.
fn is_padded(oid: &[u8]) -> bool {
    std::iter::once(&0).chain(oid).zip(oid).any(|(last, first)| *last < 0x80 && *first == 0x80)
}

/// Prints RFC 4514 text. It is safe in a log line, because control characters are escaped. It parses back to a name that matches.
///
/// Text is printed as text even if the attribute has no name, only an OID.
impl fmt::Display for DistinguishedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written(Value::to_string))
    }
}

/// A name in the form in which equal names are equal.
#[derive(PartialEq)]
struct Comparable {
    /// The values of RDNs that hold only an `organizationIdentifier`. Their place has no meaning.
    organization_identifiers: Sorted,
    /// All other RDNs in their order. Each is a set.
    rdns: Vec<Sorted>,
}

/// Attributes in a fixed order. The list is short, and the library's sort would add 4 KB to the module.
#[derive(Default, PartialEq)]
struct Sorted(Vec<(Attribute, Prepared)>);

impl Sorted {
    fn put(&mut self, attribute: (Attribute, Prepared)) {
        let place = self.0.partition_point(|known| *known < attribute);
        self.0.insert(place, attribute);
    }
}

impl Comparable {
    /// `None` if the name is empty or holds a character that RFC 4518 section 2.4 prohibits. Such a name matches nothing.
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
