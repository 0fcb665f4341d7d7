//! The trail of one request through the rules: which it met, which it broke, and which of those an operator only watches. Checks say what
//! they found; the trail says whether the journey goes on.

use std::cell::RefCell;
use std::rc::Rc;

use dcr_json::{ByName, FromJson, Misfit};
use serde_json::Value;

use super::catalogue::{Force, Rule};
use super::{Document, Refusal};

/// What becomes of a request that breaks a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// It is refused.
    #[default]
    Enforce,
    /// It passes, and what would have refused it is counted and logged.
    Shadow,
    /// It passes; nobody hears of it.
    Off,
}

/// The modes in force: one for all rules, and others for some of them.
#[derive(Debug, Clone, Default)]
pub struct Modes {
    /// Of every rule that has none of its own: [`Mode::Enforce`] or [`Mode::Shadow`].
    pub general: Mode,
    /// Of single rules, by id.
    pub of_rules: ByName<Mode>,
}

impl Modes {
    /// The mode of a rule.
    pub fn of(&self, rule: &Rule) -> Mode {
        self.of_rules.get(rule.id).copied().unwrap_or(self.general)
    }
}

/// A rule that a request met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Met {
    /// The rule.
    pub rule: &'static Rule,
    /// The document it was met in, if it was one.
    pub document: Option<Document>,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a rule that a request met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It held.
    Held,
    /// It is broken, and the request is refused for it.
    Refused(Refusal),
    /// It is broken, and the operator watches it only.
    Watched(Refusal),
    /// It is broken, and switched off.
    Waived,
}

/// The way of one request through the rules. Cheap to clone: clones write into the same trail.
#[derive(Debug, Clone)]
pub struct Trail {
    modes: Rc<Modes>,
    met: Rc<RefCell<Vec<Met>>>,
    document: Option<Document>,
}

impl Trail {
    /// A trail that begins.
    pub fn new(modes: Rc<Modes>) -> Self {
        Self { modes, met: Rc::default(), document: None }
    }

    /// The same trail, inside a document.
    pub fn within(&self, document: Document) -> Self {
        Self { document: Some(document), ..self.clone() }
    }

    /// The outcome of checks, in their order, that later ones depend on: a broken rule ends the journey, whatever its mode.
    ///
    /// # Errors
    /// The outcome's.
    pub fn need<T>(&self, rules: &[&'static Rule], outcome: Result<T, Refusal>) -> Result<T, Refusal> {
        match &outcome {
            Ok(_) => self.held(rules),
            Err(refusal) => self.broken(rules, refusal, Outcome::Refused(refusal.clone())),
        }
        outcome
    }

    /// The outcome of checks that nothing depends on: where the broken rule is watched or off, the journey goes on.
    ///
    /// # Errors
    /// The outcome's, where the rule is enforced.
    pub fn hold(&self, rules: &[&'static Rule], outcome: Result<(), Refusal>) -> Result<(), Refusal> {
        self.hold_or(rules, outcome, || ())
    }

    /// The same for a check with a value; `fallback` is what the journey goes on with.
    ///
    /// # Errors
    /// The outcome's, where the rule is enforced.
    pub fn hold_or<T>(
        &self,
        rules: &[&'static Rule],
        outcome: Result<T, Refusal>,
        fallback: impl FnOnce() -> T,
    ) -> Result<T, Refusal> {
        let Err(refusal) = outcome else { return self.need(rules, outcome) };
        match self.mode(&refusal) {
            Mode::Enforce => self.need(rules, Err(refusal)),
            Mode::Shadow => {
                self.broken(rules, &refusal, Outcome::Watched(refusal.clone()));
                Ok(fallback())
            }
            Mode::Off => {
                self.broken(rules, &refusal, Outcome::Waived);
                Ok(fallback())
            }
        }
    }

    /// An early look at what is checked again later: all that it leaves on the trail is a refusal.
    ///
    /// # Errors
    /// The outcome's, where the rule is enforced.
    pub fn foresee(&self, outcome: Result<(), Refusal>) -> Result<(), Refusal> {
        match outcome {
            Err(refusal) if self.mode(&refusal) == Mode::Enforce => self.need(&[], Err(refusal)),
            _ => Ok(()),
        }
    }

    /// How far the trail goes by now.
    pub fn length(&self) -> usize {
        self.met.borrow().len()
    }

    /// Forgets what was met after the trail had this length: it was judged by something that turned out to be old.
    pub fn cut(&self, length: usize) {
        self.met.borrow_mut().truncate(length);
    }

    /// Every rule met so far, in the order of the checks.
    pub fn met(&self) -> Vec<Met> {
        self.met.borrow().clone()
    }

    /// The refusals that are only watched.
    pub fn watched(&self) -> Vec<Refusal> {
        let of = |met: &Met| match &met.outcome {
            Outcome::Watched(refusal) => Some(refusal.clone()),
            _ => None,
        };
        self.met.borrow().iter().filter_map(of).collect()
    }

    fn mode(&self, refusal: &Refusal) -> Mode {
        match refusal.rule.force {
            Force::Waivable => self.modes.of(refusal.rule),
            Force::Binding => Mode::Enforce,
        }
    }

    fn held(&self, rules: &[&'static Rule]) {
        let held = |rule: &&'static Rule| Met { rule, document: self.document, outcome: Outcome::Held };
        self.met.borrow_mut().extend(rules.iter().map(held));
    }

    /// The rules before the broken one held; those after it were not reached. One that is not among them was met last.
    fn broken(&self, rules: &[&'static Rule], refusal: &Refusal, outcome: Outcome) {
        let before = rules.iter().take_while(|rule| **rule != refusal.rule);
        self.held(&before.copied().collect::<Vec<_>>());
        let document = refusal.document.or(self.document);
        self.met.borrow_mut().push(Met { rule: refusal.rule, document, outcome });
    }
}

/// As operators write it. YAML reads a bare `off` as false.
impl FromJson for Mode {
    fn from_json(value: &Value) -> Result<Self, Misfit> {
        match (value.as_bool(), value.as_str()) {
            (Some(false), _) | (_, Some("off")) => Ok(Self::Off),
            (_, Some("shadow")) => Ok(Self::Shadow),
            (_, Some("enforce")) => Ok(Self::Enforce),
            _ => Err(Misfit::new("write off, shadow or enforce")),
        }
    }
}
