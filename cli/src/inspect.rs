//! The content of a token, with times in words, and the demands of a profile on it. Only its signature is verified, if there are keys.

mod expectations;

use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

use dcr_mint::Error;
pub use dcr_mint::inspect::{Inspected, Kind};
use dcr_policy::profile::Profile;
use serde_json::{Map, Value, json};

use self::expectations::{expectations, mismatches};
use crate::signature::{self, Verification};

/// A claim that a profile makes demands on, and its state in the token.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The name of the claim.
    pub claim: String,
    /// The rule's id.
    pub rule: &'static str,
    /// The demand of the profile, for people.
    pub wanted: String,
    /// The state of the claim.
    pub state: State,
}

/// The state of a claim in a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The claim is present and plausible.
    Present,
    /// The claim is absent, and the profile does not require it.
    Absent,
    /// The claim is absent, but the profile requires it.
    Missing,
    /// The claim is present, but its value cannot be right.
    Wrong,
}

/// Compares a token with a profile.
pub trait CompareWithProfile {
    /// The built-in profile that probably belongs to this token: the first one whose software statements are most like this one, or like
    /// the one inside. Without a statement, it is the first profile.
    ///
    /// # Errors
    /// A built-in profile cannot be read. That is a fault of this program.
    fn likely_profile(&self) -> Result<Profile, Error>;

    /// The demands of a profile on a token of this kind, and their states. `now` is in Unix seconds.
    fn findings(&self, profile: &Profile, now: u64) -> Vec<Finding>;

    /// The whole comparison as text for people. `now` is in Unix seconds. Without key sets, signatures are not verified.
    fn report(&self, profile: &Profile, now: u64, key_sets: &[Value]) -> String;

    /// The whole comparison as JSON for programs. `now` is in Unix seconds. Without key sets, signatures are not verified.
    fn to_json(&self, profile: &Profile, now: u64, key_sets: &[Value]) -> Value;
}

impl CompareWithProfile for Inspected {
    fn likely_profile(&self) -> Result<Profile, Error> {
        let statement = match self.kind {
            Kind::SoftwareStatement => Some(self.claims.clone()),
            _ => self.software_statement().map(|statement| statement.claims),
        };
        let unreadable = |name: &str| Error::Content { path: name.into(), problem: "is no profile".into() };
        let profiles = Profile::names().map(|name| Profile::named(name).map_err(|_| unreadable(name)));
        let profiles: Vec<Profile> = profiles.collect::<Result<_, _>>()?;
        let likely = profiles.into_iter().min_by_key(|profile| {
            // `min_by_key` returns the first of several equal ones.
            statement.as_ref().map_or(0, |statement| mismatches(statement, profile))
        });
        likely.ok_or_else(|| unreadable("none"))
    }

    fn findings(&self, profile: &Profile, now: u64) -> Vec<Finding> {
        let finding = |wish: expectations::Wish| {
            let state = match self.claims.get(&wish.claim) {
                None | Some(Value::Null) if wish.demanded => State::Missing,
                None | Some(Value::Null) => State::Absent,
                Some(value) if (wish.plausible)(value) => State::Present,
                Some(_) => State::Wrong,
            };
            Finding { claim: wish.claim, rule: wish.rule, wanted: wish.wanted, state }
        };
        expectations(self, profile, now).into_iter().map(finding).collect()
    }

    fn report(&self, profile: &Profile, now: u64, key_sets: &[Value]) -> String {
        let verification = verification(self, key_sets);
        let signature = match (self.signature_bytes, &verification) {
            (None, _) => "a JSON object, not signed".into(),
            (Some(bytes), None) => format!("not verified; signature of {bytes} bytes"),
            (Some(_), Some(Verification { verifies: true, said })) => said.clone(),
            (Some(_), Some(Verification { verifies: false, .. })) => "the signature does not verify".into(),
        };
        let mut text = format!("{} ({signature})\n", self.kind.name());
        if let Some(Verification { verifies: false, said }) = verification {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "\nSignature\n  {said}");
        }
        if self.is_signed() {
            text.push_str("\nHeader\n");
            write_members(&mut text, &self.header, now);
        }
        text.push_str("\nClaims\n");
        write_members(&mut text, &self.claims, now);
        let findings = self.findings(profile, now);
        if !findings.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "\nProfile {}", profile.name);
            write_findings(&mut text, &findings);
        }
        if let Some(statement) = self.software_statement() {
            let _ = write!(text, "\nInside it: {}", statement.report(profile, now, key_sets));
        }
        text
    }

    fn to_json(&self, profile: &Profile, now: u64, key_sets: &[Value]) -> Value {
        let finding = |finding: &Finding| json!({ "claim": finding.claim, "rule": finding.rule, "wanted": finding.wanted, "state": finding.state.name() });
        json!({
            "kind": self.kind.name(),
            "header": self.header,
            "claims": self.claims,
            "signature_bytes": self.signature_bytes,
            "signature": verification(self, key_sets).map(|found| json!({ "verifies": found.verifies, "said": found.said })),
            "profile": profile.name,
            "findings": self.findings(profile, now).iter().map(finding).collect::<Vec<_>>(),
            "software_statement": self.software_statement().map(|statement| statement.to_json(profile, now, key_sets)),
        })
    }
}

/// `None` if there is nothing to verify, or nothing to verify it with.
fn verification(token: &Inspected, key_sets: &[Value]) -> Option<Verification> {
    let compact = token.compact.as_ref().filter(|_| !key_sets.is_empty())?;
    Some(signature::verify(compact, key_sets))
}

impl State {
    /// The name of the state.
    pub fn name(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Absent => "absent",
            Self::Missing => "missing",
            Self::Wrong => "wrong",
        }
    }

    fn mark(self) -> char {
        match self {
            Self::Present => '✓',
            Self::Absent => '·',
            Self::Missing | Self::Wrong => '✗',
        }
    }
}

fn write_members(text: &mut String, members: &Map<String, Value>, now: u64) {
    let width = members.keys().map(|name| name.chars().count()).max().unwrap_or(0);
    for (name, value) in members {
        let shown = match (name.as_str(), value) {
            ("iat" | "exp" | "nbf", Value::Number(_)) => format!("{value}  {}", time_in_words(name, value, now)),
            ("software_statement", Value::String(statement)) => {
                format!("a JWS of {} characters, see below", statement.len())
            }
            _ => value.to_string(),
        };
        let _ = writeln!(text, "  {:width$}  {}", printable(name), printable(&shown));
    }
}

fn write_findings(text: &mut String, findings: &[Finding]) {
    let width = findings.iter().map(|finding| finding.claim.len()).max().unwrap_or(0);
    for Finding { claim, rule, wanted, state } in findings {
        let note = match state {
            State::Present => String::new(),
            _ => format!("{}: ", state.name()),
        };
        let _ = writeln!(text, "  {} {claim:width$}  {rule}  {note}{wanted}", state.mark());
    }
}

/// `2026-11-20T10:00:00Z, expires in 4 min`
fn time_in_words(claim: &str, value: &Value, now: u64) -> String {
    // There is no text for a time after the year 9999.
    let Some(time) = value.as_u64().filter(|time| *time < 253_402_300_800) else {
        return "not a plausible time".into();
    };
    let date = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(time));
    let distance = in_words(time.abs_diff(now));
    let words = match (claim, time > now) {
        ("exp", true) => format!("expires in {distance}"),
        ("exp", false) => format!("expired {distance} ago"),
        ("iat", true) => format!("issued {distance} in the future"),
        ("iat", false) => format!("issued {distance} ago"),
        (_, true) => format!("not valid for another {distance}"),
        (_, false) => format!("valid since {distance}"),
    };
    format!("{date}, {words}")
}

/// A length of time, in its largest unit.
fn in_words(seconds: u64) -> String {
    const UNITS: [(u64, &str, &str); 4] =
        [(365 * 86_400, "year", "years"), (86_400, "day", "days"), (3600, "hour", "hours"), (60, "min", "min")];
    for (length, one, many) in UNITS {
        match seconds / length {
            0 => (),
            1 => return format!("1 {one}"),
            count => return format!("{count} {many}"),
        }
    }
    format!("{seconds} s")
}

/// Removes control characters, because the text of a token must not control the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{FFFD}' } else { letter }).collect()
}

#[cfg(test)]
mod tests;
