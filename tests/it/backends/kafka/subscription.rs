//! Consuming from a real broker: the suite.

use super::Kafka;
use crate::conformance::subscription::{Put, Subject};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use twinbox::broker::SubscribeContext;
use twinbox::contract::{StreamName, Subscriber};
use twinbox::setting::Settings;

const WITHIN: Duration = Duration::from_secs(30);

/// What the broker was told, or none.
pub(super) fn committed(brokers: &str, group: &str, stream: &StreamName) -> Option<i64> {
    let client: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", group)
        .create()
        .expect("a client needs no connection");
    let mut list = TopicPartitionList::new();
    list.add_partition(&stream.topic, stream.partition.unwrap_or_default());
    let found = client.committed_offsets(list, WITHIN).expect("the broker answers");
    match found.elements()[0].offset() {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    }
}

impl Kafka {
    /// A member with settings of its own.
    pub(super) fn member(&self, topics: &[&str], more: Value, context: SubscribeContext) -> Arc<dyn Subscriber> {
        let mut settings = json!({ "brokers": [self.cluster.brokers], "topics": topics });
        let (Some(object), Value::Object(more)) = (settings.as_object_mut(), more) else {
            panic!("settings are an object")
        };
        object.extend(more);
        let backend = twinbox::broker::backend("kafka").expect("it is built in");
        let subscribe = backend.subscribe.expect("it can be consumed from");
        subscribe(&Settings::new(settings), context).expect("the settings fit")
    }

    /// Puts messages into a partition. Blocks.
    pub(super) fn produce(&self, stream: &StreamName, messages: &[Put]) {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &self.cluster.brokers)
            .set("enable.idempotence", "true")
            .create()
            .expect("a client needs no connection");
        for put in messages {
            let headers = put.headers.iter().fold(OwnedHeaders::new(), |headers, (name, value)| {
                headers.insert(Header {
                    key: name,
                    value: Some(value),
                })
            });
            let mut record = BaseRecord::<[u8], [u8]>::to(&stream.topic)
                .partition(stream.partition.unwrap_or_default())
                .headers(headers);
            record.key = put.key.as_deref();
            record.payload = put.value.as_deref();
            producer.send(record).expect("the queue has room");
        }
        producer.flush(WITHIN).expect("the broker takes them");
    }
}

impl Subject for Kafka {
    async fn streams(&self, count: usize) -> Vec<StreamName> {
        let count = i32::try_from(count).expect("a few");
        let topic: Arc<str> = self.topic(count, &[]).await.into();
        (0..count)
            .map(|partition| StreamName {
                topic: Arc::clone(&topic),
                partition: Some(partition),
            })
            .collect()
    }

    fn subscriber(&self, streams: &[StreamName], context: SubscribeContext) -> Arc<dyn Subscriber> {
        self.member(&[&*streams[0].topic], json!({}), context)
    }

    async fn put(&self, stream: &StreamName, messages: Vec<Put>) {
        tokio::task::block_in_place(|| self.produce(stream, &messages));
    }

    async fn committed(&self, group: &str, stream: &StreamName) -> Option<i64> {
        tokio::task::block_in_place(|| committed(&self.cluster.brokers, group, stream))
    }
}

crate::subscription_suite!(Kafka::open);
