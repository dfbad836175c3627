//! Many writers at once, with everything that real ones do, and a reader that dies again and again: nothing lost, nothing
//! made up, nothing swapped, and replays that are identical.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio_postgres::Client;
use twinbox::contract::{Progress, Room};
use twinbox::message::{Message, Position};
use uuid::Uuid;

use super::rig::Rig;
use crate::conformance::place::{Place, body, start};

const WRITERS: u64 = 24;
const TRANSACTIONS: u64 = 60;
const KEYS: u64 = 12;

/// A writer's next choice: splitmix64, so that a seed is a schedule up to the operating system's part in it.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) % sides
    }
}

/// Locks an aggregate, counts it up, writes an event that carries the count.
async fn event(client: &Client, key: u64) {
    let sql = "with next as (update shop.aggregate set n = n + 1 where key = $1 returning n) select n from next";
    let n: i64 = client
        .query_one(sql, &[&key.to_string()])
        .await
        .expect("counted")
        .get(0);
    let sql = "insert into twinbox.outbox (aggregatetype, aggregateid, type, payload) \
               values ('order', $1, 'changed', to_jsonb($2::bigint))";
    client.execute(sql, &[&key.to_string(), &n]).await.expect("written");
}

async fn transaction(client: &Client, dice: &mut Dice) {
    client.batch_execute("begin").await.expect("begun");
    if dice.throw(3) == 0 {
        // A transaction number long before the row lock.
        client
            .batch_execute("select pg_current_xact_id()")
            .await
            .expect("a number");
        tokio::time::sleep(Duration::from_millis(dice.throw(9))).await;
    }
    let mut keys: Vec<u64> = (0..=dice.throw(3)).map(|_| dice.throw(KEYS)).collect();
    keys.sort_unstable();
    for key in keys {
        match dice.throw(6) {
            0 => {
                client.batch_execute("savepoint s").await.expect("saved");
                event(client, key).await;
                client.batch_execute("rollback to savepoint s").await.expect("undone");
            }
            1 => {
                client.batch_execute("savepoint s").await.expect("saved");
                event(client, key).await;
                client.batch_execute("release savepoint s").await.expect("released");
            }
            _ => event(client, key).await,
        }
        tokio::time::sleep(Duration::from_millis(dice.throw(5))).await;
    }
    let end = if dice.throw(12) == 0 { "rollback" } else { "commit" };
    client.batch_execute(end).await.expect("ended");
}

async fn write_all(rig: &Rig, seed: u64) {
    let clients = join_all((0..WRITERS).map(|_| rig.database.owner())).await;
    join_all(clients.iter().enumerate().map(async |(number, client)| {
        let mut dice = Dice(seed ^ (number as u64) << 32);
        for _ in 0..TRANSACTIONS {
            transaction(client, &mut dice).await;
        }
    }))
    .await;
}

/// What the reader saw, over all its lives.
#[derive(Default)]
struct Seen {
    first: BTreeMap<Position, (Uuid, String, String)>,
    /// Key → counts in the order of their first occurrence.
    order: HashMap<String, Vec<i64>>,
    ids: HashSet<Uuid>,
    repeated: usize,
}

impl Seen {
    fn note(&mut self, message: &Message) {
        let key = message
            .key
            .as_ref()
            .and_then(|key| key.as_str())
            .expect("a key")
            .to_owned();
        let own = (message.id, key.clone(), body(message));
        if let Some(before) = self.first.insert(message.position, own.clone()) {
            assert_eq!(before, own, "a replay is identical");
            self.repeated += 1;
            return;
        }
        assert!(self.ids.insert(message.id), "{} came under two positions", message.id);
        self.order.entry(key).or_default().push(own.2.parse().expect("a count"));
    }
}

/// One life: reads, settles some, and dies after a number of pages or when `over` and nothing is left.
async fn live(rig: &Rig, seen: &mut Seen, dice: &mut Dice, over: &AtomicBool) -> bool {
    let (lease, _held, mut opened) = start(rig).await;
    let mut unsettled: Vec<Position> = Vec::new();
    let mut last = None;
    for _ in 0..40 + dice.throw(40) {
        let was_over = over.load(Ordering::Relaxed);
        let room = Room {
            messages: 1 + dice.throw(60) as usize,
            bytes: 1 << 20,
        };
        let page = opened.source.next(room).await.expect("a page");
        for message in &page.messages {
            assert!(last.is_none_or(|last| last < message.position), "positions increase");
            last = Some(message.position);
            seen.note(message);
            unsettled.push(message.position);
        }
        if page.messages.is_empty() && !page.more {
            if was_over {
                return true;
            }
            opened.source.idle(Duration::from_millis(20)).await;
        }
        if let Some(read) = last.filter(|_| dice.throw(3) == 0) {
            unsettled.retain(|_| dice.throw(3) == 0);
            let rest = unsettled.clone();
            opened.source.confirm(Progress { read, rest }).await.expect("confirmed");
        }
    }
    drop(opened);
    rig.kill_holder(lease).await;
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interleaved_writers_lose_and_swap_nothing() {
    let Some(rig) = Rig::new("interleaved_writers_lose_and_swap_nothing").await else {
        return;
    };
    rig.run("create schema shop; create table shop.aggregate (key text primary key, n bigint not null default 0)")
        .await;
    rig.run("insert into shop.aggregate (key) select g::text from generate_series(0, 11) g")
        .await;
    let seed = std::env::var("SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(1);
    println!("SEED={seed}");
    let over = AtomicBool::new(false);
    let mut seen = Seen::default();
    let mut dice = Dice(seed);
    let reading = async {
        let mut lives = 1;
        while !live(&rig, &mut seen, &mut dice, &over).await {
            lives += 1;
        }
        lives
    };
    let writing = async {
        write_all(&rig, seed).await;
        over.store(true, Ordering::Relaxed);
    };
    let (lives, ()) = tokio::join!(reading, writing);

    let committed: HashSet<Uuid> = rig
        .owner
        .query("select id from twinbox.outbox", &[])
        .await
        .expect("read")
        .iter()
        .map(|row| row.get(0))
        .collect();
    println!(
        "{} committed, {lives} lives, {} repeated",
        committed.len(),
        seen.repeated
    );
    assert_eq!(committed.difference(&seen.ids).count(), 0, "lost");
    assert_eq!(seen.ids.difference(&committed).count(), 0, "never committed");
    for (key, order) in &seen.order {
        assert!(order.is_sorted_by(|a, b| a < b), "key {key}: {order:?}");
    }
    assert!(
        lives > 3 && committed.len() > 1000,
        "{lives} lives, {} events",
        committed.len()
    );
    rig.end().await;
}
