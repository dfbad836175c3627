//! Spans of what a consumer does: a page received from the broker, messages processed.
//!
//! Promises: while nobody records, no trace context is parsed and nothing is allocated per message; what goes to the handler
//! is the context of the span that is recorded, else the row's own, unchanged: a trace that its beginning does not want is not
//! sampled here either.
//!
//! # Parents and links
//!
//! Semantic conventions: messages that are processed one by one get a span each, a child of the row's context, so that one
//! trace runs from the application's transaction to the handler. What is processed together is one span of its own trace that
//! links to each row's. Both link to the `receive` span that brought them.

use std::sync::Arc;

use opentelemetry::global::{BoxedSpan, BoxedTracer};
use opentelemetry::trace::{Span as _, SpanBuilder, SpanContext, SpanKind, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue};

use super::names;
use super::propagate::{from_traceparent, to_traceparent};
use super::spans::{carry, fail};
use crate::contract::{Outbound, Processed, StreamName};
use crate::message::Message;

/// The header that carries a trace context.
const TRACEPARENT: &str = "traceparent";

/// Makes the spans of one consumer, if somebody wants them.
#[derive(Debug, Clone, Default)]
pub struct ConsumerSpans(Option<Arc<Recorder>>);

#[derive(Debug)]
struct Recorder {
    tracer: BoxedTracer,
    /// What is the same in all of them.
    own: Vec<KeyValue>,
}

/// Messages at the handler. The span ends when this is dropped.
#[derive(Debug)]
pub struct Processing(BoxedSpan);

// === impl ConsumerSpans ===

impl ConsumerSpans {
    /// The spans of the consumer of that name, a member of that group of a broker of that system; none without a tracer.
    #[must_use]
    pub fn new(tracer: Option<BoxedTracer>, consumer: &str, of: (&str, Option<String>)) -> Self {
        let (system, group) = of;
        Self(tracer.map(|tracer| {
            let mut own = vec![
                KeyValue::new(names::CONSUMER, consumer.to_owned()),
                KeyValue::new(names::MESSAGING_SYSTEM, system.to_owned()),
            ];
            own.extend(group.map(|group| KeyValue::new(names::CONSUMER_GROUP, group)));
            Arc::new(Recorder { tracer, own })
        }))
    }

    /// Spans that nobody wants.
    #[must_use]
    pub fn silent() -> Self {
        Self(None)
    }

    /// A page was read from a stream. A moment: what came before it was waiting. None when nobody records it.
    #[must_use]
    pub fn received(&self, stream: &StreamName, messages: &[Message]) -> Option<SpanContext> {
        let recorder = self.0.as_ref()?;
        let mut span = recorder.start(("receive", SpanKind::Client), stream, &Context::new())?;
        carry(&mut span, messages);
        Some(span.span_context().clone())
    }

    /// Messages of one stream go to the handler, which is told the span's context; `received` knows the span that brought one.
    /// None when nobody records it.
    #[must_use]
    pub fn processing(
        &self,
        stream: &StreamName,
        batch: &mut [Outbound],
        received: impl Fn(&Message) -> Option<SpanContext>,
    ) -> Option<Processing> {
        let recorder = self.0.as_ref()?;
        let row = match &*batch {
            [one] => one.message.traceparent.as_deref().and_then(from_traceparent),
            _ => None,
        };
        let parent = row.map_or_else(Context::new, |row| Context::new().with_remote_span_context(row));
        let mut span = recorder.start(("process", SpanKind::Consumer), stream, &parent)?;
        let mut brought: Vec<SpanContext> = Vec::new();
        for context in batch.iter().filter_map(|outbound| received(&outbound.message)) {
            if !brought.contains(&context) {
                brought.push(context);
            }
        }
        for context in brought {
            span.add_link(context, Vec::new());
        }
        if let [one] = &*batch {
            span.set_attribute(KeyValue::new(names::MESSAGE_ID, one.message.id.to_string()));
        } else {
            carry(&mut span, batch.iter().map(|outbound| &outbound.message));
        }
        if let Some(context) = to_traceparent(span.span_context()) {
            for outbound in batch {
                let theirs = outbound.address.headers.iter();
                let others = theirs.filter(|(name, _)| &**name != TRACEPARENT).cloned();
                let own = (TRACEPARENT.into(), context.as_str().into());
                outbound.address.headers = std::iter::once(own).chain(others).collect();
            }
        }
        Some(Processing(span))
    }
}

impl Recorder {
    /// None when it is not sampled.
    fn start(&self, what: (&'static str, SpanKind), stream: &StreamName, parent: &Context) -> Option<BoxedSpan> {
        let (operation, kind) = what;
        let named = [
            KeyValue::new(names::OPERATION_NAME, operation),
            KeyValue::new(names::OPERATION_TYPE, operation),
            KeyValue::new(names::DESTINATION, stream.topic.to_string()),
        ];
        let partition = stream.partition.map(|partition| partition.to_string());
        let partition = partition.map(|partition| KeyValue::new(names::PARTITION, partition));
        let attributes = self.own.iter().cloned().chain(named).chain(partition);
        let builder = SpanBuilder::from_name(format!("{operation} {}", stream.topic)).with_kind(kind);
        let span = self
            .tracer
            .build_with_context(builder.with_attributes(attributes), parent);
        span.is_recording().then_some(span)
    }
}

// === impl Processing ===

impl Processing {
    /// What became of the messages; answers the span when something failed, for the log lines that follow from it.
    pub fn answered(mut self, answers: &[Processed]) -> Option<SpanContext> {
        let code = answers.iter().find_map(|answer| match answer {
            Processed::Failed(failure) => Some(&*failure.code),
            Processed::Fenced => Some("fenced"),
            Processed::Done | Processed::Duplicate | Processed::Held => None,
        })?;
        fail(&mut self.0, code);
        Some(self.context())
    }

    /// Its ids.
    #[must_use]
    pub fn context(&self) -> SpanContext {
        self.0.span_context().clone()
    }
}
