//! What is known of each topic: partitions, size limit, last acknowledged offsets, who owes reports.
//!
//! Promises: a key stays on its partition until an operator accepts another count (S14); a message is sent only to a topic
//! whose existence was seen; an offset that does not grow is a loss suspected, told once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::murmur2;
use crate::contract::{Incident, Remembered};
use crate::delivery::{Destination, Failure, FailureKind};

/// Kafka's default `max.message.bytes`.
pub(super) const LIMIT_DEFAULT: u64 = 1_048_588;
/// How old a limit may be when a message is refused by it.
const LIMIT_TRUSTED: Duration = Duration::from_millis(250);
/// How many messages must pass one by one before a topic that refused something is trusted with batches again.
const PASSES: u32 = 64;
/// How many messages without a key go to one partition before the next has its turn.
const STAY: usize = 64;

/// A topic that exists.
#[derive(Debug)]
pub(super) struct Topic {
    /// Its name.
    pub(super) name: Arc<str>,
    /// The partitions that keys are spread over.
    pub(super) partitions: Vec<Partition>,
    /// Largest batch it takes.
    pub(super) limit: u64,
    /// When that was read.
    pub(super) limit_read: Instant,
    /// When it was last asked about.
    pub(super) asked: Instant,
    /// Whether something was sent since then.
    pub(super) used: bool,
    /// Messages that must still pass alone; zero = trusted.
    pub(super) probation: u32,
    /// Why nothing may be sent: it is not the topic that it was.
    pub(super) lost: Option<Arc<Failure>>,
    /// Messages without a key so far.
    unkeyed: usize,
    /// The count that was told.
    told: usize,
    /// Whether what must be remembered has changed.
    dirty: bool,
}

/// One partition.
#[derive(Debug, Clone)]
pub(super) struct Partition {
    /// Last acknowledged offset, -1 before the first.
    pub(super) last: i64,
    /// Messages on the way.
    pub(super) owed: usize,
    /// Since when a report is due.
    pub(super) since: Instant,
    /// Owes a report for too long (S9).
    pub(super) stalled: bool,
}

/// All topics known.
#[derive(Debug, Default)]
pub(super) struct Topics {
    by_name: foldhash::HashMap<Arc<str>, usize>,
    topics: Vec<Topic>,
    remembered: HashMap<Box<str>, Remembered>,
    incidents: Vec<Incident>,
}

// === impl Topics ===

impl Topics {
    /// Nothing known but what an earlier publisher remembered.
    pub(super) fn new(remembered: Vec<Remembered>) -> Self {
        let remembered = remembered
            .into_iter()
            .filter_map(|known| Some((known.destination.parts().first()?.clone(), known)))
            .collect();
        Self {
            remembered,
            ..Self::default()
        }
    }

    /// The topic's number, when it is known.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// A topic by its number.
    pub(super) fn get(&mut self, topic: usize) -> &mut Topic {
        &mut self.topics[topic]
    }

    /// The names of all topics that are there.
    pub(super) fn names(&self) -> Vec<String> {
        self.by_name.keys().map(ToString::to_string).collect()
    }

    /// All topics.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Topic> {
        self.topics.iter_mut()
    }

    /// The largest batch that every trusted topic takes.
    pub(super) fn batch_bytes(&self) -> u64 {
        let limits = self.by_name.values().map(|topic| self.topics[*topic].limit);
        limits.min().unwrap_or(LIMIT_DEFAULT).min(LIMIT_DEFAULT)
    }

    /// What the broker shows of a topic. Answers its number.
    pub(super) fn saw(&mut self, name: &str, count: u32, now: Instant) -> usize {
        let seen = count as usize;
        let topic = self.find(name).unwrap_or_else(|| self.add(name, seen, now));
        let known = &mut self.topics[topic];
        known.asked = now;
        known.used = false;
        let used = known.partitions.len();
        if seen < used {
            let what = format!("{seen} partitions");
            self.recreated(topic, format!("{used} partitions"), what);
        } else if seen > used && known.told != seen {
            known.told = seen;
            self.incidents.push(grown(name, used, seen));
        }
        topic
    }

    fn add(&mut self, name: &str, seen: usize, now: Instant) -> usize {
        let known = self.remembered.remove(name);
        let count = known.as_ref().map_or(seen, |known| known.partitions as usize).max(1);
        let last = |index: usize| known.as_ref()?.offsets.get(index).copied().flatten();
        let name: Arc<str> = name.into();
        self.topics.push(Topic {
            name: Arc::clone(&name),
            partitions: (0..count)
                .map(|index| Partition {
                    last: last(index).unwrap_or(-1),
                    owed: 0,
                    since: now,
                    stalled: false,
                })
                .collect(),
            limit: LIMIT_DEFAULT,
            limit_read: now,
            asked: now,
            used: false,
            probation: 0,
            lost: None,
            unkeyed: 0,
            told: count,
            dirty: known.is_none(),
        });
        self.by_name.insert(name, self.topics.len() - 1);
        self.topics.len() - 1
    }

    /// A message was acknowledged at an offset. `floor` is what it had to come to stand above.
    pub(super) fn acknowledged(&mut self, topic: usize, partition: usize, offset: i64, floor: i64) {
        // A duplicate that the broker recognised has no offset.
        if offset < 0 {
            return;
        }
        let known = &mut self.topics[topic];
        if offset <= floor && known.lost.is_none() {
            let place = format!("partition {partition}, ");
            self.recreated(topic, format!("{place}above {floor}"), format!("{place}{offset}"));
        }
        let known = &mut self.topics[topic];
        let last = &mut known.partitions[partition].last;
        if offset > *last {
            *last = offset;
            known.dirty = true;
        }
    }

    /// The topic is not there any more, or not for us: it is looked up again before the next message. What it was is
    /// remembered, so that a new topic of that name is recognised.
    pub(super) fn forget(&mut self, name: &str) {
        if let Some(topic) = self.by_name.remove(name) {
            self.remembered.insert(name.into(), self.topics[topic].remembered());
        }
    }

    fn recreated(&mut self, topic: usize, from: String, to: String) {
        let known = &mut self.topics[topic];
        if known.lost.is_some() {
            return;
        }
        let name = &known.name;
        let sentence = format!(
            "the topic {name} is not the one it was (expected {from}, saw {to}): it was made anew or lost records; check \
             what its readers miss, then `twinbox accept RELAY topic_recreated`"
        );
        let failure = Failure::new(FailureKind::Destination, "TopicRecreated", sentence.clone());
        known.lost = Some(Arc::new(failure));
        self.incidents.push(Incident {
            kind: "topic_recreated",
            destination: destination(name),
            from,
            to,
            sentence,
            go_on: None,
        });
    }

    /// Marks the partitions that owe a report for longer than `stall`. Answers whether everything on the way stands still.
    pub(super) fn watch(&mut self, now: Instant, stall: Duration) -> bool {
        let (mut owing, mut still) = (0_usize, 0_usize);
        for partition in self.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            if partition.owed > 0 {
                owing += 1;
                partition.stalled = now.saturating_duration_since(partition.since) >= stall;
                still += usize::from(partition.stalled);
            }
        }
        owing > 0 && owing == still
    }

    /// What must be told; once.
    pub(super) fn take_incidents(&mut self) -> Vec<Incident> {
        std::mem::take(&mut self.incidents)
    }

    /// What must be remembered and has changed.
    pub(super) fn take_changes(&mut self) -> Vec<Remembered> {
        let topics = self.topics.iter_mut();
        topics
            .filter_map(|topic| std::mem::take(&mut topic.dirty).then(|| topic.remembered()))
            .collect()
    }
}

// === impl Topic ===

impl Topic {
    /// Whether the limit must be read again before a message is refused by it: somebody may have raised it to let that
    /// message through.
    pub(super) fn limit_is_old(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.limit_read) >= LIMIT_TRUSTED
    }

    /// Its limit was read.
    pub(super) fn takes(&mut self, limit: u64, now: Instant) {
        (self.limit, self.limit_read) = (limit, now);
    }

    /// The partition for a key; without one, in turn over those that do not stand still, a while each: batches stay
    /// large, and partitions fill evenly.
    pub(super) fn choose(&mut self, key: Option<&[u8]>) -> usize {
        let count = self.partitions.len();
        if let Some(key) = key {
            return murmur2::partition(key, u32::try_from(count).unwrap_or(u32::MAX)) as usize;
        }
        self.unkeyed = self.unkeyed.wrapping_add(1);
        let first = self.unkeyed / STAY % count;
        let mut turn = (0..count).map(|step| (first + step) % count);
        turn.find(|index| !self.partitions[*index].stalled).unwrap_or(first)
    }

    /// A message is on its way. Answers the floor for its offset.
    pub(super) fn depart(&mut self, partition: usize, now: Instant) -> i64 {
        self.used = true;
        let place = &mut self.partitions[partition];
        if place.owed == 0 {
            place.since = now;
        }
        place.owed += 1;
        place.last
    }

    /// A message is answered.
    pub(super) fn arrive(&mut self, partition: usize, now: Instant) {
        let place = &mut self.partitions[partition];
        place.owed = place.owed.saturating_sub(1);
        place.since = now;
        place.stalled = false;
    }

    /// The broker refused something: for a while every message goes alone, on a line of its own.
    pub(super) fn suspect(&mut self) {
        self.probation = PASSES;
    }

    fn remembered(&self) -> Remembered {
        Remembered {
            destination: destination(&self.name),
            partitions: u32::try_from(self.partitions.len()).unwrap_or(u32::MAX),
            offsets: self
                .partitions
                .iter()
                .map(|partition| (partition.last >= 0).then_some(partition.last))
                .collect(),
        }
    }
}

fn destination(topic: &str) -> Destination {
    [topic].into_iter().collect()
}

fn grown(name: &str, used: usize, seen: usize) -> Incident {
    Incident {
        kind: "partitions_changed",
        destination: destination(name),
        from: used.to_string(),
        to: seen.to_string(),
        sentence: format!(
            "the topic {name} has {seen} partitions now; keys stay on the first {used}, where their order holds, until \
             `twinbox accept RELAY partitions_changed`"
        ),
        go_on: None,
    }
}

#[cfg(test)]
#[path = "topics_tests.rs"]
mod tests;
