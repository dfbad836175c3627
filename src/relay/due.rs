//! Letters on their way out: picking due lanes, handing their letters over, closing what was delivered.
//!
//! Promises: R9 for letters, and the schedules S3–S5, S29, S32, S33 as far as memory decides them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::blocked::unanswered;
use super::desk::{Call, LetterRun};
use super::event::{Effect, Notice};
use super::lane::Standing;
use super::state::{Draining, State};
use super::step::rest_place;
use crate::contract::{CloseRun, DueLane, Next, Outbound, Receipt, Ticket};
use crate::delivery::verdict::{DESTINATION_REST_FIRST, Surroundings, Verdict, judge};
use crate::delivery::{Cause, Failure, FailureKind, LaneName, Moment};

/// Due lanes of one pick.
const PICK_LANES: usize = 64;
/// Letters of one lane in one go.
const LETTER_RUN: usize = 500;

impl State {
    /// Asks for due lanes now and then, while some are blocked.
    pub(super) fn pick(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let may = self.draining == Draining::No && !self.blocked.is_empty() && self.desk.ready.is_empty();
        if may && self.desk.picks(now) {
            self.desk.call = Some(Call::Pick);
            out.push(Effect::Pick {
                lanes: PICK_LANES,
                run: LETTER_RUN.min(self.settings.run_max as usize),
            });
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
    pub(super) fn hand_over_letters(&mut self, at: Moment, out: &mut Vec<Effect>) {
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
}
