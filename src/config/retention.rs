//! How long published rows stay.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::setting::{DURATION, Duration, Format};

/// A day: long enough to see on Monday morning's first coffee what Sunday did wrong, and replay it.
const RETENTION_DEFAULT: Duration = Duration::from_secs(24 * 60 * 60);

/// How long published rows stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// This long after they were published.
    For(Duration),
    /// For ever: somebody else deletes them.
    Keep,
    /// At least this long; then their partition is dropped whole.
    Partitions(Duration),
}

/// The format of [`Retention`].
pub(super) const RETENTION: Format = Format {
    name: "twinbox-retention",
    pattern: Some("^(keep|partitions|(partitions )?[0-9]+(ms|s|m|h|d)( ?[0-9]+(ms|s|m|h|d))*)$"),
    check: |text| match text {
        "keep" | PARTITIONS => Ok(()),
        text => (DURATION.check)(duration(text).1)
            .map_err(|sentence| format!("{sentence} (or keep, or partitions, or partitions 7d)")),
    },
};

const PARTITIONS: &str = "partitions";

/// Whether it is about partitions, and the duration.
fn duration(text: &str) -> (bool, &str) {
    text.strip_prefix("partitions ")
        .map_or((false, text), |duration| (true, duration))
}

impl Default for Retention {
    fn default() -> Self {
        Self::For(RETENTION_DEFAULT)
    }
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::For(duration) => duration.fmt(f),
            Self::Keep => f.write_str("keep"),
            Self::Partitions(RETENTION_DEFAULT) => f.write_str(PARTITIONS),
            Self::Partitions(duration) => write!(f, "{PARTITIONS} {duration}"),
        }
    }
}

impl Serialize for Retention {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Retention {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "keep" => Ok(Self::Keep),
            PARTITIONS => Ok(Self::Partitions(RETENTION_DEFAULT)),
            text => {
                let (partitions, text) = duration(text);
                let kept = text.parse().map_err(D::Error::custom)?;
                Ok(if partitions {
                    Self::Partitions(kept)
                } else {
                    Self::For(kept)
                })
            }
        }
    }
}

impl JsonSchema for Retention {
    fn schema_name() -> Cow<'static, str> {
        "Retention".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        RETENTION.schema()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_what_it_writes() {
        for text in ["24h", "keep", "partitions", "partitions 7d"] {
            assert_eq!((RETENTION.check)(text), Ok(()), "{text}");
            let retention: Retention = serde_json::from_value(text.into()).expect(text);
            assert_eq!(retention.to_string(), text);
        }
        for text in ["", "partitions7d", "partitions keep", "forever", "partitions "] {
            assert!((RETENTION.check)(text).is_err(), "{text}");
        }
    }
}
