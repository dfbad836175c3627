//! `/status`: one JSON document for the command line, pages and tests.
//!
//! Promises: the names and shapes are pinned and versioned ([`VERSION`]); what nobody knows is `null`, never 0; no key,
//! no id and no payload is in it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::consumer::{self, ConsumerState, StreamStatus};
use crate::flow::{LaneCounts, LastError, Loss, Pause};
use crate::operate::lanes::PauseEntry;
use crate::relay::{RelayState, Status};

/// The version of the document's shape; grows when a field changes its meaning or goes.
pub const VERSION: u32 = 1;

/// A relay's name and what it says of itself, now and later.
pub type Seen = (String, watch::Receiver<Status>);

/// The same of a consumer.
pub type SeenConsumer = (String, watch::Receiver<consumer::Status>);

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

/// The states of a consumer.
pub(super) const CONSUMER_STATES: [ConsumerState; 7] = [
    ConsumerState::Starting,
    ConsumerState::Running,
    ConsumerState::Paused,
    ConsumerState::Blocked,
    ConsumerState::Draining,
    ConsumerState::Drained,
    ConsumerState::Halted,
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
    /// By name.
    #[serde(default)]
    pub consumers: BTreeMap<String, ConsumerEntry>,
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
    /// An operator paused it; null while nobody does.
    #[serde(default)]
    pub paused: Option<PauseEntry>,
    /// The newest failure, until it is over.
    pub last_error: Option<ErrorEntry>,
}

/// One consumer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConsumerEntry {
    /// `starting | running | paused | blocked | draining | drained | halted`.
    pub state: String,
    /// Messages behind the newest, over the partitions that are assigned here.
    pub lag: Option<u64>,
    /// For how long the oldest message that is not settled has been at the broker.
    pub lag_seconds: Option<f64>,
    /// Messages read and not settled.
    pub in_flight: usize,
    /// Lanes by state.
    pub lanes: LanesEntry,
    /// Letters by state.
    pub letters: BTreeMap<String, u64>,
    /// Messages whose effect became durable since the process started.
    pub processed: u64,
    /// Messages that were done before, and were not called for again.
    pub deduplicated: u64,
    /// `closed`, or `open` while the application takes nothing.
    pub breaker: String,
    /// An operator paused it; null while nobody does.
    #[serde(default)]
    pub paused: Option<PauseEntry>,
    /// The newest failure, until it is over.
    pub last_error: Option<ErrorEntry>,
    /// What is assigned here, `topic/partition`.
    #[serde(default)]
    pub streams: BTreeMap<String, StreamEntry>,
}

/// One partition or queue of a consumer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StreamEntry {
    /// The next offset to settle.
    pub mark: Option<i64>,
    /// Messages behind the newest.
    pub lag: u64,
    /// For how long the oldest message that is not settled has been at the broker.
    pub lag_seconds: Option<f64>,
    /// Messages read and not settled.
    pub in_flight: usize,
    /// Why it does not go on.
    pub stopped: Option<ErrorEntry>,
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
    /// Which relay, if one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<String>,
    /// Which consumer, if one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
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

    /// The document of these relays and consumers.
    #[must_use]
    pub fn of(
        relays: impl IntoIterator<Item = (String, Status)>,
        consumers: impl IntoIterator<Item = (String, consumer::Status)>,
    ) -> Self {
        let mut document = Self {
            verdict: String::new(),
            version: VERSION,
            twinbox: env!("CARGO_PKG_VERSION").to_owned(),
            relays: BTreeMap::new(),
            consumers: BTreeMap::new(),
            loss_suspected: Vec::new(),
        };
        for (relay, mut status) in relays {
            let losses = std::mem::take(&mut status.loss_suspected).into_iter();
            let losses = losses.map(|loss| LossEntry {
                relay: Some(relay.clone()),
                ..LossEntry::from(loss)
            });
            document.loss_suspected.extend(losses);
            document.relays.insert(relay, status.into());
        }
        for (consumer, mut status) in consumers {
            let losses = std::mem::take(&mut status.loss_suspected).into_iter();
            let losses = losses.map(|loss| LossEntry {
                consumer: Some(consumer.clone()),
                ..LossEntry::from(loss)
            });
            document.loss_suspected.extend(losses);
            document.consumers.insert(consumer, status.into());
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
            lanes: status.lanes.into(),
            letters: letters.map(|(state, count)| (state.to_owned(), count)).collect(),
            published: status.published,
            paused: status.paused.map(PauseEntry::from),
            last_error: status.last_error.map(ErrorEntry::from),
        }
    }
}

impl From<LastError> for ErrorEntry {
    fn from(LastError { at, kind, message }: LastError) -> Self {
        Self { at, kind, message }
    }
}

impl From<consumer::Status> for ConsumerEntry {
    fn from(status: consumer::Status) -> Self {
        let letters = status.letters().into_iter();
        let streams = status.streams.iter();
        Self {
            state: status.state.as_str().to_owned(),
            lag: lag(&status),
            lag_seconds: lag_seconds(&status),
            in_flight: status.in_flight(),
            lanes: status.lanes().into(),
            letters: letters.map(|(state, count)| (state.to_owned(), count)).collect(),
            processed: status.processed,
            deduplicated: status.deduplicated,
            breaker: if status.breaker_open { "open" } else { "closed" }.to_owned(),
            paused: status.paused.clone().map(PauseEntry::from),
            streams: streams
                .map(|(name, stream)| (name.to_string(), stream.into()))
                .collect(),
            last_error: status.last_error.map(ErrorEntry::from),
        }
    }
}

/// How far a consumer is behind, where it is known: whoever has left or not begun does not know.
pub(super) fn lag(status: &consumer::Status) -> Option<u64> {
    let away = matches!(
        status.state,
        ConsumerState::Starting | ConsumerState::Drained | ConsumerState::Halted
    );
    (!away || !status.streams.is_empty()).then(|| status.lag())
}

/// The same in seconds. Nothing behind is no age.
pub(super) fn lag_seconds(status: &consumer::Status) -> Option<f64> {
    match status.lag_age() {
        Some(age) => Some(age.as_secs_f64()),
        None => lag(status).filter(|lag| *lag == 0).map(|_| 0.0),
    }
}

impl From<&StreamStatus> for StreamEntry {
    fn from(stream: &StreamStatus) -> Self {
        Self {
            mark: stream.mark,
            lag: stream.lag,
            lag_seconds: stream.lag_age.map(|age| age.as_secs_f64()),
            in_flight: stream.in_flight,
            stopped: stream.stopped.clone().map(ErrorEntry::from),
        }
    }
}

impl From<Pause> for PauseEntry {
    fn from(Pause { by, reason, since }: Pause) -> Self {
        Self { by, reason, since }
    }
}

impl From<LaneCounts> for LanesEntry {
    fn from(lanes: LaneCounts) -> Self {
        let LaneCounts {
            flowing,
            resting,
            parked,
        } = lanes;
        Self {
            flowing,
            resting,
            parked,
        }
    }
}

impl From<Loss> for LossEntry {
    fn from(loss: Loss) -> Self {
        let Loss { kind, from, to, at } = loss;
        Self {
            relay: None,
            consumer: None,
            kind,
            from,
            to,
            at,
        }
    }
}

// === impl LossEntry ===

impl LossEntry {
    /// Whose it is.
    #[must_use]
    pub fn owner(&self) -> &str {
        self.relay.as_deref().or(self.consumer.as_deref()).unwrap_or_default()
    }
}
