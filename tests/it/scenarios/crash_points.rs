//! KR01–KR47: the relay aborts at every crash point, is started again, and the ledger stays clean.
//!
//! Needs `--features faults`. A point that is never hit fails the sweep. `TWINBOX_POINT=KR09` sweeps one of them,
//! `TWINBOX_CAMPAIGN=1` each of them ten times and more, at hits from the first to the fiftieth.
//!
//! # Why one workload goes on through all of it
//!
//! Each relay finds what the one before left behind: windows that are open, lanes that are stored, a session lock that
//! is not free yet. What a point did is judged at once, by what the database calls settled; the whole at the end.

mod sweep;

use crate::support::ledger::trial::Trial;
use crate::support::live::campaign;
use crate::support::stage::Stage;
use sweep::Sweep;
use twinbox::fault::POINTS;

/// How often each point is hit in a campaign, and the how-manieth hit of a life that is.
const CAMPAIGN: [u64; 10] = [1, 2, 5, 10, 1, 20, 2, 50, 5, 10];

/// What must happen for a relay to come by a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Occasion {
    /// Rows flow; a relay comes by again and again.
    Work,
    /// Every relay that starts comes by, once.
    Start,
    /// Once a second, more or less.
    Second,
    /// A row that the broker refuses, and one behind it.
    Refusal,
    /// A row for a lane that is stored already.
    Successor,
    /// A row that the broker refuses together with its neighbours.
    BadCompany,
    /// The link to Postgres stands still for longer than the lease.
    LinkHeld,
    /// The relay is frozen until another one leads, then wakes with a batch in flight.
    Usurped,
    /// SIGTERM.
    Drain,
    /// SIGTERM while the broker stands still.
    DrainWithoutBroker,
}

impl Occasion {
    fn of(point: &str) -> Self {
        match point {
            "lease.acquired" | "cursor.loaded" | "window.found" | "epoch.bumped" => Self::Start,
            "lease.renewing" | "retention.before" | "retention.middle" => Self::Second,
            "partition.detached" | "partition.dropped" => Self::Second,
            "watermark.up" | "cursor.writing" | "cursor.written" => Self::Second,
            "lane.rested" => Self::BadCompany,
            "lane.row_written" | "lane.stored" => Self::Refusal,
            "successors.appended" => Self::Successor,
            "lease.not_renewed" => Self::LinkHeld,
            "lease.lost" => Self::Usurped,
            "drain.begun" | "drain.confirmed" | "lease.resigned" | "telemetry.flushing" => Self::Drain,
            "drain.deadline" => Self::DrainWithoutBroker,
            _ => Self::Work,
        }
    }

    /// At which hits of a life the relay aborts, one life each.
    fn hits(self) -> Vec<u64> {
        match self {
            Self::Work if campaign() => CAMPAIGN.to_vec(),
            Self::Work => vec![1, 10],
            _ if !campaign() => vec![1],
            Self::Second => CAMPAIGN.map(|hit| hit.min(3)).to_vec(),
            _ => vec![1; CAMPAIGN.len()],
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_at_every_point_leaves_the_ledger_clean() {
    let Some(stage) = Stage::of("crash_points").partitions().own_kafka(&[]).open().await else {
        return;
    };
    let trial = Trial::open(&stage, |workload| {
        (workload.events, workload.rate, workload.bytes_max) = (0, 150, 20_000);
    })
    .await;
    let mut sweep = Sweep::prepare(&trial).await;
    let running = trial.workload.start(&stage.database).endless();
    sweep.leave_an_open_window().await;
    let only = std::env::var("TWINBOX_POINT").ok();
    let chosen = |number: &str| only.as_deref().is_none_or(|only| only == number);
    let (mut hits, mut missed) = (Vec::new(), Vec::new());
    for (number, point) in POINTS.iter().filter(|(number, _)| chosen(number)) {
        let wanted = Occasion::of(point).hits();
        let mut seen = Vec::new();
        for hit in &wanted {
            if sweep.abort_at(point, *hit).await {
                seen.push(*hit);
            }
        }
        if seen.len() < wanted.len() {
            missed.push(format!("{number} {point}: {} of {}", seen.len(), wanted.len()));
        }
        hits.push(format!("{number} {point:<20} {} aborts, at hit {seen:?}", seen.len()));
    }
    println!("{}: {} points\n{}", stage.name, hits.len(), hits.join("\n"));
    sweep.close(running).await;
    assert!(missed.is_empty(), "not hit: {missed:#?}");
    assert!(!hits.is_empty(), "no point is called {only:?}");
}
