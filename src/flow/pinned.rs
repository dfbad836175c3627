//! What must not stay in memory: lanes that pin the watermark, or hold too much of the budget, are stored while others flow.
//!
//! Promises: R11 and S13.

use std::time::{Duration, Instant};

use super::lane::{LaneId, Standing};
use super::state::State;
use crate::delivery::Cause;

/// R11: nothing pins the watermark longer while others flow.
const PIN_MAX: Duration = Duration::from_secs(60);
/// How often rests are looked at for R11 and S13.
const LOOK_EVERY: Duration = Duration::from_millis(250);

impl State {
    /// R11 and S13: what rests or stays unanswered too long, or holds too much, is stored while others flow.
    pub(super) fn look_at_rests(&mut self, now: Instant) {
        // Nobody flows while everything is held back.
        if self.pauses.hold_all() {
            return;
        }
        if self
            .looked_at_rests
            .is_some_and(|last| now.saturating_duration_since(last) < LOOK_EVERY)
        {
            return;
        }
        self.looked_at_rests = Some(now);
        let mut held: Vec<(usize, LaneId)> = Vec::new();
        for id in 0..LaneId::try_from(self.lanes.len()).unwrap_or(LaneId::MAX) {
            let Some(cause) = self.pins(id, now) else { continue };
            let long = self
                .pinned_since(id)
                .is_some_and(|since| now.saturating_duration_since(since) >= PIN_MAX);
            let count = self.lanes[id as usize].whole().count();
            if long || count > self.settings.in_flight / 8 {
                self.begin_to_store(id, cause);
            } else {
                held.push((count, id));
            }
        }
        held.sort_unstable();
        let mut total: usize = held.iter().map(|(count, _)| count).sum();
        while total > self.settings.in_flight / 2 {
            let Some((count, id)) = held.pop() else { break };
            total -= count;
            if let Some(cause) = self.pins(id, now) {
                self.begin_to_store(id, cause);
            }
        }
    }

    /// Why a lane should be stored if it goes on like this; none while it flows, while nobody else does, or when it is
    /// empty: there would be nothing to store, and no answer to set it free.
    fn pins(&self, id: LaneId, now: Instant) -> Option<Cause> {
        let lane = &self.lanes[id as usize];
        let bound_for = lane.bound_for();
        let place = &self.places.all[bound_for as usize];
        lane.whole().next()?;
        match lane.standing {
            Standing::Resting(_) => self.others_flow(bound_for, now).then_some(Cause::Resting),
            Standing::Flowing if place.rests_since.is_some() && lane.run.is_empty() => {
                self.elsewhere_flows(bound_for, now).then_some(Cause::Destination)
            }
            Standing::Flowing if lane.is_stalled(now, self.settings.stall) => {
                self.others_flow(bound_for, now).then_some(Cause::Destination)
            }
            Standing::Flowing | Standing::Storing | Standing::Blocked | Standing::Gone => None,
        }
    }

    /// A wait for an answer, failures and the rest of a destination follow on each other: the first of them counts.
    fn pinned_since(&self, id: LaneId) -> Option<Instant> {
        let lane = &self.lanes[id as usize];
        let in_flight = lane.handed_over.filter(|_| !lane.run.is_empty());
        let rest = self.places.all[lane.bound_for() as usize].rests_since;
        [lane.failing_since, in_flight, rest].into_iter().flatten().min()
    }
}
