//! The evaluation of one request: the rules that were checked, those that the request broke, and those that are in shadow mode. A check
//! finds whether the request breaks a rule. The evaluation decides whether the journey goes on.

use std::cell::RefCell;
use std::rc::Rc;

use super::catalogue::{Rule, Waivability};
use super::mode::{Mode, Modes};
use super::{Document, Refusal};

/// A rule that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The rule.
    pub rule: &'static Rule,
    /// The document in which it was checked, if it was checked in one.
    pub document: Option<Document>,
    /// The result of the check.
    pub outcome: Outcome,
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The request keeps the rule.
    Kept,
    /// The request breaks the rule and is refused for it.
    Refused(Refusal),
    /// The request breaks the rule, and the rule is in shadow mode.
    Shadow(Refusal),
    /// The request breaks the rule, and the rule is off.
    Off,
}

/// The rules that were checked for one request. A clone is cheap and records its checks in the same evaluation.
#[derive(Debug, Clone)]
pub struct Evaluation {
    modes: Rc<Modes>,
    checked: Rc<RefCell<Vec<Checked>>>,
    document: Option<Document>,
}

impl Evaluation {
    /// An evaluation without checks.
    pub fn new(modes: Rc<Modes>) -> Self {
        Self { modes, checked: Rc::default(), document: None }
    }

    /// The same evaluation. Checks through it are recorded for this document.
    pub fn within(&self, document: Document) -> Self {
        Self { document: Some(document), ..self.clone() }
    }

    /// A new evaluation with the same modes. It is for repeated checks that must not be recorded again.
    pub fn aside(&self) -> Self {
        Self { checked: Rc::default(), ..self.clone() }
    }

    /// Records the outcome of checks, in their order. The journey cannot go on without the value, so these rules are binding.
    ///
    /// # Errors
    /// The refusal of the outcome.
    pub fn require<T>(&self, rules: &[&'static Rule], outcome: Result<T, Refusal>) -> Result<T, Refusal> {
        debug_assert!(rules.iter().all(|rule| rule.waivability == Waivability::Binding), "{rules:?} can be set aside");
        match &outcome {
            Ok(_) => self.kept(rules),
            Err(refusal) => self.refused(rules, refusal),
        }
        outcome
    }

    /// Records the outcome of checks, in their order. If the broken rule is set aside, the journey goes on.
    ///
    /// # Errors
    /// The refusal of the outcome, if the rule is enforced.
    pub fn check(&self, rules: &[&'static Rule], outcome: Result<(), Refusal>) -> Result<(), Refusal> {
        self.check_or(rules, outcome, || ())
    }

    /// The same as [`Self::check`], for checks with a value. If the broken rule is set aside, the journey goes on with `fallback`.
    ///
    /// # Errors
    /// The refusal of the outcome, if the rule is enforced.
    pub fn check_or<T>(
        &self,
        rules: &[&'static Rule],
        outcome: Result<T, Refusal>,
        fallback: impl FnOnce() -> T,
    ) -> Result<T, Refusal> {
        match outcome {
            Ok(value) => {
                self.kept(rules);
                Ok(value)
            }
            Err(refusal) if self.sets_aside(rules, &refusal) => Ok(fallback()),
            Err(refusal) => Err(refusal),
        }
    }

    /// Records an early check of a rule that is checked again later. Only a refusal is recorded.
    ///
    /// # Errors
    /// The refusal of the outcome, if the rule is enforced.
    pub fn check_early(&self, outcome: Result<(), Refusal>) -> Result<(), Refusal> {
        match outcome {
            Err(refusal) if self.mode(&refusal) == Mode::Enforce => {
                self.refused(&[], &refusal);
                Err(refusal)
            }
            _ => Ok(()),
        }
    }

    /// The number of recorded checks.
    pub fn length(&self) -> usize {
        self.checked.borrow().len()
    }

    /// Forgets all checks after the first `length`. They were made with a record that was out of date.
    pub fn truncate(&self, length: usize) {
        self.checked.borrow_mut().truncate(length);
    }

    /// Every rule that was checked so far, in the order of the checks.
    pub fn checked(&self) -> Vec<Checked> {
        self.checked.borrow().clone()
    }

    /// The refusals by rules in shadow mode.
    pub fn shadow_refusals(&self) -> Vec<Refusal> {
        let in_shadow = |checked: &Checked| match &checked.outcome {
            Outcome::Shadow(refusal) => Some(refusal.clone()),
            _ => None,
        };
        self.checked.borrow().iter().filter_map(in_shadow).collect()
    }

    fn mode(&self, refusal: &Refusal) -> Mode {
        match refusal.rule.waivability {
            Waivability::Waivable => self.modes.of(refusal.rule.id),
            Waivability::Binding => Mode::Enforce,
        }
    }

    fn kept(&self, rules: &[&'static Rule]) {
        let kept = |rule: &&'static Rule| Checked { rule, document: self.document, outcome: Outcome::Kept };
        self.checked.borrow_mut().extend(rules.iter().map(kept));
    }

    fn refused(&self, rules: &[&'static Rule], refusal: &Refusal) {
        self.broken(rules, refusal, Outcome::Refused(refusal.clone()));
    }

    /// Records a broken rule. The result says whether the journey goes on without the rule. This is a separate function, so that it is
    /// compiled once and not for each type of value.
    fn sets_aside(&self, rules: &[&'static Rule], refusal: &Refusal) -> bool {
        let (outcome, goes_on) = match self.mode(refusal) {
            Mode::Enforce => (Outcome::Refused(refusal.clone()), false),
            Mode::Shadow => (Outcome::Shadow(refusal.clone()), true),
            Mode::Off => (Outcome::Off, true),
        };
        self.broken(rules, refusal, outcome);
        goes_on
    }

    /// The rules before the broken one are recorded as kept. The rules after it were not checked. A broken rule that is not in `rules` was
    /// checked last.
    fn broken(&self, rules: &[&'static Rule], refusal: &Refusal, outcome: Outcome) {
        let before = rules.iter().position(|rule| *rule == refusal.rule).unwrap_or(rules.len());
        self.kept(rules.get(..before).unwrap_or_default());
        let document = refusal.document.or(self.document);
        self.checked.borrow_mut().push(Checked { rule: refusal.rule, document, outcome });
    }
}
