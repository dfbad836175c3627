//! Where a consumer begins that has no position: `earliest`, `latest`, or a time.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::format::START;

/// Where a consumer without a position begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Start {
    /// With the oldest that is kept.
    #[default]
    Earliest,
    /// With what comes from now on.
    Latest,
    /// With the first that the broker stored at or after that time.
    At(Timestamp),
}

/// The text is none of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not known; write earliest, latest or a time like \"2026-03-01T00:00:00Z\"")]
pub struct StartError(String);

// === impl Start ===

impl FromStr for Start {
    type Err = StartError;

    fn from_str(text: &str) -> Result<Self, StartError> {
        match text {
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            text => text.parse().map(Self::At).map_err(|_| StartError(text.to_owned())),
        }
    }
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Earliest => f.write_str("earliest"),
            Self::Latest => f.write_str("latest"),
            Self::At(time) => time.fmt(f),
        }
    }
}

impl Serialize for Start {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Start {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Start {
    fn schema_name() -> Cow<'static, str> {
        "Begin".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        START.schema()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_what_it_writes() {
        for text in ["earliest", "latest", "2026-03-01T00:00:00Z"] {
            assert_eq!(
                text.parse::<Start>().map(|start| start.to_string()),
                Ok(text.to_owned())
            );
        }
        for text in ["", "Earliest", "2026-03-01", "yesterday", "1772323200"] {
            assert!(text.parse::<Start>().is_err(), "{text}");
        }
    }
}
