//! Compares the reader of `google.protobuf.Struct` with prost. What it accepts, prost reads as the same value. The value may be a
//! configuration.

#![no_main]

use dcr_gate::config::{Config, structure};
use dcr_json::Value;
use libfuzzer_sys::fuzz_target;
use prost::Message;
use prost_types::value::Kind;
use prost_types::{Struct, Value as ProtoValue};
use serde_json::json;

fuzz_target!(|input: &[u8]| {
    let Ok(value) = structure::parse(input, 16) else { return };
    let library = Struct::decode(input).unwrap_or_else(|error| panic!("{error}: {value}"));
    assert_eq!(value, of_struct(&library));
    let _ = Config::from_value(value);
});

fn of_struct(document: &Struct) -> Value {
    document.fields.iter().map(|(name, member)| (name.clone(), of_value(member))).collect()
}

fn of_value(value: &ProtoValue) -> Value {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(flag)) => json!(flag),
        Some(Kind::NumberValue(double)) => number(*double),
        Some(Kind::StringValue(text)) => json!(text),
        Some(Kind::ListValue(list)) => list.values.iter().map(of_value).collect(),
        Some(Kind::StructValue(document)) => of_struct(document),
    }
}

/// A whole number as an integer, if it is printed without an exponent.
fn number(double: f64) -> Value {
    let text = json!(double).to_string();
    text.strip_suffix(".0").and_then(|whole| whole.parse::<i64>().ok()).map_or(json!(double), Value::from)
}
