//! Upkeep of partitions where something is in its way: it goes on as far as it can, says what it could not do, and never
//! costs a row.

use std::time::Duration;

use twinbox::contract::{StoreError, Tidied, Upkeep};
use twinbox::postgres::migrate::Options;
use twinbox::postgres::retention::Verb;

use super::partitions::{HOUR, exists, relay, row, settle, take, until};
use super::rig::Rig;
use crate::backends::postgres_ground::scratch::{self, Scratch};
use crate::conformance::place::{read_until, settled_but, write};

const NAMES: &str = "select coalesce(string_agg(c.relname, ' ' order by c.relname), '') from pg_class c
    where c.relkind = 'r' and c.relname ~ '^outbox_' and c.relnamespace = 'twinbox'::regnamespace";

async fn rig(test: &str) -> Option<Rig> {
    Rig::with(test, |options| options.partitions = true).await
}

async fn bytes(rig: &Rig, partition: &str) -> i64 {
    rig.value(&format!("select pg_relation_size('twinbox.{partition}')"))
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_never_be_detached_is_emptied_and_told() {
    let Some(rig) = rig("upkeep_always_open").await else {
        return;
    };
    let old = rig.partition(-3 * HOUR, -2 * HOUR).await;
    let older = rig.partition(-4 * HOUR, -3 * HOUR).await;
    let outbox = relay(&rig, "orders");
    let (_lease, held, mut opened) = take(&outbox).await;
    let retention = outbox.retention(&held);
    rig.run(&row(3, "published")).await;
    rig.run(&row(4, "published")).await;
    settle(&mut opened, 2).await;
    // Some transaction that has written is always open, as in a service with a slow step after it.
    let always = rig.database.owner().await;
    let open = "begin; insert into twinbox.outbox (aggregatetype, aggregateid, type, payload) values ('order', 'a', 'created', '1')";
    always.batch_execute(open).await.expect("open");
    write(&rig, &[("now", "1")]).await;
    settle(&mut opened, 1).await;
    let mut emptied = 0;
    until("both are empty", (&mut opened, &retention), async |step| {
        emptied += step.emptied;
        assert!(emptied == 0 || step.held_up == Some(Verb::Detach), "{step:?}");
        bytes(&rig, &old).await + bytes(&rig, &older).await == 0
    })
    .await;
    assert_eq!(emptied, 2);
    let Tidied { wait, held_up } = Upkeep::step(&retention).await.expect("a step");
    let told = held_up.expect("it is told");
    assert!(wait >= retention.pace(), "each try lets writers wait: {wait:?}");
    assert_eq!(told.code, "55P03");
    assert!(told.message.contains("`twinbox doctor`"), "{told}");
    // It is part of the outbox: a row that comes there now is published, and stays until it is.
    rig.run(&row(3, "late")).await;
    retention.step().await.expect("a step");
    let read = read_until(opened.source.as_mut(), 1).await;
    assert_eq!(read.len(), 1);
    opened.source.confirm(settled_but(&read, &[])).await.expect("confirmed");
    always.batch_execute("commit").await.expect("committed");
    settle(&mut opened, 1).await;
    until("a quiet moment, and they go", (&mut opened, &retention), async |_| {
        !exists(&rig, &old).await && !exists(&rig, &older).await
    })
    .await;
    rig.end().await;
}

/// Many rows that no partition took go all the same while the lock for detaching is not to be had.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_up_does_not_keep_the_default_partition_full() {
    let Some(rig) = rig("upkeep_sweep").await else { return };
    rig.partition(-3 * HOUR, -2 * HOUR).await;
    rig.partition(-HOUR, HOUR).await;
    let outbox = relay(&rig, "orders");
    let (_lease, held, mut opened) = take(&outbox).await;
    let retention = outbox.retention(&held);
    rig.run(
        "insert into twinbox.outbox (aggregatetype, aggregateid, type, created_at)
         select 'order', 'k', 'created', '2026-01-01' from generate_series(1, 12000)",
    )
    .await;
    let always = rig.database.owner().await;
    always
        .batch_execute("begin; lock table twinbox.outbox in row exclusive mode")
        .await
        .expect("open");
    settle(&mut opened, 12_000).await;
    write(&rig, &[("now", "1")]).await;
    settle(&mut opened, 1).await;
    let strays = "select count(*) from twinbox.outbox_default";
    until("there is more to sweep", (&mut opened, &retention), async |step| {
        step.held_up == Some(Verb::Detach) && step.more
    })
    .await;
    assert!(rig.value::<i64>(strays).await > 0, "a step does not do it all");
    let mut sweeps = 1;
    while let Some(pause) = Upkeep::sweep(&retention).await.expect("swept") {
        assert!(pause < retention.pace(), "{pause:?}");
        sweeps += 1;
    }
    assert!(sweeps < 4, "{sweeps}");
    assert_eq!(rig.value::<i64>(strays).await, 0);
    rig.end().await;
}

/// A person may make pieces of pieces: what is in them counts, and they are theirs to detach.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_in_pieces_of_its_own_stays() {
    let Some(rig) = rig("upkeep_pieces").await else { return };
    let old = rig.partition(-3 * HOUR, -2 * HOUR).await;
    rig.run(
        "create table twinbox.outbox_pieces partition of twinbox.outbox for values from ('2026-01-01') to ('2026-01-02')
           partition by range (created_at);
         create table twinbox.outbox_piece partition of twinbox.outbox_pieces default;
         create schema elsewhere;
         create table elsewhere.outbox_there partition of twinbox.outbox for values from ('2026-01-02') to ('2026-01-03')",
    )
    .await;
    let outbox = relay(&rig, "orders");
    let (_lease, held, mut opened) = take(&outbox).await;
    let retention = outbox.retention(&held);
    write(&rig, &[("now", "1")]).await;
    settle(&mut opened, 1).await;
    let unread = "insert into twinbox.outbox (aggregatetype, aggregateid, type, created_at) values ('order', 'k', 'created', '2026-01-01')";
    rig.run(unread).await;
    until("what is ours goes", (&mut opened, &retention), async |_| {
        !exists(&rig, &old).await
    })
    .await;
    let step = retention.step().await.expect("a step");
    assert_eq!((step.held_up, step.emptied), (None, 0));
    let attached = "select count(*) from pg_inherits
        where inhparent = 'twinbox.outbox'::regclass and inhrelid in ('twinbox.outbox_pieces'::regclass, 'elsewhere.outbox_there'::regclass)";
    assert_eq!(rig.value::<i64>(attached).await, 2);
    let settled = "select twinbox.partition_is_settled('outbox_pieces')";
    assert!(!rig.value::<bool>(settled).await, "its row is not published");
    let covered = "select count(*) from twinbox.outbox_partition where not plain and upper is not null";
    assert_eq!(rig.value::<i64>(covered).await, 2, "no partition is made over them");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_taken_stops_nothing() {
    let Some(rig) = rig("upkeep_names").await else { return };
    let newest = "select partition::text from twinbox.outbox_partition where attached and lower is not null order by lower desc limit 1";
    rig.run("select twinbox.make_partition(); select twinbox.make_partition()")
        .await;
    let taken: String = rig.value(newest).await;
    rig.run(&format!("alter table twinbox.outbox detach partition twinbox.{taken}"))
        .await;
    assert!(rig.value::<bool>("select twinbox.make_partition()").await);
    assert_eq!(rig.value::<String>(newest).await, format!("{taken}_2"));
    rig.end().await;
}

/// Whatever a person called it, nothing is left of it when it has gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_of_any_name_go() {
    let Some(rig) = rig("upkeep_by_hand").await else { return };
    let own = rig.partition(-3 * HOUR, -2 * HOUR).await;
    rig.run(&format!(
        "alter table twinbox.{own} rename to outbox_by_hand;
         create table twinbox.outbox_20260101t000000_2 partition of twinbox.outbox for values from ('2026-01-01') to ('2026-01-02')"
    ))
    .await;
    let outbox = relay(&rig, "orders");
    let (_lease, held, mut opened) = take(&outbox).await;
    let retention = outbox.retention(&held);
    write(&rig, &[("now", "1")]).await;
    settle(&mut opened, 1).await;
    until("they go", (&mut opened, &retention), async |_| {
        let names = rig.value::<String>(NAMES).await;
        !["by_hand", "outbox_20260101", "settled"]
            .iter()
            .any(|word| names.contains(word))
    })
    .await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_cannot_be_dropped_is_told_and_stops_nothing() {
    let Some(rig) = rig("upkeep_undroppable").await else {
        return;
    };
    // As a crash leaves them.
    rig.run(
        "create table twinbox.outbox_20260101t000000_settled (); create table twinbox.outbox_20260102t000000_settled ();
         create view public.mine as select from twinbox.outbox_20260101t000000_settled",
    )
    .await;
    // Partitions of minutes: none of those made begins before they are counted.
    let outbox = rig.also(|options| {
        options.retention = Some(Duration::from_secs(3600));
        options.partitions = true;
    });
    let (_lease, held, _opened) = take(&outbox).await;
    let retention = outbox.retention(&held);
    retention.step().await.expect("the other one goes");
    match retention.step().await {
        Err(StoreError::Away(failure)) => assert_eq!(failure.code, "2BP01"),
        other => panic!("{other:?}"),
    }
    let names = rig.value::<String>(NAMES).await;
    assert!(names.contains("outbox_20260101t000000_settled"), "{names}");
    assert!(!names.contains("outbox_20260102t000000_settled"), "{names}");
    let made = "select count(*) from twinbox.outbox_partition where lower > now()";
    assert_eq!(rig.value::<i64>(made).await, 2, "one in each step");
    rig.end().await;
}

/// A statement that runs while a partition is made does not know it, and fails if it has rows for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_partition_never_begins_soon() {
    let Some(rig) = rig("upkeep_soon").await else { return };
    let next = "select extract(epoch from max(lower) - clock_timestamp())::float8 from twinbox.outbox_partition";
    rig.partition(-HOUR, 10).await;
    assert!(rig.value::<bool>("select twinbox.make_partition()").await);
    let ahead = rig.value::<f64>(next).await;
    assert!(ahead > 290.0, "in {ahead} s");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_default_partition_is_waited_for_only_where_writers_write_there() {
    let Some(rig) = rig("upkeep_large_default").await else {
        return;
    };
    rig.run(
        "insert into twinbox.outbox (aggregatetype, aggregateid, type, created_at)
         select 'order', repeat('k', 1800), 'created', '2026-01-01' from generate_series(1, 20000)",
    )
    .await;
    assert!(bytes(&rig, "outbox_default").await > 32 << 20);
    assert!(
        !rig.value::<bool>("select twinbox.make_partition()").await,
        "they would wait while it is read"
    );
    rig.partition(2 * HOUR, 3 * HOUR).await;
    assert!(
        !rig.value::<bool>("select twinbox.make_partition()").await,
        "there is one, but not for now"
    );
    rig.partition(-HOUR, HOUR).await;
    assert!(
        rig.value::<bool>("select twinbox.make_partition()").await,
        "nobody writes there"
    );
    rig.end().await;
}

/// Pieces that are never detached become wider, so that they stay few, but rows must not stay for ever with them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_is_never_wider_than_a_day_or_the_retention() {
    let Some(rig) = rig("upkeep_width").await else { return };
    rig.partition(-365 * 24 * HOUR, -364 * 24 * HOUR).await;
    rig.run("select twinbox.make_partition()").await;
    let width = "select extract(epoch from upper - lower)::float8 from twinbox.outbox_partition where lower > now()";
    assert!((rig.value::<f64>(width).await - 86400.0).abs() < 1.0);
    rig.end().await;
}

/// Without a relay, rows of the first hours find their partitions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_partitions_are_made_with_the_table() {
    let Some(site) = Scratch::new("upkeep_first").await else {
        return;
    };
    let asked = Options {
        partitions: true,
        ..scratch::options()
    };
    let owner = site.migrated(&asked).await;
    let ahead =
        "select extract(epoch from max(upper) - clock_timestamp())::float8 / 3600 from twinbox.outbox_partition";
    let row = owner.client().query_one(ahead, &[]).await.expect("partitions");
    assert!(row.get::<_, f64>(0) > 11.0);
    drop(owner);
    site.drop().await;
}
