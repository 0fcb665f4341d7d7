//! A small map from names to values.

use serde_json::{Value, json};

use super::schema::Definitions;
use super::typed::{Blank, FromJson, Members, ReadError};

/// Values by name, in the order of their names. It works like a `BTreeMap`, which would add 2 KB of code to the module for each type of
/// value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByName<T>(Vec<(String, T)>);

impl<T> ByName<T> {
    /// An empty map.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The value with this name.
    pub fn get(&self, name: &str) -> Option<&T> {
        let place = self.place(name).ok()?;
        self.0.get(place).map(|(_, value)| value)
    }

    /// Adds a value. It replaces a value with the same name.
    pub fn insert(&mut self, name: String, value: T) {
        match self.place(&name) {
            Ok(place) => {
                if let Some(known) = self.0.get_mut(place) {
                    known.1 = value;
                }
            }
            Err(place) => self.0.insert(place, (name, value)),
        }
    }

    /// All names and values, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &T)> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    /// All values, in the order of their names.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|(_, value)| value)
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.as_str().cmp(name))
    }
}

impl<T> Default for ByName<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> IntoIterator for ByName<T> {
    type Item = (String, T);
    type IntoIter = std::vec::IntoIter<(String, T)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<T> Blank for ByName<T> {
    fn blank() -> Self {
        Self::new()
    }
}

impl<T: FromJson> FromJson for ByName<T> {
    fn from_json(value: &Value) -> Result<Self, ReadError> {
        let mut read = Self::new();
        for (name, value) in Members::of(value, "a map")?.iter() {
            read.insert(name.clone(), T::from_json(value).map_err(|error| error.at_member(name))?);
        }
        Ok(read)
    }

    fn schema(definitions: &mut Definitions) -> Value {
        json!({ "type": "object", "additionalProperties": T::schema(definitions) })
    }

    fn to_json(&self) -> Option<Value> {
        self.iter().map(|(name, value)| Some((name.clone(), value.to_json()?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_value_and_its_place() {
        let mut numbers = ByName::new();
        for (name, number) in [("b", 1), ("c", 2), ("a", 3), ("c", 4)] {
            numbers.insert(name.to_owned(), number);
        }
        assert_eq!((numbers.get("c"), numbers.get("d")), (Some(&4), None));
        assert_eq!(numbers.values().collect::<Vec<_>>(), [&3, &1, &4]);
        assert_eq!(numbers.into_iter().map(|(name, _)| name).collect::<String>(), "abc");
    }
}
