//! Schedules that only a real database shows: rows that are waited for, a cluster that is another one.

use twinbox::contract::{Inbox, Known, StoreError};

use super::rig::Rig;
use crate::conformance::inbox::{Cellar, assume, identity, lane, message, park, parks, settled_but, stream};
use crate::support::wait::{PATIENCE, ensure, until};

/// Bumps in the wrong order: whoever still owns the partition bumps again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s26_whoever_bumped_last_holds_the_stream() {
    let Some(rig) = Rig::new("s26_whoever_bumped_last_holds_the_stream").await else {
        return;
    };
    let old = assume(&rig, 0).await;
    let other = rig.also();
    let bumped = other.assume(&stream(0)).await.expect("taken over");
    let again = assume(&rig, 0).await;
    let late = other.mark(&bumped.fence, 9).await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    rig.inbox().mark(&again.fence, 4).await.expect("ours");
    assert!(old.fence.epoch < bumped.fence.epoch && bumped.fence.epoch < again.fence.epoch);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s21_another_cluster_or_timeline_is_told_once() {
    let Some(rig) = Rig::new("s21_another_cluster_or_timeline_is_told_once").await else {
        return;
    };
    let held = assume(&rig, 0).await;
    assert!(held.told.is_empty(), "the first time");
    rig.inbox().begin(&held.fence, 7).await.expect("begun");
    for (before, kind) in [
        ("timeline = timeline + 1", "timeline_changed"),
        ("system_id = system_id + 1", "system_changed"),
    ] {
        rig.run(&format!("update twinbox.consumer_position set {before}")).await;
        // A process that was never here before tells it, too.
        let told = rig.also().assume(&stream(0)).await.expect("taken over").told;
        let [
            StoreError::Incident {
                kind: found, sentence, ..
            },
        ] = &told[..]
        else {
            panic!("{told:?}")
        };
        assert_eq!(*found, kind);
        assert!(sentence.contains("offset 7"), "{sentence}");
        assert!(assume(&rig, 0).await.told.is_empty(), "told once");
    }
    rig.end().await;
}

/// S24: a batch that stands still keeps nobody from tidying for longer than a second, and is not overtaken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s24_a_rotation_that_cannot_be_had_is_tried_again() {
    let Some(rig) = Rig::new("s24_a_rotation_that_cannot_be_had_is_tried_again").await else {
        return;
    };
    let held = assume(&rig, 0).await;
    rig.age().await;
    rig.run("begin; select twinbox.enter_generation()").await;
    let again = rig.inbox().tidy().await.expect("it is no failure");
    assert!(again.as_secs() <= 10, "{again:?}");
    rig.run("commit").await;
    rig.inbox().tidy().await.expect("rotated");
    let record = rig.inbox().record(&held.fence, vec![identity(1)], Known::Done);
    record.await.expect("recorded");
    let current: i32 = rig
        .owner
        .query_one("select generation from twinbox.inbox", &[])
        .await
        .expect("one row")
        .get(0);
    assert_eq!(current, 2);
    rig.end().await;
}

/// A letter of a consumer says everything that people ask for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_holds_what_people_ask_for() {
    let Some(rig) = Rig::new("a_letter_holds_what_people_ask_for").await else {
        return;
    };
    let held = assume(&rig, 0).await;
    let head = message("k", 5);
    let run = parks(vec![park("k", &[&head, &message("k", 6)], None)], settled_but(6, &[]));
    held.letters.store(run).await.expect("stored");
    let facts = "select side = 'consumer' and owner = 'billing' and source_topic = 'order.events' and source_partition = 0
        and source_offset = 5 and attempts = 1 and error_kind = 'rejected' and error_type = 'TB001'
        and error_message = 'no such customer' and error_chain->>0 = 'in billing.on_event' and fingerprint = 'rejected:TB001'
        and first_failed_at is not null and last_failed_at is not null and trace_id = '0af7651916cd43dd8448eb211c80319c'
        and convert_from(payload, 'UTF8') = '{\"offset\": 5}' and convert_from(key, 'UTF8') = 'k' and epoch > 0
        from twinbox.letter order by letter limit 1";
    let whole: bool = rig.owner.query_one(facts, &[]).await.expect("one row").get(0);
    assert!(whole);
    let successor = "select count(*) from twinbox.letter where error_kind is null and first_failed_at is null";
    assert_eq!(
        rig.owner
            .query_one(successor, &[])
            .await
            .expect("one row")
            .get::<_, i64>(0),
        1
    );
    assert_eq!(rig.open_letters(&lane(0, "k")).await, 2);
    rig.end().await;
}

/// A zombie's transaction has the row and is not over: whoever comes next waits for its end, and then knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s06_a_row_that_is_not_committed_yet_is_waited_for() {
    let Some(rig) = Rig::new("s06_a_row_that_is_not_committed_yet_is_waited_for").await else {
        return;
    };
    let held = assume(&rig, 0).await;
    let id = identity(1).id;
    let zombie = format!("insert into twinbox.inbox (generation, consumer, message_id) values (1, 'billing', '{id}')");
    rig.run(&format!("begin; {zombie}")).await;
    let record = rig.inbox().record(&held.fence, vec![identity(1)], Known::Dropped);
    let look = rig.also_owner().await;
    let waiting = until("it waits for the row", PATIENCE, async || {
        let sql = "select count(*) from pg_locks l join pg_stat_activity a using (pid)
            where not l.granted and a.datname = current_database()";
        let count: i64 = look.query_one(sql, &[]).await.expect("counted").get(0);
        ensure(count > 0, || "nobody waits".to_owned())
    });
    let ((), recorded) = tokio::join!(
        async {
            waiting.await;
            rig.run("commit").await;
        },
        record
    );
    recorded.expect("recorded, it was there");
    let state: String = look
        .query_one("select string_agg(state, ' ') from twinbox.inbox", &[])
        .await
        .expect("one row")
        .get(0);
    assert_eq!(state, "done", "what is remembered stays as it is");
    rig.end().await;
}
