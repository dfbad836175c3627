//! What an operator does about stored messages: look, give back in order, drop with a record.
//!
//! Promises: a selection that names nothing selects nothing; a preview changes nothing; every change writes an audit
//! row with its reason.
//!
//! # Why releasing a letter releases its lane
//!
//! A lane's letters go out from its head (R7). Giving back one from the middle would overtake the others, so a release
//! selects the lanes that the letters are in, and what stands with them in their lanes goes out, too. A discard drops the
//! selected letters alone.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::contract::Boxed;
use crate::delivery::Failure;

/// Which letters. All that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Selection {
    /// By number; empty = any.
    #[serde(rename = "id")]
    pub ids: Vec<i64>,
    /// By ordering key.
    pub key: Option<String>,
    /// By relay or consumer.
    pub owner: Option<String>,
    /// By what went wrong: the fingerprint that `letters list --group-by error` shows.
    pub error: Option<String>,
    /// Every open letter; needed when nothing else is given.
    pub all: bool,
}

/// What is done to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Give back in order.
    Release,
    /// Drop with a record.
    Discard,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What.
    pub verb: Verb,
    /// To which.
    pub selection: Selection,
    /// Why, for the audit row.
    pub reason: Option<String>,
    /// At most so many letters a second; none = at once.
    pub rate: Option<u32>,
}

/// How much a selection covers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Letters.
    pub letters: u64,
    /// Lanes that they are in.
    pub lanes: u64,
    /// By fingerprint, the most frequent first.
    pub errors: Vec<ErrorCount>,
}

/// Letters with the same error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorCount {
    /// The fingerprint.
    pub error: String,
    /// How many.
    pub letters: u64,
}

/// One letter, as listed. The shape is pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number.
    pub id: i64,
    /// The message's identity.
    pub message_id: String,
    /// `relay | consumer`.
    pub side: String,
    /// Which relay or consumer.
    pub owner: String,
    /// The ordering key; bytes that are no text are percent-encoded.
    pub key: Option<String>,
    /// `parked | queued | deferred | scheduled | dead`.
    pub state: String,
    /// Failures that spoke of the message.
    pub attempts: u32,
    /// When it failed first.
    pub first_failed_at: Option<Timestamp>,
    /// When it failed last.
    pub last_failed_at: Option<Timestamp>,
    /// What went wrong; a letter that queues behind a failed one has none.
    pub error: Option<EntryError>,
    /// Where a consumer took it from.
    pub source: Option<EntrySource>,
}

/// One letter with everything that is known about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Detail {
    /// As listed.
    #[serde(flatten)]
    pub entry: Entry,
    /// The blocked lane it is in.
    pub lane: String,
    /// What kind of thing it is about.
    pub aggregatetype: Option<String>,
    /// The event's type.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The row's own headers.
    pub headers: Option<serde_json::Value>,
    /// The trace of the transaction that wrote the row.
    pub traceparent: Option<String>,
    /// When the row was inserted.
    pub occurred_at: Option<Timestamp>,
    /// The payload; bytes that are no text are hexadecimal.
    pub payload: Option<String>,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryError {
    /// What it speaks of.
    pub kind: String,
    /// The vendor's name for it.
    #[serde(rename = "type")]
    pub code: String,
    /// What happened.
    pub message: String,
    /// Causes, outermost first.
    pub chain: Vec<String>,
}

/// Where a consumer took a message from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntrySource {
    /// Topic or queue.
    pub topic: Option<String>,
    /// Partition.
    pub partition: Option<i32>,
    /// Offset.
    pub offset: Option<i64>,
}

/// The place where letters are seen and changed.
///
/// # Promises
/// * **P1** `count`, `list` and `show` change nothing.
/// * **P2** `apply` changes what `count` of the same selection counted, less what was settled in between, and writes the
///   audit row in the same transaction.
///
/// # The caller promises
/// A selection that is not empty ([`Selection::is_empty`]).
///
/// # Cancellation
/// A dropped `apply` has an unknown outcome; count again.
///
/// # Errors
/// A failure whose sentence says what to do.
///
/// # What the suite checks
/// P1 and P2 on a real database.
pub trait Desk: Send + Sync {
    /// How much the verb would touch.
    fn count(&self, verb: Verb, selection: Selection) -> Boxed<'_, Result<Count, Failure>>;

    /// Does it; answers how much was touched.
    fn apply(&self, change: Change) -> Boxed<'_, Result<Count, Failure>>;

    /// Open and dead letters in lane and place order, at most `limit`.
    fn list(&self, selection: Selection, limit: u32) -> Boxed<'_, Result<Vec<Entry>, Failure>>;

    /// One letter, open or closed.
    fn show(&self, id: i64) -> Boxed<'_, Result<Option<Detail>, Failure>>;
}

// === impl Selection ===

impl Selection {
    /// Whether it names nothing at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let named = [self.key.is_some(), self.owner.is_some(), self.error.is_some(), self.all];
        self.ids.is_empty() && !named.contains(&true)
    }
}

// === impl Verb ===

impl Verb {
    /// The name in commands and audit rows.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Discard => "discard",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_that_names_nothing_is_empty() {
        assert!(Selection::default().is_empty());
        let all = Selection {
            all: true,
            ..Selection::default()
        };
        let one = Selection {
            ids: vec![7],
            ..Selection::default()
        };
        let key = Selection {
            key: Some(String::new()),
            ..Selection::default()
        };
        assert!(!all.is_empty() && !one.is_empty() && !key.is_empty());
    }
}
