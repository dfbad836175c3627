//! One committed row has its effect, through a real relay, a real broker and a real consumer.

use crate::support::ledger::effects::{self, FUNCTION};
use crate::support::ledger::workload::{Payload, Workload};
use crate::support::postgres::{Login, connect};
use crate::support::stage::{CONSUMER, Stage};
use crate::support::wait::{self, PATIENCE};
use serde_json::json;
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_committed_row_has_its_effect() {
    let Some(stage) = Stage::of("consumer_path").open().await else {
        return;
    };
    stage.migrate(Payload::Jsonb).await;
    let kind = stage.aggregate("order", 3).await;
    Workload::over(std::slice::from_ref(&kind))
        .prepare(&stage.database)
        .await;
    effects::prepare(&stage.database, 0, 0.0).await;
    let mut relay = stage.relay(&stage.config("relay.yaml", json!({})));
    let brokers: Vec<&str> = stage.kafka.brokers.split(',').collect();
    let config = stage.config(
        "consumer.yaml",
        json!({ "relays": null, "consumers": { CONSUMER: {
            "from": { "kafka": { "brokers": brokers, "topics": [format!("{kind}.events")], "group": stage.name } },
            "handler": { "sql": { "function": FUNCTION } },
        } } }),
    );
    let mut consumer = stage.consumer(&config, &[]);
    let app = connect(&stage.database.login_url(Login::App))
        .await
        .expect("the test server answers");
    let enqueue = "select twinbox.enqueue($1, '42', 'order.sent', '{}')";
    let mut ids: Vec<Uuid> = Vec::new();
    for _ in 0..3 {
        ids.push(
            app.query_one(enqueue, &[&kind])
                .await
                .expect("EXECUTE is granted")
                .get(0),
        );
    }
    wait::until("the effects", PATIENCE, || async {
        relay.must_be_up();
        consumer.must_be_up();
        let seen = effects::effects(&stage.database).await;
        wait::ensure(seen == ids, || format!("{seen:?} of {ids:?}; {}", consumer.words()))
    })
    .await;
    assert_eq!(consumer.terminate(PATIENCE).await.0, "exit 0", "{}", consumer.words());
    assert_eq!(relay.terminate(PATIENCE).await.0, "exit 0");
    let position = "select sum(next_offset)::bigint, bool_and(tried_to is null) from twinbox.consumer_position where next_offset > 0";
    let row = stage
        .database
        .owner()
        .await
        .query_one(position, &[])
        .await
        .expect("the position of record");
    assert_eq!(
        (row.get::<_, i64>(0), row.get::<_, bool>(1)),
        (3, true),
        "settled, and no claim is left"
    );
}
