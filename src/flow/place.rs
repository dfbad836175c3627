//! A destination as the relay sees it: whether it takes messages, and which lanes wait for it.
//!
//! Promises: a resting destination sees one probe at a time; success wakes it at 1, 2, 4 … lanes (S10's small probe).

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::lane::LaneId;
use crate::delivery::Destination;
use crate::message::Key;

/// A success this short a while ago means that the place works for others.
const FRESH: Duration = Duration::from_secs(60);

/// What happened at a destination since it was last asked about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Messages that became durable.
    pub durable: u64,
    /// Messages that failed.
    pub failed: u64,
    /// What the newest failure was.
    pub code: Option<Cow<'static, str>>,
    /// The longest that a run waited for its last answer.
    pub slowest: Duration,
}

/// One destination.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) destination: Destination,
    /// Its lanes in memory that have a key.
    pub(super) lanes: foldhash::HashMap<Key, LaneId>,
    /// Rests until then, then one probe.
    pub(super) rests_until: Option<Instant>,
    pub(super) rests_since: Option<Instant>,
    pub(super) rests: u32,
    /// Lanes that may be in flight at once; [`usize::MAX`] when all is well.
    pub(super) width: usize,
    pub(super) flying: usize,
    pub(super) failing_lanes: usize,
    pub(super) last_success: Option<Instant>,
    pub(super) tally: Tally,
    /// Lanes that want to publish, first come first.
    pub(super) ready: VecDeque<LaneId>,
}

/// Since when nothing happened at a place of which nothing is under way; what flows comes before what rests, and the
/// longest idle first.
pub(super) type Idle = (bool, Option<Instant>);

// === impl Place ===

impl Place {
    pub(super) fn new(destination: Destination) -> Self {
        Self {
            destination,
            lanes: foldhash::HashMap::default(),
            rests_until: None,
            rests_since: None,
            rests: 0,
            width: usize::MAX,
            flying: 0,
            failing_lanes: 0,
            last_success: None,
            tally: Tally::default(),
            ready: VecDeque::new(),
        }
    }

    /// Whether one more lane may go into flight now.
    pub(super) fn admits(&self, now: Instant) -> bool {
        self.flying < self.width && self.rests_until.is_none_or(|until| until <= now)
    }

    /// How idle it is; none while something is on its way, or not counted yet.
    pub(super) fn idle(&self) -> Option<Idle> {
        let is_idle = self.flying == 0 && self.tally == Tally::default();
        is_idle.then(|| (self.rests_since.is_some(), self.last_success.max(self.rests_until)))
    }

    /// Another lane succeeded here a short while ago.
    pub(super) fn flows(&self, now: Instant) -> bool {
        self.rests_since.is_none()
            && self
                .last_success
                .is_some_and(|at| now.saturating_duration_since(at) < FRESH)
    }

    /// A run became durable; answers whether the place had rested.
    pub(super) fn succeeded(&mut self, now: Instant) -> bool {
        self.last_success = Some(now);
        self.failing_lanes = 0;
        self.rests = 0;
        self.rests_until = None;
        self.width = self.width.saturating_mul(2);
        self.rests_since.take().is_some()
    }

    /// Counts one answer: durable, failed with that code, or neither.
    pub(super) fn count(&mut self, durable: bool, code: Option<Cow<'static, str>>) {
        self.tally.durable += u64::from(durable);
        self.tally.failed += u64::from(code.is_some());
        self.tally.code = code.or(self.tally.code.take());
    }

    /// Begins or prolongs the rest; answers whether it begins.
    pub(super) fn rest(&mut self, rest: Duration, now: Instant) -> bool {
        self.rests_until = Some(now + rest);
        self.width = 1;
        self.rests_since.replace(self.rests_since.unwrap_or(now)).is_none()
    }
}
