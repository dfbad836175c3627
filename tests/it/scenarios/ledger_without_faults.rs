//! Nothing fails, nobody is killed: everything arrives once, in order, byte for byte.

use crate::support::ledger::trial::Trial;
use crate::support::ledger::workload::{Payload, Workload};
use crate::support::live::campaign;
use crate::support::stage::Stage;
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

/// I10: `limits.bytes` (32 MiB) × 1.5 + 48 MiB.
const MEMORY_MAX: u64 = 96 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_of_all_kinds_arrive_once() {
    let Some(stage) = Stage::of("ledger_calm_bytea").open().await else {
        return;
    };
    run(&stage, Payload::Bytea).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_arrives_once() {
    let Some(stage) = Stage::of("ledger_calm_jsonb").open().await else {
        return;
    };
    run(&stage, Payload::Jsonb).await;
}

async fn run(stage: &Stage, payload: Payload) {
    let shape = |workload: &mut Workload| {
        (workload.writers, workload.events, workload.keys) = if campaign() {
            (16, 50_000, 2_000)
        } else {
            (8, 3_000, 200)
        };
        workload.payload = payload;
        workload.long_transaction = Some(Duration::from_secs(2));
    };
    let trial = Trial::open(stage, shape).await;
    let mut relay = stage.relay(&stage.config("twinbox.yaml", json!({})));
    let written = trial.workload.start(&stage.database).finish().await;
    assert_eq!((written.unknown, written.reconnects), (0, 0), "nobody hurt the writers");
    assert!(written.rolled_back > 0, "the mix has rollbacks");
    let (memory, cpu) = (relay.process.memory_peak(), relay.process.cpu());
    println!("{}: peak memory {} MiB, CPU {cpu:?}", stage.name, memory >> 20);
    assert!(memory <= MEMORY_MAX, "I10: {} MiB", memory >> 20);
    trial.settle(&mut relay).await;
    let verdict = trial.verdict().await;
    assert!(verdict.is_clean(), "{verdict}");
    assert_eq!(verdict.duplicates, Vec::<Uuid>::new(), "duplicates without a fault");
    assert_eq!(verdict.committed, written.commits.len());
}
