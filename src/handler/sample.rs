//! Messages as a broker delivers them, for the tests of this folder.

use std::sync::Arc;

use uuid::Uuid;

use crate::contract::{Attempt, Identity};
use crate::message::{Body, Content, ContentType, Headers, Key, Message, Origin, Position};

/// A message of an order, with these headers.
pub(super) fn message(body: &str, headers: &[(&str, &str)]) -> Message {
    content(body, headers).into()
}

/// The same, to be changed.
pub(super) fn content(body: &str, headers: &[(&str, &str)]) -> Content {
    let id = Uuid::from_u128(7);
    Content {
        position: Position::new(0, 42, 0),
        id,
        aggregate_type: "order".into(),
        key: Some(Key::from("o-1")),
        kind: "OrderPlaced".into(),
        body: Body::Bytes(body.to_owned().into()),
        content_type: ContentType::Json,
        headers: headers
            .iter()
            .map(|(name, value)| (Box::from(*name), Box::from(*value)))
            .collect::<Headers>(),
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
        occurred_at: "2026-01-02T03:04:05.5Z".parse().expect("a time"),
        replay: None,
        origin: Some(Box::new(Origin {
            topic: "order.events".into(),
            partition: Some(3),
            offset: Some(42),
            source: Some("/shop".into()),
            id_text: None,
            identity: id,
            sent: Some(Position::new(1, 2, 3)),
            stored_at: None,
            flaw: None,
        })),
    }
}

/// The first attempt at it.
pub(super) fn first(message: &Message) -> Attempt {
    Attempt {
        number: 1,
        identity: Identity::of(message),
        headers: Arc::from([]),
    }
}
