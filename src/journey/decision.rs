//! The decision of a journey about its request.

use dcr_policy::{ErrorCode, Refusal, Rule};

use super::Answer;

/// What happens to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The gate answers it. The outcome is for metrics and logs. The caller does not see it.
    Answer(Answer, Outcome),
    /// The upstream serves it.
    HandOn(Changes),
}

impl Decision {
    /// The gate does what the request asks, and answers it.
    pub(super) fn allow(answer: Answer) -> Self {
        Self::Answer(answer, Outcome::Allowed)
    }

    /// The upstream serves the unchanged request.
    pub(super) fn hand_on_unchanged() -> Self {
        Self::HandOn(Changes::default())
    }
}

/// The changes to a request before it goes to the upstream. Headers are removed first, then set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Headers that the upstream must not see, in lower case.
    pub removed_headers: Vec<&'static str>,
    /// Headers with their new values, in visible ASCII. Each replaces all headers of the same name.
    pub set_headers: Vec<(&'static str, String)>,
    /// The new body; `None` if it is not changed.
    pub body: Option<Vec<u8>>,
}

/// The outcome of a request that the gate answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The gate did what the request asks.
    Allowed,
    /// The gate refused it because of this rule.
    Denied(&'static Rule),
    /// A service behind the gate failed. This rule says which.
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

    /// The name of the outcome in metrics and logs.
    pub fn name(self) -> &'static str {
        let [allowed, denied, error] = Self::NAMES;
        match self {
            Self::Allowed => allowed,
            Self::Denied(_) => denied,
            Self::Error(_) => error,
        }
    }
}
