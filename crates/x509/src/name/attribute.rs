//! The attribute types and their names in different tools.

use std::fmt;

use dcr_json::{FromJson, ReadError, Value, string};
use der::asn1::ObjectIdentifier;

/// An attribute type of a distinguished name.
///
/// The variants cover the types of RFC 4514 section 3 and those in certificates of Open Banking, eIDAS and web directories. Any other type
/// has an object identifier only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attribute {
    /// `CN`, 2.5.4.3.
    CommonName,
    /// `surname`, 2.5.4.4. OpenSSL and LDAP call it `SN`.
    Surname,
    /// `serialNumber` of the holder, 2.5.4.5.
    SerialNumber,
    /// `C`, 2.5.4.6.
    Country,
    /// `L`, 2.5.4.7.
    Locality,
    /// `ST`, 2.5.4.8. Windows calls it `S`.
    StateOrProvince,
    /// `STREET`, 2.5.4.9.
    Street,
    /// `O`, 2.5.4.10.
    Organization,
    /// `OU`, 2.5.4.11.
    OrganizationalUnit,
    /// `title`, 2.5.4.12. Java calls it `T`.
    Title,
    /// `description`, 2.5.4.13.
    Description,
    /// `businessCategory`, 2.5.4.15.
    BusinessCategory,
    /// `postalCode`, 2.5.4.17.
    PostalCode,
    /// `telephoneNumber`, 2.5.4.20.
    TelephoneNumber,
    /// `name`, 2.5.4.41.
    Name,
    /// `givenName`, 2.5.4.42. OpenSSL calls it `GN`.
    GivenName,
    /// `initials`, 2.5.4.43.
    Initials,
    /// `generationQualifier`, 2.5.4.44.
    GenerationQualifier,
    /// `dnQualifier`, 2.5.4.46.
    DnQualifier,
    /// `pseudonym`, 2.5.4.65.
    Pseudonym,
    /// `organizationIdentifier`, 2.5.4.97 (ETSI EN 319 412-1 section 5.1.4).
    OrganizationIdentifier,
    /// `UID`, 0.9.2342.19200300.100.1.1.
    UserId,
    /// `mail`, 0.9.2342.19200300.100.1.3.
    Mail,
    /// `DC`, 0.9.2342.19200300.100.1.25.
    DomainComponent,
    /// `emailAddress` of PKCS #9, 1.2.840.113549.1.9.1. Windows calls it `E`.
    EmailAddress,
    /// `jurisdictionL`, 1.3.6.1.4.1.311.60.2.1.1 (CA/Browser Forum EV guidelines).
    JurisdictionLocality,
    /// `jurisdictionST`, 1.3.6.1.4.1.311.60.2.1.2.
    JurisdictionStateOrProvince,
    /// `jurisdictionC`, 1.3.6.1.4.1.311.60.2.1.3.
    JurisdictionCountry,
    /// Any other type.
    Other(ObjectIdentifier),
}

impl Attribute {
    /// The type with this object identifier.
    pub(super) fn from_oid(oid: ObjectIdentifier) -> Self {
        KNOWN.iter().find(|known| known.oid == oid).map_or(Self::Other(oid), |known| known.attribute)
    }

    /// The type with this name, in any letter case. `None` if the name is unknown.
    pub fn from_name(name: &str) -> Option<Self> {
        let named = |known: &&Known| known.names.iter().any(|one| one.eq_ignore_ascii_case(name));
        KNOWN.iter().find(named).map(|known| known.attribute)
    }
}

impl FromJson for Attribute {
    fn from_json(value: &Value) -> Result<Self, ReadError> {
        Self::from_name(string(value, "a string")?)
            .ok_or_else(|| ReadError::new("name an attribute such as CN, OU, UID or organizationIdentifier"))
    }
}

/// Prints the name that RFC 4514 or LDAP registers. A type without a name is printed as its dotted object identifier.
impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = KNOWN.iter().find(|known| known.attribute == *self);
        match (self, known.and_then(|known| known.names.first())) {
            (Self::Other(oid), _) => write!(f, "{oid}"),
            (_, Some(name)) => f.write_str(name),
            (named, None) => write!(f, "{named:?}"),
        }
    }
}

struct Known {
    attribute: Attribute,
    oid: ObjectIdentifier,
    /// The first name is printed.
    names: &'static [&'static str],
}

const fn known(attribute: Attribute, oid: &str, names: &'static [&'static str]) -> Known {
    Known { attribute, oid: ObjectIdentifier::new_unwrap(oid), names }
}

/// Names of RFC 4514 and RFC 4519 come first, then those of OpenSSL, Java, BoringSSL, Bouncy Castle and Windows.
const KNOWN: [Known; 28] = [
    known(Attribute::CommonName, "2.5.4.3", &["CN", "commonName"]),
    known(Attribute::Surname, "2.5.4.4", &["SN", "surname"]),
    known(Attribute::SerialNumber, "2.5.4.5", &["serialNumber"]),
    known(Attribute::Country, "2.5.4.6", &["C", "countryName"]),
    known(Attribute::Locality, "2.5.4.7", &["L", "localityName"]),
    known(Attribute::StateOrProvince, "2.5.4.8", &["ST", "stateOrProvinceName", "S"]),
    known(Attribute::Street, "2.5.4.9", &["STREET", "streetAddress"]),
    known(Attribute::Organization, "2.5.4.10", &["O", "organizationName"]),
    known(Attribute::OrganizationalUnit, "2.5.4.11", &["OU", "organizationalUnitName"]),
    known(Attribute::Title, "2.5.4.12", &["title", "T"]),
    known(Attribute::Description, "2.5.4.13", &["description"]),
    known(Attribute::BusinessCategory, "2.5.4.15", &["businessCategory"]),
    known(Attribute::PostalCode, "2.5.4.17", &["postalCode"]),
    known(Attribute::TelephoneNumber, "2.5.4.20", &["telephoneNumber"]),
    known(Attribute::Name, "2.5.4.41", &["name"]),
    known(Attribute::GivenName, "2.5.4.42", &["givenName", "GN", "G"]),
    known(Attribute::Initials, "2.5.4.43", &["initials"]),
    known(Attribute::GenerationQualifier, "2.5.4.44", &["generationQualifier", "generation"]),
    known(Attribute::DnQualifier, "2.5.4.46", &["dnQualifier", "DNQ", "DN"]),
    known(Attribute::Pseudonym, "2.5.4.65", &["pseudonym"]),
    known(Attribute::OrganizationIdentifier, "2.5.4.97", &["organizationIdentifier"]),
    known(Attribute::UserId, "0.9.2342.19200300.100.1.1", &["UID", "userId"]),
    known(Attribute::Mail, "0.9.2342.19200300.100.1.3", &["mail", "rfc822Mailbox"]),
    known(Attribute::DomainComponent, "0.9.2342.19200300.100.1.25", &["DC", "domainComponent"]),
    known(Attribute::EmailAddress, "1.2.840.113549.1.9.1", &["emailAddress", "E", "email"]),
    known(
        Attribute::JurisdictionLocality,
        "1.3.6.1.4.1.311.60.2.1.1",
        &["jurisdictionL", "jurisdictionLocalityName", "jurisdictionOfIncorporationLocalityName"],
    ),
    known(
        Attribute::JurisdictionStateOrProvince,
        "1.3.6.1.4.1.311.60.2.1.2",
        &["jurisdictionST", "jurisdictionStateOrProvinceName", "jurisdictionOfIncorporationStateOrProvinceName"],
    ),
    known(
        Attribute::JurisdictionCountry,
        "1.3.6.1.4.1.311.60.2.1.3",
        &["jurisdictionC", "jurisdictionCountryName", "jurisdictionOfIncorporationCountryName"],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_and_oid_stands_for_one_attribute() {
        for row in &KNOWN {
            assert_eq!(Attribute::from_oid(row.oid), row.attribute);
            assert_eq!(row.attribute.to_string(), row.names[0]);
            for name in row.names {
                assert_eq!(Attribute::from_name(name), Some(row.attribute), "{name}");
                assert_eq!(Attribute::from_name(&name.to_uppercase()), Some(row.attribute), "{name}");
            }
        }
    }

    #[test]
    fn an_unknown_oid_is_its_own_attribute() {
        let oid = ObjectIdentifier::new_unwrap("1.2.3.4");
        assert_eq!(Attribute::from_oid(oid), Attribute::Other(oid));
        assert_eq!(Attribute::Other(oid).to_string(), "1.2.3.4");
        assert_eq!(Attribute::from_name("1.2.3.4"), None);
    }
}
