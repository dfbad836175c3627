//! KR01–KR47: the relay aborts at every crash point, is started again, and the ledger stays clean.
//!
//! Needs `--features faults`. A point that is never hit fails the sweep. `TWINBOX_POINT=KR09` sweeps one of them.

use crate::support::ledger::checker::Truth;
use crate::support::ledger::dice::Dice;
use crate::support::ledger::plain::{Plain, Row};
use crate::support::ledger::trial::{Trial, judge};
use crate::support::ledger::workload::{Running, truth};
use crate::support::live::campaign;
use crate::support::process::Signal;
use crate::support::proxy::Proxy;
use crate::support::relay::Relay;
use crate::support::stage::Stage;
use crate::support::wait::{self, PATIENCE};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;
use twinbox::fault::POINTS;

/// Partitions of the outbox are another table shape: their sweep is beside retention's own tests.
const ELSEWHERE: [&str; 2] = ["partition.detached", "partition.dropped"];

/// What must happen for a relay to come by a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Occasion {
    /// Rows flow.
    Work,
    /// A row that the broker refuses, and one behind it.
    Refusal,
    /// The topic's broker is away for a while.
    BrokerAway,
    /// The link to Postgres stands still for longer than the lease.
    LinkHeld,
    /// SIGTERM.
    Drain,
    /// SIGTERM while the broker is away.
    DrainWithoutBroker,
}

fn occasion(point: &str) -> Occasion {
    match point {
        "lane.row_written" | "lane.stored" | "successors.appended" => Occasion::Refusal,
        "lane.rested" => Occasion::BrokerAway,
        "lease.not_renewed" | "lease.lost" => Occasion::LinkHeld,
        "drain.begun" | "drain.confirmed" | "lease.resigned" | "telemetry.flushing" => Occasion::Drain,
        "drain.deadline" => Occasion::DrainWithoutBroker,
        _ => Occasion::Work,
    }
}

struct Sweep<'a> {
    trial: &'a Trial<'a>,
    config: PathBuf,
    link: Proxy,
    /// Writes what the broker refuses, into a topic of its own.
    refused: Plain,
    picky: String,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_at_every_point_leaves_the_ledger_clean() {
    let Some(stage) = Stage::of("crash_points").own_kafka(&[]).open().await else {
        return;
    };
    let trial = Trial::open(&stage, |workload| (workload.events, workload.rate) = (0, 150)).await;
    let only = std::env::var("TWINBOX_POINT").ok();
    let repeats = if campaign() { 10 } else { 1 };
    let mut sweep = Sweep::prepare(&stage, &trial).await;
    let running = trial.workload.start(&stage.database).endless();
    let (mut dice, mut missed) = (Dice::new(5), Vec::new());
    let chosen = |number: &str| only.as_deref().is_none_or(|only| only == number);
    for (number, point) in POINTS
        .iter()
        .filter(|(number, point)| chosen(number) && !ELSEWHERE.contains(point))
    {
        for repeat in 0..repeats {
            // First, tenth, and a hit by chance; an occasion that happens once has one hit.
            let many = occasion(point) == Occasion::Work && repeat > 0;
            let hit = if many { [10, dice.between(1, 30)][repeat % 2] } else { 1 };
            if !sweep.abort_at(point, hit).await {
                missed.push(format!("{number} {point}@{hit}"));
            }
        }
    }
    sweep.close(running).await;
    assert!(missed.is_empty(), "never hit: {missed:?}");
}

impl<'a> Sweep<'a> {
    async fn prepare(stage: &Stage, trial: &'a Trial<'a>) -> Self {
        let picky = stage.type_name("picky");
        stage
            .kafka
            .create_topic(&format!("{picky}.events"), 1, &[("max.message.bytes", "20000")])
            .await;
        let change = json!({
            "relays": { "orders": { "lease": "3s", "retention": "1s", "limits": { "batch": 50 } } },
            "drain": { "deadline": "4s" },
        });
        Self {
            trial,
            config: stage.config("twinbox.yaml", change),
            link: Proxy::to(stage.database.port()).await,
            refused: Plain::connect(&stage.database).await,
            picky,
        }
    }

    /// Starts a relay that aborts at this hit of the point; whether it did.
    async fn abort_at(&mut self, point: &str, hit: usize) -> bool {
        let fault = format!("{point}=abort@{hit}");
        let url = self.trial.stage.database.url_at(self.link.port, "it_relay:it");
        let mut relay = self
            .trial
            .stage
            .relay_with(&self.config, &[("DATABASE_URL", &url), ("TWINBOX_FAULT", &fault)]);
        let aborted = self.provoke(occasion(point), &mut relay).await;
        relay.kill();
        self.link.heal();
        self.trial.stage.own_kafka.as_ref().expect("asked for").start_again();
        println!(
            "{}: {fault}: {}",
            self.trial.stage.name,
            if aborted { "aborted" } else { "NOT HIT" }
        );
        aborted
    }

    async fn provoke(&mut self, occasion: Occasion, relay: &mut Relay) -> bool {
        let broker = self.trial.stage.own_kafka.as_ref().expect("asked for");
        match occasion {
            Occasion::Work => {}
            Occasion::Refusal => self.refuse().await,
            Occasion::BrokerAway => {
                at_work(relay).await;
                broker.stop();
            }
            Occasion::LinkHeld => {
                at_work(relay).await;
                self.link.hold();
                if !ends(relay, Duration::from_secs(8)).await {
                    self.link.heal();
                }
            }
            Occasion::Drain => {
                at_work(relay).await;
                relay.process.signal(Signal::Terminate);
            }
            Occasion::DrainWithoutBroker => {
                at_work(relay).await;
                broker.stop();
                tokio::time::sleep(Duration::from_millis(500)).await;
                relay.process.signal(Signal::Terminate);
            }
        }
        ends(relay, PATIENCE).await && relay.ends(Duration::ZERO).await == "signal 6"
    }

    async fn refuse(&mut self) {
        let key = format!("key-{}", self.refused.truth.len());
        let rows = [
            Row::new(&self.picky, &key, &[1; 50_000]),
            Row::new(&self.picky, &key, b"behind it"),
        ];
        self.refused.write(&rows).await;
    }

    async fn close(mut self, running: Running) {
        running.stop();
        running.finish().await;
        let stage = self.trial.stage;
        let mut relay = stage.relay(&self.config);
        self.trial.settle(&mut relay).await;
        let mut committed: Vec<Truth> = truth(&stage.database).await;
        committed.append(&mut self.refused.truth);
        let mut topics = self.trial.topics.clone();
        topics.push(format!("{}.events", self.picky));
        let verdict = judge(stage, &topics, &committed).await;
        assert!(verdict.is_clean(), "{verdict}");
    }
}

async fn at_work(relay: &Relay) {
    wait::until("the relay publishes", PATIENCE, || async {
        let status: Value = relay.status().await?;
        wait::ensure(status["published"].as_u64() > Some(0), || status.to_string())
    })
    .await;
}

async fn ends(relay: &Relay, deadline: Duration) -> bool {
    let poll = || async { wait::ensure(!relay.process.is_alive(), String::new) };
    wait::tried(deadline, poll).await.is_ok()
}
