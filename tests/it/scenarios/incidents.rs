//! What was changed outside is told with its kind and stops the stream it concerns, until somebody accepts it (G8).

use crate::support::http;
use crate::support::ledger::observer::Tail;
use crate::support::ledger::plain::{Plain, Row};
use crate::support::ledger::trial::judge;
use crate::support::ledger::workload::Payload;
use crate::support::postgres::Login;
use crate::support::relay::Relay;
use crate::support::stage::{Stage, text};
use crate::support::wait::{self, PATIENCE};
use serde_json::{Value, json};
use uuid::Uuid;

/// Waits until `/status` tells an incident of this kind; the log must tell it too.
async fn told(relay: &Relay, kind: &str) -> Value {
    let address = relay.admin().await;
    let incident = wait::until(&format!("{kind} is told"), PATIENCE, || async {
        relay.must_be_up();
        let status = http::get(&address, "/status").await?.json()?;
        let incidents = status["loss_suspected"].as_array().cloned().unwrap_or_default();
        let found = incidents.into_iter().find(|incident| incident["kind"] == kind);
        found.ok_or_else(|| format!("{status}; {}", relay.words()))
    })
    .await;
    let log = relay.log_text();
    assert!(
        log.lines().any(|line| line.contains("ERROR") && line.contains(kind)),
        "{}",
        relay.words()
    );
    incident
}

async fn arrives(tail: &Tail, id: Uuid, relay: &Relay) {
    wait::until("the row arrives", PATIENCE, || async {
        wait::ensure(tail.first(id).is_some(), || relay.words())
    })
    .await;
}

fn accept(stage: &Stage, kind: &str) {
    let config = stage.dir.join("twinbox.yaml");
    let config = config.to_str().expect("a UTF-8 path");
    let arguments = ["accept", "orders", kind, "-c", config, "--yes", "--reason", "seen"];
    let output = stage.run(&stage.database.login_url(Login::Operator), &arguments);
    assert!(output.status.success(), "accept: {}", text(&output.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s14_partitions_that_grew_while_it_was_down_are_told_and_accepted() {
    let Some(stage) = Stage::of("s14_partitions").open().await else {
        return;
    };
    stage.migrate(Payload::Bytea).await;
    let (kind, other) = (stage.aggregate("grows", 2).await, stage.aggregate("other", 1).await);
    let topic = format!("{kind}.events");
    let config = stage.config("twinbox.yaml", json!({}));
    let mut writer = Plain::connect(&stage.database).await;
    let mut relay = stage.relay(&config);
    let tail = Tail::follow(&stage.kafka.brokers, std::slice::from_ref(&topic));
    let before = writer.one(Row::new(&kind, "key", b"two partitions")).await;
    arrives(&tail, before, &relay).await;
    assert_eq!(relay.terminate(PATIENCE).await.0, "exit 0");

    let sql = "select partitions from twinbox.relay_destination where destination = $1";
    let kept = stage
        .database
        .owner()
        .await
        .query(sql, &[&topic])
        .await
        .expect("the relay's memory");
    let kept: Vec<i32> = kept.iter().map(|row| row.get(0)).collect();
    assert_eq!(kept, [2], "a drained relay has written down what it saw");
    stage.kafka.grow_topic(&topic, 5).await;
    let after = writer.one(Row::new(&kind, "key", b"five partitions")).await;
    let elsewhere = writer.one(Row::new(&other, "key", b"not concerned")).await;
    let mut relay = stage.relay(&config);
    told(&relay, "partitions_changed").await;
    let tail_other = Tail::follow(&stage.kafka.brokers, &[format!("{other}.events")]);
    arrives(&tail_other, elsewhere, &relay).await;
    let tail = Tail::follow(&stage.kafka.brokers, std::slice::from_ref(&topic));
    assert_eq!(
        tail.first(after),
        None,
        "published over another partition count before anybody accepted it"
    );
    accept(&stage, "partitions_changed");
    arrives(&tail, after, &relay).await;
    assert_eq!(relay.terminate(PATIENCE).await.0, "exit 0");
    let verdict = judge(&stage, &[topic, format!("{other}.events")], &writer.truth).await;
    assert!(
        verdict.lost.is_empty() && verdict.phantom.is_empty() && verdict.wrong_bytes.is_empty(),
        "{verdict}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_was_deleted_and_made_again_is_told() {
    let Some(stage) = Stage::of("recreated").open().await else {
        return;
    };
    stage.migrate(Payload::Bytea).await;
    let kind = stage.aggregate("again", 1).await;
    let topic = format!("{kind}.events");
    let mut relay = stage.relay(&stage.config("twinbox.yaml", json!({})));
    let mut writer = Plain::connect(&stage.database).await;
    let tail = Tail::follow(&stage.kafka.brokers, std::slice::from_ref(&topic));
    for number in 0..5_u8 {
        let id = writer.one(Row::new(&kind, "key", &[number])).await;
        arrives(&tail, id, &relay).await;
    }
    drop(tail);
    stage.kafka.delete_topic(&topic).await;
    stage.kafka.create_topic(&topic, 1, &[]).await;
    writer.one(Row::new(&kind, "key", b"into the new one")).await;
    told(&relay, "topic_recreated").await;
    assert_eq!(relay.terminate(PATIENCE).await.0, "exit 0");
}
