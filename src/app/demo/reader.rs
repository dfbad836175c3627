//! The demo's independent reader: another client than the relay's, from the beginning of every partition.
//!
//! Promises: knows nothing of the relay; keeps what it saw in the order in which it saw it, which inside a partition is
//! the broker's.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::sync::watch;
use uuid::Uuid;

use super::verdict::Seen;

/// Says nothing: the outage that the demo makes is no news.
struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, _: KafkaError, _: &str) {}
}

impl ConsumerContext for Quiet {}

/// How long a poll waits: what stopping takes at most.
const POLL: Duration = Duration::from_millis(100);

/// A reader on a thread of its own, because librdkafka's consumer blocks.
#[derive(Debug)]
pub(super) struct Reader {
    stop: SyncSender<()>,
    thread: JoinHandle<()>,
    /// Everything seen so far.
    pub(super) seen: watch::Receiver<Vec<Seen>>,
}

// === impl Reader ===

impl Reader {
    /// Reads these partitions of a topic from their beginning.
    pub(super) fn start(brokers: &str, topic: &str, partitions: i32) -> Result<Self, KafkaError> {
        let consumer: BaseConsumer<Quiet> = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("group.id", "twinbox-demo-reader")
            .set("enable.auto.commit", "false")
            .create_with_context(Quiet)?;
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition_offset(topic, partition, Offset::Beginning)?;
        }
        consumer.assign(&list)?;
        let (tell, seen) = watch::channel(Vec::new());
        // Nothing is ever sent: the end is told by dropping it.
        let (stop, stopped) = sync_channel(0);
        let thread = std::thread::spawn(move || read(&consumer, &tell, &stopped));
        Ok(Self { stop, thread, seen })
    }

    /// Stops reading.
    pub(super) fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the demo's reader panicked");
        }
    }
}

fn read(consumer: &BaseConsumer<Quiet>, tell: &watch::Sender<Vec<Seen>>, stopped: &Receiver<()>) {
    while stopped.recv_timeout(Duration::ZERO) == Err(RecvTimeoutError::Timeout) {
        // An error is the outage that the demo makes; the client goes on by itself.
        let Some(Ok(record)) = consumer.poll(POLL) else {
            continue;
        };
        let id = record.headers().into_iter().flat_map(|headers| headers.iter());
        let id = id
            .filter(|header| header.key == "ce_id")
            .find_map(|header| Uuid::try_parse_ascii(header.value?).ok());
        let key = String::from_utf8_lossy(record.key().unwrap_or_default()).into_owned();
        // A record without an id is nobody's event: it counts as a phantom.
        tell.send_modify(|seen| {
            seen.push(Seen {
                id: id.unwrap_or_default(),
                key,
            });
        });
    }
}
