//! Between a process and the broker: the client's queue, what lands, what is answered, and what a dead process leaves on
//! its way.

use std::collections::{BTreeMap, BTreeSet};

use twinbox::contract::{Answer, Outbound, Receipt};
use twinbox::delivery::FailureKind;
use twinbox::flow::Event;

use super::clock::{MILLISECOND, SECOND};
use super::faults::Fault;
use super::model_broker::{Circumstances, Held, ModelBroker, failure};
use super::model_letters::Closed;
use super::model_source::{Address, LaneKey, Seq};
use super::process::Left;
use super::world::{Act, Flight, World};

/// How long a drain goes on reading.
const LAST_WINDOW_MAX: u64 = 5 * SECOND;

// === impl World ===

impl World {
    /// Hands the next batch over once the client has taken the one before.
    pub(super) fn hand_over(&mut self, number: u32) {
        let wait = self.dice.between(10, 300) as u64;
        let Some(process) = self.process(number) else { return };
        if process.handing_over || process.to_publish.is_empty() {
            return;
        }
        process.handing_over = true;
        self.after(wait, Act::Take { process: number });
    }

    /// The client takes a batch: each lane's run meets its fate.
    pub(super) fn take(&mut self, number: u32) {
        let Some(process) = self.process(number) else { return };
        process.handing_over = false;
        let Some(batch) = process.to_publish.pop_front() else {
            return;
        };
        let mut runs: BTreeMap<LaneKey, Vec<Outbound>> = BTreeMap::new();
        for outbound in batch {
            let lane = self.source.lane(outbound.message.position.minor);
            runs.entry(lane).or_default().push(outbound);
        }
        for (lane, run) in runs {
            let held = Held {
                process: number,
                partition: ModelBroker::partition(lane),
                run,
            };
            if self.broker.stalled.contains(&held.partition) {
                self.broker.held.push(held);
            } else {
                self.meet(held);
            }
        }
        self.hand_over(number);
    }

    fn meet(&mut self, held: Held) {
        let mut around = Circumstances {
            source: &self.source,
            faults: &self.faults,
            dice: &mut self.dice,
            now: self.now,
        };
        let fates = self.broker.fate(held.run, &mut around);
        let now = self.now;
        for fate in fates {
            let answer = Answer {
                ticket: fate.outbound.ticket,
                receipt: fate.receipt,
            };
            if let Some(at) = fate.lands {
                let id = self.next_flight();
                let flight = Flight {
                    process: held.process,
                    outbound: fate.outbound,
                    at,
                };
                self.flights.insert(id, flight);
                self.after(at - now, Act::Land { flight: id });
            }
            let process = held.process;
            self.after(fate.answered - now, Act::Answer { process, answer });
        }
    }

    /// A message reaches its log: G2, and G3 where it is the first occurrence.
    pub(super) fn land(&mut self, id: u64) {
        let now = self.now;
        if let Some(flight) = self.flights.get(&id).filter(|flight| flight.at > now) {
            let wait = flight.at - now;
            return self.after(wait, Act::Land { flight: id });
        }
        let Some(flight) = self.flights.remove(&id) else { return };
        let seq = flight.outbound.message.position.minor;
        let destination = flight.outbound.address.destination.to_string();
        self.trace(|| format!("landed {seq} at {destination}"));
        let first = self.broker.land(&destination, seq);
        self.figures.landed += 1;
        self.figures.duplicates += usize::from(!first);
        if self.source.position(seq).is_none() {
            self.violate(format!("G2: {seq} is published before its window is written"));
        }
        if first && !destination.ends_with(".dlq") {
            self.in_order(seq);
        }
    }

    /// G3: whatever stands before a first occurrence in its lane is there too, or a person or a dead letter took it out.
    fn in_order(&mut self, seq: Seq) {
        let lane = self.source.lane(seq);
        let taken_out = |world: &Self, seq: Seq| {
            world.broker.dead.contains(&seq)
                || world
                    .letters
                    .of(seq)
                    .is_some_and(|letter| letter.closed == Some(Closed::Dropped))
        };
        if taken_out(self, seq) {
            return;
        }
        let missing: Vec<Seq> = self
            .source
            .seqs()
            .filter(|other| self.source.row(*other).committed && self.source.lane(*other) == lane)
            .filter(|other| self.source.row(*other).address != Address::Mended)
            .filter(|other| {
                self.source
                    .position(*other)
                    .is_some_and(|at| Some(at) < self.source.position(seq))
            })
            .filter(|other| !self.broker.has(*other) && !taken_out(self, *other))
            .collect();
        if !missing.is_empty() {
            self.violate(format!("G3: {seq} is published before {missing:?} of {lane:?}"));
        }
    }

    pub(super) fn stall(&mut self, partition: (usize, usize), begins: bool) {
        self.trace(|| {
            format!(
                "partition {partition:?} {}",
                if begins { "stalls" } else { "answers again" }
            )
        });
        if begins {
            self.broker.stalled.insert(partition);
            return;
        }
        self.broker.stalled.remove(&partition);
        let (met, held) = std::mem::take(&mut self.broker.held)
            .into_iter()
            .partition(|held| held.partition == partition);
        self.broker.held = held;
        for held in Vec::from_iter::<Vec<Held>>(met) {
            self.meet(held);
        }
    }

    /// A term ends. What was handed over may still arrive for a while, lane by lane in its order (a zombie's end).
    pub(super) fn leave(&mut self, number: u32, left: Left) {
        let Some(process) = self.process(number) else { return };
        process.left = Some(left);
        process.to_publish.clear();
        process.asks.clear();
        self.trace(|| format!("p{number} left: {left:?}"));
        let keeps_lease = left == Left::LeaseLost;
        if self.lease.holder == Some(number) && !keeps_lease {
            self.lease.holder = None;
        }
        self.cut(number);
        self.forgotten(number);
        if left == Left::Drained {
            self.last_window(number);
        }
    }

    /// I6: what is sent again after a term is what was in flight and what was settled in the last second.
    pub(super) fn forgotten(&mut self, number: u32) {
        let sent = |seq: &Seq| self.broker.has(*seq) || self.broker.dead.contains(seq);
        let again = self.source.would_come_again().filter(sent).count();
        let in_air = self.flights.values().filter(|flight| flight.process == number).count();
        let letters = self.letters.letters.values();
        let unclosed = letters
            .filter(|letter| letter.closed.is_none() && sent(&letter.seq))
            .count();
        self.figures.excused += again + in_air + unclosed;
        let since = self.now.saturating_sub(SECOND + SECOND / 2);
        let just_settled = self.processes[number as usize].view.successes_since(since);
        let most = self.shape.in_flight + just_settled;
        let database = [
            Fault::ConfirmFails,
            Fault::FetchFails,
            Fault::DeskFails,
            Fault::SlowDatabase,
            Fault::Freezes,
        ];
        if again > most && !self.faults.any(&database) {
            self.violate(format!("I6: p{number} leaves {again} to be sent again, {most} may be"));
        }
    }

    /// S37: what had committed before a drain began is read, unless there was no room for it in time.
    fn last_window(&mut self, number: u32) {
        let process = &self.processes[number as usize];
        let (began, waiting) = &process.drain_began;
        let unread: Vec<Seq> = waiting
            .iter()
            .filter(|seq| self.source.position(**seq).is_none())
            .copied()
            .collect();
        if !unread.is_empty() && self.now < began + LAST_WINDOW_MAX {
            self.violate(format!("S37: drained, and {unread:?} had committed before"));
        }
    }

    /// Each lane of a process that is gone is cut somewhere: what stands behind the cut never arrives.
    fn cut(&mut self, number: u32) {
        let mut cut: BTreeSet<LaneKey> = BTreeSet::new();
        let of: Vec<u64> = self
            .flights
            .iter()
            .filter(|(_, flight)| flight.process == number)
            .map(|(id, _)| *id)
            .collect();
        let most = self.now + 3 * SECOND;
        for id in of {
            let lane = self.source.lane(self.flights[&id].outbound.message.position.minor);
            if cut.contains(&lane) || self.dice.chance(30.0) || self.flights[&id].at > most {
                cut.insert(lane);
                self.flights.remove(&id);
            }
        }
        self.broker.held.retain(|held| held.process != number);
    }

    /// A frozen process keeps what its client had not yet sent until it goes on.
    pub(super) fn postpone(&mut self, number: u32) {
        let until = self.process(number).map_or(0, |process| process.frozen_until);
        let mut postponed: BTreeMap<LaneKey, u64> = BTreeMap::new();
        let of: Vec<u64> = self
            .flights
            .iter()
            .filter(|(_, flight)| flight.process == number)
            .map(|(id, _)| *id)
            .collect();
        for id in of {
            let lane = self.source.lane(self.flights[&id].outbound.message.position.minor);
            let late = self.dice.between(1, 50) as u64 * MILLISECOND;
            if let Some(before) = postponed.get(&lane).copied() {
                let flight = self.flights.get_mut(&id).expect("just listed");
                flight.at = flight.at.max(before + late);
                postponed.insert(lane, flight.at);
            } else if self.dice.chance(50.0) {
                let flight = self.flights.get_mut(&id).expect("just listed");
                flight.at = until + late;
                postponed.insert(lane, flight.at);
            }
        }
    }

    /// The drain's deadline: the client is closed and says of everything left that its outcome is unknown.
    pub(super) fn drain_over(&mut self, number: u32) {
        let Some(process) = self.process(number) else { return };
        if process.drain_until.is_none() {
            return;
        }
        let unknown = failure(FailureKind::Transient, "Closed");
        let answers: Vec<Answer> = process
            .view
            .tickets()
            .map(|ticket| Answer {
                ticket,
                receipt: Receipt::Failed(std::sync::Arc::clone(&unknown)),
            })
            .collect();
        if !answers.is_empty() {
            self.deliver(number, Event::Answered(answers));
        }
        self.leave(number, Left::DeadlinePassed);
    }
}
