//! The judge is judged: the ledger runs live against small relays of known quality, written here.
//!
//! A faithful one must come out clean; one that reads `seq > last` must be convicted of the loss that the long
//! transaction causes.

use crate::support::ledger::checker::{Verdict, check};
use crate::support::ledger::observer::{Record, Tail, read_all};
use crate::support::ledger::workload::{Payload, Running, Workload, truth};
use crate::support::postgres::Login;
use crate::support::stage::Stage;
use crate::support::wait::{self, PATIENCE};
use rdkafka::config::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use std::time::Duration;
use tokio_postgres::Row;
use uuid::Uuid;

const OUTBOX: &str = include_str!("../../../sql/outbox/0001_outbox.up.sql");

const NEXT: &str = "select seq, id, aggregatetype, aggregateid, payload, headers ->> 'note' \
    from twinbox.outbox where seq > $1 order by seq";

type Producing = ThreadedProducer<DefaultProducerContext>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_faithful_relay_is_clean() {
    let Some(stage) = Stage::of("ledger_faithful").open().await else {
        return;
    };
    let (workload, topics) = prepare(&stage).await;
    let written = workload.start(&stage.database).finish().await;
    let client = stage.database.owner().await;
    let producer = producer(&stage);
    for row in client.query(NEXT, &[&0_i64]).await.expect("the outbox") {
        publish(&producer, &row);
    }
    let verdict = judge(&stage, &topics, &producer).await;
    assert!(verdict.is_clean(), "{verdict}");
    assert_eq!(verdict.duplicates, Vec::<Uuid>::new());
    assert_eq!(verdict.committed, written.commits.len());
    assert!(written.rolled_back > 0, "{written:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b03_a_relay_that_reads_beyond_the_last_seq_is_convicted() {
    let Some(stage) = Stage::of("ledger_naive").open().await else {
        return;
    };
    let (workload, topics) = prepare(&stage).await;
    let running = workload.start(&stage.database);
    let client = stage.database.owner().await;
    let producer = producer(&stage);
    let mut last = 0_i64;
    while running.committed() < workload.events {
        for row in client.query(NEXT, &[&last]).await.expect("the outbox") {
            last = row.get(0);
            publish(&producer, &row);
        }
    }
    running.finish().await;
    let verdict = judge(&stage, &topics, &producer).await;
    assert!(!verdict.lost.is_empty(), "the planted bug was not found: {verdict}");
    assert_eq!(verdict.phantom, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_and_observers_survive_the_faults() {
    let Some(stage) = Stage::of("ledger_survives")
        .own_kafka(&[])
        .own_postgres(&[])
        .open()
        .await
    else {
        return;
    };
    let (workload, topics) = prepare(&stage).await;
    let running = workload.start(&stage.database).endless();
    let tail = Tail::follow(&stage.kafka.brokers, &topics);
    let (postgres, broker) = (
        stage.own_postgres.as_ref().expect("asked"),
        stage.own_kafka.as_ref().expect("asked"),
    );
    write_more(&running, 200).await;
    postgres.restart();
    write_more(&running, 200).await;
    postgres.kill();
    postgres.start_again();
    assert!(
        stage.database.terminate(Login::App).await > 0,
        "writers are connected again"
    );
    write_more(&running, 200).await;
    broker.kill();
    broker.start_again();
    running.stop();
    let written = running.finish().await;
    assert!(written.reconnects > 0, "{written:?}");

    let client = stage.database.owner().await;
    let producer = producer(&stage);
    let rows = client.query(NEXT, &[&0_i64]).await.expect("the outbox");
    for row in &rows {
        publish(&producer, row);
    }
    let verdict = judge(&stage, &topics, &producer).await;
    assert!(verdict.is_clean(), "{verdict}");
    assert_eq!(verdict.committed, rows.len(), "truth and outbox committed together");
    wait::until("the tail saw all", PATIENCE, || async {
        wait::ensure(tail.distinct() == rows.len(), || {
            format!("{} of {}", tail.distinct(), rows.len())
        })
    })
    .await;
}

async fn write_more(running: &Running, rows: usize) {
    let wanted = running.committed() + rows;
    wait::until("writers write", PATIENCE, || async {
        wait::ensure(running.committed() >= wanted, || {
            format!("{} of {wanted}", running.committed())
        })
    })
    .await;
}

async fn prepare(stage: &Stage) -> (Workload, Vec<String>) {
    let owner = stage.database.owner().await;
    let sql = OUTBOX.replace("{schema}", "twinbox");
    owner
        .batch_execute(&format!("create schema twinbox; {sql}"))
        .await
        .expect("the outbox");
    // The writers' role as `migrate --roles` makes it; it belongs to the cluster, others may have made it.
    let roles = "do $$ declare name text; begin \
        perform pg_advisory_xact_lock(8947); \
        foreach name in array array['twinbox_app', 'twinbox_relay', 'twinbox_consumer', 'twinbox_operator'] loop \
          begin execute format('create role %I', name); exception when duplicate_object or unique_violation then null; end; \
        end loop; end $$; \
        grant usage on schema twinbox to twinbox_app; grant insert on twinbox.outbox to twinbox_app; \
        alter table twinbox.outbox alter payload type bytea using null";
    owner.batch_execute(roles).await.expect("the role");
    stage.database.make_logins().await;
    let types = [stage.aggregate("a", 3).await, stage.aggregate("b", 1).await];
    let mut workload = Workload::over(&types);
    workload.payload = Payload::Bytea;
    workload.long_transaction = Some(Duration::from_secs(1));
    workload.prepare(&stage.database).await;
    (workload, types.iter().map(|name| format!("{name}.events")).collect())
}

fn producer(stage: &Stage) -> Producing {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &stage.kafka.brokers)
        .set("enable.idempotence", "true");
    config
        .set("partitioner", "murmur2_random")
        .create()
        .expect("these settings are valid")
}

fn publish(producer: &Producing, row: &Row) {
    let seq: i64 = row.get(0);
    let (id, position) = (row.get::<_, Uuid>(1).to_string(), format!("1.0.{seq}"));
    let (kind, key): (String, Option<String>) = (row.get(2), row.get(3));
    let (payload, note): (Option<Vec<u8>>, Option<String>) = (row.get(4), row.get(5));
    let topic = format!("{kind}.events");
    let mut headers = OwnedHeaders::new().insert(Header {
        key: "ce_id",
        value: Some(&id),
    });
    headers = headers.insert(Header {
        key: "twinbox-position",
        value: Some(&position),
    });
    if let Some(note) = &note {
        headers = headers.insert(Header {
            key: "note",
            value: Some(note),
        });
    }
    let mut record: BaseRecord<'_, String, Vec<u8>> = BaseRecord::to(&topic).headers(headers);
    record.key = key.as_ref();
    record.payload = payload.as_ref();
    producer
        .send(record)
        .map_err(|(error, _)| error)
        .expect("the queue is long enough");
}

async fn judge(stage: &Stage, topics: &[String], producer: &Producing) -> Verdict {
    producer.flush(Duration::from_secs(30)).expect("the broker takes them");
    let seen: Vec<_> = read_all(&stage.kafka.brokers, topics)
        .iter()
        .map(Record::seen)
        .collect();
    let verdict = check(&truth(&stage.database).await, &seen, &[]);
    stage.note("verdict.txt", &verdict.to_string());
    verdict
}
