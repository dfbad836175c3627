//! Partitions go whole, when every relay has settled all of them; nothing else goes, and no insert ever fails.

use std::time::Duration;

use futures_util::future::join_all;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use twinbox::contract::{Held, Lease, Opened, Outbox, StoreError};
use twinbox::postgres::PostgresOutbox;
use twinbox::postgres::retention::{Retention, Step};

use super::rig::Rig;
use crate::conformance::place::{ROOM, read_until, settled_but, write};
use crate::support::postgres::{Login, connect};
use crate::support::wait;

const COUNT: &str = "select count(*) from twinbox.outbox";
pub(super) const HOUR: i32 = 3600;

/// The relay that drops partitions, under another name than the first one if asked.
pub(super) fn relay(rig: &Rig, name: &str) -> PostgresOutbox {
    rig.also(|options| {
        name.clone_into(&mut options.name);
        options.retention = Some(Duration::from_millis(1));
        options.partitions = true;
    })
}

pub(super) async fn take(outbox: &PostgresOutbox) -> (Box<dyn Lease>, Held, Opened) {
    let mut lease = outbox.lease();
    let held = lease.acquire().await.expect("an answer").expect("free");
    let opened = outbox.open(&held).await.expect("opened");
    (lease, held, opened)
}

/// A row of a past hour, as its writer wrote it then.
pub(super) fn row(hour: i32, key: &str) -> String {
    format!(
        "insert into twinbox.outbox (aggregatetype, aggregateid, type, payload, created_at)
         values ('order', '{key}', 'created', '1', now() - interval '{hour} hours' + interval '1 minute')"
    )
}

pub(super) async fn settle(opened: &mut Opened, count: usize) {
    let read = read_until(opened.source.as_mut(), count).await;
    opened.source.confirm(settled_but(&read, &[])).await.expect("confirmed");
}

pub(super) async fn exists(rig: &Rig, partition: &str) -> bool {
    rig.value(&format!("select to_regclass('twinbox.{partition}') is not null"))
        .await
}

/// Reads (a floor moves only when its source is asked) and steps, until this is so.
pub(super) async fn until(
    what: &str,
    (opened, retention): (&mut Opened, &Retention),
    mut so: impl AsyncFnMut(Step) -> bool,
) {
    let given = tokio::sync::Mutex::new((opened, &mut so));
    wait::until(what, wait::PATIENCE, async || {
        let mut given = given.lock().await;
        given.0.source.next(ROOM).await.expect("a page");
        let step = retention.step().await.expect("a step");
        wait::ensure(given.1(step).await, || format!("{step:?}"))
    })
    .await;
}

/// As many steps as would long have dropped it, if it could go.
async fn stays(rig: &Rig, partition: &str, (opened, retention): (&mut Opened, &Retention)) {
    for _ in 0..15 {
        opened.source.next(ROOM).await.expect("a page");
        retention.step().await.expect("a step");
        opened.source.idle(Duration::from_millis(20)).await;
    }
    assert!(exists(rig, partition).await, "{partition} is needed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_goes_with_its_partition() {
    let Some(rig) = Rig::with("partitions_go", |options| options.partitions = true).await else {
        return;
    };
    let old = rig.partition(-3 * HOUR, -2 * HOUR).await;
    let present = rig.partition(-HOUR, HOUR).await;
    let outbox = relay(&rig, "orders");
    let (_lease, held, mut opened) = take(&outbox).await;
    let retention = outbox.retention(&held);
    for number in 0..20 {
        rig.run(&row(3, &number.to_string())).await;
        write(&rig, &[("now", "1")]).await;
    }
    // Its time has passed, but it is not settled.
    let read = read_until(opened.source.as_mut(), 40).await;
    stays(&rig, &old, (&mut opened, &retention)).await;
    opened.source.confirm(settled_but(&read, &[])).await.expect("confirmed");
    until("the old one goes", (&mut opened, &retention), async |_| {
        !exists(&rig, &old).await
    })
    .await;
    assert!(exists(&rig, &present).await, "its time has not passed");
    assert_eq!(
        rig.value::<i64>(COUNT).await,
        20,
        "what is in it is not deleted one by one"
    );
    // A row for a time whose partition is gone is taken by the default one, is published, and goes like any other.
    rig.run(&row(3, "late")).await;
    settle(&mut opened, 1).await;
    until("the stray goes", (&mut opened, &retention), async |_| {
        rig.value::<i64>("select count(*) from twinbox.outbox_default").await == 0
    })
    .await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_committers_row_is_never_dropped() {
    let Some(rig) = Rig::with("partitions_late", |options| options.partitions = true).await else {
        return;
    };
    let old = rig.partition(-3 * HOUR, -2 * HOUR).await;
    let outbox = relay(&rig, "orders");
    let (_lease, held, mut opened) = take(&outbox).await;
    let retention = outbox.retention(&held);
    rig.run(&row(3, "early")).await;
    settle(&mut opened, 1).await;
    // All that can be seen of the partition is settled and old. It writes there now, and commits last.
    let late = rig.database.owner().await;
    late.batch_execute("begin").await.expect("begun");
    late.batch_execute(&row(3, "late")).await.expect("written");
    write(&rig, &[("now", "1")]).await;
    settle(&mut opened, 1).await;
    until(
        "a lock is waited for in vain",
        (&mut opened, &retention),
        async |step| step.held_up.is_some(),
    )
    .await;
    stays(&rig, &old, (&mut opened, &retention)).await;
    late.batch_execute("commit").await.expect("committed");
    // Committed, and not published.
    stays(&rig, &old, (&mut opened, &retention)).await;
    let lates = "select count(*) from twinbox.outbox where aggregateid = 'late'";
    assert_eq!(rig.value::<i64>(lates).await, 1);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_commits_while_the_lock_is_waited_for_stays() {
    for function in ["detach_partition", "empty_partition"] {
        let Some(rig) = Rig::with("partitions_race", |options| options.partitions = true).await else {
            return;
        };
        commits_while_waited_for(rig, function).await;
    }
}

async fn commits_while_waited_for(rig: Rig, function: &str) {
    let old = rig.partition(-3 * HOUR, -2 * HOUR).await;
    let outbox = relay(&rig, "orders");
    let (_lease, held, mut opened) = take(&outbox).await;
    let late = rig.database.owner().await;
    late.batch_execute("begin").await.expect("begun");
    late.batch_execute(&row(3, "late")).await.expect("written");
    outbox.retention(&held).step().await.expect("a note of the time");
    write(&rig, &[("now", "1")]).await;
    settle(&mut opened, 1).await;
    rig.run(&format!("alter function twinbox.{function}() set lock_timeout = '20s'"))
        .await;
    let client = connect(&rig.database.login_url(Login::Relay)).await.expect("connected");
    let ask = format!("select twinbox.{function}()");
    let asking = client.query_one(&ask, &[]);
    let committing = async {
        wait::until("it waits for the lock", wait::PATIENCE, async || {
            let waits = "select exists (select from pg_locks where mode = 'AccessExclusiveLock' and not granted)";
            wait::ensure(rig.value(waits).await, String::new)
        })
        .await;
        late.batch_execute("commit").await.expect("committed");
    };
    let (answer, ()) = tokio::join!(asking, committing);
    // The one that commits gives its locks back one by one: it may still have the partition's.
    match answer {
        Ok(row) => assert_eq!(row.get::<_, Option<String>>(0), None),
        Err(error) => assert_eq!(error.code(), Some(&SqlState::LOCK_NOT_AVAILABLE)),
    }
    assert!(exists(&rig, &old).await);
    let read = read_until(opened.source.as_mut(), 1).await;
    assert_eq!(read.len(), 1, "it is still there to be published");
    rig.end().await;
}

/// The look at the partition comes after the lock, in a snapshot of its own: a snapshot that is older misses the row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_snapshot_decides_nothing() {
    let Some(rig) = Rig::with("partitions_snapshot", |options| options.partitions = true).await else {
        return;
    };
    rig.partition(-3 * HOUR, -2 * HOUR).await;
    let client = connect(&rig.database.login_url(Login::Relay)).await.expect("connected");
    let sql = "begin isolation level repeatable read; select twinbox.detach_partition(); commit";
    let refused = client.batch_execute(sql).await.expect_err("refused");
    assert_eq!(refused.code(), Some(&SqlState::INVALID_TRANSACTION_STATE));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_slowest_relay_decides() {
    let Some(rig) = Rig::with("partitions_slowest", |options| options.partitions = true).await else {
        return;
    };
    let old = rig.partition(-3 * HOUR, -2 * HOUR).await;
    let (fast, slow) = (relay(&rig, "orders"), relay(&rig, "slow"));
    let (_fast_lease, fast_held, mut fast_opened) = take(&fast).await;
    let (_slow_lease, slow_held, mut slow_opened) = take(&slow).await;
    rig.run(&row(3, "k")).await;
    settle(&mut fast_opened, 1).await;
    stays(&rig, &old, (&mut fast_opened, &fast.retention(&fast_held))).await;
    settle(&mut slow_opened, 1).await;
    // Each moves its own floor; either may drop it.
    let retention = slow.retention(&slow_held);
    until("it goes", (&mut slow_opened, &retention), async |_| {
        fast_opened.source.next(ROOM).await.expect("a page");
        !exists(&rig, &old).await
    })
    .await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_crash_left_detached_is_dropped_and_what_a_person_detached_is_not() {
    let Some(rig) = Rig::with("partitions_detached", |options| options.partitions = true).await else {
        return;
    };
    let old = rig.partition(-5 * HOUR, -4 * HOUR).await;
    let own = rig.partition(-3 * HOUR, -2 * HOUR).await;
    let outbox = relay(&rig, "orders");
    let (_lease, held, mut opened) = take(&outbox).await;
    let retention = outbox.retention(&held);
    rig.run(&row(5, "unsent")).await;
    let by_hand = format!("alter table twinbox.outbox detach partition twinbox.{old}");
    rig.run(&by_hand).await;
    write(&rig, &[("now", "1")]).await;
    settle(&mut opened, 1).await;
    let client = connect(&rig.database.login_url(Login::Relay)).await.expect("connected");
    wait::until("it is detached", wait::PATIENCE, async || {
        client
            .batch_execute("insert into twinbox.relay_horizon default values; select twinbox.detach_partition()")
            .await
            .expect("its right");
        wait::ensure(!exists(&rig, &own).await, String::new)
    })
    .await;
    assert!(
        exists(&rig, &format!("{own}_settled")).await,
        "as a crash would leave it"
    );
    until("it goes", (&mut opened, &retention), async |_| {
        !exists(&rig, &format!("{own}_settled")).await
    })
    .await;
    stays(&rig, &old, (&mut opened, &retention)).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_of_before_drops_nothing() {
    let Some(rig) = Rig::with("partitions_fenced", |options| options.partitions = true).await else {
        return;
    };
    let old = rig.partition(-3 * HOUR, -2 * HOUR).await;
    let outbox = relay(&rig, "orders");
    let (mut lease, held, mut opened) = take(&outbox).await;
    write(&rig, &[("k", "1")]).await;
    settle(&mut opened, 1).await;
    lease.acquire().await.expect("an answer").expect("its own");
    let stepped = outbox.retention(&held).step().await;
    assert!(matches!(stepped, Err(StoreError::Fenced)), "{stepped:?}");
    assert!(exists(&rig, &old).await);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_table_is_refused_with_what_to_type() {
    let Some(rig) = Rig::new("partitions_plain").await else {
        return;
    };
    let outbox = relay(&rig, "orders");
    let mut lease = outbox.lease();
    let held = lease.acquire().await.expect("an answer").expect("free");
    let refused = outbox.open(&held).await.map(drop).expect_err("refused").to_string();
    for word in [
        "twinbox.outbox is a plain table",
        "`retention: 24h`",
        "`twinbox migrate --partitions",
    ] {
        assert!(refused.contains(word), "{refused}");
    }
    rig.end().await;
}

/// What ten processes do at the same time: make, detach, drop. Only a lock may be in the way.
async fn upkeep(client: &Client, rounds: usize) {
    for _ in 0..rounds {
        for call in ["make_partition", "detach_partition", "drop_partition"] {
            if let Err(error) = client.batch_execute(&format!("select twinbox.{call}()")).await {
                assert_eq!(error.code(), Some(&SqlState::LOCK_NOT_AVAILABLE), "{call}: {error:?}");
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_at_once_make_and_drop_while_no_insert_fails() {
    let Some(rig) = Rig::with("partitions_ten", |options| options.partitions = true).await else {
        return;
    };
    let outbox = rig.also(|options| {
        options.retention = Some(Duration::from_secs(1));
        options.partitions = true;
    });
    let (_lease, held, mut opened) = take(&outbox).await;
    let retention = outbox.retention(&held);
    let url = rig.database.login_url(Login::Relay);
    let processes = join_all((0..10).map(async |_| connect(&url).await.expect("connected"))).await;
    let writing = join_all((0..4).map(async |writer| {
        let app = rig.app().await;
        let sql = format!(
            "insert into twinbox.outbox (aggregatetype, aggregateid, type, payload) values ('order', 'w{writer}', 'created', '1')"
        );
        let begun = std::time::Instant::now();
        let mut written = 0_usize;
        // Across several bounds: partitions of a second each.
        while begun.elapsed() < Duration::from_secs(8) {
            app.batch_execute(&sql).await.expect("an insert never fails");
            written += 1;
        }
        written
    }));
    let reading = async {
        let mut read = 0_usize;
        let begun = std::time::Instant::now();
        while begun.elapsed() < Duration::from_secs(9) {
            let page = opened.source.next(ROOM).await.expect("a page");
            if let Some(last) = page.messages.last() {
                read += page.messages.len();
                let progress = settled_but(std::slice::from_ref(last), &[]);
                opened.source.confirm(progress).await.expect("confirmed");
            } else {
                opened.source.idle(Duration::from_millis(20)).await;
            }
            retention.step().await.expect("a step");
        }
        read
    };
    let upkeep = join_all(processes.iter().map(async |client| upkeep(client, 300).await));
    let (written, mut read, _) = tokio::join!(writing, reading, upkeep);
    let written: usize = written.into_iter().sum();
    while read < written {
        read += read_until(opened.source.as_mut(), 1).await.len();
    }
    assert_eq!(read, written, "each row once");
    let gone = "select count(*) from twinbox.outbox_partition where upper < clock_timestamp() - interval '5 s'";
    let seams = "select count(*) from (select lower, lag(upper) over (order by lower) as before
        from twinbox.outbox_partition where lower is not null) p where lower <> before";
    assert_eq!(rig.value::<i64>(seams).await, 0, "no gap and no overlap");
    until("old ones go", (&mut opened, &retention), async |_| {
        rig.value::<i64>(gone).await == 0
    })
    .await;
    rig.end().await;
}

/// What is done to the table as a whole, is done to all of its partitions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_another_cluster_are_rebased_in_all_partitions() {
    let Some(rig) = Rig::with("partitions_rebase", |options| options.partitions = true).await else {
        return;
    };
    rig.partition(-3 * HOUR, -2 * HOUR).await;
    for hour in [3, 0] {
        rig.run(&row(hour, "k")).await;
    }
    rig.run("update twinbox.outbox set xid = '4000000000'").await;
    assert_eq!(rig.value::<i64>("select twinbox.rebase()").await, 2);
    let (_lease, _held, mut opened) = take(&rig.outbox).await;
    assert_eq!(read_until(opened.source.as_mut(), 2).await.len(), 2);
    rig.end().await;
}
