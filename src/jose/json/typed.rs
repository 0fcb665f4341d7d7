//! JSON values into types of the program, with the place of what does not fit.
//!
//! serde_json can do this, and serde_path_to_error tells the place; but each makes code of its own for every type there is, a third of
//! the whole filter together. This reader takes what the program's types need: structs from objects and never from arrays, enums from
//! their names, everything by value.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error, Expected, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, VariantAccess, Visitor,
};
use serde_json::{Map, Value, map};

/// Reads a value as what it should be.
///
/// # Errors
/// The first thing that does not fit, and where.
pub fn read<T: DeserializeOwned>(value: &Value) -> Result<T, Misfit> {
    T::deserialize(Reader(value))
}

/// What does not fit, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit(Box<(String, String)>);

impl Misfit {
    /// The place, such as `directories[0].jwks_uri`; `.` for the whole.
    pub fn path(&self) -> &str {
        if self.0.0.is_empty() { "." } else { &self.0.0 }
    }

    /// What is wrong there.
    pub fn problem(&self) -> &str {
        &self.0.1
    }

    fn at_member(mut self, name: &str) -> Self {
        let path = &mut self.0.0;
        let dot = if path.is_empty() || path.starts_with('[') { "" } else { "." };
        *path = [name, dot, path.as_str()].concat();
        self
    }

    fn at_index(mut self, index: usize) -> Self {
        let path = &mut self.0.0;
        let dot = if path.is_empty() || path.starts_with('[') { "" } else { "." };
        *path = format!("[{index}]{dot}{path}");
        self
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path(), self.problem())
    }
}

impl std::error::Error for Misfit {}

impl Error for Misfit {
    fn custom<T: fmt::Display>(problem: T) -> Self {
        Self(Box::new((String::new(), problem.to_string())))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        invalid("type", &describe(found), expected)
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        invalid("value", &describe(found), expected)
    }
}

// Not generic, as little here as possible is: it is compiled once instead of once for every type.

fn misfit(found: &Value, expected: &dyn Expected) -> Misfit {
    let found = match found {
        Value::Null => "null".to_owned(),
        Value::Number(number) => format!("number `{number}`"),
        Value::Bool(flag) => describe(Unexpected::Bool(*flag)),
        Value::String(text) => describe(Unexpected::Str(text)),
        Value::Array(_) => describe(Unexpected::Seq),
        Value::Object(_) => describe(Unexpected::Map),
    };
    invalid("type", &found, expected)
}

fn invalid(what: &str, found: &str, expected: &dyn Expected) -> Misfit {
    Misfit::custom(format_args!("invalid {what}: {found}, expected {expected}"))
}

/// What serde's own words for it are. They are not asked for: they would bring the printing of floats, 20 KB, which nobody needs.
fn describe(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(flag) => format!("boolean `{flag}`"),
        Unexpected::Unsigned(number) => format!("integer `{number}`"),
        Unexpected::Signed(number) => format!("integer `{number}`"),
        Unexpected::Str(text) => format!("string \"{}\"", text.escape_debug()),
        Unexpected::Seq => "sequence".to_owned(),
        Unexpected::Map => "map".to_owned(),
        _ => "something else".to_owned(),
    }
}

struct Reader<'a>(&'a Value);

/// Reads a number through the one method of the visitor that takes such numbers.
macro_rules! number {
    ($method:ident, $read:ident, $visit:ident) => {
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
            match self.0.$read() {
                Some(number) => visitor.$visit(number),
                None => Err(misfit(self.0, &visitor)),
            }
        }
    };
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(flag) => visitor.visit_bool(*flag),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), ..) => visitor.visit_u64(number),
                (_, Some(number), _) => visitor.visit_i64(number),
                (.., number) => visitor.visit_f64(number.unwrap_or(f64::NAN)),
            },
            Value::String(text) => visitor.visit_str(text),
            Value::Array(values) => visitor.visit_seq(Elements { values: values.iter(), index: 0 }),
            Value::Object(members) => visitor.visit_map(Members::of(members)),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0 {
            Value::Bool(flag) => visitor.visit_bool(*flag),
            other => Err(misfit(other, &visitor)),
        }
    }

    number!(deserialize_u8, as_u64, visit_u64);
    number!(deserialize_u16, as_u64, visit_u64);
    number!(deserialize_u32, as_u64, visit_u64);
    number!(deserialize_u64, as_u64, visit_u64);
    number!(deserialize_i8, as_i64, visit_i64);
    number!(deserialize_i16, as_i64, visit_i64);
    number!(deserialize_i32, as_i64, visit_i64);
    number!(deserialize_i64, as_i64, visit_i64);
    number!(deserialize_f32, as_f64, visit_f64);
    number!(deserialize_f64, as_f64, visit_f64);

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0 {
            Value::String(text) => visitor.visit_str(text),
            other => Err(misfit(other, &visitor)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0 {
            Value::Array(values) => visitor.visit_seq(Elements { values: values.iter(), index: 0 }),
            other => Err(misfit(other, &visitor)),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0 {
            Value::Object(members) => visitor.visit_map(Members::of(members)),
            other => Err(misfit(other, &visitor)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match self.0 {
            Value::String(name) => visitor.visit_enum(Name(name)),
            other => Err(misfit(other, &visitor)),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        char bytes byte_buf unit unit_struct tuple tuple_struct identifier
    }
}

struct Members<'a> {
    members: map::Iter<'a>,
    current: Option<(&'a str, &'a Value)>,
}

impl<'a> Members<'a> {
    fn of(members: &'a Map<String, Value>) -> Self {
        Self { members: members.iter(), current: None }
    }

    fn next(&mut self) -> Option<&'a str> {
        self.current = self.members.next().map(|(name, value)| (name.as_str(), value));
        self.current.map(|(name, _)| name)
    }
}

impl<'de> MapAccess<'de> for Members<'_> {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Misfit> {
        let Some(name) = self.next() else { return Ok(None) };
        let name_deserializer: StrDeserializer<'_, Misfit> = name.into_deserializer();
        seed.deserialize(name_deserializer).map(Some).map_err(|misfit| misfit.at_member(name))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Misfit> {
        let (name, value) = self.current.unwrap_or(("", &Value::Null));
        seed.deserialize(Reader(value)).map_err(|misfit| misfit.at_member(name))
    }
}

struct Elements<'a> {
    values: std::slice::Iter<'a, Value>,
    index: usize,
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Misfit> {
        let Some(value) = self.values.next() else { return Ok(None) };
        let index = self.index;
        self.index += 1;
        seed.deserialize(Reader(value)).map(Some).map_err(|misfit| misfit.at_index(index))
    }
}

/// A variant by its name. It carries nothing: no type here has other variants.
struct Name<'a>(&'a str);

impl<'de> EnumAccess<'de> for Name<'_> {
    type Error = Misfit;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Misfit> {
        let name: StrDeserializer<'_, Misfit> = self.0.into_deserializer();
        seed.deserialize(name).map(|variant| (variant, self))
    }
}

impl<'de> VariantAccess<'de> for Name<'_> {
    type Error = Misfit;

    fn unit_variant(self) -> Result<(), Misfit> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, Misfit> {
        Err(Misfit::custom("only the name of a variant can be read"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Misfit> {
        Err(Misfit::custom("only the name of a variant can be read"))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Misfit> {
        Err(Misfit::custom("only the name of a variant can be read"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        text: String,
        #[serde(default)]
        count: Option<u8>,
        #[serde(default)]
        list: Vec<Inner>,
        #[serde(default)]
        by_name: BTreeMap<String, Inner>,
        #[serde(default)]
        any: Map<String, Value>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Inner {
        kind: Kind,
        #[serde(default)]
        flag: bool,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        OneWord,
        Other,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Open {
        known: i64,
        #[serde(flatten)]
        rest: Map<String, Value>,
    }

    #[test]
    fn values_become_types() {
        let sample: Sample = read(&json!({
            "text": "é", "count": 255, "list": [{"kind": "one_word", "flag": true}, {"kind": "other", "more": [1, {}]}],
            "by_name": {"a": {"kind": "other"}}, "any": {"z": [null, 1.5, -1, 18_446_744_073_709_551_615_u64], "a": {"b": "c"}},
        }))
        .unwrap();
        assert_eq!((sample.text.as_str(), sample.count), ("é", Some(255)));
        assert_eq!(sample.list[0], Inner { kind: Kind::OneWord, flag: true });
        assert_eq!(sample.by_name["a"], Inner { kind: Kind::Other, flag: false });
        let any = json!({"z": [null, 1.5, -1, 18_446_744_073_709_551_615_u64], "a": {"b": "c"}});
        assert_eq!(Value::Object(sample.any), any);
        let open: Open = read(&json!({"b": 1, "known": -1, "a": [2]})).unwrap();
        assert_eq!((open.known, Value::Object(open.rest)), (-1, json!({"b": 1, "a": [2]})));
        assert_eq!(read::<Sample>(&json!({"text": "", "count": null})).unwrap().count, None);
    }

    #[test]
    fn what_does_not_fit_is_told_with_its_place() {
        for (value, path, problem) in [
            (json!([]), ".", "invalid type: sequence, expected struct Sample"),
            (json!({}), ".", "missing field `text`"),
            (json!({"text": 1}), "text", "invalid type: number `1`, expected a string"),
            (json!({"text": true}), "text", "invalid type: boolean `true`, expected a string"),
            (json!({"text": "", "count": "\""}), "count", r#"invalid type: string "\"", expected u8"#),
            (json!({"text": null}), "text", "invalid type: null, expected a string"),
            (json!({"text": "", "count": 256}), "count", "invalid value: integer `256`, expected u8"),
            (json!({"text": "", "count": -1}), "count", "invalid type: number `-1`, expected u8"),
            (json!({"text": "", "count": 1.5}), "count", "invalid type: number `1.5`, expected u8"),
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
        ] {
            let misfit = read::<Sample>(&value).unwrap_err();
            assert_eq!((misfit.path(), misfit.problem()), (path, problem), "{value}");
        }
        let unknown = read::<Sample>(&json!({"text": "", "more": 1})).unwrap_err();
        assert_eq!(unknown.path(), "more");
        assert!(unknown.problem().starts_with("unknown field `more`, expected one of `text`, "), "{unknown}");
    }
}
