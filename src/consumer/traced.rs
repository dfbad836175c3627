//! Pages that were received and are not settled: what brought a message is known as long as it may be called for.
//!
//! Promises: keeps nothing at all while nobody records; one entry per page that holds something unsettled.

use std::collections::VecDeque;

use opentelemetry::trace::SpanContext;

use crate::contract::StreamName;
use crate::message::Message;
use crate::telemetry::ConsumerSpans;

/// The pages of one stream, in order.
#[derive(Debug, Default)]
pub(super) struct Received(VecDeque<(u64, u64, SpanContext)>);

// === impl Received ===

impl Received {
    /// A page was read; everything below `mark` is settled.
    pub(super) fn page(&mut self, spans: &ConsumerSpans, at: (&StreamName, Option<i64>), messages: &[Message]) {
        let (stream, mark) = at;
        let (Some(first), Some(last)) = (messages.first(), messages.last()) else {
            return;
        };
        let Some(context) = spans.received(stream, messages) else {
            return;
        };
        let settled = mark.map_or(0, i64::cast_unsigned);
        while self.0.front().is_some_and(|(_, last, _)| *last < settled) {
            self.0.pop_front();
        }
        self.0.push_back((first.position.major, last.position.major, context));
    }

    /// The span that brought it; none for a released letter.
    pub(super) fn of(&self, message: &Message) -> Option<SpanContext> {
        let offset = message.position.major;
        let page = self.0.partition_point(|(_, last, _)| *last < offset);
        let (first, _, context) = self.0.get(page)?;
        (*first <= offset).then(|| context.clone())
    }
}

#[cfg(test)]
#[path = "traced_tests.rs"]
mod tests;
