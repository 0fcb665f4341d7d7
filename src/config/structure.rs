//! Reads a `google.protobuf.Struct` as JSON. Envoy makes a Struct of a plugin configuration that is written as YAML.
//!
//! It is only three messages of a stable format (<https://protobuf.dev/programming-guides/encoding/>, `struct.proto`). A protobuf library
//! would add ten times as much code to the module. The tests compare this reader with such a library.

use dcr_json::ByName;
use serde_json::{Map, Number, Value};

/// Reads a Struct. Objects and lists may be nested `max_depth` deep; the outermost one counts as 1.
///
/// # Errors
/// The fault, as a [`StructError`].
pub fn parse(bytes: &[u8], max_depth: usize) -> Result<Value, StructError> {
    structure(bytes, max_depth)
}

/// Why bytes are not an acceptable Struct.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StructError {
    /// The bytes are not a Struct.
    Malformed,
    /// A number is not finite. JSON has no such numbers.
    NotFinite,
    /// Objects and lists are nested deeper than the limit.
    TooDeep,
}

/// `map<string, Value> fields = 1`. If a name is repeated, the last member counts, as in every map of protobuf.
fn structure(message: &[u8], depth_left: usize) -> Result<Value, StructError> {
    let depth_left = depth_left.checked_sub(1).ok_or(StructError::TooDeep)?;
    let mut members = ByName::new();
    for field in Fields(message) {
        match field? {
            (1, Content::Bytes(bytes)) => {
                let (name, value) = member(bytes, depth_left)?;
                members.insert(name, value);
            }
            (1, _) => return Err(StructError::Malformed),
            _ => {}
        }
    }
    Ok(Value::Object(Map::from_iter(members)))
}

/// An entry of the map: `string key = 1; Value value = 2`. No writer repeats a field of it, and a reader would have to merge the two values,
/// so a repeated one is refused.
fn member(message: &[u8], depth_left: usize) -> Result<(String, Value), StructError> {
    let (mut name, mut member) = (None, None);
    for field in Fields(message) {
        let repeated = match field? {
            (1, Content::Bytes(bytes)) => name.replace(text(bytes)?).is_some(),
            (2, Content::Bytes(bytes)) => member.replace(value(bytes, depth_left)?).is_some(),
            (1 | 2, _) => true,
            _ => false,
        };
        if repeated {
            return Err(StructError::Malformed);
        }
    }
    Ok((name.unwrap_or_default(), member.unwrap_or_default()))
}

/// `Value` has one of six kinds. Two are refused, as a repeated field of [`member`] is.
fn value(message: &[u8], depth_left: usize) -> Result<Value, StructError> {
    let mut value = None;
    for field in Fields(message) {
        let kind = match field? {
            (1, Content::Varint(_)) => Value::Null,
            (2, Content::Fixed64(bits)) => number(f64::from_bits(bits))?,
            (3, Content::Bytes(bytes)) => Value::String(text(bytes)?),
            (4, Content::Varint(flag)) => Value::Bool(flag != 0),
            (5, Content::Bytes(bytes)) => structure(bytes, depth_left)?,
            (6, Content::Bytes(bytes)) => list(bytes, depth_left)?,
            (1..=6, _) => return Err(StructError::Malformed),
            _ => continue,
        };
        if value.replace(kind).is_some() {
            return Err(StructError::Malformed);
        }
    }
    Ok(value.unwrap_or_default())
}

/// `repeated Value values = 1`.
fn list(message: &[u8], depth_left: usize) -> Result<Value, StructError> {
    let depth_left = depth_left.checked_sub(1).ok_or(StructError::TooDeep)?;
    let mut values = Vec::new();
    for field in Fields(message) {
        match field? {
            (1, Content::Bytes(bytes)) => values.push(value(bytes, depth_left)?),
            (1, _) => return Err(StructError::Malformed),
            _ => {}
        }
    }
    Ok(Value::Array(values))
}

/// A Struct has only doubles. A whole number becomes an integer, as the operator wrote it.
fn number(double: f64) -> Result<Value, StructError> {
    let number = Number::from_f64(double).ok_or(StructError::NotFinite)?;
    let text = number.to_string();
    let whole = text.strip_suffix(".0").and_then(|whole| whole.parse::<i64>().ok());
    Ok(Value::Number(whole.map_or(number, Number::from)))
}

fn text(bytes: &[u8]) -> Result<String, StructError> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| StructError::Malformed)
}

/// The fields of a message, by their numbers. After a malformed field there are no more.
struct Fields<'a>(&'a [u8]);

/// The content of a field. The messages here have no groups and no 32-bit fields.
enum Content<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Content<'a>), StructError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field.ok_or(StructError::Malformed))
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(u64, Content<'a>)> {
        let tag = self.varint().filter(|tag| *tag <= u32::MAX.into())?;
        let content = match tag & 7 {
            0 => Content::Varint(self.varint()?),
            1 => Content::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            2 => {
                let length = self.varint()?;
                Content::Bytes(self.take(length.try_into().ok()?)?)
            }
            5 => {
                self.take(4)?;
                Content::Fixed32
            }
            _ => return None,
        };
        Some((tag >> 3, content)).filter(|(number, _)| *number != 0)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// Seven bits in each octet, the lowest first, in ten octets at most.
    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (octet, rest) = self.0.split_first()?;
            self.0 = rest;
            let bits = u64::from(octet & 0x7f);
            if bits << shift >> shift != bits {
                return None;
            }
            number |= bits << shift;
            if octet & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use dcr_test_support::{mutations, scaled};
    use prost::Message;
    use prost_types::value::Kind;
    use prost_types::{ListValue, Struct, Value as ProtoValue};
    use serde_json::json;

    use super::*;

    fn encode(value: &Value) -> ProtoValue {
        let kind = match value {
            Value::Null => Kind::NullValue(0),
            Value::Bool(flag) => Kind::BoolValue(*flag),
            Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap()),
            Value::String(text) => Kind::StringValue(text.clone()),
            Value::Array(values) => Kind::ListValue(ListValue { values: values.iter().map(encode).collect() }),
            Value::Object(members) => Kind::StructValue(encode_object(members)),
        };
        ProtoValue { kind: Some(kind) }
    }

    fn encode_object(members: &Map<String, Value>) -> Struct {
        Struct { fields: members.iter().map(|(name, member)| (name.clone(), encode(member))).collect() }
    }

    fn encoded(document: &Value) -> Vec<u8> {
        encode_object(document.as_object().unwrap()).encode_to_vec()
    }

    /// The same bytes, read by the library.
    fn decoded(value: &ProtoValue) -> Value {
        match &value.kind {
            None | Some(Kind::NullValue(_)) => Value::Null,
            Some(Kind::BoolValue(flag)) => json!(flag),
            Some(Kind::NumberValue(double)) => number(*double).unwrap_or(Value::Null),
            Some(Kind::StringValue(text)) => json!(text),
            Some(Kind::ListValue(list)) => list.values.iter().map(decoded).collect(),
            Some(Kind::StructValue(document)) => decoded_object(document),
        }
    }

    fn decoded_object(document: &Struct) -> Value {
        document.fields.iter().map(|(name, member)| (name.clone(), decoded(member))).collect()
    }

    fn sample() -> Value {
        json!({
            "profile": "uk-obie-3.3", "whole": 16, "fraction": 0.5, "negative": -3, "large": 1e300, "é": null,
            "yes": true, "no": false, "": "", "empty": {}, "none": [],
            "directories": [{ "issuer": "OpenBanking Ltd", "software_key_sets": [{ "host": "k" }, 1, [2, [3]]] }, "x"],
        })
    }

    #[test]
    fn a_struct_becomes_the_json_it_was_written_as() {
        assert_eq!(parse(&encoded(&sample()), 16), Ok(sample()));
        assert_eq!(parse(&[], 1), Ok(json!({})));
    }

    #[test]
    fn the_order_of_members_does_not_depend_on_the_message() {
        let (a, b) = (encoded(&json!({ "a": 1 })), encoded(&json!({ "b": 2 })));
        let (forwards, backwards) = ([a.clone(), b.clone()].concat(), [b, a].concat());
        assert_eq!(parse(&forwards, 2).unwrap().to_string(), parse(&backwards, 2).unwrap().to_string());
    }

    #[test]
    fn nesting_is_counted_from_one() {
        let nested = |depth: usize| {
            let inner =
                (1..depth).fold(json!(1), |value, i| if i % 2 == 0 { json!([value]) } else { json!({ "a": value }) });
            encoded(&json!({ "a": inner }))
        };
        assert!(parse(&nested(16), 16).is_ok());
        assert_eq!(parse(&nested(17), 16), Err(StructError::TooDeep));
        // Written by hand, because the library's own writer does not nest this deep.
        let mut bytes = Vec::new();
        for _ in 0..10_000 {
            let mut field = vec![0x32];
            prost::encoding::encode_varint(u64::try_from(bytes.len()).unwrap(), &mut field);
            field.append(&mut bytes);
            let mut element = vec![0x0a];
            prost::encoding::encode_varint(u64::try_from(field.len()).unwrap(), &mut element);
            element.append(&mut field);
            bytes = element;
        }
        assert!(list(&bytes, 16).is_err_and(|error| error == StructError::TooDeep));
    }

    #[test]
    fn numbers_that_json_does_not_have_are_refused() {
        for double in [f64::NAN, f64::INFINITY] {
            let kind = Some(Kind::NumberValue(double));
            let document = Struct { fields: [("a".to_owned(), ProtoValue { kind })].into() };
            assert_eq!(parse(&document.encode_to_vec(), 16), Err(StructError::NotFinite));
        }
    }

    /// protobuf merges two values of one field. It does not say which of them an operator means.
    #[test]
    fn a_repeated_field_of_a_member_or_a_value_is_refused() {
        let field =
            |number: u8, content: &[u8]| [&[number << 3 | 2, u8::try_from(content.len()).unwrap()], content].concat();
        let value = |value| encode(&value).encode_to_vec();
        let (x, y) = (value(json!({ "x": 1 })), value(json!({ "y": [2] })));
        let two_kinds = [field(1, b"a"), field(2, &[x.clone(), y.clone()].concat())].concat();
        let two_values = [field(1, b"a"), field(2, &x), field(2, &y)].concat();
        let two_names = [field(1, b"a"), field(1, b"b"), field(2, &x)].concat();
        for entry in [two_kinds, two_values, two_names] {
            let bytes = field(1, &entry);
            assert!(Struct::decode(bytes.as_slice()).is_ok());
            assert_eq!(parse(&bytes, 16), Err(StructError::Malformed), "{bytes:?}");
        }
    }

    #[test]
    fn a_malformed_struct_is_refused_as_the_library_refuses_it() {
        let whole = encoded(&sample());
        let mut accepted = 0;
        let ends = (0..whole.len()).map(|end| whole[..end].to_vec()).collect::<Vec<_>>();
        for bytes in ends.into_iter().chain(mutations(&whole, 50_000)) {
            let library = Struct::decode(bytes.as_slice()).map(|document| decoded_object(&document));
            match (parse(&bytes, 16), library) {
                (Ok(ours), Ok(theirs)) => {
                    accepted += 1;
                    assert_eq!(ours, theirs, "{bytes:?}");
                }
                (Ok(ours), Err(error)) => panic!("{ours} where the library has {error}: {bytes:?}"),
                (Err(_), _) => {}
            }
        }
        assert!(accepted > scaled(2_000), "{accepted}");
    }
}
