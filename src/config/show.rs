//! The configuration that holds, as YAML, with the origin of each value. Secrets are hidden.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::env::Environment;
use super::layer::Merged;
use super::load::{Assembled, assemble};
use super::origin::Path;
use super::problem::Problems;
use super::relay::RelayConfig;
use super::root::Root;
use super::{route, schema};
use crate::delivery::TemplateUse;
use crate::setting::SECRET;

/// What stands in the place of a secret.
const HIDDEN: &str = "***";

/// The merged configuration with every default, as YAML; with `sources`, each value says where it comes from. Secrets
/// need not be there: this is the verb to find out why.
///
/// # Errors
/// When the configuration does not fit its schema.
pub fn show(
    files: &[PathBuf],
    env: &Environment,
    (flags, sources): (&[(String, String)], bool),
) -> Result<String, Problems> {
    let Assembled { merged, problems } = assemble(files, env, flags)?;
    if !problems.is_empty() {
        return Err(problems.sorted());
    }
    let mut value = merged.value.clone();
    schema::fill(&mut value, schema::published());
    if let Ok(root) = Root::deserialize(&value) {
        computed(&mut value, &root);
    }
    let mut page = Page {
        merged: &merged,
        sources,
        lines: Vec::new(),
    };
    if let Value::Object(map) = &value {
        page.map(map, schema::published(), &mut Path::new());
    }
    Ok(page.into_text())
}

/// Defaults that depend on something else.
fn computed(value: &mut Value, root: &Root) {
    for (name, relay) in &root.relays {
        let mut put = |path: &[&str], text: &str| put(value, &[&["relays", name], path].concat(), text);
        put(&["source"], &relay.source_or_default(name));
        put(&["from", "cursor", "table"], &relay.table(root.database_of(relay)));
        routes(relay, &mut put);
    }
    for (name, consumer) in &root.consumers {
        let mut put = |path: &[&str], text: &str| put(value, &[&["consumers", name], path].concat(), text);
        if let Some(group) = consumer.group(name) {
            put(&["from", consumer.from.backend().config.name, "group"], &group);
        }
        for (field, template) in route::consumer_effective(consumer) {
            put(&["dead_letter", field], template);
        }
        put(&["dead_letter", "key"], route::consumer_effective_key(consumer));
    }
}

/// Sets what is not written, or is empty.
fn put(value: &mut Value, path: &[&str], text: &str) {
    let Some((last, sections)) = path.split_last() else {
        return;
    };
    let section = sections.iter().try_fold(value, |value, key| value.get_mut(key));
    if let Some(map) = section.and_then(Value::as_object_mut) {
        let slot = map.entry(*last).or_insert(Value::Null);
        if slot.is_null() || slot == "" {
            *slot = text.into();
        }
    }
}

fn routes(relay: &RelayConfig, put: &mut impl FnMut(&[&str], &str)) {
    for (section, used) in [("route", TemplateUse::Route), ("dead_letter", TemplateUse::DeadLetter)] {
        for (field, template) in route::effective(relay, used) {
            put(&[section, field], template);
        }
        put(&[section, "key"], route::effective_key(relay, used));
    }
}

/// YAML lines, each with the origin that follows it.
struct Page<'a> {
    merged: &'a Merged,
    sources: bool,
    lines: Vec<(String, Option<String>)>,
}

impl Page<'_> {
    fn map(&mut self, map: &Map<String, Value>, schema: &Value, path: &mut Path) {
        let indent = "  ".repeat(path.len());
        for (key, value) in map {
            let schema = schema::step(schema, key).unwrap_or(&Value::Null);
            path.push(key.clone());
            let key = text(key);
            match value {
                Value::Object(below) if !below.is_empty() => {
                    self.lines.push((format!("{indent}{key}:"), None));
                    self.map(below, schema, path);
                }
                value => {
                    let origin = self
                        .merged
                        .written(path)
                        .map_or_else(|| "default".to_owned(), |origin| origin.to_string());
                    self.lines
                        .push((format!("{indent}{key}: {}", scalar(value, schema)), Some(origin)));
                }
            }
            path.pop();
        }
    }

    fn into_text(self) -> String {
        let width = self
            .lines
            .iter()
            .map(|(line, _)| line.chars().count())
            .filter(|width| *width <= 60)
            .max()
            .unwrap_or(0);
        let mut page = String::new();
        for (line, origin) in self.lines {
            match origin.filter(|_| self.sources) {
                // Writing to a String cannot fail.
                Some(origin) => drop(writeln!(page, "{line:width$}  # {origin}")),
                None => drop(writeln!(page, "{line}")),
            }
        }
        page
    }
}

fn scalar(value: &Value, schema: &Value) -> String {
    let secret = schema::format(schema).is_some_and(|format| format.name == SECRET.name);
    match value {
        Value::String(_) if secret => format!("\"{HIDDEN}\""),
        Value::String(value) => text(value),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| scalar(item, &Value::Null)).collect();
            format!("[{}]", items.join(", "))
        }
        other => other.to_string(),
    }
}

/// A text as YAML: bare where that is safe, else as JSON writes it, which YAML reads.
pub(super) fn text(text: &str) -> String {
    let quantity = text.starts_with(|c: char| c.is_ascii_digit()) && text.ends_with(['s', 'm', 'h', 'd', 'B']);
    let bare = (quantity || text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/'))
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c))
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
        );
    if bare {
        text.to_owned()
    } else {
        Value::from(text).to_string()
    }
}
