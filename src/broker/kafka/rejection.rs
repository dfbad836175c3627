//! What a dead letter on Kafka says, in the words of those who read such topics: share groups (KIP-1191) and Spring.
//!
//! A relay's dead letter never stood in a topic, so there is no original partition and no original offset to name.

use std::sync::Arc;

use crate::broker::rejection::{self, message, push};
use crate::contract::Rejection;

/// All headers that describe the failure.
pub(super) fn headers(rejection: &Rejection<'_>) -> Arc<[(Box<str>, Box<str>)]> {
    let mut headers = rejection::headers(rejection);
    let topic = rejection.from.destination.to_string();
    let text = message(rejection);
    push(&mut headers, "__dlq.errors.topic", &topic);
    push(
        &mut headers,
        "__dlq.errors.delivery.count",
        &rejection.attempts.to_string(),
    );
    push(&mut headers, "__dlq.errors.message", text);
    push(&mut headers, "kafka_dlt-original-topic", &topic);
    push(&mut headers, "kafka_dlt-exception-fqcn", &rejection.failure.code);
    push(&mut headers, "kafka_dlt-exception-message", text);
    headers.into()
}
