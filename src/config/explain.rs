//! What a key means, as the schema knows it: doc, type, default, variable.

use std::fmt::Write as _;

use serde_json::Value;

use super::{origin, schema, show, validate};
use crate::setting::{DURATION, FILE, SECRET, SIZE};

/// What stands for the name of a relay or consumer.
pub(super) const NAME: &str = "<name>";
/// The sections whose keys are names.
pub(super) const SECTIONS: [&str; 2] = ["relays", "consumers"];

/// The page of a key. `relays.*.limits.batch`, `relays.orders.limits.batch` and `limits.batch` mean the same. What both
/// relays and consumers have has both pages.
///
/// # Errors
/// When there is no such key: a sentence with a suggestion.
pub fn explain(key: &str) -> Result<String, String> {
    let path: Vec<String> = key
        .split('.')
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect();
    if let Some(schema) = schema::at(&path) {
        return Ok(page(&named(path), schema));
    }
    let below = |section: &str| [vec![section.to_owned(), NAME.to_owned()], path.clone()].concat();
    let paths = SECTIONS.map(below);
    let pages = paths.iter().filter_map(|path| Some(page(path, schema::at(path)?)));
    let pages: Vec<String> = pages.collect();
    if pages.is_empty() {
        return Err(unknown(key, &[&[path][..], &paths].concat()));
    }
    Ok(pages.join("\n"))
}

/// The path with [`NAME`] for any of the usual placeholders.
fn named(mut path: Vec<String>) -> Vec<String> {
    if let [root, name, ..] = path.as_mut_slice()
        && SECTIONS.contains(&root.as_str())
        && !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    {
        NAME.clone_into(name);
    }
    path
}

fn page(path: &[String], schema: &Value) -> String {
    let mut page = if path.is_empty() {
        "(the whole file)".to_owned()
    } else {
        path.join(".")
    };
    page.push('\n');
    for line in doc(schema).lines() {
        let _ = writeln!(page, "  {line}");
    }
    let _ = writeln!(page, "\n  type      {}", kind(schema));
    if let Some(default) = default(schema) {
        let _ = writeln!(page, "  default   {default}");
    }
    let section = schema::wants(schema, "object") && schema::format(schema).is_none();
    if file_only(path) {
        let _ = writeln!(page, "  variable  none: in a file only");
    } else if !section && !path.is_empty() {
        let _ = writeln!(page, "  variable  {}", origin::variable(path));
    }
    let named = schema
        .get("additionalProperties")
        .and_then(|named| named.get("description"));
    let keys: Vec<&str> = schema::keys(schema).chain(named.map(|_| NAME)).collect();
    if section && !keys.is_empty() {
        let _ = writeln!(page, "  keys");
        for key in keys {
            let first = schema::step(schema, key).map(doc).unwrap_or_default();
            let _ = writeln!(page, "    {key:14}  {}", sentence(first));
        }
    }
    page
}

fn unknown(key: &str, paths: &[Vec<String>]) -> String {
    let meant = paths.iter().find_map(|path| {
        let (end, schema) = (0..path.len())
            .rev()
            .find_map(|end| Some((end, schema::at(&path[..end])?)))?;
        let meant = validate::closest(&path[end], schema::keys(schema))?.to_owned();
        Some([&path[..end], &[meant]].concat().join("."))
    });
    match meant {
        Some(meant) => format!("there is no key `{key}`; did you mean `{meant}`?"),
        None => format!("there is no key `{key}`; `twinbox config explain` lists them"),
    }
}

fn file_only(path: &[String]) -> bool {
    (1..=path.len()).any(|end| schema::at(&path[..end]).is_some_and(|schema| schema::marked(schema, "x-file-only")))
}

/// The doc of a key.
pub(super) fn doc(schema: &Value) -> &str {
    schema.get("description").and_then(Value::as_str).unwrap_or_default()
}

/// Its first sentence.
pub(super) fn sentence(doc: &str) -> &str {
    let line = doc.lines().next().unwrap_or_default();
    line.find(". ").map_or(line, |end| &line[..=end])
}

/// The default of a value, as it would be written.
pub(super) fn default(schema: &Value) -> Option<String> {
    match (schema.get("x-default"), schema.get("default")) {
        (Some(Value::String(depends)), _) => Some(depends.clone()),
        (_, Some(Value::String(value))) => Some(show::text(value)),
        (_, Some(Value::Object(map))) if map.is_empty() => Some("{}".to_owned()),
        (_, Some(Value::Object(map))) => {
            let entries = map
                .iter()
                .map(|(key, value)| format!("{key}: {}", value.as_str().map_or("{}".to_owned(), show::text)));
            Some(format!("{{ {} }}", entries.collect::<Vec<_>>().join(", ")))
        }
        (_, Some(value)) => Some(value.to_string()),
        _ => None,
    }
}

/// Its type in words.
pub(super) fn kind(schema: &Value) -> String {
    if let Some(Value::Array(values)) = schema.get("enum") {
        return values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" | ");
    }
    let format = schema::format(schema).map(|format| format.name);
    let wants = |name| schema::wants(schema, name);
    match format {
        Some(name) if name == DURATION.name => "duration, like 250ms, 10s, 24h".to_owned(),
        Some(name) if name == SIZE.name => "size, like 64KiB, 32MiB, 1GB".to_owned(),
        Some(name) if name == SECRET.name => "secret: a text, { env: NAME } or { file: PATH }".to_owned(),
        Some(name) if name == FILE.name => "path of a file".to_owned(),
        _ if wants("integer") => format!("whole number, {}", validate::range(schema)),
        _ if wants("array") => match schema.get("items").map(kind) {
            Some(items) => format!("list of: {items}"),
            None => "list".to_owned(),
        },
        _ if schema::marked(schema, "x-one-of") => "exactly one of the keys below".to_owned(),
        _ if wants("object") => "section".to_owned(),
        _ if wants("number") => "text, number or boolean".to_owned(),
        _ => "text".to_owned(),
    }
}
