//! Calling: from the queue of a flow to the processor and back, one claimed batch after another.
//!
//! Promises: nothing is called for that is not signed; whole runs only; a message that the process died of too often is refused
//! instead of called for.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use opentelemetry::trace::SpanContext;
use tokio::sync::OwnedSemaphorePermit;

use super::run::Shared;
use super::term::{Left, Term};
use crate::contract::{Answer, Burial, Claim, Outbound, Processed, Receipt, StoreError, Work};
use crate::delivery::{Failure, FailureKind};
use crate::flow::Event;
use crate::flow::clock::now;
use crate::message::Message;
use crate::telemetry::{Processing, throughout, within};

/// A batch that was called for.
pub(super) struct Ran {
    answers: Vec<Answer>,
    /// Those that had their effect for the first time.
    done: Vec<Message>,
    fenced: bool,
    /// The handler was called, not the dead-letter destination.
    own: bool,
    /// The span of what failed.
    failed: Option<SpanContext>,
}

/// A batch that waited for its claim, and its turn.
pub(super) type Signed = (Result<Claim, StoreError>, Vec<Outbound>, OwnedSemaphorePermit);

// === impl Term ===

impl Term<'_> {
    /// What is addressed elsewhere is a dead letter on its way to the broker.
    pub(super) fn hand_over(&mut self, batch: Vec<Outbound>) {
        let (own, dead): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .partition(|outbound| outbound.address.destination == self.destination);
        self.queue.push(own);
        for outbound in dead {
            let refusal = self.opening.state.refusal(outbound.ticket);
            let burial = refusal.map(|(lane, attempts, failure)| Burial {
                message: outbound.message.clone(),
                lane,
                attempts,
                failure,
            });
            let (shared, fence) = (Arc::clone(self.shared), Arc::clone(&self.opening.fence));
            let ticket = outbound.ticket;
            self.running.push(Box::pin(async move {
                let receipt = shared.dead.send(outbound, &fence, burial).await;
                Ran {
                    answers: vec![Answer { ticket, receipt }],
                    done: Vec::new(),
                    fenced: false,
                    own: false,
                    failed: None,
                }
            }));
        }
    }

    /// One batch at a time waits for its turn, and then for its claim.
    pub(super) fn want_a_permit(&mut self) {
        let busy = self.permit.is_some() || self.signing.is_some() || self.queue.is_empty();
        if !busy && self.drain_until.is_none() {
            self.permit = Some(self.shared.permit());
        }
    }

    pub(super) fn permitted(&mut self, permit: OwnedSemaphorePermit) {
        self.permit = None;
        let most = self.shared.engine.processor.capacity().batch;
        let batch = self.queue.take(most);
        let batch = self.refuse_killers(batch);
        let Some(highest) = batch.iter().map(offset).max() else {
            return;
        };
        let Some(claim) = self.opening.care.needed(highest, now()) else {
            return self.call(batch, permit);
        };
        let (shared, fence) = (Arc::clone(self.shared), Arc::clone(&self.opening.fence));
        let time = self.opening.care.time();
        self.signing = Some(Box::pin(async move {
            let answer = shared.sign(&fence, claim, time).await;
            (answer.map(|()| claim), batch, permit)
        }));
    }

    /// A message that the process died of too often is not called for again: it is refused.
    fn refuse_killers(&mut self, batch: Vec<Outbound>) -> Vec<Outbound> {
        let attempts_max = self.opening.attempts_max;
        let (killers, batch): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .partition(|outbound| self.opening.care.deaths(offset(outbound)) >= attempts_max);
        if !killers.is_empty() {
            let failure = Arc::new(Failure::new(
                FailureKind::Rejected,
                "ProcessDied",
                format!("the process died {attempts_max} times while it had called for this message alone"),
            ));
            let answers = killers.iter().map(|outbound| Answer {
                ticket: outbound.ticket,
                receipt: Receipt::Failed(Arc::clone(&failure)),
            });
            self.later.push_back(Event::Answered(answers.collect()));
        }
        batch
    }

    pub(super) fn signed(&mut self, signed: Signed) {
        self.signing = None;
        let (answer, batch, permit) = signed;
        match answer {
            Ok(claim) => {
                self.opening.care.signed(claim, now());
                crate::point!("claim.moved");
                self.call(batch, permit);
            }
            Err(error) => self.left = Some(error.into()),
        }
    }

    fn call(&mut self, mut messages: Vec<Outbound>, permit: OwnedSemaphorePermit) {
        let (spans, received) = (&self.shared.engine.spans, &self.received);
        let span = spans.processing(self.stream.name(), &mut messages, |message| received.of(message));
        let work = Work {
            fence: Arc::clone(&self.opening.fence),
            mark: self.mark(),
            messages,
        };
        let shared = Arc::clone(self.shared);
        self.running.push(Box::pin(async move {
            let called = work.messages.iter();
            let called: Vec<_> = called
                .map(|outbound| (outbound.ticket, outbound.message.clone()))
                .collect();
            let context = span.as_ref().map(Processing::context);
            let processed = throughout(context, shared.engine.processor.process(work)).await;
            drop(permit);
            let failed = span.and_then(|span| span.answered(&processed));
            debug_assert_eq!(called.len(), processed.len(), "one answer per message (Processor P1)");
            let fenced = processed.contains(&Processed::Fenced);
            let (mut answers, mut done) = (Vec::with_capacity(called.len()), Vec::new());
            for ((ticket, message), processed) in called.into_iter().zip(processed) {
                if processed == Processed::Done {
                    done.push(message);
                }
                let receipt = shared.receipt(processed);
                answers.push(Answer { ticket, receipt });
            }
            Ran {
                answers,
                done,
                fenced,
                own: true,
                failed,
            }
        }));
    }

    pub(super) fn ran(&mut self, ran: Ran) {
        if ran.fenced {
            crate::point!("completion.late");
            self.left = Some(Left::Fenced);
            return;
        }
        if ran.own {
            crate::point!("answers.read");
        }
        for message in &ran.done {
            if let Some(later) = self.witness.saw(message) {
                self.shared.order_broken(self.stream.name(), message, later);
            }
        }
        let failed = ran
            .answers
            .iter()
            .any(|answer| matches!(answer.receipt, Receipt::Failed(_)));
        // What works at the handler says nothing of a dead-letter destination.
        if let Some(since) = self.shared.last_success().filter(|_| failed && ran.own) {
            self.happened(Event::OthersFlow(since));
        }
        // What was done before was not called for: it says nothing of the handler.
        if !ran.done.is_empty() {
            self.shared.succeeded(now());
        }
        within(ran.failed, || self.happened(Event::Answered(ran.answers)));
    }
}

fn offset(outbound: &Outbound) -> i64 {
    outbound.message.position.major.cast_signed()
}

// === impl Shared ===

impl Shared {
    /// What a processor's answer is to the flow; counts it.
    fn receipt(&self, processed: Processed) -> Receipt {
        match processed {
            Processed::Done => {
                self.processed.fetch_add(1, Ordering::Relaxed);
                Receipt::Durable
            }
            Processed::Duplicate => {
                self.deduplicated.fetch_add(1, Ordering::Relaxed);
                Receipt::Durable
            }
            Processed::Held | Processed::Fenced => Receipt::NotAttempted,
            Processed::Failed(failure) => Receipt::Failed(failure),
        }
    }
}
