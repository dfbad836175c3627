//! The commented template of `config init relay`, made from the schema: what must be written stands there, everything else
//! is a comment with its default. `#key` is a key to be uncommented, `# text` is prose.

use std::fmt::Write as _;

use serde_json::Value;

use super::{explain, schema};

/// First line: editors that speak YAML's language server complete and check with it.
const HEAD: &str = "# yaml-language-server: $schema=./twinbox.schema.json
# Schema: twinbox config schema > twinbox.schema.json    Check: twinbox config check    More: twinbox config explain KEY
";
/// What a relay cannot do without, or what everybody wants to see, with an example.
const WRITTEN: &[(&str, &str)] = &[
    ("database.url.env", "DATABASE_URL"),
    ("relays.orders.to.kafka.brokers", "[\"localhost:9092\"]"),
    ("relays.orders.route.topic", "\"{aggregatetype}.events\""),
];
/// The relay of the example, and the alternatives it takes.
const CHOICES: &[(&str, &str)] = &[
    ("relays", "orders"),
    ("to", "kafka"),
    ("from", "cursor"),
    ("url", "env"),
];

/// A configuration for one relay to Kafka.
#[must_use]
pub fn relay_template() -> String {
    let mut text = HEAD.to_owned();
    section(&mut text, schema::published(), &mut Vec::new());
    text
}

fn section(text: &mut String, schema: &Value, path: &mut Vec<String>) {
    let choice = path
        .last()
        .and_then(|key| CHOICES.iter().find(|(section, _)| section == key));
    let mut keys: Vec<&str> = match choice {
        Some((_, chosen)) => vec![*chosen],
        None => schema::keys(schema).collect(),
    };
    // What is written comes first, in the order of WRITTEN.
    keys.sort_by_key(|key| {
        WRITTEN
            .iter()
            .position(|(path_of, _)| begins(path_of, path, key))
            .unwrap_or(WRITTEN.len())
    });
    for key in keys {
        let Some(below) = schema::step(schema, key) else {
            continue;
        };
        path.push(key.to_owned());
        entry(text, below, path);
        path.pop();
    }
}

fn begins(written: &str, path: &[String], key: &str) -> bool {
    let mut parts = written.split('.');
    path.iter().all(|own| parts.next() == Some(own)) && parts.next() == Some(key)
}

fn entry(text: &mut String, schema: &Value, path: &mut Vec<String>) {
    let indent = "  ".repeat(path.len() - 1);
    let dotted = path.join(".");
    let written = WRITTEN.iter().find(|(key, _)| key.starts_with(&dotted));
    let mark = if written.is_some() { "" } else { "#" };
    let key = path.last().map_or("", String::as_str);
    if path.len() == 1 {
        text.push('\n');
    }
    let doc = explain::sentence(explain::doc(schema));
    if !doc.is_empty() {
        let _ = writeln!(text, "{indent}# {doc}");
    }
    let is_section = schema::keys(schema).next().is_some() || path.as_slice() == ["relays"];
    if is_section && (written.is_some() || schema::format(schema).is_none()) {
        let _ = writeln!(text, "{indent}{mark}{key}:");
        section(text, schema, path);
    } else {
        let value = written.map_or_else(|| example(schema), |(_, value)| (*value).to_owned());
        let _ = writeln!(text, "{indent}{mark}{key}: {value}");
    }
}

/// The default, or something of the right type.
fn example(schema: &Value) -> String {
    match explain::default(schema) {
        // What depends on something else is quoted: its braces and brackets are no YAML.
        Some(default) if schema.get("x-default").is_some() => {
            format!("\"{}\"", default.split(", under").next().unwrap_or_default())
        }
        Some(default) => default,
        None => match schema
            .get("enum")
            .and_then(|values| values.get(0))
            .and_then(Value::as_str)
        {
            Some(first) => first.to_owned(),
            None if schema::wants(schema, "object") && schema::format(schema).is_none() => "{}".to_owned(),
            None if schema::wants(schema, "integer") => {
                schema.get("minimum").map_or_else(String::new, Value::to_string)
            }
            None => "\"\"".to_owned(),
        },
    }
}
