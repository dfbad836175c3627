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
    /// Until their partition is dropped whole.
    Partitions,
}

/// The format of [`Retention`].
pub(super) const RETENTION: Format = Format {
    name: "twinbox-retention",
    pattern: Some("^(keep|partitions|[0-9]+(ms|s|m|h|d)( ?[0-9]+(ms|s|m|h|d))*)$"),
    check: |text| match text {
        "keep" | "partitions" => Ok(()),
        duration => (DURATION.check)(duration).map_err(|sentence| format!("{sentence} (or keep, or partitions)")),
    },
};

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
            Self::Partitions => f.write_str("partitions"),
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
            "partitions" => Ok(Self::Partitions),
            text => text.parse().map(Self::For).map_err(D::Error::custom),
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
