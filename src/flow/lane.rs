//! A lane as the relay holds it in memory: what waits, what is in flight, and how it stands.
//!
//! Promises: at most one run in flight (R1); a failed run goes back to the *front* with its tail, so that nothing of the
//! lane overtakes (R2).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::dead::Dead;
use crate::delivery::{Cause, Failure, LaneName};
use crate::message::Key;

/// Index of a lane in the slab.
pub(super) type LaneId = u32;

/// How a lane stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Publishes as it comes.
    Flowing,
    /// Waits until then, then probes.
    Resting(Instant),
    /// Is being stored, or is to be stored next.
    Storing,
    /// Its row exists: what arrives is appended.
    Blocked,
    /// Forgotten; the slot is free.
    Gone,
}

/// Most lanes hold a few messages at a time: so much room is kept for a slot's next lane, no more, or one busy key after
/// another would leave every slot with a large buffer.
const BUFFER_KEPT: usize = 16;

/// One lane.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) place: u32,
    pub(super) key: Option<Key>,
    pub(super) name: Option<LaneName>,
    pub(super) standing: Standing,
    /// Numbers that wait, in order.
    pub(super) queue: VecDeque<u64>,
    /// Numbers in flight, in order; answered ones stay until the whole run is answered.
    pub(super) run: VecDeque<u64>,
    pub(super) unanswered: u32,
    /// Messages of it that are letters by now and on their way still: they count for R1 (S33).
    pub(super) haunted: u32,
    pub(super) handed_over: Option<Instant>,
    /// Longest next run: 1 after a failure, doubling with success.
    pub(super) width: u32,
    /// Attempts that speak of the head.
    pub(super) attempts: u32,
    /// Failures in a row, whatever they speak of.
    pub(super) failures: u32,
    pub(super) failing_since: Option<Instant>,
    /// The last of them. A success of others after it says that the next one speaks of the message.
    pub(super) failed_at: Option<Instant>,
    pub(super) last_failure: Option<Arc<Failure>>,
    /// The head was refused and goes there next.
    pub(super) dead: Option<Box<Dead>>,
    /// Why it is stored, once it is.
    pub(super) store_cause: Cause,
    /// It stands in its place's queue of lanes that want to publish.
    pub(super) listed: bool,
}

// === impl Lane ===

impl Lane {
    pub(super) fn new(place: u32, key: Option<Key>, name: Option<LaneName>) -> Self {
        Self {
            place,
            key,
            name,
            standing: Standing::Flowing,
            queue: VecDeque::new(),
            run: VecDeque::new(),
            unanswered: 0,
            haunted: 0,
            handed_over: None,
            width: u32::MAX,
            attempts: 0,
            failures: 0,
            failing_since: None,
            failed_at: None,
            last_failure: None,
            dead: None,
            store_cause: Cause::Rejected,
            listed: false,
        }
    }

    /// The slot of a lane that is gone gets its next tenant; small buffers stay.
    pub(super) fn let_to(&mut self, mut tenant: Self) {
        for (own, next) in [(&mut self.queue, &mut tenant.queue), (&mut self.run, &mut tenant.run)] {
            if own.is_empty() && own.capacity() <= BUFFER_KEPT {
                std::mem::swap(own, next);
            }
        }
        *self = tenant;
    }

    /// Its run waits for answers longer than a healthy broker takes.
    pub(super) fn is_stalled(&self, now: Instant, stall: Option<Duration>) -> bool {
        let handed_over = self.handed_over.filter(|_| !self.run.is_empty());
        handed_over
            .zip(stall)
            .is_some_and(|(at, stall)| now.saturating_duration_since(at) >= stall)
    }

    /// Nothing of it is left in memory, and nothing about it is worth remembering.
    pub(super) fn is_over(&self) -> bool {
        self.queue.is_empty() && self.is_answered() && matches!(self.standing, Standing::Flowing | Standing::Blocked)
    }

    /// The place that its run, or the next one, goes to: what happens there speaks of that place and of no other.
    pub(super) fn bound_for(&self) -> u32 {
        self.dead.as_ref().map_or(self.place, |dead| dead.place)
    }

    /// Nothing of it is on its way.
    pub(super) fn is_answered(&self) -> bool {
        self.run.is_empty() && self.haunted == 0
    }

    /// It could publish now, if its destination lets it.
    pub(super) fn wants_to_publish(&self) -> bool {
        self.standing == Standing::Flowing && self.is_answered() && !self.queue.is_empty()
    }

    /// Takes the next run into flight.
    pub(super) fn depart(&mut self, run_max: usize, now: Instant) {
        debug_assert!(self.run.is_empty(), "R1: one run in flight");
        let width = if self.dead.is_some() { 1 } else { self.width as usize };
        let length = self.queue.len().min(run_max).min(width);
        self.run.extend(self.queue.drain(..length));
        self.unanswered = u32::try_from(length).unwrap_or(u32::MAX);
        self.handed_over = Some(now);
    }

    /// A whole run became durable.
    pub(super) fn succeeded(&mut self) {
        self.width = self.width.saturating_mul(2);
        self.attempts = 0;
        self.failures = 0;
        self.failing_since = None;
        self.failed_at = None;
        self.last_failure = None;
        self.dead = None;
    }

    /// Its head goes elsewhere: what was said of it where it was refused says nothing there.
    pub(super) fn goes_dead(&mut self, dead: Dead) {
        self.attempts = 0;
        self.failures = 0;
        self.failed_at = None;
        self.dead = Some(Box::new(dead));
    }

    /// A run failed; `left` are its numbers that are not durable, in order.
    pub(super) fn failed(&mut self, left: &[u64], failure: Arc<Failure>, now: Instant) {
        // The tail goes back first: R2 forbids overtaking.
        for number in left.iter().rev() {
            self.queue.push_front(*number);
        }
        self.width = 1;
        self.failures = self.failures.saturating_add(1);
        // What failed has pinned the watermark since it was handed over; what was not, since now (R11).
        let begun = self.handed_over.filter(|_| !left.is_empty()).unwrap_or(now);
        self.failing_since.get_or_insert(begun);
        self.failed_at = Some(now);
        self.last_failure = Some(failure);
    }

    /// A run, or the rest of one, was not attempted: it goes back as if it had not left.
    pub(super) fn take_back(&mut self, left: &[u64]) {
        for number in left.iter().rev() {
            self.queue.push_front(*number);
        }
    }

    /// Everything of the lane, head first.
    pub(super) fn whole(&self) -> impl Iterator<Item = u64> {
        self.run.iter().chain(&self.queue).copied()
    }
}
