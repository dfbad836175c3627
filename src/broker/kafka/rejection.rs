//! What a dead letter on Kafka says, in the words of those who read such topics: share groups (KIP-1191) and Spring.
//!
//! A relay's dead letter never stood in a topic, so there is no original partition and no original offset to name. Spring's
//! partition and offset are not written: they are binary numbers, and these are texts.

use std::sync::Arc;

use crate::broker::Diagnosis;
use crate::contract::Rejection;

/// All headers that describe the failure.
pub(super) fn headers(rejection: &Rejection<'_>) -> Arc<[(Box<str>, Box<str>)]> {
    let mut diagnosis = Diagnosis::of(rejection);
    let origin = rejection.message.origin.as_deref();
    let topic = match origin {
        Some(origin) => origin.topic.to_string(),
        None => rejection.from.destination.to_string(),
    };
    let message = diagnosis.message.clone();
    diagnosis.say("__dlq.errors.topic", &topic);
    if let Some(partition) = origin.and_then(|origin| origin.partition) {
        diagnosis.say("__dlq.errors.partition", &partition.to_string());
    }
    if let Some(offset) = origin.and_then(|origin| origin.offset) {
        diagnosis.say("__dlq.errors.offset", &offset.to_string());
    }
    diagnosis.say("__dlq.errors.delivery.count", &rejection.attempts.to_string());
    diagnosis.say("__dlq.errors.message", &message);
    diagnosis.say("kafka_dlt-original-topic", &topic);
    diagnosis.say("kafka_dlt-exception-fqcn", &rejection.failure.code);
    diagnosis.say("kafka_dlt-exception-message", &message);
    diagnosis.into_headers()
}
