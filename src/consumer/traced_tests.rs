//! What a consumer's spans hold, as an exporter in memory gets them.

use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::{SpanKind, Status, TracerProvider as _};
use opentelemetry::{InstrumentationScope, Value};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use uuid::Uuid;

use super::*;
use crate::contract::{Outbound, Processed, Ticket};
use crate::delivery::{Address, Failure, FailureKind};
use crate::message::{Body, Content, ContentType, Headers, Position};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

fn row(sampled: bool) -> String {
    format!("00-{TRACE}-{SPAN}-{:02x}", u8::from(sampled))
}

fn message(offset: u64, traceparent: Option<String>) -> Message {
    Message::from(Content {
        position: Position::new(0, offset, 0),
        id: Uuid::from_u128(offset.into()),
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

fn outbound(message: &Message) -> Outbound {
    Outbound {
        ticket: Ticket(message.position.major),
        message: message.clone(),
        attempt: 1,
        address: Address {
            destination: ["order.events", "0"].into_iter().collect(),
            key: None,
            headers: [("kept".into(), "yes".into())].into(),
        },
    }
}

fn stream() -> StreamName {
    StreamName {
        topic: "order.events".into(),
        partition: Some(0),
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
fn exported(run: impl FnOnce(&ConsumerSpans)) -> Vec<SpanData> {
    let exporter = Memory::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(exporter.clone())
        .build();
    let scope = InstrumentationScope::builder("test").build();
    let tracer = BoxedTracer::new(Box::new(provider.tracer_with_scope(scope)));
    run(&ConsumerSpans::new(
        Some(tracer),
        "billing",
        ("kafka", Some("group".to_owned())),
    ));
    exporter.0.lock().unwrap().clone()
}

fn value(span: &SpanData, name: &str) -> Option<Value> {
    let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == name);
    found.map(|attribute| attribute.value.clone())
}

fn context_of(outbound: &Outbound) -> Option<&str> {
    let headers = &outbound.address.headers;
    assert!(headers.iter().any(|(name, _)| &**name == "kept"), "{headers:?}");
    let found = headers.iter().find(|(name, _)| &**name == "traceparent");
    found.map(|(_, value)| &**value)
}

#[test]
fn one_message_is_a_child_of_its_row_and_a_batch_links_to_each() {
    let rows: Vec<_> = (0..3).map(|offset| message(offset, Some(row(true)))).collect();
    let mut one = [outbound(&rows[0])];
    let mut many = [outbound(&rows[1]), outbound(&rows[2]), outbound(&message(9, None))];
    let spans = exported(|spans| {
        let mut received = Received::default();
        received.page(spans, (&stream(), None), &rows);
        for batch in [&mut one[..], &mut many[..]] {
            let span = spans.processing(&stream(), batch, |message| received.of(message));
            drop(span.expect("it is recorded"));
        }
    });
    let [receive, single, batch] = &spans[..] else {
        panic!("{spans:?}")
    };
    assert_eq!(
        (&*receive.name, receive.span_kind.clone()),
        ("receive order.events", SpanKind::Client)
    );
    assert_eq!(receive.links.len(), 1, "one transaction, one link");
    for span in [single, batch] {
        assert_eq!(
            (&*span.name, span.span_kind.clone()),
            ("process order.events", SpanKind::Consumer)
        );
        assert_eq!(value(span, "messaging.consumer.group.name"), Some("group".into()));
        assert_eq!(value(span, "messaging.destination.partition.id"), Some("0".into()));
    }
    assert_eq!(
        (
            single.span_context.trace_id().to_string(),
            single.parent_span_id.to_string()
        ),
        (TRACE.to_owned(), SPAN.to_owned())
    );
    let links = |span: &SpanData| -> Vec<_> { span.links.iter().map(|link| link.span_context.span_id()).collect() };
    assert_eq!(links(single), [receive.span_context.span_id()]);
    assert_ne!(
        batch.span_context.trace_id().to_string(),
        TRACE,
        "of many traces it belongs to none"
    );
    let both: Vec<String> = links(batch).iter().map(ToString::to_string).collect();
    assert_eq!(both, [receive.span_context.span_id().to_string(), SPAN.to_owned()]);
    assert_eq!(value(batch, "messaging.batch.message_count"), Some(3.into()));
    let told = format!("00-{TRACE}-{}-01", single.span_context.span_id());
    assert_eq!(context_of(&one[0]), Some(told.as_str()), "the handler is told the span");
    let told = format!(
        "00-{}-{}-01",
        batch.span_context.trace_id(),
        batch.span_context.span_id()
    );
    assert!(many.iter().all(|outbound| context_of(outbound) == Some(&told)));
}

#[test]
fn what_its_beginning_does_not_want_is_no_span_and_goes_on_unchanged() {
    let mut batch = [outbound(&message(0, Some(row(false))))];
    let spans = exported(|spans| {
        assert!(spans.processing(&stream(), &mut batch, |_| None).is_none());
        let mut received = Received::default();
        received.page(&ConsumerSpans::silent(), (&stream(), None), &[message(0, None)]);
        assert!(received.0.is_empty(), "nothing is kept while nobody records");
    });
    assert_eq!((spans.len(), context_of(&batch[0])), (0, None));
    assert!(
        ConsumerSpans::silent()
            .processing(&stream(), &mut batch, |_| None)
            .is_none()
    );
}

#[test]
fn a_failure_is_a_status() {
    let failure = Arc::new(Failure::new(FailureKind::Rejected, "422", "no"));
    let spans = exported(|spans| {
        let process = || {
            let mut batch = [outbound(&message(0, None))];
            spans
                .processing(&stream(), &mut batch, |_| None)
                .expect("it is recorded")
        };
        assert!(process().answered(&[Processed::Done]).is_none());
        let failed = process().answered(&[Processed::Duplicate, Processed::Failed(failure)]);
        assert!(
            failed.is_some_and(|span| span.is_valid()),
            "its log lines get these ids"
        );
    });
    assert_eq!(spans[0].status, Status::Unset);
    assert_eq!(spans[1].status, Status::error("422"));
    assert_eq!(value(&spans[1], "error.type"), Some("422".into()));
}

#[test]
fn a_message_is_known_by_its_page_until_that_is_settled() {
    exported(|spans| {
        let mut received = Received::default();
        let page = |from: u64| -> Vec<_> { (from..from + 2).map(|offset| message(offset, None)).collect() };
        received.page(spans, (&stream(), None), &page(0));
        received.page(spans, (&stream(), Some(0)), &page(10));
        let of = |received: &Received, offset| received.of(&message(offset, None));
        assert!(of(&received, 1).is_some() && of(&received, 10).is_some());
        assert_ne!(of(&received, 1), of(&received, 11));
        assert_eq!((of(&received, 5), of(&received, 12)), (None, None), "in no page");
        received.page(spans, (&stream(), Some(2)), &page(20));
        assert_eq!(of(&received, 1), None, "it is settled");
        assert!(of(&received, 10).is_some());
    });
}
