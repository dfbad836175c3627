//! Must show 9: a relay with nothing to do costs next to nothing.

use crate::support::ledger::observer::Tail;
use crate::support::ledger::plain::{Plain, Row};
use crate::support::ledger::workload::Payload;
use crate::support::live::campaign;
use crate::support::stage::Stage;
use crate::support::wait::{self, PATIENCE};
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn woken_by_the_trigger_it_asks_four_times_a_second_at_most() {
    measure("idle_woken", json!({}), 4.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn polling_it_asks_twenty_times_a_second_at_most() {
    let poll = json!({ "relays": { "orders": { "from": { "cursor": { "wake": "poll" } } } } });
    measure("idle_polling", poll, 20.0).await;
}

async fn measure(test: &'static str, change: serde_json::Value, queries_max: f64) {
    let counting = "shared_preload_libraries=pg_stat_statements".to_owned();
    let Some(stage) = Stage::of(test).alone().own_postgres(&[counting]).open().await else {
        return;
    };
    let extension = "create extension pg_stat_statements";
    stage
        .database
        .owner()
        .await
        .batch_execute(extension)
        .await
        .expect("contrib is there");
    stage.migrate(Payload::Bytea).await;
    let kind = stage.aggregate("order", 3).await;
    let mut relay = stage.relay(&stage.config("twinbox.yaml", change));
    // It has worked once: producer, topic and buffers are there.
    let id = Plain::connect(&stage.database)
        .await
        .one(Row::new(&kind, "key", b"warm"))
        .await;
    let tail = Tail::follow(&stage.kafka.brokers, &[format!("{kind}.events")]);
    wait::until("a row goes through", PATIENCE, || async {
        wait::ensure(tail.first(id).is_some(), || relay.words())
    })
    .await;
    drop(tail);

    let window = Duration::from_secs(if campaign() { 60 } else { 15 });
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (cpu, asked) = (relay.process.cpu(), statements(&stage).await);
    tokio::time::sleep(window).await;
    let cpu = (relay.process.cpu().saturating_sub(cpu)).as_secs_f64() / window.as_secs_f64() * 100.0;
    let asked = (statements(&stage).await - asked) / window.as_secs_f64();
    let memory = relay.process.memory_peak() >> 20;
    println!(
        "{}: {cpu:.2} % of a core, {asked:.1} statements a second, peak memory {memory} MiB",
        stage.name
    );
    assert!(asked <= queries_max, "{asked:.1} statements a second");
    // A debug build is larger and slower than what is shipped.
    let (cpu_max, memory_max) = if cfg!(debug_assertions) { (5.0, 96) } else { (1.0, 25) };
    assert!(cpu <= cpu_max, "{cpu:.2} % of a core");
    assert!(memory <= memory_max, "{memory} MiB");
    assert_eq!(relay.terminate(PATIENCE).await.0, "exit 0");
}

/// Statements that the relay has sent so far, `begin` and `commit` included.
async fn statements(stage: &Stage) -> f64 {
    let sql = "select coalesce(sum(calls), 0)::float8 from pg_stat_statements where userid = 'it_relay'::regrole";
    stage
        .database
        .owner()
        .await
        .query_one(sql, &[])
        .await
        .expect("a superuser may")
        .get(0)
}
