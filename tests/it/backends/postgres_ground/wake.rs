//! Notify if asleep: writers wake a sleeping relay, and nobody else pays.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use twinbox::postgres::Direct;

use super::scratch::{Scratch, options, value};

const INSERT: &str = "insert into twinbox.outbox (aggregatetype, type) values ('a', 't')";
const DEADLINE: Duration = Duration::from_secs(10);

/// A relay's wake connection, as it registers and listens.
async fn relay(scratch: &Scratch, name: &str) -> (Direct, i16) {
    let relay = scratch.owner().await;
    let register = format!(
        "insert into twinbox.relay_cursor (relay, source, position_epoch) values ('{name}', 'cursor', 1) returning wake"
    );
    let number = value(relay.client(), &register).await;
    relay.client().batch_execute("listen twinbox").await.expect("listening");
    (relay, number)
}

async fn sleeps(relay: &Direct, number: i16) -> bool {
    let sql = format!("select pg_try_advisory_lock('twinbox.outbox'::regclass::int, {number})");
    value(relay.client(), &sql).await
}

async fn wakes(relay: &Direct, number: i16) {
    let sql = format!("select pg_advisory_unlock('twinbox.outbox'::regclass::int, {number})");
    assert!(value::<bool>(relay.client(), &sql).await, "it slept");
}

/// What arrived before a sentinel that is sent now: silence is proved, not waited for.
async fn heard(relay: &mut Direct, writer: &Direct) -> Vec<String> {
    static SENTINEL: AtomicU32 = AtomicU32::new(0);
    let sentinel = format!("sentinel {}", SENTINEL.fetch_add(1, Ordering::Relaxed));
    let send = format!("notify twinbox, '{sentinel}'");
    writer.client().batch_execute(&send).await.expect("sent");
    let mut heard = Vec::new();
    loop {
        let next = tokio::time::timeout(DEADLINE, relay.notifications.recv())
            .await
            .expect("in time")
            .expect("open");
        match next.payload() {
            payload if payload == sentinel => return heard,
            // Another call's, which this relay had not read yet.
            payload if payload.starts_with("sentinel") => {}
            payload => heard.push(payload.to_owned()),
        }
    }
}

async fn site(test: &str) -> Option<(Scratch, Direct)> {
    let scratch = Scratch::new(test).await?;
    let writer = scratch.migrated(&options()).await;
    Some((scratch, writer))
}

#[tokio::test]
async fn only_a_sleeping_relay_is_told() {
    let Some((scratch, writer)) = site("only_a_sleeping_relay_is_told").await else {
        return;
    };
    let (mut a, a_number) = relay(&scratch, "a").await;
    let (mut b, b_number) = relay(&scratch, "b").await;
    assert_ne!(a_number, b_number);
    writer.client().batch_execute(INSERT).await.expect("inserted");
    assert_eq!(heard(&mut a, &writer).await, Vec::<String>::new(), "both are awake");
    assert!(sleeps(&a, a_number).await);
    writer.client().batch_execute(INSERT).await.expect("inserted");
    assert_eq!(heard(&mut a, &writer).await, [a_number.to_string()]);
    wakes(&a, a_number).await;
    assert!(sleeps(&b, b_number).await);
    writer.client().batch_execute(INSERT).await.expect("inserted");
    assert_eq!(
        heard(&mut a, &writer).await,
        [b_number.to_string()],
        "b sleeps, a is not kept awake for it"
    );
    assert_eq!(heard(&mut b, &writer).await.last(), Some(&b_number.to_string()));
    scratch.drop().await;
}

#[tokio::test]
async fn nobody_falls_asleep_over_an_open_writer() {
    let Some((scratch, writer)) = site("nobody_falls_asleep_over_an_open_writer").await else {
        return;
    };
    let (relay, number) = relay(&scratch, "a").await;
    writer
        .client()
        .batch_execute(&format!("begin; {INSERT}"))
        .await
        .expect("open");
    assert!(
        !sleeps(&relay, number).await,
        "a writer that did not notify is in flight"
    );
    writer.client().batch_execute("commit").await.expect("committed");
    assert!(sleeps(&relay, number).await);
    scratch.drop().await;
}

#[tokio::test]
async fn a_rolled_back_savepoint_is_asked_for_again() {
    let Some((scratch, writer)) = site("a_rolled_back_savepoint_is_asked_for_again").await else {
        return;
    };
    let (mut relay, number) = relay(&scratch, "a").await;
    let undone = format!("begin; savepoint s; {INSERT}; rollback to s");
    writer.client().batch_execute(&undone).await.expect("open");
    assert!(sleeps(&relay, number).await, "the savepoint gave its share back");
    writer
        .client()
        .batch_execute(&format!("{INSERT}; commit"))
        .await
        .expect("committed");
    assert_eq!(heard(&mut relay, &writer).await, [number.to_string()]);
    scratch.drop().await;
}

#[tokio::test]
async fn another_schema_is_not_woken() {
    let Some((scratch, writer)) = site("another_schema_is_not_woken").await else {
        return;
    };
    let other = super::scratch::schema("other");
    let owner = scratch.migrated(&twinbox::postgres::migrate::Options::new(other)).await;
    let register = "insert into other.relay_cursor (relay, source, position_epoch) values ('a', 'cursor', 1)";
    owner.client().batch_execute(register).await.expect("registered");
    let (mut relay, number) = relay(&scratch, "a").await;
    assert!(sleeps(&relay, number).await);
    let elsewhere = INSERT.replace("twinbox.", "other.");
    writer.client().batch_execute(&elsewhere).await.expect("inserted");
    assert_eq!(heard(&mut relay, &writer).await, Vec::<String>::new());
    drop(owner);
    scratch.drop().await;
}

#[tokio::test]
async fn the_age_is_of_what_no_relay_has_settled() {
    let Some((scratch, writer)) = site("the_age_is_of_what_no_relay_has_settled").await else {
        return;
    };
    let client = writer.client();
    let waits = "select twinbox.outbox_age() > '0'";
    assert!(!value::<bool>(client, waits).await, "nothing was written");
    client.batch_execute(INSERT).await.expect("inserted");
    assert!(value::<bool>(client, waits).await, "no relay has ever run");
    let start = "insert into twinbox.relay_cursor (relay, source, position_epoch) values ('a', 'cursor', 1);
        insert into twinbox.relay_window (relay, number, upper) values ('a', 0, '1:1:')";
    client.batch_execute(start).await.expect("registered");
    assert!(value::<bool>(client, waits).await, "the relay has read nothing");
    let open = "insert into twinbox.relay_window (relay, number, upper) values ('a', 1, pg_current_snapshot())";
    client.batch_execute(open).await.expect("opened");
    assert!(value::<bool>(client, waits).await, "the window is open");
    let partly = "update twinbox.relay_window set rest = (select array_agg(seq) from twinbox.outbox) where number = 1";
    client.batch_execute(partly).await.expect("written");
    assert!(value::<bool>(client, waits).await, "its row is left");
    client
        .batch_execute("update twinbox.relay_window set rest = '{}' where number = 1")
        .await
        .expect("settled");
    assert!(!value::<bool>(client, waits).await, "all is settled");
    client.batch_execute(INSERT).await.expect("inserted");
    assert!(value::<bool>(client, waits).await, "a row after the last window");
    scratch.drop().await;
}
