//! The memory broker: the reference passes every suite, with runs of one and of many.

use crate::conformance::desk::context;
use crate::conformance::publisher::{Stored, Subject};
use std::sync::Arc;
use twinbox::broker::memory::{Cluster, Fault, MemoryBroker, Record, When};
use twinbox::contract::Broker;
use twinbox::delivery::Order;

struct Memory {
    cluster: Cluster,
    run_max: u32,
}

impl Memory {
    fn new(run_max: u32) -> Self {
        let cluster = Cluster::new();
        Self { cluster, run_max }
    }
}

impl Subject for Memory {
    fn broker(&self) -> Arc<dyn Broker> {
        Arc::new(MemoryBroker::new(self.cluster.clone(), &context()).with_run(self.run_max))
    }

    async fn destination(&self, limit: Option<u32>) -> String {
        let topic = format!("t{}", self.cluster.topics().len());
        match limit {
            Some(limit) => self.cluster.create_with(&topic, limit.into()),
            None => self.cluster.create(&topic),
        }
        topic
    }

    fn stored(&self, topic: &str) -> Vec<Stored> {
        self.cluster.records(topic).into_iter().map(stored).collect()
    }

    fn exists(&self, topic: &str) -> bool {
        self.cluster.topics().iter().any(|known| known == topic)
    }

    fn mute(&self, topic: &str) -> Arc<dyn Broker> {
        self.cluster
            .script(When::Topic(topic.to_owned()), Fault::Hold, u32::MAX);
        self.broker()
    }
}

fn stored(record: Record) -> Stored {
    let headers = record.headers.into_iter();
    Stored {
        key: record.key.map(Into::into),
        value: record.value.map(Into::into),
        headers: headers.map(|(name, value)| (name, value.into())).collect(),
    }
}

#[test]
fn the_memory_broker_declares_what_it_can_do() {
    let capabilities = Memory::new(1).broker().capabilities();
    assert_eq!(capabilities.order, Order::Partition);
    assert_eq!(capabilities.run_max, 1);
    assert!(!capabilities.survives);
    assert!(capabilities.tombstones);
}

mod runs_of_one {
    crate::publisher_suite!(|_: &str| Some(super::Memory::new(1)));
}

mod runs_of_many {
    crate::publisher_suite!(|_: &str| Some(super::Memory::new(10_000)));
}

mod faults;
mod subscription;
