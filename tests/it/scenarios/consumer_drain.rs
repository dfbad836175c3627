//! A drain by hook: the consumer leaves its group and stays; a resume brings it back; SIGTERM ends it.

use crate::support::http;
use crate::support::ledger::effects::{self, FUNCTION};
use crate::support::ledger::observer::Tail;
use crate::support::ledger::workload::{Payload, Workload};
use crate::support::postgres::{Login, connect};
use crate::support::stage::{CONSUMER, Stage};
use crate::support::wait::{self, PATIENCE};
use serde_json::json;
use uuid::Uuid;

const TOKEN: &str = "open-sesame";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_is_drained_by_http_stays_and_comes_back() {
    let Some(stage) = Stage::of("consumer_drain").open().await else {
        return;
    };
    stage.migrate(Payload::Jsonb).await;
    let kind = stage.aggregate("order", 3).await;
    let topics = [format!("{kind}.events")];
    Workload::over(std::slice::from_ref(&kind))
        .prepare(&stage.database)
        .await;
    effects::prepare(&stage.database, 0, 0.0).await;
    let mut relay = stage.relay(&stage.config("relay.yaml", json!({})));
    let brokers: Vec<&str> = stage.kafka.brokers.split(',').collect();
    let config = stage.config(
        "consumer.yaml",
        json!({ "relays": null, "admin": { "token": TOKEN }, "consumers": { CONSUMER: {
            "from": { "kafka": { "brokers": brokers, "topics": topics, "group": stage.name } },
            "handler": { "sql": { "function": FUNCTION } },
        } } }),
    );
    let mut consumer = stage.consumer(&config, &[]);
    let app = connect(&stage.database.login_url(Login::App))
        .await
        .expect("the test server answers");
    let enqueue = async || -> Uuid {
        let enqueue = "select twinbox.enqueue($1, '42', 'order.sent', '{}')";
        let row = app.query_one(enqueue, &[&kind]).await;
        row.expect("EXECUTE is granted").get(0)
    };
    let has_effects = async |ids: &[Uuid], consumer: &crate::support::relay::Relay| {
        wait::until("the effects", PATIENCE, || async {
            consumer.must_be_up();
            let seen = effects::effects(&stage.database).await;
            wait::ensure(seen == ids, || format!("{seen:?} of {ids:?}; {}", consumer.words()))
        })
        .await;
    };
    let before = enqueue().await;
    has_effects(&[before], &consumer).await;

    let address = consumer.admin().await;
    drain(&address, &consumer).await;

    // The relay goes on; what it sends has no effect before somebody says so.
    let tail = Tail::follow(&stage.kafka.brokers, &topics);
    let meanwhile = enqueue().await;
    wait::until("the relay goes on", PATIENCE, || async {
        wait::ensure(tail.first(meanwhile).is_some(), || relay.words())
    })
    .await;
    consumer.must_be_up();
    assert_eq!(effects::effects(&stage.database).await, [before]);

    let refused = http::post(&address, "/resume").await.expect("answers");
    assert_eq!(refused.status, 401, "resuming needs the token");
    let resumed = http::post_as(&address, "/resume", TOKEN).await.expect("answers");
    assert_eq!(resumed.status, 200, "{resumed:?}");
    has_effects(&[before, meanwhile], &consumer).await;
    assert_eq!(consumer.terminate(PATIENCE).await.0, "exit 0", "{}", consumer.words());
    assert_eq!(relay.terminate(PATIENCE).await.0, "exit 0");
}

/// Asks for a drain, and waits until it is told.
async fn drain(address: &str, consumer: &crate::support::relay::Relay) {
    let running = http::get(address, "/drain").await.expect("answers");
    assert_eq!((running.status, running.body.as_str()), (503, r#"{"state":"running"}"#));
    assert_eq!(http::post(address, "/drain").await.expect("answers").status, 202);
    wait::until("it is drained", PATIENCE, || async {
        let waited = http::get(address, "/drain?wait=1s").await?;
        wait::ensure(waited.status == 200, || format!("{waited:?}; {}", consumer.words()))
    })
    .await;
    let status = http::get(address, "/status").await.expect("answers");
    let status = status.json().expect("JSON");
    assert_eq!(status["consumers"][CONSUMER]["state"], "drained", "{status}");
    assert_eq!(status["consumers"][CONSUMER]["in_flight"], 0, "{status}");
}
