//! The world around the reducer: virtual time, one seed, everything late and in any order.
//!
//! ```text
//!   acts ──by time──▶ World ──event──▶ Process (the reducer) ──effects──▶ acts
//!                       │ database: source, letters, lease (fenced by the epoch)
//!                       │ wire: the client's queue, the broker, answers
//!                       └ people: crashes, freezes, drains, operators
//! ```
//!
//! Promises: the same seed makes the same world; what is checked is checked after every step.

use std::collections::BTreeMap;

use twinbox::contract::{Answer, Outbound};
use twinbox::delivery::Moment;
use twinbox::flow::{Effect, Event, LetterCall, Pauses, step};

use super::check::Around;
use super::clock::{Clock, MILLISECOND, SECOND, Time, micros};
use super::faults::{Fault, Faults, Shape};
use super::model_broker::{Health, ModelBroker};
use super::model_letters::ModelLetters;
use super::model_source::{ModelSource, Seq};
use super::process::{Ask, Left, Process};
use super::workload;
use crate::support::ledger::dice::Dice;

/// A tick that asks for another one at once, so often, is a loop that burns a core.
const SPINS_MAX: u32 = 200;
/// Longest life of a world after everything healed (I2).
pub(super) const HEALED_MAX: Time = 600 * SECOND;

/// Something that happens at its time.
#[derive(Debug)]
pub(super) enum Act {
    Commit(Vec<Seq>),
    Deliver {
        process: u32,
        event: Event,
    },
    Read {
        process: u32,
        ask: Ask,
    },
    Desk {
        process: u32,
        call: LetterCall,
    },
    IdleOver {
        process: u32,
        token: u64,
    },
    Take {
        process: u32,
    },
    Land {
        flight: u64,
    },
    Answer {
        process: u32,
        answer: Answer,
    },
    Tick {
        process: u32,
    },
    Renew {
        process: u32,
    },
    StandBy,
    Crash,
    Freeze(Time),
    Drain,
    DrainOver {
        process: u32,
    },
    Operator,
    /// It looks what an operator holds back.
    Hear {
        process: u32,
    },
    Health {
        topic: usize,
        health: Health,
    },
    Stall {
        partition: (usize, usize),
        begins: bool,
    },
    Heal,
}

/// A message between the client and the log.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) process: u32,
    pub(super) outbound: Outbound,
    pub(super) at: Time,
}

/// The relay's lease, by the database's clock.
#[derive(Debug, Default)]
pub(super) struct LeaseRow {
    pub(super) epoch: u64,
    pub(super) holder: Option<u32>,
    pub(super) expires: Time,
}

/// Figures of a run.
#[derive(Debug, Default, Clone)]
pub(super) struct Figures {
    pub(super) steps: u64,
    pub(super) terms: u32,
    pub(super) landed: usize,
    pub(super) duplicates: usize,
    /// Duplicates that a loss of memory explains (I6).
    pub(super) excused: usize,
    pub(super) parks: usize,
}

pub(super) struct World {
    pub(super) clock: Clock,
    pub(super) now: Time,
    pub(super) dice: Dice,
    pub(super) faults: Faults,
    pub(super) shape: Shape,
    pub(super) source: ModelSource,
    pub(super) letters: ModelLetters,
    /// What an operator holds back; the letter store knows it by the names of lanes.
    pub(super) held: Pauses,
    pub(super) broker: ModelBroker,
    pub(super) lease: LeaseRow,
    pub(super) processes: Vec<Process>,
    pub(super) flights: BTreeMap<u64, Flight>,
    /// Transactions that will commit.
    pub(super) loading: usize,
    pub(super) healed_at: Option<Time>,
    /// Whoever is asked to drain is not replaced any more.
    pub(super) closing: bool,
    pub(super) mending: bool,
    pub(super) figures: Figures,
    pub(super) violations: Vec<String>,
    pub(super) tracing: bool,
    acts: BTreeMap<(Time, u64, u64), Act>,
    serial: u64,
    spins: (Time, u32),
}

// === impl World ===

impl World {
    pub(super) fn new(seed: u64, faults: Faults, shape: Shape) -> Self {
        let mut dice = Dice::new(seed ^ 0x5eed);
        let rows = workload::rows(&shape, &faults, &mut dice);
        Self {
            clock: Clock::new(),
            now: 0,
            source: ModelSource::new(rows, shape.bytes),
            letters: ModelLetters::default(),
            held: Pauses::none(),
            broker: ModelBroker::default(),
            lease: LeaseRow::default(),
            processes: Vec::new(),
            flights: BTreeMap::new(),
            loading: 0,
            healed_at: None,
            closing: false,
            mending: dice.chance(50.0),
            figures: Figures::default(),
            violations: Vec::new(),
            tracing: false,
            acts: BTreeMap::new(),
            serial: 0,
            spins: (0, 0),
            dice,
            faults,
            shape,
        }
    }

    /// The world of a seed, with its load and its faults ahead of it.
    pub(super) fn of_seed(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let (faults, shape) = (Faults::draw(&mut dice), Shape::draw(&mut dice));
        let mut world = Self::new(seed, faults, shape);
        world.plan_everything();
        world
    }

    /// Lets something happen after a while; acts of one moment happen in any order.
    pub(super) fn after(&mut self, wait: Time, act: Act) {
        self.serial += 1;
        let tie = self.dice.next();
        self.acts.insert((self.now + wait, tie, self.serial), act);
    }

    pub(super) fn trace(&self, line: impl FnOnce() -> String) {
        if self.tracing {
            println!("{:>12.6} {}", self.now as f64 / SECOND as f64, line());
        }
    }

    pub(super) fn violate(&mut self, sentence: String) {
        self.violations.push(sentence);
    }

    pub(super) fn process(&mut self, number: u32) -> Option<&mut Process> {
        self.processes
            .get_mut(number as usize)
            .filter(|process| process.lives())
    }

    /// The process that the lease belongs to, if it lives.
    pub(super) fn leader(&mut self) -> Option<&mut Process> {
        let holder = self.lease.holder?;
        self.process(holder)
    }

    /// Runs until something is violated, everything is over, or `done` says so.
    pub(super) fn run(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        while self.violations.is_empty() {
            let Some(((at, _, _), act)) = self.acts.pop_first() else {
                return;
            };
            debug_assert!(at >= self.now, "time goes forward");
            self.now = at;
            self.happen(act);
            if done(self) {
                return;
            }
        }
    }

    fn happen(&mut self, act: Act) {
        let Some(act) = self.unless_frozen(act) else { return };
        match act {
            Act::Commit(seqs) => self.commit(&seqs),
            Act::Deliver { process, event } => self.deliver(process, event),
            Act::Read { process, ask } => self.read(process, ask),
            Act::Desk { process, call } => self.desk(process, call),
            Act::IdleOver { process, token } => self.idle_over(process, token),
            Act::Take { process } => self.take(process),
            Act::Land { flight } => self.land(flight),
            Act::Answer { process, answer } => self.deliver(process, Event::Answered(vec![answer])),
            Act::Tick { process } => self.tick(process),
            Act::Renew { process } => self.renew(process),
            Act::StandBy => self.stand_by(),
            Act::Crash => self.crash(),
            Act::Freeze(length) => self.freeze(length),
            Act::Drain => self.drain(),
            Act::DrainOver { process } => self.drain_over(process),
            Act::Operator => self.operate(),
            Act::Hear { process } => self.hear(process),
            Act::Health { topic, health } => {
                self.trace(|| format!("topic {topic} is {health:?}"));
                self.broker.health.insert(topic, health);
            }
            Act::Stall { partition, begins } => self.stall(partition, begins),
            Act::Heal => self.heal(),
        }
    }

    /// What is addressed to a process that stands still waits until it goes on.
    fn unless_frozen(&mut self, act: Act) -> Option<Act> {
        let number = match &act {
            Act::Deliver { process, .. }
            | Act::IdleOver { process, .. }
            | Act::Take { process }
            | Act::Answer { process, .. }
            | Act::Tick { process }
            | Act::Renew { process }
            | Act::Hear { process }
            | Act::DrainOver { process } => *process,
            _ => return Some(act),
        };
        let until = self.process(number)?.frozen_until;
        if until <= self.now {
            return Some(act);
        }
        self.after(until - self.now, act);
        None
    }

    fn tick(&mut self, number: u32) {
        let now = self.now;
        let Some(process) = self.process(number) else { return };
        if process.tick_at.is_none_or(|at| at > now) {
            return;
        }
        process.tick_at = None;
        self.spins = if self.spins.0 == now {
            (now, self.spins.1 + 1)
        } else {
            (now, 0)
        };
        if self.spins.1 > SPINS_MAX {
            self.violate("the reducer wants to be woken at once, again and again".to_owned());
        }
        self.deliver(number, Event::Tick);
    }

    /// One step of a process, with everything that is checked around it.
    pub(super) fn deliver(&mut self, number: u32, event: Event) {
        let at = Moment {
            now: self.clock.at(self.now),
            random: self.dice.next(),
        };
        self.trace(|| format!("p{number} <- {}", super::trace::event(&event)));
        let Some(index) = self.process(number).map(|process| process.number as usize) else {
            return;
        };
        let around = Around {
            now: self.now,
            shape: &self.shape,
            source: &self.source,
            letters: &self.letters,
            current: self.lease.holder == Some(number),
        };
        let process = &mut self.processes[index];
        process.view.told(&event, around);
        let mut effects = Vec::new();
        step(&mut process.state, event, at, &mut effects);
        process.view.stepped(&process.state, &effects, around);
        self.violations.append(&mut process.view.violations);
        self.figures.steps += 1;
        for effect in effects {
            self.trace(|| format!("p{number}    -> {}", super::trace::effect(&effect)));
            self.perform(number, effect);
        }
        self.hand_over(number);
        self.schedule_tick(number);
    }

    fn schedule_tick(&mut self, number: u32) {
        let (clock, now) = (self.clock, self.now);
        let Some(process) = self.process(number) else { return };
        let wake = clock.time(process.state.next_wake(clock.at(now))).max(now);
        if process.tick_at.is_none_or(|at| at <= now || at > wake) {
            process.tick_at = Some(wake);
            self.after(wake - now, Act::Tick { process: number });
        }
    }

    fn perform(&mut self, number: u32, effect: Effect) {
        match effect {
            Effect::Fetch(room) => {
                let draining = self.process(number).is_some_and(|process| process.view.draining);
                self.ask(number, Ask::Fetch(room, draining));
            }
            Effect::Idle(at_most) => self.ask(number, Ask::Idle(micros(at_most))),
            Effect::Confirm(progress) => self.ask(number, Ask::Confirm(progress)),
            Effect::Publish(batch) => {
                if let Some(process) = self.process(number) {
                    process.to_publish.push_back(batch);
                }
            }
            Effect::Letters(call) => self.call(number, call),
            Effect::Tell(_) => {}
            Effect::StepDown => self.leave(number, Left::LeaseLost),
            Effect::Drained => self.leave(number, Left::Drained),
            Effect::Halt(position) => {
                // Somebody mends the message and starts the relay again.
                self.source.row_mut(position.minor).mend();
                self.leave(number, Left::Halted);
            }
        }
    }

    pub(super) fn latency(&mut self) -> Time {
        if self.faults.fires(Fault::SlowDatabase, 10.0, &mut self.dice) {
            return self.dice.between(100, 4_000) as Time * MILLISECOND;
        }
        self.dice.between(100, 4_000) as Time
    }

    fn commit(&mut self, seqs: &[Seq]) {
        self.loading -= 1;
        for seq in seqs {
            self.source.commit(*seq);
        }
        self.trace(|| format!("committed {seqs:?}"));
        // A hint may be lost.
        if self.dice.chance(80.0) {
            let idle: Vec<_> = self
                .processes
                .iter()
                .filter_map(|process| Some((process.number, process.idle?)))
                .collect();
            for (process, token) in idle {
                self.after(MILLISECOND, Act::IdleOver { process, token });
            }
        }
    }

    pub(super) fn next_flight(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// All rows of the load are written, and nothing is left to be done.
    pub(super) fn is_over(&mut self) -> bool {
        self.loading == 0 && self.healed_at.is_some_and(|at| self.now > at + SECOND) && self.is_quiet()
    }

    /// Everything that is committed is at the broker or a letter that waits for a person, and the source knows it.
    fn is_quiet(&mut self) -> bool {
        let (now, source) = (self.now, &self.source);
        let settled = source.waiting().next().is_none() && source.would_come_again().next().is_none();
        let waiting = self.letters.lanes.values().all(|lane| lane.due.is_none());
        let quiet = self.broker.held.is_empty() && self.flights.values().all(|flight| flight.at + SECOND < now);
        settled && waiting && quiet
    }
}
