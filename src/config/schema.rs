//! The JSON schema of the configuration, made from the structs, and the way around in it.
//!
//! Promises: draft 2020-12, without references, so that a path of the configuration is a path of the schema; `null`
//! branches and `oneOf`s are gone, because a validator reports what is inside them as one useless error.
//!
//! Beside the standard keywords: `format: twinbox-…` (a parser of ours) · `x-one-of` (exactly one of these keys) ·
//! `x-optional` (a section that may be absent) · `x-default` (a default that depends on something else) · `x-hint` (how to
//! write what is missing) · `x-null` (why it may not be empty) · `x-file-only` (keys that a variable cannot spell).

use std::sync::OnceLock;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::retention::RETENTION;
use super::root::{LISTEN, Root};
use super::route::{DEAD_LETTER_TEMPLATE, TEMPLATE};
use crate::setting::{DURATION, FILE, Format, SECRET, SIZE};

/// Every format the schema may name.
pub(super) const FORMATS: &[Format] = &[
    DURATION,
    SIZE,
    SECRET,
    FILE,
    RETENTION,
    LISTEN,
    TEMPLATE,
    DEAD_LETTER_TEMPLATE,
];

/// The schema of a configuration file.
#[must_use]
pub fn published() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
        let mut schema = settings.into_generator().into_root_schema_for::<Root>().to_value();
        tidy(&mut schema);
        if let Some(root) = schema.as_object_mut() {
            root.insert("title".to_owned(), "twinbox".into());
        }
        schema
    })
}

/// The schema one key or index further, if the configuration knows it.
pub(super) fn step<'a>(schema: &'a Value, key: &str) -> Option<&'a Value> {
    schema
        .get("properties")
        .and_then(|properties| properties.get(key))
        .or_else(|| schema.get("additionalProperties").filter(|rest| rest.is_object()))
        .or_else(|| schema.get("items"))
}

/// The schema at a path, if the configuration knows it.
pub(super) fn at<'a>(path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(published(), |schema, key| step(schema, key))
}

/// Whether the keyword is there and true.
pub(super) fn marked(schema: &Value, keyword: &str) -> bool {
    schema.get(keyword) == Some(&Value::Bool(true))
}

/// Whether a value of this JSON type is wanted here.
pub(super) fn wants(schema: &Value, kind: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(only)) => only == kind,
        Some(Value::Array(several)) => several.iter().any(|one| one == kind),
        _ => false,
    }
}

/// The format named here, if it is one of ours.
pub(super) fn format(schema: &Value) -> Option<&'static Format> {
    let name = schema.get("format")?.as_str()?;
    FORMATS.iter().find(|format| format.name == name)
}

/// The keys known here, in their order.
pub(super) fn keys(schema: &Value) -> impl Iterator<Item = &str> {
    schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(key, _)| key.as_str())
}

/// `value` with every default filled in: what holds.
pub(super) fn fill(value: &mut Value, schema: &Value) {
    let Value::Object(map) = value else { return };
    for (key, schema) in schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        if let Some(value) = map.get_mut(key) {
            fill(value, schema);
        } else if !marked(schema, "x-optional")
            && let Some(mut default) = default(schema)
        {
            fill(&mut default, schema);
            map.insert(key.clone(), default);
        }
    }
    if let Some(rest) = schema.get("additionalProperties").filter(|rest| rest.is_object()) {
        map.values_mut().for_each(|value| fill(value, rest));
    }
}

fn default(schema: &Value) -> Option<Value> {
    let section = schema.get("properties").is_some() && !marked(schema, "x-one-of");
    schema
        .get("default")
        .cloned()
        .or_else(|| section.then(|| Value::Object(Map::new())))
}

/// Takes out what a validator or a reader stumbles over.
fn tidy(schema: &mut Value) {
    if let Value::Array(list) = schema {
        list.iter_mut().for_each(tidy);
    }
    let Value::Object(map) = schema else { return };
    one_line(map);
    without_null(map);
    constants(map);
    map.remove("title");
    if map.get("default").is_some_and(Value::is_null) {
        map.remove("default");
    }
    // A section's default repeats those of its leaves; that of a one-of names the alternative.
    if map.contains_key("properties") && !map.contains_key("x-one-of") && !map.contains_key("format") {
        map.remove("default");
    }
    // `default` and `x-…` hold values, not schemas.
    for (key, value) in map.iter_mut() {
        match key.as_str() {
            "properties" => value
                .as_object_mut()
                .into_iter()
                .flatten()
                .for_each(|(_, property)| tidy(property)),
            "items" | "additionalProperties" => tidy(value),
            _ => {}
        }
    }
}

/// Docs are wrapped for the source's width; a reader wraps them again.
fn one_line(map: &mut Map<String, Value>) {
    if let Some(Value::String(doc)) = map.get_mut("description") {
        let paragraphs: Vec<String> = doc
            .split("\n\n")
            .map(|paragraph| paragraph.replace('\n', " "))
            .collect();
        *doc = paragraphs.join("\n");
    }
}

/// Absence is allowed anyway; a null branch would hide every error inside its neighbour.
fn without_null(map: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = map.get_mut("type") {
        let before = types.len();
        types.retain(|one| one != "null");
        if types.len() < before {
            if let [only] = types.as_slice() {
                let only = only.clone();
                map.insert("type".to_owned(), only);
            }
            map.insert("x-optional".to_owned(), true.into());
        }
    }
    if let Some(Value::Array(branches)) = map.get("anyOf")
        && let [Value::Object(wanted), null] = branches.as_slice()
        && null == &json!({ "type": "null" })
    {
        let wanted = wanted.clone();
        map.remove("anyOf");
        for (keyword, value) in wanted {
            map.entry(keyword).or_insert(value);
        }
        map.insert("x-optional".to_owned(), true.into());
    }
}

/// A documented enum is a `oneOf` of constants: one list of values, the docs in the description.
fn constants(map: &mut Map<String, Value>) {
    let Some(Value::Array(branches)) = map.get("oneOf") else {
        return;
    };
    let mut values = Vec::new();
    let mut lines = Vec::new();
    for branch in branches {
        let doc = branch.get("description").and_then(Value::as_str).unwrap_or_default();
        let several = branch
            .get("enum")
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice);
        for value in branch.get("const").into_iter().chain(several) {
            let name = value.as_str().unwrap_or_default();
            lines.push(format!("- `{name}`: {}", doc.replace('\n', " ")));
            values.push(value.clone());
        }
    }
    let doc = map.get("description").and_then(Value::as_str).unwrap_or_default();
    let doc = format!("{doc}\n{}", lines.join("\n"));
    map.remove("oneOf");
    map.insert("type".to_owned(), "string".into());
    map.insert("enum".to_owned(), Value::Array(values));
    map.insert("description".to_owned(), doc.trim().into());
}
