//! The way of the dead: a refused message to the broker's dead-letter destination, then into the letters, closed.
//!
//! Promises: the broker has it before the inbox calls it dropped, and both before it is settled; after a crash in between it is
//! published again, with the same id (KC30, KC31).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::contract::{Broker, Burial, Fence, Inbox, Outbound, Publisher, Receipt, StoreError, Ticket};
use crate::delivery::{Failure, FailureKind};

/// How long the client may take to answer for what is on the wire when it is closed.
const CLOSE_DEADLINE: Duration = Duration::from_secs(3);

/// One publisher for all streams of a consumer, opened when it is first needed: rejections are rare.
pub(super) struct Dead {
    broker: Option<Arc<dyn Broker>>,
    inbox: Arc<dyn Inbox>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    publisher: Option<Arc<dyn Publisher>>,
    last: u64,
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

    async fn publish(&self, mut outbound: Outbound) -> Receipt {
        let mut open = self.open.lock().await;
        let publisher = match &open.publisher {
            Some(publisher) => Arc::clone(publisher),
            None => match self.connect().await {
                Ok(publisher) => Arc::clone(open.publisher.insert(publisher)),
                Err(failure) => return Receipt::Failed(Arc::new(failure)),
            },
        };
        open.last += 1;
        let ticket = Ticket(open.last);
        outbound.ticket = ticket;
        publisher.publish(vec![outbound]).await;
        loop {
            let answers = publisher.receipts().await;
            if answers.is_empty() {
                open.publisher = None;
                return Receipt::NotAttempted;
            }
            if let Some(answer) = answers.into_iter().find(|answer| answer.ticket == ticket) {
                return answer.receipt;
            }
        }
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
        if let Some(publisher) = self.open.lock().await.publisher.take() {
            publisher.close(CLOSE_DEADLINE).await;
        }
    }
}
