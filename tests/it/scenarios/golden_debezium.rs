//! The `debezium` envelope, byte for byte what Debezium's Outbox Event Router writes by default, and the partition
//! that a Java producer chooses.

use crate::support::ledger::observer::{Record, Tail, read_all};
use crate::support::ledger::workload::Payload;
use crate::support::stage::Stage;
use crate::support::wait::{self, PATIENCE};
use serde_json::json;
use uuid::Uuid;

const PARTITIONS: i32 = 7;

/// Keys and their murmur2, from the tests of Kafka's Java client (`UtilsTest.testMurmur2`).
const JAVA: [(&str, i32); 6] = [
    ("21", -973_932_308),
    ("foobar", -790_332_482),
    ("a-little-bit-long-string", -985_981_536),
    ("a-little-bit-longer-string", -1_486_304_829),
    ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
    ("abc", 479_470_107),
];

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_value_and_headers_are_those_of_the_event_router() {
    let Some(stage) = Stage::of("golden_debezium").open().await else {
        return;
    };
    stage.migrate(Payload::Jsonb).await;
    let kind = stage.type_name("order");
    let topic = format!("outbox.event.{kind}");
    stage.kafka.create_topic(&topic, PARTITIONS, &[]).await;
    let change = json!({ "relays": { "orders": {
        "envelope": "debezium",
        "route": { "topic": "outbox.event.{aggregatetype}" },
    } } });
    let mut relay = stage.relay(&stage.config("twinbox.yaml", change));

    let owner = stage.database.owner().await;
    let insert = "insert into twinbox.outbox (id, aggregatetype, aggregateid, type, payload, traceparent) \
         values ($1, $2, $3, 'order.paid', $4::text::jsonb, $5)";
    let mut ids = Vec::new();
    for (at, (key, _)) in JAVA.iter().enumerate() {
        let payload = (at > 0).then(|| format!("{{\"b\":{at},\"a\":\"☃\"}}"));
        let trace = (at == 1).then_some(TRACE);
        ids.push(Uuid::new_v4());
        owner
            .execute(insert, &[&ids[at], &kind, key, &payload, &trace])
            .await
            .expect("the row is valid");
    }
    let tail = Tail::follow(&stage.kafka.brokers, std::slice::from_ref(&topic));
    wait::until("the rows arrive", PATIENCE, || async {
        relay.must_be_up();
        wait::ensure(tail.distinct() == JAVA.len(), || relay.words())
    })
    .await;
    assert_eq!(relay.terminate(PATIENCE).await.0, "exit 0");

    let records = read_all(&stage.kafka.brokers, &[topic]);
    for (at, (key, murmur2)) in JAVA.iter().enumerate() {
        let record = records
            .iter()
            .find(|record| record.id() == Some(ids[at]))
            .expect("it arrived");
        assert_eq!(record.key.as_deref(), Some(key.as_bytes()));
        let value = (at > 0).then(|| format!("{{\"a\": \"☃\", \"b\": {at}}}"));
        assert_eq!(
            record.value.as_deref(),
            value.as_deref().map(str::as_bytes),
            "key {key}"
        );
        assert_eq!(record.partition, (murmur2 & 0x7FFF_FFFF) % PARTITIONS, "key {key}");
        assert_headers(record, ids[at], at == 1);
    }
}

/// `id`, and beside it only `twinbox-position` and `traceparent`.
fn assert_headers(record: &Record, id: Uuid, traced: bool) {
    assert_eq!(record.text("id"), Some(id.to_string().as_str()), "lower-case text");
    assert!(record.position().is_some(), "{:?}", record.headers);
    assert_eq!(record.text("traceparent"), traced.then_some(TRACE));
    assert_eq!(
        record.headers.len(),
        if traced { 3 } else { 2 },
        "nothing else: {:?}",
        record.headers
    );
}
