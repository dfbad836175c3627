//! Must show 4: a foreign transaction that stays open delays nobody else.

use crate::support::ledger::trial::Trial;
use crate::support::ledger::workload::Workload;
use crate::support::live::campaign;
use crate::support::stage::Stage;
use crate::support::wait;
use serde_json::json;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Both medians are a few milliseconds; below this a difference is the scheduler's. Beside compilers and other tests that
/// is more: what waits for the open transaction waits for seconds.
fn bound(without: Duration) -> Duration {
    if campaign() {
        without.mul_f64(1.2) + Duration::from_millis(2)
    } else {
        without * 3 + Duration::from_millis(100)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_median_stays_within_a_fifth() {
    let Some(stage) = Stage::of("latency_long").alone().open().await else {
        return;
    };
    let (events, rate, open) = if campaign() { (9_000, 300, 15) } else { (3_000, 300, 5) };
    let trial = Trial::open(&stage, |workload| {
        (workload.events, workload.rate, workload.bytes_max) = (events, rate, 10_000);
    })
    .await;
    let mut relay = stage.relay(&stage.config("twinbox.yaml", json!({})));
    relay.reaches("leading").await;

    let long = Workload {
        long_transaction: Some(Duration::from_secs(open)),
        seed: 3,
        ..trial.workload.clone()
    };
    let warm = Workload {
        events: events / 5,
        seed: 4,
        ..trial.workload.clone()
    };
    let calm = Workload {
        seed: 2,
        ..trial.workload.clone()
    };
    let _warm = median(&trial, &warm).await;
    let (without, with) = (median(&trial, &calm).await, median(&trial, &long).await);
    println!(
        "{}: median commit→Kafka {without:?} without, {with:?} with an open transaction",
        stage.name
    );

    trial.settle(&mut relay).await;
    let verdict = trial.verdict().await;
    assert!(verdict.is_clean(), "{verdict}");
    assert!(
        with <= bound(without),
        "{with:?} with a long transaction, {without:?} without"
    );
}

/// From the commit's answer to the record at a consumer, over the rows that committed while the workload ran.
async fn median(trial: &Trial<'_>, workload: &Workload) -> Duration {
    let written = workload.start(&trial.stage.database).finish().await;
    let commits: HashMap<Uuid, Instant> = written.commits.iter().copied().collect();
    let wanted = commits.len();
    let mut latencies: Vec<Duration> = wait::until("all came by", Duration::from_mins(1), || async {
        let arrivals = trial.tail.arrivals();
        let found: Vec<Duration> = arrivals
            .iter()
            .filter_map(|arrival| {
                commits
                    .get(&arrival.id?)
                    .map(|commit| arrival.at.saturating_duration_since(*commit))
            })
            .collect();
        if found.len() >= wanted {
            Ok(found)
        } else {
            Err(format!("{} of {wanted}", found.len()))
        }
    })
    .await;
    latencies.sort_unstable();
    latencies[latencies.len() / 2]
}
