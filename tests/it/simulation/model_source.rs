//! The outbox table and its write-ahead windows, as promised by `contract::Source` P1–P5.
//!
//! A window is what committed and stands in no earlier window, by `seq`; it is written before it is given. What is settled
//! is struck from it by the letter store and by confirms.

use std::collections::BTreeSet;

use bytes::Bytes;
use jiff::Timestamp;
use twinbox::contract::{Page, Progress, Room};
use twinbox::message::{Body, Content, ContentType, Key, Message, Position};
use uuid::Uuid;

/// A row's number in the table, from 1.
pub(super) type Seq = u64;

/// One row.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) topic: usize,
    pub(super) key: Option<usize>,
    pub(super) body: usize,
    /// The broker will never take it, until somebody mends it.
    pub(super) poison: bool,
    pub(super) address: Address,
    pub(super) committed: bool,
    pub(super) window: Option<u64>,
}

/// Whether a row has a value for the route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Address {
    Written,
    Missing,
    /// Somebody wrote it later: its lane may be past it by then, and G3 speaks of its new lane from there on.
    Mended,
}

/// What a relay makes one lane of; keyless rows are lanes of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LaneKey {
    /// None = the route leads nowhere.
    pub(super) topic: Option<usize>,
    pub(super) key: Option<usize>,
    /// The row, where it is its own lane.
    pub(super) own: Seq,
}

#[derive(Debug, Default)]
struct Window {
    seqs: Vec<Seq>,
    settled: BTreeSet<Seq>,
}

/// The database's side.
#[derive(Debug, Default)]
pub(super) struct ModelSource {
    rows: Vec<Row>,
    windows: Vec<Window>,
    bytes_max: usize,
}

/// One opening of the source by one process.
#[derive(Debug, Default)]
pub(super) struct Opening {
    /// Window and index of the next row.
    at: (usize, usize),
    /// What was read.
    given: BTreeSet<Seq>,
    /// The newest progress: how far it read, and how little it left.
    noted: Option<(Position, std::cmp::Reverse<usize>)>,
}

// === impl Row ===

impl Row {
    pub(super) fn unroutable(mut self) -> Self {
        self.address = Address::Missing;
        self
    }

    /// Somebody makes it a row that can pass.
    pub(super) fn mend(&mut self) {
        self.poison = false;
        if self.address == Address::Missing {
            self.address = Address::Mended;
        }
        self.body = self.body.min(100);
    }

    pub(super) fn lane(&self, seq: Seq) -> LaneKey {
        LaneKey {
            topic: (self.address != Address::Missing).then_some(self.topic),
            key: self.key,
            own: if self.key.is_none() { seq } else { 0 },
        }
    }
}

// === impl ModelSource ===

impl ModelSource {
    pub(super) fn new(rows: Vec<Row>, bytes_max: usize) -> Self {
        Self {
            rows,
            windows: Vec::new(),
            bytes_max,
        }
    }

    pub(super) fn row(&self, seq: Seq) -> &Row {
        &self.rows[seq as usize - 1]
    }

    pub(super) fn row_mut(&mut self, seq: Seq) -> &mut Row {
        &mut self.rows[seq as usize - 1]
    }

    pub(super) fn add(&mut self, row: Row) -> Seq {
        self.rows.push(row);
        self.rows.len() as Seq
    }

    pub(super) fn seqs(&self) -> impl Iterator<Item = Seq> + use<> {
        1..=self.rows.len() as Seq
    }

    pub(super) fn lane(&self, seq: Seq) -> LaneKey {
        self.row(seq).lane(seq)
    }

    pub(super) fn commit(&mut self, seq: Seq) {
        self.row_mut(seq).committed = true;
    }

    /// The place of a row that stands in a window.
    pub(super) fn position(&self, seq: Seq) -> Option<Position> {
        Some(Position::new(1, self.row(seq).window?, seq))
    }

    /// Committed rows that stand in no window yet.
    pub(super) fn waiting(&self) -> impl Iterator<Item = Seq> {
        (1..)
            .zip(&self.rows)
            .filter(|(_, row)| row.committed && row.window.is_none())
            .map(|(seq, _)| seq)
    }

    /// Rows that stand in a window and would come again after a crash.
    pub(super) fn would_come_again(&self) -> impl Iterator<Item = Seq> {
        self.windows
            .iter()
            .flat_map(|window| window.seqs.iter().filter(|seq| !window.settled.contains(seq)))
            .copied()
    }

    pub(super) fn message(&self, seq: Seq) -> Message {
        self.message_of(seq, None)
    }

    /// The same, as it comes from the letter store.
    pub(super) fn letter(&self, seq: Seq) -> Message {
        self.message_of(seq, Some(0))
    }

    fn message_of(&self, seq: Seq, replay: Option<u32>) -> Message {
        let row = self.row(seq);
        let build = |body| {
            let headers = [("topic".into(), format!("t{}", row.topic).into_boxed_str())].into_iter();
            Message::from(Content {
                position: self.position(seq).expect("a message stands in a window"),
                id: Uuid::from_u128(u128::from(seq)),
                aggregate_type: "thing".into(),
                key: row.key.map(|key| Key::from(format!("k{key}").as_str())),
                kind: "Happened".into(),
                body,
                content_type: ContentType::Json,
                headers: headers.filter(|_| row.address != Address::Missing).collect(),
                traceparent: None,
                occurred_at: Timestamp::UNIX_EPOCH,
                replay,
                origin: None,
            })
        };
        if build(Body::Null).cost() + row.body > self.bytes_max {
            build(Body::Withheld { bytes: row.body as u64 })
        } else {
            build(Body::Bytes(Bytes::from(vec![b'x'; row.body])))
        }
    }

    /// Reads on; the flag: a window was opened for it.
    pub(super) fn next(&mut self, opening: &mut Opening, room: Room) -> (Page, bool) {
        let mut opened = false;
        self.skip_settled(opening);
        if opening.at.0 >= self.windows.len() {
            opened = self.open_window();
        }
        let Some(window) = self.windows.get(opening.at.0) else {
            return (Page::default(), opened);
        };
        let mut messages = Vec::new();
        let mut left = room.bytes;
        for seq in window.seqs[opening.at.1..].iter().copied() {
            if window.settled.contains(&seq) {
                continue;
            }
            let message = self.message(seq);
            let withheld = matches!(message.body, Body::Withheld { .. }) && messages.is_empty();
            if messages.len() >= room.messages || message.cost() > left && !withheld {
                break;
            }
            left = left.saturating_sub(message.cost());
            messages.push(message);
        }
        if let Some(last) = messages.last() {
            let index = window.seqs.partition_point(|seq| *seq <= last.position.minor);
            opening.at.1 = index;
            opening
                .given
                .extend(messages.iter().map(|message| message.position.minor));
        }
        self.skip_settled(opening);
        let more = opening.at.0 < self.windows.len();
        (Page { messages, more }, opened)
    }

    fn skip_settled(&self, opening: &mut Opening) {
        while let Some(window) = self.windows.get(opening.at.0) {
            match window.seqs.get(opening.at.1) {
                Some(seq) if !window.settled.contains(seq) => return,
                Some(_) => opening.at.1 += 1,
                None => opening.at = (opening.at.0 + 1, 0),
            }
        }
    }

    /// Writes the next window, if there is something for it.
    pub(super) fn open_window(&mut self) -> bool {
        let number = self.windows.len() as u64 + 1;
        let mut seqs = Vec::new();
        for (seq, row) in (1..).zip(&mut self.rows) {
            if row.committed && row.window.is_none() {
                row.window = Some(number);
                seqs.push(seq);
            }
        }
        let opened = !seqs.is_empty();
        if opened {
            self.windows.push(Window {
                seqs,
                ..Window::default()
            });
        }
        opened
    }

    /// Takes note; answers what is struck by it.
    ///
    /// A window's rest is written anew each time: newer progress that names a row again brings it back.
    pub(super) fn settle(&mut self, opening: &mut Opening, progress: &Progress) -> Vec<Seq> {
        let mut struck = Vec::new();
        let noted = (progress.read, std::cmp::Reverse(progress.rest.len()));
        if opening.noted.is_some_and(|newer| newer > noted) {
            return struck;
        }
        opening.noted = Some(noted);
        for (index, window) in self.windows.iter_mut().enumerate() {
            let number = index as u64 + 1;
            let place = |seq: &Seq| Position::new(1, number, *seq);
            let told = |seq: &&Seq| opening.given.contains(seq) && place(seq) <= progress.read;
            let (left, settled): (Vec<Seq>, Vec<Seq>) = window
                .seqs
                .iter()
                .filter(told)
                .partition(|seq| progress.rest.binary_search(&place(seq)).is_ok());
            window.settled.retain(|seq| !left.contains(seq));
            struck.extend(settled.iter().filter(|seq| !window.settled.contains(seq)));
            window.settled.extend(settled);
        }
        struck
    }
}

// === impl Opening ===

impl Opening {
    pub(super) fn is_at_end(&self, source: &ModelSource) -> bool {
        self.at.0 >= source.windows.len()
    }
}
