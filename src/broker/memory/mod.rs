//! The reference broker: inside this process, and does on demand what brokers do by accident.
//!
//! It passes every suite, with runs of one and of many messages, and is what the relay's own tests run against. Tests
//! make a [`Cluster`], create topics, script faults, read what was stored; a relay configured `to: { memory: {} }` gets
//! the cluster of its name, which creates topics by itself.

mod cluster;
pub mod config;
mod groups;
mod publisher;
mod subscription;

use std::sync::Arc;

pub use cluster::{Cluster, Fault, Record, When};
pub use publisher::MemoryBroker;
pub use subscription::MemorySubscriber;

use crate::broker::{Backend, SubscribeContext};
use crate::contract::Subscriber;
use crate::delivery::{Capabilities, Failure, FailureKind, Order};
use crate::setting::Settings;

/// The memory broker's line in the table of brokers.
pub const BACKEND: Backend = Backend {
    config: config::CONFIG,
    capabilities: Capabilities {
        order: Order::Partition,
        run_max: 10_000,
        message_bytes_max: cluster::LIMIT_DEFAULT,
        survives: false,
        tombstones: true,
    },
    open: |_, context| {
        let cluster = Cluster::named(&context.name);
        Ok(Arc::new(MemoryBroker::new(cluster, &context)))
    },
    subscribe: Some(subscribe),
};

fn subscribe(settings: &Settings, context: SubscribeContext) -> Result<Arc<dyn Subscriber>, Failure> {
    let config: config::MemoryConsumeConfig = settings
        .read()
        .map_err(|error| Failure::new(FailureKind::Destination, "Settings", error.to_string()))?;
    let name = if config.cluster.is_empty() {
        &context.name
    } else {
        &config.cluster
    };
    let cluster = Cluster::named(name);
    Ok(Arc::new(MemorySubscriber::new(cluster, config, context)))
}
