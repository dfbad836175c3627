//! `/status`: one JSON document for the command line, pages and tests.
//!
//! Promises: the names and shapes are pinned and versioned ([`VERSION`]); what nobody knows is `null`, never 0; no key,
//! no id and no payload is in it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::flow::{LastError, Loss};
use crate::relay::{RelayState, Status};

/// The version of the document's shape; grows when a field changes its meaning or goes.
pub const VERSION: u32 = 1;

/// A relay's name and what it says of itself, now and later.
pub type Seen = (String, watch::Receiver<Status>);

/// The states of a relay, for gauges of which one is set.
pub(super) const STATES: [RelayState; 7] = [
    RelayState::Starting,
    RelayState::Leading,
    RelayState::Standby,
    RelayState::CatchingUp,
    RelayState::Blocked,
    RelayState::Draining,
    RelayState::Halted,
];

/// The document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Document {
    /// How things are, in one sentence.
    pub verdict: String,
    /// Version of this shape.
    pub version: u32,
    /// The binary's version.
    pub twinbox: String,
    /// By name.
    pub relays: BTreeMap<String, RelayEntry>,
    /// What may be lost; not empty pages somebody.
    pub loss_suspected: Vec<LossEntry>,
}

/// One relay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RelayEntry {
    /// `starting | leading | standby | catching_up | blocked | draining | halted`.
    pub state: String,
    /// The kind of source.
    pub source: String,
    /// Everything at or below is settled: `epoch.major.minor`.
    pub position: Option<String>,
    /// Rows waiting.
    pub backlog: Option<u64>,
    /// Age of the oldest of them.
    pub oldest_age_seconds: Option<f64>,
    /// Messages on their way.
    pub in_flight: usize,
    /// Lanes by state.
    pub lanes: LanesEntry,
    /// Letters by state.
    pub letters: BTreeMap<String, u64>,
    /// Messages published since the process started.
    pub published: u64,
    /// The newest failure, until it is over.
    pub last_error: Option<ErrorEntry>,
}

/// Lanes by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LanesEntry {
    /// On their way.
    pub flowing: usize,
    /// Waiting after a failure.
    pub resting: usize,
    /// Blocked, their messages are letters.
    pub parked: usize,
}

/// The newest failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorEntry {
    /// When.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// Its kind or incident.
    pub kind: String,
    /// What happened and what to type.
    pub message: String,
}

/// A loss that cannot be excluded (G8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LossEntry {
    /// Which relay.
    pub relay: String,
    /// The pinned kind of the incident.
    pub kind: String,
    /// Where the range begins.
    pub from: String,
    /// Where it ends.
    pub to: String,
    /// When it was noticed.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
}

// === impl Document ===

impl Document {
    /// The schema of the document.
    #[must_use]
    pub fn schema() -> Schema {
        schemars::schema_for!(Self)
    }

    /// The document of these relays.
    #[must_use]
    pub fn of(relays: impl IntoIterator<Item = (String, Status)>) -> Self {
        let mut document = Self {
            verdict: String::new(),
            version: VERSION,
            twinbox: env!("CARGO_PKG_VERSION").to_owned(),
            relays: BTreeMap::new(),
            loss_suspected: Vec::new(),
        };
        for (relay, mut status) in relays {
            let losses = std::mem::take(&mut status.loss_suspected).into_iter();
            document
                .loss_suspected
                .extend(losses.map(|loss| LossEntry::of(&relay, loss)));
            document.relays.insert(relay, status.into());
        }
        document.verdict = super::verdict::sentence(&document);
        document
    }
}

impl From<Status> for RelayEntry {
    fn from(status: Status) -> Self {
        let letters = status.letters.into_iter();
        Self {
            state: status.state.as_str().to_owned(),
            source: status.source.to_owned(),
            position: status.position.map(|position| position.to_string()),
            backlog: status.backlog,
            oldest_age_seconds: status.oldest_age.map(|age| age.as_secs_f64()),
            in_flight: status.in_flight,
            lanes: LanesEntry {
                flowing: status.lanes.flowing,
                resting: status.lanes.resting,
                parked: status.lanes.parked,
            },
            letters: letters.map(|(state, count)| (state.to_owned(), count)).collect(),
            published: status.published,
            last_error: status.last_error.map(ErrorEntry::from),
        }
    }
}

impl From<LastError> for ErrorEntry {
    fn from(LastError { at, kind, message }: LastError) -> Self {
        Self { at, kind, message }
    }
}

impl LossEntry {
    fn of(relay: &str, loss: Loss) -> Self {
        let Loss { kind, from, to, at } = loss;
        let relay = relay.to_owned();
        Self {
            relay,
            kind,
            from,
            to,
            at,
        }
    }
}
