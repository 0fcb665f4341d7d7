//! Reads any input as the configuration in JSON. The same document as a `google.protobuf.Struct`, the form in which Envoy passes YAML, is
//! accepted or refused alike.

#![no_main]

use dcr_gate::config::{Config, structure};
use dcr_json::{self as json, Value};
use libfuzzer_sys::fuzz_target;
use prost::Message;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value as ProtoValue};
use serde_json::Map;

fuzz_target!(|input: &[u8]| {
    let config = Config::from_json(input);
    if let Err(error) = &config {
        assert!(!error.path.is_empty() && !error.problem.is_empty());
    }
    let Ok(document) = json::parse_object(input, 16) else { return };
    let Some(written) = of_object(&document) else { return };
    let read = structure::parse(&written.encode_to_vec(), 16).unwrap();
    assert_eq!(read, Value::Object(document));
    match (config, Config::from_value(read)) {
        (Ok(from_json), Ok(from_struct)) => assert_eq!(from_json.dangers, from_struct.dangers),
        // The order of the members differs, so the first fault may be another one.
        (from_json, from_struct) => assert_eq!(from_json.is_ok(), from_struct.is_ok()),
    }
});

/// `None` if a number has another form in a Struct: it is no integer, or it is too large to be exact.
fn of_object(members: &Map<String, Value>) -> Option<Struct> {
    let fields = members.iter().map(|(name, member)| Some((name.clone(), of_value(member)?)));
    Some(Struct { fields: fields.collect::<Option<_>>()? })
}

fn of_value(value: &Value) -> Option<ProtoValue> {
    const EXACT: i64 = 1 << 53;
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(flag) => Kind::BoolValue(*flag),
        Value::Number(number) => {
            let number = number.as_i64().filter(|number| (-EXACT..=EXACT).contains(number))?;
            Kind::NumberValue(number as f64)
        }
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Array(values) => {
            Kind::ListValue(ListValue { values: values.iter().map(of_value).collect::<Option<_>>()? })
        }
        Value::Object(members) => Kind::StructValue(of_object(members)?),
    };
    Some(ProtoValue { kind: Some(kind) })
}
