//! Durations in the form that operators write: `30s`, `5m`, `1h 30m`.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::schema::Definitions;
use super::typed::{FromJson, ReadError, string};

/// The units in milliseconds, the longest first.
const UNITS: [(&str, u64); 5] =
    [("d", 24 * 60 * 60 * 1000), ("h", 60 * 60 * 1000), ("m", 60 * 1000), ("s", 1000), ("ms", 1)];

impl FromJson for Duration {
    fn from_json(value: &Value) -> Result<Self, ReadError> {
        parse(string(value, "a string")?).ok_or_else(|| {
            ReadError::new("write a duration such as \"30s\", \"5m\" or \"1h 30m\", in d, h, m, s and ms")
        })
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "type": "string", "pattern": "^[0-9]+(d|h|m|s|ms)( [0-9]+(d|h|m|s|ms))*$" })
    }

    fn to_json(&self) -> Option<Value> {
        Some(Shown(*self).to_string().into())
    }
}

/// The sum of whole numbers with their units, separated by spaces. `None` for any other text.
fn parse(text: &str) -> Option<Duration> {
    text.split(' ').try_fold(Duration::ZERO, |sum, word| {
        let (number, unit) = word.split_at_checked(word.find(|c: char| !c.is_ascii_digit())?)?;
        let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit)?;
        sum.checked_add(Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(*millis)?))
    })
}

/// Shows a duration in the longest unit in which it is a whole number.
pub struct Shown(pub Duration);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let whole = UNITS.iter().find(|(_, size)| millis >= *size && millis.is_multiple_of(*size));
        let (name, size) = whole.unwrap_or(&("s", 1000));
        write!(f, "{}{name}", millis / size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_what_a_library_reads() {
        for text in ["0s", "10ms", "30s", "5m", "10h", "1h 30m", "36500d", "1d 2h 3m 4s 5ms"] {
            assert_eq!(parse(text), humantime::parse_duration(text).ok(), "{text}");
            assert!(parse(text).is_some(), "{text}");
        }
    }

    #[test]
    fn text_that_is_not_a_duration_is_refused() {
        for text in [
            "",
            " ",
            "5",
            "m",
            "5 m",
            "5m ",
            "-5m",
            "+5m",
            "1.5h",
            "5M",
            "5 fortnights",
            "5mm",
            "213503982335d",
            "99999999999999999999s",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_duration_is_shown_as_it_would_be_written() {
        for text in ["0s", "10ms", "90s", "5m", "25h", "365d"] {
            assert_eq!(Shown(parse(text).unwrap()).to_string(), text);
        }
        assert_eq!(Shown(Duration::from_secs(120)).to_string(), "2m");
    }
}
