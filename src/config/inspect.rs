//! What a schema cannot see, looked at value by value, so that one mistake does not hide another.
//!
//! Secrets are fetched here once and dropped: a missing variable or file is a mistake of the configuration, and better
//! told now than at three in the morning.

use std::fs::File;

use serde_json::{Map, Value};

use super::broker::{backends, sources};
use super::env::Environment;
use super::origin::{Path, variable};
use super::schema;
use crate::setting::{Complaint, Complaints, FILE, SECRET, Secret, SecretError, Settings};

/// Complains about what is written in `value`, and about secrets that the defaults need.
pub(super) fn inspect(value: &Value, env: &Environment) -> Vec<Complaint> {
    let mut filled = value.clone();
    schema::fill(&mut filled, schema::published());
    if unused(value) {
        filled.as_object_mut().map(|root| root.remove("database"));
    }
    let mut walk = Walk {
        env,
        written: value,
        found: Vec::new(),
    };
    walk.value(&filled, schema::published(), &mut Path::new());
    let mut complaints = Complaints::default();
    let relays = backends().map(|backend| (backend.name, backend.check));
    brokers((value, "relays", "to"), &relays.collect::<Vec<_>>(), &mut complaints);
    let consumers = sources().map(|(backend, consume)| (backend.name, consume.check));
    brokers(
        (value, "consumers", "from"),
        &consumers.collect::<Vec<_>>(),
        &mut complaints,
    );
    walk.found.into_iter().chain(complaints.into_vec()).collect()
}

/// Whether nothing needs the common database: it is not written, and every relay and consumer has its own.
fn unused(value: &Value) -> bool {
    let named = |section: &str| value.get(section).and_then(Value::as_object).into_iter().flatten();
    let mut all = named("relays").chain(named("consumers")).peekable();
    value.get("database").is_none() && all.peek().is_some() && all.all(|(_, one)| one.get("database").is_some())
}

/// A broker's name, and how it looks at its settings.
type Check = (&'static str, fn(&Settings, &mut Complaints));

/// Lets the broker of each relay or consumer look at its settings.
fn brokers((value, section, key): (&Value, &str, &str), checks: &[Check], complaints: &mut Complaints) {
    for (name, one) in value.get(section).and_then(Value::as_object).into_iter().flatten() {
        for (broker, check) in checks {
            let Some(settings) = one.get(key).and_then(|key| key.get(broker)) else {
                continue;
            };
            let settings = Settings::new(settings.clone());
            let within = |complaints: &mut Complaints| {
                complaints.within(key, |complaints| {
                    complaints.within(broker, |complaints| check(&settings, complaints));
                });
            };
            complaints.within(section, |complaints| complaints.within(name, within));
        }
    }
}

struct Walk<'a> {
    env: &'a Environment,
    /// Without defaults.
    written: &'a Value,
    found: Vec<Complaint>,
}

impl Walk<'_> {
    fn value(&mut self, value: &Value, schema: &Value, path: &mut Path) {
        let format = schema::format(schema).map(|format| format.name);
        let sentence = match value {
            Value::String(text) if text.contains("${") => Some(not_interpolated(path, format)),
            Value::String(text) if format == Some(FILE.name) => unreadable(text),
            _ if format == Some(SECRET.name) => return self.secret(value, path),
            Value::Object(map) => return self.map(map, schema, path),
            Value::Array(list) => {
                for (index, item) in list.iter().enumerate() {
                    self.below(&index.to_string(), item, (schema, path));
                }
                None
            }
            _ => None,
        };
        self.found.extend(sentence.map(|sentence| Complaint {
            path: path.clone(),
            sentence,
        }));
    }

    fn map(&mut self, map: &Map<String, Value>, schema: &Value, path: &mut Path) {
        for (key, value) in map {
            self.below(key, value, (schema, path));
        }
    }

    fn below(&mut self, key: &str, value: &Value, (schema, path): (&Value, &mut Path)) {
        path.push(key.to_owned());
        // Below an unknown key there may still be a `${X}`, but nobody knows what it means.
        if let Some(schema) = schema::step(schema, key) {
            self.value(value, schema, path);
        }
        path.pop();
    }

    fn secret(&mut self, value: &Value, path: &[String]) {
        let Ok(secret) = serde_json::from_value::<Secret>(value.clone()) else {
            return;
        };
        let Err(error) = secret.resolve(&|name| self.env.get(name)) else {
            return;
        };
        let sentence = match &error {
            SecretError::NotSet(_)
                if path
                    .iter()
                    .try_fold(self.written, |value, key| value.get(key))
                    .is_none() =>
            {
                let key = path.last().map_or("", String::as_str);
                let variable = variable(path);
                format!(
                    "{error}; set it, or write `{key}: {{ env: NAME }}` or `{key}: {{ file: PATH }}`, or set {variable}"
                )
            }
            SecretError::NotSet(_) => format!("{error}; set it, or name another"),
            _ => error.to_string(),
        };
        self.found.push(Complaint {
            path: path.to_vec(),
            sentence,
        });
    }
}

fn not_interpolated(path: &[String], format: Option<&str>) -> String {
    if format == Some(SECRET.name) {
        "has ${…}, but text is not interpolated; write { env: NAME }".to_owned()
    } else {
        format!(
            "has ${{…}}, but text is not interpolated; write the value, or set {}",
            variable(path)
        )
    }
}

fn unreadable(path: &str) -> Option<String> {
    File::open(path)
        .err()
        .map(|error| format!("cannot read {path}: {}", error.kind()))
}
