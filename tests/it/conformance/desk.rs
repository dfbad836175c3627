//! A publisher with a caller that keeps its promises: tickets once, receipts collected, every wait bounded.

use crate::support::wait::PATIENCE;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use twinbox::broker::{Envelope, OpenContext, STALL_DEFAULT};
use twinbox::contract::{Answer, Broker, Outbound, Publisher, Receipt, Ticket};
use twinbox::delivery::{Address, FailureKind};
use twinbox::message::{Body, Content, ContentType, Headers, Key, Message, Position};
use uuid::Uuid;

/// What a relay called `conformance` hands to a broker.
#[must_use]
pub(crate) fn context() -> OpenContext {
    OpenContext {
        name: "conformance".into(),
        source: "/twinbox/conformance".into(),
        envelope: Envelope::CloudEvents,
        in_flight: 10_000,
        bytes: 32 << 20,
        stall: STALL_DEFAULT,
        environment: Arc::new(|_| None),
    }
}

/// The `n`th message: its number is in its position and in its id.
#[must_use]
pub(crate) fn content(n: u64, key: Option<&str>, payload: &[u8]) -> Content {
    Content {
        position: Position::new(1, 7, n),
        id: Uuid::from_u128(0x0195_0000_0000_7000_8000_0000_0000_0000 + u128::from(n)),
        aggregate_type: "order".into(),
        key: key.map(Key::from),
        kind: "OrderPlaced".into(),
        body: Body::Bytes(Bytes::copy_from_slice(payload)),
        content_type: ContentType::Json,
        headers: Headers::default(),
        traceparent: None,
        occurred_at: "2026-11-23T10:00:00.5Z".parse().expect("a time"),
        replay: None,
        origin: None,
    }
}

/// A publisher and everything it has answered.
pub(crate) struct Desk {
    pub(crate) publisher: Arc<dyn Publisher>,
    pub(crate) receipts: BTreeMap<u64, Receipt>,
    run_max: usize,
    next: u64,
}

impl Desk {
    pub(crate) async fn open(broker: &dyn Broker) -> Self {
        Self {
            publisher: broker.publisher().await.expect("a publisher opens"),
            receipts: BTreeMap::new(),
            run_max: broker.capabilities().run_max as usize,
            next: 1,
        }
    }

    /// Whether messages of one lane may be handed over together.
    pub(crate) fn runs(&self) -> bool {
        self.run_max > 1
    }

    /// Hands a batch over to one topic; answers the tickets, in the batch's order.
    pub(crate) async fn hand_over(&mut self, topic: &str, batch: Vec<Content>) -> Vec<u64> {
        let messages = batch.into_iter().map(|content| (topic.to_owned(), content));
        self.hand_over_to(messages.collect()).await
    }

    /// The same, each message with its topic.
    pub(crate) async fn hand_over_to(&mut self, batch: Vec<(String, Content)>) -> Vec<u64> {
        let first = self.next;
        self.next += batch.len() as u64;
        let outbound = (first..).zip(batch).map(|(ticket, (topic, content))| {
            let message = Message::from(content);
            let address = Address {
                destination: [topic].into_iter().collect(),
                key: message.key.clone(),
                headers: Arc::default(),
            };
            let ticket = Ticket(ticket);
            Outbound {
                ticket,
                attempt: 1,
                message,
                address,
            }
        });
        self.publisher.publish(outbound.collect()).await;
        (first..self.next).collect()
    }

    /// Hands over and waits for all answers, in the batch's order.
    pub(crate) async fn send(&mut self, topic: &str, batch: Vec<Content>) -> Vec<Receipt> {
        let tickets = self.hand_over(topic, batch).await;
        self.answers(&tickets).await
    }

    /// The receipts of these tickets.
    pub(crate) async fn answers(&mut self, tickets: &[u64]) -> Vec<Receipt> {
        while !tickets.iter().all(|ticket| self.receipts.contains_key(ticket)) {
            let missing = tickets
                .iter()
                .filter(|ticket| !self.receipts.contains_key(ticket))
                .count();
            let receipts = self.publisher.receipts();
            let answers = tokio::time::timeout(PATIENCE, receipts).await;
            self.take(answers.unwrap_or_else(|_| panic!("{missing} tickets are not answered")));
        }
        tickets.iter().map(|ticket| self.receipts[ticket].clone()).collect()
    }

    /// Closes, and takes what is answered by that.
    pub(crate) async fn close(&mut self, deadline: Duration) {
        let answers = self.publisher.close(deadline).await;
        self.take(answers);
    }

    /// How many tickets were given out.
    pub(crate) fn given(&self) -> u64 {
        self.next - 1
    }

    fn take(&mut self, answers: Vec<Answer>) {
        assert!(
            !answers.is_empty() || self.given() == self.receipts.len() as u64,
            "receipts woke without one"
        );
        for answer in answers {
            let before = self.receipts.insert(answer.ticket.0, answer.receipt);
            assert_eq!(before, None, "{:?} is answered twice", answer.ticket);
        }
    }
}

/// The kind of a failure; none for other receipts.
#[must_use]
pub(crate) fn kind(receipt: &Receipt) -> Option<FailureKind> {
    match receipt {
        Receipt::Failed(failure) => Some(failure.kind),
        Receipt::Durable | Receipt::NotAttempted => None,
    }
}

/// Lanes with what is still to be sent, head first.
pub(crate) type Lanes = BTreeMap<String, VecDeque<Content>>;

impl Desk {
    /// Sends lanes as a relay does: a run each, its failed rest from the head again. Answers the numbers of the messages
    /// that were refused for good.
    ///
    /// # Panics
    /// When a message is durable although one before it in its run was refused: order is broken then.
    pub(crate) async fn deliver(&mut self, topic: &str, lanes: &mut Lanes) -> Vec<u64> {
        let mut refused = Vec::new();
        while lanes.values().any(|lane| !lane.is_empty()) {
            refused.extend(self.deliver_once(topic, lanes).await);
        }
        refused
    }

    async fn deliver_once(&mut self, topic: &str, lanes: &mut Lanes) -> Vec<u64> {
        let mut refused = Vec::new();
        let batch: Vec<Content> = lanes.values().flatten().map(copy).collect();
        let mut receipts = self.send(topic, batch).await.into_iter();
        for (key, lane) in lanes.iter_mut() {
            let run: Vec<Receipt> = receipts.by_ref().take(lane.len()).collect();
            let failed = run.iter().position(|receipt| *receipt != Receipt::Durable);
            let Some(failed) = failed else {
                lane.clear();
                continue;
            };
            let overtook = run[failed..].iter().position(|receipt| *receipt == Receipt::Durable);
            assert_eq!(overtook, None, "lane {key}: {:?}", run[failed]);
            lane.drain(..failed);
            if kind(&run[failed]) == Some(FailureKind::Message) {
                refused.extend(lane.pop_front().map(|content| content.position.minor));
            }
        }
        refused
    }
}

fn copy(content: &Content) -> Content {
    Content {
        position: content.position,
        id: content.id,
        aggregate_type: Arc::clone(&content.aggregate_type),
        key: content.key.clone(),
        kind: Arc::clone(&content.kind),
        body: content.body.clone(),
        content_type: content.content_type,
        headers: content.headers.clone(),
        traceparent: content.traceparent.clone(),
        occurred_at: content.occurred_at,
        replay: content.replay,
        origin: None,
    }
}
