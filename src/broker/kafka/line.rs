//! One producer with its generation: idempotent, gapless, with librdkafka's own retries, which keep the order.
//!
//! Promises: what it refuses to take was not sent; what it took is reported once, unless the line is dropped first.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, PurgeConfig};
use rdkafka::types::{RDKafkaErrorCode as Code, RDKafkaRespErr};

use super::properties::Tuning;
use super::reports::Listener;

/// How long one poll waits: rdkafka counts the wait in whole milliseconds, and spins through what is left of the last
/// one. So little is left that the wait itself takes as long; rdkafka's own `ThreadedProducer` spends most of a
/// millisecond ten times a second, 0.7 % of a core.
const POLL: Duration = Duration::from_micros(100_020);

/// A producer.
pub(super) struct Line {
    /// Its number; no two lines of a publisher share one.
    pub(super) generation: u32,
    /// How it was built.
    pub(super) tuning: Tuning,
    producer: Arc<BaseProducer<Listener>>,
    /// Hands reports over; ends with the line.
    poll: Option<JoinHandle<()>>,
    over: Arc<AtomicBool>,
}

/// One record with everything Kafka wants to know.
pub(super) struct Shipment<'a> {
    /// Where it goes.
    pub(super) topic: &'a str,
    /// Which partition of it.
    pub(super) partition: i32,
    /// The key's bytes.
    pub(super) key: Option<&'a [u8]>,
    /// The value's bytes.
    pub(super) value: Option<&'a [u8]>,
    /// All headers.
    pub(super) headers: OwnedHeaders,
    /// What comes back with the report.
    pub(super) opaque: usize,
}

/// What the broker says of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// It has this many partitions.
    Partitions(u32),
    /// It cannot be used.
    Refused(Code),
}

// === impl Line ===

impl Line {
    /// Creates the producer; connects later.
    ///
    /// # Errors
    /// A property that librdkafka does not take, or no thread to be had.
    pub(super) fn open(
        generation: u32,
        (properties, tuning): (&ClientConfig, Tuning),
        ear: Listener,
    ) -> Result<Self, KafkaError> {
        let producer: Arc<BaseProducer<Listener>> = Arc::new(properties.create_with_context(ear)?);
        let over = Arc::new(AtomicBool::new(false));
        let poll = {
            let (producer, over) = (Arc::clone(&producer), Arc::clone(&over));
            move || {
                while !over.load(Ordering::Acquire) {
                    producer.poll(POLL);
                }
            }
        };
        let poll = std::thread::Builder::new()
            .name(format!("reports-{generation}"))
            .spawn(poll)
            .map_err(|error| KafkaError::ClientCreation(format!("the system gives us no thread: {error}")))?;
        Ok(Self {
            generation,
            tuning,
            producer,
            poll: Some(poll),
            over,
        })
    }

    /// The code that killed it, if it is dead: then it takes nothing more.
    pub(super) fn died_of(&self) -> Option<Code> {
        self.producer.client().fatal_error().map(|(code, _)| code)
    }

    /// Queues a record.
    ///
    /// # Errors
    /// The code with which librdkafka refused it; nothing was queued then.
    pub(super) fn send(&self, shipment: Shipment<'_>) -> Result<(), Code> {
        let mut record = BaseRecord::<[u8], [u8], usize>::with_opaque_to(shipment.topic, shipment.opaque)
            .partition(shipment.partition)
            .headers(shipment.headers);
        record.key = shipment.key;
        record.payload = shipment.value;
        self.producer
            .send(record)
            .map_err(|(error, _)| error.rdkafka_error_code().unwrap_or(Code::Unknown))
    }

    /// Gives up what is queued: from here on nothing new goes to the broker.
    pub(super) fn halt(&self) {
        self.producer.purge(PurgeConfig::default().queue());
    }

    /// Halts, and waits at most `patience` for what is on the wire; answers whether nothing is left.
    pub(super) fn wind_up(&self, patience: Duration) -> bool {
        self.halt();
        self.producer.flush(patience).is_ok()
    }

    /// Gives up what is on the wire, too.
    pub(super) fn abandon(&self) {
        self.producer.purge(PurgeConfig::default().queue().inflight());
        // Purged reports are there at once; the time is for the poll thread to hand them over.
        let _ = self.producer.flush(Duration::from_millis(500));
    }

    /// Asks the broker about a topic. Blocks; creates nothing.
    ///
    /// # Errors
    /// The code of a question that was not answered.
    pub(super) fn look_up(&self, topic: &str, patience: Duration) -> Result<Seen, Code> {
        let metadata = self
            .producer
            .client()
            .fetch_metadata(Some(topic), patience)
            .map_err(|error| error.rdkafka_error_code().unwrap_or(Code::Unknown))?;
        let Some(seen) = metadata.topics().iter().find(|seen| seen.name() == topic) else {
            return Ok(Seen::Refused(Code::UnknownTopicOrPartition));
        };
        let count = u32::try_from(seen.partitions().len()).unwrap_or(0);
        match (seen.error(), count) {
            (None | Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE), 1..) => Ok(Seen::Partitions(count)),
            (Some(error), _) => match Code::from(error) {
                // The topic is being made.
                Code::LeaderNotAvailable => Err(Code::LeaderNotAvailable),
                code => Ok(Seen::Refused(code)),
            },
            (None, _) => Err(Code::LeaderNotAvailable),
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        // A poll that panicked has nothing more to say. The producer goes after it, and purges what it holds.
        let _ = self.poll.take().map(JoinHandle::join);
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line")
            .field("generation", &self.generation)
            .field("tuning", &self.tuning)
            .finish_non_exhaustive()
    }
}
