//! Letters on their way out: picking due lanes, handing their letters over, closing what was delivered.
//!
//! Promises: R9 for letters, and the schedules S3–S5, S29, S32, S33 as far as memory decides them.

use std::sync::Arc;
use std::time::Duration;

use super::blocked::unanswered;
use super::dead::Refused;
use super::desk::{Call, LetterRun};
use super::event::{Effect, LetterCall, Notice, Turn};
use super::paused::held_back;
use super::state::{Draining, State};
use super::step::{rest_place, unreadable};
use crate::contract::{CloseRun, DueLane, LetterId, Next, Outbound, Receipt, Ticket};
use crate::delivery::verdict::{DESTINATION_REST_FIRST, Surroundings, Verdict, judge};
use crate::delivery::{Cause, Failure, FailureKind, LaneName, Moment};
use crate::message::Message;

/// Why a lane stays blocked, until when, and the attempts so far.
type Rest = (Cause, Option<Duration>, u32);

/// Due lanes of one pick.
const PICK_LANES: usize = 64;
/// Letters of one lane in one go.
const LETTER_RUN: usize = 500;

impl State {
    /// Asks for due lanes now and then, while some are blocked. Answers whether it does now.
    pub(super) fn pick(&mut self, turn: &mut Turn<'_>) -> bool {
        let picks = self.may_pick() && self.desk.picks(turn.at.now);
        if picks {
            self.desk.call = Some(Call::Pick);
            turn.out.push(Effect::Letters(LetterCall::Pick {
                lanes: PICK_LANES,
                run: LETTER_RUN.min(self.run_max()),
            }));
        }
        picks
    }

    /// Due lanes were claimed: their letters wait to be handed over.
    pub(super) fn picked(&mut self, due: Vec<DueLane>, at: Moment) {
        self.desk.call = None;
        for due in due {
            if self.desk.handles(&due.lane) {
                // An earlier claim ended before its letters were answered: closing those decides (S5).
                continue;
            }
            let passed = &self.blocked.entry(due.lane.clone()).or_default().passed;
            let mut letters = due.letters.iter().map_while(|letter| {
                let position = letter.message.position;
                let passed = passed.iter().find(|passed| passed.position == position)?;
                Some((letter.id, passed.dead.clone()))
            });
            match letters.next() {
                None => {
                    drop(letters);
                    self.make_ready(due);
                }
                Some((letter, Some(failure))) => {
                    drop(letters);
                    self.close_run(due.lane, Vec::new(), Next::Dead { letter, failure });
                }
                Some((first, None)) => {
                    let others = letters.take_while(|(_, dead)| dead.is_none());
                    let delivered = std::iter::once(first).chain(others.map(|(letter, _)| letter)).collect();
                    self.close_run(due.lane, delivered, Next::Now);
                }
            }
        }
        self.desk.retry_at = self.desk.retry_at.filter(|retry| *retry > at.now);
    }

    fn close_run(&mut self, lane: LaneName, delivered: Vec<LetterId>, next: Next) {
        self.desk.closes.push(CloseRun { lane, delivered, next });
    }

    /// Letters up to the first that cannot be sent; a head that cannot be sent waits for a person. A head that was refused
    /// goes alone, as a dead letter.
    fn make_ready(&mut self, mut due: DueLane) {
        let head = due.letters.first().map(|letter| letter.id);
        let block = self.blocked.entry(due.lane.clone()).or_default();
        let refused = block.refused.clone().filter(|refused| Some(refused.letter) == head);
        due.letters.truncate(if refused.is_some() { 1 } else { usize::MAX });
        let mut outbound = Vec::with_capacity(due.letters.len());
        let mut unsendable = None;
        for letter in &due.letters {
            match self.outbound(&due.lane, &letter.message) {
                Ok(letter) => outbound.push(letter),
                Err(failure) => {
                    unsendable = Some(failure);
                    break;
                }
            }
        }
        if let (Some(refused), Some(head)) = (&refused, outbound.first_mut()) {
            match self.dead_address(head, &refused.failure, refused.attempts) {
                Some(dead) => head.address = dead,
                None => outbound.clear(),
            }
        }
        if let Some(first) = outbound.first() {
            let place = self.place_of(&first.address.destination.clone());
            due.letters.truncate(outbound.len());
            let mut run = LetterRun::new(due, place, outbound);
            run.dead = refused;
            let number = self.desk.keep(run);
            self.desk.ready.push_back(number);
            return;
        }
        self.forget_refused(&due.lane);
        let next = Next::Rest {
            cause: Cause::Rejected,
            due: None,
            attempts: due.attempts,
            failure: match (unsendable, refused) {
                (Some(failure), _) => Arc::new(failure),
                (None, Some(refused)) => refused.failure,
                (None, None) => unanswered(),
            },
        };
        self.close_run(due.lane, Vec::new(), next);
    }

    /// A letter with its address, if it has one that belongs to its lane (S36), and a body.
    fn outbound(&mut self, lane: &LaneName, message: &Message) -> Result<Outbound, Failure> {
        let address = self.settings.router.address(message)?;
        if LaneName::of(&address.destination, address.key.as_ref(), message.position) != *lane {
            return Err(Failure::new(
                FailureKind::Message,
                "RouteChanged",
                "`route` now names another destination or key for letters that are open; change it back, or discard them",
            ));
        }
        match unreadable(message) {
            Some(failure) => Err(failure),
            None => Ok(Outbound {
                ticket: Ticket(0),
                message: message.clone(),
                address,
                attempt: 1,
            }),
        }
    }

    /// Hands over the letters whose destination takes them; the others go back without an attempt.
    pub(super) fn hand_over_letters(&mut self, turn: &mut Turn<'_>) {
        while let Some(number) = self.desk.ready.pop_front() {
            let Some(run) = self.desk.run_mut(number) else { continue };
            let (place, lane) = (run.place, run.due.lane.clone());
            let key = run.outbound.first().and_then(|head| head.address.key.clone());
            let in_memory = self.blocked.get(&lane).and_then(|block| block.in_memory);
            let held = self.pauses.hold(key.as_ref());
            let free = self.places.all[place as usize].admits(turn.at.now)
                && self.draining == Draining::No
                && !held
                && self.admits_one()
                && in_memory.is_none_or(|id| self.lanes[id as usize].is_answered());
            if !free {
                self.give_back(number, held, turn.at);
                continue;
            }
            self.places.all[place as usize].flying += 1;
            self.flying += 1;
            if let Some(run) = self.desk.run_mut(number) {
                run.handed_over = Some(turn.at.now);
                let attempt = run.attempts_before() + 1;
                if let Some(head) = run.outbound.first_mut() {
                    head.attempt = attempt;
                }
                turn.out.push(Effect::Publish(run.outbound.clone()));
            }
        }
    }

    fn give_back(&mut self, number: u64, held: bool, at: Moment) {
        let Some(run) = self.desk.take_run(number) else { return };
        let rests = self.places.all[run.place as usize]
            .rests_until
            .map(|until| until.saturating_duration_since(at.now));
        let due = rests.unwrap_or_default().max(Duration::from_secs(1));
        let attempts = run.attempts_before();
        let rests = || Failure::new(FailureKind::Unreachable, "DestinationRests", "its destination rests");
        let failure = if held { held_back() } else { Arc::new(rests()) };
        let next = Next::Rest {
            cause: run.due.cause,
            due: Some(due),
            attempts,
            failure,
        };
        self.close_run(run.due.lane, Vec::new(), next);
    }

    /// A letter was answered; with the last one the lane's run is closed.
    pub(super) fn letter_answered(&mut self, letter: (u64, usize), receipt: Receipt, turn: &mut Turn<'_>) {
        if receipt == Receipt::Durable {
            self.published += 1;
        }
        let Some(run) = self.desk.answer(letter, receipt) else {
            return;
        };
        self.places.all[run.place as usize].flying -= 1;
        self.flying -= 1;
        let count = run.delivered();
        let delivered = run.due.letters[..count].iter().map(|letter| letter.id).collect();
        if count > 0 && self.places.all[run.place as usize].succeeded(turn.at.now) {
            turn.out.push(Effect::Tell(Notice::DestinationBack(
                self.places.all[run.place as usize].destination.clone(),
            )));
        }
        let next = if count < run.due.letters.len() {
            self.letter_failed(&run, turn)
        } else if let Some(Refused { letter, failure, .. }) = run.dead {
            return self.close_run(run.due.lane, Vec::new(), Next::Dead { letter, failure });
        } else {
            Next::Now
        };
        self.close_run(run.due.lane, delivered, next);
    }

    fn letter_failed(&mut self, run: &LetterRun, turn: &mut Turn<'_>) -> Next {
        let failure = run.receipts.iter().flatten().find_map(|receipt| match receipt {
            Receipt::Failed(failure) => Some(Arc::clone(failure)),
            Receipt::Durable | Receipt::NotAttempted => None,
        });
        let key = run.outbound.first().and_then(|head| head.address.key.as_ref());
        let held = self.pauses.hold(key);
        if failure.is_none() && (held || self.draining != Draining::No) {
            // It was not begun, and is not to be now: no attempt is burnt (S39).
            return Next::Rest {
                cause: run.due.cause,
                due: Some(Duration::ZERO),
                attempts: run.attempts_before(),
                failure: if held { held_back() } else { unanswered() },
            };
        }
        let failure = failure.unwrap_or_else(unanswered);
        let place = &mut self.places.all[run.place as usize];
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
            Verdict::Refuse => self.refuse_letter(run, &failure, before + 1),
            Verdict::RestLane { counts } => {
                let attempts = before + u32::from(counts);
                (
                    Cause::Resting,
                    Some(self.settings.rest.after(attempts.max(1), turn.at.random)),
                    attempts,
                )
            }
            verdict @ (Verdict::RestDestination | Verdict::RestMisconfigured) => {
                let first = (verdict == Verdict::RestMisconfigured).then_some(DESTINATION_REST_FIRST);
                rest_place(self, run.place, (failure.kind, first), turn);
                let until = self.places.all[run.place as usize].rests_until;
                (
                    Cause::Destination,
                    until.map(|until| until.saturating_duration_since(turn.at.now)),
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

    /// It waits for a person, or for its way to the dead-letter destination.
    fn refuse_letter(&mut self, run: &LetterRun, failure: &Arc<Failure>, attempts: u32) -> Rest {
        let refused = run.due.letters.get(run.delivered()).map(|letter| Refused {
            letter: letter.id,
            failure: Arc::clone(failure),
            attempts,
        });
        match refused.filter(|_| run.dead.is_none()) {
            Some(refused) if self.may_go_dead() => {
                self.blocked.entry(run.due.lane.clone()).or_default().refused = Some(refused);
                // What was said of it here says nothing there.
                (Cause::Resting, Some(Duration::ZERO), 0)
            }
            _ => {
                self.forget_refused(&run.due.lane);
                (Cause::Rejected, None, attempts)
            }
        }
    }

    /// Letters were closed: lanes that are free publish again, the others may have more.
    pub(super) fn closed(&mut self, free: Vec<LaneName>, turn: &mut Turn<'_>) {
        if let Some(Call::Close(closes)) = self.desk.call.take()
            && closes
                .iter()
                .any(|close| matches!(close.next, Next::Now | Next::Dead { .. }) && !free.contains(&close.lane))
        {
            self.desk.pick_after = Some(turn.at.now);
        }
        for name in free {
            self.unblock(name, turn.out);
        }
    }
}
