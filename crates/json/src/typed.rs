//! Reads JSON values into types. An error names the place of the value that does not fit.
//!
//! serde can derive such readers, but it generates code for every member of every type. That code was a tenth of the whole filter. Here a
//! type is described by the list of its members ([`json_struct`](crate::json_struct)) or of its names ([`json_enum`](crate::json_enum)).
//! Structs are read from objects and never from arrays, and enums from their names.
//!
//! A struct is filled in place, member by member. A constructor with optional members would need half as much code again, because each
//! error would have to drop the members before it.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Map, Value, json, map};

use super::schema::{self, Definitions};

/// A type that can be read from a JSON value.
pub trait FromJson: Sized {
    /// Whether a member of this type may be missing. A missing member keeps its blank value.
    const MAY_BE_MISSING: bool = false;

    /// Reads a value.
    ///
    /// # Errors
    /// The first fault and its place.
    fn from_json(value: &Value) -> Result<Self, ReadError>;

    /// Reads a value and replaces the old one.
    ///
    /// # Errors
    /// As [`FromJson::from_json`]. The old value may then be changed in part.
    fn fill(&mut self, value: &Value) -> Result<(), ReadError> {
        *self = Self::from_json(value)?;
        Ok(())
    }

    /// The JSON Schema of the values that are read. Types with a name add it to `definitions`. By default any value fits.
    fn schema(_definitions: &mut Definitions) -> Value {
        json!({})
    }

    /// The value as a document has it, for the defaults in a schema. `None` if it is no default worth stating.
    fn to_json(&self) -> Option<Value> {
        None
    }
}

/// A type with a start value that is filled member by member. If a member is missing, reading fails, so the start value is never used
/// alone.
pub trait Blank {
    /// The start value.
    fn blank() -> Self;
}

/// Reads a value as a `T`.
///
/// # Errors
/// The first fault and its place.
pub fn read<T: FromJson>(value: &Value) -> Result<T, ReadError> {
    T::from_json(value)
}

/// Implements [`FromJson`] for a struct. It is read from an object whose members have the names of its fields. The expression after `=` is
/// the value of a missing member.
///
/// - `json_struct!(Paths { registration, token = "/token".to_owned() })`: other members are refused.
/// - `json_struct!(Client { client_id, record, .. })`: other members are ignored. With `and more`, the method `more` of the struct reads
///   them from the same object.
/// - `json_struct!(Limits { body_bytes, jwt_bytes } or default)`: other members are refused. Missing members have the values of
///   [`Default`]. The whole struct may be missing too.
#[macro_export]
macro_rules! json_struct {
    ($type:ident { $($field:ident),+ $(,)? } or default) => {
        impl $crate::Blank for $type {
            fn blank() -> Self {
                Self::default()
            }
        }
        $crate::json_struct!(@fill $type true [$($field),+] { $($field = _),+ });
    };
    ($type:ident { $($field:ident $(= $missing:expr)?),+, .. } $(and $more:ident)?) => {
        $crate::json_struct!(@blank $type { $($field $(= $missing)?),+ });
        $crate::json_struct!(@fill $type false [] { $($field $(= $missing)?),+ } $($more)?);
    };
    ($type:ident { $($field:ident $(= $missing:expr)?),+ $(,)? }) => {
        $crate::json_struct!(@blank $type { $($field $(= $missing)?),+ });
        $crate::json_struct!(@fill $type false [$($field),+] { $($field $(= $missing)?),+ });
    };
    (@blank $type:ident { $($field:ident $(= $missing:expr)?),+ }) => {
        impl $crate::Blank for $type {
            fn blank() -> Self {
                Self { $($field: $crate::json_struct!(@missing $($missing)?)),+ }
            }
        }
    };
    (@missing) => { $crate::Blank::blank() };
    (@missing $missing:expr) => { $missing };
    (@fill $type:ident $may_be_missing:literal [$($($only:ident),+)?] { $($field:ident $(= $missing:tt)?),+ } $($more:ident)?) => {
        impl $crate::FromJson for $type {
            const MAY_BE_MISSING: bool = $may_be_missing;

            fn from_json(value: &$crate::Value) -> Result<Self, $crate::ReadError> {
                let mut object = <Self as $crate::Blank>::blank();
                object.fill(value)?;
                Ok(object)
            }

            fn fill(&mut self, value: &$crate::Value) -> Result<(), $crate::ReadError> {
                let members = $crate::Members::of(value, concat!("struct ", stringify!($type)))?;
                $(members.only(&[$(stringify!($only)),+])?;)?
                $($crate::json_struct!(@member self members $field $($missing)?);)+
                $(self.$more(value)?;)?
                Ok(())
            }

            fn schema(definitions: &mut $crate::schema::Definitions) -> $crate::Value {
                $crate::schema::named_type(stringify!($type), definitions, |definitions| {
                    let start = <Self as $crate::Blank>::blank();
                    let members = vec![$($crate::schema::member(
                        stringify!($field),
                        &start,
                        |of: &Self| &of.$field,
                        $crate::json_struct!(@has_default $($missing)?),
                        definitions,
                    )),+];
                    $crate::schema::object(members, $crate::json_struct!(@is_closed $($($only),+)?))
                })
            }
        }
    };
    (@has_default) => { false };
    (@has_default $missing:tt) => { true };
    (@is_closed) => { false };
    (@is_closed $($only:ident),+) => { true };
    (@member $self:ident $members:ident $field:ident) => { $members.fill(&mut $self.$field, stringify!($field))? };
    (@member $self:ident $members:ident $field:ident $missing:tt) => { $members.replace(&mut $self.$field, stringify!($field))? };
}

/// Implements [`FromJson`] for an enum. It is read from the names of its variants: `json_enum!(Body { "jwt" => Jwt, "json" => Json })`.
#[macro_export]
macro_rules! json_enum {
    ($type:ident { $($name:literal => $variant:ident),+ $(,)? }) => {
        impl $crate::Blank for $type {
            fn blank() -> Self {
                let [first, ..] = [$(Self::$variant),+];
                first
            }
        }

        impl $crate::FromJson for $type {
            fn from_json(value: &$crate::Value) -> Result<Self, $crate::ReadError> {
                let variants = [$(Self::$variant),+];
                $crate::named(value, concat!("enum ", stringify!($type)), &[$($name),+], &variants)
            }

            fn schema(definitions: &mut $crate::schema::Definitions) -> $crate::Value {
                $crate::schema::named_type(stringify!($type), definitions, |_| $crate::schema::one_of(&[$($name),+]))
            }

            fn to_json(&self) -> Option<$crate::Value> {
                match self {
                    $(Self::$variant => Some($crate::Value::from($name))),+
                }
            }
        }
    };
}

/// The members of an object that is being read.
#[derive(Clone, Copy)]
pub struct Members<'a>(&'a Map<String, Value>);

impl<'a> Members<'a> {
    /// The members of an object. If `value` is not an object, the error says that `expected` was expected.
    pub fn of(value: &'a Value, expected: &str) -> Result<Self, ReadError> {
        value.as_object().map(Self).ok_or_else(|| ReadError::type_of(value, expected))
    }

    /// Refuses members with other names than these.
    ///
    /// # Errors
    /// The first unknown member.
    pub fn only(self, names: &[&str]) -> Result<(), ReadError> {
        match self.0.keys().find(|name| !names.contains(&name.as_str())) {
            Some(unknown) => {
                Err(ReadError::new(format!("unknown field `{unknown}`, expected {}", one_of(names))).at_member(unknown))
            }
            None => Ok(()),
        }
    }

    /// All members. Their values are not read into types.
    pub fn iter(self) -> map::Iter<'a> {
        self.0.iter()
    }

    /// Reads a member. If the member is missing and may be missing, null is read in its place.
    ///
    /// # Errors
    /// The first fault and its place.
    pub fn read<T: FromJson>(self, name: &str) -> Result<T, ReadError> {
        let value = self.get(name, T::MAY_BE_MISSING)?.unwrap_or(&Value::Null);
        T::from_json(value).map_err(|error| error.at_member(name))
    }

    /// Reads a member and replaces the old value. If the member is missing and may be missing, the old value stays.
    ///
    /// # Errors
    /// The first fault and its place.
    pub fn fill<T: FromJson>(self, member: &mut T, name: &str) -> Result<(), ReadError> {
        match self.get(name, T::MAY_BE_MISSING)? {
            Some(value) => member.fill(value).map_err(|error| error.at_member(name)),
            None => Ok(()),
        }
    }

    /// Reads a member, if it is present, and replaces the old value.
    ///
    /// # Errors
    /// The first fault and its place.
    pub fn replace<T: FromJson>(self, member: &mut T, name: &str) -> Result<(), ReadError> {
        match self.get(name, true)? {
            Some(value) => member.fill(value).map_err(|error| error.at_member(name)),
            None => Ok(()),
        }
    }

    fn get(self, name: &str, may_be_missing: bool) -> Result<Option<&'a Value>, ReadError> {
        match self.0.get(name) {
            None if !may_be_missing => Err(ReadError::new(format!("missing field `{name}`"))),
            found => Ok(found),
        }
    }
}

/// The variant whose name the value is. [`json_enum`](crate::json_enum) uses it.
///
/// # Errors
/// The value is not one of `names`.
pub fn named<T: Copy>(value: &Value, expected: &str, names: &[&str], variants: &[T]) -> Result<T, ReadError> {
    let place = place(value, expected, names)?;
    variants.get(place).copied().ok_or_else(|| ReadError::new("its variant has no name"))
}

/// Separate from [`named`], so that the code exists once and not for each type.
fn place(value: &Value, expected: &str, names: &[&str]) -> Result<usize, ReadError> {
    let name = string(value, expected)?;
    let place = names.iter().position(|known| *known == name);
    place.ok_or_else(|| ReadError::new(format!("unknown variant `{name}`, expected {}", one_of(names))))
}

/// The text of a string. If `value` is not a string, the error says that `expected` was expected.
///
/// # Errors
/// The value is not a string.
pub fn string<'a>(value: &'a Value, expected: &str) -> Result<&'a str, ReadError> {
    value.as_str().ok_or_else(|| ReadError::type_of(value, expected))
}

fn one_of(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [one, other] => format!("{one} or {other}"),
        [only] => only.clone(),
        several => format!("one of {}", several.join(", ")),
    }
}

/// A value that does not fit, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadError(Box<(String, String)>);

impl ReadError {
    /// A problem with a whole value. The callers add the place.
    pub fn new(problem: impl Into<String>) -> Self {
        Self(Box::new((String::new(), problem.into())))
    }

    /// The place, such as `directories[0].jwks_uri`; `.` means the whole document.
    pub fn path(&self) -> &str {
        if self.0.0.is_empty() { "." } else { &self.0.0 }
    }

    /// The problem at that place.
    pub fn problem(&self) -> &str {
        &self.0.1
    }

    fn type_of(found: &Value, expected: &str) -> Self {
        let found = match found {
            Value::Null => "null".to_owned(),
            Value::Number(number) => format!("number `{number}`"),
            Value::Bool(flag) => format!("boolean `{flag}`"),
            Value::String(text) => format!("string {}", String::from_utf8_lossy(&super::text(text))),
            Value::Array(_) => "sequence".to_owned(),
            Value::Object(_) => "map".to_owned(),
        };
        Self::new(format!("invalid type: {found}, expected {expected}"))
    }

    pub(super) fn at_member(self, name: &str) -> Self {
        self.at(name.to_owned())
    }

    fn at_index(self, index: usize) -> Self {
        self.at(format!("[{index}]"))
    }

    fn at(mut self, place: String) -> Self {
        let path = &mut self.0.0;
        let dot = if path.is_empty() || path.starts_with('[') { "" } else { "." };
        *path = [place.as_str(), dot, path.as_str()].concat();
        self
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path(), self.problem())
    }
}

impl std::error::Error for ReadError {}

/// Types whose default serves as the start value.
macro_rules! blank {
    ($($type:ty),+) => {
        $(impl Blank for $type {
            fn blank() -> Self {
                Self::default()
            }
        })+
    };
}

blank!(bool, u64, usize, String, Rc<str>, Value, Map<String, Value>, Duration);

impl<T: Blank> Blank for Rc<T> {
    fn blank() -> Self {
        Self::new(T::blank())
    }
}

impl<T> Blank for Option<T> {
    fn blank() -> Self {
        None
    }
}

impl<T> Blank for Vec<T> {
    fn blank() -> Self {
        Self::new()
    }
}

impl FromJson for bool {
    fn from_json(value: &Value) -> Result<Self, ReadError> {
        value.as_bool().ok_or_else(|| ReadError::type_of(value, "a boolean"))
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "type": "boolean" })
    }

    fn to_json(&self) -> Option<Value> {
        Some((*self).into())
    }
}

impl FromJson for u64 {
    fn from_json(value: &Value) -> Result<Self, ReadError> {
        value.as_u64().ok_or_else(|| ReadError::type_of(value, "u64"))
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "type": "integer", "minimum": 0 })
    }

    fn to_json(&self) -> Option<Value> {
        Some((*self).into())
    }
}

impl FromJson for usize {
    fn from_json(value: &Value) -> Result<Self, ReadError> {
        value.as_u64().and_then(|number| number.try_into().ok()).ok_or_else(|| ReadError::type_of(value, "usize"))
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "type": "integer", "minimum": 0 })
    }

    fn to_json(&self) -> Option<Value> {
        Some((*self).into())
    }
}

impl FromJson for String {
    fn from_json(value: &Value) -> Result<Self, ReadError> {
        string(value, "a string").map(str::to_owned)
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "type": "string" })
    }

    fn to_json(&self) -> Option<Value> {
        Some(self.as_str().into())
    }
}

impl FromJson for Value {
    fn from_json(value: &Value) -> Result<Self, ReadError> {
        Ok(value.clone())
    }
}

impl FromJson for Map<String, Value> {
    fn from_json(value: &Value) -> Result<Self, ReadError> {
        Members::of(value, "a map").map(|members| members.0.clone())
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "type": "object" })
    }

    fn to_json(&self) -> Option<Value> {
        Some(self.clone().into())
    }
}

impl FromJson for Rc<str> {
    fn from_json(value: &Value) -> Result<Self, ReadError> {
        string(value, "a string").map(Self::from)
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "type": "string" })
    }
}

impl<T: FromJson> FromJson for Rc<T> {
    fn from_json(value: &Value) -> Result<Self, ReadError> {
        T::from_json(value).map(Self::new)
    }

    fn schema(definitions: &mut Definitions) -> Value {
        T::schema(definitions)
    }
}

/// Null and a missing member are read as `None`.
impl<T: FromJson> FromJson for Option<T> {
    const MAY_BE_MISSING: bool = true;

    fn from_json(value: &Value) -> Result<Self, ReadError> {
        if value.is_null() { Ok(None) } else { T::from_json(value).map(Some) }
    }

    fn schema(definitions: &mut Definitions) -> Value {
        schema::or_null(T::schema(definitions))
    }

    fn to_json(&self) -> Option<Value> {
        self.as_ref().and_then(T::to_json)
    }
}

impl<T: FromJson> FromJson for Vec<T> {
    fn from_json(value: &Value) -> Result<Self, ReadError> {
        let values = value.as_array().ok_or_else(|| ReadError::type_of(value, "a sequence"))?;
        let mut read = Self::with_capacity(values.len());
        for (index, value) in values.iter().enumerate() {
            read.push(T::from_json(value).map_err(|error| error.at_index(index))?);
        }
        Ok(read)
    }

    fn schema(definitions: &mut Definitions) -> Value {
        json!({ "type": "array", "items": T::schema(definitions) })
    }

    fn to_json(&self) -> Option<Value> {
        self.iter().map(T::to_json).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::ByName;
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Sample {
        text: String,
        count: Option<usize>,
        list: Vec<Inner>,
        by_name: ByName<Inner>,
        any: Map<String, Value>,
    }

    json_struct!(Sample { text, count, list = Vec::new(), by_name = ByName::new(), any = Map::new() });

    #[derive(Debug, PartialEq)]
    struct Inner {
        kind: Kind,
        flag: bool,
    }

    json_struct!(Inner { kind, flag = false, .. });

    #[derive(Debug, PartialEq)]
    struct Limits {
        most: u64,
        least: u64,
    }

    impl Default for Limits {
        fn default() -> Self {
            Self { most: 10, least: 1 }
        }
    }

    json_struct!(Limits { most, least } or default);

    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Kind {
        OneWord,
        Other,
    }

    json_enum!(Kind { "one_word" => OneWord, "other" => Other });

    #[test]
    fn values_become_types() {
        let any = json!({"z": [null, 1.5, -1, 18_446_744_073_709_551_615_u64], "a": {"b": "c"}});
        let sample: Sample = read(&json!({
            "text": "é", "count": 255, "list": [{"kind": "one_word", "flag": true}, {"kind": "other", "more": [1, {}]}],
            "by_name": {"a": {"kind": "other"}}, "any": any,
        }))
        .unwrap();
        assert_eq!((sample.text.as_str(), sample.count), ("é", Some(255)));
        assert_eq!(sample.list[0], Inner { kind: Kind::OneWord, flag: true });
        assert_eq!(*sample.by_name.get("a").unwrap(), Inner { kind: Kind::Other, flag: false });
        assert_eq!(Value::Object(sample.any), any);
        assert_eq!(read::<Sample>(&json!({"text": "", "count": null})).unwrap().count, None);
        assert_eq!(read(&json!({"least": 2})), Ok(Limits { most: 10, least: 2 }));
    }

    #[test]
    fn a_declaration_is_a_schema_too() {
        let mut definitions = Definitions::new();
        assert_eq!(Sample::schema(&mut definitions), json!({ "$ref": "#/$defs/Sample" }));
        let inner = json!({ "$ref": "#/$defs/Inner" });
        assert_eq!(
            Value::Object(definitions),
            json!({
                "Sample": {
                    "type": "object",
                    "required": ["text"],
                    "properties": {
                        "text": { "type": "string" },
                        "count": { "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "null" }] },
                        "list": { "type": "array", "items": inner, "default": [] },
                        "by_name": { "type": "object", "additionalProperties": inner, "default": {} },
                        "any": { "type": "object", "default": {} },
                    },
                    "additionalProperties": false,
                },
                "Inner": {
                    "type": "object",
                    "required": ["kind"],
                    "properties": {
                        "kind": { "$ref": "#/$defs/Kind" },
                        "flag": { "type": "boolean", "default": false },
                    },
                },
                "Kind": { "enum": ["one_word", "other"] },
            })
        );
        let mut definitions = Definitions::new();
        Limits::schema(&mut definitions);
        assert_eq!(definitions["Limits"]["properties"]["most"]["default"], 10);
        assert_eq!(definitions["Limits"].get("required"), None);
        assert_eq!(Kind::Other.to_json(), Some(json!("other")));
    }

    #[test]
    fn an_error_names_the_place_of_a_value_that_does_not_fit() {
        for (value, path, problem) in [
            (json!([]), ".", "invalid type: sequence, expected struct Sample"),
            (json!({}), ".", "missing field `text`"),
            (json!({"text": 1}), "text", "invalid type: number `1`, expected a string"),
            (json!({"text": true}), "text", "invalid type: boolean `true`, expected a string"),
            (json!({"text": "", "count": "\""}), "count", r#"invalid type: string "\"", expected usize"#),
            (json!({"text": null}), "text", "invalid type: null, expected a string"),
            (json!({"text": "", "count": -1}), "count", "invalid type: number `-1`, expected usize"),
            (json!({"text": "", "count": 1.5}), "count", "invalid type: number `1.5`, expected usize"),
            (json!({"text": "", "list": {}}), "list", "invalid type: map, expected a sequence"),
            (json!({"text": "", "list": [{"kind": "other"}, {}]}), "list[1]", "missing field `kind`"),
            (json!({"text": "", "list": [["other"]]}), "list[0]", "invalid type: sequence, expected struct Inner"),
            (
                json!({"text": "", "list": [{"kind": "others"}]}),
                "list[0].kind",
                "unknown variant `others`, expected `one_word` or `other`",
            ),
            (json!({"text": "", "list": [{"kind": {}}]}), "list[0].kind", "invalid type: map, expected enum Kind"),
            (
                json!({"text": "", "by_name": {"a": {"kind": "other", "flag": 0}}}),
                "by_name.a.flag",
                "invalid type: number `0`, expected a boolean",
            ),
            (json!({"text": "", "any": 1}), "any", "invalid type: number `1`, expected a map"),
            (
                json!({"text": "", "more": 1}),
                "more",
                "unknown field `more`, expected one of `text`, `count`, `list`, `by_name`, `any`",
            ),
        ] {
            let error = read::<Sample>(&value).unwrap_err();
            assert_eq!((error.path(), error.problem()), (path, problem), "{value}");
        }
        let error = read::<Limits>(&json!({"leest": 1})).unwrap_err();
        assert_eq!(error.to_string(), "leest: unknown field `leest`, expected `most` or `least`");
        assert_eq!(read::<Limits>(&json!({"least": null})).unwrap_err().path(), "least");
    }
}
