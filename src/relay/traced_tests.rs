//! What spans hold, as an exporter in memory gets them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use jiff::Timestamp;
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::{SpanKind, Status, TraceId, TraceState, TracerProvider as _};
use opentelemetry::{Context, InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    Sampler, SamplingDecision, SamplingResult, SdkTracerProvider, ShouldSample, SpanData, SpanExporter,
};
use uuid::Uuid;

use super::*;
use crate::delivery::{Address, Failure, FailureKind};
use crate::message::{Body, Content, ContentType, Headers, Message, Position};
use crate::telemetry::LINKS_MAX;

fn trace(number: usize) -> String {
    format!("{:032x}", number + 1)
}

fn message(number: usize, traceparent: Option<String>) -> Message {
    Message::from(Content {
        position: Position::new(1, 1, number as u64),
        id: Uuid::nil(),
        aggregate_type: "order".into(),
        key: None,
        kind: "placed".into(),
        body: Body::Null,
        content_type: ContentType::Json,
        headers: Headers::default(),
        traceparent: traceparent.map(Into::into),
        occurred_at: Timestamp::UNIX_EPOCH,
        replay: None,
        origin: None,
    })
}

/// A message of a transaction of its own.
fn traced(number: usize) -> Message {
    message(number, Some(format!("00-{}-00f067aa0ba902b7-01", trace(number))))
}

fn outbound(message: Message, topic: &str) -> Outbound {
    Outbound {
        ticket: Ticket(message.position.minor),
        message,
        attempt: 1,
        address: Address {
            destination: std::iter::once(topic).collect(),
            key: None,
            headers: Arc::default(),
        },
    }
}

/// Keeps what it gets.
#[derive(Debug, Clone, Default)]
struct Memory(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Memory {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

/// What is exported while `run` runs.
fn exported(sampler: impl ShouldSample + 'static, run: impl FnOnce(&Spans)) -> Vec<SpanData> {
    let exporter = Memory::default();
    let provider = SdkTracerProvider::builder()
        .with_sampler(sampler)
        .with_simple_exporter(exporter.clone())
        .build();
    let scope = InstrumentationScope::builder("test").build();
    let tracer = BoxedTracer::new(Box::new(provider.tracer_with_scope(scope)));
    run(&Spans::new(Some(tracer), "orders", "kafka"));
    exporter.0.lock().unwrap().clone()
}

fn value(span: &SpanData, name: &str) -> Option<Value> {
    let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == name);
    found.map(|attribute| attribute.value.clone())
}

#[test]
fn a_batch_links_to_its_rows_and_says_what_it_is() {
    let batch: Vec<Outbound> = (0..3).map(|number| outbound(traced(number), "order.events")).collect();
    let spans = exported(Sampler::AlwaysOn, |spans| drop(spans.sending(&batch)));
    let [span] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!(
        (&*span.name, span.span_kind.clone()),
        ("send order.events", SpanKind::Client)
    );
    for (name, expected) in [
        ("relay", Value::from("orders")),
        ("messaging.system", "kafka".into()),
        ("messaging.operation.name", "send".into()),
        ("messaging.operation.type", "send".into()),
        ("messaging.destination.name", "order.events".into()),
        ("messaging.batch.message_count", 3.into()),
    ] {
        assert_eq!(value(span, name), Some(expected), "{name}");
    }
    let links: Vec<String> = span
        .links
        .iter()
        .map(|link| link.span_context.trace_id().to_string())
        .collect();
    assert_eq!(links, [trace(0), trace(1), trace(2)]);
    assert_eq!(span.status, Status::Unset);
}

#[test]
fn a_batch_for_several_destinations_names_none_and_a_failure_is_its_status() {
    let batch = [outbound(traced(0), "a"), outbound(message(1, None), "b")];
    let spans = exported(Sampler::AlwaysOn, |spans| {
        spans.sending(&batch).unwrap().failed("MessageSizeTooLarge");
    });
    assert_eq!((&*spans[0].name, spans[0].links.len()), ("send", 1));
    assert_eq!(value(&spans[0], "messaging.destination.name"), None);
    assert_eq!(spans[0].status, Status::error("MessageSizeTooLarge"));
    assert_eq!(value(&spans[0], "error.type"), Some("MessageSizeTooLarge".into()));
}

#[test]
fn a_transaction_is_linked_once_and_links_have_a_limit() {
    let one = (0..10).map(|number| message(number, Some(format!("00-{}-00f067aa0ba902b7-01", trace(0)))));
    let one: Vec<Message> = one.collect();
    let many: Vec<Message> = (0..2 * LINKS_MAX).map(traced).collect();
    let spans = exported(Sampler::AlwaysOn, |spans| {
        spans.fetched(Timestamp::UNIX_EPOCH, Ok(&one));
        spans.fetched(Timestamp::UNIX_EPOCH, Ok(&many));
        spans.fetched(Timestamp::UNIX_EPOCH, Err("57P01"));
    });
    let links: Vec<usize> = spans.iter().map(|span| span.links.len()).collect();
    assert_eq!(links, [1, LINKS_MAX, 0]);
    assert_eq!(spans[0].start_time, SystemTime::UNIX_EPOCH);
    assert_eq!(value(&spans[1], "messaging.batch.message_count"), Some(256.into()));
    assert_eq!(spans[2].status, Status::error("57P01"));
}

/// Counts what it is asked, and takes nothing.
#[derive(Debug, Clone, Default)]
struct Never(Arc<AtomicUsize>);

impl ShouldSample for Never {
    fn should_sample(
        &self,
        _parent: Option<&Context>,
        _trace: TraceId,
        _name: &str,
        _kind: &SpanKind,
        _attributes: &[KeyValue],
        links: &[opentelemetry::trace::Link],
    ) -> SamplingResult {
        assert_eq!(links.len(), 0, "nothing is parsed before somebody wants it");
        self.0.fetch_add(1, Ordering::Relaxed);
        SamplingResult {
            decision: SamplingDecision::Drop,
            attributes: Vec::new(),
            trace_state: TraceState::NONE,
        }
    }
}

#[test]
fn what_is_not_sampled_is_no_span() {
    let asked = Never::default();
    let spans = exported(asked.clone(), |spans| {
        spans.fetched(Timestamp::UNIX_EPOCH, Ok(&[traced(0)]));
        assert!(spans.sending(&[outbound(traced(0), "a")]).is_none());
    });
    assert_eq!((spans.len(), asked.0.load(Ordering::Relaxed)), (0, 2));
    assert!(Spans::silent().sending(&[outbound(traced(0), "a")]).is_none());
}

#[test]
fn a_batch_ends_with_its_last_answer() {
    let batch = [
        outbound(traced(0), "a"),
        outbound(traced(1), "a"),
        outbound(traced(2), "a"),
    ];
    let answer = |number, receipt| {
        [Answer {
            ticket: Ticket(number),
            receipt,
        }]
    };
    let failure = Failure::new(FailureKind::Transient, "TimedOut", "no answer");
    let spans = exported(Sampler::AlwaysOn, |spans| {
        let mut open = Traced::default();
        open.handed_over(spans, &batch);
        assert_eq!(open.answered(&answer(0, Receipt::Durable)), None);
        let failed = open.answered(&answer(1, Receipt::Failed(Arc::new(failure))));
        assert!(
            failed.is_some_and(|span| span.is_valid()),
            "its log lines get these ids"
        );
        assert_eq!(
            open.answered(&answer(1, Receipt::Durable)),
            None,
            "of another hand-over"
        );
        assert_eq!(open.batches.len(), 1, "one answer is missing");
        assert_eq!(open.answered(&answer(2, Receipt::NotAttempted)), None);
        assert!(open.batches.is_empty() && open.batch_of.is_empty());
    });
    assert_eq!(spans[0].status, Status::error("TimedOut"));
}
