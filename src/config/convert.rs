//! From texts to types: a variable is text until the schema says what is wanted.
//!
//! A text that does not convert is left as it is: the validator tells it, with its place, beside everything else.

use serde_json::{Map, Value};

use super::layer::{At, Layer, Merged};
use super::origin::{Origin, Path, variable};
use super::problem::Problems;
use super::schema;

/// Gives the texts of a layer of variables or flags the types that are wanted.
pub(super) fn texts(layer: &mut Layer, problems: &mut Problems) {
    let paths: Vec<(Path, Origin)> = layer
        .paths()
        .map(|(path, origin)| (path.clone(), origin.clone()))
        .collect();
    for (path, origin) in paths {
        let Some(value) = layer.get(&path) else { continue };
        if let Some(sentence) = misplaced(&path, &origin, value) {
            layer.remove(&path);
            problems.value(path, origin, sentence);
        } else if let (Some(schema), Some(text)) = (schema::at(&path), value.as_str()) {
            let value = converted(text, schema);
            layer.replace(&path, value);
        }
    }
}

/// What a variable or flag cannot say.
fn misplaced(path: &[String], origin: &Origin, value: &Value) -> Option<String> {
    let schema = schema::at(path)?;
    if schema::marked(schema, "x-file-only") {
        return Some("can be set in a file only: its keys cannot be spelt here".to_owned());
    }
    if schema::wants(schema, "array") && value.is_object() {
        return Some(match origin {
            Origin::Flag(_) => format!("is a list; write --set {}=first,second", path.join(".")),
            _ => format!("is a list; write {}=first,second", variable(path)),
        });
    }
    let secret = schema::format(schema).is_some_and(|format| format.name == crate::setting::SECRET.name);
    if secret && value.is_string() && matches!(origin, Origin::Flag(_)) {
        let path = path.join(".");
        return Some(format!(
            "is a secret, and flags are seen by everybody; write --set {path}.env=NAME or {path}.file=PATH"
        ));
    }
    None
}

fn converted(text: &str, schema: &Value) -> Value {
    let number = || text.trim().parse::<i64>().ok().map(Value::from);
    let typed = match schema.get("type").and_then(Value::as_str) {
        Some("integer") => number(),
        Some("boolean") => text.trim().parse::<bool>().ok().map(Value::from),
        Some("array") => Some(
            text.split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(Value::from)
                .collect(),
        ),
        // The only way to say `tls: {}` by a variable alone.
        Some("object") if text.trim() == "{}" => Some(Value::Object(Map::new())),
        _ => None,
    };
    typed.unwrap_or_else(|| text.into())
}

/// Takes nulls out: a key without a value is a key that is not set. Where that could mean two things it is told.
pub(super) fn nulls(merged: &mut Merged, problems: &mut Problems) {
    let mut value = std::mem::take(&mut merged.value);
    let mut found = Vec::new();
    without_nulls(&mut value, schema::published(), (&mut Path::new(), &mut found));
    for (path, sentence) in found {
        let origin = merged.origin(&path, At::Key);
        problems.value(path, origin, sentence);
    }
    merged.value = value;
}

fn without_nulls(value: &mut Value, schema: &Value, (path, found): (&mut Path, &mut Vec<(Path, String)>)) {
    let Value::Object(map) = value else { return };
    let named = |key: &str| {
        schema
            .get("properties")
            .is_some_and(|properties| properties.get(key).is_some())
    };
    let keys: Vec<String> = map.keys().cloned().collect();
    for key in keys {
        let (Some(child), Some(schema)) = (map.get_mut(&key), schema::step(schema, &key)) else {
            continue;
        };
        path.push(key.clone());
        if child.is_null() {
            if let Some(sentence) = schema.get("x-null").and_then(Value::as_str) {
                found.push((path.clone(), sentence.to_owned()));
            }
            if named(&key) {
                map.remove(&key);
            } else if schema::wants(schema, "object") {
                // `orders:` with nothing below is a relay that lacks everything, not no relay.
                *child = Value::Object(Map::new());
            }
        } else {
            without_nulls(child, schema, (path, found));
        }
        path.pop();
    }
}
