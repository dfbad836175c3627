//! The load of a world: transactions of some rows, interleaved, some long, some rolled back.
//!
//! Promises: the writers of one key serialise, as the README asks of applications: a key's rows commit in the order of
//! their `seq`.

use std::collections::BTreeMap;

use super::clock::{MILLISECOND, SECOND, Time};
use super::faults::{Fault, Faults, Shape};
use super::model_source::{Address, Row, Seq};
use super::world::{Act, World};
use crate::support::ledger::dice::{Dice, Zipf};

/// Rows in the order of their insertion.
pub(super) fn rows(shape: &Shape, faults: &Faults, dice: &mut Dice) -> Vec<Row> {
    let zipf = Zipf::over(shape.keys);
    let limits = |dice: &mut Dice| {
        let large = faults.include(Fault::Oversize) && dice.chance(3.0);
        if large { shape.bytes * 2 } else { dice.between(0, 900) }
    };
    (0..shape.rows)
        .map(|_| {
            let key = zipf.pick(dice);
            Row {
                topic: key % shape.topics,
                key: (!dice.chance(10.0)).then_some(key),
                body: limits(dice),
                poison: faults.include(Fault::Rejects) && dice.chance(3.0),
                address: if faults.include(Fault::Unroutable) && dice.chance(3.0) {
                    Address::Missing
                } else {
                    Address::Written
                },
                committed: false,
                window: None,
            }
        })
        .collect()
}

// === impl World ===

impl World {
    /// Puts the transactions on the calendar.
    pub(super) fn plan_load(&mut self) {
        let mut locked: BTreeMap<usize, Time> = BTreeMap::new();
        let mut began: Time = 0;
        let mut left: Vec<Seq> = self.source.seqs().collect();
        let step = self.shape.busy / self.shape.rows as Time;
        while !left.is_empty() {
            let count = self.dice.between(1, 6).min(left.len());
            let seqs: Vec<Seq> = left.drain(..count).collect();
            began += self.dice.between(0, 2 * count * step as usize) as Time;
            let keys: Vec<usize> = seqs.iter().filter_map(|seq| self.source.row(*seq).key).collect();
            // A transaction waits for the locks of the keys that it writes.
            let free = keys.iter().filter_map(|key| locked.get(key)).max().copied();
            began = began.max(free.unwrap_or(0));
            let long = self.dice.chance(5.0);
            let lasts = if long { 5 * SECOND } else { 20 * MILLISECOND };
            let commits = began + 1 + self.dice.between(0, lasts as usize) as Time;
            for key in keys {
                locked.insert(key, commits + 1);
            }
            if !self.dice.chance(5.0) {
                self.loading += 1;
                self.after(commits, Act::Commit(seqs));
            }
        }
    }
}
