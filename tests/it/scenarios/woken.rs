//! An idle relay is woken by the row, not by its clock: from the commit's answer to the record at a consumer.

use crate::support::ledger::observer::Tail;
use crate::support::ledger::plain::{Plain, Row};
use crate::support::ledger::workload::Payload;
use crate::support::stage::Stage;
use crate::support::wait::{self, PATIENCE};
use serde_json::json;
use std::time::{Duration, Instant};

/// An idle relay looks once a second: a row that is found by that has lost its wake-up.
const WOKEN: Duration = Duration::from_millis(800);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_wakes_an_idle_relay() {
    let Some(stage) = Stage::of("woken").alone().open().await else {
        return;
    };
    stage.migrate(Payload::Bytea).await;
    let kind = stage.aggregate("order", 1).await;
    let relay = stage.relay(&stage.config("twinbox.yaml", json!({})));
    relay.reaches("leading").await;
    let mut writer = Plain::connect(&stage.database).await;
    let tail = Tail::follow(&stage.kafka.brokers, &[format!("{kind}.events")]);
    let mut took = Vec::new();
    for turn in 0_u64..20 {
        let id = writer.one(Row::new(&kind, "key", b"one")).await;
        let committed = Instant::now();
        let arrived = wait::until("the row arrives", PATIENCE, || async {
            tail.first(id).ok_or_else(|| relay.words())
        })
        .await;
        took.push(arrived.saturating_duration_since(committed));
        // At every phase of a second, awake and asleep.
        tokio::time::sleep(Duration::from_millis(turn * 271 % 1_100)).await;
    }
    println!("{}: {took:?}", stage.name);
    // The first one waits for the topic and the consumer.
    let slowest = took.split_off(1).into_iter().max().expect("some rows");
    assert!(slowest < WOKEN, "{slowest:?}");
}
