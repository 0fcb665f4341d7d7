//! Prints to the terminal. There are no colours if the output is not a terminal, or with NO_COLOR.

use anstyle::{AnsiColor, Style};
use dcr_mint::inspect::Inspected;
use dcr_parties::client::Answer;
use serde_json::Value;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();

pub(crate) fn title(text: &str) {
    anstream::println!("\n{BOLD}{text}{BOLD:#}\n");
}

pub(crate) fn subtitle(text: &str) {
    anstream::println!("\n{BOLD}{text}{BOLD:#}");
}

pub(crate) fn heading(number: usize, text: &str) {
    anstream::println!("\n{BOLD}{number}  {text}{BOLD:#}");
}

/// One line of the overview: `   store      http://…`.
pub(crate) fn fact(name: &str, value: &str) {
    anstream::println!("   {DIM}{name:<10}{DIM:#} {value}");
}

/// A request: method, URL and a description of the rest.
pub(crate) fn sent(method: &str, url: &str, rest: &str) {
    anstream::println!("   → {method} {url}\n     {DIM}{rest}{DIM:#}");
}

/// An answer, and how long it took.
pub(crate) fn received(answer: &Answer) {
    let style = if answer.is_success() { GOOD } else { BAD };
    let reason = reqwest::StatusCode::from_u16(answer.status).ok();
    let reason = reason.and_then(|status| status.canonical_reason()).unwrap_or_default();
    let milliseconds = answer.elapsed.as_secs_f64() * 1000.0;
    anstream::println!("   ← {style}{} {reason}{style:#}  {DIM}{milliseconds:.1} ms{DIM:#}", answer.status);
}

/// Some members of a JSON object, one on each line. Absent members are left out.
pub(crate) fn members<'a>(names: &[&str], value: impl Fn(&str) -> Option<&'a Value>) {
    let width = names.iter().map(|name| name.len()).max().unwrap_or(0);
    for name in names {
        if let Some(value) = value(name) {
            anstream::println!("       {DIM}{name:<width$}{DIM:#}  {}", shown(value));
        }
    }
}

/// The signature algorithm of a JWT, in a few words.
pub(crate) fn signature_of(token: &str) -> String {
    let Ok(inspected) = Inspected::parse(token) else { return "not a JWT".into() };
    let parameter = |name| inspected.header.get(name).map_or("none".into(), shown);
    format!("{} of {} bytes, {}, kid {}", inspected.kind.name(), token.len(), parameter("alg"), parameter("kid"))
}

pub(crate) fn good(text: &str) {
    anstream::println!("   {GOOD}✓{GOOD:#} {text}");
}

pub(crate) fn bad(text: &str) {
    anstream::println!("   {BAD}✗ {text}{BAD:#}");
}

pub(crate) fn line(text: &str) {
    anstream::println!("{text}");
}

/// A value as text: strings without quotes, lists with commas, and no control characters.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(shown).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    };
    text.chars().filter(|letter| !letter.is_control()).collect()
}
