//! The independent reader: every partition from its first record, with a client that twinbox does not use.
//!
//! Promises: [`read_all`] returns everything up to the ends that the partitions had when it was called; [`Tail`]
//! notes the moment at which each record came by.

use super::checker::Seen;
use super::fingerprint;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Metadata, watermarks and the next record come within this, or the broker is gone.
const BROKER_WITHIN: Duration = Duration::from_mins(1);

/// One record with everything on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub at_ms: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    /// In the order of the wire.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Record {
    fn of(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers().map(|headers| {
            headers
                .iter()
                .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
                .collect()
        });
        Self {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: message.offset(),
            at_ms: message.timestamp().to_millis().unwrap_or(-1),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers.unwrap_or_default(),
        }
    }

    /// The bytes of a header that is there once or more.
    #[must_use]
    pub(crate) fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .and_then(|(_, value)| value.as_deref())
    }

    /// The same as text.
    #[must_use]
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.header(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The event's id, in either envelope.
    #[must_use]
    pub(crate) fn id(&self) -> Option<Uuid> {
        self.text("ce_id")
            .or_else(|| self.text("id"))
            .and_then(|text| text.parse().ok())
    }

    /// `twinbox-position`: `epoch.major.minor`.
    #[must_use]
    pub(crate) fn position(&self) -> Option<(u64, u64, u64)> {
        let mut parts = self.text("twinbox-position")?.split('.').map(str::parse);
        let position = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
        parts.next().is_none().then_some(position)
    }

    /// What the checker judges.
    #[must_use]
    pub(crate) fn seen(&self) -> Seen {
        Seen {
            id: self.id(),
            topic: self.topic.clone(),
            partition: self.partition,
            offset: self.offset,
            fingerprint: fingerprint(self.key.as_deref(), self.value.as_deref(), self.header("note")),
            position: self.position(),
            at_ms: self.at_ms,
        }
    }
}

/// Everything in these topics, up to their ends of now. Blocks.
#[must_use]
pub(crate) fn read_all(brokers: &str, topics: &[String]) -> Vec<Record> {
    let consumer = consumer(brokers);
    let mut ends = ends(&consumer, topics);
    ends.retain(|_, (low, high)| low < high);
    assign(
        &consumer,
        ends.iter()
            .map(|((topic, partition), (low, _))| (topic.as_str(), *partition, *low)),
    );
    let mut records = Vec::new();
    while !ends.is_empty() {
        let polled = consumer.poll(BROKER_WITHIN);
        let message = polled.unwrap_or_else(|| panic!("no record within {BROKER_WITHIN:?}; still to read: {ends:?}"));
        let Ok(message) = message else { continue };
        let place = (message.topic().to_owned(), message.partition());
        let Some((_, high)) = ends.get(&place) else { continue };
        if message.offset() < *high {
            records.push(Record::of(&message));
        }
        if message.offset() + 1 >= *high {
            ends.remove(&place);
        }
    }
    records
}

/// Whether there is such a topic; asking creates none.
pub(crate) fn exists(brokers: &str, topic: &str) -> bool {
    let metadata = consumer(brokers)
        .fetch_metadata(None, BROKER_WITHIN)
        .expect("the broker answers");
    metadata.topics().iter().any(|known| known.name() == topic)
}

type Ends = BTreeMap<(String, i32), (i64, i64)>;

/// A topic that was just made has partitions without a leader for a moment.
fn ends(consumer: &BaseConsumer, topics: &[String]) -> Ends {
    let until = Instant::now() + BROKER_WITHIN;
    loop {
        match try_ends(consumer, topics) {
            Ok(ends) => return ends,
            Err(error) if Instant::now() > until => panic!("the broker does not tell its partitions' ends: {error}"),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

fn try_ends(consumer: &BaseConsumer, topics: &[String]) -> KafkaResult<Ends> {
    let mut ends = Ends::new();
    for topic in topics {
        let metadata = consumer.fetch_metadata(Some(topic), BROKER_WITHIN)?;
        for partition in metadata.topics()[0].partitions() {
            let marks = consumer.fetch_watermarks(topic, partition.id(), BROKER_WITHIN)?;
            ends.insert((topic.clone(), partition.id()), marks);
        }
    }
    Ok(ends)
}

fn consumer(brokers: &str) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "observer")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("fetch.message.max.bytes", "33554432")
        .set("receive.message.max.bytes", "134217728")
        .set("reconnect.backoff.max.ms", "500")
        .create()
        .expect("these settings are valid")
}

fn assign<'a>(consumer: &BaseConsumer, places: impl Iterator<Item = (&'a str, i32, i64)>) {
    let mut list = TopicPartitionList::new();
    for (topic, partition, low) in places {
        list.add_partition_offset(topic, partition, Offset::Offset(low))
            .expect("a valid offset");
    }
    consumer.assign(&list).expect("an assignment is local");
}

/// A record as it came by.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub id: Option<Uuid>,
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub at: Instant,
}

/// Follows topics from their first record on, in a thread of its own; survives a broker's restart.
pub(crate) struct Tail {
    arrivals: Arc<Mutex<Vec<Arrival>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Tail {
    /// The topics must exist.
    #[must_use]
    pub(crate) fn follow(brokers: &str, topics: &[String]) -> Self {
        let consumer = consumer(brokers);
        let places: Vec<(String, i32)> = ends(&consumer, topics).into_keys().collect();
        assign(
            &consumer,
            places.iter().map(|(topic, partition)| (topic.as_str(), *partition, 0)),
        );
        let arrivals = Arc::new(Mutex::new(Vec::new()));
        let over = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (arrivals, over) = (Arc::clone(&arrivals), Arc::clone(&over));
            move || {
                while !over.load(Ordering::Relaxed) {
                    if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
                        let at = Instant::now();
                        let record = Record::of(&message);
                        let arrival = Arrival {
                            id: record.id(),
                            topic: record.topic,
                            partition: record.partition,
                            offset: record.offset,
                            at,
                        };
                        arrivals.lock().expect("nobody panics with it").push(arrival);
                    }
                }
            }
        });
        Self {
            arrivals,
            over,
            thread: Some(thread),
        }
    }

    /// All so far.
    #[must_use]
    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.arrivals.lock().expect("nobody panics with it").clone()
    }

    /// How many so far.
    #[must_use]
    pub(crate) fn count(&self) -> usize {
        self.arrivals.lock().expect("nobody panics with it").len()
    }

    /// Different events so far.
    #[must_use]
    pub(crate) fn distinct(&self) -> usize {
        let arrivals = self.arrivals.lock().expect("nobody panics with it");
        arrivals
            .iter()
            .filter_map(|arrival| arrival.id)
            .collect::<HashSet<Uuid>>()
            .len()
    }

    /// Different events in this topic so far.
    #[must_use]
    pub(crate) fn arrivals_in(&self, topic: &str) -> usize {
        let arrivals = self.arrivals.lock().expect("nobody panics with it");
        let here = arrivals.iter().filter(|arrival| arrival.topic == topic);
        here.filter_map(|arrival| arrival.id).collect::<HashSet<Uuid>>().len()
    }

    /// When this event first came by.
    #[must_use]
    pub(crate) fn first(&self, id: Uuid) -> Option<Instant> {
        let arrivals = self.arrivals.lock().expect("nobody panics with it");
        arrivals
            .iter()
            .find(|arrival| arrival.id == Some(id))
            .map(|arrival| arrival.at)
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
