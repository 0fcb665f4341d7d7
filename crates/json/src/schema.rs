//! JSON Schema (draft 2020-12) from the declarations of [`json_struct`](crate::json_struct) and [`json_enum`](crate::json_enum). The filter
//! never calls it, so nothing of it is in the module.

use serde_json::{Map, Value, json};

use super::typed::FromJson;

/// The schemas of the structs and enums, by the names of their types: `$defs`.
pub type Definitions = Map<String, Value>;

/// A member of a struct.
pub struct Member {
    name: &'static str,
    schema: Value,
    is_required: bool,
}

/// A member, from its place in the struct. `start` is the struct before it is read; `has_default` says whether the member of `start` is the
/// value of a missing member.
pub fn member<S, T: FromJson>(
    name: &'static str,
    start: &S,
    place: fn(&S) -> &T,
    has_default: bool,
    definitions: &mut Definitions,
) -> Member {
    let mut schema = T::schema(definitions);
    let default = if has_default { place(start).to_json() } else { None };
    if let (Some(members), Some(default)) = (schema.as_object_mut(), default) {
        members.insert("default".to_owned(), default);
    }
    Member { name, schema, is_required: !has_default && !T::MAY_BE_MISSING }
}

/// The schema of a type with a name. It stands in `definitions`; what is returned refers to it.
pub fn named_type(name: &str, definitions: &mut Definitions, schema: impl FnOnce(&mut Definitions) -> Value) -> Value {
    if !definitions.contains_key(name) {
        let schema = schema(definitions);
        definitions.insert(name.to_owned(), schema);
    }
    json!({ "$ref": format!("#/$defs/{name}") })
}

/// The schema of an object with these members. `is_closed` says that it may have no others.
pub fn object(members: Vec<Member>, is_closed: bool) -> Value {
    let required = members.iter().filter(|member| member.is_required).map(|member| member.name.into());
    let required: Vec<Value> = required.collect();
    let mut schema = Map::from_iter([("type".to_owned(), "object".into())]);
    if !required.is_empty() {
        schema.insert("required".to_owned(), required.into());
    }
    let properties = members.into_iter().map(|member| (member.name.to_owned(), member.schema)).collect();
    schema.insert("properties".to_owned(), Value::Object(properties));
    if is_closed {
        schema.insert("additionalProperties".to_owned(), false.into());
    }
    schema.into()
}

/// The schema of one of these texts.
pub fn one_of(names: &[&str]) -> Value {
    json!({ "enum": names })
}

/// The schema that also allows null.
pub(super) fn or_null(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}
