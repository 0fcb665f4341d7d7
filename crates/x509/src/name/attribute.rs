//! The attribute types and their names in different tools.

use std::fmt;

use dcr_json::schema::Definitions;
use dcr_json::{FromJson, ReadError, Value, string};
use der::asn1::ObjectIdentifier;

/// Writes [`Attribute`] and the table of all names from one list. Each row has the last arc of an object identifier and the names of the
/// type, of which the first is printed. The rows behind `rare` have no variant of their own.
macro_rules! attributes {
    ($($family:literal {
        $($(#[$doc:meta])+ $named:ident $arc:literal $names:literal,)*
        rare { $($rare:literal $rare_names:literal,)* }
    })+) => {
        /// An attribute type of a distinguished name.
        ///
        /// The variants cover the types of RFC 4514 section 3 and those in certificates of Open Banking, eIDAS and web directories. Any
        /// other type has an object identifier only.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Attribute {
            $($($(#[$doc])+ $named,)*)+
            /// Any other type.
            Other(ObjectIdentifier),
        }

        /// A variant of [`Attribute`] in one octet. It keeps the table small.
        #[derive(Clone, Copy)]
        enum Named {
            $($($named,)*)+
        }

        impl From<Named> for Attribute {
            fn from(named: Named) -> Self {
                match named {
                    $($(Named::$named => Self::$named,)*)+
                }
            }
        }

        const FAMILIES: &[Family] = &[$(Family {
            prefix: $family,
            types: &[
                $(Known { arc: $arc, named: Some(Named::$named), names: $names },)*
                $(Known { arc: $rare, named: None, names: $rare_names },)*
            ],
        },)+];
    };
}

/// Types whose object identifiers differ in the last arc only.
struct Family {
    /// The DER of the arcs before the last one.
    prefix: &'static [u8],
    types: &'static [Known],
}

struct Known {
    /// The last arc. It is below 128, so it is one octet of DER.
    arc: u8,
    named: Option<Named>,
    /// Names with one space between them.
    names: &'static str,
}

// Names of RFC 4514 and RFC 4519 come first, then those of OpenSSL, Java, BoringSSL, Bouncy Castle, GnuTLS and Windows. Every type of text
// that OpenSSL prints by name is here.
//
// `uniqueIdentifier` is missing on purpose: it is 2.5.4.45 in some tools and 0.9.2342.19200300.100.1.44 in others.
attributes! {
    // 2.5.4
    b"\x55\x04" {
        /// `CN`, 2.5.4.3.
        CommonName 3 "CN commonName",
        /// `surname`, 2.5.4.4. OpenSSL and LDAP call it `SN`.
        Surname 4 "SN surname",
        /// `serialNumber` of the holder, 2.5.4.5.
        SerialNumber 5 "serialNumber",
        /// `C`, 2.5.4.6.
        Country 6 "C countryName",
        /// `L`, 2.5.4.7.
        Locality 7 "L localityName",
        /// `ST`, 2.5.4.8. Windows calls it `S`.
        StateOrProvince 8 "ST stateOrProvinceName S",
        /// `STREET`, 2.5.4.9.
        Street 9 "STREET streetAddress",
        /// `O`, 2.5.4.10.
        Organization 10 "O organizationName",
        /// `OU`, 2.5.4.11.
        OrganizationalUnit 11 "OU organizationalUnitName",
        /// `title`, 2.5.4.12. Java calls it `T`.
        Title 12 "title T",
        /// `description`, 2.5.4.13.
        Description 13 "description",
        /// `businessCategory`, 2.5.4.15.
        BusinessCategory 15 "businessCategory",
        /// `postalCode`, 2.5.4.17.
        PostalCode 17 "postalCode",
        /// `telephoneNumber`, 2.5.4.20.
        TelephoneNumber 20 "telephoneNumber",
        /// `name`, 2.5.4.41.
        Name 41 "name",
        /// `givenName`, 2.5.4.42. OpenSSL calls it `GN`.
        GivenName 42 "givenName GN G",
        /// `initials`, 2.5.4.43.
        Initials 43 "initials",
        /// `generationQualifier`, 2.5.4.44.
        GenerationQualifier 44 "generationQualifier generation",
        /// `dnQualifier`, 2.5.4.46.
        DnQualifier 46 "dnQualifier DNQ DN",
        /// `pseudonym`, 2.5.4.65.
        Pseudonym 65 "pseudonym",
        /// `organizationIdentifier`, 2.5.4.97 (ETSI EN 319 412-1 section 5.1.4).
        OrganizationIdentifier 97 "organizationIdentifier",
        rare {
            16 "postalAddress",
            18 "postOfficeBox",
            19 "physicalDeliveryOfficeName",
            21 "telexNumber",
            22 "teletexTerminalIdentifier",
            23 "facsimileTelephoneNumber",
            24 "x121Address",
            25 "internationaliSDNNumber",
            26 "registeredAddress",
            27 "destinationIndicator",
            45 "x500UniqueIdentifier",
            51 "houseIdentifier",
            54 "dmdName",
            72 "role",
            98 "c3 countryCode3c",
            99 "n3 countryCode3n",
            100 "dnsName",
        }
    }
    // 0.9.2342.19200300.100.1
    b"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01" {
        /// `UID`, 0.9.2342.19200300.100.1.1.
        UserId 1 "UID userId",
        /// `mail`, 0.9.2342.19200300.100.1.3.
        Mail 3 "mail rfc822Mailbox",
        /// `DC`, 0.9.2342.19200300.100.1.25.
        DomainComponent 25 "DC domainComponent",
        rare {
            4 "info",
            6 "roomNumber",
            8 "userClass",
            9 "host",
            20 "homeTelephoneNumber homePhone",
            37 "associatedDomain",
            39 "homePostalAddress",
            40 "personalTitle",
            41 "mobileTelephoneNumber mobile",
            42 "pagerTelephoneNumber pager",
            43 "friendlyCountryName co",
            45 "organizationalStatus",
            48 "buildingName",
        }
    }
    // 1.2.840.113549.1.9
    b"\x2a\x86\x48\x86\xf7\x0d\x01\x09" {
        /// `emailAddress` of PKCS #9, 1.2.840.113549.1.9.1. Windows calls it `E`.
        EmailAddress 1 "emailAddress E email",
        rare {
            2 "unstructuredName",
            8 "unstructuredAddress",
        }
    }
    // 1.3.6.1.4.1.311.60.2.1
    b"\x2b\x06\x01\x04\x01\x82\x37\x3c\x02\x01" {
        /// `jurisdictionL`, 1.3.6.1.4.1.311.60.2.1.1 (CA/Browser Forum EV guidelines).
        JurisdictionLocality 1 "jurisdictionL jurisdictionLocalityName jurisdictionOfIncorporationLocalityName",
        /// `jurisdictionST`, 1.3.6.1.4.1.311.60.2.1.2.
        JurisdictionStateOrProvince 2
            "jurisdictionST jurisdictionStateOrProvinceName jurisdictionOfIncorporationStateOrProvinceName",
        /// `jurisdictionC`, 1.3.6.1.4.1.311.60.2.1.3.
        JurisdictionCountry 3 "jurisdictionC jurisdictionCountryName jurisdictionOfIncorporationCountryName",
        rare {}
    }
    // 1.3.6.1.5.5.7.9, of RFC 3739 section 3.2.2
    b"\x2b\x06\x01\x05\x05\x07\x09" {
        rare {
            1 "dateOfBirth id-pda-dateOfBirth",
            2 "placeOfBirth id-pda-placeOfBirth",
            3 "gender id-pda-gender",
            4 "countryOfCitizenship id-pda-countryOfCitizenship",
            5 "countryOfResidence id-pda-countryOfResidence",
        }
    }
    // 1.2.643.100, of Russian authorities
    b"\x2a\x85\x03\x64" {
        rare {
            1 "OGRN",
            3 "SNILS",
            4 "INNLE",
            5 "OGRNIP",
        }
    }
    // 1.2.643.3.131.1
    b"\x2a\x85\x03\x03\x81\x03\x01" {
        rare {
            1 "INN",
        }
    }
}

impl Family {
    /// The type of `known`, which is one of this family.
    fn attribute(&self, known: &Known) -> Option<Attribute> {
        let oid = || ObjectIdentifier::from_bytes(&[self.prefix, &[known.arc]].concat()).ok();
        known.named.map(Attribute::from).or_else(|| oid().map(Attribute::Other))
    }
}

impl Attribute {
    /// The type with this object identifier.
    pub(super) fn from_oid(oid: ObjectIdentifier) -> Self {
        let known = oid.as_bytes().split_last().and_then(|(arc, prefix)| {
            let family = FAMILIES.iter().find(|family| family.prefix == prefix)?;
            family.types.iter().find(|known| known.arc == *arc)
        });
        known.and_then(|known| known.named).map_or(Self::Other(oid), Self::from)
    }

    /// The type with this name, in any letter case. `None` if the name is unknown.
    pub fn from_name(name: &str) -> Option<Self> {
        let named = |known: &&Known| known.names.split(' ').any(|one| one.eq_ignore_ascii_case(name));
        FAMILIES.iter().find_map(|family| family.attribute(family.types.iter().find(named)?))
    }
}

impl FromJson for Attribute {
    fn from_json(value: &Value) -> Result<Self, ReadError> {
        Self::from_name(string(value, "a string")?)
            .ok_or_else(|| ReadError::new("name an attribute such as CN, OU, UID or organizationIdentifier"))
    }

    fn schema(definitions: &mut Definitions) -> Value {
        String::schema(definitions)
    }
}

/// Prints the name that RFC 4514 or LDAP registers. A type without a variant of its own is printed as its dotted object identifier.
impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Other(oid) = self {
            return write!(f, "{oid}");
        }
        let mut types = FAMILIES.iter().flat_map(|family| family.types);
        let known = types.find(|known| known.named.is_some_and(|named| Self::from(named) == *self));
        f.write_str(known.and_then(|known| known.names.split(' ').next()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_and_oid_stands_for_one_attribute() {
        let mut names = Vec::new();
        for family in FAMILIES {
            for row in family.types {
                let oid = ObjectIdentifier::from_bytes(&[family.prefix, &[row.arc]].concat()).unwrap();
                let attribute = Attribute::from_oid(oid);
                match row.named {
                    Some(named) => {
                        assert_eq!(attribute, Attribute::from(named));
                        assert_eq!(Some(attribute.to_string().as_str()), row.names.split(' ').next());
                    }
                    None => {
                        assert_eq!(attribute, Attribute::Other(oid));
                        assert_eq!(attribute.to_string(), oid.to_string());
                    }
                }
                for name in row.names.split(' ') {
                    assert_eq!(Attribute::from_name(name), Some(attribute), "{name}");
                    assert_eq!(Attribute::from_name(&name.to_uppercase()), Some(attribute), "{name}");
                    names.push(name.to_lowercase());
                }
            }
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "each name stands in one row");
        assert!(!names.contains(&String::new()));
    }

    #[test]
    fn an_unknown_oid_is_its_own_attribute() {
        let oid = ObjectIdentifier::new_unwrap("1.2.3.4");
        assert_eq!(Attribute::from_oid(oid), Attribute::Other(oid));
        assert_eq!(Attribute::Other(oid).to_string(), "1.2.3.4");
        assert_eq!(Attribute::from_name("1.2.3.4"), None);
    }
}
