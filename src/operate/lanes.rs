//! What an operator does about lanes: look what rests, is parked or paused, hold something back by hand, let it go on.
//!
//! Promises: looking changes nothing; a pause and its end are each one transaction with an audit row; a pause lasts until
//! somebody resumes it, across restarts, and holds in every process of that relay or consumer within [`LOOK_EVERY`].
//!
//! # Why a pause outlives a restart
//!
//! It is an order of a person. A restart that lifted it (a deployment, a node that is drained at three in the morning) would
//! set loose what somebody holds back, with nobody looking.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::letters::Entry;
use crate::contract::Boxed;
use crate::delivery::Failure;
use crate::flow::Pauses;

/// How often processes look what is paused.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Everything of an owner, or one key of it; who, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Order {
    /// The relay or consumer.
    pub owner: String,
    /// `relay | consumer`; needed where both have that name.
    pub side: Option<String>,
    /// One key.
    pub key: Option<String>,
    /// Everything; needed where no key is given.
    pub all: bool,
    /// Who; the login role unless it is said.
    pub by: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// One lane that does not flow, or a pause under which none stands. The shape is pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneEntry {
    /// `relay | consumer`.
    pub side: String,
    /// Which.
    pub owner: String,
    /// The lane's name; null for a pause of everything, or of a key of which nothing is stored.
    pub lane: Option<String>,
    /// The ordering key; null where there is none, or everything is paused.
    pub key: Option<String>,
    /// `resting | parked | scheduled | deferred | paused`.
    pub state: String,
    /// `rejected | resting | destination | paused`; null where nothing is stored.
    pub cause: Option<String>,
    /// Attempts that speak of its head.
    pub attempts: u32,
    /// Messages of it that are stored.
    pub letters: u64,
    /// Since when it stands: its first failure, or the pause.
    pub since: Option<Timestamp>,
    /// When its head is tried again; null when somebody must do something.
    pub next_try: Option<Timestamp>,
    /// What happened to its head.
    pub error: Option<LaneError>,
    /// The pause that holds it.
    pub paused: Option<PauseEntry>,
    /// What to type.
    pub hint: String,
    /// Its letters, where they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<Vec<Entry>>,
}

/// What happened to a head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneError {
    /// What it speaks of.
    pub kind: String,
    /// The vendor's name for it.
    #[serde(rename = "type")]
    pub code: String,
    /// What happened.
    pub message: String,
}

/// Who paused, when and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PauseEntry {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
    /// Since when.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub since: Timestamp,
}

/// The lanes of one relay or consumer.
///
/// # Promises
/// * **P1** `pauses`, `stored` and `letters` change nothing.
/// * **P2** `pause` and `resume` are done with their audit row or not at all, and answer whether there was anything to do.
///
/// # The caller promises
/// Nothing.
///
/// # Cancellation
/// A dropped call has an unknown outcome; it may be made again.
///
/// # Errors
/// A failure whose sentence says what to do.
///
/// # What the suite checks
/// P1 and P2 on a real database.
pub trait Board: Send + Sync {
    /// What is held back.
    fn pauses(&self) -> Boxed<'_, Result<Pauses, Failure>>;

    /// Blocked lanes, and pauses of which nothing is stored, in the order of their names; of one key where it is named.
    fn stored(&self, key: Option<String>, limit: u32) -> Boxed<'_, Result<Vec<LaneEntry>, Failure>>;

    /// Letters of a key, with the names of their lanes.
    fn letters(&self, key: String, limit: u32) -> Boxed<'_, Result<Vec<(String, Entry)>, Failure>>;

    /// Holds back.
    fn pause(&self, order: Order) -> Boxed<'_, Result<bool, Failure>>;

    /// Lets go on.
    fn resume(&self, order: Order) -> Boxed<'_, Result<bool, Failure>>;
}

// === impl LaneEntry ===

impl LaneEntry {
    /// What to type, by its state.
    #[must_use]
    pub fn hint(&self) -> String {
        let Self { owner, side, .. } = self;
        let key = self.key.as_deref().map(quoted);
        match (self.state.as_str(), key, &self.paused) {
            ("paused", Some(key), _) => format!("twinbox lanes resume {owner} --side {side} --key {key}"),
            ("paused", None, _) => format!("twinbox lanes resume {owner} --side {side} --all"),
            ("parked", Some(key), _) => {
                format!("twinbox letters release --owner {owner} --key {key}, or `discard` in place of `release`")
            }
            ("parked", None, _) => format!("twinbox letters list --owner {owner}, then release or discard --id"),
            // It stands for itself, and nothing of the owner goes on.
            (_, _, Some(_)) => format!("twinbox lanes resume {owner} --side {side} --all"),
            _ => "goes on by itself".to_owned(),
        }
    }
}

/// As a shell wants it.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@=+,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(state: &str, key: Option<&str>, paused: bool) -> LaneEntry {
        let paused = paused.then(|| PauseEntry {
            by: "ann".to_owned(),
            reason: None,
            since: Timestamp::UNIX_EPOCH,
        });
        LaneEntry {
            side: "consumer".to_owned(),
            owner: "billing".to_owned(),
            lane: None,
            key: key.map(str::to_owned),
            state: state.to_owned(),
            cause: None,
            attempts: 0,
            letters: 0,
            since: None,
            next_try: None,
            error: None,
            paused,
            hint: String::new(),
            stored: None,
        }
    }

    #[test]
    fn a_hint_can_be_pasted() {
        let hint = entry("paused", Some("it's 42"), true).hint();
        assert_eq!(hint, r"twinbox lanes resume billing --side consumer --key 'it'\''s 42'");
        let hint = entry("paused", None, true).hint();
        assert_eq!(hint, "twinbox lanes resume billing --side consumer --all");
        let hint = entry("scheduled", Some("7"), true).hint();
        assert_eq!(hint, "twinbox lanes resume billing --side consumer --all");
        assert!(
            entry("parked", Some("7"), false)
                .hint()
                .starts_with("twinbox letters release")
        );
        assert_eq!(entry("scheduled", Some("7"), false).hint(), "goes on by itself");
    }
}
