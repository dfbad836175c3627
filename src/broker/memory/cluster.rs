//! What a memory broker stores, and the faults it was told to make.
//!
//! Promises: a topic keeps the order in which it took messages; a fault hits what it was scripted for, as often as it was
//! scripted, and nothing else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use uuid::Uuid;

use super::groups::Group;
use crate::contract::Outbound;
use crate::delivery::FailureKind;

/// The largest message a topic takes, unless it is created with another limit.
pub(super) const LIMIT_DEFAULT: u64 = 1 << 20;

/// Clusters of configured relays, by name.
static NAMED: Mutex<BTreeMap<String, Cluster>> = Mutex::new(BTreeMap::new());

/// A broker: topics, and faults to come. Clones are the same broker.
#[derive(Debug, Clone)]
pub struct Cluster {
    inner: Arc<Mutex<Inner>>,
    changed: watch::Sender<u64>,
    /// Something was stored, or a group has moved; lets nothing held go on.
    moved: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    topics: BTreeMap<String, Topic>,
    groups: BTreeMap<String, Group>,
    script: Vec<Scripted>,
    creates: bool,
    down: bool,
}

#[derive(Debug)]
struct Topic {
    records: Vec<Record>,
    limit: u64,
}

/// A stored message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The key; none for a message without one.
    pub key: Option<Bytes>,
    /// The payload; none for a tombstone.
    pub value: Option<Bytes>,
    /// Names and values, in order.
    pub headers: Vec<(String, Bytes)>,
}

/// What a fault waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// The message of this id.
    Message(Uuid),
    /// Any message to this topic.
    Topic(String),
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Refused, with this kind; not stored.
    Reject(FailureKind),
    /// Stored, and then said to have failed.
    DoneThenFailed,
    /// Neither stored nor answered until [`Cluster::release`], or until the broker was away and comes back.
    Hold,
    /// Stored at once, answered after this time.
    Slow(Duration),
    /// The connection breaks: neither this message nor the rest of its batch is stored; the outcome is unknown.
    Drop,
}

#[derive(Debug)]
struct Scripted {
    when: When,
    fault: Fault,
    times: u32,
}

// === impl Cluster ===

impl Cluster {
    /// A cluster without topics, which creates none.
    #[must_use]
    pub fn new() -> Self {
        Self {
            inner: Arc::default(),
            changed: watch::Sender::new(0),
            moved: watch::Sender::new(0),
        }
    }

    /// The cluster of that name in this process; it creates topics by itself.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let mut named = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
        let cluster = named.entry(name.to_owned()).or_insert_with(|| {
            let cluster = Self::new();
            cluster.inner().creates = true;
            cluster
        });
        cluster.clone()
    }

    /// Creates a topic.
    pub fn create(&self, topic: &str) {
        self.create_with(topic, LIMIT_DEFAULT);
    }

    /// Creates a topic that takes messages of at most `limit` bytes.
    pub fn create_with(&self, topic: &str, limit: u64) {
        let records = Vec::new();
        self.inner().topics.insert(topic.to_owned(), Topic { records, limit });
    }

    /// The names of all topics.
    #[must_use]
    pub fn topics(&self) -> Vec<String> {
        self.inner().topics.keys().cloned().collect()
    }

    /// What a topic holds, oldest first.
    #[must_use]
    pub fn records(&self, topic: &str) -> Vec<Record> {
        let inner = self.inner();
        inner
            .topics
            .get(topic)
            .map(|topic| topic.records.clone())
            .unwrap_or_default()
    }

    /// Lets a fault happen the next `times` times.
    pub fn script(&self, when: When, fault: Fault, times: u32) {
        self.inner().script.push(Scripted { when, fault, times });
    }

    /// Lets go of what is held, and scripts no further holding.
    pub fn release(&self) {
        self.inner().script.retain(|scripted| scripted.fault != Fault::Hold);
        self.change();
    }

    /// Takes the broker away, or brings it back. What is handed over meanwhile stays unanswered.
    pub fn set_down(&self, down: bool) {
        self.inner().down = down;
        self.change();
    }

    /// Whether it is away.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.inner().down
    }

    /// Hears of every change that may let held messages go on.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Hears of what members of groups wait for.
    pub(super) fn moves(&self) -> watch::Receiver<u64> {
        self.moved.subscribe()
    }

    /// Grows with every change.
    pub(super) fn version(&self) -> u64 {
        *self.changed.borrow()
    }

    /// The largest message a topic takes; none when there is no such topic.
    pub(super) fn limit(&self, topic: &str) -> Option<u64> {
        let mut inner = self.inner();
        if inner.creates && !inner.topics.contains_key(topic) {
            let created = Topic {
                records: Vec::new(),
                limit: LIMIT_DEFAULT,
            };
            inner.topics.insert(topic.to_owned(), created);
        }
        inner.topics.get(topic).map(|topic| topic.limit)
    }

    /// Appends a message.
    pub fn store(&self, topic: &str, record: Record) {
        if let Some(topic) = self.inner().topics.get_mut(topic) {
            topic.records.push(record);
        }
        self.tell();
    }

    /// What a group has committed of a topic.
    #[must_use]
    pub fn committed(&self, group: &str, topic: &str) -> Option<i64> {
        self.group(group, |group| group.committed(topic))
    }

    /// Works on a group, under the lock.
    pub(super) fn group<T>(&self, name: &str, work: impl FnOnce(&mut Group) -> T) -> T {
        work(self.inner().groups.entry(name.to_owned()).or_default())
    }

    /// How many messages a topic has taken.
    pub(super) fn end(&self, topic: &str) -> usize {
        self.inner().topics.get(topic).map_or(0, |topic| topic.records.len())
    }

    /// At most `most` messages of a topic from a place on.
    pub(super) fn slice(&self, topic: &str, from: usize, most: usize) -> Vec<Record> {
        let inner = self.inner();
        let records = inner
            .topics
            .get(topic)
            .map(|topic| topic.records.iter().skip(from).take(most));
        records.into_iter().flatten().cloned().collect()
    }

    /// The fault that is due for a message, counted.
    pub(super) fn fault(&self, topic: &str, outbound: &Outbound) -> Option<Fault> {
        let mut inner = self.inner();
        let due = inner.script.iter_mut().find(|scripted| {
            scripted.times > 0
                && match &scripted.when {
                    When::Message(id) => *id == outbound.message.id,
                    When::Topic(name) => name == topic,
                }
        })?;
        due.times -= 1;
        Some(due.fault.clone())
    }

    /// Wakes publishers with held messages, and members.
    fn change(&self) {
        self.changed.send_modify(|version| *version += 1);
        self.tell();
    }

    /// Wakes members.
    pub(super) fn tell(&self) {
        self.moved.send_modify(|version| *version += 1);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Cluster {
    fn default() -> Self {
        Self::new()
    }
}

// === impl Record ===

impl Record {
    /// The value of the first header of that name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let mut headers = self.headers.iter();
        headers.find(|(own, _)| own == name).map(|(_, value)| &**value)
    }
}
