//! One committed row arrives, byte for byte, under the CloudEvents envelope.

use crate::support::ledger::observer::{Record, Tail, read_all};
use crate::support::ledger::workload::Payload;
use crate::support::postgres::{Login, connect};
use crate::support::stage::Stage;
use crate::support::wait::{self, PATIENCE};
use regex::Regex;
use serde_json::json;
use uuid::Uuid;

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_arrives_byte_for_byte() {
    let Some(stage) = Stage::of("thin_path").open().await else {
        return;
    };
    stage.migrate(Payload::Jsonb).await;
    let kind = stage.aggregate("order", 3).await;
    let topics = [format!("{kind}.events")];
    let mut relay = stage.relay(&stage.config("twinbox.yaml", json!({})));
    relay.reaches("leading").await;

    let app = connect(&stage.database.login_url(Login::App))
        .await
        .expect("the test server answers");
    let id = Uuid::new_v4();
    let insert = "insert into twinbox.outbox (id, aggregatetype, aggregateid, type, payload, headers, traceparent) \
         values ($1, $2, '42', 'order.paid', $3::text::jsonb, '{\"tenant\": \"blue ☃\"}', $4)";
    let payload = r#"{"total":1.50,"list":[1,  2],"a":"☃"}"#;
    app.execute(insert, &[&id, &kind, &payload, &TRACE])
        .await
        .expect("INSERT is granted");
    let enqueue = "select twinbox.enqueue($1, '42', 'order.sent', '{}')";
    let second: Uuid = app
        .query_one(enqueue, &[&kind])
        .await
        .expect("EXECUTE is granted")
        .get(0);

    let tail = Tail::follow(&stage.kafka.brokers, &topics);
    wait::until("both rows are on the broker", PATIENCE, || async {
        relay.must_be_up();
        wait::ensure(tail.distinct() == 2, || relay.words())
    })
    .await;
    let records = read_all(&stage.kafka.brokers, &topics);
    assert_eq!(
        records.iter().filter_map(Record::id).collect::<Vec<_>>(),
        [id, second],
        "{records:?}"
    );
    assert_envelope(&records[0], id);
    assert_eq!(records[1].value.as_deref(), Some(b"{}".as_slice()));
    assert!(records[0].position() < records[1].position(), "{records:?}");
    assert!(records[0].position().is_some(), "{records:?}");
    assert_eq!(relay.terminate(PATIENCE).await.0, "exit 0");
}

fn assert_envelope(record: &Record, id: Uuid) {
    assert_eq!(record.key.as_deref(), Some(b"42".as_slice()));
    // As Postgres prints jsonb: shorter names first, one blank after colon and comma, numbers untouched.
    let value = r#"{"a": "☃", "list": [1, 2], "total": 1.50}"#;
    assert_eq!(
        record.value.as_deref().map(String::from_utf8_lossy).as_deref(),
        Some(value)
    );
    let expected = [
        ("ce_specversion", "1.0"),
        ("ce_id", &id.to_string()),
        ("ce_type", "order.paid"),
        ("ce_source", "/twinbox/orders"),
        ("ce_subject", "42"),
        ("ce_partitionkey", "42"),
        ("content-type", "application/json"),
        ("traceparent", TRACE),
        ("tenant", "blue ☃"),
    ];
    for (name, value) in expected {
        assert_eq!(record.text(name), Some(value), "header {name} of {:?}", record.headers);
    }
    let time = Regex::new(r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?Z$").expect("a valid pattern");
    assert!(
        record.text("ce_time").is_some_and(|text| time.is_match(text)),
        "{:?}",
        record.headers
    );
    let names: Vec<&str> = record.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names.len(),
        expected.len() + 2,
        "exactly these, ce_time and twinbox-position: {names:?}"
    );
}
