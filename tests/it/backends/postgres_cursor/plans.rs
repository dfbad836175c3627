//! Plans: whatever the server plans, no statement of the cursor reads the table.

use twinbox::contract::{Room, Source};

use super::rig::Rig;
use crate::conformance::place::{Place as _, Transaction as _, read_all, start, write};

/// Tuples of the outbox that were read by sequential scans.
const SCANNED: &str =
    "select sum(seq_tup_read)::bigint from pg_stat_all_tables where schemaname = 'twinbox' and relname ~ '^outbox'";

/// Index entries that were read. A large window takes three looks at each row: two for its extent, one for the row.
const ENTRIES: &str =
    "select sum(idx_tup_read)::bigint from pg_stat_all_indexes where schemaname = 'twinbox' and relname ~ '^outbox'";

async fn statistics(rig: &Rig) -> i64 {
    // Backends report when they are idle, at the latest when they end.
    tokio::time::timeout(std::time::Duration::from_secs(30), async {
        while rig
            .value::<i64>(
                "select count(*) from pg_stat_activity where datname = current_database() and usename <> 'postgres'",
            )
            .await
            > 0
        {}
    })
    .await
    .expect("the relay's backends end");
    rig.run("select pg_stat_clear_snapshot()").await;
    rig.value(SCANNED).await
}

/// A late transaction's row in a small and in a large window: read by its number, not by walking over the table. The
/// statistics say that all rows have one and the same transaction number, which invites the planner to do that.
async fn late_rows_cost_nothing_else(rig: &Rig, source: &mut dyn Source, room: Room) {
    for rows in [1, 3000] {
        let mut late = rig.begin().await;
        late.write(Some("late"), "0").await;
        write(rig, &[("k", "1")]).await;
        assert_eq!(read_all(source, room).await.len(), 1);
        late.commit().await;
        rig.run(&format!(
            "insert into twinbox.outbox (aggregatetype, aggregateid, type, payload)
             select 'order', 'k', 'created', to_jsonb(g) from generate_series(1, {rows}) g"
        ))
        .await;
        assert_eq!(read_all(source, room).await.len(), rows + 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn generic_plans_read_the_table_by_its_indexes() {
    for mode in ["force_generic_plan", "force_custom_plan"] {
        let Some(rig) = Rig::new("generic_plans").await else {
            return;
        };
        by_its_indexes(rig, mode).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn generic_plans_read_partitions_by_their_indexes() {
    for mode in ["force_generic_plan", "force_custom_plan"] {
        let Some(rig) = Rig::partitioned("generic_plans_partitions").await else {
            return;
        };
        by_its_indexes(rig, mode).await;
    }
}

async fn by_its_indexes(rig: Rig, mode: &str) {
    rig.run(&format!(
        "alter database {} set plan_cache_mode = {mode}",
        rig.database.name
    ))
    .await;
    rig.run(
        "insert into twinbox.outbox (aggregatetype, aggregateid, type, payload)
             select 'order', (g % 50)::text, 'created', to_jsonb(g) from generate_series(1, 30000) g",
    )
    .await;
    rig.run("analyze twinbox.outbox").await;
    let before = rig.value::<i64>(SCANNED).await;
    let (lease, _held, mut opened) = start(&rig).await;
    let room = Room {
        messages: 1000,
        bytes: 16 << 20,
    };
    let all = read_all(opened.source.as_mut(), room).await;
    assert_eq!(all.len(), 30_000);
    for number in 0..30 {
        write(&rig, &[("k", &number.to_string())]).await;
        assert_eq!(read_all(opened.source.as_mut(), room).await.len(), 1);
        opened.source.probe().await.expect("counted");
    }
    late_rows_cost_nothing_else(&rig, opened.source.as_mut(), room).await;
    opened.source.close().await;
    drop(lease);
    rig.close_pool();
    assert_eq!(statistics(&rig).await, before, "{mode}: sequential scans");
    let entries: i64 = rig.value(ENTRIES).await;
    assert!(
        entries < 300_000,
        "{mode}: {entries} index entries for some 34,000 rows"
    );
    rig.end().await;
}
