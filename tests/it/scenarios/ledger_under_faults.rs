//! Must show 3: the relay is killed, the broker is killed, Postgres is restarted, connections are terminated, all
//! under load; nothing is lost, invented or swapped, and duplicates stay within the bound.

use crate::support::ledger::dice::Dice;
use crate::support::ledger::trial::Trial;
use crate::support::ledger::workload::Running;
use crate::support::live::campaign;
use crate::support::postgres::Login;
use crate::support::relay::Relay;
use crate::support::stage::Stage;
use crate::support::wait::{self, PATIENCE};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

const IN_FLIGHT: usize = 500;

/// Settled is told to the database once a second; the tail hears of a record a little after the relay does.
const SETTLED_LATELY: Duration = Duration::from_millis(1_500);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    KillRelay,
    KillBroker,
    RestartPostgres,
    TerminateBackends,
}

/// How much of everything.
struct Size {
    writers: usize,
    events: usize,
    keys: usize,
    rate: u64,
    relay_kills: usize,
    broker_kills: usize,
    terminations: usize,
    open: Duration,
    /// The server allows prepared transactions, so it has no wake trigger: the relay polls.
    prepared: bool,
}

const SMALL: Size = Size {
    writers: 8,
    events: 5_000,
    keys: 300,
    rate: 400,
    relay_kills: 4,
    broker_kills: 1,
    terminations: 2,
    open: Duration::from_secs(3),
    prepared: true,
};

const FULL: Size = Size {
    writers: 16,
    events: 100_000,
    keys: 2_000,
    rate: 600,
    relay_kills: 20,
    broker_kills: 3,
    terminations: 10,
    open: Duration::from_secs(15),
    prepared: false,
};

impl Size {
    /// In an order that the seed decides; the restart of Postgres comes late, when the long transaction is over.
    fn faults(&self, seed: u64) -> Vec<Fault> {
        let mut faults = vec![Fault::KillRelay; self.relay_kills];
        faults.extend(vec![Fault::KillBroker; self.broker_kills]);
        faults.extend(vec![Fault::TerminateBackends; self.terminations]);
        let mut dice = Dice::new(seed);
        for at in (1..faults.len()).rev() {
            faults.swap(at, dice.between(0, at));
        }
        faults.insert(faults.len() * 8 / 10, Fault::RestartPostgres);
        faults
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_swapped_or_invented_whatever_dies() {
    let size = if campaign() { FULL } else { SMALL };
    let prepared = format!("max_prepared_transactions={}", if size.prepared { 32 } else { 0 });
    let wish = Stage::of("ledger_faults").own_kafka(&[]).own_postgres(&[prepared]);
    let Some(stage) = wish.open().await else {
        return;
    };
    let seed = stage.seed();
    let trial = Trial::open(&stage, |workload| {
        (workload.writers, workload.events, workload.keys) = (size.writers, size.events, size.keys);
        (workload.rate, workload.seed, workload.long_transaction) = (size.rate, seed, Some(size.open));
        workload.prepared = size.prepared;
    })
    .await;
    let config = stage.config(
        "twinbox.yaml",
        json!({ "relays": { "orders": { "limits": { "in_flight": IN_FLIGHT, "batch": IN_FLIGHT / 2 } } } }),
    );
    let mut play = Play {
        trial: &trial,
        config: &config,
        relay: stage.relay(&config),
        position: Value::Null,
        bound: 0,
    };
    let running = trial.workload.start(&stage.database).endless();

    let faults = size.faults(seed);
    for (number, fault) in faults.iter().enumerate() {
        play.when(&running, size.events * (number + 1) / (faults.len() + 1))
            .await;
        play.strike(*fault).await;
    }
    play.when(&running, size.events).await;
    running.stop();
    let written = running.finish().await;
    trial.settle(&mut play.relay).await;

    let verdict = trial.verdict().await;
    let note = format!(
        "seed {seed}: {} faults, {} rollbacks, {} prepared, {} unknown commits, {} duplicates of at most {}",
        faults.len(),
        written.rolled_back,
        written.prepared,
        written.unknown,
        verdict.duplicates.len(),
        play.bound
    );
    println!("{}: {note}", stage.name);
    assert_eq!(written.prepared > 0, size.prepared, "{note}");
    assert!(verdict.is_clean(), "{note}\n{verdict}");
    assert!(verdict.duplicates.len() <= play.bound, "{note}");
}

struct Play<'a> {
    trial: &'a Trial<'a>,
    config: &'a Path,
    relay: Relay,
    /// What `/status` told of the watermark after the last fault.
    position: Value,
    /// Duplicates that the faults so far may cause (DESIGN §12).
    bound: usize,
}

impl Play<'_> {
    /// Waits until so many rows are committed and, since the last fault, the relay has settled something: each fault
    /// hits a relay at work.
    async fn when(&mut self, running: &Running, rows: usize) {
        wait::until("writers write and the relay publishes", PATIENCE * 2, || async {
            self.relay.must_be_up();
            let (committed, status) = (running.committed(), self.relay.status().await?);
            let position = &status["position"];
            let at_work = !position.is_null() && *position != self.position;
            wait::ensure(committed >= rows && at_work, || {
                format!("{committed} of {rows} committed; {status}; {}", self.relay.words())
            })
        })
        .await;
    }

    async fn strike(&mut self, fault: Fault) {
        let stage = self.trial.stage;
        // In this order: what comes by in between must not make a negative number.
        let distinct = self.trial.tail.distinct();
        let all = self.trial.tail.arrivals().len();
        let lately = self.trial.arrived_before(Instant::now(), SETTLED_LATELY);
        self.bound += IN_FLIGHT + lately;
        println!(
            "{}: {fault:?} at {distinct} arrived, {} twice, {lately} lately",
            stage.name,
            all - distinct
        );
        match fault {
            Fault::KillRelay => {
                self.relay.kill();
                self.relay = stage.relay(self.config);
                self.position = Value::Null;
                return;
            }
            Fault::KillBroker => {
                let broker = stage.own_kafka.as_ref().expect("asked for");
                broker.kill();
                broker.start_again();
            }
            Fault::RestartPostgres => stage.own_postgres.as_ref().expect("asked for").restart(),
            Fault::TerminateBackends => {
                let count = stage.database.terminate(Login::Relay).await;
                assert!(count > 0, "the relay has a connection to lose");
            }
        }
        let status = self.relay.status().await;
        self.position = status.map_or(Value::Null, |status| status["position"].clone());
    }
}
