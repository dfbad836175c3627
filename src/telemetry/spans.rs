//! Spans of what a relay does in batches: a window read from the outbox, a batch handed to the broker.
//!
//! Promises: one span per window and per batch, never per message; while nobody records it, no trace context is parsed and
//! nothing is allocated per message; a span links to the traces of the rows it carries, at most [`LINKS_MAX`](super::LINKS_MAX)
//! of them, each once.
//!
//! # Why no `tracing` spans
//!
//! A `tracing` span lives as soon as anybody wants it, the log's filter too, and is formatted for each log line. These are
//! for a collector alone: without one there is no tracer, and no span.

use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::context::FutureExt as _;
use opentelemetry::global::{BoxedSpan, BoxedTracer};
use opentelemetry::trace::{Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue};

use super::names;
use super::propagate::linked;
use crate::contract::Outbound;
use crate::message::Message;

/// Makes the spans of one relay, if somebody wants them.
#[derive(Debug, Clone, Default)]
pub struct Spans(Option<Arc<Recorder>>);

#[derive(Debug)]
struct Recorder {
    tracer: BoxedTracer,
    relay: KeyValue,
    system: KeyValue,
}

/// A batch on its way to the broker. The span ends when this is dropped.
#[derive(Debug)]
pub struct Sending(BoxedSpan);

// === impl Spans ===

impl Spans {
    /// The spans of the relay of that name, which writes to a broker of that system; none without a tracer.
    #[must_use]
    pub fn new(tracer: Option<BoxedTracer>, relay: &str, system: &str) -> Self {
        Self(tracer.map(|tracer| {
            Arc::new(Recorder {
                tracer,
                relay: KeyValue::new(names::RELAY, relay.to_owned()),
                system: KeyValue::new(names::MESSAGING_SYSTEM, system.to_owned()),
            })
        }))
    }

    /// Spans that nobody wants.
    #[must_use]
    pub fn silent() -> Self {
        Self(None)
    }

    /// A window was read, or could not be, between `began` and now: its rows, or the vendor's name for what failed.
    pub fn fetched(&self, began: impl Into<SystemTime>, read: Result<&[Message], &str>) {
        let Some(recorder) = &self.0 else { return };
        let builder = SpanBuilder::from_name("fetch").with_start_time(began);
        let own = [
            KeyValue::new(names::MESSAGING_SYSTEM, names::OUTBOX),
            KeyValue::new(names::OPERATION_NAME, "fetch"),
            KeyValue::new(names::OPERATION_TYPE, "receive"),
        ];
        let Some(mut span) = recorder.start(builder, own) else {
            return;
        };
        match read {
            Ok(rows) => carry(&mut span, rows),
            Err(code) => fail(&mut span, code),
        }
    }

    /// A batch is handed over. None when nobody records it.
    #[must_use]
    pub fn sending(&self, batch: &[Outbound]) -> Option<Sending> {
        let recorder = self.0.as_ref()?;
        let own = [
            recorder.system.clone(),
            KeyValue::new(names::OPERATION_NAME, "send"),
            KeyValue::new(names::OPERATION_TYPE, "send"),
        ];
        let mut span = recorder.start(SpanBuilder::from_name("send"), own)?;
        let first = batch.first().map(|outbound| &outbound.address.destination);
        if let Some(one) = first.filter(|first| batch.iter().all(|outbound| outbound.address.destination == **first)) {
            span.update_name(format!("send {one}"));
            span.set_attribute(KeyValue::new(names::DESTINATION, one.to_string()));
        }
        carry(&mut span, batch.iter().map(|outbound| &outbound.message));
        Some(Sending(span))
    }
}

impl Recorder {
    /// A span of its own trace: rows of many traces are in it. None when it is not sampled.
    fn start(&self, builder: SpanBuilder, own: [KeyValue; 3]) -> Option<BoxedSpan> {
        // Semantic conventions: CLIENT, as the row's context is the creation context.
        let builder = builder.with_kind(SpanKind::Client);
        let builder = builder.with_attributes(own.into_iter().chain([self.relay.clone()]));
        let span = self.tracer.build_with_context(builder, &Context::new());
        span.is_recording().then_some(span)
    }
}

/// Says how many messages the span stands for, and links it to their traces.
pub(super) fn carry<'a>(span: &mut BoxedSpan, messages: impl IntoIterator<Item = &'a Message>) {
    let mut count = 0_i64;
    let counted = messages.into_iter().inspect(|_| count += 1);
    let links = linked(counted.map(|message| message.traceparent.as_deref()));
    // The conventions want the count on batches alone.
    if count > 1 {
        span.set_attribute(KeyValue::new(names::BATCH_COUNT, count));
    }
    for context in links {
        span.add_link(context, Vec::new());
    }
}

pub(super) fn fail(span: &mut BoxedSpan, code: &str) {
    span.set_status(Status::error(code.to_owned()));
    span.set_attribute(KeyValue::new(names::ERROR_TYPE, code.to_owned()));
}

// === impl Sending ===

impl Sending {
    /// Something of it failed: the vendor's name for it.
    pub fn failed(&mut self, code: &str) {
        fail(&mut self.0, code);
    }

    /// Its ids.
    #[must_use]
    pub fn context(&self) -> SpanContext {
        self.0.span_context().clone()
    }
}

/// Runs something as part of that span: log lines written meanwhile carry its ids.
pub fn within<T>(span: Option<SpanContext>, run: impl FnOnce() -> T) -> T {
    let _attached = span.map(|span| Context::new().with_remote_span_context(span).attach());
    run()
}

/// Awaits something as part of that span: log lines written meanwhile carry its ids.
pub async fn throughout<F: Future>(span: Option<SpanContext>, run: F) -> F::Output {
    match span {
        Some(span) => run.with_context(Context::new().with_remote_span_context(span)).await,
        None => run.await,
    }
}
