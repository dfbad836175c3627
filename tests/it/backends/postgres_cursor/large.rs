//! Windows that are larger than a page: paged by primary key, with late transactions merged in, and re-read from the
//! middle.

use std::time::Duration;

use twinbox::contract::Room;
use twinbox::message::Message;

use super::rig::Rig;
use crate::conformance::place::{Place, body, positions, read_all, settled_but, start};

const SMALL: Room = Room {
    messages: 100,
    bytes: 16 << 20,
};

async fn insert(rig: &Rig, from: i64, to: i64) {
    rig.run(&format!(
        "insert into twinbox.outbox (aggregatetype, aggregateid, type, payload)
         select 'order', (g % 7)::text, 'created', to_jsonb(g) from generate_series({from}, {to}) g"
    ))
    .await;
}

fn numbers(messages: &[Message]) -> Vec<i64> {
    messages
        .iter()
        .map(|message| body(message).parse().expect("a number"))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_transactions_are_merged_into_a_large_window() {
    let Some(rig) = Rig::new("late_merged").await else {
        return;
    };
    let (_lease, _held, mut opened) = start(&rig).await;
    // Three transactions that began long ago, one of them large; their numbers lie far below and in between.
    let mut late = Vec::new();
    for number in 0..3_i64 {
        let client = rig.database.owner().await;
        let rows = [250, 1, 3][usize::try_from(number).expect("small")];
        let sql = format!(
            "begin; insert into twinbox.outbox (aggregatetype, aggregateid, type, payload)
             select 'order', 'late', 'created', to_jsonb({} + g) from generate_series(1, {rows}) g",
            -1000 * (number + 1)
        );
        client.batch_execute(&sql).await.expect("written");
        insert(&rig, number * 10 + 1, number * 10 + 10).await;
        late.push(client);
    }
    assert_eq!(read_all(opened.source.as_mut(), SMALL).await.len(), 30);
    insert(&rig, 1001, 1500).await;
    for client in &late {
        client.batch_execute("commit").await.expect("committed");
    }
    insert(&rig, 2001, 2010).await;
    let window = read_all(opened.source.as_mut(), SMALL).await;
    assert_eq!(window.len(), 250 + 1 + 3 + 500 + 10);
    let major = window[0].position.major;
    assert!(
        window.iter().all(|message| message.position.major == major),
        "one window"
    );
    assert!(positions(&window).is_sorted_by(|a, b| a < b));
    let all: i64 = rig.value("select count(*) from twinbox.outbox").await;
    assert_eq!(all, 30 + i64::try_from(window.len()).expect("few"));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_commit_while_a_large_window_is_read_are_in_the_next() {
    let Some(rig) = Rig::new("while_read").await else {
        return;
    };
    let (_lease, _held, mut opened) = start(&rig).await;
    insert(&rig, 1, 1000).await;
    let mut read = opened.source.next(SMALL).await.expect("a page").messages;
    insert(&rig, 1001, 1100).await;
    while read.len() < 1000 {
        read.extend(opened.source.next(SMALL).await.expect("a page").messages);
    }
    assert_eq!(numbers(&read), (1..=1000).collect::<Vec<_>>());
    assert_eq!(
        numbers(&read_all(opened.source.as_mut(), SMALL).await),
        (1001..=1100).collect::<Vec<_>>()
    );
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_window_goes_on_where_it_was_settled() {
    let Some(rig) = Rig::new("goes_on").await else { return };
    let mut settled = 0;
    let mut lives = 0;
    insert(&rig, 1, 5000).await;
    loop {
        let (lease, _held, mut opened) = start(&rig).await;
        let mut read = Vec::new();
        for _ in 0..7 {
            read.extend(opened.source.next(SMALL).await.expect("a page").messages);
        }
        if read.is_empty() {
            break;
        }
        assert_eq!(
            numbers(&read)[0],
            settled + 1,
            "nothing settled is repeated, nothing else is missing"
        );
        let keep = read.len() - read.len().min(50);
        settled = numbers(&read[..keep.max(1)])[keep.max(1) - 1];
        let rest = positions(&read[keep.max(1)..]);
        opened
            .source
            .confirm(settled_but(&read, &rest))
            .await
            .expect("confirmed");
        drop(opened);
        rig.kill_holder(lease).await;
        lives += 1;
        assert!(lives < 100);
    }
    assert_eq!(settled, 5000);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_deleted_by_hand_is_a_gap_and_nothing_worse() {
    let Some(rig) = Rig::new("gap").await else { return };
    let (lease, _held, mut opened) = start(&rig).await;
    insert(&rig, 1, 20).await;
    let read = read_all(opened.source.as_mut(), SMALL).await;
    insert(&rig, 21, 21).await;
    let last = read_all(opened.source.as_mut(), SMALL).await;
    let mut rest = positions(&read[5..]);
    rest.extend(positions(&last));
    opened
        .source
        .confirm(settled_but(&last, &rest))
        .await
        .expect("confirmed");
    drop(opened);
    rig.kill_holder(lease).await;
    rig.run("delete from twinbox.outbox where payload in ('7', '20')").await;
    let (_lease, _held, mut opened) = start(&rig).await;
    let again = read_all(opened.source.as_mut(), SMALL).await;
    let expected: Vec<i64> = (6..=21).filter(|number| ![7, 20].contains(number)).collect();
    assert_eq!(numbers(&again), expected);
    opened
        .source
        .confirm(settled_but(&again, &[]))
        .await
        .expect("confirmed");
    opened.source.idle(Duration::from_millis(1)).await;
    assert_eq!(rig.value::<i64>("select count(*) from twinbox.relay_window").await, 1);
    rig.end().await;
}
