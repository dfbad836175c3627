//! The relay's part of a trace, as a collector sees it: the standard environment is enough.

use crate::support::collector::{Collector, Span};
use crate::support::ledger::workload::Payload;
use crate::support::postgres::{Login, connect};
use crate::support::relay::Relay;
use crate::support::stage::Stage;
use crate::support::wait::{self, PATIENCE};
use serde_json::{Value, json};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

/// A span that links to the row, among those of that name.
async fn linked(collector: &Collector, name: &str, relay: &Relay) -> Span {
    wait::until(&format!("a span {name} links to the row"), PATIENCE, || async {
        relay.must_be_up();
        let wanted = (TRACE.to_owned(), SPAN.to_owned());
        let spans = collector.spans();
        let found = spans
            .iter()
            .find(|span| span.name == name && span.links.contains(&wanted));
        found.cloned().ok_or_else(|| format!("{spans:?}; {}", relay.words()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetch_and_publish_are_spans_that_link_to_the_rows_trace() {
    let Some(stage) = Stage::of("traces").open().await else {
        return;
    };
    stage.migrate(Payload::Bytea).await;
    let kind = stage.aggregate("order", 3).await;
    let collector = Collector::start().await;
    let url = stage.database.login_url(Login::Relay);
    let environment = [
        ("DATABASE_URL", url.as_str()),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
    ];
    let mut relay = stage.relay_with(&stage.config("twinbox.yaml", json!({})), &environment);
    relay.reaches("leading").await;
    let app = connect(&stage.database.login_url(Login::App)).await;
    let app = app.expect("the test server answers");
    let insert = "insert into twinbox.outbox (aggregatetype, aggregateid, type, payload, traceparent) \
                  values ($1, 'k', 'order.paid', $2, $3)";
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let small = b"{}".as_slice();
    app.execute(insert, &[&kind, &small, &parent]).await.expect("granted");

    let fetch = linked(&collector, "fetch", &relay).await;
    let send = linked(&collector, &format!("send {kind}.events"), &relay).await;
    for (span, system, operation) in [(&fetch, "twinbox_outbox", "receive"), (&send, "kafka", "send")] {
        assert_ne!(span.trace, TRACE, "a batch of many traces belongs to none: {span:?}");
        assert_eq!(span.attribute("relay"), Some("orders"), "{span:?}");
        assert_eq!(span.attribute("messaging.system"), Some(system), "{span:?}");
        assert_eq!(span.attribute("messaging.operation.type"), Some(operation), "{span:?}");
        assert_eq!(span.status, 0, "{span:?}");
    }
    let topic = format!("{kind}.events");
    assert_eq!(send.attribute("messaging.destination.name"), Some(topic.as_str()));

    let metrics = crate::support::http::get(&relay.admin().await, "/metrics")
        .await
        .expect("metrics");
    assert!(
        metrics
            .body
            .contains("twinbox_relay_fetch_duration_seconds_count{relay=\"orders\""),
        "{}",
        metrics.body
    );
    a_failure_is_a_status(&stage, &collector, &relay).await;
    assert_eq!(relay.terminate(PATIENCE).await.0, "exit 0");
}

/// A topic that is not there: the span says so, and the log line that tells it carries the span's trace.
async fn a_failure_is_a_status(stage: &Stage, collector: &Collector, relay: &Relay) {
    let app = connect(&stage.database.login_url(Login::App)).await;
    let enqueue = "select twinbox.enqueue($1, 'k', 'order.sent', '')";
    let kind = stage.type_name("nowhere");
    app.expect("the test server answers")
        .execute(enqueue, &[&kind])
        .await
        .expect("granted");
    let name = format!("send {kind}.events");
    let failed = wait::until("the failed span", PATIENCE, || async {
        let spans = collector.spans();
        let found = spans.iter().find(|span| span.name == name && span.status == 2);
        found.cloned().ok_or_else(|| format!("{spans:?}; {}", relay.words()))
    })
    .await;
    assert!(
        failed.attribute("error.type").is_some_and(|code| !code.is_empty()),
        "{failed:?}"
    );
    let log = relay.log_text();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let told = lines.into_iter().find(|line| {
        let message = line["message"].as_str().unwrap_or_default();
        message.contains("nowhere") && message.contains("rests")
    });
    let told = told.unwrap_or_else(|| panic!("the log tells the rest: {log}"));
    assert_eq!(told["trace_id"], failed.trace.as_str(), "{told}");
}
