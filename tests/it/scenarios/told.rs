//! What a relay tells about itself: letters and lanes as the database has them, and what was published by the process.

use crate::support::http;
use crate::support::ledger::plain::{Plain, Row};
use crate::support::ledger::workload::Payload;
use crate::support::postgres::Login;
use crate::support::relay::Relay;
use crate::support::stage::{Stage, text};
use crate::support::wait::{self, PATIENCE};
use serde_json::{Value, json};

/// Waits until `/status` is as wanted.
async fn told(relay: &Relay, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    wait::until(what, PATIENCE, || async {
        relay.must_be_up();
        let status = relay.status().await?;
        wait::ensure(wanted(&status), || format!("{status}; {}", relay.words()))?;
        Ok(status)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_lanes_and_what_was_published_are_told_as_they_are() {
    let Some(stage) = Stage::of("told").open().await else {
        return;
    };
    stage.migrate(Payload::Bytea).await;
    let kind = stage.type_name("order");
    let small = [("max.message.bytes", "20000")];
    stage.kafka.create_topic(&format!("{kind}.events"), 1, &small).await;
    let mut relay = stage.relay(&stage.config("twinbox.yaml", json!({})));
    let mut writer = Plain::connect(&stage.database).await;
    writer.one(Row::new(&kind, "poisoned", &vec![7; 100_000])).await;
    writer.one(Row::new(&kind, "poisoned", b"behind it")).await;
    writer.one(Row::new(&kind, "other", b"flows")).await;
    let letters = json!({ "parked": 1, "queued": 1, "deferred": 0, "scheduled": 0, "dead": 0 });
    let status = told(&relay, "the letters are counted", |status| {
        status["letters"] == letters && status["lanes"]["parked"] == 1 && status["published"] == 1
    })
    .await;
    let metrics = http::get(&relay.admin().await, "/metrics").await.expect("metrics").body;
    let gauge = "twinbox_letters{relay=\"orders\",state=\"queued\"} 1";
    assert!(metrics.contains(gauge), "{status}; {metrics}");

    stage.database.terminate(Login::Relay).await;
    wait::until("another term begins", PATIENCE, || async {
        let terms = relay.log_text().matches("lease taken").count();
        wait::ensure(terms == 2, || relay.words())
    })
    .await;
    writer.one(Row::new(&kind, "other", b"in the second term")).await;
    let published = |status: &Value| status["published"].as_u64().unwrap_or_default();
    let status = told(&relay, "the second row is published", |status| published(status) != 1).await;
    assert!(published(&status) >= 2, "counted since the process began: {status}");

    let config = stage.dir.join("twinbox.yaml");
    let config = config.to_str().expect("a UTF-8 path");
    let discard = [
        "letters", "discard", "-c", config, "--all", "--yes", "--reason", "a test",
    ];
    let output = stage.run(&stage.database.login_url(Login::Operator), &discard);
    assert!(output.status.success(), "letters discard: {}", text(&output.stderr));
    told(&relay, "nothing is parked any more", |status| {
        status["lanes"]["parked"] == 0 && status["letters"]["parked"] == 0 && status["letters"]["queued"] == 0
    })
    .await;
    assert_eq!(relay.terminate(PATIENCE).await.0, "exit 0");
}
