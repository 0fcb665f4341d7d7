//! Finds the fields of a certificate (RFC 5280 section 4.1). Other fields are skipped, because Envoy's TLS layer has read and verified the
//! certificate before.

use der::asn1::{AnyRef, GeneralizedTime, ObjectIdentifier, OctetStringRef, UtcTime};
use der::{Decode, Reader, SliceReader, Tag, TagNumber, Tagged};

/// The fields of a certificate that are used here.
pub(super) struct Fields<'a> {
    /// A `Name`.
    pub(super) issuer: AnyRef<'a>,
    /// A `Name`.
    pub(super) subject: AnyRef<'a>,
    /// A `SubjectPublicKeyInfo`.
    pub(super) public_key: AnyRef<'a>,
    /// Start of validity, in Unix seconds.
    pub(super) not_before: u64,
    /// End of validity, in Unix seconds.
    pub(super) not_after: u64,
    /// Id and value of each extension whose id can be read.
    extensions: Vec<(ObjectIdentifier, &'a [u8])>,
}

impl<'a> Fields<'a> {
    /// Reads one DER certificate. `None` if it is malformed or something follows it.
    pub(super) fn read(der: &'a [u8]) -> Option<Self> {
        let certificate = AnyRef::from_der(der).ok()?;
        let [tbs_certificate, _algorithm, _signature] = *elements(certificate, Tag::Sequence)? else { return None };
        let fields = elements(tbs_certificate, Tag::Sequence)?;
        let fields = match fields.as_slice() {
            [version, rest @ ..] if version.tag() == tagged(0) => rest,
            all => all,
        };
        let [serial_number, _algorithm, issuer, validity, subject, public_key, rest @ ..] = fields else {
            return None;
        };
        let [not_before, not_after] = *elements(*validity, Tag::Sequence)? else { return None };
        let extensions = rest.iter().find(|field| field.tag() == tagged(3));
        (serial_number.tag() == Tag::Integer).then_some(())?;
        Some(Self {
            issuer: *issuer,
            subject: *subject,
            public_key: *public_key,
            not_before: unix_seconds(not_before)?,
            not_after: unix_seconds(not_after)?,
            extensions: extensions.map_or(Some(Vec::new()), |extensions| read_extensions(extensions.value()))?,
        })
    }

    /// The value of the extension with this id. `None` if it is absent, or if it is repeated, against RFC 5280 section 4.2.
    pub(super) fn extension_value(&self, id: ObjectIdentifier) -> Option<&'a [u8]> {
        let mut values = self.extensions.iter().filter(|(known, _)| *known == id).map(|(_, value)| *value);
        values.next().filter(|_| values.next().is_none())
    }

    /// Whether the certificate has an extension with this id, once or several times.
    pub(super) fn has_extension(&self, id: ObjectIdentifier) -> bool {
        self.extensions.iter().any(|(known, _)| *known == id)
    }
}

/// The elements of a SEQUENCE or SET, in their order. `None` if it has another tag or cannot be read to its end.
pub(super) fn elements(list: AnyRef<'_>, tag: Tag) -> Option<Vec<AnyRef<'_>>> {
    let mut reader = SliceReader::new(list.value()).ok().filter(|_| list.tag() == tag)?;
    let mut elements = Vec::new();
    while !reader.is_finished() {
        elements.push(AnyRef::decode(&mut reader).ok()?);
    }
    Some(elements)
}

/// Reads `Extensions`. Each has an id, a flag that says whether it is critical, and a value. An extension is left out if its id is larger
/// than the crate `der` can hold, because no such extension is used.
fn read_extensions(der: &[u8]) -> Option<Vec<(ObjectIdentifier, &[u8])>> {
    let mut extensions = Vec::new();
    for extension in elements(AnyRef::from_der(der).ok()?, Tag::Sequence)? {
        let fields = elements(extension, Tag::Sequence)?;
        let (id, value) = match fields.as_slice() {
            [id, value] => (id, value),
            [id, critical, value] if critical.tag() == Tag::Boolean => (id, value),
            _ => return None,
        };
        let value = value.decode_as::<&OctetStringRef>().ok()?.as_bytes();
        (id.tag() == Tag::ObjectIdentifier).then_some(())?;
        extensions.extend(id.decode_as().ok().map(|id| (id, value)));
    }
    Some(extensions)
}

fn unix_seconds(time: AnyRef<'_>) -> Option<u64> {
    let since_1970 = match time.tag() {
        Tag::UtcTime => time.decode_as::<UtcTime>().ok()?.to_unix_duration(),
        _ => time.decode_as::<GeneralizedTime>().ok()?.to_unix_duration(),
    };
    Some(since_1970.as_secs())
}

fn tagged(number: u32) -> Tag {
    Tag::ContextSpecific { constructed: true, number: TagNumber(number) }
}
