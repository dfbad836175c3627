//! One partition under one assignment: what it has delivered, what of it is settled, whose it is.
//!
//! Promises: a mark never passes what was delivered; a cell that is lost commits nothing, whatever it is told (an
//! assignment is an epoch: the next one is another cell); delivered offsets strictly increase, though librdkafka may
//! bring some again after a hand-over.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jiff::Timestamp;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::message::Message as _;
use rdkafka::types::RDKafkaErrorCode as Code;
use tokio::sync::{Notify, watch};

use super::ear::Ear;
use super::record;
use crate::broker::Reader;
use crate::contract::{Lag, Page, Room, StreamName};
use crate::message::Message;

/// Most messages of one page: they are decoded where `next` is called, and others wait there.
const PAGE_MAX: usize = 1000;
/// Most delivered pages whose time is remembered, for the age of the oldest.
const TIMES_MAX: usize = 4096;

/// Whose the partition is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    Ours,
    /// Given up at that moment at the latest.
    Revoked(Instant),
    Lost,
}

/// How far the caller has come with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing is fetched.
    Waiting,
    Reading,
    /// Given up: its last mark goes to the broker.
    Releasing,
    /// Nothing more is to be done for it.
    Released,
}

/// A partition of one assignment.
pub(super) struct Cell {
    /// Topic and partition.
    pub(super) name: StreamName,
    /// Appeared while this member was running.
    pub(super) added: bool,
    state: Mutex<State>,
    fates: watch::Sender<u32>,
    /// Rung when the queue may hold something.
    pub(super) arrived: Notify,
    /// Rung when a commit was answered.
    pub(super) told: Notify,
}

struct State {
    hold: Hold,
    stage: Stage,
    queue: Option<PartitionQueue<Ear>>,
    /// The next offset to deliver.
    next: i64,
    /// The next offset to settle.
    mark: Option<i64>,
    /// The mark that the broker acknowledged.
    committed: Option<i64>,
    /// Read, and larger than the room was.
    held: Option<Message>,
    /// The end of the log, as last seen.
    high: i64,
    /// First offsets of pages, with their time.
    times: VecDeque<(i64, Option<Timestamp>)>,
    /// Why nothing comes any more.
    broken: Option<Code>,
}

/// What a look into the queue brought.
#[derive(Debug)]
pub(super) enum Taken {
    Page(Page),
    Nothing,
    Broken(Code),
    Lost,
}

// === impl Cell ===

impl Cell {
    pub(super) fn new(name: StreamName, added: bool) -> Arc<Self> {
        Arc::new(Self {
            name,
            added,
            state: Mutex::new(State {
                hold: Hold::Ours,
                stage: Stage::Waiting,
                queue: None,
                next: 0,
                mark: None,
                committed: None,
                held: None,
                high: 0,
                times: VecDeque::new(),
                broken: None,
            }),
            fates: watch::Sender::new(0),
            arrived: Notify::new(),
            told: Notify::new(),
        })
    }

    /// The partition's number; every stream of Kafka has one.
    pub(super) fn partition(&self) -> i32 {
        self.name.partition.unwrap_or_default()
    }

    pub(super) fn hold(&self) -> Hold {
        self.state().hold
    }

    pub(super) fn stage(&self) -> Stage {
        self.state().stage
    }

    /// Hears of every change of whose it is.
    pub(super) fn fates(&self) -> watch::Receiver<u32> {
        self.fates.subscribe()
    }

    /// To be given up until then. Answers whether somebody reads it.
    pub(super) fn revoke(&self, until: Instant) -> bool {
        let mut state = self.state();
        let reads = state.stage != Stage::Waiting;
        if state.hold == Hold::Ours {
            state.hold = if reads { Hold::Revoked(until) } else { Hold::Lost };
        }
        drop(state);
        self.changed();
        reads
    }

    /// It is somebody else's from now on. Answers whether librdkafka fetched it.
    pub(super) fn lose(&self) -> bool {
        let mut state = self.state();
        let fetched = state.queue.take().is_some();
        state.hold = Hold::Lost;
        state.held = None;
        drop(state);
        self.changed();
        self.arrived.notify_one();
        self.told.notify_waiters();
        fetched
    }

    /// Is fetched from that offset on.
    pub(super) fn begin(&self, offset: i64, high: i64, queue: PartitionQueue<Ear>) {
        let mut state = self.state();
        state.stage = Stage::Reading;
        state.queue = Some(queue);
        state.next = offset;
        // Somebody moved it back: what was settled above is to be settled again.
        state.mark = state.mark.filter(|mark| *mark <= offset);
        state.times.clear();
        state.held = None;
        state.broken = None;
        state.high = high.max(offset);
    }

    /// Nothing more is read; the last mark is to be told. Answers whether there is one to wait for.
    pub(super) fn give_up(&self) -> bool {
        let mut state = self.state();
        if state.stage == Stage::Released {
            return false;
        }
        let reads = matches!(state.stage, Stage::Reading | Stage::Releasing);
        let waits = state.hold != Hold::Lost && reads && state.unsaid().is_some();
        state.stage = if waits { Stage::Releasing } else { Stage::Released };
        waits
    }

    /// Given up without a word.
    pub(super) fn drop_it(&self) {
        self.state().stage = Stage::Released;
    }

    /// Everything below that offset is settled, as far as it was delivered.
    pub(super) fn settle(&self, mark: i64) {
        let mut state = self.state();
        if state.hold == Hold::Lost || state.stage != Stage::Reading {
            return;
        }
        let mark = mark.min(state.next);
        state.mark = state.mark.max(Some(mark));
        while state.times.get(1).is_some_and(|(first, _)| *first <= mark) {
            state.times.pop_front();
        }
    }

    /// What is to be committed, if anything is.
    pub(super) fn unsaid(&self) -> Option<i64> {
        let state = self.state();
        let speaks = matches!(state.stage, Stage::Reading | Stage::Releasing);
        if state.hold == Hold::Lost || !speaks {
            None
        } else {
            state.unsaid()
        }
    }

    /// The broker has this mark.
    pub(super) fn committed(&self, offset: i64) {
        let mut state = self.state();
        state.committed = Some(offset);
        if state.stage == Stage::Releasing && state.unsaid().is_none() {
            state.stage = Stage::Released;
        }
        drop(state);
        self.told.notify_waiters();
    }

    /// Takes what is there, as far as there is room.
    pub(super) fn take(&self, room: Room, reader: &Reader) -> Taken {
        let mut state = self.state();
        if state.hold == Hold::Lost {
            return Taken::Lost;
        }
        match (state.stage, state.broken) {
            (Stage::Reading, None) => {}
            (Stage::Reading, Some(code)) => return Taken::Broken(code),
            _ => return Taken::Nothing,
        }
        let page = state.fill(room, &self.name, reader);
        match (page.messages.is_empty(), state.broken) {
            (false, _) => Taken::Page(page),
            (true, Some(code)) => Taken::Broken(code),
            (true, None) => Taken::Nothing,
        }
    }

    /// Nothing more comes, until it begins again.
    pub(super) fn break_off(&self, code: Code) {
        self.state().broken = Some(code);
        self.arrived.notify_one();
    }

    /// What broke it has passed.
    pub(super) fn mend(&self) {
        self.state().broken = None;
    }

    /// The next offset that is to be delivered, and the end of the log.
    pub(super) fn place(&self) -> (i64, i64) {
        let state = self.state();
        (state.next, state.high)
    }

    /// The end of the log, seen now.
    pub(super) fn saw(&self, high: i64) {
        let mut state = self.state();
        state.high = high.max(state.next);
    }

    pub(super) fn lag(&self) -> Lag {
        let state = self.state();
        let settled = state
            .mark
            .unwrap_or_else(|| state.times.front().map_or(state.next, |(first, _)| *first));
        let oldest = state.times.front().filter(|_| settled < state.next);
        Lag {
            messages: u64::try_from(state.high - settled).unwrap_or(0),
            oldest: oldest.and_then(|(_, time)| *time),
        }
    }

    fn changed(&self) {
        self.fates.send_modify(|version| *version = version.wrapping_add(1));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    fn unsaid(&self) -> Option<i64> {
        self.mark.filter(|mark| Some(*mark) != self.committed)
    }

    fn fill(&mut self, room: Room, name: &StreamName, reader: &Reader) -> Page {
        let mut page = Page::default();
        let mut bytes = 0;
        while page.messages.len() < room.messages.clamp(1, PAGE_MAX) {
            let Some(message) = self.held.take().or_else(|| self.pop(name, reader)) else {
                return page;
            };
            let cost = message.cost();
            if bytes + cost > room.bytes && !page.messages.is_empty() {
                self.held = Some(message);
                break;
            }
            bytes += cost;
            self.deliver(&message, page.messages.is_empty());
            page.messages.push(message);
        }
        page.more = true;
        page
    }

    fn deliver(&mut self, message: &Message, first: bool) {
        let offset = i64::try_from(message.position.major).unwrap_or(i64::MAX - 1);
        self.next = offset + 1;
        self.high = self.high.max(self.next);
        if first && self.times.len() < TIMES_MAX {
            let time = message.origin.as_ref().and_then(|origin| origin.stored_at);
            self.times.push_back((offset, time));
        }
    }

    /// The next one that was not delivered yet.
    fn pop(&mut self, name: &StreamName, reader: &Reader) -> Option<Message> {
        let queue = self.queue.as_ref()?;
        loop {
            match queue.poll(std::time::Duration::ZERO)? {
                Ok(message) if message.offset() < self.next => {}
                Ok(message) => return Some(record::decode(name, &message, reader)),
                Err(error) => {
                    let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
                    if super::failure::ends_reading(code) {
                        self.broken = Some(code);
                        return None;
                    }
                }
            }
        }
    }
}

impl std::fmt::Debug for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.state();
        f.debug_struct("Cell")
            .field("name", &self.name)
            .field("hold", &state.hold)
            .field("stage", &state.stage)
            .field("next", &state.next)
            .field("mark", &state.mark)
            .finish_non_exhaustive()
    }
}
