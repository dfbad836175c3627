//! Batches on their way whose spans are recorded: each ends with its last answer.
//!
//! Promises: keeps nothing at all while nobody records; as many tickets as are in flight, at most.

use std::collections::HashMap;

use opentelemetry::trace::SpanContext;

use crate::contract::{Answer, Outbound, Receipt, Ticket};
use crate::telemetry::{Sending, Spans};

/// The open ones.
#[derive(Debug, Default)]
pub(super) struct Traced {
    /// Which batch a ticket belongs to.
    batch_of: HashMap<Ticket, u64>,
    batches: HashMap<u64, Batch>,
    last: u64,
}

#[derive(Debug)]
struct Batch {
    span: Sending,
    unanswered: usize,
}

// === impl Traced ===

impl Traced {
    /// A batch is handed over.
    pub(super) fn handed_over(&mut self, spans: &Spans, batch: &[Outbound]) {
        let Some(span) = spans.sending(batch) else { return };
        self.last += 1;
        let last = self.last;
        self.batch_of
            .extend(batch.iter().map(|outbound| (outbound.ticket, last)));
        let unanswered = batch.len();
        self.batches.insert(last, Batch { span, unanswered });
    }

    /// Receipts arrived. Answers the span of the first that failed, for the log lines that follow from it.
    pub(super) fn answered(&mut self, answers: &[Answer]) -> Option<SpanContext> {
        if self.batches.is_empty() {
            return None;
        }
        let mut failed = None;
        for Answer { ticket, receipt } in answers {
            let Some(number) = self.batch_of.remove(ticket) else {
                continue;
            };
            let Some(batch) = self.batches.get_mut(&number) else {
                continue;
            };
            if let Receipt::Failed(failure) = receipt {
                batch.span.failed(&failure.code);
                failed.get_or_insert_with(|| batch.span.context());
            }
            batch.unanswered -= 1;
            if batch.unanswered == 0 {
                self.batches.remove(&number);
            }
        }
        failed
    }
}

#[cfg(test)]
#[path = "traced_tests.rs"]
mod tests;
