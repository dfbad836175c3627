//! What an operator does with letters and relays, over one connection of the operator's role.
//!
//! Promises: nothing is changed without its audit row in the same transaction · at most 500 lanes per transaction, locked
//! in ascending order before their letters are touched · a release only makes lanes due; their owner delivers and closes
//! (S3) · a dropped letter stays as a dedupe fact: its row is struck from what its window has left, and
//! its id stands in the inbox as dropped (S4).

mod accept;
mod consumers;
mod letters;
mod list;
mod pauses;
mod relays;

use super::failure::Failure;
use super::identifier::Schema;

pub use accept::{Accepted, KINDS};
pub use consumers::Stopped;
pub use letters::{Discarded, Lanes, Released};
pub use list::{Group, Listed, ListedError, Shown};
pub use pauses::{Blocked, Paused, Whose};
pub use relays::Enqueue;

/// Lanes that one transaction touches.
pub const LANES_MAX: usize = 500;

/// Which letters. Everything that is given must match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Name of the relay.
    pub owner: Option<String>,
    /// Numbers of letters.
    pub ids: Option<Vec<i64>>,
    /// The key as text.
    pub key: Option<String>,
    /// Fingerprint of the error.
    pub error: Option<String>,
}

/// Who does it, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Order {
    /// The person, where it is not the login role.
    pub actor: Option<String>,
    /// For the audit.
    pub reason: Option<String>,
}

/// The desk of one schema.
#[derive(Debug, Clone)]
pub struct Desk {
    schema: Schema,
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// The database said no, or nothing.
    #[error(transparent)]
    Database(#[from] Failure),
    /// No relay of that name has ever started here.
    #[error("there is no relay {0} in this database: check the name, and `database.schema`")]
    NoRelay(String),
    /// No consumer of that name has ever started here.
    #[error("there is no consumer {0} in this database: check the name, and `database.schema`")]
    NoConsumer(String),
    /// What was shown is not true any more.
    #[error("{0} was taken over meanwhile: nothing was changed; look again")]
    Changed(String),
    /// It must not be touched while it runs.
    #[error("relay {0} is running: stop it first, or wait until its lease has run out")]
    Running(String),
    /// Forgetting it would orphan them.
    #[error(
        "relay {relay} has {letters} open letters: release them and let it deliver them, or \
         `twinbox letters discard --owner {relay} --all`"
    )]
    OpenLetters {
        /// The relay.
        relay: String,
        /// How many.
        letters: i64,
    },
    /// Not a kind of incident that can be accepted.
    #[error("{0} is no kind of incident: one of {kinds}", kinds = KINDS.join(", "))]
    UnknownKind(String),
}

// === impl Desk ===

impl Desk {
    /// Of the tables in `schema`.
    #[must_use]
    pub fn new(schema: Schema) -> Self {
        Self { schema }
    }

    /// A file of `sql/queries/desk`.
    fn sql(&self, text: &str) -> String {
        self.schema.render(text)
    }
}

impl From<tokio_postgres::Error> for DeskError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(Failure::of(&error))
    }
}

// === impl Selection ===

impl Selection {
    /// The audit's object: what was selected, as the command line said it.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut parts = Vec::new();
        if let Some(owner) = &self.owner {
            parts.push(format!("owner {owner}"));
        }
        if let Some(ids) = &self.ids {
            let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
            parts.push(format!("letters {}", ids.join(", ")));
        }
        if let Some(key) = &self.key {
            parts.push(format!("key {key}"));
        }
        if let Some(error) = &self.error {
            parts.push(format!("error {error}"));
        }
        if parts.is_empty() {
            "all letters".to_owned()
        } else {
            parts.join(", ")
        }
    }

    /// The key as it is stored.
    fn key_bytes(&self) -> Option<&[u8]> {
        self.key.as_deref().map(str::as_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_says_what_it_selects() {
        let selection = Selection {
            owner: Some("orders".to_owned()),
            ids: Some(vec![4, 7]),
            ..Selection::default()
        };
        assert_eq!(selection.describe(), "owner orders, letters 4, 7");
        assert_eq!(Selection::default().describe(), "all letters");
    }
}
