//! What librdkafka alone costs here: the records of the relay, from memory, by a client like the relay's own.
//!
//! A relay cannot be cheaper than its client; this says how much of its CPU is the client's.

use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;

/// What the relay's records carry beside key and payload.
const HEADERS: [(&str, &str); 9] = [
    ("ce_specversion", "1.0"),
    ("ce_id", "0193f2b4-6c5e-7d3a-8f10-2b4c6d8e0f12"),
    ("ce_source", "twinbox/bench"),
    ("ce_type", "Happened"),
    ("ce_time", "2026-01-01T00:00:00.000000Z"),
    ("ce_subject", "12345"),
    ("ce_partitionkey", "12345"),
    ("content-type", "application/json"),
    ("twinbox-position", "1.1234.1234567"),
];

struct Deaf;

impl ClientContext for Deaf {}

impl ProducerContext for Deaf {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, _: usize) {
        assert!(result.is_ok(), "a record was refused");
    }
}

/// Sends that many records; answers the CPU time of this process meanwhile.
pub(crate) fn alone(brokers: &str, topic: &str, records: u64, cpu: impl Fn() -> Duration) -> Duration {
    let producer: ThreadedProducer<Deaf> = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("linger.ms", "1")
        .set("queue.buffering.max.messages", "10000")
        .create_with_context(Deaf)
        .expect("a producer");
    let payload = vec![b'x'; 256];
    let before = cpu();
    for number in 0..records {
        let key = (number % 10_000).to_string();
        loop {
            let mut headers = OwnedHeaders::new_with_capacity(HEADERS.len());
            for (key, value) in HEADERS {
                headers = headers.insert(Header {
                    key,
                    value: Some(value),
                });
            }
            let record = BaseRecord::with_opaque_to(topic, 0).key(&key).payload(&payload);
            match producer.send(record.headers(headers)) {
                Ok(()) => break,
                Err((error, _)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err((error, _)) => panic!("{error}"),
            }
        }
    }
    producer.flush(Duration::from_mins(1)).expect("all acknowledged");
    cpu().saturating_sub(before)
}
