//! `on_reject: dead_letter` of a consumer: what is refused stands in the dead-letter topic as it came, the rest goes on.

use crate::support::ledger::observer::read_all;
use crate::support::ledger::workload::Payload;
use crate::support::postgres::{Login, connect};
use crate::support::stage::{CONSUMER, Stage};
use crate::support::wait::{self, PATIENCE};
use serde_json::json;
use uuid::Uuid;

const HANDLER: &str = "
create schema app;
create table app.effect (id uuid not null);
create function app.on_event(id uuid, type text) returns void language plpgsql as $f$
begin
  if type = 'order.bad' then
    raise exception 'no such product' using errcode = 'TB001';
  end if;
  insert into app.effect values (id);
end $f$;
grant usage on schema app to twinbox_consumer;
grant execute on function app.on_event to twinbox_consumer;
grant insert on app.effect to twinbox_consumer;
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_stands_in_the_dead_letter_topic_as_it_came() {
    let Some(stage) = Stage::of("consumer_dead").open().await else {
        return;
    };
    stage.migrate(Payload::Jsonb).await;
    let kind = stage.aggregate("order", 1).await;
    stage.kafka.create_topic(&format!("{kind}.events.dlq"), 1, &[]).await;
    let owner = stage.database.owner().await;
    owner.batch_execute(HANDLER).await.expect("the handler");
    let mut relay = stage.relay(&stage.config("relay.yaml", json!({})));
    let brokers: Vec<&str> = stage.kafka.brokers.split(',').collect();
    let config = stage.config(
        "consumer.yaml",
        json!({ "relays": null, "consumers": { CONSUMER: {
            "from": { "kafka": { "brokers": brokers, "topics": [format!("{kind}.events")], "group": stage.name } },
            "handler": { "sql": { "function": "app.on_event" } },
            "on_reject": "dead_letter",
        } } }),
    );
    let mut consumer = stage.consumer(&config, &[]);
    let app = connect(&stage.database.login_url(Login::App))
        .await
        .expect("it answers");
    let enqueue = "select twinbox.enqueue($1, '42', $2, '{\"n\": 1}', '{\"tenant\": \"acme\"}')";
    let mut ids: Vec<Uuid> = Vec::new();
    for what in ["order.sent", "order.bad", "order.sent"] {
        let row = app.query_one(enqueue, &[&kind, &what]).await;
        ids.push(row.expect("EXECUTE is granted").get(0));
    }
    wait::until("the effects behind the refused one", PATIENCE, || async {
        relay.must_be_up();
        consumer.must_be_up();
        let seen = owner.query("select id from app.effect", &[]).await.expect("rows");
        let seen: Vec<Uuid> = seen.iter().map(|row| row.get(0)).collect();
        wait::ensure(seen == [ids[0], ids[2]], || {
            format!("{seen:?} of {ids:?}; {}", consumer.words())
        })
    })
    .await;
    assert_eq!(consumer.terminate(PATIENCE).await.0, "exit 0", "{}", consumer.words());
    assert_eq!(relay.terminate(PATIENCE).await.0, "exit 0");

    assert_dead(&stage, &kind, ids[1]);
    let dropped = "select count(*) from twinbox.letter where closed = 'dead' and message_id = $1";
    let row = owner.query_one(dropped, &[&ids[1]]).await.expect("the letters");
    assert_eq!(row.get::<_, i64>(0), 1, "remembered as dead");
}

/// One dead letter: key, value and every header as they came, and what happened to it.
fn assert_dead(stage: &Stage, kind: &str, id: Uuid) {
    let came = read_all(&stage.kafka.brokers, &[format!("{kind}.events")]);
    let came = came
        .iter()
        .find(|record| record.id() == Some(id))
        .expect("it was published");
    let records = read_all(&stage.kafka.brokers, &[format!("{kind}.events.dlq")]);
    let [record] = records.as_slice() else {
        panic!("one dead letter, not {records:?}");
    };
    assert_eq!((&record.key, &record.value), (&came.key, &came.value), "as it came");
    for (name, value) in &came.headers {
        let found = record.headers.iter().find(|(own, _)| own == name);
        assert_eq!(
            found.map(|(_, value)| value),
            Some(value),
            "header {name} of {:?}",
            record.headers
        );
    }
    for (name, value) in [
        ("__dlq.errors.topic", format!("{kind}.events")),
        ("__dlq.errors.partition", "0".into()),
        ("__dlq.errors.offset", "1".into()),
        ("kafka_dlt-original-topic", format!("{kind}.events")),
        ("twinbox-error-type", "TB001".into()),
    ] {
        let found = record.headers.iter().find(|(own, _)| own == name);
        assert_eq!(
            found.and_then(|(_, value)| value.as_deref()),
            Some(value.as_bytes()),
            "{name}"
        );
    }
}
