//! What a relay tells about itself: the facts behind `/status`, without a format.

use std::time::Duration;

use crate::flow::{LaneCounts, LastError, Loss, Pause, RestingLane};
use crate::message::Position;

/// What a relay is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RelayState {
    /// Not yet in touch with its database.
    #[default]
    Starting,
    /// Publishing under the lease.
    Leading,
    /// Another process leads.
    Standby,
    /// Reading the table after the log was lost.
    CatchingUp,
    /// Stopped by an incident until somebody accepts it, or by an outage of its database.
    Blocked,
    /// Finishing.
    Draining,
    /// Stopped for good.
    Halted,
}

/// Everything about one relay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// What it is doing.
    pub state: RelayState,
    /// Kind of its source: `cursor` or `wal`.
    pub source: &'static str,
    /// The watermark.
    pub position: Option<Position>,
    /// Rows that wait.
    pub backlog: Option<u64>,
    /// Age of the oldest of them.
    pub oldest_age: Option<Duration>,
    /// Messages read and not settled.
    pub in_flight: usize,
    /// Lanes by state.
    pub lanes: LaneCounts,
    /// Lanes that wait in memory for their next attempt; as many as are shown.
    pub resting: Vec<RestingLane>,
    /// An operator paused it.
    pub paused: Option<Pause>,
    /// Open letters by state, as counted by the database.
    pub letters: Vec<(&'static str, u64)>,
    /// Messages that became durable at the broker since the process began.
    pub published: u64,
    /// Database and broker were reachable when last used.
    pub ready: bool,
    /// The newest failure, until it is over.
    pub last_error: Option<LastError>,
    /// Suspected losses.
    pub loss_suspected: Vec<Loss>,
}

// === impl Status ===

impl Status {
    /// Forgets what only a leader knows and what changes by the second.
    pub(super) fn forget_work(&mut self) {
        self.backlog = None;
        self.oldest_age = None;
        self.in_flight = 0;
        self.resting.clear();
    }
}

// === impl RelayState ===

impl RelayState {
    /// The pinned name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Leading => "leading",
            Self::Standby => "standby",
            Self::CatchingUp => "catching_up",
            Self::Blocked => "blocked",
            Self::Draining => "draining",
            Self::Halted => "halted",
        }
    }
}
