//! What an operator holds back by hand: everything of a relay or consumer, or single keys.
//!
//! Promises: under a pause nothing is handed over, no attempt is counted and nothing fails; what is in flight is finished. A
//! paused key is stored whole, from its head, behind what was in flight (R10), so it holds neither the watermark nor the
//! budget; its letters are nobody's turn until the pause is over. A whole pause stores nothing: all just wait.
//!
//! # Why a lane that is stored for a pause is due at once
//!
//! Whoever stores it may have heard of the pause a second late, when it is over already. The store does not give out lanes
//! of a paused key however long they are due, so that the pause itself is the only thing that holds them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::lane::{LaneId, Standing};
use super::state::State;
use crate::delivery::{Failure, FailureKind, LaneName};
use crate::message::Key;

/// A pause of everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
    /// Since when.
    pub since: Timestamp,
}

/// As many lanes are shown of one stream, or of one relay.
pub const RESTING_SHOWN: usize = 100;

/// What is held back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pauses {
    /// It has been read once. Before, everything is held back: nobody knows better.
    pub known: bool,
    /// Everything is.
    pub whole: Option<Pause>,
    /// These keys are.
    pub keys: BTreeSet<Key>,
}

/// A lane that waits in memory for its next attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestingLane {
    /// Its name.
    pub name: LaneName,
    /// Its key.
    pub key: Option<Key>,
    /// Attempts that speak of its head.
    pub attempts: u32,
    /// When it failed first.
    pub since: Option<Timestamp>,
    /// When it is tried again.
    pub until: Timestamp,
    /// What happened.
    pub failure: Option<Arc<Failure>>,
}

// === impl Pauses ===

impl Pauses {
    /// Nothing is held back.
    #[must_use]
    pub fn none() -> Self {
        Self {
            known: true,
            ..Self::default()
        }
    }

    /// Nothing at all may be handed over.
    #[must_use]
    pub fn hold_all(&self) -> bool {
        !self.known || self.whole.is_some()
    }

    /// Nothing of that key may be handed over.
    #[must_use]
    pub fn hold(&self, key: Option<&Key>) -> bool {
        self.hold_all() || self.hold_key(key)
    }

    fn hold_key(&self, key: Option<&Key>) -> bool {
        key.is_some_and(|key| self.keys.contains(key))
    }
}

// === impl State ===

impl State {
    /// An operator holds this lane back. A head that was refused goes on its way to the dead-letter destination.
    pub(super) fn is_paused(&self, id: LaneId) -> bool {
        let lane = &self.lanes[id as usize];
        lane.dead.is_none() && self.pauses.hold_key(lane.key.as_ref())
    }

    /// Lanes that rest in memory, the next attempt first.
    pub fn resting_lanes(&mut self, most: usize, (now, wall): (Instant, Timestamp)) -> Vec<RestingLane> {
        let resting: Vec<(Instant, LaneId)> = self.resting.iter().copied().take(most).collect();
        let mut lanes = Vec::with_capacity(resting.len());
        for (until, id) in resting {
            if self.lanes[id as usize].standing != Standing::Resting(until) {
                continue;
            }
            let name = self.name_of(id);
            let lane = &self.lanes[id as usize];
            lanes.push(RestingLane {
                name,
                key: lane.key.clone(),
                attempts: lane.attempts,
                since: lane
                    .failing_since
                    .map(|since| before(wall, now.saturating_duration_since(since))),
                until: after(wall, until.saturating_duration_since(now)),
                failure: lane.last_failure.clone(),
            });
        }
        lanes
    }
}

fn before(wall: Timestamp, time: Duration) -> Timestamp {
    wall.checked_sub(time).unwrap_or(Timestamp::MIN)
}

fn after(wall: Timestamp, time: Duration) -> Timestamp {
    wall.checked_add(time).unwrap_or(Timestamp::MAX)
}

/// What stands in the first letter of a lane that was held back and never failed.
pub(super) fn held_back() -> Arc<Failure> {
    Arc::new(Failure::new(
        FailureKind::Unknown,
        "Paused",
        "an operator paused this key; `twinbox lanes resume` lets it go on",
    ))
}
