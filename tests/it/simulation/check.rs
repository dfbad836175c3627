//! What must hold after every step, seen from outside the reducer: an independent account of what it was given, what it
//! was told and what it asks for.
//!
//! Promises: R1–R11 of the design, each violation under its name.

use std::collections::{BTreeMap, BTreeSet};

use twinbox::contract::{Answer, Kept, Outbound, Page, Progress, Receipt, StoreRun, Ticket};
use twinbox::delivery::{Cause, FailureKind, LaneName};
use twinbox::flow::{Effect, Event, LetterCall, State};
use twinbox::message::{Body, Position};

use super::clock::{SECOND, Time};
use super::faults::Shape;
use super::model_letters::{Closed, ModelLetters};
use super::model_source::{LaneKey, ModelSource, Seq};

/// What the engine promises about a pinned watermark, and what the check grants on top of it.
const PINNED_MAX: Time = 80 * SECOND;
/// Others must have succeeded in each stretch of that length.
const FLOWS: Time = 10 * SECOND;
/// Slots that a pinned watermark may cost, per message of `in_flight`.
const SPREAD: usize = 32;

/// What a check may look at.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    pub(super) now: Time,
    pub(super) shape: &'a Shape,
    pub(super) source: &'a ModelSource,
    pub(super) letters: &'a ModelLetters,
    /// Nobody else has taken the lease.
    pub(super) current: bool,
}

#[derive(Debug, Clone)]
struct Flying {
    lane: LaneKey,
    seq: Seq,
    position: Position,
}

/// One process, as seen from outside.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a question of its own, not a state among others"
)]
#[derive(Debug, Default)]
pub(super) struct View {
    /// Given and not settled, with its cost.
    open: BTreeMap<Position, (Seq, usize)>,
    given: BTreeSet<Position>,
    flying: BTreeMap<Ticket, Flying>,
    /// Ever used.
    tickets: BTreeSet<Ticket>,
    /// Answered as durable.
    durable: BTreeSet<Seq>,
    watermark: Option<Position>,
    pub(super) trust_until: Time,
    store: Option<StoreRun>,
    desk_is_out: bool,
    confirm_is_out: bool,
    fetch_is_out: bool,
    idle_is_out: bool,
    pub(super) draining: bool,
    drained: bool,
    stepped_down: bool,
    /// When each lane's failures were answered, since its last success.
    failures: BTreeMap<LaneKey, Vec<Time>>,
    successes: Vec<(Time, LaneKey)>,
    pinned_since: (Option<Position>, Time),
    pub(super) desk_failed_at: Time,
    pub(super) violations: Vec<String>,
}

// === impl View ===

impl View {
    fn demand(&mut self, holds: bool, sentence: impl FnOnce() -> String) {
        if !holds {
            self.violations.push(sentence());
        }
    }

    pub(super) fn successes_since(&self, since: Time) -> usize {
        self.successes.iter().filter(|(at, _)| *at >= since).count()
    }

    pub(super) fn tickets(&self) -> impl Iterator<Item = Ticket> {
        self.flying.keys().copied()
    }

    /// Takes note of what the reducer is about to be told.
    pub(super) fn told(&mut self, event: &Event, around: Around<'_>) {
        match event {
            Event::Fetched(page) => self.fetched(page),
            Event::FetchFailed(_) => self.fetch_is_out = false,
            Event::Woken => self.idle_is_out = false,
            Event::Answered(answers) | Event::Purged(answers) => self.answered(answers, around),
            Event::Confirmed | Event::ConfirmFailed(_) => self.confirm_is_out = false,
            Event::Stored(kept) => self.stored(kept),
            Event::Picked(_) | Event::Closed(_) | Event::Gone(_) => self.desk_is_out = false,
            Event::DeskFailed(_) => {
                self.desk_is_out = false;
                self.desk_failed_at = around.now;
            }
            Event::Drain => self.draining = true,
            Event::Trusted(_)
            | Event::Counted(_)
            | Event::Width(_)
            | Event::OthersFlow(_)
            | Event::Paused(_)
            | Event::Tick => {}
        }
    }

    fn fetched(&mut self, page: &Page) {
        self.fetch_is_out = false;
        for message in &page.messages {
            self.given.insert(message.position);
            self.open
                .insert(message.position, (message.position.minor, message.cost()));
        }
    }

    fn answered(&mut self, answers: &[Answer], around: Around<'_>) {
        for Answer { ticket, receipt } in answers {
            let Some(flying) = self.flying.remove(ticket) else {
                self.violations
                    .push(format!("R8: {ticket:?} is answered and was not handed over"));
                continue;
            };
            match receipt {
                Receipt::Durable => {
                    self.open.remove(&flying.position);
                    self.durable.insert(flying.seq);
                    self.failures.remove(&flying.lane);
                    self.successes.push((around.now, flying.lane));
                }
                Receipt::Failed(_) => self.failures.entry(flying.lane).or_default().push(around.now),
                Receipt::NotAttempted => {}
            }
        }
    }

    fn stored(&mut self, kept: &Kept) {
        self.desk_is_out = false;
        let Some(run) = self.store.take() else { return };
        let parks = run.parks.iter().map(|park| (&park.lane, park.positions()));
        let appends = run.appends.iter().map(|append| (&append.lane, append.positions()));
        for (lane, positions) in parks.chain(appends) {
            if !kept.live.contains(lane) {
                for position in positions {
                    self.open.remove(&position);
                }
            }
        }
    }

    /// Checks what the reducer wants after a step, and how it stands.
    pub(super) fn stepped(&mut self, state: &State, effects: &[Effect], around: Around<'_>) {
        for effect in effects {
            self.effect(effect, around);
        }
        let unsettled = state.unsettled();
        let open = self.open.len();
        self.demand(unsettled == open, || {
            format!("R6: {unsettled} unsettled in the reducer, {open} by what it was told")
        });
        let watermark = state.watermark();
        let (first, last) = (self.open.keys().next().copied(), self.watermark);
        self.demand(watermark >= last, || {
            format!("R4: the watermark went from {last:?} to {watermark:?}")
        });
        self.demand(watermark.is_none_or(|at| self.given.contains(&at)), || {
            format!("R4: the watermark {watermark:?} was never read")
        });
        self.demand(watermark.is_none() || first.is_none() || watermark < first, || {
            format!("R3: the watermark {watermark:?} passed {first:?}")
        });
        self.watermark = watermark;
        self.budget(around.shape);
        self.pinned(around);
    }

    fn budget(&mut self, shape: &Shape) {
        let bytes: usize = self.open.values().map(|(_, cost)| cost).sum();
        let withheld = 512;
        let open = self.open.len();
        self.demand(open <= shape.in_flight, || {
            format!("R5: {open} unsettled of {}", shape.in_flight)
        });
        self.demand(bytes <= shape.bytes + withheld, || {
            format!("R5: {bytes} bytes of {}", shape.bytes)
        });
        let spread = self
            .open
            .keys()
            .next()
            .map_or(0, |first| self.given.range(first..).count());
        let most = shape.in_flight * SPREAD + shape.batch;
        self.demand(spread <= most, || {
            format!("G7: a pinned watermark costs {spread} slots of {most}")
        });
    }

    /// R11: while others flow, nothing stays the oldest for longer than a minute.
    fn pinned(&mut self, around: Around<'_>) {
        let oldest = self.open.keys().next().copied();
        if oldest != self.pinned_since.0 || oldest.is_none() {
            self.pinned_since = (oldest, around.now);
            return;
        }
        let since = self.pinned_since.1;
        if around.now < since + PINNED_MAX || around.now < self.desk_failed_at + PINNED_MAX || self.store.is_some() {
            return;
        }
        let lane = around.source.lane(self.open[&oldest.expect("there is one")].0);
        let mut from = since;
        for (at, other) in &self.successes {
            if *at > from + FLOWS {
                return;
            }
            if *at >= from && *other != lane {
                from = *at;
            }
        }
        self.demand(from + FLOWS < around.now, || {
            format!(
                "R11: {oldest:?} pins the watermark since {} s",
                (around.now - since) / SECOND
            )
        });
    }

    fn effect(&mut self, effect: &Effect, around: Around<'_>) {
        let over = self.stepped_down || self.drained;
        match effect {
            Effect::Publish(batch) => {
                self.demand(!over && around.now < self.trust_until, || {
                    "S18: handed over without trust in the lease".to_owned()
                });
                self.batch(batch, around);
            }
            // A reading ends an idle wait at once (a drain does not wait for a hint), not the other way round.
            Effect::Fetch(_) => {
                self.demand(!self.fetch_is_out, || "two readings at once".to_owned());
                self.fetch_is_out = true;
            }
            Effect::Idle(_) => {
                let busy = self.fetch_is_out || self.idle_is_out;
                self.demand(!busy, || "an idle wait beside a reading or another wait".to_owned());
                self.idle_is_out = true;
            }
            Effect::Confirm(progress) => {
                self.demand(!self.confirm_is_out && self.store.is_none(), || {
                    "two writes of the progress at once".to_owned()
                });
                self.confirm_is_out = true;
                self.progress(progress, &BTreeSet::new());
            }
            Effect::Letters(LetterCall::Store(run)) => self.store(run, around),
            Effect::Letters(LetterCall::Pick { .. }) => {
                self.demand(!self.draining, || "R9: a due letter is taken in a drain".to_owned());
                self.desk();
            }
            Effect::Letters(LetterCall::Close(_) | LetterCall::Recheck(_)) => self.desk(),
            Effect::StepDown => self.stepped_down = true,
            Effect::Drained => {
                self.drained = true;
                self.demand(self.draining, || "drained without being asked".to_owned());
                // What was stored unanswered is a letter: closing the client ends it (S33).
                let missing = self
                    .flying
                    .values()
                    .find(|flying| around.letters.of(flying.seq).is_none());
                let missing = missing.map(|flying| flying.position);
                self.demand(missing.is_none(), || {
                    format!("R8: drained, and {missing:?} is not answered")
                });
            }
            Effect::Halt(_) => self.stepped_down = true,
            Effect::Tell(_) => {}
        }
    }

    fn desk(&mut self) {
        self.demand(!self.desk_is_out, || "two calls of the letter store at once".to_owned());
        self.desk_is_out = true;
    }

    /// R6: what is called settled is settled, and all of it.
    fn progress(&mut self, progress: &Progress, storing: &BTreeSet<Position>) {
        let rest: Vec<_> = self
            .open
            .keys()
            .filter(|position| **position <= progress.read && !storing.contains(position))
            .copied()
            .collect();
        self.demand(self.given.contains(&progress.read), || {
            format!("R4: progress up to {}, which was never read", progress.read)
        });
        self.demand(progress.rest == rest, || {
            format!(
                "R6: up to {} left are {:?}, told was {:?}",
                progress.read, rest, progress.rest
            )
        });
    }

    fn store(&mut self, run: &StoreRun, around: Around<'_>) {
        self.desk();
        self.demand(!self.confirm_is_out, || "two writes of the progress at once".to_owned());
        let mut storing = BTreeSet::new();
        for park in &run.parks {
            self.whole(&park.lane, &park.positions(), around);
            storing.extend(park.positions());
            if park.cause == Cause::Rejected {
                self.rejected(park, around);
            }
        }
        for append in &run.appends {
            self.whole(&append.lane, &append.positions(), around);
            storing.extend(append.positions());
        }
        self.progress(&run.progress, &storing);
        self.store = Some(run.clone());
    }

    /// R10: a lane is stored whole, from its head. A call that is made again may name what became durable meanwhile.
    fn whole(&mut self, lane: &LaneName, positions: &[Position], around: Around<'_>) {
        let left: Vec<_> = positions
            .iter()
            .filter(|position| !self.durable.contains(&position.minor))
            .copied()
            .collect();
        let Some(first) = positions.first() else {
            self.violations.push(format!("R10: nothing of {lane:?} is stored"));
            return;
        };
        let key = around.source.lane(first.minor);
        let open = self.lane(key, around.source);
        self.demand(open.starts_with(&left), || {
            format!("R10: of {lane:?} {left:?} are stored, open are {open:?}")
        });
    }

    /// B35: an outage parks nothing. Each counted attempt has another lane's success in the minute before it.
    fn rejected(&mut self, park: &twinbox::contract::Park, around: Around<'_>) {
        if matches!(park.failure.kind, FailureKind::Message | FailureKind::Rejected) {
            return;
        }
        let lane = around.source.lane(park.positions()[0].minor);
        let counted = self.failures.get(&lane).map_or(0, |failures| {
            let speaks = |failed: &&Time| {
                self.successes.iter().any(|(at, other)| {
                    other.topic == lane.topic && *other != lane && *at <= **failed && *at + 60 * SECOND >= **failed
                })
            };
            failures.iter().filter(speaks).count()
        });
        let least = around.shape.attempts_max as usize;
        self.demand(counted >= least, || {
            format!(
                "B35: {:?} is parked for {} after {counted} attempts that speak of it",
                park.lane, park.failure
            )
        });
    }

    /// What is open of a lane, in order.
    fn lane(&self, key: LaneKey, source: &ModelSource) -> Vec<Position> {
        let of = |(_, (seq, _)): &(&Position, &(Seq, usize))| source.lane(*seq) == key;
        self.open.iter().filter(of).map(|(position, _)| *position).collect()
    }

    fn batch(&mut self, batch: &[Outbound], around: Around<'_>) {
        let mut runs: BTreeMap<LaneKey, Vec<&Outbound>> = BTreeMap::new();
        for outbound in batch {
            let seq = outbound.message.position.minor;
            runs.entry(around.source.lane(seq)).or_default().push(outbound);
        }
        for (lane, run) in runs {
            self.demand(self.flying.values().all(|flying| flying.lane != lane), || {
                format!("R1: a second run of {lane:?}: {}", run[0].message.position)
            });
            self.demand(run.len() <= around.shape.run_max as usize, || {
                format!("R1: a run of {}", run.len())
            });
            self.demand(
                run.windows(2)
                    .all(|two| two[0].message.position < two[1].message.position),
                || format!("R2: a run of {lane:?} is out of order"),
            );
            let live = self.open.contains_key(&run[0].message.position);
            if live {
                self.live(lane, &run, around);
            } else {
                self.letters(lane, &run, around);
            }
            for outbound in run {
                self.hand_over(lane, outbound);
            }
        }
    }

    fn hand_over(&mut self, lane: LaneKey, outbound: &Outbound) {
        let position = outbound.message.position;
        let flying = Flying {
            lane,
            seq: position.minor,
            position,
        };
        self.demand(!matches!(outbound.message.body, Body::Withheld { .. }), || {
            format!("{position} is handed over without its body")
        });
        self.demand(!self.durable.contains(&position.minor), || {
            format!("I6: {position} is handed over again, it is durable")
        });
        self.flying.insert(outbound.ticket, flying);
        let fresh = self.tickets.insert(outbound.ticket);
        self.demand(fresh, || format!("S12: {:?} is used twice", outbound.ticket));
    }

    /// R2, R7: a live run is what stands first in its lane, and nothing of the lane is a letter.
    fn live(&mut self, lane: LaneKey, run: &[&Outbound], around: Around<'_>) {
        let positions: Vec<_> = run.iter().map(|outbound| outbound.message.position).collect();
        let open = self.lane(lane, around.source);
        self.demand(open.starts_with(&positions), || {
            format!("R2: {positions:?} leave, but {open:?} is the lane")
        });
        if !around.current {
            return;
        }
        for position in positions {
            self.demand(around.letters.of(position.minor).is_none(), || {
                format!("S4: {position} is a letter and goes out live")
            });
        }
        let open_letter = around
            .letters
            .letters
            .values()
            .find(|letter| letter.closed.is_none() && around.source.lane(letter.seq) == lane);
        if let Some(letter) = open_letter {
            let seq = letter.seq;
            self.violations.push(format!(
                "R7: {} goes out live over the letter of {seq}",
                run[0].message.position
            ));
        }
    }

    /// R7, R9: letters go out in order, below whatever of their lane waits in memory, and not in a drain.
    fn letters(&mut self, lane: LaneKey, run: &[&Outbound], around: Around<'_>) {
        self.demand(!self.draining, || "R9: letters go out in a drain".to_owned());
        let last = run[run.len() - 1].message.position;
        let waiting = self.lane(lane, around.source).first().copied();
        self.demand(waiting.is_none_or(|first| last < first), || {
            format!("R7: the letter {last} stands behind {waiting:?}")
        });
        for outbound in run {
            let known = around.letters.of(outbound.message.position.minor);
            let gone = [Some(Closed::Delivered), Some(Closed::Dead)];
            let sendable = known.is_some_and(|letter| !gone.contains(&letter.closed));
            self.demand(sendable, || {
                format!(
                    "S5: {} goes out, and is no letter to be sent",
                    outbound.message.position
                )
            });
        }
    }
}
