//! What a relay knows of its letters: which lanes wait to be stored, which letters are out, what is to be closed.
//!
//! Promises: at most one call of the letter store is outstanding; a lane is stored whole, from its head (R10); letters of
//! a lane go out only while nothing else of it is unanswered (S33).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::dead::Refused;
use super::lane::LaneId;
use super::ticket;
use crate::contract::{CloseRun, DueLane, Outbound, Receipt, StoreRun, Ticket};
use crate::delivery::{Cause, Failure, LaneName};
use crate::message::Position;

/// How often the database is asked for due lanes while some are blocked: what a release waits at most.
const PICK_EVERY: Duration = Duration::from_millis(500);

/// One call of the letter store.
#[derive(Debug)]
pub(super) enum Call {
    /// With the lanes it stores, in the order of the run: parks first.
    Store(StoreRun, Vec<Stored>),
    Pick,
    Close(Vec<CloseRun>),
    Recheck,
}

/// A lane in a store call.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) id: LaneId,
    pub(super) name: LaneName,
    pub(super) numbers: Vec<u64>,
    /// Its head was refused for this, and is or goes to the dead-letter destination.
    pub(super) dead: Option<Arc<Failure>>,
}

/// A due lane whose letters are out, or about to be.
#[derive(Debug)]
pub(super) struct LetterRun {
    pub(super) due: DueLane,
    pub(super) place: u32,
    pub(super) outbound: Vec<Outbound>,
    pub(super) receipts: Vec<Option<Receipt>>,
    pub(super) unanswered: usize,
    pub(super) handed_over: Option<Instant>,
    /// It is one letter on its way to the dead-letter destination, after this.
    pub(super) dead: Option<Refused>,
}

/// The desk.
#[derive(Debug, Default)]
pub(super) struct Desk {
    pub(super) call: Option<Call>,
    /// The call failed and is made again then.
    pub(super) retry_at: Option<Instant>,
    /// Lanes that may have something to store.
    pub(super) wanted: VecDeque<LaneId>,
    pub(super) closes: Vec<CloseRun>,
    /// The store has fewer blocked lanes than are remembered here.
    pub(super) recheck: bool,
    pub(super) pick_after: Option<Instant>,
    /// By a number of their own, counted up.
    runs: HashMap<u64, LetterRun>,
    last_run: u64,
    /// Picked, not yet handed over.
    pub(super) ready: VecDeque<u64>,
    /// Messages that were stored while their answer was missing.
    pub(super) ghosts: HashMap<Ticket, Ghost>,
}

/// A message that is a letter, and on its way still.
#[derive(Debug)]
pub(super) struct Ghost {
    pub(super) lane: LaneId,
    pub(super) position: Position,
    /// It goes to the dead-letter destination, for this.
    pub(super) dead: Option<Arc<Failure>>,
}

// === impl Desk ===

impl Desk {
    /// A lane has something to store.
    pub(super) fn want(&mut self, id: LaneId) {
        self.wanted.push_back(id);
    }

    pub(super) fn failed(&mut self, again: Instant) {
        self.retry_at = Some(again);
        match self.call {
            Some(Call::Pick) => {
                // Claims of a lost answer end by themselves.
                self.call = None;
                self.pick_after = Some(again);
            }
            Some(Call::Recheck) => self.call = None,
            Some(Call::Store(..) | Call::Close(_)) | None => {}
        }
    }

    pub(super) fn is_storing(&self) -> bool {
        matches!(self.call, Some(Call::Store(..)))
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.call.is_none() && self.closes.is_empty() && self.wanted.is_empty() && self.ready.is_empty()
    }

    /// When the desk wants something without an event.
    pub(super) fn wake(&self, may_pick: bool) -> Option<Instant> {
        match (&self.call, self.retry_at) {
            (Some(_), retry) => retry,
            (None, Some(retry)) => Some(retry),
            (None, None) => self.pick_after.filter(|_| may_pick),
        }
    }

    /// Whether due lanes should be asked for.
    pub(super) fn picks(&mut self, now: Instant) -> bool {
        let due = self.pick_after.is_none_or(|after| after <= now);
        if due {
            self.pick_after = Some(now + PICK_EVERY);
        }
        due
    }

    /// Keeps a run and gives its messages their tickets.
    pub(super) fn keep(&mut self, mut run: LetterRun) -> u64 {
        self.last_run += 1;
        for (index, outbound) in run.outbound.iter_mut().enumerate() {
            outbound.ticket = ticket::of_letter(self.last_run, index);
        }
        self.runs.insert(self.last_run, run);
        self.last_run
    }

    pub(super) fn run_mut(&mut self, number: u64) -> Option<&mut LetterRun> {
        self.runs.get_mut(&number)
    }

    pub(super) fn take_run(&mut self, number: u64) -> Option<LetterRun> {
        self.runs.remove(&number)
    }

    /// Notes an answer; gives the run back when it was the last.
    pub(super) fn answer(&mut self, letter: (u64, usize), receipt: Receipt) -> Option<LetterRun> {
        let (number, index) = letter;
        let run = self.run_mut(number)?;
        let place = run.receipts.get_mut(index)?;
        if place.replace(receipt).is_none() {
            run.unanswered -= 1;
        }
        if run.unanswered == 0 {
            self.take_run(number)
        } else {
            None
        }
    }

    /// The places of letters that are out, or about to be.
    pub(super) fn places(&self) -> impl Iterator<Item = u32> {
        self.runs.values().map(|run| run.place)
    }

    /// The outstanding store takes this lane over.
    pub(super) fn takes_over(&self, id: LaneId) -> bool {
        matches!(&self.call, Some(Call::Store(_, stored)) if stored.iter().any(|stored| stored.id == id))
    }

    /// Letters of this lane are out, wait to go out, or wait to be closed.
    pub(super) fn handles(&self, lane: &LaneName) -> bool {
        self.runs.values().any(|run| run.due.lane == *lane) || self.closes.iter().any(|close| close.lane == *lane)
    }
}

// === impl LetterRun ===

impl LetterRun {
    pub(super) fn new(due: DueLane, place: u32, outbound: Vec<Outbound>) -> Self {
        let count = outbound.len();
        Self {
            due,
            place,
            outbound,
            receipts: vec![None; count],
            unanswered: count,
            handed_over: None,
            dead: None,
        }
    }

    /// How many letters from the head are durable.
    pub(super) fn delivered(&self) -> usize {
        self.receipts
            .iter()
            .take_while(|receipt| **receipt == Some(Receipt::Durable))
            .count()
    }

    /// The attempts counted before this run, where its cause counted it when it was picked.
    pub(super) fn attempts_before(&self) -> u32 {
        match self.due.cause {
            Cause::Rejected | Cause::Resting => self.due.attempts.saturating_sub(1),
            Cause::Destination | Cause::Paused => self.due.attempts,
        }
    }
}
