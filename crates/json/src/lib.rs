//! Strict JSON (RFC 8259) for signed documents and for configuration.
//!
//! If two parsers read the same octets differently, a check can be bypassed. So RFC 7515 section 4, RFC 7517 section 4 and RFC 7519 section
//! 4 demand unique member names. `serde_json` keeps the last of several members; this crate refuses them at every level. It also limits the
//! nesting.
//!
//! [`parse`] and [`parse_object`] turn octets into a [`Value`]. [`read`] turns a value into a type that [`json_struct`] or [`json_enum`]
//! describes. Its errors name the place and the problem. The same description makes a JSON Schema: [`FromJson::schema`].
//!
//! ```
//! use dcr_json::{json_struct, parse, read};
//!
//! struct Endpoint {
//!     path: String,
//!     methods: Vec<String>,
//! }
//! json_struct!(Endpoint { path, methods = Vec::new() });
//!
//! let value = parse(br#"{"path": "/register"}"#, 8)?;
//! let endpoint: Endpoint = read(&value)?;
//! assert_eq!(endpoint.path, "/register");
//! assert!(endpoint.methods.is_empty());
//!
//! assert!(parse(br#"{"path": "/a", "path": "/b"}"#, 8).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod by_name;
mod duration;
pub mod schema;
mod typed;

use std::cell::Cell;
use std::fmt;

use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Map;
pub use serde_json::Value;

pub use by_name::ByName;
pub use duration::Shown;
pub use typed::{Blank, FromJson, Members, ReadError, named, read, string};

/// Reads one JSON object. White space around it is allowed, other text is not.
///
/// `max_depth` is the deepest allowed nesting of objects and arrays; the outermost one counts as 1. (`serde_json` itself stops at 127.)
///
/// # Errors
/// The fault, as a [`JsonError`].
pub fn parse_object(bytes: &[u8], max_depth: usize) -> Result<Map<String, Value>, JsonError> {
    match parse(bytes, max_depth)? {
        Value::Object(members) => Ok(members),
        _ => Err(JsonError::NotAnObject),
    }
}

/// Reads one JSON value of any type, otherwise like [`parse_object`].
///
/// # Errors
/// The fault, as a [`JsonError`].
pub fn parse(bytes: &[u8], max_depth: usize) -> Result<Value, JsonError> {
    let text = std::str::from_utf8(bytes).map_err(|_| JsonError::NotUtf8)?;
    let refusal = Cell::new(JsonError::Syntax);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    StrictValue { depth_left: max_depth, refusal: &refusal }
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|_| refusal.get())
}

/// Writes a value as JSON text. If it cannot be JSON, for example because a key is not a string, the text is empty. Its reader then fails.
pub fn text(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// Why bytes are not acceptable JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonError {
    /// The bytes are not UTF-8 (RFC 8259 section 8.1).
    NotUtf8,
    /// The text is not exactly one JSON value. A byte order mark, an unpaired surrogate escape and a number beyond an IEEE double are such
    /// errors too.
    Syntax,
    /// The JSON is valid, but it is not an object.
    NotAnObject,
    /// An object has two members with the same name. Names are compared after their escapes are resolved.
    DuplicateMember,
    /// Objects and arrays are nested deeper than the limit.
    TooDeep,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotUtf8 => "the JSON is not UTF-8",
            Self::Syntax => "not one well-formed JSON value",
            Self::NotAnObject => "the JSON value is not an object",
            Self::DuplicateMember => "a JSON object has two members of the same name",
            Self::TooDeep => "the JSON is nested too deeply",
        })
    }
}

impl std::error::Error for JsonError {}

/// Builds a [`Value`]. It stores the reason of a refusal in `refusal`, because `serde_json::Error` can carry only text.
#[derive(Clone, Copy)]
struct StrictValue<'a> {
    depth_left: usize,
    refusal: &'a Cell<JsonError>,
}

impl StrictValue<'_> {
    fn refuse<E: serde::de::Error>(self, why: JsonError) -> E {
        self.refusal.set(why);
        E::custom(why)
    }

    fn one_deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.depth_left.checked_sub(1) {
            Some(depth_left) => Ok(Self { depth_left, ..self }),
            None => Err(self.refuse(JsonError::TooDeep)),
        }
    }
}

impl<'de> DeserializeSeed<'de> for StrictValue<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for StrictValue<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        serde_json::Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.one_deeper()?;
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.one_deeper()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(self.refuse(JsonError::DuplicateMember));
            }
            object.insert(name, members.next_value_seed(inner)?);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use dcr_test_support::{mutations, scaled};

    use super::*;

    #[test]
    fn white_space_around_an_object_is_fine() {
        let members = parse_object(b"\r\n\t {\"a\": 1}\n ", 1).unwrap();
        assert_eq!(members["a"], 1);
    }

    #[test]
    fn values_come_out_as_serde_json_reads_them() {
        let text = r#"{"z":null,"a":[true,false,-1,18446744073709551615,1.5,1e3,"\u00e9\ud83d\ude00"],"":{}}"#;
        assert_eq!(parse(text.as_bytes(), 16).unwrap(), serde_json::from_str::<Value>(text).unwrap());
        let order: Vec<_> = parse_object(text.as_bytes(), 16).unwrap().keys().cloned().collect();
        assert_eq!(order, ["z", "a", ""]);
    }

    #[test]
    fn scalars_are_values_but_not_objects() {
        for scalar in ["null", "true", "1", "\"a\"", "[]"] {
            assert!(parse(scalar.as_bytes(), 1).is_ok(), "{scalar}");
            assert_eq!(parse_object(scalar.as_bytes(), 1), Err(JsonError::NotAnObject), "{scalar}");
        }
    }

    #[test]
    fn text_that_is_not_json_is_refused() {
        for text in [
            "",
            " ",
            "{",
            "{} {}",
            "{}x",
            "{}\0",
            "{'a':1}",
            "{a:1}",
            "{\"a\":1,}",
            "[1,]",
            "[01]",
            "[+1]",
            "[.5]",
            "[NaN]",
            "[1e999]",
            "[\"\\ud800\"]",
            "[\"\\x41\"]",
            "[\"a\nb\"]",
            "// note\n{}",
            "\u{feff}{}",
        ] {
            assert_eq!(parse(text.as_bytes(), 16), Err(JsonError::Syntax), "{text:?}");
        }
        assert_eq!(parse(b"[\"\xff\"]", 16), Err(JsonError::NotUtf8));
    }

    #[test]
    fn jw_01_duplicate_members_are_refused_at_every_level() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"b":2,"\u0061":3}"#,
            r#"{"x":{"a":1,"a":2}}"#,
            r#"[[{"a":1,"a":2}]]"#,
            r#"{"a":{"a":1},"b":[{"a":1,"a":[]}]}"#,
        ] {
            assert_eq!(parse(text.as_bytes(), 16), Err(JsonError::DuplicateMember), "{text}");
        }
        assert!(parse(br#"{"a":{"a":{"a":1}},"A":2}"#, 16).is_ok());
    }

    #[test]
    fn nesting_is_counted_from_one() {
        let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
        assert!(parse(b"1", 0).is_ok());
        assert_eq!(parse(&nested(1), 0), Err(JsonError::TooDeep));
        assert!(parse(&nested(16), 16).is_ok());
        assert_eq!(parse(&nested(17), 16), Err(JsonError::TooDeep));
        assert_eq!(parse(br#"{"a":{"b":{}}}"#, 2), Err(JsonError::TooDeep));
        assert_eq!(parse(&vec![b'['; 1_000_000], 16), Err(JsonError::TooDeep));
    }

    /// The test passes if parsing returns at all. A panic would end the filter's whole VM.
    #[test]
    fn changed_json_never_panics() {
        let genuine = r#" {"a":[1,-2.5e3,"é\u00e9\ud83d\ude00",null,true],"b":{"c":{"d":[[]]}}} "#.as_bytes();
        let read = mutations(genuine, 20_000).filter(|changed| parse(changed, 5).is_ok()).count();
        assert!(read > scaled(100), "{read}");
    }
}
