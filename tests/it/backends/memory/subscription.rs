//! Consuming from the memory broker: the reference passes the suite.

use crate::conformance::subscription::{Put, Subject};
use bytes::Bytes;
use std::sync::Arc;
use twinbox::broker::SubscribeContext;
use twinbox::broker::memory::config::MemoryConsumeConfig;
use twinbox::broker::memory::{Cluster, MemorySubscriber, Record};
use twinbox::contract::{StreamName, Subscriber};

struct Memory(Cluster);

impl Subject for Memory {
    async fn streams(&self, count: usize) -> Vec<StreamName> {
        let streams = (0..count).map(|n| StreamName {
            topic: format!("t{n}").into(),
            partition: None,
        });
        streams.inspect(|stream| self.0.create(&stream.topic)).collect()
    }

    fn subscriber(&self, streams: &[StreamName], context: SubscribeContext) -> Arc<dyn Subscriber> {
        let config = MemoryConsumeConfig {
            cluster: String::new(),
            topics: streams.iter().map(|stream| stream.topic.to_string()).collect(),
            group: String::new(),
        };
        Arc::new(MemorySubscriber::new(self.0.clone(), config, context))
    }

    async fn put(&self, stream: &StreamName, messages: Vec<Put>) {
        for put in messages {
            let headers = put.headers.into_iter();
            let record = Record {
                key: put.key.map(Bytes::from),
                value: put.value.map(Bytes::from),
                headers: headers.map(|(name, value)| (name, value.into())).collect(),
            };
            self.0.store(&stream.topic, record);
        }
    }

    async fn committed(&self, group: &str, stream: &StreamName) -> Option<i64> {
        self.0.committed(group, &stream.topic)
    }
}

crate::subscription_suite!(|_: &str| Some(Memory(Cluster::new())));
