//! What is on its way: from a batch to slots, from reports to answers.
//!
//! Promises: every ticket is answered once; a message that fails here stops its lane inside its batch (P3); nothing is
//! sent to a topic that was not seen, or larger than the topic takes (P6).
//!
//! # Where a message can be
//!
//! `waiting` for its topic to be looked up → on a `track` (in the line, or behind it in the backlog while the line is
//! missing or full) → answered. A refused batch goes through `undecided` until the topic's limit was read again.
//!
//! # Why there are two tracks
//!
//! A refusal kills the line that carried it. A topic that refused something therefore sends on the `ward`, a line of its
//! own with one message per batch: the culprit is isolated, and a topic that keeps refusing kills only the ward (G6).

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::types::RDKafkaErrorCode as Code;

use super::failure::{self, Company, Mark};
use super::line::{Line, Shipment};
use super::reports::{Report, Reports};
use super::slots::{Flight, Slots};
use super::stopped::Stopped;
use super::topics::Topics;
use super::wire;
use crate::broker::Encoder;
use crate::contract::{Answer, Outbound, Receipt, Ticket};
use crate::delivery::{Failure, FailureKind};
use crate::message::Key;

/// A line and what stands behind it.
#[derive(Debug, Default)]
pub(super) struct Track {
    /// The producer, unless it is being built.
    pub(super) line: Option<Arc<Line>>,
    /// What it could not take yet, in order.
    backlog: VecDeque<Outbound>,
}

/// Messages whose topic is not known yet.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Since when.
    pub(super) since: Instant,
    batch: Vec<Outbound>,
}

/// Which line a message goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Trusted topics share it.
    Main,
    /// Topics that refused something.
    Ward,
}

/// Everything on its way.
#[derive(Debug)]
pub(super) struct Traffic {
    /// What is known of topics.
    pub(super) topics: Topics,
    /// The line of trusted topics.
    pub(super) main: Track,
    /// The line of topics that refused something.
    pub(super) ward: Track,
    /// Lines that take nothing more, until their last report.
    pub(super) retiring: Vec<Retiring>,
    /// Messages by the topic they wait for.
    pub(super) waiting: BTreeMap<Box<str>, Waiting>,
    /// Refused with a batch that was too large; the topic's limit decides.
    pub(super) undecided: Vec<Flight>,
    /// For `receipts`.
    pub(super) answers: Vec<Answer>,
    /// Headers of rows that gave way to ours, since somebody looked.
    pub(super) gave_way: u64,
    /// No more is taken.
    pub(super) closed: bool,
    /// The time, as the keeper last told it.
    pub(super) now: Instant,
    slots: Slots,
    encoder: Encoder,
    /// With compression only the broker knows the size that counts.
    compressed: bool,
    /// Lines whose death has a culprit.
    blamed: HashSet<u32>,
    spare: Vec<Report>,
}

/// A line on its way out.
#[derive(Debug)]
pub(super) struct Retiring {
    /// The line.
    pub(super) line: Arc<Line>,
    /// Since when.
    pub(super) since: Instant,
    /// Dead lines are given up after a while; the others end by themselves.
    pub(super) dead: bool,
}

/// Where a message went.
enum Placed {
    Sent,
    Waits,
    Behind(Way),
    /// Larger than the limit as it was a while ago: it is read again before anything is refused.
    Doubted(Flight),
}

// === impl Traffic ===

impl Traffic {
    /// Nothing on its way.
    pub(super) fn new(encoder: Encoder, topics: Topics, compressed: bool, now: Instant) -> Self {
        Self {
            topics,
            main: Track::default(),
            ward: Track::default(),
            retiring: Vec::new(),
            waiting: BTreeMap::new(),
            undecided: Vec::new(),
            answers: Vec::new(),
            gave_way: 0,
            closed: false,
            now,
            slots: Slots::default(),
            encoder,
            compressed,
            blamed: HashSet::new(),
            spare: Vec::new(),
        }
    }

    /// Takes messages in, in order. Answers whether the keeper is needed.
    pub(super) fn submit(&mut self, batch: impl IntoIterator<Item = Outbound>) -> bool {
        let (mut stopped, mut keeper) = (Stopped::default(), false);
        for outbound in batch {
            if self.closed || stopped.holds(&outbound) {
                self.answer(outbound.ticket, Receipt::NotAttempted);
                continue;
            }
            match self.place(&outbound) {
                Ok(Placed::Sent) => {
                    crate::point!("batch.partly_sent");
                }
                Ok(Placed::Waits) => {
                    keeper = true;
                    self.wait(outbound);
                }
                Ok(Placed::Behind(way)) => {
                    keeper = true;
                    self.track(way).backlog.push_back(outbound);
                }
                Ok(Placed::Doubted(flight)) => {
                    keeper = true;
                    self.undecided.push(flight);
                    stopped.behind(outbound);
                }
                Err(failure) => {
                    self.answer(outbound.ticket, Receipt::Failed(failure));
                    stopped.behind(outbound);
                }
            }
        }
        keeper
    }

    fn place(&mut self, outbound: &Outbound) -> Result<Placed, Arc<Failure>> {
        let name = topic_of(outbound);
        let Some(number) = self.topics.find(name) else {
            return if wire::legal_topic(name) {
                Ok(Placed::Waits)
            } else {
                Err(Arc::new(illegal(name)))
            };
        };
        let record = wire::encode(&self.encoder, outbound).map_err(Arc::new)?;
        let topic = self.topics.get(number);
        if let Some(lost) = &topic.lost {
            return Err(Arc::clone(lost));
        }
        if record.bytes > topic.limit && !self.compressed {
            // A letter is released because somebody raised the limit, perhaps a moment ago.
            return if topic.limit_is_old(self.now) || outbound.message.replay.is_some() {
                Ok(Placed::Doubted(Flight::doubted(outbound.ticket, number, record.bytes)))
            } else {
                Err(Arc::new(too_large(name, record.bytes, topic.limit)))
            };
        }
        let key = outbound.address.key.as_ref().map(Key::as_bytes);
        let partition = topic.choose(key);
        if topic.partitions[partition].stalled {
            return Err(Arc::new(stalled(name, partition)));
        }
        let way = if topic.probation > 0 { Way::Ward } else { Way::Main };
        let track = match way {
            Way::Main => &self.main,
            Way::Ward => &self.ward,
        };
        let (Some(line), true) = (&track.line, track.backlog.is_empty()) else {
            return Ok(Placed::Behind(way));
        };
        let opaque = self.slots.insert(Flight {
            ticket: outbound.ticket,
            generation: line.generation,
            topic: number,
            partition,
            floor: topic.depart(partition, self.now),
            bytes: record.bytes,
        });
        let sent = line.send(Shipment {
            topic: name,
            // A topic has fewer than 2^31 partitions.
            partition: i32::try_from(partition).unwrap_or(i32::MAX),
            key,
            value: outbound.message.body.as_bytes(),
            headers: record.headers,
            opaque,
        });
        match sent {
            Ok(()) => {
                self.gave_way += u64::from(record.gave_way);
                Ok(Placed::Sent)
            }
            Err(code) => self.not_taken(code, opaque, way),
        }
    }

    /// librdkafka did not take a message.
    fn not_taken(&mut self, code: Code, opaque: usize, way: Way) -> Result<Placed, Arc<Failure>> {
        let Some(flight) = self.slots.take(opaque) else {
            return Ok(Placed::Behind(way));
        };
        let topic = self.topics.get(flight.topic);
        topic.arrive(flight.partition, self.now);
        match Mark::of(code) {
            Mark::Full => Ok(Placed::Behind(way)),
            Mark::Fatal | Mark::Purged => {
                self.retire(flight.generation, true);
                Ok(Placed::Behind(way))
            }
            _ => {
                let name = Arc::clone(&topic.name);
                Err(Arc::new(failure::refused(code, &name, Company::Alone)))
            }
        }
    }

    fn wait(&mut self, outbound: Outbound) {
        let name: Box<str> = topic_of(&outbound).into();
        let since = self.now;
        let waiting = self.waiting.entry(name).or_insert_with(|| Waiting {
            since,
            batch: Vec::new(),
        });
        waiting.batch.push(outbound);
    }

    /// A topic was looked up, or given up: its messages go on.
    pub(super) fn resume(&mut self, name: &str, refused: Option<&Arc<Failure>>) {
        let Some(waiting) = self.waiting.remove(name) else {
            return;
        };
        match refused {
            None => {
                self.submit(waiting.batch);
            }
            Some(failure) => {
                for outbound in waiting.batch {
                    self.answer(outbound.ticket, Receipt::Failed(Arc::clone(failure)));
                }
            }
        }
    }

    /// Tries what stands behind the lines again.
    pub(super) fn pump(&mut self) {
        for way in [Way::Main, Way::Ward] {
            let track = self.track(way);
            if track.line.is_some() && !track.backlog.is_empty() {
                let backlog = std::mem::take(&mut track.backlog);
                self.submit(backlog);
            }
        }
    }

    /// Turns reports into answers.
    pub(super) fn settle(&mut self, reports: &Reports) {
        let mut spare = std::mem::take(&mut self.spare);
        reports.take(&mut spare);
        for report in spare.drain(..) {
            if let Some(flight) = self.slots.take(report.opaque) {
                self.report(report, flight, reports);
            }
        }
        self.spare = spare;
    }

    fn report(&mut self, report: Report, flight: Flight, reports: &Reports) {
        let topic = self.topics.get(flight.topic);
        topic.arrive(flight.partition, self.now);
        let Some(code) = report.error else {
            if self.ward.carries(flight.generation) {
                topic.probation = topic.probation.saturating_sub(1);
            }
            self.topics
                .acknowledged(flight.topic, flight.partition, report.offset, flight.floor);
            self.answer(flight.ticket, Receipt::Durable);
            return;
        };
        let company = if self.alone(flight.generation) {
            Company::Alone
        } else {
            Company::Shared
        };
        let topic = self.topics.get(flight.topic);
        let mark = Mark::of(code);
        if mark.blames() {
            topic.suspect();
            self.blamed.insert(flight.generation);
        }
        let name = Arc::clone(&topic.name);
        self.drop_behind(&name);
        if mark == Mark::Size && company == Company::Shared {
            self.undecided.push(flight);
            reports.ring();
            return;
        }
        if mark == Mark::Destination && code != Code::TopicAuthorizationFailed {
            self.topics.forget(&name);
        }
        let failure = failure::refused(code, &name, company);
        self.answer(flight.ticket, Receipt::Failed(Arc::new(failure)));
    }

    /// What stands behind a line for a topic that just failed might overtake: it goes back to the caller.
    fn drop_behind(&mut self, topic: &str) {
        for way in [Way::Main, Way::Ward] {
            let (gone, stays) = std::mem::take(&mut self.track(way).backlog)
                .into_iter()
                .partition(|outbound| topic_of(outbound) == topic);
            self.track(way).backlog = stays;
            let gone: VecDeque<Outbound> = gone;
            for outbound in gone {
                self.answer(outbound.ticket, Receipt::NotAttempted);
            }
        }
    }

    /// Decides what was refused with a batch that was too large, now that the topic's limit was read again.
    pub(super) fn decide(&mut self) {
        for flight in std::mem::take(&mut self.undecided) {
            // Nobody reads its limit any more: it goes by another publisher.
            if self.closed && flight.is_doubted() {
                self.answer(flight.ticket, Receipt::NotAttempted);
                continue;
            }
            let topic = self.topics.get(flight.topic);
            let failure = if flight.bytes > topic.limit {
                too_large(&topic.name, flight.bytes, topic.limit)
            } else {
                failure::refused(Code::MessageSizeTooLarge, &topic.name, Company::Shared)
            };
            self.answer(flight.ticket, Receipt::Failed(Arc::new(failure)));
        }
    }

    /// Takes a line off its track: it takes nothing more.
    pub(super) fn retire(&mut self, generation: u32, dead: bool) {
        let since = self.now;
        for way in [Way::Main, Way::Ward] {
            let line = self.track(way).line.take_if(|line| line.generation == generation);
            self.retiring.extend(line.map(|line| Retiring { line, since, dead }));
        }
        for retiring in &mut self.retiring {
            retiring.dead |= dead && retiring.line.generation == generation;
        }
    }

    /// A topic takes less than the main line's batches may hold: that line takes nothing more, and another is built.
    pub(super) fn fit(&mut self) {
        let most = self.topics.batch_bytes();
        if let Some(line) = self.main.line.as_ref().filter(|line| line.tuning.batch_bytes > most) {
            self.retire(line.generation, false);
        }
    }

    /// Whether a line still carries something.
    pub(super) fn carries(&self, generation: u32) -> bool {
        self.slots.any(generation)
    }

    /// Answers what a line did not report, and forgets the line. Answers whether its death has no culprit.
    pub(super) fn give_up(&mut self, generation: u32) -> bool {
        for flight in self.slots.take_generation(generation) {
            let topic = self.topics.get(flight.topic);
            topic.arrive(flight.partition, self.now);
            let failure = failure::refused(Code::PurgeInflight, &topic.name, Company::Shared);
            self.answer(flight.ticket, Receipt::Failed(Arc::new(failure)));
        }
        self.retiring.retain(|retiring| retiring.line.generation != generation);
        !self.blamed.remove(&generation)
    }

    /// Takes nothing more, and answers what no line carries. Answers all lines.
    pub(super) fn close(&mut self) -> Vec<Arc<Line>> {
        self.closed = true;
        let waiting = std::mem::take(&mut self.waiting).into_values();
        let behind = waiting
            .flat_map(|waiting| waiting.batch)
            .chain(std::mem::take(&mut self.main.backlog))
            .chain(std::mem::take(&mut self.ward.backlog));
        for outbound in behind.collect::<Vec<_>>() {
            self.answer(outbound.ticket, Receipt::NotAttempted);
        }
        self.decide();
        let retiring = self.retiring.drain(..).map(|retiring| retiring.line);
        retiring
            .chain(self.main.line.take())
            .chain(self.ward.line.take())
            .collect()
    }

    /// Whether the ward is needed.
    pub(super) fn wants_ward(&self) -> bool {
        self.ward.line.is_none() && !self.ward.backlog.is_empty()
    }

    fn alone(&self, generation: u32) -> bool {
        let retiring = self.retiring.iter().map(|retiring| &retiring.line);
        let mut lines = retiring.chain(&self.main.line).chain(&self.ward.line);
        lines.any(|line| line.generation == generation && line.tuning.alone)
    }

    fn track(&mut self, way: Way) -> &mut Track {
        match way {
            Way::Main => &mut self.main,
            Way::Ward => &mut self.ward,
        }
    }

    fn answer(&mut self, ticket: Ticket, receipt: Receipt) {
        self.answers.push(Answer { ticket, receipt });
    }
}

// === impl Track ===

impl Track {
    fn carries(&self, generation: u32) -> bool {
        self.line.as_ref().is_some_and(|line| line.generation == generation)
    }
}

/// The topic of a message; Kafka's only route field.
fn topic_of(outbound: &Outbound) -> &str {
    outbound.address.destination.parts().first().map_or("", |part| part)
}

fn illegal(name: &str) -> Failure {
    let shown: String = name.chars().take(64).collect();
    Failure::new(
        FailureKind::Message,
        "InvalidTopic",
        format!(
            "`{shown}` cannot be a topic's name (1 to 249 of A-Z a-z 0-9 . _ -); check what `route.topic` makes of the row"
        ),
    )
}

fn too_large(name: &str, bytes: u64, limit: u64) -> Failure {
    Failure::new(
        FailureKind::Message,
        "MessageSizeTooLarge",
        format!(
            "{bytes} bytes with key and headers, and the topic {name} takes {limit}; raise its max.message.bytes, or discard"
        ),
    )
}

fn stalled(name: &str, partition: usize) -> Failure {
    Failure::new(
        FailureKind::Unreachable,
        "PartitionStalled",
        format!(
            "partition {partition} of the topic {name} acknowledges nothing; has it a leader and enough replicas in sync?"
        ),
    )
}

/// The failure of a message whose topic could not be looked up.
pub(super) fn unseen(name: &str, code: Code, after: Duration) -> Failure {
    failure::away(
        code,
        &format!("no metadata of the topic {name} within {} s", after.as_secs()),
    )
}
