//! Plans: whatever the server plans, no statement of the cursor reads the table.

use twinbox::contract::Room;

use super::rig::Rig;
use crate::conformance::place::{read_all, start, write};

/// Tuples of the outbox that were read by sequential scans.
const SCANNED: &str =
    "select coalesce(seq_tup_read, 0) from pg_stat_all_tables where relid = 'twinbox.outbox'::regclass";

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn generic_plans_read_the_table_by_its_indexes() {
    for mode in ["force_generic_plan", "force_custom_plan"] {
        let Some(rig) = Rig::new("generic_plans").await else {
            return;
        };
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
        opened.source.close().await;
        drop(lease);
        rig.close_pool();
        assert_eq!(statistics(&rig).await, before, "{mode}: sequential scans");
        rig.end().await;
    }
}
