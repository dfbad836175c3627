//! The doctor of a route with placeholders looks at the topics that matter: of rows that wait, and of what was published.

use crate::support::ledger::plain::{Plain, Row};
use crate::support::ledger::workload::Payload;
use crate::support::postgres::Login;
use crate::support::stage::{Stage, text};
use serde_json::{Value, json};

/// What the doctor says of a topic, and how it ends.
fn ask(stage: &Stage, topic: &str) -> (Option<i32>, String, String) {
    ask_of(stage, topic, json!({}))
}

fn ask_of(stage: &Stage, topic: &str, change: Value) -> (Option<i32>, String, String) {
    let config = stage.config("twinbox.yaml", change);
    let config = config.to_str().expect("a UTF-8 path");
    let seen = stage.run(
        &stage.database.login_url(Login::Relay),
        &["doctor", "-o", "json", "-c", config],
    );
    let document: Value = serde_json::from_slice(&seen.stdout).unwrap_or_else(|_| panic!("{}", text(&seen.stderr)));
    let parts = document["parts"].as_array().expect("parts").iter();
    let mut findings = parts.flat_map(|part| part["findings"].as_array().expect("findings"));
    let found = findings.find(|finding| {
        finding["id"] == "KAFKA-TOPIC" && finding["observed"].as_str().is_some_and(|words| words.contains(topic))
    });
    let found = found.unwrap_or_else(|| panic!("nothing of {topic}: {document:#}"));
    let word = |name: &str| found[name].as_str().expect("text").to_owned();
    (seen.status.code(), word("grade"), word("fix"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_topics_of_waiting_rows_are_looked_at() {
    let Some(stage) = Stage::of("doctor").open().await else {
        return;
    };
    stage.migrate(Payload::Bytea).await;
    let (there, missing) = (stage.aggregate("there", 1).await, stage.type_name("missing"));
    let mut plain = Plain::connect(&stage.database).await;
    for kind in [&there, &missing, &there, &missing] {
        plain.one(Row::new(kind, "k", b"x")).await;
    }
    let topic = format!("{missing}.events");
    let (code, grade, fix) = ask(&stage, &topic);
    assert_eq!((code, grade.as_str()), (Some(4), "fail"));
    assert!(
        fix.contains("kafka-topics.sh --create") && fix.contains(&format!("--topic {topic}")),
        "{fix}"
    );
    assert_eq!(ask(&stage, &format!("{there}.events")).1, "ok");
    // Made as it says, all is well.
    stage.kafka.create_topic(&topic, 1, &[]).await;
    assert_eq!(ask(&stage, &topic).0, Some(0));
    // Published to before, and no row waits for it: worth a look, no error.
    let retired = stage.type_name("retired");
    let remember = format!(
        "insert into twinbox.relay_destination (relay, destination, partitions) values ('orders', '{retired}.events', 1)"
    );
    stage
        .database
        .owner()
        .await
        .batch_execute(&remember)
        .await
        .expect("remembered");
    let (code, grade, _) = ask(&stage, &retired);
    assert_eq!((code, grade.as_str()), (Some(0), "warn"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_topics_of_dead_letters_are_looked_at() {
    let Some(stage) = Stage::of("doctor_dead").open().await else {
        return;
    };
    stage.migrate(Payload::Bytea).await;
    let kind = stage.aggregate("order", 1).await;
    Plain::connect(&stage.database)
        .await
        .one(Row::new(&kind, "k", b"x"))
        .await;
    let dead = json!({ "relays": { "orders": { "on_reject": "dead_letter" } } });
    // The row decides, and: it does not, and no row is asked.
    let constant = json!({ "relays": { "orders": {
        "on_reject": "dead_letter", "route": { "topic": format!("{kind}.events") }
    } } });
    let topic = format!("{kind}.events.dlq");
    for config in [&dead, &constant] {
        let (code, grade, fix) = ask_of(&stage, &topic, config.clone());
        assert_eq!((code, grade.as_str()), (Some(4), "fail"));
        assert!(fix.contains(&format!("--create --topic {topic}")), "{fix}");
    }
    stage.kafka.create_topic(&topic, 1, &[]).await;
    for config in [dead, constant] {
        let (code, grade, _) = ask_of(&stage, &topic, config);
        assert_eq!((code, grade.as_str()), (Some(0), "ok"));
    }
}
