//! The keys of a software: the URL of its key set, or the keys themselves.

use std::rc::Rc;

use dcr_jose::jwk::{KeySet, KeySetError};
use dcr_json::{Blank, FromJson, Members, ReadError};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

/// The most octets that a key set in a statement may have, as JSON without white space.
pub const MAX_BYTES: usize = 32 * 1024;

/// The most keys that a key set in a statement may have.
pub const MAX_KEYS: usize = 32;

/// The members of a JWK (RFC 7517 section 4, RFC 7518 section 6, RFC 8037 section 2) that are kept. A directory may write others, such as
/// the contacts of people, and they are no part of a key.
const KEPT_MEMBERS: [&str; 14] =
    ["kty", "use", "key_ops", "alg", "kid", "x5u", "x5c", "x5t", "x5t#S256", "n", "e", "crv", "x", "y"];

/// The keys of a software, as its statement names them. A record has them as one of two members.
#[derive(Debug, Clone, Serialize)]
pub enum SoftwareKeys {
    /// The URL of the key set.
    #[serde(rename = "key_set_uri")]
    Uri(String),
    /// The key set itself.
    #[serde(rename = "key_set")]
    ByValue(KeysByValue),
}

impl Blank for SoftwareKeys {
    fn blank() -> Self {
        Self::Uri(String::new())
    }
}

/// Reads the member of a record: `key_set_uri` or `key_set`.
impl FromJson for SoftwareKeys {
    fn from_json(record: &Value) -> Result<Self, ReadError> {
        let members = Members::of(record, "an object with the keys of a software")?;
        match (members.read::<Option<String>>("key_set_uri")?, members.read::<Option<KeysByValue>>("key_set")?) {
            (Some(uri), None) => Ok(Self::Uri(uri)),
            (None, Some(keys)) => Ok(Self::ByValue(keys)),
            _ => Err(ReadError::new("one of key_set_uri and key_set must be there")),
        }
    }
}

/// A key set that came with a statement.
#[derive(Debug, Clone)]
pub struct KeysByValue {
    document: Rc<Value>,
    bytes: usize,
    keys: Rc<KeySet>,
}

impl KeysByValue {
    /// Reads a JWK set. Only the members of its keys that RFC 7517, RFC 7518 and RFC 8037 define for public keys are kept.
    ///
    /// # Errors
    /// It is not a JWK set, or it is larger than [`MAX_BYTES`] or [`MAX_KEYS`].
    pub fn read(value: &Value) -> Result<Self, KeySetError> {
        let set = value.as_object().ok_or(KeySetError::KeysMissing)?;
        if value.to_string().len() > MAX_BYTES {
            return Err(KeySetError::TooLong);
        }
        // Private members still belong to the set that is read: a key that has them verifies nothing (JO-16).
        let keys = KeySet::of_object(set, MAX_KEYS)?;
        let document = public_members(set);
        Ok(Self { bytes: document.to_string().len(), document: Rc::new(document), keys: Rc::new(keys) })
    }

    /// The set as it is kept, in the form of `jwks` (RFC 7591 section 2).
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// The length of the kept set as text.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The keys.
    pub fn key_set(&self) -> &Rc<KeySet> {
        &self.keys
    }
}

impl Serialize for KeysByValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.document.serialize(serializer)
    }
}

impl FromJson for KeysByValue {
    fn from_json(value: &Value) -> Result<Self, ReadError> {
        Self::read(value).map_err(|error| ReadError::new(error.to_string()))
    }
}

fn public_members(set: &Map<String, Value>) -> Value {
    let entries = set.get("keys").and_then(Value::as_array).into_iter().flatten();
    let kept = |entry: &Value| {
        let members = entry.as_object().into_iter().flatten();
        let kept = members.filter(|(name, _)| KEPT_MEMBERS.contains(&name.as_str()));
        Value::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
    };
    json!({ "keys": entries.map(kept).collect::<Vec<_>>() })
}
