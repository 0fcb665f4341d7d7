//! YAML with the lines of its values. JSON is YAML too.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;

/// A value and its line.
#[derive(Debug)]
pub(super) struct Node {
    /// Counted from 1.
    pub(super) line: u64,
    pub(super) content: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    Scalar(Value),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// The documents of a text, each with a name for people if there are several or if it is a manifest.
pub(super) fn read(text: &str) -> Result<Vec<(String, Node)>, String> {
    let mut documents = nodes(text)?;
    documents.iter_mut().for_each(Node::open);
    let several = documents.len() > 1;
    let name = |(i, node): (usize, &Node)| match node.get("kind").and_then(Node::text) {
        Some(kind) => {
            let name = node.get("metadata").and_then(|metadata| metadata.get("name")).and_then(Node::text);
            format!("{kind} {}: ", name.unwrap_or("without a name"))
        }
        None if several => format!("document {}: ", i + 1),
        None => String::new(),
    };
    let names: Vec<String> = documents.iter().enumerate().map(name).collect();
    Ok(names.into_iter().zip(documents).collect())
}

fn nodes(text: &str) -> Result<Vec<Node>, String> {
    let documents = serde_saphyr::from_multiple::<Spanned<Content>>(text).map_err(|error| error.to_string())?;
    Ok(documents.into_iter().map(Node::from).collect())
}

impl Node {
    /// A member of a map.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        self.members().find(|(known, _)| *known == name).map(|(_, node)| node)
    }

    pub(super) fn members(&self) -> impl Iterator<Item = (&str, &Self)> {
        let members: &[(String, Self)] = if let Content::Map(members) = &self.content { members } else { &[] };
        members.iter().map(|(name, node)| (name.as_str(), node))
    }

    pub(super) fn elements(&self) -> impl Iterator<Item = &Self> {
        let elements: &[Self] = if let Content::List(elements) = &self.content { elements } else { &[] };
        elements.iter()
    }

    pub(super) fn scalar(&self) -> Option<&Value> {
        if let Content::Scalar(value) = &self.content { Some(value) } else { None }
    }

    pub(super) fn text(&self) -> Option<&str> {
        self.scalar().and_then(Value::as_str)
    }

    pub(super) fn to_value(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::List(elements) => elements.iter().map(Self::to_value).collect(),
            Content::Map(members) => {
                Value::Object(members.iter().map(|(name, node)| (name.clone(), node.to_value())).collect::<Map<_, _>>())
            }
        }
    }

    /// The line of the value at a path, or of the nearest value around it.
    pub(super) fn line_of(&self, path: &str) -> u64 {
        let (step, rest) = super::faults::first_step(path);
        let inner = match step.strip_prefix('[').and_then(|index| index.strip_suffix(']')) {
            Some(index) => index.parse().ok().and_then(|index| self.elements().nth(index)),
            None => self.get(step),
        };
        inner.map_or(self.line, |inner| if rest.is_empty() { inner.line } else { inner.line_of(rest) })
    }

    /// All buffer limits in a document, in bytes.
    pub(super) fn buffer_limits(&self) -> Vec<usize> {
        let own =
            self.members().filter(|(name, _)| ["per_connection_buffer_limit_bytes", "bufferLimit"].contains(name));
        let own = own.filter_map(|(_, node)| bytes(node.scalar()?));
        let inner = self.members().map(|(_, node)| node).chain(self.elements()).flat_map(Self::buffer_limits);
        own.chain(inner).collect()
    }

    /// Reads texts that are configurations of Envoy, as in a ConfigMap. Their values have the line of the text.
    fn open(&mut self) {
        let opened = match &mut self.content {
            Content::Scalar(Value::String(text)) if text.contains(super::parts::WASM) && text.contains(':') => {
                nodes(text)
                    .ok()
                    .and_then(|nodes| nodes.into_iter().find(|node| matches!(node.content, Content::Map(_))))
            }
            Content::Scalar(_) => None,
            Content::List(elements) => return elements.iter_mut().for_each(Self::open),
            Content::Map(members) => return members.iter_mut().for_each(|(_, node)| node.open()),
        };
        if let Some(mut opened) = opened {
            opened.set_line(self.line);
            *self = opened;
        }
    }

    fn set_line(&mut self, line: u64) {
        self.line = line;
        match &mut self.content {
            Content::Scalar(_) => {}
            Content::List(elements) => elements.iter_mut().for_each(|node| node.set_line(line)),
            Content::Map(members) => members.iter_mut().for_each(|(_, node)| node.set_line(line)),
        }
    }
}

/// A number, or a quantity of Kubernetes such as `64Ki`.
fn bytes(value: &Value) -> Option<usize> {
    if let Some(number) = value.as_u64() {
        return number.try_into().ok();
    }
    let text = value.as_str()?;
    let units = [
        ("Ki", 1024),
        ("Mi", 1024 * 1024),
        ("Gi", 1 << 30),
        ("k", 1000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("", 1),
    ];
    units.iter().find_map(|(unit, size)| text.strip_suffix(unit)?.parse::<usize>().ok()?.checked_mul(*size))
}

impl From<Spanned<Content>> for Node {
    fn from(spanned: Spanned<Content>) -> Self {
        Self { line: spanned.referenced.line(), content: spanned.value }
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Content, E> {
        Ok(Content::Scalar(Number::from_f64(value).map_or(Value::Null, Value::Number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Content, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = items.next_element::<Spanned<Content>>()? {
            elements.push(element.into());
        }
        Ok(Content::List(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Content, A::Error> {
        let mut members = Vec::new();
        while let Some((name, value)) = entries.next_entry::<Spanned<String>, Spanned<Content>>()? {
            // What is wrong in a value that begins on the next line is looked for at its name.
            let node = Node { line: name.referenced.line().max(1), content: value.value };
            members.push((name.value, node));
        }
        Ok(Content::Map(members))
    }
}
