//! The schema of the configuration: what each member means.

use std::fmt::Write;

use dcr_policy::catalogue::RULES;
use dcr_policy::profile::Profile;
use serde_json::{Map, Value};

use super::faults::first_step;

/// The schema, as JSON. `make docs` makes it from the declarations by which the filter reads its configuration.
pub const TEXT: &str = include_str!("../../../docs/configuration.schema.json");

/// The schema of the configuration.
pub struct Schema(Value);

impl Schema {
    /// The schema that belongs to this version of the filter.
    pub fn shipped() -> Self {
        Self(serde_json::from_str(TEXT).unwrap_or_default())
    }

    /// The schema of the member at a path such as `directories[0].cluster`. The brackets may be empty, or left out.
    pub(super) fn at(&self, path: &str) -> Option<Subschema<'_>> {
        let root = Subschema { root: &self.0, schema: self.0.as_object()? };
        steps(path).try_fold(root, |outer, step| match step.starts_with('[') {
            true => outer.element(),
            false => outer.member(step).or_else(|| outer.element()?.member(step)),
        })
    }

    /// What to do about a problem of the member at a path. It is empty if the reader said it.
    pub(super) fn cure(&self, path: &str, problem: &str) -> String {
        let Some(member) = self.at(path) else {
            return self.near(path).first().map_or_else(String::new, |near| format!("did you mean {near}?"));
        };
        let says_what = problem.starts_with("write ") || problem.contains("expected one of");
        let of_profile = if path == "profile" { ". Until then the rest is checked with the first of them" } else { "" };
        match says_what && of_profile.is_empty() {
            true => String::new(),
            false => format!("write {}{of_profile}", member.kind()),
        }
    }

    /// The paths that are almost this one, the nearest first.
    fn near(&self, path: &str) -> Vec<String> {
        let (mut known, mut walked) = (Vec::new(), String::new());
        for step in steps(path) {
            let next = super::member(&walked, step);
            if self.at(&next).is_none() {
                let Some(around) = self.at(&walked) else { break };
                let around = around.element().filter(|_| around.names().is_empty()).unwrap_or(around);
                let names = around.names();
                let mut distances: Vec<_> =
                    names.iter().map(|name| (strsim::damerau_levenshtein(name, step), *name)).collect();
                distances.retain(|(distance, name)| *distance <= name.len().max(step.len()) / 3);
                distances.sort_unstable();
                known.extend(distances.into_iter().map(|(_, name)| super::member(&walked, name)));
                break;
            }
            walked = next;
        }
        known
    }

    /// What the member at a path means, for people.
    ///
    /// # Errors
    /// There is no such member. The text says which are near.
    pub fn explain(&self, path: &str) -> Result<String, String> {
        let member = self.at(path).ok_or_else(|| {
            let near = match self.near(path) {
                near if near.is_empty() => "dcr config explain lists all".to_owned(),
                near => format!("did you mean {}?", near.into_iter().take(3).collect::<Vec<_>>().join(" or ")),
            };
            format!("there is no member {path}: {near}")
        })?;
        let mut text = if path.is_empty() { String::new() } else { format!("{path}\n") };
        for paragraph in member.description().split("\n\n") {
            let _ = writeln!(text, "  {paragraph}");
        }
        if member.names().is_empty() || !path.is_empty() {
            let _ = writeln!(text, "\n  type     {}", member.kind());
        }
        if let Some(default) = member.keyword("default") {
            let _ = writeln!(text, "  default  {default}");
        }
        for (value, names) in defaults_of_profiles(path) {
            let _ = writeln!(text, "  default  {value} in {}", names.join(", "));
        }
        for rule in rules(member.description()) {
            let _ = writeln!(text, "  rule     {rule}");
        }
        let required: Vec<&str> = member.required().collect();
        let names = member.names();
        let width = names.iter().map(|name| name.len()).max().unwrap_or_default();
        for (i, name) in names.iter().enumerate() {
            if i == 0 {
                text.push_str(if path.is_empty() { "" } else { "\n  members:\n" });
            }
            let about = member.member(name).map_or("", |inner| first_sentence(inner.description()));
            let is_required = if required.contains(name) { "required. " } else { "" };
            let _ = writeln!(text, "  {name:width$}  {is_required}{about}");
        }
        Ok(text)
    }
}

/// The part of the schema about one member.
pub(super) struct Subschema<'a> {
    root: &'a Value,
    schema: &'a Map<String, Value>,
}

impl<'a> Subschema<'a> {
    /// This schema, then those that it refers to.
    fn facets(&self) -> Vec<&'a Map<String, Value>> {
        let mut facets = vec![self.schema];
        let mut i = 0;
        while let Some(facet) = facets.get(i).copied() {
            let referred = facet.get("$ref").and_then(Value::as_str).and_then(|place| place.strip_prefix('#'));
            let referred = referred.and_then(|place| self.root.pointer(place));
            let any = facet.get("anyOf").and_then(Value::as_array).into_iter().flatten();
            facets.extend(any.chain(referred).filter_map(Value::as_object));
            i += 1;
        }
        facets
    }

    fn keyword(&self, name: &str) -> Option<&'a Value> {
        self.facets().into_iter().find_map(|facet| facet.get(name))
    }

    fn of(&self, schema: &'a Value) -> Option<Self> {
        Some(Self { root: self.root, schema: schema.as_object()? })
    }

    pub(super) fn member(&self, name: &str) -> Option<Self> {
        let mut facets = self.facets().into_iter();
        let named = facets.find_map(|facet| self.of(facet.get("properties")?.get(name)?));
        named.or_else(|| self.facets().into_iter().find_map(|facet| self.of(facet.get("additionalProperties")?)))
    }

    pub(super) fn element(&self) -> Option<Self> {
        self.keyword("items").and_then(|items| self.of(items))
    }

    /// The names of the members, in the order of their declaration.
    fn names(&self) -> Vec<&'a str> {
        let mut names = Vec::new();
        for facet in self.facets() {
            for (name, schema) in facet.get("properties").and_then(Value::as_object).into_iter().flatten() {
                if schema.is_object() && !names.contains(&name.as_str()) {
                    names.push(name.as_str());
                }
            }
        }
        names
    }

    /// The members that must be there. Those of one alternative among several need not be.
    pub(super) fn required(&self) -> impl Iterator<Item = &'a str> {
        let own = self.schema.get("$ref").and_then(Value::as_str).and_then(|place| place.strip_prefix('#'));
        let referred = own.and_then(|place| self.root.pointer(place)).and_then(Value::as_object);
        let facets = [Some(self.schema), referred].into_iter().flatten();
        let names = facets.filter_map(|facet| facet.get("required")?.as_array()).flatten();
        let mut names: Vec<&str> = names.filter_map(Value::as_str).collect();
        names.dedup();
        names.into_iter()
    }

    pub(super) fn description(&self) -> &'a str {
        self.keyword("description").and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn has_example(&self) -> bool {
        self.keyword("examples").is_some()
    }

    /// A value that fits.
    pub(super) fn sample(&self) -> Value {
        let known = self.keyword("examples").and_then(|examples| examples.get(0));
        let known = known.or_else(|| self.keyword("default")).or_else(|| self.keyword("enum")?.get(0));
        if let Some(known) = known {
            return known.clone();
        }
        match self.keyword("type").and_then(Value::as_str) {
            Some("object") => {
                let sample = |name: &'a str| Some((name.to_owned(), self.member(name)?.sample()));
                Value::Object(self.required().filter_map(sample).collect())
            }
            Some("array") => {
                let least = if self.keyword("minItems").is_some() { 1 } else { 0 };
                self.element().iter().take(least).map(Self::sample).collect()
            }
            Some("integer") => self.keyword("minimum").cloned().unwrap_or_else(|| 0.into()),
            Some("boolean") => false.into(),
            _ if self.is_duration() => "60s".into(),
            _ => "text".into(),
        }
    }

    /// A number that is out of bounds, at the nearest bound. `None` for any other value.
    pub(super) fn bounded(&self, value: &Value) -> Option<Value> {
        let number = value.as_u64()?;
        let bound = |name| self.keyword(name).and_then(Value::as_u64);
        let (least, most) = (bound("minimum")?, bound("maximum")?);
        (least <= most && !(least..=most).contains(&number)).then(|| number.clamp(least, most).into())
    }

    fn is_duration(&self) -> bool {
        self.keyword("pattern").and_then(Value::as_str).is_some_and(|pattern| pattern.contains("d|h|m|s|ms"))
    }

    /// What a value is, with its bounds, for people: `a whole number from 1 to 98304`.
    pub(super) fn kind(&self) -> String {
        let bound = |name| self.keyword(name).and_then(Value::as_u64);
        if let Some(names) = self.keyword("enum").and_then(Value::as_array) {
            let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
            let or_object = if self.names().is_empty() { "" } else { ", or an object" };
            return match names.as_slice() {
                [only] => format!("{only}{or_object}"),
                names => format!("one of {}{or_object}", names.join(", ")),
            };
        }
        let of_type = self.facets().into_iter().find_map(|facet| facet.get("type").and_then(Value::as_str));
        match of_type {
            Some("integer") => match (bound("minimum"), bound("maximum")) {
                (Some(least), Some(most)) => format!("a whole number from {least} to {most}"),
                (_, Some(most)) => format!("a whole number up to {most}"),
                _ => "a whole number".to_owned(),
            },
            Some("boolean") => "true or false".to_owned(),
            Some("array") => {
                let of = self.element().map_or_else(|| "values".to_owned(), |element| element.kind());
                let at_least = if bound("minItems").is_some() { ", at least one" } else { "" };
                format!("a list, each entry {of}{at_least}")
            }
            Some("object") => "an object".to_owned(),
            _ if self.is_duration() => match self.description().split_once("From ") {
                Some((_, bounds)) => {
                    format!("a duration such as \"30s\" or \"1h 30m\", from {}", bounds.trim_end_matches('.'))
                }
                None => "a duration such as \"30s\" or \"1h 30m\"".to_owned(),
            },
            _ => "a text".to_owned(),
        }
    }
}

fn steps(path: &str) -> impl Iterator<Item = &str> {
    let mut rest = path;
    std::iter::from_fn(move || {
        let (step, after) = if rest.is_empty() { return None } else { first_step(rest) };
        rest = after;
        Some(step)
    })
}

/// The first sentence of a text.
pub(super) fn first_sentence(text: &str) -> &str {
    let end = text.find(". ").or_else(|| text.find(".\n")).map_or(text.len(), |end| end + 1);
    text.get(..end).unwrap_or(text)
}

/// The rules that a text names, each with its reason.
fn rules(text: &str) -> Vec<String> {
    let mut rules: Vec<String> = Vec::new();
    for rule in RULES {
        let line = format!("{} {}", rule.id, rule.reason);
        if text.contains(rule.id) && !rules.iter().any(|known| known.starts_with(rule.id)) {
            rules.push(line);
        }
    }
    rules
}

/// The values of a member in the profiles, if the profile gives its default: each with the profiles that have it.
fn defaults_of_profiles(path: &str) -> Vec<(Value, Vec<&'static str>)> {
    let plain: Vec<&str> = steps(path).filter(|step| !step.starts_with('[')).collect();
    let in_profile: Vec<&str> = match plain.as_slice() {
        ["directories", "statements", members @ ..] => ["software_statement"].iter().chain(members).copied().collect(),
        ["clock_skew"]
        | ["paths", _]
        | ["registration", "audiences" | "single_registration" | "max_lifetime"]
        | ["client_assertion", _]
        | ["access_token", _] => plain.clone(),
        _ => return Vec::new(),
    };
    let pointer = format!("/{}", in_profile.join("/"));
    let mut defaults: Vec<(Value, Vec<&'static str>)> = Vec::new();
    for name in Profile::names() {
        let Some(value) = Profile::document(name).ok().and_then(|profile| profile.pointer(&pointer).cloned()) else {
            continue;
        };
        match defaults.iter_mut().find(|(known, _)| *known == value) {
            Some((_, names)) => names.push(name),
            None => defaults.push((value, vec![name])),
        }
    }
    defaults
}
