//! The handler contract, P1–P3.
//!
//! A handler says how to reach its application: the toy in `support::application`, whose answers are HTTP.

use std::sync::Arc;
use std::time::{Duration, Instant};

use twinbox::contract::{Attempt, Handler, Identity, Outcome};
use twinbox::delivery::FailureKind;
use twinbox::message::{Body, Content, ContentType, Headers, Key, Message, Origin, Position};
use uuid::Uuid;

use crate::support::application::{Act, Application, Asked, reply};

/// A delivered message with that number, of a key of its own.
pub(crate) fn message(number: u128) -> Message {
    let id = Uuid::from_u128(number);
    let body = format!("{{\"n\":{number}}}");
    Content {
        position: Position::new(0, number as u64, 0),
        id,
        aggregate_type: "order".into(),
        key: Some(Key::from(format!("o-{number}").as_str())),
        kind: "OrderPlaced".into(),
        body: Body::Bytes(body.into()),
        content_type: ContentType::Json,
        headers: Headers::default(),
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
        occurred_at: "2026-01-02T03:04:05Z".parse().expect("a time"),
        replay: None,
        origin: Some(Box::new(Origin {
            topic: "order.events".into(),
            partition: Some(0),
            offset: Some(1),
            source: Some("/shop".into()),
            id_text: None,
            identity: id,
            sent: None,
            stored_at: None,
            flaw: None,
        })),
    }
    .into()
}

/// A first attempt at it.
pub(crate) fn call(number: u128) -> (Message, Attempt) {
    let message = message(number);
    let attempt = Attempt {
        number: 1,
        identity: Identity::of(&message),
        headers: Arc::from([]),
    };
    (message, attempt)
}

/// None = done.
pub(crate) fn kind(outcome: &Outcome) -> Option<FailureKind> {
    match outcome {
        Outcome::Done => None,
        Outcome::Failed(failure) => Some(failure.kind),
    }
}

/// Says yes to odd numbers, in whichever form they come.
pub(crate) fn odd_ones(asked: &Asked) -> Act {
    if asked.header("content-type").is_some_and(|kind| kind.contains("batch")) {
        let items: Vec<serde_json::Value> = serde_json::from_slice(&asked.body).expect("JSON");
        let status = |item: &serde_json::Value| {
            let odd = item["data"]["n"].as_u64().is_some_and(|number| number % 2 == 1);
            let status = if odd { "SUCCESS" } else { "DROP" };
            serde_json::json!({ "entryId": item["id"], "status": status })
        };
        // Backwards: an answer is found by its name, not by its place.
        let statuses: Vec<_> = items.iter().rev().map(status).collect();
        return reply("200 OK", "", &serde_json::json!({ "statuses": statuses }).to_string());
    }
    let body: serde_json::Value = serde_json::from_slice(&asked.body).expect("JSON");
    let odd = body["n"].as_u64().is_some_and(|number| number % 2 == 1);
    reply(if odd { "204 No Content" } else { "422 No" }, "", "")
}

pub(crate) async fn p1_one_outcome_per_message_in_order(handler: &dyn Handler, application: &Application) {
    application.otherwise(odd_ones);
    let most = handler.capacity().batch.max(1) as u128;
    for first in 1..=3 {
        let numbers: Vec<u128> = (first..first + most).collect();
        let outcomes = handler
            .handle(numbers.iter().map(|number| call(*number)).collect())
            .await;
        let expected = numbers
            .iter()
            .map(|number| (number % 2 == 0).then_some(FailureKind::Rejected));
        assert_eq!(
            outcomes.iter().map(kind).collect::<Vec<_>>(),
            expected.collect::<Vec<_>>()
        );
    }
}

pub(crate) async fn p2_done_only_after_the_application_has_said_so(handler: &dyn Handler, application: &Application) {
    for act in [
        Act::SayAndClose(Vec::new()),
        Act::SayAndClose(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf".to_vec()),
        Act::SayAndClose(b"HTTP/1.1 20".to_vec()),
        reply("500 Internal Server Error", "", ""),
        Act::Hang,
    ] {
        application.will([act.clone()]);
        let outcomes = handler.handle(vec![call(1)]).await;
        assert_eq!(outcomes.len(), 1);
        assert_ne!(kind(&outcomes[0]), None, "{act:?}");
    }
}

/// `within` is the handler's deadline.
pub(crate) async fn p3_every_call_ends_and_reads_no_more_than_it_must(
    handler: &dyn Handler,
    application: &Application,
    within: Duration,
) {
    for act in [
        Act::Hang,
        Act::Drip(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n".repeat(9), 20),
        Act::Pour(b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n".to_vec()),
        Act::Pour(b"HTTP/1.1 500 No\r\ntransfer-encoding: chunked\r\n\r\nfffffff\r\n".to_vec()),
    ] {
        application.will([act.clone()]);
        let began = Instant::now();
        handler.handle(vec![call(1)]).await;
        assert!(began.elapsed() < within + Duration::from_secs(5), "{act:?}");
    }
    // What the system's buffers hold, not the two bodies of 1 GiB and 256 MiB.
    assert!(
        application.poured() < 64 << 20,
        "{} bytes were taken",
        application.poured()
    );
}
