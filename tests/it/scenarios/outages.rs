//! What is missing at the start is waited for: the process stays up, says what it misses, is not ready under strict
//! readiness, and goes on by itself when it is there.

use crate::support::http;
use crate::support::ledger::observer::Tail;
use crate::support::ledger::plain::{Plain, Row};
use crate::support::ledger::workload::Payload;
use crate::support::postgres::{Database, Login};
use crate::support::proxy::Proxy;
use crate::support::relay::Relay;
use crate::support::stage::Stage;
use crate::support::wait::{self, PATIENCE};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A destination that was missing is looked at again after 30 s at first.
const DESTINATION_AGAIN: Duration = Duration::from_mins(2);

fn strict(stage: &Stage) -> PathBuf {
    stage.config("twinbox.yaml", json!({ "admin": { "readiness": "strict" } }))
}

/// Up, alive, not ready, and says why.
async fn waits(relay: &Relay, pattern: &str) -> Value {
    let status = relay.complains(pattern).await;
    let address = relay.admin().await;
    let ready = http::get(&address, "/readyz").await.expect("the admin port answers");
    assert_eq!(ready.status, 503, "{ready:?} with {status}");
    let live = http::get(&address, "/livez").await.expect("the admin port answers");
    assert_eq!(live.status, 200, "an outage is no reason to be restarted: {live:?}");
    relay.must_be_up();
    status
}

/// Ready, and a row goes through; then a clean end.
async fn recovers(mut relay: Relay, row: (&Stage, &Database, &str)) {
    let (stage, database, kind) = row;
    let mut writer = Plain::connect(database).await;
    let id = writer.one(Row::new(kind, "key", b"after the outage")).await;
    let tail = Tail::follow(&stage.kafka.brokers, &[format!("{kind}.events")]);
    wait::until("a row goes through", DESTINATION_AGAIN, || async {
        relay.must_be_up();
        wait::ensure(tail.first(id).is_some(), || relay.words())
    })
    .await;
    let address = relay.admin().await;
    wait::until("it is ready", PATIENCE, || async {
        let ready = http::get(&address, "/readyz").await?;
        wait::ensure(ready.status == 200, || format!("{ready:?}; {}", relay.words()))
    })
    .await;
    assert_eq!(relay.terminate(PATIENCE).await.0, "exit 0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreachable_database_is_waited_for() {
    let Some(stage) = Stage::of("outage_database").open().await else {
        return;
    };
    stage.migrate(Payload::Bytea).await;
    let kind = stage.aggregate("order", 1).await;
    let link = Proxy::to(stage.database.port()).await;
    link.refuse();
    let url = stage.database.url_at(link.port, "it_relay:it");
    let relay = stage.relay_at(&strict(&stage), &url);
    waits(&relay, "(?i)refused|connect").await;
    link.heal();
    recovers(relay, (&stage, &stage.database, &kind)).await;
    assert!(link.connections() > 0, "the relay used the link");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_black_hole_in_front_of_the_database_is_survived() {
    let Some(stage) = Stage::of("outage_hole").open().await else {
        return;
    };
    stage.migrate(Payload::Bytea).await;
    let kind = stage.aggregate("order", 1).await;
    let link = Proxy::to(stage.database.port()).await;
    let url = stage.database.url_at(link.port, "it_relay:it");
    let relay = stage.relay_at(&strict(&stage), &url);
    relay.reaches("leading").await;
    link.hold();
    relay.complains(".").await;
    link.heal();
    recovers(relay, (&stage, &stage.database, &kind)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_told_and_tried_again() {
    let Some(stage) = Stage::of("outage_password").own_postgres(&[]).open().await else {
        return;
    };
    stage.migrate(Payload::Bytea).await;
    let kind = stage.aggregate("order", 1).await;
    let owner = stage.database.owner().await;
    demand_passwords(&stage, &stage.own_postgres.as_ref().expect("asked for").dir).await;
    let relay = stage.relay_at(
        &strict(&stage),
        &stage.database.url(Login::Relay.name(), "not this one"),
    );
    waits(&relay, "(?i)password").await;
    assert!(!relay.log_text().contains("not this one"), "the password is in the log");
    owner
        .batch_execute("alter role it_relay password 'not this one'")
        .await
        .expect("a superuser may");
    recovers(relay, (&stage, &stage.database, &kind)).await;
}

/// The relay's login must bring its password; everybody else is trusted as before.
async fn demand_passwords(stage: &Stage, dir: &Path) {
    let path = dir.join("home/data/pg_hba.conf");
    let rules = std::fs::read_to_string(&path).expect("the server's own rules");
    std::fs::write(&path, format!("host all it_relay 127.0.0.1/32 scram-sha-256\n{rules}")).expect("written");
    stage
        .database
        .owner()
        .await
        .batch_execute("select pg_reload_conf()")
        .await
        .expect("a superuser may");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_schema_is_told_and_looked_for_again() {
    let Some(stage) = Stage::of("outage_schema").open().await else {
        return;
    };
    // The roles belong to the cluster: this makes them, in a database that the relay does not use.
    stage.migrate(Payload::Bytea).await;
    let kind = stage.aggregate("order", 1).await;
    let bare = Database::create(&stage.database.owner_url(), &format!("{}_bare", stage.name)).await;
    let relay = stage.relay_at(&strict(&stage), &bare.login_url(Login::Relay));
    waits(&relay, "twinbox migrate").await;
    stage.migrate_in(&bare, Payload::Bytea).await;
    recovers(relay, (&stage, &bare, &kind)).await;
    bare.drop_it().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_topic_is_told_and_stops_no_other() {
    let Some(stage) = Stage::of("outage_topic").open().await else {
        return;
    };
    stage.migrate(Payload::Bytea).await;
    let (known, unknown) = (stage.aggregate("known", 1).await, stage.type_name("unknown"));
    let relay = stage.relay(&stage.config("twinbox.yaml", json!({})));
    let mut writer = Plain::connect(&stage.database).await;
    let first = writer.one(Row::new(&unknown, "key", b"waits")).await;
    let other = writer.one(Row::new(&known, "key", b"flows")).await;
    let tail = Tail::follow(&stage.kafka.brokers, &[format!("{known}.events")]);
    wait::until("the other topic flows", PATIENCE, || async {
        wait::ensure(tail.first(other).is_some(), || relay.words())
    })
    .await;
    relay.complains(&regex::escape(&format!("{unknown}.events"))).await;
    stage.kafka.create_topic(&format!("{unknown}.events"), 1, &[]).await;
    let tail = Tail::follow(&stage.kafka.brokers, &[format!("{unknown}.events")]);
    wait::until("what waited arrives", DESTINATION_AGAIN, || async {
        wait::ensure(tail.first(first).is_some(), || relay.words())
    })
    .await;
    recovers(relay, (&stage, &stage.database, &unknown)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_down_is_waited_for() {
    let Some(stage) = Stage::of("outage_broker").own_kafka(&[]).open().await else {
        return;
    };
    stage.migrate(Payload::Bytea).await;
    let kind = stage.aggregate("order", 1).await;
    let broker = stage.own_kafka.as_ref().expect("asked for");
    broker.stop();
    let relay = stage.relay(&strict(&stage));
    let mut writer = Plain::connect(&stage.database).await;
    let id = writer.one(Row::new(&kind, "key", b"waits for the broker")).await;
    waits(&relay, "(?i)broker|connect|kafka").await;
    broker.start_again();
    let tail = Tail::follow(&stage.kafka.brokers, &[format!("{kind}.events")]);
    wait::until("what waited arrives", DESTINATION_AGAIN, || async {
        wait::ensure(tail.first(id).is_some(), || relay.words())
    })
    .await;
    let letters = crate::support::ledger::trial::letters(&stage.database).await;
    assert_eq!(letters, vec![], "an outage never makes a letter");
    recovers(relay, (&stage, &stage.database, &kind)).await;
}
