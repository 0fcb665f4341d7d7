//! The plugin's configuration as Envoy hands it over: JSON text from a `google.protobuf.StringValue`, or the protobuf bytes of a
//! `google.protobuf.Struct`, which is what a configuration written as YAML arrives as.

use prost::Message;
use prost_types::value::Kind;
use serde_json::{Map, Number, Value};

use crate::jose::json;

const DEPTH: usize = 16;

/// The configuration document.
///
/// # Errors
/// What is wrong with it, in words for the log.
pub(super) fn decode(bytes: &[u8]) -> Result<Value, String> {
    if bytes.is_empty() {
        return Err(
            "there is none: set the plugin's configuration to a StringValue with JSON, or to a Struct".to_owned()
        );
    }
    match json::parse(bytes, DEPTH) {
        Ok(document) => Ok(document),
        Err(not_json) => match prost_types::Struct::decode(bytes) {
            Ok(document) => structure(document),
            Err(_) => Err(format!("it is neither JSON nor a google.protobuf.Struct: {not_json}")),
        },
    }
}

fn structure(document: prost_types::Struct) -> Result<Value, String> {
    document
        .fields
        .into_iter()
        .map(|(name, field)| Ok((name, value(field)?)))
        .collect::<Result<Map<_, _>, String>>()
        .map(Value::Object)
}

fn value(value: prost_types::Value) -> Result<Value, String> {
    Ok(match value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(flag)) => Value::Bool(flag),
        Some(Kind::StringValue(text)) => Value::String(text),
        Some(Kind::NumberValue(number)) => Value::Number(whole_or_fraction(number)?),
        Some(Kind::ListValue(list)) => {
            Value::Array(list.values.into_iter().map(self::value).collect::<Result<_, _>>()?)
        }
        Some(Kind::StructValue(document)) => structure(document)?,
    })
}

/// A Struct knows doubles only; a whole number was meant as one.
fn whole_or_fraction(number: f64) -> Result<Number, String> {
    let number = Number::from_f64(number).ok_or_else(|| "it holds a number that is not finite".to_owned())?;
    let text = number.to_string();
    let whole = text.strip_suffix(".0").and_then(|whole| whole.parse::<i64>().ok());
    Ok(whole.map_or(number, Number::from))
}
