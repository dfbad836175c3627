//! The schema's errors in our words.
//!
//! Promises: every error is told, at the path it speaks of, with what to write instead; a value is quoted only where it
//! cannot be a secret.

use std::sync::OnceLock;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{Draft, ValidationError, Validator};
use serde_json::Value;

use super::layer::At;
use super::origin::Path;
use super::schema;
use crate::setting::SECRET;

/// Below this likeness a suggestion would be a guess.
const LIKENESS_MIN: f64 = 0.75;

/// Sections that exist in the design and not in this build.
const NOT_YET: &[(&str, &str)] = &[
    ("wal", "the wal source is not supported by this version; write cursor"),
    (
        "forward",
        "forwarding to another broker is not supported by this version; write sql or http",
    ),
];

/// One error: where, which part of it, what to say.
pub(super) type Finding = (Path, At, String);

/// Everything the schema has against `value`.
pub(super) fn validate(value: &Value) -> Vec<Finding> {
    validator()
        .iter_errors(value)
        .flat_map(|error| findings(&error))
        .collect()
}

fn validator() -> &'static Validator {
    static VALIDATOR: OnceLock<Validator> = OnceLock::new();
    VALIDATOR.get_or_init(|| {
        let mut options = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .should_validate_formats(true);
        for format in schema::FORMATS {
            options = options.with_format(format.name, move |text: &str| (format.check)(text).is_ok());
        }
        #[expect(clippy::expect_used, reason = "a constant of this build, and a test builds it")]
        options
            .build(schema::published())
            .expect("the generated schema is a schema")
    })
}

fn findings(error: &ValidationError<'_>) -> Vec<Finding> {
    let path = segments(error.instance_path().as_str());
    let schema = schema::at(&path).unwrap_or(&Value::Null);
    let below = |key: &str| [path.as_slice(), &[key.to_owned()]].concat();
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => unexpected
            .iter()
            .map(|key| (below(key), At::Key, unknown_key(key, schema)))
            .collect(),
        ValidationErrorKind::Required { property } => {
            let key = property.as_str().unwrap_or_default();
            vec![(below(key), At::Key, missing(schema::step(schema, key)))]
        }
        ValidationErrorKind::PropertyNames { error } => {
            let key = error.instance().as_str().unwrap_or_default();
            let sentence = "is no name; write a lower-case letter, then at most 39 letters, digits and single `_`";
            vec![(below(key), At::Key, sentence.to_owned())]
        }
        // The format beside it speaks, and knows better.
        ValidationErrorKind::Pattern { .. } if schema::format(schema).is_some() => Vec::new(),
        kind => vec![(path, At::Value, value_sentence(kind, error.instance(), schema))],
    }
}

fn value_sentence(kind: &ValidationErrorKind, value: &Value, schema: &Value) -> String {
    match kind {
        ValidationErrorKind::Type { kind } => wrong_type(value, kind, schema),
        ValidationErrorKind::Format { .. } => {
            let text = value.as_str().unwrap_or_default();
            let format = schema::format(schema);
            format
                .and_then(|format| (format.check)(text).err())
                .unwrap_or_else(|| "does not fit".to_owned())
        }
        ValidationErrorKind::Enum { options } => not_one_of(value, options),
        ValidationErrorKind::MinItems { .. } => "is empty; write at least one".to_owned(),
        ValidationErrorKind::MinLength { .. } => "is empty; write a text, or remove it".to_owned(),
        ValidationErrorKind::MaxLength { limit } => format!("is too long; write at most {limit} characters"),
        ValidationErrorKind::Minimum { .. } | ValidationErrorKind::Maximum { .. } => {
            format!("is {value}; write {}", range(schema))
        }
        ValidationErrorKind::MinProperties { .. } => format!("is empty; write one of {}", alternatives(schema)),
        ValidationErrorKind::MaxProperties { .. } => {
            let written: Vec<&str> = value
                .as_object()
                .into_iter()
                .flatten()
                .map(|(key, _)| key.as_str())
                .collect();
            format!("names {}; write exactly one", written.join(" and "))
        }
        _ => "does not fit; see `twinbox config explain`".to_owned(),
    }
}

fn wrong_type(value: &Value, kind: &TypeKind, schema: &Value) -> String {
    let found = match value {
        Value::Null => "is empty",
        Value::Bool(_) => "is a boolean",
        Value::Number(_) => "is a number",
        Value::String(_) => "is a text",
        Value::Array(_) => "is a list",
        Value::Object(_) => "is a section",
    };
    let format = schema::format(schema);
    if format.is_some_and(|format| format.name == SECRET.name) {
        let advice = if value.is_number() || value.is_boolean() {
            "write it in quotes"
        } else {
            "write a text"
        };
        return format!("{found}; {advice}, {{ env: NAME }} or {{ file: path }}");
    }
    if let (Some(format), Value::Number(number)) = (format, value)
        && let Err(sentence) = (format.check)(&number.to_string())
    {
        return sentence;
    }
    let wants = |name| schema::wants(schema, name);
    if wants("string") && (value.is_number() || value.is_boolean()) {
        format!("{found}; write it in quotes")
    } else if wants("string") {
        format!("{found}; write a text")
    } else if wants("integer") {
        format!("{found}; write a whole number, {}", range(schema))
    } else if wants("boolean") {
        format!("{found}; write true or false")
    } else if wants("array") {
        format!("{found}; write a list: [first, second]")
    } else if wants("object") {
        format!("{found}; write a section with {}", alternatives(schema))
    } else {
        format!("{found}; {kind:?} is wanted")
    }
}

fn not_one_of(value: &Value, options: &Value) -> String {
    let options: Vec<&str> = options
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let listed = options.join(" | ");
    match value.as_str() {
        Some(text) => match closest(text, options.iter().copied()) {
            Some(meant) => format!("\"{text}\" is not known; did you mean {meant}? ({listed})"),
            None => format!("\"{text}\" is not known; write {listed}"),
        },
        None => format!("write {listed}"),
    }
}

fn unknown_key(key: &str, schema: &Value) -> String {
    if let Some((_, sentence)) = NOT_YET.iter().find(|(name, _)| *name == key) {
        return (*sentence).to_owned();
    }
    match closest(key, schema::keys(schema)) {
        Some(meant) => format!("unknown key; did you mean `{meant}`?"),
        None => format!("unknown key; known here: {}", alternatives(schema)),
    }
}

fn missing(schema: Option<&Value>) -> String {
    match schema.and_then(|schema| schema.get("x-hint")).and_then(Value::as_str) {
        Some(hint) => format!("is missing; {hint}"),
        None => "is missing".to_owned(),
    }
}

fn alternatives(schema: &Value) -> String {
    let keys: Vec<&str> = schema::keys(schema).collect();
    if keys.is_empty() {
        "keys and values".to_owned()
    } else {
        keys.join(", ")
    }
}

pub(super) fn range(schema: &Value) -> String {
    match (schema.get("minimum"), schema.get("maximum")) {
        (Some(least), Some(most)) if least == most => least.to_string(),
        (Some(least), Some(most)) => format!("{least} to {most}"),
        (Some(least), None) => format!("at least {least}"),
        _ => "any".to_owned(),
    }
}

/// The candidate that the user probably meant.
pub(super) fn closest<'a>(written: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (strsim::jaro_winkler(&written.to_lowercase(), candidate), candidate))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// The parts of a JSON pointer.
fn segments(pointer: &str) -> Path {
    pointer
        .split('/')
        .skip(1)
        .map(|part| part.replace("~1", "/").replace("~0", "~"))
        .collect()
}
