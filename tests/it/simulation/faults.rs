//! What can go wrong in one seed: a swarm of faults of which each seed has a random part, and the shape of its relay.
//!
//! Promises: a fault that is not in the swarm never fires; after [`Faults::heal`] none does.

use std::time::Duration;

use twinbox::flow::OnReject;

use super::clock::{SECOND, Time};
use crate::support::ledger::dice::Dice;

/// One thing that can go wrong, or that a person can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Some messages can never pass.
    Rejects,
    /// Some rows have no value for the route.
    Unroutable,
    /// Some rows are larger than the budget.
    Oversize,
    /// The broker refuses for a moment.
    Transient,
    /// The broker did it, and said that it failed.
    Unknown,
    /// What the broker called failed arrives after all, later.
    LateLanding,
    /// Nobody is there.
    Unreachable,
    /// A destination does not exist for a while.
    Misconfigured,
    /// A partition has no leader: no answers at all (S9).
    Stalls,
    /// Answers take seconds.
    SlowBroker,
    /// The source does not take note, or says that it did not.
    ConfirmFails,
    /// Reading fails.
    FetchFails,
    /// The letter store fails, before or after it has done it.
    DeskFails,
    /// The database takes its time.
    SlowDatabase,
    /// The process dies.
    Crashes,
    /// The process stands still beyond its lease.
    Freezes,
    /// The process is asked to drain and another takes over.
    Drains,
    /// The lease is not renewed in time.
    RenewFails,
    /// An operator releases lanes.
    Releases,
    /// An operator discards letters.
    Discards,
    /// An operator holds keys back, or everything, for a while.
    Pauses,
}

const ALL: [Fault; 21] = [
    Fault::Rejects,
    Fault::Unroutable,
    Fault::Oversize,
    Fault::Transient,
    Fault::Unknown,
    Fault::LateLanding,
    Fault::Unreachable,
    Fault::Misconfigured,
    Fault::Stalls,
    Fault::SlowBroker,
    Fault::ConfirmFails,
    Fault::FetchFails,
    Fault::DeskFails,
    Fault::SlowDatabase,
    Fault::Crashes,
    Fault::Freezes,
    Fault::Drains,
    Fault::RenewFails,
    Fault::Releases,
    Fault::Discards,
    Fault::Pauses,
];

/// The faults of one seed.
#[derive(Debug, Clone)]
pub(super) struct Faults {
    on: Vec<Fault>,
    healed: bool,
}

/// What a seed's relay and its load look like.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) rows: usize,
    pub(super) keys: usize,
    pub(super) topics: usize,
    /// Rows are written, and faults fire, until then.
    pub(super) busy: Time,
    pub(super) batch: usize,
    pub(super) in_flight: usize,
    pub(super) bytes: usize,
    pub(super) run_max: u32,
    pub(super) attempts_max: u32,
    pub(super) rest_first: Duration,
    pub(super) rest_max: Duration,
    pub(super) on_reject: OnReject,
}

// === impl Faults ===

impl Faults {
    /// A random part of all; one seed in twelve has none at all.
    pub(super) fn draw(dice: &mut Dice) -> Self {
        let share = [0.0, 10.0, 25.0, 40.0][dice.between(0, 3)];
        let mut on: Vec<Fault> = ALL.into_iter().filter(|_| dice.chance(share)).collect();
        if dice.between(1, 12) == 1 {
            on.clear();
        }
        Self { on, healed: false }
    }

    /// Whether the swarm has it, healed or not: some are traits of the load.
    pub(super) fn include(&self, fault: Fault) -> bool {
        self.on.contains(&fault)
    }

    /// Whether it may fire now.
    pub(super) fn has(&self, fault: Fault) -> bool {
        !self.healed && self.include(fault)
    }

    pub(super) fn fires(&self, fault: Fault, percent: f64, dice: &mut Dice) -> bool {
        self.has(fault) && dice.chance(percent)
    }

    pub(super) fn any(&self, faults: &[Fault]) -> bool {
        faults.iter().any(|fault| self.include(*fault))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.on.is_empty()
    }

    pub(super) fn heal(&mut self) {
        self.healed = true;
    }
}

// === impl Shape ===

impl Shape {
    pub(super) fn draw(dice: &mut Dice) -> Self {
        let in_flight = [8, 20, 60, 200][dice.between(0, 3)];
        Self {
            rows: dice.between(40, 400),
            keys: dice.between(1, 24),
            topics: dice.between(1, 3),
            busy: SECOND
                * [dice.between(2, 20), dice.between(20, 150), dice.between(150, 600)][dice.between(0, 2)] as Time,
            batch: [1, 5, 20, 100][dice.between(0, 3)],
            in_flight,
            bytes: [6_000, 40_000, 1 << 20][dice.between(0, 2)],
            run_max: [1, 1, 4, 1_000][dice.between(0, 3)],
            attempts_max: [2, 3, 12][dice.between(0, 2)],
            rest_first: Duration::from_millis(200),
            rest_max: Duration::from_secs([5, 60][dice.between(0, 1)]),
            on_reject: [OnReject::Park, OnReject::Park, OnReject::DeadLetter, OnReject::Halt][dice.between(0, 3)],
        }
    }

    /// What scripted worlds start from.
    pub(super) fn plain() -> Self {
        Self {
            rows: 100,
            keys: 5,
            topics: 2,
            busy: 10 * SECOND,
            batch: 100,
            in_flight: 1_000,
            bytes: 1 << 20,
            run_max: 1_000,
            attempts_max: 12,
            rest_first: Duration::from_millis(200),
            rest_max: Duration::from_secs(60),
            on_reject: OnReject::Park,
        }
    }
}
