//! How verbs reach the database.
//!
//! Promises: a verb connects once, as `twinbox <verb>` in `pg_stat_activity`; the URL comes from the configuration only,
//! never from an argument.

use super::root::Stage;
use super::{Exit, Stop};
use crate::config::Root;
use crate::postgres::config::DatabaseConfig;
use crate::postgres::{Connector, Schema, Session};

/// Where `letters`, `accept` and the like look: the database of a relay, or the common one.
pub(super) fn of<'a>(root: &'a Root, relay: Option<&str>) -> Result<&'a DatabaseConfig, Stop> {
    match relay {
        None => Ok(&root.database),
        Some(name) => match root.relays.get(name) {
            Some(relay) => Ok(root.database_of(relay)),
            None => Err(unknown(root, name)),
        },
    }
}

/// The sentence for a relay's name that is not in the configuration.
pub(super) fn unknown(root: &Root, name: &str) -> Stop {
    let names: Vec<&str> = root.relays.keys().map(String::as_str).collect();
    let known = match names.as_slice() {
        [] => "it has none".to_owned(),
        names => format!("it has {}", names.join(", ")),
    };
    Stop::new(Exit::Usage, format!("the configuration has no relay {name:?}; {known}"))
}

/// The schema of our tables there.
pub(super) fn schema(database: &DatabaseConfig) -> Result<Schema, Stop> {
    let schema = Schema::new(&database.schema);
    schema.map_err(|error| Stop::configuration(format!("database.schema: {error}")))
}

// === impl Stage ===

impl Stage {
    /// What connects a verb to a database.
    pub(super) fn connector(&self, database: &DatabaseConfig, verb: &str) -> Connector {
        let env = self.env.clone();
        Connector::to(database, Session::command(verb), move |name| env.get(name))
    }
}
