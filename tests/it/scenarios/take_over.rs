//! Must show 5: the active relay dies, freezes or leaves; the standby goes on, in order, within the time promised.

use crate::support::ledger::observer::Tail;
use crate::support::ledger::trial::Trial;
use crate::support::ledger::workload::{Running, Written};
use crate::support::live::{campaign, within};
use crate::support::relay::Relay;
use crate::support::stage::Stage;
use crate::support::wait::{self, PATIENCE};
use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Steady, so that the longest wait of an event shows the pause.
const RATE: u64 = 100;

/// A leader at work, a standby beside it.
struct Pair<'a> {
    trial: Trial<'a>,
    leader: Relay,
    standby: Relay,
    running: Running,
}

impl<'a> Pair<'a> {
    async fn at_work(stage: &'a Stage, lease: Duration) -> Self {
        let trial = Trial::open(stage, |workload| {
            (workload.rate, workload.events, workload.bytes_max) = (RATE, 400, 5_000);
        })
        .await;
        let config: PathBuf = stage.config(
            "twinbox.yaml",
            json!({ "relays": { "orders": { "lease": format!("{}s", lease.as_secs()) } } }),
        );
        let leader = stage.relay(&config);
        leader.reaches("leading").await;
        let standby = stage.relay(&config);
        standby.reaches("standby").await;
        let running = trial.workload.start(&stage.database).endless();
        let pair = Self {
            trial,
            leader,
            standby,
            running,
        };
        pair.flows(200).await;
        pair
    }

    /// Waits until so many more rows have arrived.
    async fn flows(&self, more: usize) {
        let wanted = self.trial.tail.distinct() + more;
        wait::until("rows flow", PATIENCE, || async {
            let arrived = self.trial.tail.distinct();
            wait::ensure(arrived >= wanted, || {
                format!("{arrived} of {wanted}; {}", self.standby.words())
            })
        })
        .await;
    }

    /// Ends writers and relays; the longest wait of a row committed after `since`.
    async fn close(self, since: Instant) -> Duration {
        let Self {
            trial,
            leader,
            mut standby,
            running,
        } = self;
        running.stop();
        let written = running.finish().await;
        trial.settle(&mut standby).await;
        drop(leader);
        let verdict = trial.verdict().await;
        assert!(verdict.is_clean(), "{verdict}");
        worst(&written, &trial.tail, since)
    }
}

fn worst(written: &Written, tail: &Tail, since: Instant) -> Duration {
    let after = written.commits.iter().filter(|(_, committed)| *committed >= since);
    let waits = after.map(|(id, committed)| {
        let arrived = tail.first(*id).expect("everything was settled");
        arrived.saturating_duration_since(*committed)
    });
    waits.max().expect("rows were committed after the fault")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_leader_is_followed_within_two_seconds() {
    let Some(stage) = Stage::of("take_over_kill").alone().open().await else {
        return;
    };
    let mut pair = Pair::at_work(&stage, Duration::from_secs(10)).await;
    let since = Instant::now();
    pair.leader.kill();
    pair.flows(200).await;
    let pause = pair.close(since).await;
    println!("{}: kill -9, longest wait {pause:?}", stage.name);
    assert!(pause <= within(Duration::from_secs(2)), "the standby took {pause:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_leaves_is_followed_within_a_second() {
    let Some(stage) = Stage::of("take_over_term").alone().open().await else {
        return;
    };
    let mut pair = Pair::at_work(&stage, Duration::from_secs(10)).await;
    let since = Instant::now();
    let (end, drained) = pair.leader.terminate(PATIENCE).await;
    assert_eq!(end, "exit 0", "{}", pair.leader.words());
    pair.flows(200).await;
    let pause = pair.close(since).await;
    println!("{}: TERM, exit after {drained:?}, longest wait {pause:?}", stage.name);
    assert!(pause <= within(Duration::from_secs(1)), "the hand-over took {pause:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_leader_is_followed_after_its_lease_and_wakes_as_a_standby() {
    let Some(stage) = Stage::of("take_over_freeze").alone().open().await else {
        return;
    };
    let lease = Duration::from_secs(if campaign() { 10 } else { 4 });
    let pair = Pair::at_work(&stage, lease).await;
    let since = Instant::now();
    pair.leader.freeze();
    pair.standby.reaches("leading").await;
    pair.flows(200).await;
    let fence = fence(&stage).await;

    pair.leader.thaw();
    pair.leader.reaches("standby").await;
    // Rows that were committed after the thaw came by: whatever the woken one had to say is said.
    pair.flows(200).await;
    assert_eq!(self::fence(&stage).await, fence, "the woken leader wrote the cursor");
    pair.leader.must_be_up();
    let pause = pair.close(since).await;
    println!(
        "{}: SIGSTOP with a lease of {lease:?}, longest wait {pause:?}",
        stage.name
    );
    assert!(
        pause <= lease + within(Duration::from_secs(2)),
        "the standby took {pause:?}"
    );
}

/// Who may write the cursor, and under which epoch.
async fn fence(stage: &Stage) -> (Option<String>, i64) {
    let sql = "select holder, epoch from twinbox.relay_cursor where relay = 'orders'";
    let row = stage
        .database
        .owner()
        .await
        .query_one(sql, &[])
        .await
        .expect("the relay's cursor");
    (row.get(0), row.get(1))
}
