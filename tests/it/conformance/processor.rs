//! P1–P5 of `contract::Processor`, for every kind of handler.
//!
//! A handler of this suite appends the message's id to what it has seen of the message's key; it refuses messages of the
//! type [`REFUSED`].

use std::sync::Arc;

use jiff::Timestamp;
use twinbox::contract::{Fence, Outbound, Processed, Processor, StreamName, Ticket, Work};
use twinbox::delivery::{Address, Destination};
use twinbox::message::{Body, Content, ContentType, Headers, Key, Message, Origin, Position};
use uuid::Uuid;

/// The type of messages that the handler refuses.
pub(crate) const REFUSED: &str = "refused";
pub(crate) const TOPIC: &str = "orders";

/// Where a processor works, and what can be seen of it by other eyes than its own.
pub(crate) trait Workplace {
    fn processor(&self) -> &dyn Processor;

    /// The stream's owner.
    fn fence(&self) -> Arc<Fence>;

    /// Somebody else takes the stream: the fence does not hold any more.
    async fn usurp(&self);

    /// Effects of that key that are durable, in the order in which they were made.
    async fn effects(&self, key: &str) -> Vec<Uuid>;

    /// How many inbox rows there are.
    async fn remembered(&self) -> i64;

    /// The same processor after a crash of its process.
    fn restarted(&self) -> Box<dyn Processor>;
}

/// A message of that key and type at that offset.
pub(crate) fn delivery(offset: u64, key: Option<&str>, kind: &str) -> Outbound {
    let id = Uuid::now_v7();
    let content = Content {
        position: Position::new(0, offset, 0),
        id,
        aggregate_type: "order".into(),
        key: key.map(Key::from),
        kind: kind.into(),
        body: Body::Bytes(format!(r#"{{"offset": {offset}}}"#).into()),
        content_type: ContentType::Json,
        headers: Headers::default(),
        traceparent: None,
        occurred_at: Timestamp::UNIX_EPOCH,
        replay: None,
        origin: Some(Box::new(Origin {
            topic: TOPIC.into(),
            partition: Some(0),
            offset: Some(offset.cast_signed()),
            source: Some("/shop".into()),
            id_text: None,
            identity: id,
            sent: None,
            stored_at: None,
            flaw: None,
        })),
    };
    outbound(content)
}

/// A message with other content.
pub(crate) fn changed(from: &Outbound, change: impl FnOnce(&mut Content)) -> Outbound {
    let mut content = Content {
        position: from.message.position,
        id: from.message.id,
        aggregate_type: from.message.aggregate_type.clone(),
        key: from.message.key.clone(),
        kind: from.message.kind.clone(),
        body: from.message.body.clone(),
        content_type: from.message.content_type,
        headers: from.message.headers.clone(),
        traceparent: from.message.traceparent.clone(),
        occurred_at: from.message.occurred_at,
        replay: from.message.replay,
        origin: from.message.origin.clone(),
    };
    change(&mut content);
    outbound(content)
}

fn outbound(content: Content) -> Outbound {
    let destination: Destination = [TOPIC, "0"].into_iter().collect();
    Outbound {
        ticket: Ticket(content.position.major),
        address: Address {
            destination,
            key: content.key.clone(),
            headers: [].into(),
        },
        message: Message::from(content),
        attempt: 1,
    }
}

pub(crate) fn stream() -> StreamName {
    StreamName {
        topic: TOPIC.into(),
        partition: Some(0),
    }
}

pub(crate) async fn process(place: &impl Workplace, messages: &[Outbound]) -> Vec<Processed> {
    let work = Work {
        fence: place.fence(),
        mark: None,
        messages: messages.to_vec(),
    };
    place.processor().process(work).await
}

fn ids(messages: &[Outbound]) -> Vec<Uuid> {
    messages.iter().map(|one| one.message.id).collect()
}

fn failed(answer: &Processed) -> bool {
    matches!(answer, Processed::Failed(_))
}

pub(crate) async fn p1_one_answer_per_message_in_the_batchs_order(place: &impl Workplace) {
    let plan = [
        ("a", "made"),
        ("b", REFUSED),
        ("c", "made"),
        ("d", REFUSED),
        ("e", "made"),
    ];
    let batch: Vec<Outbound> = (1..)
        .zip(plan)
        .map(|(offset, (key, kind))| delivery(offset, Some(key), kind))
        .collect();
    let answers = process(place, &batch).await;
    assert_eq!(answers.len(), batch.len());
    for (answer, (key, kind)) in answers.iter().zip(plan) {
        assert_eq!(failed(answer), kind == REFUSED, "{key}: {answer:?}");
    }
    assert!(process(place, &[]).await.is_empty(), "no message, no answer");
}

pub(crate) async fn p2_what_was_done_is_a_duplicate_afterwards(place: &impl Workplace) {
    let batch: Vec<Outbound> = (1..=20).map(|offset| delivery(offset, Some("a"), "made")).collect();
    assert_eq!(process(place, &batch).await, vec![Processed::Done; 20]);
    assert_eq!(place.effects("a").await, ids(&batch));
    let work = Work {
        fence: place.fence(),
        mark: None,
        messages: batch.clone(),
    };
    assert_eq!(place.restarted().process(work).await, vec![Processed::Duplicate; 20]);
    assert_eq!(place.effects("a").await, ids(&batch), "nothing was called twice");
}

pub(crate) async fn p3_a_failure_stops_its_lane(place: &impl Workplace) {
    let kinds = ["made", "made", REFUSED, "made", REFUSED, "made"];
    let batch: Vec<Outbound> = (1..)
        .zip(kinds)
        .map(|(offset, kind)| delivery(offset, Some("a"), kind))
        .collect();
    let answers = process(place, &batch).await;
    assert_eq!(answers[..2], [Processed::Done, Processed::Done]);
    assert!(failed(&answers[2]), "{answers:?}");
    assert!(
        answers[3..]
            .iter()
            .all(|answer| failed(answer) || *answer == Processed::Held),
        "{answers:?}"
    );
    assert_eq!(place.effects("a").await, ids(&batch[..2]));
    // It can be done afterwards: nothing remembers it as done.
    let mended = changed(&batch[2], |content| content.kind = "made".into());
    assert_eq!(
        process(place, &[mended, batch[3].clone()]).await,
        [Processed::Done, Processed::Done]
    );
    assert_eq!(place.effects("a").await, ids(&batch[..4]));
}

pub(crate) async fn p4_a_failing_message_holds_no_other_lane_up(place: &impl Workplace) {
    let keys: Vec<String> = (0..30).map(|n| format!("key {}", n % 10)).collect();
    let kind = |n: usize| if n == 13 { REFUSED } else { "made" };
    let batch: Vec<Outbound> = keys
        .iter()
        .enumerate()
        .map(|(n, key)| delivery(n as u64, Some(key), kind(n)))
        .collect();
    let answers = process(place, &batch).await;
    for (n, answer) in answers.iter().enumerate() {
        match n {
            13 => assert!(failed(answer), "{answer:?}"),
            23 => assert_eq!(*answer, Processed::Held),
            _ => assert_eq!(*answer, Processed::Done, "{n}"),
        }
    }
    for lane in 0..10 {
        let own = batch
            .iter()
            .enumerate()
            .filter(|(n, _)| n % 10 == lane && *n != 13 && *n != 23);
        let expected: Vec<Uuid> = own.map(|(_, one)| one.message.id).collect();
        assert_eq!(place.effects(&format!("key {lane}")).await, expected);
    }
}

pub(crate) async fn p5_under_a_lost_fence_nothing_becomes_durable(place: &impl Workplace) {
    place.usurp().await;
    let batch: Vec<Outbound> = (1..=5).map(|offset| delivery(offset, Some("a"), "made")).collect();
    assert_eq!(process(place, &batch).await, vec![Processed::Fenced; 5]);
    assert_eq!(place.remembered().await, 0);
}
