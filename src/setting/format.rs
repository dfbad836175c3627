//! Formats: texts with a grammar of their own, and the pieces of schema that name them.
//!
//! Promises: the schema and the parser agree, because the validator asks the parser; `pattern` is there for editors,
//! which know only JSON Schema.
//!
//! # Why not plain `pattern`
//!
//! "does not match `^[0-9]+…`" helps nobody. The format's name leads back to the parser, whose error says what to write.

use schemars::{Schema, json_schema};
use serde_json::{Map, Value};

use super::{Duration, Size};

/// A named grammar of a text.
#[derive(Debug, Clone, Copy)]
pub struct Format {
    /// Its name in the schema's `format`.
    pub name: &'static str,
    /// The same grammar for editors, where a regular expression can say it.
    pub pattern: Option<&'static str>,
    /// The parser, reduced to its error: a sentence that says what to write.
    pub check: fn(&str) -> Result<(), String>,
}

/// The format of [`Duration`].
pub const DURATION: Format = Format {
    name: "twinbox-duration",
    pattern: Some("^[0-9]+(ms|s|m|h|d)( ?[0-9]+(ms|s|m|h|d))*$"),
    check: |text| text.parse::<Duration>().map(drop).map_err(|error| error.to_string()),
};

/// The format of [`Size`].
pub const SIZE: Format = Format {
    name: "twinbox-size",
    pattern: Some("^[0-9]+(B|[kK]B|[MGT]B|[KMGT]iB)$"),
    check: |text| text.parse::<Size>().map(drop).map_err(|error| error.to_string()),
};

/// A secret written as text: anything but nothing.
pub const SECRET: Format = Format {
    name: "twinbox-secret",
    pattern: None,
    check: |text| {
        if text.is_empty() {
            Err("is empty; remove it or write a value".to_owned())
        } else {
            Ok(())
        }
    },
};

/// A path of a file that is read at start; `config check` wants it readable.
pub const FILE: Format = Format {
    name: "twinbox-file",
    pattern: None,
    check: SECRET.check,
};

/// Where a consumer without a position of record begins.
pub const START: Format = Format {
    name: "twinbox-start",
    pattern: None,
    check: |text| match text {
        "earliest" | "latest" => Ok(()),
        _ => text.parse::<jiff::Timestamp>().map(drop).map_err(|_| {
            format!("\"{text}\" is no start; write earliest, latest, or a time such as 2026-11-23T10:00:00Z")
        }),
    },
};

// === impl Format ===

impl Format {
    /// A text of this format.
    #[must_use]
    pub fn schema(&self) -> Schema {
        let mut schema = json_schema!({ "type": "string", "format": self.name });
        if let Some(pattern) = self.pattern {
            schema.insert("pattern".to_owned(), pattern.into());
        }
        schema
    }
}

/// A one-of: a map with exactly one of these keys. `x-one-of` tells the loader that a stronger layer that names another
/// alternative replaces the whole map.
///
/// # Why not `oneOf`
///
/// With `oneOf` one wrong leaf makes the whole branch "not valid under any of the schemas". Plain properties with exactly
/// one of them allowed report the leaf.
#[must_use]
pub fn one_of<'a>(alternatives: impl IntoIterator<Item = (&'a str, Schema)>) -> Schema {
    let properties: Map<String, Value> = alternatives
        .into_iter()
        .map(|(name, schema)| (name.to_owned(), schema.to_value()))
        .collect();
    json_schema!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "minProperties": 1,
        "maxProperties": 1,
        "x-one-of": true,
    })
}
