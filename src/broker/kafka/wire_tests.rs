//! Sizes, names and refusals that need no broker. The live suite shows that the size is the broker's.

use std::sync::Arc;

use bytes::Bytes;
use rdkafka::message::Headers as _;
use uuid::Uuid;

use super::*;
use crate::broker::Envelope;
use crate::contract::Ticket;
use crate::delivery::Address;
use crate::message::{Content, ContentType, Headers, Message, Position};

fn outbound(body: Body, headers: &[(&str, &str)]) -> Outbound {
    let headers: Headers = headers
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect();
    Outbound {
        ticket: Ticket(1),
        attempt: 1,
        message: Message::from(Content {
            position: Position::new(1, 2, 3),
            id: Uuid::from_u128(1),
            aggregate_type: "order".into(),
            key: None,
            kind: "OrderPlaced".into(),
            body,
            content_type: ContentType::Binary,
            headers,
            traceparent: None,
            occurred_at: "2026-11-23T10:00:00Z".parse().unwrap(),
            replay: None,
            origin: None,
        }),
        address: Address {
            destination: ["t"].into_iter().collect(),
            key: None,
            headers: Arc::default(),
        },
    }
}

fn encoder() -> Encoder {
    Encoder::new(Envelope::Debezium, "/s")
}

#[test]
fn varints_have_kafkas_lengths() {
    for (number, bytes) in [
        (0, 1),
        (63, 1),
        (64, 2),
        (8191, 2),
        (8192, 3),
        (1_048_575, 3),
        (1_048_576, 4),
    ] {
        assert_eq!(varint(number), bytes, "{number}");
    }
}

#[test]
fn a_record_has_the_size_of_a_batch_of_its_own() {
    let record = encode(&encoder(), &outbound(Body::Bytes(Bytes::from_static(b"12345")), &[])).unwrap();
    // Headers `id` (36 characters) and `twinbox-position` (5): a length of a byte before each name and value.
    let headers = (1 + 2 + 1 + 36) + (1 + 16 + 1 + 5);
    let record_bytes = 3 + 1 + (1 + 5) + 1 + headers;
    assert_eq!(record_bytes, 74);
    // 74 needs two bytes of varint.
    assert_eq!(record.bytes, 61 + 2 + 74);
    assert_eq!(record.headers.count(), 2);
}

#[test]
fn a_null_costs_what_an_empty_value_costs() {
    let null = encode(&encoder(), &outbound(Body::Null, &[])).unwrap();
    let empty = encode(&encoder(), &outbound(Body::Bytes(Bytes::new()), &[])).unwrap();
    assert_eq!(null.bytes, empty.bytes);
}

#[test]
fn what_cannot_be_sent_is_a_failure_of_the_message() {
    let raw = Encoder::new(Envelope::Raw, "/s");
    for (outbound, code) in [
        (outbound(Body::Withheld { bytes: 1 << 40 }, &[]), "PayloadWithheld"),
        (outbound(Body::Null, &[("a\0b", "x")]), "HeaderName"),
    ] {
        let failure = encode(&raw, &outbound).err().unwrap();
        assert_eq!((failure.kind, &*failure.code), (FailureKind::Message, code));
    }
}

#[test]
fn topic_names_are_kafkas() {
    for name in ["a", "order.events", "A-b_c.9", "...", &"x".repeat(249)] {
        assert!(legal_topic(name), "{name}");
    }
    for name in ["", ".", "..", "a b", "ä", "a/b", "a\0", "a:b", &"x".repeat(250)] {
        assert!(!legal_topic(name), "{name}");
    }
}
