//! Kafka, through librdkafka.
//!
//! ```text
//!  publish ─▶ traffic ─▶ line (idempotent, gapless producer) ─▶ Kafka
//!               │  ▲          │ delivery reports, errors (poll thread)
//!               │  └ reports ◀┘
//!               └─▶ answers ─▶ receipts
//!            keeper thread: looks topics up, re-reads limits, builds and retires lines, watches for silence
//! ```
//!
//! `traffic` is what we know and have on the way, under one lock that is never held while somebody waits; `keeper` makes
//! every call that may block. A fatal error kills a line, never the publisher: the next line has another generation, and
//! reports of an older one settle nothing (S12).

pub mod config;
mod failure;
mod findings;
mod keeper;
mod limits;
mod line;
mod murmur2;
mod properties;
mod publisher;
mod rejection;
mod reports;
mod slots;
mod stopped;
mod subscription;
mod topics;
mod traffic;
mod wire;

use std::sync::Arc;

use crate::broker::Backend;
use crate::delivery::{Capabilities, Order};

/// Kafka's line in the table of brokers.
pub const BACKEND: Backend = Backend {
    config: config::CONFIG,
    capabilities: Capabilities {
        order: Order::Partition,
        // With `enable.gapless.guarantee` nothing of a run overtakes a message that failed.
        run_max: 10_000,
        message_bytes_max: topics::LIMIT_DEFAULT,
        survives: true,
        tombstones: true,
    },
    open: |settings, context| Ok(Arc::new(publisher::KafkaBroker::open(settings, context)?)),
    subscribe: Some(|settings, context| Ok(Arc::new(subscription::KafkaSubscriber::open(settings, context)?))),
};
