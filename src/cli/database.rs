//! How verbs reach the database.
//!
//! Promises: a verb connects once, as `twinbox <verb>` in `pg_stat_activity`; the URL comes from the configuration only,
//! never from an argument; where several databases could be meant, it asks which.

use std::collections::BTreeMap;

use super::root::Stage;
use super::{Exit, Stop};
use crate::config::Root;
use crate::postgres::config::DatabaseConfig;
use crate::postgres::desk::DeskError;
use crate::postgres::{Connector, Schema, Session};

/// The database that a verb means: of the relay or consumer that is named, else the only one there is. A name that both have
/// means one database, or is asked about.
pub(super) fn meant<'a>(root: &'a Root, name: Option<&str>) -> Result<&'a DatabaseConfig, Stop> {
    let relay = name
        .and_then(|name| root.relays.get(name))
        .map(|relay| root.database_of(relay));
    let consumer = name.and_then(|name| root.consumers.get(name));
    let consumer = consumer.map(|consumer| root.inbox_of(consumer));
    match (relay, consumer) {
        (Some(one), Some(other)) if one != other => {
            let sentence =
                "a relay and a consumer have that name, and databases of their own; write a configuration with one";
            return Err(Stop::usage(sentence));
        }
        (Some(one), _) | (None, Some(one)) => return Ok(one),
        (None, None) => {}
    }
    let consumers = root.consumers.values().map(|consumer| root.inbox_of(consumer));
    only(root, outboxes(root).chain(consumers))
}

/// The database of an outbox: of the relay that is named, else the only one there is.
pub(super) fn outbox<'a>(root: &'a Root, relay: Option<&str>) -> Result<&'a DatabaseConfig, Stop> {
    match relay.and_then(|name| root.relays.get(name)) {
        Some(relay) => Ok(root.database_of(relay)),
        None => only(root, outboxes(root)),
    }
}

fn outboxes(root: &Root) -> impl Iterator<Item = &DatabaseConfig> {
    root.relays.values().map(|relay| root.database_of(relay))
}

fn only<'a>(root: &'a Root, mut known: impl Iterator<Item = &'a DatabaseConfig>) -> Result<&'a DatabaseConfig, Stop> {
    let Some(first) = known.next() else {
        return Ok(&root.database);
    };
    if known.all(|other| other == first) {
        return Ok(first);
    }
    let sentence = "the configuration has several databases; name a relay or consumer of the one that is meant";
    Err(Stop::usage(sentence))
}

/// What a name can mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Relay,
    Consumer,
    /// The configuration does not tell; the database does.
    Either,
}

/// What the configuration says of a name.
pub(super) fn side(root: &Root, name: &str) -> Side {
    match (root.relays.contains_key(name), root.consumers.contains_key(name)) {
        (true, false) => Side::Relay,
        (false, true) => Side::Consumer,
        _ => Side::Either,
    }
}

/// The sentence for a name that the configuration does not have.
pub(super) fn unknown<T>(what: &str, known: &BTreeMap<String, T>, name: &str) -> Stop {
    let names: Vec<&str> = known.keys().map(String::as_str).collect();
    let known = match names.as_slice() {
        [] => "it has none".to_owned(),
        names => format!("it has {}", names.join(", ")),
    };
    Stop::new(
        Exit::Usage,
        format!("the configuration has no {what} {name:?}; {known}"),
    )
}

/// The schema of our tables there.
pub(super) fn schema(database: &DatabaseConfig) -> Result<Schema, Stop> {
    let schema = Schema::new(&database.schema);
    schema.map_err(|error| Stop::configuration(format!("database.schema: {error}")))
}

impl From<DeskError> for Stop {
    fn from(error: DeskError) -> Self {
        match error {
            DeskError::Database(failure) => failure.into(),
            DeskError::UnknownKind(_) => Self::usage(error.to_string()),
            other => Self::failure(other.to_string()),
        }
    }
}

// === impl Stage ===

impl Stage {
    /// What connects a verb to a database.
    pub(super) fn connector(&self, database: &DatabaseConfig, verb: &str) -> Connector {
        let env = self.env.clone();
        Connector::to(database, Session::command(verb), move |name| env.get(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Environment};

    fn root(relays: &str) -> Root {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("twinbox.yaml");
        std::fs::write(&file, relays).unwrap();
        let env: Environment = [("DATABASE_URL", "postgres://a@b/c")].into_iter().collect();
        config::load(&[file], &env, &[]).unwrap().root
    }

    #[test]
    fn one_database_needs_no_name_and_two_do() {
        let one = root("relays: { a: { to: { memory: {} } }, b: { to: { memory: {} } } }");
        assert_eq!(meant(&one, None).unwrap(), &one.database);
        let two = root(
            "relays: { a: { to: { memory: {} } }, b: { to: { memory: {} }, database: { url: \"postgres://x@y/z\" } } }",
        );
        assert_eq!(meant(&two, None).unwrap_err().exit, Exit::Usage);
        assert_eq!(meant(&two, Some("b")).unwrap(), two.database_of(&two.relays["b"]));
        let billing = "consumers: { billing: { database: { url: \"postgres://i@h/inbox\" }, from: { memory: { topics: [t] } }, \
                       handler: { sql: { function: a.f } } } }";
        let both = root(&format!("relays: {{ a: {{ to: {{ memory: {{}} }} }} }}\n{billing}"));
        assert_eq!(meant(&both, None).unwrap_err().exit, Exit::Usage);
        let inbox = both.inbox_of(&both.consumers["billing"]);
        assert_eq!(meant(&both, Some("billing")).unwrap(), inbox);
        assert_eq!(meant(&root("{}"), Some("gone")).unwrap().schema, "twinbox");
    }
}
