//! The database's side of the world: calls of source and letters under the fence, and the lease.
//!
//! A call may fail before or after it was done; the answer comes late.

use std::time::Duration;

use twinbox::contract::{Kept, Room, StoreRun};
use twinbox::flow::{Event, LetterCall};

use super::clock::{MILLISECOND, SECOND, Time};
use super::faults::Fault;
use super::model_source::{Address, Seq};
use super::process::{Ask, Left, Process};
use super::world::{Act, World};

/// The lease, and how long its holder trusts it.
const LEASE: Time = 10 * SECOND;
const TRUST: Time = 8 * SECOND;
const RENEW_EVERY: Time = LEASE / 3;
/// As the shell rests after a store's failure.
const STORE_REST: Duration = Duration::from_millis(200);

/// How long a source waits that finds no room for the next row.
const STARVED: Time = 20 * MILLISECOND;

/// How a call goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Luck {
    Done,
    /// Failed, and nothing was done.
    NotDone,
    /// Done, and the answer was lost.
    DoneAndLost,
}

// === impl World ===

impl World {
    fn luck(&mut self, fault: Fault) -> Luck {
        if !self.faults.fires(fault, 20.0, &mut self.dice) {
            return Luck::Done;
        }
        if self.dice.chance(50.0) {
            Luck::NotDone
        } else {
            Luck::DoneAndLost
        }
    }

    fn is_fenced(&self, number: u32) -> bool {
        self.processes[number as usize].epoch != self.lease.epoch
    }

    fn answer(&mut self, process: u32, event: Event) {
        let wait = self.latency();
        self.after(wait, Act::Deliver { process, event });
    }

    /// The reader's queue: one call at a time, in order; an ask ends an idle wait.
    pub(super) fn ask(&mut self, number: u32, ask: Ask) {
        let Some(process) = self.process(number) else { return };
        process.asks.push_back(ask);
        if let Some(token) = process.idle {
            self.idle_over(number, token);
        }
        self.next_ask(number);
    }

    fn next_ask(&mut self, number: u32) {
        let Some(process) = self.process(number) else { return };
        if process.asking {
            return;
        }
        let Some(ask) = process.asks.pop_front() else { return };
        process.asking = true;
        let wait = self.latency();
        self.after(wait, Act::Read { process: number, ask });
    }

    fn asked(&mut self, number: u32, event: Event) {
        self.answer(number, event);
        if let Some(process) = self.process(number) {
            process.asking = false;
        }
        self.next_ask(number);
    }

    pub(super) fn idle_over(&mut self, number: u32, token: u64) {
        let Some(process) = self.process(number) else { return };
        if process.idle == Some(token) {
            process.idle = None;
            self.asked(number, Event::Woken);
        }
    }

    /// The source does what it was asked.
    pub(super) fn read(&mut self, number: u32, ask: Ask) {
        if self.process(number).is_none() && self.dice.chance(50.0) {
            // The process is gone; its statement may still run.
            return;
        }
        match ask {
            Ask::Idle(at_most) => {
                let token = self.dice.next();
                let Some(process) = self.process(number) else { return };
                process.idle = Some(token);
                if process.asks.is_empty() {
                    self.after(at_most, Act::IdleOver { process: number, token });
                } else {
                    self.idle_over(number, token);
                }
            }
            _ if self.is_fenced(number) => self.leave(number, Left::LeaseLost),
            Ask::Fetch(room, in_drain) => self.fetch(number, room, in_drain),
            Ask::Confirm(progress) => {
                let luck = self.luck(Fault::ConfirmFails);
                if luck != Luck::NotDone {
                    let opening = &mut self.processes[number as usize].opening;
                    let struck = self.source.settle(opening, &progress);
                    self.settled(number, &struck);
                }
                let event = match luck {
                    Luck::Done => Event::Confirmed,
                    Luck::NotDone | Luck::DoneAndLost => Event::ConfirmFailed(STORE_REST),
                };
                self.asked(number, event);
            }
        }
    }

    fn fetch(&mut self, number: u32, room: Room, in_drain: bool) {
        let luck = self.luck(Fault::FetchFails);
        if luck != Luck::Done {
            // The window may have been written; what it held is given to the next reading.
            let at_end = self.processes[number as usize].opening.is_at_end(&self.source);
            if luck == Luck::DoneAndLost && at_end && self.source.open_window() {
                self.opened(number, in_drain);
            }
            return self.asked(number, Event::FetchFailed(STORE_REST));
        }
        let process = &mut self.processes[number as usize];
        let (page, opened) = self.source.next(&mut process.opening, room);
        if opened {
            self.opened(number, in_drain);
        }
        if page.messages.is_empty() && page.more {
            // There is no room: the source itself waits a little.
            let wait = STARVED;
            if let Some(process) = self.process(number) {
                process.asking = false;
            }
            return self.after(
                wait,
                Act::Deliver {
                    process: number,
                    event: Event::Fetched(page),
                },
            );
        }
        self.asked(number, Event::Fetched(page));
    }

    /// R9, S37: after a drain began one last window is opened, and no other.
    fn opened(&mut self, number: u32, in_drain: bool) {
        let process = &mut self.processes[number as usize];
        process.windows_in_drain += u32::from(in_drain);
        // After a failed reading nobody knows whether it had opened one.
        let too_many = process.windows_in_drain > 1 + u32::from(self.faults.include(Fault::FetchFails));
        if too_many {
            self.violate("R9: more than the last window is opened in a drain".to_owned());
        }
    }

    /// I8, R6: whatever is struck from the source is at the broker or a letter, at that moment.
    fn settled(&mut self, number: u32, struck: &[Seq]) {
        for seq in struck {
            let safe = self.broker.has(*seq) || self.broker.dead.contains(seq) || self.letters.of(*seq).is_some();
            if !safe {
                self.violate(format!(
                    "I8: p{number} settled {seq}, which is neither at the broker nor a letter"
                ));
            }
        }
    }

    /// A call of the letter store is on its way.
    pub(super) fn call(&mut self, number: u32, call: LetterCall) {
        let wait = self.latency();
        self.after(wait, Act::Desk { process: number, call });
    }

    /// The letter store does what it was asked.
    pub(super) fn desk(&mut self, number: u32, call: LetterCall) {
        if self.process(number).is_none() && self.dice.chance(50.0) {
            return;
        }
        if self.is_fenced(number) {
            return self.leave(number, Left::LeaseLost);
        }
        let luck = self.luck(Fault::DeskFails);
        if luck == Luck::NotDone {
            return self.answer(number, Event::DeskFailed(STORE_REST));
        }
        let event = match call {
            LetterCall::Store(run) => Event::Stored(self.store(number, &run)),
            LetterCall::Pick { lanes, run } => {
                let at = (self.now, &self.source);
                Event::Picked(self.letters.due((lanes, run), number, at))
            }
            LetterCall::Close(runs) => {
                let now = self.now;
                let free = runs
                    .iter()
                    .filter(|run| self.letters.close(run, number, now))
                    .map(|run| run.lane.clone())
                    .collect();
                Event::Closed(free)
            }
            LetterCall::Recheck(lanes) => Event::Gone(self.letters.gone(lanes)),
        };
        match luck {
            Luck::DoneAndLost => self.answer(number, Event::DeskFailed(STORE_REST)),
            _ => self.answer(number, event),
        }
    }

    fn store(&mut self, number: u32, run: &StoreRun) -> Kept {
        let now = self.now;
        for park in &run.parks {
            self.letters.park(park, now);
            self.figures.parks += 1;
        }
        let mut kept = Kept::default();
        for append in &run.appends {
            self.letters.append(append, &mut kept);
        }
        let mut progress = run.progress.clone();
        // The store itself adds to what is left the successors that it did not take.
        for append in run.appends.iter().filter(|append| kept.live.contains(&append.lane)) {
            progress.rest.extend(append.positions());
        }
        progress.rest.sort_unstable();
        let opening = &mut self.processes[number as usize].opening;
        let struck = self.source.settle(opening, &progress);
        self.settled(number, &struck);
        self.whole_lanes();
        kept
    }

    /// R10: below an open letter nothing of its lane is left in the source.
    fn whole_lanes(&mut self) {
        let mut heads = std::collections::BTreeMap::new();
        for letter in self.letters.letters.values().filter(|letter| letter.closed.is_none()) {
            let place = self.source.position(letter.seq);
            let newest = heads.entry(self.source.lane(letter.seq)).or_insert(place);
            *newest = place.max(*newest);
        }
        let left = self.source.would_come_again();
        let left: Vec<Seq> = left
            .filter(|seq| self.source.row(*seq).address != Address::Mended)
            .collect();
        for seq in left {
            let newest = heads.get(&self.source.lane(seq)).copied().flatten();
            if newest.is_some_and(|newest| self.source.position(seq) < Some(newest)) && !self.broker.has(seq) {
                self.violate(format!(
                    "R10: {seq} is neither stored nor settled below a letter of its lane"
                ));
            }
        }
    }

    /// A standby tries for the lease.
    pub(super) fn stand_by(&mut self) {
        self.after(500 * MILLISECOND, Act::StandBy);
        let held = self.lease.holder.is_some() && self.lease.expires > self.now;
        if held || self.closing {
            return;
        }
        if let Some(old) = self.leader().map(|process| process.number) {
            self.forgotten(old);
        }
        let number = self.processes.len() as u32;
        self.lease.epoch += 1;
        self.lease.holder = Some(number);
        self.lease.expires = self.now + LEASE;
        self.figures.terms += 1;
        let blocked = self.letters.blocked();
        self.trace(|| format!("p{number} leads under epoch {}, blocked {blocked:?}", self.lease.epoch));
        let process = Process::new(number, self.lease.epoch, (&self.shape, blocked));
        self.processes.push(process);
        let until = self.now + TRUST;
        self.trusted(number, until);
        if self.faults.has(Fault::Pauses) {
            self.hear(number);
        }
        self.after(RENEW_EVERY, Act::Renew { process: number });
    }

    fn trusted(&mut self, number: u32, until: Time) {
        let at = self.clock.at(until);
        if let Some(process) = self.process(number) {
            process.view.trust_until = until;
        }
        self.deliver(number, Event::Trusted(at));
    }

    /// The keeper renews; a slow answer never prolongs the trust.
    pub(super) fn renew(&mut self, number: u32) {
        if self.process(number).is_none() {
            return;
        }
        if self.is_fenced(number) {
            return self.leave(number, Left::LeaseLost);
        }
        self.after(RENEW_EVERY, Act::Renew { process: number });
        if self.faults.fires(Fault::RenewFails, 60.0, &mut self.dice) {
            return;
        }
        self.lease.expires = self.now + LEASE;
        let until = self.now + TRUST;
        self.trusted(number, until);
    }
}
