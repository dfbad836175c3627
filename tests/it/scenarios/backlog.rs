//! Must show 7, small: a waiting outbox drains in batches, not message by message, and within its memory.
//!
//! `make bench` has the figures; here a relay that waits for each message, or holds the backlog in memory, is red.

#[path = "../../bench/naive.rs"]
mod naive;

use crate::support::ledger::observer::Tail;
use crate::support::ledger::workload::Payload;
use crate::support::live::campaign;
use crate::support::stage::Stage;
use crate::support::wait::{self, PATIENCE};
use serde_json::json;
use std::time::Duration;

const NAIVE_FOR: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_outbox_drains_in_batches() {
    let Some(stage) = Stage::of("backlog").alone().open().await else {
        return;
    };
    stage.migrate(Payload::Bytea).await;
    let (kind, slow) = (stage.aggregate("order", 3).await, stage.aggregate("slow", 3).await);
    let rows: usize = if campaign() { 200_000 } else { 20_000 };
    let mut owner = stage.database.owner().await;
    let fill = |kind: &str, rows: usize| {
        format!(
            "insert into twinbox.outbox (aggregatetype, aggregateid, type, payload)
             select '{kind}', (n * 7919 % 1000)::text, 'Happened', convert_to(repeat('x', 250), 'UTF8')
             from generate_series(1, {rows}) n"
        )
    };
    owner.batch_execute(&fill(&slow, 20_000)).await.expect("the owner may");
    let topic = format!("{slow}.events");
    let naive = naive::relay(&mut owner, &stage.kafka.brokers, &topic, NAIVE_FOR).await;
    owner
        .batch_execute("truncate twinbox.outbox")
        .await
        .expect("the owner may");
    owner.batch_execute(&fill(&kind, rows)).await.expect("the owner may");

    let tail = Tail::follow(&stage.kafka.brokers, &[format!("{kind}.events")]);
    let mut relay = stage.relay(&stage.config("twinbox.yaml", json!({})));
    wait::until("every row is there", 2 * PATIENCE, || async {
        wait::ensure(tail.count() >= rows, || relay.words())
    })
    .await;
    let arrivals = tail.arrivals();
    assert_eq!(arrivals.len(), rows, "a row went out twice without a fault");
    let times = || arrivals.iter().map(|arrival| arrival.at);
    let took = times().max().expect("rows") - times().min().expect("rows");
    let rate = rows as f64 / took.as_secs_f64();
    let memory = relay.process.memory_peak() >> 20;
    println!(
        "{}: {rate:.0} rows/s, {:.1} times the naive relay's {naive:.0}, peak memory {memory} MiB",
        stage.name,
        rate / naive
    );
    // A debug build is larger and slower than what is shipped.
    let (ratio_min, memory_max) = if cfg!(debug_assertions) { (2.0, 160) } else { (20.0, 64) };
    assert!(rate >= ratio_min * naive, "{rate:.0} rows/s beside {naive:.0}");
    assert!(memory <= memory_max, "{memory} MiB");
    assert_eq!(relay.terminate(PATIENCE).await.0, "exit 0");
}
