//! What operators call in the database: forgetting a relay, and going on after a restore.

use super::scratch::{Scratch, options, refused, value};

const OBJECT_IN_USE: &str = "55006";

#[tokio::test]
async fn a_relay_is_forgotten_once_nothing_waits_for_it() {
    let Some(scratch) = Scratch::new("a_relay_is_forgotten_once_nothing_waits_for_it").await else {
        return;
    };
    let owner = scratch.migrated(&options()).await;
    let client = owner.client();
    let start = "insert into twinbox.relay_cursor (relay, source, position_epoch, lease_until) values ('a', 'cursor', 1, now() + '1h');
        insert into twinbox.relay_window (relay, number, upper) values ('a', 0, '1:1:');
        insert into twinbox.relay_destination (relay, destination, partitions) values ('a', 't', 1);
        insert into twinbox.letter (side, owner, lane, place, seq, message_id) values ('relay', 'a', 'l', '1', 1, gen_random_uuid())";
    client.batch_execute(start).await.expect("registered");
    assert_eq!(refused(client, "select twinbox.forget('b')").await, "P0002");
    assert_eq!(
        refused(client, "select twinbox.forget('a')").await,
        OBJECT_IN_USE,
        "it is running"
    );
    client
        .batch_execute("update twinbox.relay_cursor set lease_until = '-infinity'")
        .await
        .expect("stopped");
    assert_eq!(
        refused(client, "select twinbox.forget('a')").await,
        OBJECT_IN_USE,
        "it has an open letter"
    );
    client
        .batch_execute("update twinbox.letter set closed = 'dropped'")
        .await
        .expect("discarded");
    assert_eq!(value::<i64>(client, "select twinbox.forget('a', 'retired')").await, 1);
    let left = "select (select count(*) from twinbox.relay_cursor) + (select count(*) from twinbox.relay_window)
        + (select count(*) from twinbox.relay_destination)";
    assert_eq!(value::<i64>(client, left).await, 0);
    let told: String = value(
        client,
        "select verb || ' ' || object || ' ' || reason from twinbox.audit",
    )
    .await;
    assert_eq!(told, "forget a retired");
    scratch.drop().await;
}

#[tokio::test]
async fn restored_rows_go_on_under_ids_of_this_cluster() {
    let Some(scratch) = Scratch::new("restored_rows_go_on_under_ids_of_this_cluster").await else {
        return;
    };
    let owner = scratch.migrated(&options()).await;
    let client = owner.client();
    let insert = "insert into twinbox.outbox (aggregatetype, type, aggregateid) values ('a', 't', 'here')";
    client.batch_execute(insert).await.expect("inserted");
    assert_eq!(
        refused(client, "select twinbox.rebase()").await,
        "P0001",
        "nothing is foreign"
    );
    // Written by another cluster, far ahead: settled by both relays, by one, by none.
    let restored = "
        insert into twinbox.outbox (aggregatetype, type, aggregateid, xid) values
          ('a', 't', 'both', '900000000'), ('a', 't', 'one', '900000150'), ('a', 't', 'none', '900000300');
        insert into twinbox.relay_cursor (relay, source, position_epoch, deleted_up_to) values
          ('a', 'cursor', 1, '899999999'), ('b', 'cursor', 1, '899999999');
        insert into twinbox.relay_window (relay, number, upper) values
          ('a', 7, '900000100:900000100:'), ('a', 8, '900000400:900000400:'), ('b', 3, '900000200:900000200:')";
    client.batch_execute(restored).await.expect("restored");
    // Since then, below a savepoint: its system column is not its transaction's id.
    let nested = "begin; select pg_current_xact_id(); savepoint s;
        insert into twinbox.outbox (aggregatetype, type, aggregateid) values ('a', 't', 'nested'); commit";
    client.batch_execute(nested).await.expect("inserted");
    assert_eq!(
        value::<i64>(client, "select twinbox.rebase('restored from backup')").await,
        4
    );
    let settled = "select string_agg(aggregateid, ' ' order by seq) from twinbox.outbox o
        where pg_visible_in_snapshot(o.xid, (select upper from twinbox.relay_window where relay = 'a'))";
    assert_eq!(
        value::<String>(client, settled).await,
        "both",
        "the others wait, the rows written here too"
    );
    let foreign = "select count(*) from twinbox.outbox where not pg_visible_in_snapshot(xid, pg_current_snapshot())";
    assert_eq!(value::<i64>(client, foreign).await, 0);
    let windows = "select string_agg(relay || number, ' ' order by relay) from twinbox.relay_window";
    assert_eq!(
        value::<String>(client, windows).await,
        "a8 b3",
        "numbers do not go back"
    );
    assert!(value::<bool>(client, "select twinbox.outbox_age() > '0'").await);
    let first = "begin; select pg_current_xact_id(); select twinbox.rebase()";
    assert_eq!(
        refused(client, first).await,
        "P0001",
        "its id must be newer than the snapshot"
    );
    client.batch_execute("rollback").await.expect("over");
    scratch.drop().await;
}
