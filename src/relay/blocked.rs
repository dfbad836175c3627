//! Blocking lanes: storing them whole, appending what arrives behind, and what the letter store answers.
//!
//! Promises: R6, R7, R10 and the schedules S1, S2, S33 as far as memory decides them.

use std::sync::Arc;

use super::desk::{Call, Stored};
use super::event::{Effect, Notice};
use super::lane::{LaneId, Standing};
use super::state::State;
use crate::contract::{Append, Kept, Park, Progress, StoreRun};
use crate::delivery::{Cause, Failure, FailureKind, LaneName, Moment};

/// Lanes of one transaction: bounds its locks.
const STORE_LANES: usize = 500;

impl State {
    /// Makes at most one call of the letter store: finishing comes before starting.
    pub(super) fn plan_desk(&mut self, at: Moment, out: &mut Vec<Effect>) {
        self.hand_over_letters(at, out);
        if self.desk.retry_at.is_some_and(|retry| retry > at.now) {
            return;
        }
        if self.desk.call.is_some() {
            if self.desk.retry_at.take().is_some() {
                self.call_again(out);
            }
            return;
        }
        self.desk.retry_at = None;
        if !self.desk.closes.is_empty() {
            let closes = std::mem::take(&mut self.desk.closes);
            out.push(Effect::Close(closes.clone()));
            self.desk.call = Some(Call::Close(closes));
        } else if self.desk.wanted.is_empty() || !self.store(out) {
            self.pick(at.now, out);
        }
    }

    /// The outcome of a call is unknown: it is idempotent and made again, with what is settled by now.
    fn call_again(&mut self, out: &mut Vec<Effect>) {
        match &mut self.desk.call {
            Some(Call::Close(closes)) => out.push(Effect::Close(closes.clone())),
            Some(Call::Store(run, stored)) => {
                run.progress.rest = self.inflight.rest(&sorted_numbers(stored));
                out.push(Effect::Store(run.clone()));
            }
            Some(Call::Pick) | None => {}
        }
    }

    /// Stores what wants to be stored, unless a confirm is out, which writes the same rows. Answers whether it did.
    fn store(&mut self, out: &mut Vec<Effect>) -> bool {
        let Some(read) = self.inflight.read().filter(|_| !self.confirming) else {
            return false;
        };
        let (mut parks, mut appends, mut park_lanes, mut append_lanes) = (vec![], vec![], vec![], vec![]);
        while parks.len() + appends.len() < STORE_LANES {
            let Some(id) = self.desk.wanted.pop_front() else { break };
            let standing = self.lane_mut(id).standing;
            let lane = &self.lanes[id as usize];
            let numbers: Vec<u64> = lane
                .whole()
                .filter(|number| self.inflight.get(*number).is_some())
                .collect();
            let repeated = park_lanes
                .iter()
                .chain(&append_lanes)
                .any(|stored: &Stored| stored.id == id);
            if numbers.is_empty() || repeated {
                continue;
            }
            let positions = numbers
                .iter()
                .filter_map(|number| self.inflight.position(*number))
                .collect();
            let name = self.name_of(id);
            match standing {
                Standing::Storing => {
                    parks.push(self.park(id, name.clone(), positions));
                    park_lanes.push(Stored { id, name, numbers });
                }
                Standing::Blocked => {
                    appends.push(Append {
                        lane: name.clone(),
                        positions,
                    });
                    append_lanes.push(Stored { id, name, numbers });
                }
                Standing::Flowing | Standing::Resting(_) | Standing::Gone => {}
            }
        }
        park_lanes.append(&mut append_lanes);
        if park_lanes.is_empty() {
            return false;
        }
        let progress = Progress {
            read,
            rest: self.inflight.rest(&sorted_numbers(&park_lanes)),
        };
        let run = StoreRun {
            parks,
            appends,
            progress,
        };
        out.push(Effect::Store(run.clone()));
        self.desk.call = Some(Call::Store(run, park_lanes));
        true
    }

    fn park(&mut self, id: LaneId, lane: LaneName, positions: Vec<crate::message::Position>) -> Park {
        let rest = self.settings.rest;
        let state = self.lane_mut(id);
        let failure = state.last_failure.clone().unwrap_or_else(unanswered);
        let cause = state.store_cause;
        let due = (cause != Cause::Rejected).then(|| rest.after(state.failures.max(1), u64::MAX));
        Park {
            lane,
            cause,
            due,
            attempts: state.attempts,
            failure,
            positions,
        }
    }

    /// The store has it: settled (R6). Lanes whose row was gone go on live.
    pub(super) fn stored(&mut self, kept: &Kept, out: &mut Vec<Effect>) {
        let Some(Call::Store(_, stored)) = self.desk.call.take() else {
            return;
        };
        for Stored { id, name, numbers } in stored {
            if kept.live.contains(&name) {
                self.blocked.remove(&name);
                self.lane_mut(id).standing = Standing::Flowing;
                out.push(Effect::Tell(Notice::LaneFree(name)));
                self.list(id);
                continue;
            }
            let in_flight = std::mem::take(&mut self.lane_mut(id).run);
            if !in_flight.is_empty() {
                let place = self.lane_mut(id).place;
                self.places[place as usize].flying -= 1;
                self.flying -= 1;
                self.lane_mut(id).unanswered = 0;
            }
            for number in in_flight {
                if self.inflight.get(number).is_some() {
                    self.desk.haunt(number, &name);
                }
            }
            for number in &numbers {
                self.settle(*number);
            }
            let queue_len = self.lane_mut(id).queue.len();
            self.lane_mut(id)
                .queue
                .retain(|number| numbers.binary_search(number).is_err());
            debug_assert!(
                self.lane_mut(id).queue.len() <= queue_len,
                "only what was stored is forgotten"
            );
            self.lane_mut(id).standing = Standing::Blocked;
            if self.blocked.insert(name.clone(), Some(id)).is_none() {
                out.push(Effect::Tell(Notice::LaneStored(name)));
            }
            if !self.lane_mut(id).queue.is_empty() {
                self.desk.want(id);
            }
            self.forget_if_over(id);
        }
    }

    pub(super) fn begin_to_store(&mut self, id: LaneId, cause: Cause) {
        let lane = self.lane_mut(id);
        lane.standing = Standing::Storing;
        lane.store_cause = cause;
        self.desk.want(id);
    }
}

fn sorted_numbers(stored: &[Stored]) -> Vec<u64> {
    let mut numbers: Vec<u64> = stored
        .iter()
        .flat_map(|stored| stored.numbers.iter().copied())
        .collect();
    numbers.sort_unstable();
    numbers
}

pub(super) fn unanswered() -> Arc<Failure> {
    Arc::new(Failure::new(
        FailureKind::Timeout,
        "Unanswered",
        "the broker did not answer in time",
    ))
}
