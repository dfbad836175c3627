//! What happens to a world from outside: kills, freezes, drains, outages, operators, and the moment when all heals.

use twinbox::delivery::LaneName;
use twinbox::flow::{Event, Pause, Pauses};
use twinbox::message::Key;

use super::clock::{MILLISECOND, SECOND, Time};
use super::faults::Fault;
use super::model_broker::Health;
use super::model_source::Address;
use super::process::Left;
use super::world::{Act, World};

/// As `drain.deadline` of the configuration.
const DRAIN_DEADLINE: Time = 25 * SECOND;
/// How often a healed world's operator mends and releases what is parked.
const MEND_EVERY: Time = 20 * SECOND;

fn pause() -> Pause {
    Pause {
        by: "ann".to_owned(),
        reason: None,
        since: jiff::Timestamp::UNIX_EPOCH,
    }
}

// === impl World ===

impl World {
    /// Puts load, faults and the moment of healing on the calendar.
    pub(super) fn plan_everything(&mut self) {
        self.plan_load();
        self.after(0, Act::StandBy);
        let busy = self.shape.busy;
        let rare: [(Fault, fn(&mut Self) -> Act); 3] = [
            (Fault::Crashes, |_| Act::Crash),
            (Fault::Drains, |_| Act::Drain),
            (Fault::Freezes, |world| {
                Act::Freeze(world.dice.between(200, 30_000) as Time * MILLISECOND)
            }),
        ];
        for (fault, act) in rare {
            if self.faults.has(fault) {
                for _ in 0..self.dice.between(1, 5) {
                    let (at, act) = (self.sometime(busy), act(self));
                    self.after(at, act);
                }
            }
        }
        let operators = [Fault::Releases, Fault::Discards, Fault::Pauses];
        if self.faults.any(&operators) {
            for _ in 0..self.dice.between(5, 60) {
                let at = self.sometime(busy);
                self.after(at, Act::Operator);
            }
        }
        self.plan_outages(busy);
        self.after(busy + SECOND, Act::Heal);
    }

    fn sometime(&mut self, busy: Time) -> Time {
        self.dice.between(1, busy as usize) as Time
    }

    fn plan_outages(&mut self, busy: Time) {
        for (fault, health) in [
            (Fault::Unreachable, Health::Away),
            (Fault::Misconfigured, Health::Misconfigured),
        ] {
            if !self.faults.has(fault) {
                continue;
            }
            for _ in 0..self.dice.between(1, 3) {
                let topic = self.dice.between(0, self.shape.topics - 1);
                let (begins, ends) = (self.sometime(busy), self.sometime(busy));
                self.after(begins.min(ends), Act::Health { topic, health });
                let health = Health::Well;
                self.after(begins.max(ends), Act::Health { topic, health });
            }
        }
        if self.faults.has(Fault::Stalls) {
            for _ in 0..self.dice.between(1, 3) {
                let partition = (self.dice.between(0, self.shape.topics - 1), self.dice.between(0, 1));
                let (one, other) = (self.sometime(busy), self.sometime(busy));
                for (at, begins) in [(one.min(other), true), (one.max(other), false)] {
                    self.after(at, Act::Stall { partition, begins });
                }
            }
        }
    }

    pub(super) fn crash(&mut self) {
        if let Some(number) = self.leader().map(|process| process.number) {
            self.leave(number, Left::Crashed);
        }
    }

    pub(super) fn freeze(&mut self, length: Time) {
        let until = self.now + length;
        let Some(process) = self.leader() else { return };
        process.frozen_until = process.frozen_until.max(until);
        let number = process.number;
        self.trace(|| format!("p{number} stands still for {} ms", length / MILLISECOND));
        self.postpone(number);
    }

    pub(super) fn drain(&mut self) {
        let until = self.now + DRAIN_DEADLINE;
        let now = self.now;
        let waiting: Vec<_> = self.source.waiting().collect();
        let Some(process) = self.leader().filter(|process| process.drain_until.is_none()) else {
            return;
        };
        process.drain_until = Some(until);
        process.drain_began = (now, waiting);
        let number = process.number;
        self.after(DRAIN_DEADLINE, Act::DrainOver { process: number });
        self.deliver(number, Event::Drain);
    }

    /// An operator does one thing to one blocked lane.
    pub(super) fn operate(&mut self) {
        if self.healed_at.is_some() {
            return self.mend();
        }
        if self.faults.has(Fault::Pauses) && self.dice.chance(50.0) {
            return self.hold();
        }
        let lanes: Vec<LaneName> = self.letters.lanes.keys().cloned().collect();
        if lanes.is_empty() {
            return;
        }
        let lane = &lanes[self.dice.between(0, lanes.len() - 1)];
        let now = self.now;
        match self.dice.between(0, 1) {
            0 if self.faults.has(Fault::Releases) => {
                if self.dice.chance(50.0) {
                    self.mend_head(lane);
                }
                self.trace(|| format!("operator releases {lane:?}"));
                self.letters.release(lane, now);
            }
            1 if self.faults.has(Fault::Discards) => {
                let count = self.dice.between(1, 5);
                let dropped = self.letters.discard(lane, count, &self.source);
                self.trace(|| format!("operator discards {dropped:?} of {lane:?}"));
                if let Some(process) = self.leader().map(|process| process.number) {
                    let event = Event::Counted(self.letters.lanes.len() as u64);
                    self.after(0, Act::Deliver { process, event });
                }
            }
            _ => {}
        }
    }

    /// An operator holds one more key back, or everything, or lets all go on.
    fn hold(&mut self) {
        match self.dice.between(0, 5) {
            0 => self.held.whole = Some(pause()),
            1 | 2 => self.held = Pauses::none(),
            _ => {
                let key = format!("k{}", self.dice.between(0, self.shape.keys - 1));
                self.held.keys.insert(Key::from(key.as_str()));
            }
        }
        self.holds();
    }

    /// The letter store knows at once, the relay when it looks the next time.
    fn holds(&mut self) {
        self.trace(|| format!("operator holds back {:?}", self.held));
        self.letters.held = self.held.keys.iter().map(LaneName::ending).collect();
        self.letters
            .held
            .extend(self.held.whole.as_ref().map(|_| String::new()));
        let late = self.dice.between(0, 1_000) as Time * MILLISECOND;
        if let Some(process) = self.leader().map(|process| process.number) {
            self.after(late, Act::Hear { process });
        }
    }

    pub(super) fn hear(&mut self, process: u32) {
        let held = self.held.clone();
        self.deliver(process, Event::Paused(held));
    }

    fn mend_head(&mut self, lane: &LaneName) {
        if let Some((_, seq)) = self.letters.open(lane, &self.source).first() {
            let row = self.source.row_mut(*seq);
            row.poison = false;
        }
    }

    /// Everything works from now on; what is parked waits for a person, who may come.
    pub(super) fn heal(&mut self) {
        self.trace(|| "all is well from here on".to_owned());
        self.faults.heal();
        self.healed_at = Some(self.now);
        for health in self.broker.health.values_mut() {
            *health = Health::Well;
        }
        for partition in std::mem::take(&mut self.broker.stalled) {
            self.stall(partition, false);
        }
        if self.held != Pauses::none() {
            self.held = Pauses::none();
            self.holds();
        }
        if self.mending {
            self.mend();
        }
    }

    fn mend(&mut self) {
        let lanes: Vec<LaneName> = self.letters.lanes.keys().cloned().collect();
        for lane in lanes {
            self.mend_head(&lane);
            if self.letters.lanes[&lane].due.is_none() && self.can_pass(&lane) {
                let now = self.now;
                self.letters.release(&lane, now);
            }
        }
        self.after(MEND_EVERY, Act::Operator);
    }

    /// What has no address or no body goes nowhere, however often it is released.
    fn can_pass(&self, lane: &LaneName) -> bool {
        let head = self.letters.open(lane, &self.source).first().map(|(_, seq)| *seq);
        head.is_some_and(|seq| {
            let row = self.source.row(seq);
            row.address != Address::Missing && row.body <= self.shape.bytes
        })
    }
}
