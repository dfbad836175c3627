//! Sizes as people write them: `8MiB`, `1GB`, `512B`.
//!
//! Promises: a unit that ends in `B` is demanded, so `8M` (8,000,000 or 8,388,608?) is an error; what is printed parses
//! to the same value.

use std::fmt;
use std::str::FromStr;

use bytesize::{GB, GIB, KB, KIB, MB, MIB, TB, TIB};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::format::SIZE;

/// Units, largest first within each kind: printing takes the first that divides the value.
const UNITS: [(&str, u64); 10] = [
    ("TiB", TIB),
    ("GiB", GIB),
    ("MiB", MIB),
    ("KiB", KIB),
    ("TB", TB),
    ("GB", GB),
    ("MB", MB),
    ("kB", KB),
    ("KB", KB),
    ("B", 1),
];

/// A number of bytes with a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u64);

/// Why a text is no size. Each message says what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// Digits alone.
    #[error("\"{0}\" has no unit; write {0}MiB, or {0}B for bytes")]
    NoUnit(String),
    /// `8M`, `8Gi`: thousands or 1,024s?
    #[error("\"{given}\" does not end in B; write {number}{letter}iB (1024s) or {number}{letter}B (1000s)")]
    NoB {
        /// What was written.
        given: String,
        /// Its digits.
        number: String,
        /// The letter of its unit, in the accepted case.
        letter: char,
    },
    /// A unit in another case.
    #[error("\"{given}\" is not written that way; write {meant}")]
    Spelling {
        /// What was written.
        given: String,
        /// The accepted spelling of the same value.
        meant: String,
    },
    /// Not understood.
    #[error("\"{0}\" is no size; write a whole number with a unit: 512B, 64KiB, 8MiB, 1GB")]
    Shape(String),
    /// More than 2^63 bytes.
    #[error("\"{0}\" is too large; write at most 8388607TiB")]
    TooLarge(String),
}

// === impl Size ===

impl Size {
    /// A size of whole mebibytes, for defaults.
    #[must_use]
    pub const fn from_mib(mib: u32) -> Self {
        Self(mib as u64 * MIB)
    }

    /// The number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let given = || text.to_owned();
        let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
        let number = &text[..text.len() - unit.len()];
        if number.is_empty() {
            return Err(SizeError::Shape(given()));
        }
        if unit.is_empty() {
            return Err(SizeError::NoUnit(given()));
        }
        let Some((_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(unknown_unit(text, number, unit));
        };
        let bytes = number.parse::<u64>().ok().and_then(|n| n.checked_mul(*factor));
        match bytes {
            // i64::MAX is where databases and other languages stop counting.
            Some(bytes) if i64::try_from(bytes).is_ok() => Ok(Self(bytes)),
            _ => Err(SizeError::TooLarge(given())),
        }
    }
}

fn unknown_unit(text: &str, number: &str, unit: &str) -> SizeError {
    let given = text.to_owned();
    let bare = unit.trim_start();
    if let Some((name, _)) = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(bare)) {
        return SizeError::Spelling {
            given,
            meant: format!("{number}{name}"),
        };
    }
    match bare.to_ascii_lowercase().as_str() {
        letter @ ("k" | "m" | "g" | "t" | "ki" | "mi" | "gi" | "ti") => {
            let letter = letter.chars().next().unwrap_or('m').to_ascii_uppercase();
            SizeError::NoB {
                given,
                number: number.to_owned(),
                letter,
            }
        }
        _ => SizeError::Shape(given),
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, factor) = UNITS
            .iter()
            .find(|(_, factor)| self.0 > 0 && self.0.is_multiple_of(*factor))
            .unwrap_or(&("B", 1));
        write!(f, "{}{name}", self.0 / factor)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Size;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size with a unit, like 8MiB")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Size, E> {
                Err(E::custom(SizeError::NoUnit(number.to_string())))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Size, E> {
                Err(E::custom(SizeError::Shape(number.to_string())))
            }
        }
        deserializer.deserialize_any(Text)
    }
}

impl JsonSchema for Size {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        SIZE.schema()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn says(text: &str) -> String {
        text.parse::<Size>().unwrap_err().to_string()
    }

    #[test]
    fn the_written_forms_parse() {
        for (text, bytes) in [
            ("8MiB", 8 << 20),
            ("1GB", 1_000_000_000),
            ("512B", 512),
            ("64kB", 64_000),
            ("1KiB", 1024),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
            assert_eq!(Size(bytes).to_string(), text);
        }
    }

    #[test]
    fn an_error_says_what_to_write() {
        assert_eq!(says("8"), "\"8\" has no unit; write 8MiB, or 8B for bytes");
        assert_eq!(
            says("8M"),
            "\"8M\" does not end in B; write 8MiB (1024s) or 8MB (1000s)"
        );
        assert_eq!(
            says("4gi"),
            "\"4gi\" does not end in B; write 4GiB (1024s) or 4GB (1000s)"
        );
        assert_eq!(says("8mib"), "\"8mib\" is not written that way; write 8MiB");
        assert_eq!(says("8 MiB"), "\"8 MiB\" is not written that way; write 8MiB");
        for text in ["", "MiB", "1.5GiB", "-1MiB", "8 parsecs"] {
            assert!(says(text).contains("is no size"), "{text}: {}", says(text));
        }
        for text in ["99999999999999999999B", "9000000TiB", "9223372036854775808B"] {
            assert!(says(text).contains("is too large"), "{text}: {}", says(text));
        }
        assert_eq!("8388607TiB".parse::<Size>().map(Size::bytes), Ok(8_388_607 * TIB));
    }

    #[test]
    fn a_number_is_refused_by_serde_too() {
        assert_eq!(serde_json::from_str::<Size>("\"32MiB\"").unwrap(), Size::from_mib(32));
        let error = serde_json::from_str::<Size>("8").unwrap_err().to_string();
        assert!(error.starts_with("\"8\" has no unit"), "{error}");
        assert_eq!(serde_json::to_value(Size::from_mib(32)).unwrap(), "32MiB");
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_to_the_same(bytes in 0..=i64::MAX as u64) {
            prop_assert_eq!(Size(bytes).to_string().parse(), Ok(Size(bytes)));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,12}") {
            let _ = text.parse::<Size>();
        }

        #[test]
        fn accepted_text_matches_the_published_pattern(text in "[0-9]{0,3} ?(|k|K|M|m|G|T)(i|)(B|b|)") {
            let pattern = regex::Regex::new(SIZE.pattern.unwrap()).unwrap();
            prop_assert_eq!(text.parse::<Size>().is_ok(), pattern.is_match(&text), "{}", text);
        }
    }
}
