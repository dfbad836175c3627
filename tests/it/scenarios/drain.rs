//! SIGTERM: what was committed before it goes out, then exit 0 (S37).

use crate::support::http;
use crate::support::ledger::observer::Tail;
use crate::support::ledger::plain::{Plain, Row};
use crate::support::ledger::trial::judge;
use crate::support::ledger::workload::Payload;
use crate::support::live::campaign;
use crate::support::process::Signal;
use crate::support::stage::Stage;
use crate::support::wait::{self, PATIENCE};
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

/// `drain.deadline` and a little for the end of the process.
const DRAINED_WITHIN: Duration = Duration::from_secs(27);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s37_the_last_rows_before_sigterm_go_out() {
    let Some(stage) = Stage::of("drain").open().await else {
        return;
    };
    stage.migrate(Payload::Bytea).await;
    let kind = stage.aggregate("order", 3).await;
    let config = stage.config("twinbox.yaml", json!({}));
    let mut writer = Plain::connect(&stage.database).await;
    for round in 0..if campaign() { 20 } else { 4 } {
        let mut relay = stage.relay(&config);
        relay.reaches("leading").await;
        // The last of these commits an instant before the signal.
        for number in 0..10 {
            let rows: Vec<Row> = (0..50)
                .map(|at| {
                    Row::new(
                        &kind,
                        &format!("key-{}", at % 7),
                        format!("{round} {number} {at}").as_bytes(),
                    )
                })
                .collect();
            writer.write(&rows).await;
        }
        let (end, took) = relay.terminate(DRAINED_WITHIN).await;
        println!("{}: round {round}: {end} after {took:?}", stage.name);
        assert_eq!(end, "exit 0", "{}", relay.words());
        let verdict = judge(&stage, &[format!("{kind}.events")], &writer.truth).await;
        assert!(verdict.is_clean(), "after round {round}: {verdict}");
        assert_eq!(
            verdict.duplicates,
            Vec::<Uuid>::new(),
            "a clean end settles what it sent"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_a_drain_that_cannot_finish() {
    let Some(stage) = Stage::of("drain_twice").own_kafka(&[]).open().await else {
        return;
    };
    stage.migrate(Payload::Bytea).await;
    let kind = stage.aggregate("order", 1).await;
    let mut relay = stage.relay(&stage.config("twinbox.yaml", json!({})));
    relay.reaches("leading").await;
    stage.own_kafka.as_ref().expect("asked for").stop();
    let mut writer = Plain::connect(&stage.database).await;
    let _stuck = writer.one(Row::new(&kind, "key", b"cannot go out")).await;
    wait::until("the row is in flight", PATIENCE, || async {
        let status = relay.status().await?;
        wait::ensure(status["in_flight"].as_u64() > Some(0), || status.to_string())
    })
    .await;
    relay.process.signal(Signal::Terminate);
    relay.reaches("draining").await;
    relay.process.signal(Signal::Interrupt);
    assert_eq!(
        relay.ends(Duration::from_secs(10)).await,
        "exit 130",
        "{}",
        relay.words()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_that_cannot_finish_ends_at_its_deadline_and_loses_nothing() {
    let Some(stage) = Stage::of("drain_deadline").own_kafka(&[]).open().await else {
        return;
    };
    stage.migrate(Payload::Bytea).await;
    let kind = stage.aggregate("order", 1).await;
    let config = stage.config("twinbox.yaml", json!({ "drain": { "deadline": "2s" } }));
    let mut relay = stage.relay(&config);
    relay.reaches("leading").await;
    let broker = stage.own_kafka.as_ref().expect("asked for");
    broker.stop();
    let mut writer = Plain::connect(&stage.database).await;
    let stuck = writer.one(Row::new(&kind, "key", b"cannot go out yet")).await;
    let (end, took) = relay.terminate(Duration::from_secs(20)).await;
    println!("{}: {end} after {took:?}", stage.name);
    assert_eq!(end, "exit 0", "a deadline that passed is a warning: {}", relay.words());
    assert!(relay.log_text().contains("WARN"), "{}", relay.words());

    broker.start_again();
    let mut relay = stage.relay(&config);
    let tail = Tail::follow(&stage.kafka.brokers, &[format!("{kind}.events")]);
    wait::until("the row arrives after all", PATIENCE, || async {
        wait::ensure(tail.first(stuck).is_some(), || relay.words())
    })
    .await;
    assert_eq!(relay.terminate(PATIENCE).await.0, "exit 0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_by_http_leaves_a_relay_at_work() {
    let Some(stage) = Stage::of("drain_http").open().await else {
        return;
    };
    stage.migrate(Payload::Bytea).await;
    let kind = stage.aggregate("order", 1).await;
    let mut relay = stage.relay(&stage.config("twinbox.yaml", json!({})));
    relay.reaches("leading").await;
    let address = relay.admin().await;
    assert_eq!(
        http::post(&address, "/drain").await.expect("answers").status,
        202,
        "free from loopback"
    );
    let waited = http::get(&address, "/drain?wait=5s").await.expect("answers");
    assert_eq!(
        waited.status, 200,
        "a process without consumers is drained at once: {waited:?}"
    );
    let mut writer = Plain::connect(&stage.database).await;
    let id = writer.one(Row::new(&kind, "key", b"after the drain by hook")).await;
    let tail = Tail::follow(&stage.kafka.brokers, &[format!("{kind}.events")]);
    wait::until("the application's last rows go out", PATIENCE, || async {
        wait::ensure(tail.first(id).is_some(), || relay.words())
    })
    .await;
    assert_eq!(relay.terminate(PATIENCE).await.0, "exit 0");
}
