//! Two relays read one outbox into two places: each has its own cursor, and both carry everything.

use crate::support::ledger::checker::Truth;
use crate::support::ledger::observer::Tail;
use crate::support::ledger::trial::judge;
use crate::support::ledger::workload::{Payload, Workload, truth};
use crate::support::stage::Stage;
use crate::support::wait::{self, PATIENCE};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_two_relays_carries_everything() {
    let Some(stage) = Stage::of("two_relays").open().await else {
        return;
    };
    stage.migrate(Payload::Bytea).await;
    let kind = stage.aggregate("order", 4).await;
    let (events, copies) = (format!("{kind}.events"), format!("{kind}.copies"));
    stage.kafka.create_topic(&copies, 2, &[]).await;
    let config = stage.config(
        "twinbox.yaml",
        json!({ "relays": { "copier": {
        "to": { "kafka": { "brokers": stage.kafka.brokers.split(',').collect::<Vec<_>>() } },
        "route": { "topic": "{aggregatetype}.copies" },
    } } }),
    );
    let mut workload = Workload::over(&[kind]);
    (workload.events, workload.rate) = (1_500, 500);
    workload.prepare(&stage.database).await;
    let tail = Tail::follow(&stage.kafka.brokers, std::slice::from_ref(&copies));

    let mut relay = stage.relay(&config);
    let running = workload.start(&stage.database);
    wait::until("copies flow", PATIENCE, || async {
        wait::ensure(tail.distinct() > 300, || {
            format!("{}; {}", tail.distinct(), relay.words())
        })
    })
    .await;
    // One crash hits both in the middle: each cursor must find its own place again.
    relay.kill();
    relay = stage.relay(&config);
    running.finish().await;
    let committed = truth(&stage.database).await;
    let both = [events.clone(), copies.clone()];
    let tails = Tail::follow(&stage.kafka.brokers, &both);
    wait::until("both carried all", PATIENCE, || async {
        let count = tails.arrivals_in(&events).min(tails.arrivals_in(&copies));
        wait::ensure(count >= committed.len(), || {
            format!("{count} of {}; {}", committed.len(), relay.words())
        })
    })
    .await;
    assert_eq!(relay.terminate(PATIENCE).await.0, "exit 0");

    let verdict = judge(&stage, &[events], &committed).await;
    assert!(verdict.is_clean(), "{verdict}");
    let copied: Vec<Truth> = committed
        .into_iter()
        .map(|row| Truth {
            topic: copies.clone(),
            ..row
        })
        .collect();
    let verdict = judge(&stage, std::slice::from_ref(&copies), &copied).await;
    assert!(verdict.is_clean(), "{verdict}");
}
