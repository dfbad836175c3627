//! Apache Kafka: the suite on a real broker, and what only a real broker shows.

use crate::conformance::desk::context;
use crate::conformance::publisher::{Stored, Subject};
use crate::support::kafka::Kafka as Cluster;
use crate::support::ledger::observer::{self, Record};
use crate::support::live;
use serde_json::{Value, json};
use std::sync::Arc;
use twinbox::broker::OpenContext;
use twinbox::contract::Broker;
use twinbox::delivery::Order;
use twinbox::setting::Settings;
use uuid::Uuid;

mod encryption;
mod limits;
mod outages;
mod reading;
mod rights;
mod subscription;
mod topics;

/// Enough partitions that keys meet and part.
const PARTITIONS: i32 = 4;

pub(crate) struct Kafka {
    pub(crate) cluster: Cluster,
}

impl Kafka {
    fn open(test: &str) -> Option<Self> {
        live::kafka(test).map(|brokers| Self::at(&brokers))
    }

    fn at(brokers: &str) -> Self {
        let cluster = Cluster::at(brokers);
        Self { cluster }
    }

    /// A broker with settings and a context of its own.
    fn with(&self, more: Value, change: impl FnOnce(&mut OpenContext)) -> Arc<dyn Broker> {
        let mut settings = json!({ "brokers": [self.cluster.brokers] });
        let (Some(object), Value::Object(more)) = (settings.as_object_mut(), more) else {
            panic!("settings are an object")
        };
        object.extend(more);
        let mut context = context();
        change(&mut context);
        let backend = twinbox::broker::backend("kafka").expect("it is built in");
        (backend.open)(&Settings::new(settings), context).expect("the settings fit")
    }

    async fn topic(&self, partitions: i32, settings: &[(&str, &str)]) -> String {
        let name = format!("conformance-{}", Uuid::new_v4().simple());
        self.cluster.create_topic(&name, partitions, settings).await;
        name
    }

    fn records(&self, topic: &str) -> Vec<Record> {
        tokio::task::block_in_place(|| observer::read_all(&self.cluster.brokers, &[topic.to_owned()]))
    }
}

impl Subject for Kafka {
    fn broker(&self) -> Arc<dyn Broker> {
        self.with(json!({}), |_| {})
    }

    async fn destination(&self, limit: Option<u32>) -> String {
        let limit = limit.unwrap_or(1_048_588).to_string();
        self.topic(PARTITIONS, &[("max.message.bytes", &limit)]).await
    }

    fn stored(&self, topic: &str) -> Vec<Stored> {
        self.records(topic).into_iter().map(stored).collect()
    }

    fn exists(&self, topic: &str) -> bool {
        tokio::task::block_in_place(|| observer::exists(&self.cluster.brokers, topic))
    }

    fn mute(&self, _: &str) -> Arc<dyn Broker> {
        // A port where nobody listens.
        self.with(json!({ "brokers": ["127.0.0.1:1"] }), |_| {})
    }
}

fn stored(record: Record) -> Stored {
    let headers = record.headers.into_iter();
    Stored {
        key: record.key,
        value: record.value,
        headers: headers.map(|(name, value)| (name, value.unwrap_or_default())).collect(),
    }
}

#[test]
fn kafka_declares_what_it_can_do() {
    let capabilities = Kafka::at("127.0.0.1:1").broker().capabilities();
    assert_eq!(capabilities.order, Order::Partition);
    assert!(capabilities.run_max > 1);
    assert!(capabilities.survives);
    assert!(capabilities.tombstones);
    assert_eq!(capabilities.message_bytes_max, 1_048_588);
}

crate::publisher_suite!(Kafka::open);
