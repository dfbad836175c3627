//! The way of the dead: a refused message to the broker's dead-letter destination, then into the letters, closed.
//!
//! Promises: the broker has it before the inbox calls it dropped, and both before it is settled; after a crash in between it is
//! published again, with the same id (KC30, KC31); one that gets no answer withholds none of the others' answers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex, oneshot};

use crate::contract::{Broker, Burial, Fence, Inbox, Outbound, Publisher, Receipt, StoreError, Ticket};
use crate::delivery::{Failure, FailureKind};

/// How long the client may take to answer for what is on the wire when it is closed.
const CLOSE_DEADLINE: Duration = Duration::from_secs(3);

/// One publisher for all streams of a consumer, opened when it is first needed: rejections are rare.
pub(super) struct Dead {
    broker: Option<Arc<dyn Broker>>,
    inbox: Arc<dyn Inbox>,
    open: Mutex<Option<Arc<Post>>>,
}

/// An open publisher, shared by who waits for a receipt of it: one of them reads the stream of receipts for all.
struct Post {
    publisher: Arc<dyn Publisher>,
    last: AtomicU64,
    waiting: StdMutex<HashMap<Ticket, oneshot::Sender<Receipt>>>,
    /// Whose turn it is to read. Dropping the turn loses no receipt (the publisher's promise).
    turn: Mutex<()>,
}

// === impl Dead ===

impl Dead {
    pub(super) fn new(broker: Option<Arc<dyn Broker>>, inbox: Arc<dyn Inbox>) -> Self {
        Self {
            broker,
            inbox,
            open: Mutex::default(),
        }
    }

    /// Publishes one, and writes down that it is dead; without a burial it is a letter, whose closing says so.
    pub(super) async fn send(&self, outbound: Outbound, fence: &Fence, burial: Option<Burial>) -> Receipt {
        crate::point!("dead.unpublished");
        let receipt = self.publish(outbound).await;
        if receipt != Receipt::Durable {
            return receipt;
        }
        crate::point!("dead.published");
        let Some(burial) = burial else { return receipt };
        match self.inbox.bury(fence, vec![burial]).await {
            Ok(()) => Receipt::Durable,
            Err(StoreError::Away(failure)) => Receipt::Failed(Arc::new(failure)),
            Err(StoreError::Fenced | StoreError::Incident { .. }) => Receipt::NotAttempted,
        }
    }

    async fn publish(&self, outbound: Outbound) -> Receipt {
        let post = match self.post().await {
            Ok(post) => post,
            Err(failure) => return Receipt::Failed(Arc::new(failure)),
        };
        if let Some(receipt) = post.send(outbound).await {
            return receipt;
        }
        let mut open = self.open.lock().await;
        if open.as_ref().is_some_and(|open| Arc::ptr_eq(open, &post)) {
            *open = None;
        }
        Receipt::NotAttempted
    }

    async fn post(&self) -> Result<Arc<Post>, Failure> {
        let mut open = self.open.lock().await;
        if let Some(post) = open.as_ref() {
            return Ok(Arc::clone(post));
        }
        let post = Arc::new(Post::new(self.connect().await?));
        Ok(Arc::clone(open.insert(post)))
    }

    async fn connect(&self) -> Result<Arc<dyn Publisher>, Failure> {
        match &self.broker {
            Some(broker) => broker.publisher().await,
            None => Err(Failure::new(
                FailureKind::Destination,
                "NoDeadLetterBroker",
                "this broker has no dead letters of its own; use `on_reject: park`",
            )),
        }
    }

    pub(super) async fn close(&self) {
        if let Some(post) = self.open.lock().await.take() {
            post.publisher.close(CLOSE_DEADLINE).await;
        }
    }
}

// === impl Post ===

impl Post {
    fn new(publisher: Arc<dyn Publisher>) -> Self {
        Self {
            publisher,
            last: AtomicU64::new(0),
            waiting: StdMutex::default(),
            turn: Mutex::default(),
        }
    }

    /// Publishes one and waits for its receipt; none, when the publisher was closed. May be dropped while it waits.
    async fn send(&self, mut outbound: Outbound) -> Option<Receipt> {
        let (answer, answered) = oneshot::channel();
        // Relaxed: it only tells tickets apart.
        outbound.ticket = Ticket(self.last.fetch_add(1, Ordering::Relaxed) + 1);
        {
            let mut waiting = self.waiting();
            waiting.retain(|_, answer| !answer.is_closed());
            waiting.insert(outbound.ticket, answer);
        }
        let hand_over = async {
            self.publisher.publish(vec![outbound]).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            receipt = answered => receipt.ok(),
            () = hand_over => None,
            () = self.read() => None,
        }
    }

    /// Waits for the turn, and reads receipts for all until the publisher is closed.
    async fn read(&self) {
        let _turn = self.turn.lock().await;
        loop {
            let answers = self.publisher.receipts().await;
            let mut waiting = self.waiting();
            if answers.is_empty() {
                waiting.clear();
                return;
            }
            for answer in answers {
                if let Some(waiter) = waiting.remove(&answer.ticket) {
                    // Who does not wait any more asks again, with the same id.
                    let _ = waiter.send(answer.receipt);
                }
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<Ticket, oneshot::Sender<Receipt>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "dead_tests.rs"]
mod tests;
