//! The content of a token, with times in words, and the demands of a profile on it. Only its signature is verified, if there are keys.

mod expectations;
mod origin;

use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

use dcr_mint::Error;
pub use dcr_mint::inspect::{Inspected, Kind};
use dcr_policy::profile::Profile;
use serde_json::{Map, Value, json};

use self::expectations::expectations;
pub use self::origin::{ECOSYSTEMS, Ecosystem, Fit, Origin};
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
    /// The ecosystem that the token, or the statement inside, comes from. `None` if nothing shows it.
    fn origin(&self) -> Option<Origin>;

    /// The built-in profiles of the token's ecosystem, or all if nothing shows the ecosystem, each with the demands that the token and the
    /// statement inside do not meet.
    ///
    /// # Errors
    /// A built-in profile cannot be read. That is a fault of this program.
    fn fits(&self) -> Result<Vec<Fit>, Error>;

    /// The built-in profile that probably belongs to this token: the first of those with the fewest unmet demands.
    ///
    /// # Errors
    /// As [`fits`](Self::fits).
    fn likely_profile(&self) -> Result<Profile, Error>;

    /// The demands of a profile on a token of this kind, and their states. `now` is in Unix seconds.
    fn findings(&self, profile: &Profile, now: u64) -> Vec<Finding>;

    /// The whole comparison as text for people. `now` is in Unix seconds. Without key sets, signatures are not verified.
    fn report(&self, profile: &Profile, now: u64, key_sets: &[Value]) -> String;

    /// The whole comparison as JSON for programs. `now` is in Unix seconds. Without key sets, signatures are not verified.
    fn to_json(&self, profile: &Profile, now: u64, key_sets: &[Value]) -> Value;
}

impl CompareWithProfile for Inspected {
    fn origin(&self) -> Option<Origin> {
        origin::origin(self)
    }

    fn fits(&self) -> Result<Vec<Fit>, Error> {
        Ok(origin::fits(self, profiles()?))
    }

    fn likely_profile(&self) -> Result<Profile, Error> {
        // `min_by_key` returns the first of several equal ones.
        let likely = self.fits()?.into_iter().min_by_key(|fit| fit.unmet.len());
        likely.map(|fit| fit.profile).ok_or_else(|| unreadable("none"))
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
        let mut text = String::new();
        write_content(&mut text, self, now, key_sets);
        write_origin(&mut text, self);
        write_profile(&mut text, self, profile, now);
        if let Some(statement) = self.software_statement() {
            text.push_str("\nInside it: ");
            write_content(&mut text, &statement, now, key_sets);
            write_profile(&mut text, &statement, profile, now);
        }
        text
    }

    fn to_json(&self, profile: &Profile, now: u64, key_sets: &[Value]) -> Value {
        let mut document = as_json(self, profile, now, key_sets);
        let ecosystem = |origin: Origin| json!({ "name": origin.ecosystem.name, "shown_by": origin.shown_by });
        let fit = |fit: &Fit| json!({ "profile": fit.profile.name, "fits": fit.unmet.is_empty(), "unmet": fit.unmet });
        let more = json!({
            "ecosystem": self.origin().map(ecosystem),
            "profiles": told_fits(self).iter().map(fit).collect::<Vec<_>>(),
            "software_statement": self.software_statement().map(|statement| as_json(&statement, profile, now, key_sets)),
        });
        if let (Value::Object(members), Value::Object(more)) = (&mut document, more) {
            members.extend(more);
        }
        document
    }
}

fn as_json(token: &Inspected, profile: &Profile, now: u64, key_sets: &[Value]) -> Value {
    let finding = |finding: &Finding| json!({ "claim": finding.claim, "rule": finding.rule, "wanted": finding.wanted, "state": finding.state.name() });
    json!({
        "kind": token.kind.name(),
        "header": token.header,
        "claims": token.claims,
        "signature_bytes": token.signature_bytes,
        "signature": verification(token, key_sets).map(|found| json!({ "verifies": found.verifies, "said": found.said })),
        "profile": profile.name,
        "findings": token.findings(profile, now).iter().map(finding).collect::<Vec<_>>(),
    })
}

/// The kind of the token, its signature, its header and its claims.
fn write_content(text: &mut String, token: &Inspected, now: u64, key_sets: &[Value]) {
    let verification = verification(token, key_sets);
    let signature = match (token.signature_bytes, &verification) {
        (None, _) => "a JSON object, not signed".into(),
        (Some(bytes), None) => format!("not verified; signature of {bytes} bytes"),
        (Some(_), Some(Verification { verifies: true, said })) => said.clone(),
        (Some(_), Some(Verification { verifies: false, .. })) => "the signature does not verify".into(),
    };
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(text, "{} ({signature})", token.kind.name());
    if let Some(Verification { verifies: false, said }) = verification {
        let _ = writeln!(text, "\nSignature\n  {said}");
    }
    if token.is_signed() {
        text.push_str("\nHeader\n");
        write_members(text, &token.header, now);
    }
    text.push_str("\nClaims\n");
    write_members(text, &token.claims, now);
}

/// The ecosystem, and the profiles that fit.
fn write_origin(text: &mut String, token: &Inspected) {
    if let Some(Origin { ecosystem, shown_by }) = token.origin() {
        let _ = writeln!(text, "\nEcosystem\n  {}, as {} shows", ecosystem.name, printable(&shown_by));
    }
    let fits = told_fits(token);
    let (fitting, others): (Vec<&Fit>, Vec<&Fit>) = fits.iter().partition(|fit| fit.unmet.is_empty());
    if fits.is_empty() {
        return;
    }
    let names: Vec<&str> = fitting.iter().map(|fit| fit.profile.name.as_str()).collect();
    let names = if names.is_empty() { "none".into() } else { names.join(", ") };
    let _ = writeln!(text, "\nProfiles\n  fits     {names}");
    for Fit { profile, unmet } in others {
        let _ = writeln!(text, "  differs  {}: {}", profile.name, unmet.join(", "));
    }
}

/// The fits of a token on which profiles make demands.
fn told_fits(token: &Inspected) -> Vec<Fit> {
    let fits = match token.kind {
        Kind::SoftwareStatement | Kind::RegistrationRequest | Kind::ClientAssertion => token.fits(),
        Kind::RequestObject | Kind::AccessToken | Kind::IdentityToken | Kind::Other => return Vec::new(),
    };
    // The built-in profiles can be read: the tests read them all.
    fits.unwrap_or_default()
}

fn write_profile(text: &mut String, token: &Inspected, profile: &Profile, now: u64) {
    let findings = token.findings(profile, now);
    if !findings.is_empty() {
        let _ = writeln!(text, "\nProfile {}", profile.name);
        write_findings(text, &findings);
    }
}

fn profiles() -> Result<Vec<Profile>, Error> {
    Profile::names().map(|name| Profile::named(name).map_err(|_| unreadable(name))).collect()
}

fn unreadable(name: &str) -> Error {
    Error::Content { path: name.into(), problem: "is no profile".into() }
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
