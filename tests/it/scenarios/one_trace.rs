//! One trace from the application's transaction through relay, broker and consumer into the handler's request, as a collector
//! sees it. In a campaign a real OpenTelemetry Collector stands between.

use crate::support::application::{Application, Asked, reply};
use crate::support::collector::{Collector, Span};
use crate::support::ledger::workload::Payload;
use crate::support::live::campaign;
use crate::support::otelcol::Otelcol;
use crate::support::postgres::{Login, connect};
use crate::support::relay::Relay;
use crate::support::stage::{CONSUMER, Stage};
use crate::support::wait::{self, PATIENCE};
use opentelemetry::trace::{Span as _, SpanKind, TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, global::BoxedTracer};
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde_json::{Value, json};
use twinbox::telemetry::{from_traceparent, to_traceparent};

/// The toy on both ends: it makes spans as any application does, with OpenTelemetry's own SDK.
struct Toy {
    provider: SdkTracerProvider,
    tracer: BoxedTracer,
}

impl Toy {
    fn new(endpoint: &str) -> Self {
        // The SDK's client wants one, encrypted or not; another test may have been here.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let endpoint = format!("{endpoint}/v1/traces");
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_endpoint(endpoint);
        let exporter = exporter.build().expect("a URL");
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).build();
        let tracer = BoxedTracer::new(Box::new(provider.tracer("toy")));
        Self { provider, tracer }
    }

    /// A span that begins and ends; its context as a row, or a request, carries it.
    fn span(&self, name: &'static str, kind: SpanKind, parent: Option<&str>) -> String {
        let parent = parent.map(|text| from_traceparent(text).unwrap_or_else(|| panic!("{text:?} is no context")));
        let parent = parent.map_or_else(Context::new, |span| Context::new().with_remote_span_context(span));
        let builder = self.tracer.span_builder(name).with_kind(kind);
        let mut span = self.tracer.build_with_context(builder, &parent);
        span.end();
        to_traceparent(span.span_context()).expect("valid")
    }

    async fn flush(&self) {
        let provider = self.provider.clone();
        let flushed = tokio::task::spawn_blocking(move || provider.force_flush()).await;
        flushed.expect("no panic").expect("the collector answers");
    }
}

/// Relay, consumer, and an application that is asked.
struct Line {
    stage: Stage,
    kind: String,
    collector: Collector,
    application: Application,
    relay: Relay,
    consumer: Relay,
}

impl Line {
    async fn lay(stage: Stage, collector: Collector, endpoint: &str) -> Self {
        stage.migrate(Payload::Jsonb).await;
        let kind = stage.aggregate("order", 1).await;
        let application = Application::start().await;
        // The first call fails: what is logged of it belongs to the trace.
        application.will([reply("503 Service Unavailable", "", "")]);
        let (relay, consumer) = (Login::Relay, Login::Consumer);
        let relay = stage.database.login_url(relay);
        let consumer = stage.database.login_url(consumer);
        let otel = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
            ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ];
        let environment = |url| [&[("DATABASE_URL", url)][..], &otel].concat();
        let relay = stage.relay_with(&stage.config("relay.yaml", json!({})), &environment(relay.as_str()));
        let brokers: Vec<&str> = stage.kafka.brokers.split(',').collect();
        let config = stage.config(
            "consumer.yaml",
            json!({ "relays": null, "telemetry": { "log": { "level": "debug" } }, "consumers": { CONSUMER: {
                "from": { "kafka": { "brokers": brokers, "topics": [format!("{kind}.events")], "group": stage.name } },
                "handler": { "http": { "url": application.url() } },
            } } }),
        );
        let consumer = stage.consumer(&config, &environment(consumer.as_str()));
        Self {
            stage,
            kind,
            collector,
            application,
            relay,
            consumer,
        }
    }

    async fn insert(&self, traceparent: Option<&str>) {
        let app = connect(&self.stage.database.login_url(Login::App)).await;
        let insert = "insert into twinbox.outbox (aggregatetype, aggregateid, type, payload, traceparent) \
                      values ($1, 'k', 'order.paid', '{}', $2)";
        let app = app.expect("the test server answers");
        app.execute(insert, &[&self.kind, &traceparent]).await.expect("granted");
    }

    /// The application's calls so far, once they are that many.
    async fn asked(&self, calls: usize) -> Vec<Asked> {
        wait::until("the application is asked", PATIENCE, || async {
            self.relay.must_be_up();
            self.consumer.must_be_up();
            let asked = self.application.asked();
            wait::ensure(asked.len() >= calls, || {
                format!("{} of {calls}; {}", asked.len(), self.consumer.words())
            })
        })
        .await;
        self.application.asked()
    }

    /// The one that is wanted, once the collector has it.
    async fn span(&self, what: &str, wanted: impl Fn(&Span) -> bool) -> Span {
        wait::until(what, PATIENCE, || async {
            let spans = self.collector.spans();
            let found = spans.iter().find(|span| wanted(span));
            found
                .cloned()
                .ok_or_else(|| format!("{spans:#?}; {}", self.consumer.words()))
        })
        .await
    }
}

fn context(asked: &Asked) -> (String, String, String) {
    let text = asked.header("traceparent").expect("every call has a context");
    let mut parts = text.split('-').skip(1).map(ToOwned::to_owned);
    let mut next = || parts.next().expect("four parts");
    (next(), next(), next())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_trace_runs_from_the_transaction_into_the_request() {
    let Some(stage) = Stage::of("one_trace").open().await else {
        return;
    };
    let collector = Collector::start().await;
    let between = if campaign() {
        Some(Otelcol::start(&stage.dir, &collector).await)
    } else {
        None
    };
    let endpoint = between
        .as_ref()
        .map_or(&collector.endpoint, |real| &real.endpoint)
        .clone();
    let toy = {
        let endpoint = endpoint.clone();
        // The SDK's client blocks while it is built.
        tokio::task::spawn_blocking(move || Toy::new(&endpoint))
            .await
            .expect("no panic")
    };
    let mut line = Line::lay(stage, collector, &endpoint).await;

    let row = toy.span("place order", SpanKind::Producer, None);
    line.insert(Some(&row)).await;
    let asked = line.asked(2).await;
    for call in &asked {
        toy.span("charge", SpanKind::Server, call.header("traceparent"));
    }
    toy.flush().await;
    the_collector_has_it_all(&line, &row, &asked).await;
    the_log_knows_the_trace(&line, &context(&asked[0]));
    what_nobody_wants_goes_on_unchanged(&line).await;
    assert_eq!(
        line.consumer.terminate(PATIENCE).await.0,
        "exit 0",
        "{}",
        line.consumer.words()
    );
    assert_eq!(line.relay.terminate(PATIENCE).await.0, "exit 0");
    drop(between);
}

/// Spans of relay and consumer, and of the toy on both ends, with the right parents and links.
async fn the_collector_has_it_all(line: &Line, row: &str, asked: &[Asked]) {
    let (trace, origin) = (&row[3..35], &row[36..52]);
    let link = (trace.to_owned(), origin.to_owned());
    let topic = format!("{}.events", line.kind);

    let place = line
        .span("the toy's transaction", |span| span.name == "place order")
        .await;
    assert_eq!((place.trace.as_str(), place.id.as_str()), (trace, origin), "{place:?}");
    let send = format!("send {topic}");
    let send = line
        .span("send", |span| span.name == send && span.links.contains(&link))
        .await;
    assert_eq!((send.kind, send.attribute("relay")), (3, Some("orders")), "{send:?}");
    let receive = format!("receive {topic}");
    let receive = line
        .span("receive", |span| span.name == receive && span.links.contains(&link))
        .await;
    assert_eq!(receive.kind, 3, "{receive:?}");
    for span in [&send, &receive] {
        assert_ne!(span.trace, trace, "a batch of many traces belongs to none: {span:?}");
    }
    for (call, failed) in asked.iter().zip([true, false]) {
        let process = the_request_is_a_child(line, (trace, origin), call).await;
        let brought = (receive.trace.clone(), receive.id.clone());
        assert_eq!(process.links, [brought], "it links to what brought it");
        assert_eq!(process.status == 2, failed, "{process:?}");
    }
}

/// The request's context is the span of its processing, and that a child of the row's.
async fn the_request_is_a_child(line: &Line, (trace, origin): (&str, &str), call: &Asked) -> Span {
    let topic = format!("{}.events", line.kind);
    let (own, parent, sampled) = context(call);
    assert_eq!((own.as_str(), sampled.as_str()), (trace, "01"));
    let process = line.span("process", |span| span.id == parent).await;
    assert_eq!(process.name, format!("process {topic}"));
    assert_eq!(
        (process.trace.as_str(), process.parent.as_str()),
        (trace, origin),
        "{process:?}"
    );
    assert_eq!(process.kind, 5, "{process:?}");
    for (name, expected) in [
        ("consumer", CONSUMER),
        ("messaging.system", "kafka"),
        ("messaging.operation.type", "process"),
        ("messaging.destination.name", topic.as_str()),
        ("messaging.consumer.group.name", line.stage.name.as_str()),
        ("messaging.destination.partition.id", "0"),
    ] {
        assert_eq!(process.attribute(name), Some(expected), "{process:?}");
    }
    let charge = line
        .span("the handler's", |span| span.name == "charge" && span.parent == parent)
        .await;
    assert_eq!((charge.trace.as_str(), charge.kind), (trace, 2), "{charge:?}");
    process
}

/// What follows from the call that failed is logged with its ids.
fn the_log_knows_the_trace(line: &Line, (trace, span, _): &(String, String, String)) {
    let log = line.consumer.log_text();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let told = lines.into_iter().find(|line| line["message"] == "lane rests");
    let told = told.unwrap_or_else(|| panic!("the log tells the rest: {log}"));
    assert_eq!(told["trace_id"], trace.as_str(), "{told}");
    assert_eq!(told["span_id"], span.as_str(), "{told}");
}

/// A trace whose beginning is not sampled is not sampled here; a row without one begins a trace.
async fn what_nobody_wants_goes_on_unchanged(line: &Line) {
    let unsampled = "00-00000000000000000000000000000abc-0000000000000def-00";
    line.insert(Some(unsampled)).await;
    assert_eq!(line.asked(3).await[2].header("traceparent"), Some(unsampled));
    line.insert(None).await;
    let (trace, parent, _) = context(&line.asked(4).await[3]);
    let process = line.span("a trace of its own", |span| span.id == parent).await;
    assert_eq!((process.trace, process.parent.as_str()), (trace, ""));
    let spans = line.collector.spans();
    let unwanted = spans.iter().find(|span| unsampled.contains(&span.trace));
    assert!(
        unwanted.is_none(),
        "it came later and is here, the other is not: {unwanted:?}"
    );
}
