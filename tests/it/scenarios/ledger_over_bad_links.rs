//! The links to Postgres and to the broker are cut, reset, held still and refused under load; the ledger stays clean.

use crate::support::ledger::dice::Dice;
use crate::support::ledger::trial::Trial;
use crate::support::ledger::workload::Running;
use crate::support::live::campaign;
use crate::support::proxy::Proxy;
use crate::support::relay::Relay;
use crate::support::stage::Stage;
use crate::support::wait::{self, PATIENCE};
use serde_json::json;
use std::time::Duration;

const EVENTS: usize = 3_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_swapped_or_invented_on_bad_links() {
    let to_kafka = Proxy::to(0).await;
    let advertised = format!("advertised.listeners=PLAINTEXT://127.0.0.1:{}", to_kafka.port);
    let Some(stage) = Stage::of("ledger_links").own_kafka(&[advertised]).open().await else {
        return;
    };
    to_kafka.aim(stage.own_kafka.as_ref().expect("asked for").port());
    let rounds = if campaign() { 60 } else { 8 };
    let trial = Trial::open(&stage, |workload| {
        (workload.writers, workload.events, workload.rate) = (4, EVENTS * rounds / 8, 300);
    })
    .await;
    let to_postgres = Proxy::to(stage.database.port()).await;
    let url = stage.database.url_at(to_postgres.port, "it_relay:it");
    let mut relay = stage.relay_at(&stage.config("twinbox.yaml", json!({})), &url);
    let running = trial.workload.start(&stage.database).endless();
    let mut dice = Dice::new(11);
    for round in 0..rounds {
        flows(&trial, &relay).await;
        let (link, name) = if dice.chance(50.0) {
            (&to_kafka, "Kafka")
        } else {
            (&to_postgres, "Postgres")
        };
        // All four kinds come in turn, on a link by chance.
        strike(link, round % 4).await;
        println!(
            "{}: round {round}, kind {} on the link to {name}",
            stage.name,
            round % 4
        );
    }
    finish(&trial, running).await;
    trial.settle(&mut relay).await;
    assert!(
        to_kafka.connections() > 1 && to_postgres.connections() > 1,
        "the faults hit the relay's links"
    );
    let verdict = trial.verdict().await;
    assert!(verdict.is_clean(), "{verdict}");
}

async fn strike(link: &Proxy, kind: usize) {
    match kind {
        0 => link.cut(),
        1 => link.reset(),
        2 => link.hold(),
        _ => link.refuse(),
    }
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    link.heal();
}

/// Waits until something new arrives: each fault hits a relay at work.
async fn flows(trial: &Trial<'_>, relay: &Relay) {
    let before = trial.tail.distinct();
    wait::until("the relay publishes", PATIENCE, || async {
        relay.must_be_up();
        let arrived = trial.tail.distinct();
        let status = relay.status().await?;
        wait::ensure(arrived > before, || {
            format!("{arrived} arrived; {status}; {}", relay.words())
        })
    })
    .await;
}

async fn finish(trial: &Trial<'_>, running: Running) {
    wait::until("enough is written", PATIENCE, || async {
        let committed = running.committed();
        wait::ensure(committed >= trial.workload.events, || format!("{committed} committed"))
    })
    .await;
    running.stop();
    running.finish().await;
}
