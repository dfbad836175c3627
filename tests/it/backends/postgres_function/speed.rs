//! What a message costs, roughly, beside bare consumers. The figures are printed; only what must hold anywhere is judged.

use std::time::{Duration, Instant};

use tokio_postgres::Client;
use twinbox::contract::{Outbound, Processed, Processor as _, Work};
use uuid::Uuid;

use super::rig::{Rig, function};
use crate::conformance::processor::{Workplace as _, delivery};
use crate::support::postgres::{Login, connect};

const BATCHES: u64 = 10;
const BATCH: u64 = 500;

const UPSERT: &str = "insert into billing.total as t (key, sum, last) values ($1, 1, $2)
    on conflict (key) do update set sum = t.sum + 1, last = excluded.last";

fn messages(from: u64, size: u64) -> Vec<Outbound> {
    (from..from + size)
        .map(|n| delivery(n, Some(&format!("key {}", n % 5000)), "made"))
        .collect()
}

/// As users write it: one transaction of pipelined upserts.
async fn bare(client: &Client, size: u64, batches: u64) -> Duration {
    let upsert = client.prepare(UPSERT).await.expect("prepared");
    let begun = Instant::now();
    for batch in 0..batches {
        let rows: Vec<(String, Uuid)> = messages(batch * size, size)
            .iter()
            .map(|one| (text(one), one.message.id))
            .collect();
        client.batch_execute("begin").await.expect("begun");
        let upserts = rows.iter().map(|(key, id)| async {
            let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 2] = [key, id];
            client.execute(&upsert, &parameters).await
        });
        futures_util::future::try_join_all(upserts).await.expect("upserted");
        client.batch_execute("commit").await.expect("committed");
    }
    begun.elapsed()
}

fn text(one: &Outbound) -> String {
    one.message
        .key
        .as_ref()
        .and_then(|key| key.as_str())
        .expect("a text")
        .to_owned()
}

#[tokio::test]
async fn a_message_costs_about_what_its_upsert_costs() {
    let Some(rig) = Rig::new("a_message_costs_about_what_its_upsert_costs").await else {
        return;
    };
    rig.run(
        "create table billing.total (key text primary key, sum bigint not null, last uuid);
         grant select, insert, update on billing.total to twinbox_consumer;
         create function billing.upsert(key text, id uuid) returns void language plpgsql as $$
         begin
           insert into billing.total as t (key, sum, last) values (upsert.key, 1, upsert.id)
           on conflict on constraint total_pkey do update set sum = t.sum + 1, last = excluded.last;
         end $$",
    )
    .await;
    let client = connect(&rig.database.login_url(Login::Consumer))
        .await
        .expect("connected");
    let processor = function(&rig.pool, "billing.upsert");
    let total = (BATCHES * BATCH) as f64;
    let mut figures = Vec::new();
    for round in 0..3 {
        rig.run("truncate billing.total; truncate twinbox.inbox").await;
        let bare = bare(&client, BATCH, BATCHES).await;
        rig.run("truncate billing.total").await;
        let works: Vec<Work> = (0..BATCHES)
            .map(|batch| Work {
                fence: rig.fence(),
                mark: Some((batch * BATCH).cast_signed()),
                messages: messages((round * BATCHES + batch) * BATCH, BATCH),
            })
            .collect();
        let begun = Instant::now();
        for work in works {
            assert!(
                processor
                    .process(work)
                    .await
                    .iter()
                    .all(|answer| *answer == Processed::Done)
            );
        }
        figures.push((
            bare.as_secs_f64() * 1e6 / total,
            begun.elapsed().as_secs_f64() * 1e6 / total,
        ));
    }
    let single = self::bare(&client, 1, 300).await.as_secs_f64() * 1e6 / 300.0;
    for (bare, ours) in &figures {
        println!(
            "bare 500: {bare:.1} µs, function: {ours:.1} µs a message ({:.2}x); one by one: {single:.1} µs",
            bare / ours
        );
    }
    rig.end().await;
}
