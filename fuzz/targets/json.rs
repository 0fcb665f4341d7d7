//! Compares the strict JSON reader with serde_json. The strict one accepts what serde_json accepts, with an equal value, except repeated
//! members and deep nesting.

#![no_main]

use std::collections::HashSet;
use std::fmt;

use dcr_json::{self as json, JsonError, Value};
use libfuzzer_sys::fuzz_target;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

const DEPTH: usize = 16;

fuzz_target!(|input: &[u8]| {
    let shape = serde_json::from_slice::<Shape>(input).ok();
    let acceptable = shape.filter(|shape| shape.depth <= DEPTH && !shape.repeats_a_member);
    match json::parse(input, DEPTH) {
        Ok(value) => {
            assert!(acceptable.is_some());
            assert_eq!(serde_json::from_slice::<Value>(input).unwrap(), value);
            assert_eq!(json::parse_object(input, DEPTH).is_ok(), value.is_object());
            assert!(json::parse(&json::text(&value), DEPTH).is_ok());
        }
        Err(error) => {
            assert!(acceptable.is_none(), "{error}");
            assert_eq!(error == JsonError::NotUtf8, std::str::from_utf8(input).is_err());
            assert_eq!(json::parse_object(input, DEPTH), Err(error));
        }
    }
});

/// What serde_json has read, without its content.
#[derive(Default)]
struct Shape {
    depth: usize,
    repeats_a_member: bool,
}

impl Shape {
    fn add(&mut self, inner: Self) {
        self.depth = self.depth.max(inner.depth + 1);
        self.repeats_a_member |= inner.repeats_a_member;
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Shape, E> {
        Ok(Shape::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Shape, E> {
        Ok(Shape::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Shape, E> {
        Ok(Shape::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Shape, E> {
        Ok(Shape::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Shape, E> {
        Ok(Shape::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Shape, A::Error> {
        let mut shape = Shape { depth: 1, ..Shape::default() };
        while let Some(item) = items.next_element()? {
            shape.add(item);
        }
        Ok(shape)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Shape, A::Error> {
        let (mut shape, mut names) = (Shape { depth: 1, ..Shape::default() }, HashSet::new());
        while let Some((name, member)) = members.next_entry::<String, Shape>()? {
            shape.repeats_a_member |= !names.insert(name);
            shape.add(member);
        }
        Ok(shape)
    }
}
