//! The commented templates of `config init relay | consumer`, made from the schema: what must be written stands there, everything else
//! is a comment with its default. `#key` is a key to be uncommented, `# text` is prose.

use std::fmt::Write as _;

use serde_json::Value;

use super::{explain, schema};

/// First line: editors that speak YAML's language server complete and check with it.
const HEAD: &str = "# yaml-language-server: $schema=./twinbox.schema.json
# Schema: twinbox config schema > twinbox.schema.json    Check: twinbox config check    More: twinbox config explain KEY
";
/// What a template is about.
struct Example {
    /// What it cannot do without, or what everybody wants to see, with an example.
    written: &'static [(&'static str, &'static str)],
    /// The names of the example, and the alternatives it takes.
    choices: &'static [(&'static str, &'static str)],
    /// The section that is not its subject.
    left_out: &'static str,
}

const RELAY: Example = Example {
    written: &[
        ("database.url.env", "DATABASE_URL"),
        ("relays.orders.to.kafka.brokers", "[\"localhost:9092\"]"),
        ("relays.orders.route.topic", "\"{aggregatetype}.events\""),
    ],
    choices: &[
        ("relays", "orders"),
        ("to", "kafka"),
        ("from", "cursor"),
        ("url", "env"),
    ],
    left_out: "consumers",
};

const CONSUMER: Example = Example {
    written: &[
        ("database.url.env", "DATABASE_URL"),
        ("consumers.billing.from.kafka.brokers", "[\"localhost:9092\"]"),
        ("consumers.billing.from.kafka.topics", "[order.events]"),
        ("consumers.billing.handler.http.url", "\"http://127.0.0.1:8080/events\""),
    ],
    choices: &[
        ("consumers", "billing"),
        ("from", "kafka"),
        ("handler", "http"),
        ("url", "env"),
    ],
    left_out: "relays",
};

/// A configuration for one relay to Kafka.
#[must_use]
pub fn relay_template() -> String {
    RELAY.template()
}

/// A configuration for one consumer from Kafka to an application.
#[must_use]
pub fn consumer_template() -> String {
    CONSUMER.template()
}

impl Example {
    fn template(&self) -> String {
        let mut text = HEAD.to_owned();
        self.section(&mut text, schema::published(), &mut Vec::new());
        text
    }

    fn section(&self, text: &mut String, schema: &Value, path: &mut Vec<String>) {
        let choice = path
            .last()
            .and_then(|key| self.choices.iter().find(|(section, _)| section == key));
        let mut keys: Vec<&str> = match choice {
            Some((_, chosen)) => vec![*chosen],
            None => schema::keys(schema)
                .filter(|key| !path.is_empty() || *key != self.left_out)
                .collect(),
        };
        // What is written comes first, in the order of `written`.
        keys.sort_by_key(|key| {
            self.written
                .iter()
                .position(|(path_of, _)| begins(path_of, path, key))
                .unwrap_or(self.written.len())
        });
        for key in keys {
            let Some(below) = schema::step(schema, key) else {
                continue;
            };
            path.push(key.to_owned());
            self.entry(text, below, path);
            path.pop();
        }
    }

    fn entry(&self, text: &mut String, schema: &Value, path: &mut Vec<String>) {
        let indent = "  ".repeat(path.len() - 1);
        let dotted = path.join(".");
        let written = self.written.iter().find(|(key, _)| key.starts_with(&dotted));
        let mark = if written.is_some() { "" } else { "#" };
        let key = path.last().map_or("", String::as_str);
        if path.len() == 1 {
            text.push('\n');
        }
        let doc = explain::sentence(explain::doc(schema));
        if !doc.is_empty() {
            let _ = writeln!(text, "{indent}# {doc}");
        }
        let is_section = schema::keys(schema).next().is_some() || (path.len() == 1 && explain::SECTIONS.contains(&key));
        if is_section && (written.is_some() || schema::format(schema).is_none()) {
            let _ = writeln!(text, "{indent}{mark}{key}:");
            self.section(text, schema, path);
        } else {
            let value = written.map_or_else(|| example(schema), |(_, value)| (*value).to_owned());
            let _ = writeln!(text, "{indent}{mark}{key}: {value}");
        }
    }
}

fn begins(written: &str, path: &[String], key: &str) -> bool {
    let mut parts = written.split('.');
    path.iter().all(|own| parts.next() == Some(own)) && parts.next() == Some(key)
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
