//! Reads the plugin's configuration as Envoy passes it: the JSON text of a `google.protobuf.StringValue`, or the protobuf bytes of a
//! `google.protobuf.Struct`. Envoy makes a Struct of a configuration that is written as YAML.

use dcr_json as json;
use serde_json::Value;

use crate::config::structure::{self, StructError};

const DEPTH: usize = 16;

/// The configuration document.
///
/// # Errors
/// The problem, as text for the log.
pub(super) fn decode(bytes: &[u8]) -> Result<Value, String> {
    if bytes.is_empty() {
        return Err(
            "it is missing: set the plugin's configuration to a StringValue with JSON, or to a Struct".to_owned()
        );
    }
    json::parse(bytes, DEPTH).or_else(|not_json| {
        structure::parse(bytes, DEPTH).map_err(|error| match error {
            StructError::Malformed => format!("it is neither JSON nor a google.protobuf.Struct: {not_json}"),
            StructError::NotFinite => "it holds a number that is not finite".to_owned(),
            StructError::TooDeep => format!("it is nested more than {DEPTH} deep"),
        })
    })
}
