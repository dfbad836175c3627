//! Waiting: no lost wake-up, and little asked of the server while nothing happens.

use std::time::{Duration, Instant};

use super::rig::Rig;
use crate::conformance::place::{Place, ROOM, Transaction, read_all, read_until, start, write};

/// Statements of the relay's source so far, by its own count of transactions on the server.
async fn idle_for(opened: &mut twinbox::contract::Opened, time: Duration) -> usize {
    let until = Instant::now() + time;
    let mut looks = 0;
    while Instant::now() < until {
        opened.source.idle(Duration::from_secs(1)).await;
        assert!(opened.source.next(ROOM).await.expect("a page").messages.is_empty());
        looks += 1;
    }
    looks
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sleeping_relay_is_woken_and_asks_little() {
    let Some(rig) = Rig::new("sleeping").await else { return };
    sleeps_and_is_woken(rig).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_into_partitions_wake_it_too() {
    let Some(rig) = Rig::partitioned("sleeping_partitions").await else {
        return;
    };
    sleeps_and_is_woken(rig).await;
}

async fn sleeps_and_is_woken(rig: Rig) {
    let (_lease, _held, mut opened) = start(&rig).await;
    assert!(read_all(opened.source.as_mut(), ROOM).await.is_empty());
    idle_for(&mut opened, Duration::from_millis(500)).await;
    let looks = idle_for(&mut opened, Duration::from_secs(4)).await;
    assert!(looks <= 5, "{looks} looks in 4 s");
    let locks = "select count(*) from pg_locks where locktype = 'advisory' and objsubid = 2 and granted
                 and database = (select oid from pg_database where datname = current_database())";
    assert_eq!(rig.value::<i64>(locks).await, 1, "it sleeps under its lock");
    let mut late = Vec::new();
    for number in 0..20 {
        let writing = async {
            tokio::time::sleep(Duration::from_millis(13 * number)).await;
            write(&rig, &[("k", &number.to_string())]).await;
            Instant::now()
        };
        let source = opened.source.as_mut();
        let reading = async {
            loop {
                source.idle(Duration::from_secs(1)).await;
                if !source.next(ROOM).await.expect("a page").messages.is_empty() {
                    return Instant::now();
                }
            }
        };
        let (written, read) = tokio::join!(writing, reading);
        let waited = read.saturating_duration_since(written);
        late.extend((waited > Duration::from_millis(500)).then_some(waited));
    }
    // Without a wake-up each would wait for the sleeper's own look. A busy machine may be late now and then.
    assert!(late.len() <= 5, "woken after {late:?}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_began_before_the_sleep_is_not_missed() {
    let Some(rig) = Rig::new("began_before").await else {
        return;
    };
    let (_lease, _held, mut opened) = start(&rig).await;
    let mut early = rig.begin().await;
    early.write(Some("k"), "1").await;
    // Its share of the lock keeps the relay awake: it polls, though it may wait for a minute each time.
    let polling = async {
        for _ in 0..20 {
            opened.source.idle(Duration::from_mins(1)).await;
            assert!(opened.source.next(ROOM).await.expect("a page").messages.is_empty());
        }
    };
    let within = tokio::time::timeout(Duration::from_secs(15), polling).await;
    within.expect("asleep it would look once a second");
    early.commit().await;
    assert_eq!(read_until(opened.source.as_mut(), 1).await.len(), 1);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_trigger_it_polls_more_and_more_slowly() {
    let Some(rig) = Rig::with("polling", |options| options.wake = false).await else {
        return;
    };
    let (_lease, _held, mut opened) = start(&rig).await;
    idle_for(&mut opened, Duration::from_secs(1)).await;
    let looks = idle_for(&mut opened, Duration::from_secs(2)).await;
    assert!(looks <= 22, "{looks} looks in 2 s");
    write(&rig, &[("k", "1")]).await;
    assert_eq!(read_until(opened.source.as_mut(), 1).await.len(), 1);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_wait_leaves_no_lock_behind() {
    let Some(rig) = Rig::new("dropped_wait").await else {
        return;
    };
    let (_lease, _held, mut opened) = start(&rig).await;
    let locks = "select count(*) from pg_locks where locktype = 'advisory' and objsubid = 2 and mode = 'ExclusiveLock'
                 and database = (select oid from pg_database where datname = current_database())";
    for micros in (0..4000).step_by(100) {
        // Whatever it was doing when it was dropped.
        let wait = opened.source.idle(Duration::from_millis(20));
        let _ = tokio::time::timeout(Duration::from_micros(micros), wait).await;
        opened.source.next(ROOM).await.expect("a page");
    }
    write(&rig, &[("k", "1")]).await;
    assert_eq!(read_until(opened.source.as_mut(), 1).await.len(), 1);
    assert_eq!(rig.value::<i64>(locks).await, 0, "awake, nobody notifies");
    rig.end().await;
}
