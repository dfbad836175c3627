//! Durations as people write them: `250ms`, `10s`, `24h`, `7d`, `1h30m`.
//!
//! Promises: a unit is demanded, a bare number is an error; what is printed parses to the same value.
//!
//! # Why so few units
//!
//! humantime also reads `1M` as a month and `1y` as 365.25 days. Nobody who types `1M` into a retry means a month, so
//! only units with one meaning are accepted, in their short form.

use std::fmt;
use std::str::FromStr;
use std::time;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::format::DURATION;

/// The longest duration accepted, about ten years: a clock plus any of them cannot overflow.
pub const DURATION_MAX: Duration = Duration(time::Duration::from_hours(24 * 3650));

/// Units in the order in which they are printed, with their milliseconds.
const UNITS: [(&str, u128); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// A length of time with a unit, in whole milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(time::Duration);

/// Why a text is no duration. Each message says what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Digits alone.
    #[error("\"{0}\" has no unit; write {0}s")]
    NoUnit(String),
    /// Understood, but spelt in a way that is not accepted.
    #[error("\"{given}\" is not written that way; write {meant}")]
    Spelling {
        /// What was written.
        given: String,
        /// The accepted spelling of the same value.
        meant: Duration,
    },
    /// Not understood.
    #[error("\"{0}\" is no duration; write whole numbers with a unit: 250ms, 10s, 5m, 24h, 7d")]
    Shape(String),
    /// Longer than [`DURATION_MAX`].
    #[error("\"{0}\" is too long; write at most 3650d")]
    TooLong(String),
}

// === impl Duration ===

impl Duration {
    /// A duration of whole seconds, for defaults.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(time::Duration::from_secs(secs))
    }

    /// A duration of whole milliseconds, for defaults.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(time::Duration::from_millis(millis))
    }

    /// The value for the rest of the program.
    #[must_use]
    pub const fn get(self) -> time::Duration {
        self.0
    }
}

impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(DurationError::NoUnit(text.to_owned()));
        }
        let parsed = match humantime::parse_duration(text) {
            Ok(parsed) => Self(parsed),
            Err(humantime::DurationError::NumberOverflow) => return Err(DurationError::TooLong(text.to_owned())),
            Err(_) => return Err(DurationError::Shape(text.to_owned())),
        };
        if parsed > DURATION_MAX {
            return Err(DurationError::TooLong(text.to_owned()));
        }
        if !is_short_form(text) {
            let given = text.to_owned();
            let whole = parsed.0.as_nanos() % 1_000_000 == 0;
            return Err(if whole {
                DurationError::Spelling { given, meant: parsed }
            } else {
                DurationError::Shape(given)
            });
        }
        Ok(parsed)
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_millis();
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, millis) in UNITS {
            // 24h says a day better than 1d, and 36h better than 1d12h.
            let count = if unit == "d" && rest < 2 * millis {
                0
            } else {
                rest / millis
            };
            rest -= count * millis;
            if count > 0 {
                write!(f, "{count}{unit}")?;
            }
        }
        Ok(())
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Duration;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration with a unit, like 10s")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Duration, E> {
                Err(E::custom(DurationError::NoUnit(number.to_string())))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Duration, E> {
                Err(E::custom(DurationError::Shape(number.to_string())))
            }
        }
        deserializer.deserialize_any(Text)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        DURATION.schema()
    }
}

/// `([0-9]+(d|h|m|s|ms))+` with at most one blank between the parts.
fn is_short_form(text: &str) -> bool {
    let mut rest = text;
    loop {
        let unit = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let end = unit.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(unit.len());
        if unit.len() == rest.len() || !UNITS.iter().any(|(name, _)| *name == &unit[..end]) {
            return false;
        }
        rest = &unit[end..];
        if rest.is_empty() {
            return true;
        }
        rest = rest.strip_prefix(' ').unwrap_or(rest);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn says(text: &str) -> String {
        text.parse::<Duration>().unwrap_err().to_string()
    }

    #[test]
    fn the_written_forms_parse() {
        for (text, millis) in [
            ("250ms", 250),
            ("10s", 10_000),
            ("1m", 60_000),
            ("24h", 86_400_000),
            ("7d", 604_800_000),
        ] {
            assert_eq!(text.parse(), Ok(Duration::from_millis(millis)), "{text}");
            let printed = Duration::from_millis(millis).to_string();
            assert_eq!(printed.parse(), Ok(Duration::from_millis(millis)), "{printed}");
        }
        assert_eq!("1h30m".parse(), Ok(Duration::from_secs(5400)));
        assert_eq!("1h 30m".parse(), Ok(Duration::from_secs(5400)));
    }

    #[test]
    fn an_error_says_what_to_write() {
        assert_eq!(says("10"), "\"10\" has no unit; write 10s");
        assert_eq!(says("5min"), "\"5min\" is not written that way; write 5m");
        assert_eq!(says("1.5s"), "\"1.5s\" is not written that way; write 1s500ms");
        assert_eq!(says("1M"), "\"1M\" is not written that way; write 30d10h33m36s");
        for text in ["", " ", "soon", "0.5ms", "-3s", "10 fortnights", "s", "5us"] {
            assert!(says(text).contains("is no duration"), "{text}: {}", says(text));
        }
        for text in ["4000d", "99999999999999999999d", "18446744073709551615s"] {
            assert!(says(text).ends_with("write at most 3650d"), "{text}: {}", says(text));
        }
    }

    #[test]
    fn a_number_is_refused_by_serde_too() {
        assert_eq!(
            serde_json::from_str::<Duration>("\"3s\"").unwrap(),
            Duration::from_secs(3)
        );
        let error = serde_json::from_str::<Duration>("10").unwrap_err().to_string();
        assert!(error.starts_with("\"10\" has no unit; write 10s"), "{error}");
        assert_eq!(serde_json::to_value(Duration::from_secs(90)).unwrap(), "1m30s");
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_to_the_same(millis in 0..=86_400_000u64 * 3650) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(duration.to_string().parse(), Ok(duration));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,12}") {
            let _ = text.parse::<Duration>();
        }

        #[test]
        fn accepted_text_matches_the_published_pattern(text in "[0-9]{0,3}(d|h|m|s|ms|min|) ?[0-9]{0,2}(s|ms|M|)") {
            let pattern = regex::Regex::new(DURATION.pattern.unwrap()).unwrap();
            prop_assert_eq!(text.parse::<Duration>().is_ok(), pattern.is_match(&text), "{}", text);
        }
    }
}
