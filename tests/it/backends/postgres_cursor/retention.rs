//! Retention deletes what every relay has settled, and nothing else.

use std::time::Duration;

use twinbox::contract::{Held, Opened, Outbox, StoreError};
use twinbox::postgres::retention::Retention;
use twinbox::postgres::{PostgresOutbox, RelayOptions};

use super::rig::Rig;
use crate::conformance::place::{Place, ROOM, Transaction, read_until, settled_but, write};
use crate::support::wait;

const COUNT: &str = "select count(*) from twinbox.outbox";

fn briefly(options: &mut RelayOptions) {
    options.retention = Some(Duration::from_millis(1));
}

async fn take(outbox: &PostgresOutbox) -> (Box<dyn twinbox::contract::Lease>, Held, Opened) {
    let mut lease = outbox.lease();
    let held = lease.acquire().await.expect("an answer").expect("free");
    let opened = outbox.open(&held).await.expect("opened");
    (lease, held, opened)
}

/// Reads and settles everything that `count` messages bring.
async fn settle(opened: &mut Opened, count: usize) {
    let read = read_until(opened.source.as_mut(), count).await;
    opened.source.confirm(settled_but(&read, &[])).await.expect("confirmed");
}

/// Steps and reads until so many rows are left.
async fn until_left(rig: &Rig, retention: &Retention, (opened, left): (&mut Opened, i64)) {
    let opened = tokio::sync::Mutex::new(opened);
    wait::until("rows go", wait::PATIENCE, async || {
        opened.lock().await.source.next(ROOM).await.expect("a page");
        retention.step().await.expect("a step");
        match rig.value::<i64>(COUNT).await {
            found if found == left => Ok(()),
            found => Err(format!("{found} rows")),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unpublished_late_committer_stays() {
    let Some(rig) = Rig::new("late_committer").await else {
        return;
    };
    let outbox = rig.also(briefly);
    let (_lease, held, mut opened) = take(&outbox).await;
    let retention = outbox.retention(&held);
    // It draws its sequence number first and commits last.
    let mut late = rig.begin().await;
    late.write(Some("late"), "0").await;
    for number in 1..=5 {
        write(&rig, &[("k", &number.to_string())]).await;
        settle(&mut opened, 1).await;
    }
    for _ in 0..20 {
        retention.step().await.expect("a step");
        opened.source.idle(Duration::from_millis(20)).await;
    }
    assert_eq!(
        rig.value::<i64>(COUNT).await,
        5,
        "the late one's number holds all of them"
    );
    late.commit().await;
    let read = read_until(opened.source.as_mut(), 1).await;
    retention.step().await.expect("a step");
    let seq = read[0].position.minor;
    assert_eq!(
        rig.value::<i64>(&format!("{COUNT} where seq = {seq}")).await,
        1,
        "published, not settled"
    );
    opened.source.confirm(settled_but(&read, &[])).await.expect("confirmed");
    until_left(&rig, &retention, (&mut opened, 0)).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_slowest_relay_and_the_longest_retention_win() {
    let Some(rig) = Rig::new("slowest").await else { return };
    let outbox = rig.also(briefly);
    let slow = rig.also(|options| {
        briefly(options);
        options.name = "slow".to_owned();
    });
    let (_lease, held, mut opened) = take(&outbox).await;
    let (_slow_lease, slow_held, mut slow_opened) = take(&slow).await;
    write(&rig, &[("a", "1"), ("b", "2")]).await;
    settle(&mut opened, 2).await;
    let retention = outbox.retention(&held);
    for _ in 0..10 {
        retention.step().await.expect("a step");
        opened.source.idle(Duration::from_millis(20)).await;
    }
    assert_eq!(rig.value::<i64>(COUNT).await, 2);
    settle(&mut slow_opened, 2).await;
    rig.run("update twinbox.relay_cursor set retention = '1 hour' where relay = 'slow'")
        .await;
    for _ in 0..10 {
        retention.step().await.expect("a step");
        opened.source.next(ROOM).await.expect("a page");
        slow_opened.source.next(ROOM).await.expect("a page");
    }
    assert_eq!(rig.value::<i64>(COUNT).await, 2);
    rig.run("update twinbox.relay_cursor set retention = null where relay = 'slow'")
        .await;
    retention.step().await.expect("a step");
    assert_eq!(rig.value::<i64>(COUNT).await, 2, "null keeps for ever");
    rig.run("update twinbox.relay_cursor set retention = '1 millisecond' where relay = 'slow'")
        .await;
    let sources = tokio::sync::Mutex::new([opened.source, slow_opened.source]);
    let slow_retention = slow.retention(&slow_held);
    wait::until("rows go", wait::PATIENCE, async || {
        // A floor moves only when its source is asked.
        for source in sources.lock().await.iter_mut() {
            source.next(ROOM).await.expect("a page");
        }
        slow_retention.step().await.expect("a step");
        match rig.value::<i64>(COUNT).await {
            0 => Ok(()),
            found => Err(format!("{found} rows")),
        }
    })
    .await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_tables_go_in_steps_and_a_zombie_deletes_nothing() {
    let Some(rig) = Rig::new("steps").await else { return };
    let outbox = rig.also(briefly);
    let (mut lease, held, mut opened) = take(&outbox).await;
    rig.run(
        "insert into twinbox.outbox (aggregatetype, aggregateid, type, payload)
         select 'order', (g % 10)::text, 'created', '1' from generate_series(1, 12000) g",
    )
    .await;
    settle(&mut opened, 12_000).await;
    let retention = outbox.retention(&held);
    let mut steps = Vec::new();
    let source = tokio::sync::Mutex::new(opened.source);
    let deleted = std::cell::RefCell::new(&mut steps);
    wait::until("rows go", wait::PATIENCE, async || {
        source.lock().await.next(ROOM).await.expect("a page");
        let step = retention.step().await.expect("a step");
        if step.deleted > 0 {
            deleted.borrow_mut().push(step.deleted);
        }
        match rig.value::<i64>(COUNT).await {
            0 => Ok(()),
            found => Err(format!("{found} rows")),
        }
    })
    .await;
    assert_eq!(steps, [5000, 5000, 2000]);
    write(&rig, &[("k", "1")]).await;
    {
        let mut source = source.lock().await;
        let read = read_until(source.as_mut(), 1).await;
        source.confirm(settled_but(&read, &[])).await.expect("confirmed");
    }
    let again = lease.acquire().await.expect("an answer").expect("its own");
    let stale = wait::tried(Duration::from_secs(10), async || match retention.step().await {
        Err(StoreError::Fenced) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let opened = outbox.open(&again).await.expect("opened");
    let mut opened = opened;
    let moving = async {
        loop {
            opened.source.next(ROOM).await.expect("a page");
            opened.source.idle(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        fenced = stale => fenced.expect("the old holder is fenced out"),
        () = moving => {}
    }
    assert_eq!(rig.value::<i64>(COUNT).await, 1);
    rig.end().await;
}
