//! All faults of a document. The filter's reader stops at the first one. So it is asked, the value that it refuses is put right, and it is
//! asked again. What it says is what Envoy's log would say.

use dcr_gate::config::Config;
use serde_json::{Map, Value};

use super::schema::{Schema, Subschema, first_sentence};

/// The most faults that are told of one document.
const MOST: usize = 100;

/// A fault of a document.
pub(super) struct Fault {
    /// The path in the document; `.` means the whole document.
    pub(super) path: String,
    pub(super) problem: String,
    /// What to do. It is empty if the problem says it.
    pub(super) cure: String,
}

/// The faults of a document, and its configuration with the faults put right. `None` if that cannot be done; there may be more faults then.
pub(super) fn faults(document: &Value, schema: &Schema) -> (Vec<Fault>, Option<Config>) {
    let (mut rest, mut faults, mut refused) = (document.clone(), Vec::new(), Vec::<String>::new());
    while refused.len() < MOST {
        let error = match Config::from_value(rest.clone()) {
            Ok(config) => return (faults, Some(config)),
            Err(error) => error,
        };
        let path = error.path.trim_end_matches('.');
        let times = refused.iter().filter(|known| *known == path).count();
        refused.push(path.to_owned());
        let missing = add_missing(&mut rest, path, schema);
        if !missing.is_empty() {
            faults.extend(missing);
            continue;
        }
        if times == 0 {
            let cure = schema.cure(path, &error.problem);
            faults.push(Fault { path: shown(path), problem: error.problem, cure });
        }
        if times > 1 || !mend(&mut rest, path, times, schema) {
            break;
        }
    }
    (faults, None)
}

fn shown(path: &str) -> String {
    if path.is_empty() { ".".to_owned() } else { path.to_owned() }
}

/// Adds the required members that the object at a path does not have. Each is a fault.
fn add_missing(document: &mut Value, path: &str, schema: &Schema) -> Vec<Fault> {
    let subschema = schema.at(path);
    let (Some(subschema), Some(Value::Object(members))) = (subschema, value_at_mut(document, path)) else {
        return Vec::new();
    };
    let mut faults = Vec::new();
    for name in subschema.required() {
        let Some(member) = subschema.member(name).filter(|_| !members.contains_key(name)) else { continue };
        members.insert(name.to_owned(), member.sample());
        faults.push(Fault {
            path: super::member(path, name),
            problem: "is missing".to_owned(),
            cure: format!("write {}: {}", member.kind(), first_sentence(member.description())),
        });
    }
    faults
}

/// Puts the value at a path right. `times` says how often that was tried before. `false` if nothing can be done.
fn mend(document: &mut Value, path: &str, times: usize, schema: &Schema) -> bool {
    let (around, step) = last_step(path);
    let (Some(outer), Some(place)) = (schema.at(around), value_at_mut(document, around)) else { return false };
    match (place, step.strip_prefix('[').and_then(|index| index.strip_suffix(']'))) {
        (Value::Array(elements), Some(index)) => {
            let element = index.parse::<usize>().ok().and_then(|index| elements.get_mut(index));
            let (Some(element), Some(subschema)) = (element, outer.element()) else { return false };
            *element = subschema.sample();
            true
        }
        (Value::Object(members), None) => mend_member(members, step, times, &outer),
        _ => false,
    }
}

fn mend_member(members: &mut Map<String, Value>, name: &str, times: usize, outer: &Subschema<'_>) -> bool {
    let Some(subschema) = outer.member(name) else { return members.shift_remove(name).is_some() };
    let is_required = outer.required().any(|required| required == name);
    let bounded = members.get(name).and_then(|value| subschema.bounded(value));
    if let Some(bounded) = bounded {
        members.insert(name.to_owned(), bounded);
    } else if is_required || subschema.has_example() {
        let sample = subschema.sample();
        // A name that has to be another one than that of its neighbour.
        let sample = match sample.as_str().filter(|_| times > 0) {
            Some(text) => format!("{text} {}", members.len() + times).into(),
            None => sample,
        };
        members.insert(name.to_owned(), sample);
    } else {
        return members.shift_remove(name).is_some();
    }
    true
}

/// The value at a path.
pub(super) fn value_at<'a>(document: &'a Value, path: &str) -> Option<&'a Value> {
    if path.is_empty() {
        return Some(document);
    }
    let (step, rest) = first_step(path);
    match step.strip_prefix('[').and_then(|index| index.strip_suffix(']')) {
        Some(index) => value_at(document.get(index.parse::<usize>().ok()?)?, rest),
        None => value_at(document.get(step)?, rest),
    }
}

fn value_at_mut<'a>(document: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    if path.is_empty() {
        return Some(document);
    }
    let (step, rest) = first_step(path);
    match step.strip_prefix('[').and_then(|index| index.strip_suffix(']')) {
        Some(index) => value_at_mut(document.get_mut(index.parse::<usize>().ok()?)?, rest),
        None => value_at_mut(document.get_mut(step)?, rest),
    }
}

/// The first step of a path, a name or an index in brackets, and the rest.
pub(super) fn first_step(path: &str) -> (&str, &str) {
    let end = match path.strip_prefix('[') {
        Some(rest) => rest.find(']').map_or(path.len(), |end| end + 2),
        None => path.find(['.', '[']).unwrap_or(path.len()),
    };
    let (step, rest) = path.split_at_checked(end).unwrap_or((path, ""));
    (step, rest.strip_prefix('.').unwrap_or(rest))
}

/// What is around the last step of a path, and the step.
fn last_step(path: &str) -> (&str, &str) {
    match path.rfind(['.', '[']).and_then(|start| path.split_at_checked(start)) {
        Some((around, step)) => (around, step.strip_prefix('.').unwrap_or(step)),
        None => ("", path),
    }
}
