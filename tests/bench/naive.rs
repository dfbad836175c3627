//! What most teams write first: take some rows, send each and wait, delete them. The yardstick, not a suggestion.

use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio_postgres::Client;

const TAKE: &str =
    "select seq, aggregateid, payload::text from twinbox.outbox order by seq limit 100 for update skip locked";

/// Relays for `how_long`; answers messages per second.
pub(crate) async fn relay(client: &mut Client, brokers: &str, topic: &str, how_long: Duration) -> f64 {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("acks", "all")
        .set("linger.ms", "0")
        .create()
        .expect("a producer");
    let (began, mut sent) = (Instant::now(), 0_u32);
    while began.elapsed() < how_long {
        let transaction = client.transaction().await.expect("a transaction");
        let rows = transaction.query(TAKE, &[]).await.expect("rows");
        for row in &rows {
            let (key, payload): (&str, &str) = (row.get(1), row.get(2));
            let record = FutureRecord::to(topic).key(key).payload(payload);
            let sending = producer.send(record, Duration::from_secs(10));
            sending.await.expect("the broker takes it");
            sent += 1;
        }
        let seqs: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        transaction
            .execute("delete from twinbox.outbox where seq = any ($1)", &[&seqs])
            .await
            .expect("the rows are ours");
        transaction.commit().await.expect("a commit");
    }
    f64::from(sent) / began.elapsed().as_secs_f64()
}
