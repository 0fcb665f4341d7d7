//! What a journey decides about a request.

use dcr_policy::{ErrorCode, Refusal, Rule};

use super::Answer;

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The gate answers it. The outcome is for the operator, not for the caller.
    Answer(Answer, Outcome),
    /// The upstream serves it.
    HandOn(Changes),
}

impl Decision {
    /// The gate answers as the request asked.
    pub(super) fn allow(answer: Answer) -> Self {
        Self::Answer(answer, Outcome::Allowed)
    }

    /// The upstream serves the request as it came.
    pub(super) fn hand_on_unchanged() -> Self {
        Self::HandOn(Changes::default())
    }
}

/// How a request differs from the one that came, when it goes to the upstream. Headers are removed first, then set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Headers that the upstream must not see, in lower case.
    pub removed_headers: Vec<&'static str>,
    /// Headers with the value they get, in visible ASCII; each replaces all of its name.
    pub set_headers: Vec<(&'static str, String)>,
    /// The body, where it changed.
    pub body: Option<Vec<u8>>,
}

/// What became of a request that the gate answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is answered as it asked.
    Allowed,
    /// It is refused, by this rule.
    Denied(&'static Rule),
    /// A service behind the gate failed, by this rule.
    Error(&'static Rule),
}

impl Outcome {
    /// The names of all outcomes, in metrics and logs.
    pub const NAMES: [&'static str; 3] = ["allowed", "denied", "error"];

    /// The outcome of a refused request.
    pub fn of(refusal: &Refusal) -> Self {
        match refusal.error() {
            ErrorCode::TemporarilyUnavailable => Self::Error(refusal.rule),
            _ => Self::Denied(refusal.rule),
        }
    }

    /// Its name in metrics and logs.
    pub fn name(self) -> &'static str {
        let [allowed, denied, error] = Self::NAMES;
        match self {
            Self::Allowed => allowed,
            Self::Denied(_) => denied,
            Self::Error(_) => error,
        }
    }
}
