//! Modes: what happens to requests that break a rule. The operator chooses.

use dcr_json::schema::Definitions;
use dcr_json::{ByName, FromJson, ReadError};
use serde_json::{Value, json};

/// What happens to a request that breaks a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// It is refused.
    #[default]
    Enforce,
    /// It passes. The refusal that it would have got is counted and logged.
    Shadow,
    /// It passes. The rule is not logged and not counted.
    Off,
}

/// The modes of all rules.
#[derive(Debug, Clone, Default)]
pub struct Modes {
    /// The mode of every rule that is not in `of_rules`: [`Mode::Enforce`] or [`Mode::Shadow`].
    pub general: Mode,
    /// The modes of single rules, by id.
    pub of_rules: ByName<Mode>,
}

impl Modes {
    /// The mode of the rule with this id.
    pub fn of(&self, id: &str) -> Mode {
        self.of_rules.get(id).copied().unwrap_or(self.general)
    }
}

/// Reads a mode as operators write it. YAML reads a bare `off` as false.
impl FromJson for Mode {
    fn from_json(value: &Value) -> Result<Self, ReadError> {
        match (value.as_bool(), value.as_str()) {
            (Some(false), _) | (_, Some("off")) => Ok(Self::Off),
            (_, Some("shadow")) => Ok(Self::Shadow),
            (_, Some("enforce")) => Ok(Self::Enforce),
            _ => Err(ReadError::new("write off, shadow or enforce")),
        }
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "enum": ["off", "shadow", "enforce", false] })
    }

    fn to_json(&self) -> Option<Value> {
        Some(Value::from(match self {
            Self::Off => "off",
            Self::Shadow => "shadow",
            Self::Enforce => "enforce",
        }))
    }
}
