//! Who waits for a receipt waits for nobody else's.

use std::sync::Mutex as StdMutex;

use jiff::Timestamp;
use tokio::sync::{Mutex, mpsc, watch};
use uuid::Uuid;

use super::*;
use crate::contract::{Answer, Boxed};
use crate::delivery::Address;
use crate::message::{Body, Content, ContentType, Headers, Message, Position};

/// Takes what it is given, and answers when the test says so.
struct Scripted {
    taken: StdMutex<HashMap<Uuid, Ticket>>,
    count: watch::Sender<usize>,
    /// Messages of these ids are never taken: the client has no room.
    full: Option<Uuid>,
    answers: Mutex<mpsc::Receiver<Vec<Answer>>>,
}

struct Wire {
    publisher: Arc<Scripted>,
    post: Arc<Post>,
    answers: mpsc::Sender<Vec<Answer>>,
}

// === impl Scripted ===

impl Publisher for Scripted {
    fn publish(&self, batch: Vec<Outbound>) -> Boxed<'_, ()> {
        Box::pin(async move {
            for outbound in batch {
                if self.full == Some(outbound.message.id) {
                    std::future::pending::<()>().await;
                }
                self.taken.lock().unwrap().insert(outbound.message.id, outbound.ticket);
                self.count.send_modify(|count| *count += 1);
            }
        })
    }

    fn receipts(&self) -> Boxed<'_, Vec<Answer>> {
        Box::pin(async { self.answers.lock().await.recv().await.unwrap_or_default() })
    }

    fn close(&self, _: Duration) -> Boxed<'_, Vec<Answer>> {
        Box::pin(std::future::ready(Vec::new()))
    }
}

// === impl Wire ===

impl Wire {
    fn new(full: Option<u64>) -> Self {
        let (answers, receiver) = mpsc::channel(8);
        let publisher = Arc::new(Scripted {
            taken: StdMutex::default(),
            count: watch::Sender::default(),
            full: full.map(id),
            answers: Mutex::new(receiver),
        });
        let post = Arc::new(Post::new(Arc::clone(&publisher) as Arc<dyn Publisher>));
        Self {
            publisher,
            post,
            answers,
        }
    }

    /// Begins to send these, one after another.
    #[expect(clippy::disallowed_methods, reason = "each test awaits what it began")]
    fn send(&self, number: u64) -> tokio::task::JoinHandle<Option<Receipt>> {
        let post = Arc::clone(&self.post);
        tokio::spawn(async move { post.send(outbound(number)).await })
    }

    async fn taken(&self, count: usize) {
        let mut seen = self.publisher.count.subscribe();
        soon(seen.wait_for(|seen| *seen == count)).await.unwrap();
    }

    async fn answer(&self, number: u64) {
        let ticket = self.publisher.taken.lock().unwrap()[&id(number)];
        let receipt = Receipt::Durable;
        self.answers.send(vec![Answer { ticket, receipt }]).await.unwrap();
    }
}

fn id(number: u64) -> Uuid {
    Uuid::from_u128(number.into())
}

fn outbound(number: u64) -> Outbound {
    let message = Message::from(Content {
        position: Position::new(0, number, 0),
        id: id(number),
        aggregate_type: "order".into(),
        key: None,
        kind: "placed".into(),
        body: Body::Null,
        content_type: ContentType::Json,
        headers: Headers::default(),
        traceparent: None,
        occurred_at: Timestamp::UNIX_EPOCH,
        replay: None,
        origin: None,
    });
    Outbound {
        ticket: Ticket(0),
        message,
        attempt: 1,
        address: Address {
            destination: ["orders.dead"].into_iter().collect(),
            key: None,
            headers: Arc::default(),
        },
    }
}

const SOON: Duration = Duration::from_secs(5);

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, future)
        .await
        .expect("it waits for another's answer")
}

#[tokio::test]
async fn one_without_an_answer_withholds_no_other() {
    let wire = Wire::new(None);
    let held = wire.send(1);
    wire.taken(1).await;
    let second = wire.send(2);
    wire.taken(2).await;
    wire.answer(2).await;
    assert_eq!(soon(second).await.unwrap(), Some(Receipt::Durable));
    assert!(!held.is_finished(), "nobody answered it");
    wire.answer(1).await;
    assert_eq!(soon(held).await.unwrap(), Some(Receipt::Durable));
}

#[tokio::test]
async fn who_read_for_all_and_goes_leaves_the_turn_to_the_next() {
    let wire = Wire::new(None);
    let reads = wire.send(1);
    wire.taken(1).await;
    let waits = wire.send(2);
    wire.taken(2).await;
    reads.abort();
    assert!(reads.await.unwrap_err().is_cancelled());
    wire.answer(1).await;
    wire.answer(2).await;
    assert_eq!(soon(waits).await.unwrap(), Some(Receipt::Durable));
    assert!(wire.post.waiting().is_empty(), "an answer to who is gone is dropped");
}

#[tokio::test]
async fn a_client_without_room_is_read_from() {
    let wire = Wire::new(Some(1));
    let _held = wire.send(1);
    let second = wire.send(2);
    wire.taken(1).await;
    wire.answer(2).await;
    assert_eq!(soon(second).await.unwrap(), Some(Receipt::Durable));
}

#[tokio::test]
async fn a_closed_publisher_ends_every_wait() {
    let wire = Wire::new(None);
    let sends = [wire.send(1), wire.send(2)];
    wire.taken(2).await;
    drop(wire.answers);
    for send in sends {
        assert_eq!(soon(send).await.unwrap(), None);
    }
}
