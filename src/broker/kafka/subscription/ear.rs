//! What librdkafka calls while it is polled: partitions come and go, errors are told.
//!
//! Promises: nothing here waits for anybody's work. An assignment is answered at once, with no partition to fetch; a
//! revocation is answered when its streams are released, unless they are lost already.

use std::sync::Arc;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::{RDKafkaErrorCode as Code, RDKafkaRespErr};

use super::board::Board;
use crate::contract::StreamName;

/// The ear of a member.
pub(super) struct Ear(pub(super) Arc<Board>);

/// The member's client.
pub(super) type Client = BaseConsumer<Ear>;

// === impl Ear ===

impl ClientContext for Ear {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        match level {
            RDKafkaLogLevel::Debug | RDKafkaLogLevel::Info => tracing::trace!(facility, line, "librdkafka"),
            _ => tracing::debug!(facility, line, "librdkafka"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
        tracing::debug!(?code, reason, "librdkafka");
        self.0.error(code, reason);
    }
}

impl ConsumerContext for Ear {
    fn rebalance(&self, client: &Client, event: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let names: Vec<_> = list
            .elements()
            .iter()
            .map(|element| StreamName {
                topic: element.topic().into(),
                partition: Some(element.partition()),
            })
            .collect();
        if event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            // Answered at once; each is fetched from its `begin` on.
            if let Err(error) = client.incremental_assign(&TopicPartitionList::new()) {
                tracing::debug!(%error, "the assignment was not taken");
            }
            self.0.assigned(names);
        } else if client.assignment_lost() || self.0.leaves() {
            self.0.lost(client, &names);
        } else {
            self.0.revoked(client, &names);
        }
    }
}
