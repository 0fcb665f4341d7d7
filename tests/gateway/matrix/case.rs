//! One case: a request and its expected result.

use dcr_cli::client::Tpp;
use dcr_policy::catalogue::{Answer, RULES, Rule};
use dcr_policy::profile::Profile;
use reqwest::RequestBuilder;
use serde_json::Value;

use super::Scene;

/// A request and its expected result.
pub(crate) struct Case {
    /// The broken part, or the value that is still accepted.
    pub(crate) name: String,
    /// The reason of the refusal. `None` if the request is accepted.
    pub(crate) reason: Option<&'static str>,
    /// The HTTP status.
    pub(crate) status: u16,
    /// The `error` of the answer, unless the profile has its own `error` for the rule.
    error: Option<&'static str>,
    /// A member of the answer, and its expected value.
    pub(crate) member: Option<(&'static str, Value)>,
    /// Makes the request.
    pub(crate) shot: Box<dyn Fn(&Scene) -> Shot>,
}

/// One request and the client that sends it.
pub(crate) struct Shot {
    pub(crate) client: Tpp,
    pub(crate) request: RequestBuilder,
}

impl Case {
    /// A request that must be refused.
    pub(crate) fn refused(
        name: impl Into<String>,
        (reason, status, error): (&'static str, u16, &'static str),
        shot: impl Fn(&Scene) -> Shot + 'static,
    ) -> Self {
        Self { name: name.into(), reason: Some(reason), status, error: Some(error), member: None, shot: Box::new(shot) }
    }

    /// A request at the limit that must be accepted.
    pub(crate) fn accepted(name: impl Into<String>, status: u16, shot: impl Fn(&Scene) -> Shot + 'static) -> Self {
        Self { name: name.into(), reason: None, status, error: None, member: None, shot: Box::new(shot) }
    }

    /// The same request. Its answer must have this member.
    pub(crate) fn answering(self, member: &'static str, value: impl Into<Value>) -> Self {
        Self { member: Some((member, value.into())), ..self }
    }

    /// The same request. If the profile allows it, it must be accepted with this status.
    pub(crate) fn accepted_where(self, allowed: bool, status: u16) -> Self {
        if allowed { Self { reason: None, status, error: None, ..self } } else { self }
    }

    /// The rule that it breaks.
    pub(crate) fn rule(&self) -> Option<&'static Rule> {
        RULES.iter().copied().find(|rule| Some(rule.reason) == self.reason)
    }

    /// The `error` of the answer in this profile.
    pub(crate) fn error_in(&self, profile: &Profile) -> Option<&'static str> {
        let shown = self.rule().map(|rule| match rule.answer {
            Answer::SameAs(shown) => shown,
            _ => rule,
        });
        let own_word = shown.and_then(|rule| profile.answers.errors.get(rule.id)).map(|error| error.as_str());
        own_word.or(self.error)
    }
}
