//! A broker that refuses one message until somebody mends it: the demo's poison.
//!
//! Everything else goes to the real publisher behind it. librdkafka's mock cluster takes every message, so the refusal is
//! played here, exactly as the publisher's contract (P3) has it: what stands behind in the lane is not attempted.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};

use super::workload::POISON;
use crate::contract::{
    Answer, Boxed, Broker, Finding, Outbound, Outlook, Publisher, Receipt, RejectionHeaders, Remembered,
};
use crate::delivery::{Capabilities, Destination, Failure, FailureKind};

/// Refusals that wait to be collected: one poison and what stands behind it, per hand-over.
const ANSWERS_MAX: usize = 64;

/// The broker.
pub(super) struct Picky {
    behind: Arc<dyn Broker>,
    mended: Arc<AtomicBool>,
}

struct PickyPublisher {
    behind: Arc<dyn Publisher>,
    mended: Arc<AtomicBool>,
    refuse: mpsc::Sender<Vec<Answer>>,
    refused: Mutex<mpsc::Receiver<Vec<Answer>>>,
}

// === impl Picky ===

impl Picky {
    /// Refuses the poison until `mended`.
    pub(super) fn new(behind: Arc<dyn Broker>, mended: Arc<AtomicBool>) -> Self {
        Self { behind, mended }
    }
}

impl Broker for Picky {
    fn capabilities(&self) -> Capabilities {
        self.behind.capabilities()
    }

    fn rejection_headers(&self) -> RejectionHeaders {
        self.behind.rejection_headers()
    }

    fn remember(&self, known: Vec<Remembered>) {
        self.behind.remember(known);
    }

    fn publisher(&self) -> Boxed<'_, Result<Arc<dyn Publisher>, Failure>> {
        Box::pin(async move {
            let behind = self.behind.publisher().await?;
            let (refuse, refused) = mpsc::channel(ANSWERS_MAX);
            let publisher = PickyPublisher {
                behind,
                mended: Arc::clone(&self.mended),
                refuse,
                refused: Mutex::new(refused),
            };
            Ok(Arc::new(publisher) as Arc<dyn Publisher>)
        })
    }

    fn findings(&self, destinations: Vec<Destination>) -> Boxed<'_, Vec<Finding>> {
        self.behind.findings(destinations)
    }
}

impl Publisher for PickyPublisher {
    fn publish(&self, batch: Vec<Outbound>) -> Boxed<'_, ()> {
        Box::pin(async move {
            let (pass, refused) = self.sort(batch);
            if !refused.is_empty() {
                // A closed channel means that the publisher is gone and nobody waits for the answer.
                let _ = self.refuse.send(refused).await;
            }
            self.behind.publish(pass).await;
        })
    }

    fn receipts(&self) -> Boxed<'_, Vec<Answer>> {
        Box::pin(async move {
            let mut refused = self.refused.lock().await;
            tokio::select! {
                Some(answers) = refused.recv() => answers,
                answers = self.behind.receipts() => answers,
            }
        })
    }

    fn close(&self, deadline: Duration) -> Boxed<'_, Vec<Answer>> {
        Box::pin(async move {
            let mut answers = self.behind.close(deadline).await;
            while let Ok(refused) = self.refused.lock().await.try_recv() {
                answers.extend(refused);
            }
            answers
        })
    }

    fn outlook(&self) -> Outlook {
        self.behind.outlook()
    }
}

impl PickyPublisher {
    fn sort(&self, batch: Vec<Outbound>) -> (Vec<Outbound>, Vec<Answer>) {
        if self.mended.load(Ordering::Relaxed) {
            return (batch, Vec::new());
        }
        let (mut pass, mut refused, mut stopped) = (Vec::new(), Vec::new(), HashSet::new());
        for outbound in batch {
            let lane = (outbound.address.destination.clone(), outbound.address.key.clone());
            let receipt = if stopped.contains(&lane) {
                Receipt::NotAttempted
            } else if is_poison(&outbound) {
                stopped.insert(lane);
                let why = "the broker refuses this message (the demo's poison)";
                Receipt::Failed(Arc::new(Failure::new(FailureKind::Message, "DemoPoison", why)))
            } else {
                pass.push(outbound);
                continue;
            };
            refused.push(Answer {
                ticket: outbound.ticket,
                receipt,
            });
        }
        (pass, refused)
    }
}

fn is_poison(outbound: &Outbound) -> bool {
    let body = outbound.message.body.as_bytes().unwrap_or_default();
    body.windows(POISON.len()).any(|window| window == POISON.as_bytes())
}
