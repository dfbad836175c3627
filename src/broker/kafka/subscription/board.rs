//! What a member, its ear, its lookout and its streams share.
//!
//! Promises: a partition that is revoked stays ours until its stream is released or its time is over, and is given up
//! exactly once; nothing is committed for a partition that is not ours (the cells see to that, and only what they say is
//! committed). Locks are taken in this order, and none is held while somebody waits: group, cell, voice.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode as Code;
use tokio::sync::Notify;

use super::super::keeper::now;
use super::cell::{Cell, Hold, Stage};
use super::ear::Client;
use super::failure::{self, Reach};
use crate::broker::Reader;
use crate::contract::{Health, Incident, StreamName};
use crate::delivery::Failure;

/// What all parts of a subscription share.
pub(super) struct Board {
    /// The consumer's name.
    pub(super) consumer: String,
    /// The group's name.
    pub(super) group_name: String,
    /// The topics that are read.
    pub(super) topics: Vec<String>,
    /// How records become messages.
    pub(super) reader: Reader,
    /// How long a revoked partition is kept at most.
    pub(super) patience: Duration,
    /// Rung when there is something for `next`.
    pub(super) happened: Notify,
    /// Rung when the member is gone.
    pub(super) gone: Notify,
    /// Rung when a mark is waited for.
    bell: SyncSender<()>,
    leaves: AtomicBool,
    group: Mutex<Group>,
    voice: Mutex<Voice>,
}

/// Whose partitions are whose.
#[derive(Default)]
struct Group {
    cells: BTreeMap<StreamName, Arc<Cell>>,
    revoking: Option<Revoking>,
    /// Marks are on their way.
    telling: bool,
    counts: BTreeMap<String, Count>,
}

struct Revoking {
    cells: Vec<Arc<Cell>>,
    until: Instant,
}

/// Partitions of a topic.
#[derive(Debug, Clone, Copy)]
struct Count {
    first: i32,
    last: i32,
    missing: bool,
}

/// What is to be said.
#[derive(Default)]
struct Voice {
    assigned: Vec<Arc<Cell>>,
    told: VecDeque<Incident>,
    health: Health,
    /// What refuses us is the group: only an assignment shows that it does not any more.
    of_group: bool,
    said: Health,
    last_words: String,
    ended: Option<Failure>,
    gone: bool,
}

/// What `next` has to say.
pub(super) enum Word {
    Assigned(Vec<Arc<Cell>>),
    Told(Incident),
    Health(Health),
    Ended(Failure),
    Gone,
}

/// What a topic has become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Same,
    Grown { from: i32, to: i32 },
    Recreated,
}

// === impl Board ===

impl Board {
    /// A board, and what the teller hears. One ring is enough to remember.
    pub(super) fn new(
        names: (String, String),
        topics: Vec<String>,
        reader: Reader,
        patience: Duration,
    ) -> (Arc<Self>, Receiver<()>) {
        let (bell, heard) = std::sync::mpsc::sync_channel(1);
        let board = Arc::new(Self {
            consumer: names.0,
            group_name: names.1,
            topics,
            reader,
            patience,
            happened: Notify::new(),
            gone: Notify::new(),
            bell,
            leaves: AtomicBool::new(false),
            group: Mutex::default(),
            voice: Mutex::default(),
        });
        (board, heard)
    }

    /// Whether the member is to leave.
    pub(super) fn leaves(&self) -> bool {
        self.leaves.load(Ordering::Acquire)
    }

    pub(super) fn leave(&self) {
        self.leaves.store(true, Ordering::Release);
        self.ring();
    }

    /// Has marks told at once.
    pub(super) fn ring(&self) {
        // Full: it is about to. Closed: nothing is told any more.
        let _ = self.bell.try_send(());
    }

    // --- the group ---

    pub(super) fn assigned(&self, names: Vec<StreamName>) {
        let mut group = self.group();
        let mut cells = Vec::new();
        for name in names {
            let partition = name.partition.unwrap_or_default();
            let added = group
                .counts
                .get(&*name.topic)
                .is_some_and(|count| partition >= count.first);
            let cell = Cell::new(name.clone(), added);
            if let Some(old) = group.cells.insert(name, Arc::clone(&cell)) {
                old.lose();
            }
            cells.push(cell);
        }
        drop(group);
        let mut voice = self.voice();
        voice.assigned.extend(cells);
        voice.health = Health::Up;
        voice.of_group = false;
        drop(voice);
        self.happened.notify_one();
    }

    pub(super) fn revoked(&self, client: &Client, names: &[StreamName]) {
        let until = now() + self.patience;
        let cells = self.cells(names);
        let mut any = false;
        for cell in &cells {
            any |= cell.revoke(until);
        }
        if any {
            self.group().revoking = Some(Revoking { cells, until });
        } else {
            self.give(client, &cells);
        }
    }

    /// Gives partitions up without a word: they are somebody else's already.
    pub(super) fn lost(&self, client: &Client, names: &[StreamName]) {
        crate::point!("stream.lost");
        self.group().revoking = None;
        self.give(client, &self.cells(names));
    }

    /// Completes a hand-over that is done, overdue, or not ours to make any more.
    pub(super) fn hand_over(&self, client: &Client, now: Instant) {
        let mut group = self.group();
        let Some(revoking) = &group.revoking else { return };
        let waits = |cell: &Arc<Cell>| cell.hold() != Hold::Lost && cell.stage() != Stage::Released;
        let lost = client.assignment_lost();
        let over = self.leaves() || revoking.until <= now || lost;
        // A mark on its way arrives while the partition is ours, or never.
        if !over && revoking.cells.iter().any(waits) || group.telling && !lost {
            return;
        }
        let cells = group.revoking.take().map(|revoking| revoking.cells).unwrap_or_default();
        drop(group);
        self.give(client, &cells);
    }

    /// Whether a hand-over waits for its streams, or a stream for its last commit.
    pub(super) fn hurries(&self) -> bool {
        let group = self.group();
        group.revoking.is_some() || group.cells.values().any(|cell| cell.stage() == Stage::Releasing)
    }

    /// All of them.
    pub(super) fn give_all(&self) {
        let cells: Vec<_> = self.group().cells.values().cloned().collect();
        for cell in cells {
            cell.lose();
        }
    }

    fn give(&self, client: &Client, cells: &[Arc<Cell>]) {
        let mut list = TopicPartitionList::new();
        let mut group = self.group();
        for cell in cells {
            if cell.lose() {
                list.add_partition(&cell.name.topic, cell.partition());
            }
            group.cells.remove(&cell.name);
        }
        // Also with nothing in it: the group waits for this answer.
        if let Err(error) = client.incremental_unassign(&list) {
            tracing::debug!(%error, "the partitions were not given up");
        }
    }

    /// Adds a partition to what is fetched, unless it was taken away meanwhile. Answers whether it is ours.
    pub(super) fn begin(&self, client: &Arc<Client>, cell: &Arc<Cell>, at: (i64, i64)) -> Result<bool, Code> {
        let _group = self.group();
        if cell.hold() == Hold::Lost {
            return Ok(false);
        }
        let mut list = TopicPartitionList::new();
        if cell.stage() != Stage::Waiting {
            list.add_partition(&cell.name.topic, cell.partition());
            // It begins anew: the same partition from another place.
            client.incremental_unassign(&list).map_err(|_| Code::State)?;
            list = TopicPartitionList::new();
        }
        let queue = client.split_partition_queue(&cell.name.topic, cell.partition());
        let mut queue = queue.ok_or(Code::UnknownPartition)?;
        let rings = Arc::downgrade(cell);
        queue.set_nonempty_callback(move || {
            if let Some(cell) = rings.upgrade() {
                cell.arrived.notify_one();
            }
        });
        let added = list.add_partition_offset(&cell.name.topic, cell.partition(), Offset::Offset(at.0));
        added.map_err(|_| Code::InvalidArgument)?;
        cell.begin(at.0, at.1, queue);
        client.incremental_assign(&list).map_err(|_| Code::State)?;
        Ok(true)
    }

    /// Whether a partition may begin anew now: not while the group waits for an answer.
    pub(super) fn is_steady(&self) -> bool {
        self.group().revoking.is_none()
    }

    /// The streams that are read.
    pub(super) fn reading(&self) -> Vec<Arc<Cell>> {
        let group = self.group();
        let read = group.cells.values().filter(|cell| cell.stage() == Stage::Reading);
        read.cloned().collect()
    }

    fn cells(&self, names: &[StreamName]) -> Vec<Arc<Cell>> {
        let group = self.group();
        names.iter().filter_map(|name| group.cells.get(name).cloned()).collect()
    }

    // --- marks ---

    /// The marks to tell, by topic; from here on they are on their way.
    pub(super) fn marks(&self) -> Vec<Vec<(Arc<Cell>, i64)>> {
        let mut group = self.group();
        let unsaid = group
            .cells
            .values()
            .filter_map(|cell| Some((Arc::clone(cell), cell.unsaid()?)));
        let unsaid: Vec<_> = unsaid.collect();
        group.telling = !unsaid.is_empty();
        drop(group);
        let same = |one: &(Arc<Cell>, i64), other: &(Arc<Cell>, i64)| one.0.name.topic == other.0.name.topic;
        unsaid.chunk_by(same).map(<[_]>::to_vec).collect()
    }

    /// Nothing is on its way any more.
    pub(super) fn told(&self) {
        self.group().telling = false;
    }

    /// Whether every mark is at the broker.
    pub(super) fn all_said(&self) -> bool {
        self.group().cells.values().all(|cell| cell.unsaid().is_none())
    }

    // --- topics ---

    /// A topic was seen, or not.
    pub(super) fn saw(&self, topic: &str, partitions: Option<i32>) -> Turn {
        let mut group = self.group();
        let Some(count) = group.counts.get_mut(topic) else {
            if let Some(first) = partitions {
                let count = Count {
                    first,
                    last: first,
                    missing: false,
                };
                group.counts.insert(topic.to_owned(), count);
            }
            return Turn::Same;
        };
        let Some(seen) = partitions else {
            count.missing = true;
            return Turn::Same;
        };
        let from = std::mem::replace(&mut count.last, seen);
        let recreated = std::mem::take(&mut count.missing) || seen < from;
        if recreated {
            count.first = seen;
            Turn::Recreated
        } else if seen > from {
            Turn::Grown { from, to: seen }
        } else {
            Turn::Same
        }
    }

    // --- what is said ---

    pub(super) fn error(&self, code: Code, reason: &str) {
        let of_group = !matches!(
            code,
            Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::InvalidTopic | Code::TopicAuthorizationFailed
        );
        match failure::reach(code) {
            Reach::Nothing => reason.clone_into(&mut self.voice().last_words),
            Reach::Refused => self.away(self.failure(code, reason), of_group),
            Reach::Connection => {
                let words = std::mem::take(&mut self.voice().last_words);
                let words = if words.is_empty() { reason.to_owned() } else { words };
                self.away(self.failure(code, &words), false);
            }
            Reach::Client => self.end(self.failure(code, reason)),
        }
    }

    pub(super) fn failure(&self, code: Code, reason: &str) -> Failure {
        failure::subscription(code, (&self.group_name, &self.topics.join(", ")), reason)
    }

    pub(super) fn away(&self, failure: Failure, of_group: bool) {
        let mut voice = self.voice();
        if voice.of_group && !of_group {
            return;
        }
        voice.of_group = of_group;
        voice.health = Health::Away(Arc::new(failure));
        drop(voice);
        self.happened.notify_one();
    }

    /// The cluster answers, and all topics are there.
    pub(super) fn up(&self) {
        let mut voice = self.voice();
        if !voice.of_group {
            voice.health = Health::Up;
        }
        drop(voice);
        self.happened.notify_one();
    }

    pub(super) fn is_up(&self) -> bool {
        self.voice().health == Health::Up
    }

    pub(super) fn tell(&self, incident: Incident) {
        let mut voice = self.voice();
        if !voice.told.contains(&incident) {
            voice.told.push_back(incident);
        }
        drop(voice);
        self.happened.notify_one();
    }

    pub(super) fn end(&self, failure: Failure) {
        self.voice().ended.get_or_insert(failure);
        self.happened.notify_one();
    }

    /// The member is gone.
    pub(super) fn ended(&self) {
        self.voice().gone = true;
        self.gone.notify_waiters();
        self.happened.notify_waiters();
    }

    pub(super) fn is_gone(&self) -> bool {
        self.voice().gone
    }

    /// The next word, if there is one.
    pub(super) fn word(&self) -> Option<Word> {
        let mut voice = self.voice();
        if let Some(told) = voice.told.pop_front() {
            return Some(Word::Told(told));
        }
        if voice.said != voice.health {
            voice.said = voice.health.clone();
            return Some(Word::Health(voice.said.clone()));
        }
        if let Some(failure) = voice.ended.clone() {
            return Some(Word::Ended(failure));
        }
        if voice.gone {
            return Some(Word::Gone);
        }
        let assigned = std::mem::take(&mut voice.assigned);
        (!assigned.is_empty()).then_some(Word::Assigned(assigned))
    }

    fn group(&self) -> MutexGuard<'_, Group> {
        self.group.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn voice(&self) -> MutexGuard<'_, Voice> {
        self.voice.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
