//! Blocking lanes: storing them whole, appending what arrives behind, and what the letter store answers.
//!
//! Promises: R6, R7, R10 and the schedules S1, S2, S33 as far as memory decides them.

use std::sync::Arc;
use std::time::Duration;

use super::dead::Refused;
use super::desk::{Call, Ghost, Stored};
use super::event::{Effect, LetterCall, Notice, Turn};
use super::lane::{LaneId, Standing};
use super::paused::held_back;
use super::state::{Flight, State};
use crate::contract::{Append, Kept, Park, Progress, Receipt, StoreRun, Ticket};
use crate::delivery::{Cause, Failure, FailureKind, Inflight, LaneName};
use crate::message::{Message, Position};

/// Lanes of one transaction: bounds its locks.
const STORE_LANES: usize = 500;

/// A lane that has letters.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// Where it stands in memory, if anything of it waits there.
    pub(super) in_memory: Option<LaneId>,
    /// Letters that are durable all the same: their answers came when they were letters already.
    pub(super) passed: Vec<Passed>,
    /// Its head, when the destination refused it and it may go elsewhere.
    pub(super) refused: Option<Refused>,
}

/// A message that is a letter and needs no sending any more.
#[derive(Debug)]
pub(super) struct Passed {
    pub(super) position: Position,
    /// Where it is durable is the dead-letter destination; it was refused for this.
    pub(super) dead: Option<Arc<Failure>>,
}

impl State {
    /// Makes at most one call of the letter store: finishing comes before starting.
    pub(super) fn plan_desk(&mut self, turn: &mut Turn<'_>) {
        self.hand_over_letters(turn);
        if self.desk.retry_at.is_some_and(|retry| retry > turn.at.now) {
            return;
        }
        if self.desk.call.is_some() {
            if self.desk.retry_at.take().is_some() {
                self.call_again(turn.out);
            }
            return;
        }
        self.desk.retry_at = None;
        if !self.desk.closes.is_empty() {
            let closes = std::mem::take(&mut self.desk.closes);
            turn.out.push(Effect::Letters(LetterCall::Close(closes.clone())));
            self.desk.call = Some(Call::Close(closes));
        } else if std::mem::take(&mut self.desk.recheck) {
            let lanes = self.blocked.keys().cloned().collect();
            turn.out.push(Effect::Letters(LetterCall::Recheck(lanes)));
            self.desk.call = Some(Call::Recheck);
        } else if !self.pick(turn) && !self.confirming {
            // Due lanes are asked for rarely; a busy blocked lane has something to append at every moment.
            self.store(turn.out);
        }
    }

    /// The outcome of a call is unknown: it is idempotent and made again, with what is read and settled by now.
    fn call_again(&mut self, out: &mut Vec<Effect>) {
        match &mut self.desk.call {
            Some(Call::Close(closes)) => out.push(Effect::Letters(LetterCall::Close(closes.clone()))),
            Some(Call::Store(run, stored)) => {
                if let Some(progress) = progress(&self.inflight, stored) {
                    run.progress = progress;
                }
                out.push(Effect::Letters(LetterCall::Store(run.clone())));
            }
            Some(Call::Pick | Call::Recheck) | None => {}
        }
    }

    /// Stores what wants to be stored. Not beside a confirm, which writes the same rows.
    fn store(&mut self, out: &mut Vec<Effect>) {
        let (mut parks, mut appends, mut park_lanes, mut append_lanes) = (vec![], vec![], vec![], vec![]);
        while parks.len() + appends.len() < STORE_LANES {
            let Some(id) = self.desk.wanted.pop_front() else { break };
            let standing = self.lane_mut(id).standing;
            let lane = &self.lanes[id as usize];
            let numbers: Vec<u64> = lane
                .whole()
                .filter(|number| self.inflight.get(*number).is_some())
                .collect();
            let dead = lane.dead.as_ref().map(|dead| Arc::clone(&dead.failure));
            let repeated = park_lanes
                .iter()
                .chain(&append_lanes)
                .any(|stored: &Stored| stored.id == id);
            if numbers.is_empty() || repeated {
                continue;
            }
            let messages = numbers
                .iter()
                .filter_map(|number| Some(self.inflight.get(*number)?.outbound.message.clone()))
                .collect();
            let name = self.name_of(id);
            match standing {
                Standing::Storing => {
                    parks.push(self.park(id, name.clone(), messages));
                    park_lanes.push(Stored {
                        id,
                        name,
                        numbers,
                        dead,
                    });
                }
                Standing::Blocked => {
                    appends.push(Append {
                        lane: name.clone(),
                        messages,
                    });
                    append_lanes.push(Stored {
                        id,
                        name,
                        numbers,
                        dead: None,
                    });
                }
                Standing::Flowing | Standing::Resting(_) | Standing::Gone => {}
            }
        }
        park_lanes.append(&mut append_lanes);
        let Some(progress) = progress(&self.inflight, &park_lanes).filter(|_| !park_lanes.is_empty()) else {
            return;
        };
        let run = StoreRun {
            parks,
            appends,
            progress,
        };
        out.push(Effect::Letters(LetterCall::Store(run.clone())));
        self.desk.call = Some(Call::Store(run, park_lanes));
    }

    fn park(&mut self, id: LaneId, lane: LaneName, messages: Vec<Message>) -> Park {
        let rest = self.settings.rest;
        let state = self.lane_mut(id);
        let cause = state.store_cause;
        let (unsaid, due): (fn() -> _, _) = match cause {
            Cause::Rejected => (unanswered, None),
            Cause::Paused => (held_back, Some(Duration::ZERO)),
            Cause::Resting | Cause::Destination => (unanswered, Some(rest.after(state.failures.max(1), u64::MAX))),
        };
        let failure = state.last_failure.clone().unwrap_or_else(unsaid);
        Park {
            lane,
            cause,
            due,
            attempts: state.attempts,
            failure,
            messages,
        }
    }

    /// The store has it: settled (R6). Lanes whose row was gone go on live.
    pub(super) fn stored(&mut self, kept: &Kept, out: &mut Vec<Effect>) {
        let Some(Call::Store(run, stored)) = self.desk.call.take() else {
            return;
        };
        let parks = run.parks.into_iter().map(|park| park.messages);
        let appends = run.appends.into_iter().map(|append| append.messages);
        for (stored, messages) in stored.into_iter().zip(parks.chain(appends)) {
            if kept.live.contains(&stored.name) {
                self.live_again(stored, out);
            } else {
                self.taken_over(stored, &messages, out);
            }
        }
    }

    /// A person discarded what was stored of these lanes: they go on live.
    pub(super) fn gone(&mut self, lanes: Vec<LaneName>, out: &mut Vec<Effect>) {
        self.desk.call = None;
        for name in lanes {
            if self.desk.handles(&name) {
                // Closing what is out of it says so, too.
                continue;
            }
            self.unblock(name, out);
        }
    }

    /// The store has nothing of this lane any more.
    pub(super) fn unblock(&mut self, name: LaneName, out: &mut Vec<Effect>) {
        if let Some(id) = self.blocked.remove(&name).and_then(|block| block.in_memory) {
            self.set_free(id);
        }
        out.push(Effect::Tell(Notice::LaneFree(name)));
    }

    /// Its row is gone. Letters of it that are out still count for R1: closing them sets the lane free.
    fn live_again(&mut self, stored: Stored, out: &mut Vec<Effect>) {
        let Stored { id, name, .. } = stored;
        if self.desk.handles(&name) {
            return;
        }
        self.blocked.remove(&name);
        self.set_free(id);
        out.push(Effect::Tell(Notice::LaneFree(name)));
    }

    /// Its head is another one now: what was said of the old one is forgotten.
    pub(super) fn set_free(&mut self, id: LaneId) {
        self.leave_the_dead(id);
        self.lane_mut(id).standing = Standing::Flowing;
        self.lane_mut(id).succeeded();
        self.list(id);
        self.forget_if_over(id);
    }

    fn taken_over(&mut self, stored: Stored, messages: &[Message], out: &mut Vec<Effect>) {
        let Stored {
            id,
            name,
            numbers,
            dead,
        } = stored;
        let is_news = !self.blocked.contains_key(&name);
        let block = self.blocked.entry(name.clone()).or_default();
        block.in_memory = Some(id);
        for (number, message) in numbers.iter().zip(messages) {
            if self.inflight.get(*number).is_none() {
                // It became durable while it was being stored; a dead letter is the only one of its lane that can.
                let (position, dead) = (message.position, dead.clone());
                block.passed.push(Passed { position, dead });
            }
        }
        self.haunt(id);
        for number in &numbers {
            self.settle(*number);
        }
        let lane = self.lane_mut(id);
        lane.queue.retain(|number| numbers.binary_search(number).is_err());
        lane.standing = Standing::Blocked;
        if !lane.queue.is_empty() {
            self.desk.want(id);
        }
        if is_news {
            out.push(Effect::Tell(Notice::LaneStored(name)));
        }
        self.forget_if_over(id);
    }

    /// The lane's run is stored; where its answers are missing they still count for R1, and no longer for anything else.
    fn haunt(&mut self, id: LaneId) {
        let run = std::mem::take(&mut self.lane_mut(id).run);
        if run.is_empty() {
            return;
        }
        let place = self.lane_mut(id).bound_for();
        self.places.all[place as usize].flying -= 1;
        self.flying -= 1;
        self.lane_mut(id).unanswered = 0;
        let dead = self.lane_mut(id).dead.as_ref().map(|dead| Arc::clone(&dead.failure));
        for number in run {
            if let Some(flight) = self.inflight.get(number).filter(|flight| flight.awaited) {
                let ghost = Ghost {
                    lane: id,
                    position: flight.outbound.message.position,
                    dead: dead.clone(),
                };
                self.desk.ghosts.insert(flight.outbound.ticket, ghost);
                self.lanes[id as usize].haunted += 1;
            }
        }
    }

    /// A letter was answered that left before it was one: what is durable is not sent again (S33).
    pub(super) fn ghost_answered(&mut self, ticket: Ticket, receipt: &Receipt) {
        let Some(Ghost { lane, position, dead }) = self.desk.ghosts.remove(&ticket) else {
            return;
        };
        if *receipt == Receipt::Durable {
            self.published += 1;
            let name = self.name_of(lane);
            if let Some(block) = self.blocked.get_mut(&name) {
                block.passed.push(Passed { position, dead });
            }
        }
        self.lane_mut(lane).haunted -= 1;
        self.list(lane);
        self.forget_if_over(lane);
    }

    pub(super) fn begin_to_store(&mut self, id: LaneId, cause: Cause) {
        let lane = self.lane_mut(id);
        lane.standing = Standing::Storing;
        lane.store_cause = cause;
        self.desk.want(id);
    }
}

/// What is settled once these lanes are stored; none before anything was read.
pub(super) fn progress(inflight: &Inflight<Flight>, storing: &[Stored]) -> Option<Progress> {
    let mut numbers: Vec<u64> = storing
        .iter()
        .flat_map(|stored| stored.numbers.iter().copied())
        .collect();
    numbers.sort_unstable();
    Some(Progress {
        read: inflight.read()?,
        rest: inflight.rest(&numbers),
    })
}

pub(super) fn unanswered() -> Arc<Failure> {
    Arc::new(Failure::new(
        FailureKind::Timeout,
        "Unanswered",
        "the broker did not answer in time",
    ))
}
