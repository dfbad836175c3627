//! What a consumer tells about itself: the facts behind `/status`, without a format.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::contract::StreamName;
use crate::flow::{LaneCounts, LastError, Loss, Pause, RestingLane};

/// What a consumer is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ConsumerState {
    /// Not yet in touch with its broker.
    #[default]
    Starting,
    /// Consuming what is assigned to it.
    Running,
    /// The application is down, or an operator paused it: nothing is called.
    Paused,
    /// A stream is stopped by an incident until somebody accepts it, or the database is away.
    Blocked,
    /// Finishing.
    Draining,
    /// Asked to leave: it is no member, and waits for the end or for a resume.
    Drained,
    /// Stopped for good.
    Halted,
}

/// How one stream stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamStatus {
    /// Next offset to settle, once known.
    pub mark: Option<i64>,
    /// Messages behind the newest.
    pub lag: u64,
    /// For how long the oldest unsettled delivery has been stored at the broker.
    pub lag_age: Option<Duration>,
    /// Messages read and not settled.
    pub in_flight: usize,
    /// Lanes by state.
    pub lanes: LaneCounts,
    /// Open letters by state.
    pub letters: Vec<(&'static str, u64)>,
    /// Why it does not go on, if so.
    pub stopped: Option<LastError>,
    /// The application takes nothing.
    pub rests: bool,
    /// Lanes that wait in memory for their next attempt; as many as are shown.
    pub resting: Vec<RestingLane>,
}

/// Everything about one consumer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// What it is doing.
    pub state: ConsumerState,
    /// Its streams.
    pub streams: BTreeMap<StreamName, StreamStatus>,
    /// Messages whose effect became durable since the process began.
    pub processed: u64,
    /// Messages that were done before.
    pub deduplicated: u64,
    /// First occurrences that came after a later one of their key.
    pub reordered: u64,
    /// The application takes nothing at the moment: the breaker is open.
    pub breaker_open: bool,
    /// An operator paused it.
    pub paused: Option<Pause>,
    /// Database, broker and application were reachable when last used.
    pub ready: bool,
    /// The newest failure, until it is over.
    pub last_error: Option<LastError>,
    /// Suspected losses.
    pub loss_suspected: Vec<Loss>,
}

// === impl ConsumerState ===

impl ConsumerState {
    /// The pinned name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Blocked => "blocked",
            Self::Draining => "draining",
            Self::Drained => "drained",
            Self::Halted => "halted",
        }
    }
}

// === impl Status ===

impl Status {
    /// Messages behind the newest, over all streams.
    #[must_use]
    pub fn lag(&self) -> u64 {
        self.streams.values().map(|stream| stream.lag).sum()
    }

    /// The age of the oldest unsettled delivery.
    #[must_use]
    pub fn lag_age(&self) -> Option<Duration> {
        self.streams.values().filter_map(|stream| stream.lag_age).max()
    }

    /// Messages read and not settled.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.streams.values().map(|stream| stream.in_flight).sum()
    }

    /// Lanes by state.
    #[must_use]
    pub fn lanes(&self) -> LaneCounts {
        let mut all = LaneCounts::default();
        for stream in self.streams.values() {
            all.flowing += stream.lanes.flowing;
            all.resting += stream.lanes.resting;
            all.parked += stream.lanes.parked;
        }
        all
    }

    /// Open letters by state.
    #[must_use]
    pub fn letters(&self) -> Vec<(&'static str, u64)> {
        let mut all: Vec<(&'static str, u64)> = Vec::new();
        for (state, count) in self.streams.values().flat_map(|stream| &stream.letters) {
            match all.iter_mut().find(|(known, _)| known == state) {
                Some((_, sum)) => *sum += count,
                None => all.push((state, *count)),
            }
        }
        all
    }

    /// What the streams say of the whole: stopped or resting ones show.
    pub(super) fn settle_state(&mut self) {
        if !matches!(
            self.state,
            ConsumerState::Running | ConsumerState::Paused | ConsumerState::Blocked
        ) {
            return;
        }
        let stopped = self.streams.values().any(|stream| stream.stopped.is_some());
        self.breaker_open = self.streams.values().any(|stream| stream.rests);
        self.state = match (stopped, self.breaker_open) {
            (true, _) => ConsumerState::Blocked,
            (false, true) => ConsumerState::Paused,
            (false, false) => ConsumerState::Running,
        };
    }
}
