//! The part of the reducer that speaks with the letter store: blocking lanes, appending, releasing, closing.
//!
//! Promises: R6, R7, R10, R11 and the schedules S1–S5, S13, S29, S32, S33 as far as memory decides them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::desk::{Call, LetterRun, Stored};
use super::event::{Effect, Notice};
use super::lane::{LaneId, Standing};
use super::state::{Draining, State};
use super::step::rest_place;
use crate::contract::{Append, CloseRun, DueLane, Kept, Next, Outbound, Park, Progress, Receipt, StoreRun, Ticket};
use crate::delivery::verdict::{DESTINATION_REST_FIRST, Surroundings, Verdict, judge};
use crate::delivery::{Cause, Failure, FailureKind, LaneName, Moment};

/// Lanes of one transaction: bounds its locks.
const STORE_LANES: usize = 500;
/// Due lanes of one pick.
const PICK_LANES: usize = 64;
/// Letters of one lane in one go.
const LETTER_RUN: usize = 500;
/// R11: nothing pins the watermark longer while others flow.
const PIN_MAX: Duration = Duration::from_secs(60);
/// How often rests are looked at for R11 and S13.
const LOOK_EVERY: Duration = Duration::from_millis(250);

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

    fn pick(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let may = self.draining == Draining::No && !self.blocked.is_empty() && self.desk.ready.is_empty();
        if may && self.desk.picks(now) {
            self.desk.call = Some(Call::Pick);
            out.push(Effect::Pick {
                lanes: PICK_LANES,
                run: LETTER_RUN.min(self.settings.run_max as usize),
            });
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

    /// Due lanes were claimed: their letters wait to be handed over.
    pub(super) fn picked(&mut self, due: Vec<DueLane>, at: Moment) {
        self.desk.call = None;
        for due in due {
            self.blocked.entry(due.lane.clone()).or_insert(None);
            let mut outbound = Vec::with_capacity(due.letters.len());
            for letter in &due.letters {
                let Ok(address) = self.settings.router.address(&letter.message) else {
                    break;
                };
                outbound.push(Outbound {
                    ticket: Ticket(0),
                    message: letter.message.clone(),
                    address,
                });
            }
            let whole = outbound.len() == due.letters.len() && !outbound.is_empty();
            let same_lane = outbound.iter().all(|outbound| {
                let name = LaneName::of(
                    &outbound.address.destination,
                    outbound.address.key.as_ref(),
                    outbound.message.position,
                );
                name == due.lane
            });
            let Some(first) = outbound.first().filter(|_| whole && same_lane) else {
                self.close_unroutable(due);
                continue;
            };
            let place = self.place_of(&first.address.destination.clone());
            let run = LetterRun::new(due, place, outbound);
            let slot = self.desk.keep(run);
            self.desk.ready.push_back(slot);
        }
        self.desk.retry_at = self.desk.retry_at.filter(|retry| *retry > at.now);
    }

    /// `route` no longer leads a stored lane where it was: it waits for a person (S36).
    fn close_unroutable(&mut self, due: DueLane) {
        let failure = Failure::new(
            FailureKind::Message,
            "RouteChanged",
            "`route` now names another destination or key, or none, for letters that are open; \
             change it back, or discard them",
        );
        let next = Next::Rest {
            cause: Cause::Rejected,
            due: None,
            attempts: due.attempts,
            failure: Arc::new(failure),
        };
        self.desk.closes.push(CloseRun {
            lane: due.lane,
            delivered: Vec::new(),
            next,
        });
    }

    /// Hands over the letters whose destination takes them; the others go back without an attempt.
    fn hand_over_letters(&mut self, at: Moment, out: &mut Vec<Effect>) {
        while let Some(slot) = self.desk.ready.pop_front() {
            let Some((place, lane)) = self.desk.run_mut(slot).map(|run| (run.place, run.due.lane.clone())) else {
                continue;
            };
            let in_memory = self.blocked.get(&lane).copied().flatten();
            let free = self.places[place as usize].admits(at.now)
                && self.draining == Draining::No
                && !self.desk.is_haunted(&lane)
                && in_memory.is_none_or(|id| self.lanes[id as usize].run.is_empty());
            if !free {
                self.give_back(slot, at);
                continue;
            }
            self.places[place as usize].flying += 1;
            self.flying += 1;
            if let Some(run) = self.desk.run_mut(slot) {
                run.handed_over = Some(at.now);
                out.push(Effect::Publish(run.outbound.clone()));
            }
        }
    }

    fn give_back(&mut self, slot: u64, at: Moment) {
        let Some(run) = self.desk.take_run(slot) else { return };
        let rests = self.places[run.place as usize]
            .rests_until
            .map(|until| until.saturating_duration_since(at.now));
        let due = rests.unwrap_or_default().max(Duration::from_secs(1));
        let attempts = run.attempts_before();
        let failure = Arc::new(Failure::new(
            FailureKind::Unreachable,
            "DestinationRests",
            "its destination rests",
        ));
        let next = Next::Rest {
            cause: run.due.cause,
            due: Some(due),
            attempts,
            failure,
        };
        self.desk.closes.push(CloseRun {
            lane: run.due.lane,
            delivered: Vec::new(),
            next,
        });
    }

    /// A letter was answered; with the last one the lane's run is closed.
    pub(super) fn letter_answered(&mut self, ticket: Ticket, receipt: Receipt, at: Moment, out: &mut Vec<Effect>) {
        if receipt == Receipt::Durable {
            self.published += 1;
        }
        let Some(run) = self.desk.answer(ticket, receipt) else {
            return;
        };
        self.places[run.place as usize].flying -= 1;
        self.flying -= 1;
        let count = run.delivered();
        let delivered = run.due.letters[..count].iter().map(|letter| letter.id).collect();
        if count > 0 && self.places[run.place as usize].succeeded(at.now) {
            out.push(Effect::Tell(Notice::DestinationBack(
                self.places[run.place as usize].destination.clone(),
            )));
        }
        let next = if count == run.due.letters.len() {
            Next::Now
        } else {
            self.letter_failed(&run, at, out)
        };
        self.desk.closes.push(CloseRun {
            lane: run.due.lane,
            delivered,
            next,
        });
    }

    fn letter_failed(&mut self, run: &LetterRun, at: Moment, out: &mut Vec<Effect>) -> Next {
        let failure = run.receipts.iter().flatten().find_map(|receipt| match receipt {
            Receipt::Failed(failure) => Some(Arc::clone(failure)),
            Receipt::Durable | Receipt::NotAttempted => None,
        });
        let failure = failure.unwrap_or_else(unanswered);
        let place = &mut self.places[run.place as usize];
        place.failing_lanes += 1;
        let before = if run.delivered() > 0 { 0 } else { run.attempts_before() };
        let around = Surroundings {
            others_flow: place
                .last_success
                .is_some_and(|success| Some(success) > run.handed_over),
            failing_lanes: place.failing_lanes,
            attempts: before,
            attempts_max: self.settings.rest.attempts_max,
        };
        let (cause, due, attempts) = match judge(failure.kind, around) {
            Verdict::Refuse => (Cause::Rejected, None, before + 1),
            Verdict::RestLane { counts } => {
                let attempts = before + u32::from(counts);
                (
                    Cause::Resting,
                    Some(self.settings.rest.after(attempts.max(1), at.random)),
                    attempts,
                )
            }
            verdict @ (Verdict::RestDestination | Verdict::RestMisconfigured) => {
                let first = (verdict == Verdict::RestMisconfigured).then_some(DESTINATION_REST_FIRST);
                rest_place(self, run.place, (failure.kind, first), at, out);
                let until = self.places[run.place as usize].rests_until;
                (
                    Cause::Destination,
                    until.map(|until| until.saturating_duration_since(at.now)),
                    before,
                )
            }
        };
        Next::Rest {
            cause,
            due,
            attempts,
            failure,
        }
    }

    /// Letters were closed: lanes that are free publish again, the others may have more.
    pub(super) fn closed(&mut self, free: Vec<LaneName>, at: Moment, out: &mut Vec<Effect>) {
        if let Some(Call::Close(closes)) = self.desk.call.take()
            && closes
                .iter()
                .any(|close| matches!(close.next, Next::Now) && !free.contains(&close.lane))
        {
            self.desk.pick_after = Some(at.now);
        }
        for name in free {
            if let Some(Some(id)) = self.blocked.remove(&name) {
                self.lane_mut(id).standing = Standing::Flowing;
                self.lane_mut(id).succeeded();
                self.list(id);
                self.forget_if_over(id);
            }
            out.push(Effect::Tell(Notice::LaneFree(name)));
        }
    }

    /// R11 and S13: what rests or stays unanswered too long, or holds too much, is stored while others flow.
    pub(super) fn look_at_rests(&mut self, now: Instant) {
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

    /// Why a lane should be stored if it goes on like this; none while it flows, or while nobody else does.
    fn pins(&self, id: LaneId, now: Instant) -> Option<Cause> {
        let lane = &self.lanes[id as usize];
        let place = &self.places[lane.place as usize];
        match lane.standing {
            Standing::Resting(_) => self.others_flow(lane.place, now).then_some(Cause::Resting),
            Standing::Flowing if place.rests_since.is_some() && lane.run.is_empty() => {
                self.elsewhere_flows(lane.place, now).then_some(Cause::Destination)
            }
            Standing::Flowing if lane.is_stalled(now) => {
                self.others_flow(lane.place, now).then_some(Cause::Destination)
            }
            Standing::Flowing | Standing::Storing | Standing::Blocked | Standing::Gone => None,
        }
    }

    fn pinned_since(&self, id: LaneId) -> Option<Instant> {
        let lane = &self.lanes[id as usize];
        lane.failing_since
            .or(lane.handed_over.filter(|_| !lane.run.is_empty()))
            .or(self.places[lane.place as usize].rests_since)
    }

    fn begin_to_store(&mut self, id: LaneId, cause: Cause) {
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

fn unanswered() -> Arc<Failure> {
    Arc::new(Failure::new(
        FailureKind::Timeout,
        "Unanswered",
        "the broker did not answer in time",
    ))
}
