//! What a dead letter on Kafka says, in the words of those who read such topics: share groups (KIP-1191) and Spring.
//!
//! A relay's dead letter never stood in a topic, so there is no original partition and no original offset to name.

use std::sync::Arc;

use crate::broker::Diagnosis;
use crate::contract::Rejection;

/// All headers that describe the failure.
pub(super) fn headers(rejection: &Rejection<'_>) -> Arc<[(Box<str>, Box<str>)]> {
    let mut diagnosis = Diagnosis::of(rejection);
    let topic = rejection.from.destination.to_string();
    let message = diagnosis.message.clone();
    diagnosis.say("__dlq.errors.topic", &topic);
    diagnosis.say("__dlq.errors.delivery.count", &rejection.attempts.to_string());
    diagnosis.say("__dlq.errors.message", &message);
    diagnosis.say("kafka_dlt-original-topic", &topic);
    diagnosis.say("kafka_dlt-exception-fqcn", &rejection.failure.code);
    diagnosis.say("kafka_dlt-exception-message", &message);
    diagnosis.into_headers()
}
