//! The reference broker's faults do what they say: other suites rest on them.

use super::Memory;
use crate::conformance::desk::{Desk, content, kind};
use crate::conformance::publisher::{Stored, Subject as _};
use std::time::Duration;
use twinbox::broker::memory::{Fault, When};
use twinbox::contract::{Health, Receipt};
use twinbox::delivery::FailureKind;

const DEADLINE: Duration = Duration::from_secs(1);

async fn desk(memory: &Memory) -> Desk {
    memory.cluster.create("t");
    Desk::open(&*memory.broker()).await
}

fn numbers(memory: &Memory) -> Vec<u64> {
    memory.stored("t").iter().map(Stored::number).collect()
}

#[tokio::test]
async fn done_then_failed_is_stored_and_unknown() {
    let memory = Memory::new(10);
    let mut desk = desk(&memory).await;
    let first = content(1, Some("a"), b"");
    memory.cluster.script(When::Message(first.id), Fault::DoneThenFailed, 1);
    let receipts = desk.send("t", vec![first, content(2, Some("a"), b"")]).await;
    assert_eq!(kind(&receipts[0]), Some(FailureKind::Transient));
    assert_eq!(receipts[1], Receipt::NotAttempted);
    assert_eq!(numbers(&memory), [1]);
}

#[tokio::test]
async fn a_rejection_happens_as_often_as_scripted() {
    let memory = Memory::new(10);
    let mut desk = desk(&memory).await;
    let reject = Fault::Reject(FailureKind::Destination);
    memory.cluster.script(When::Topic("t".into()), reject, 2);
    for (n, expected) in [
        (1, Some(FailureKind::Destination)),
        (2, Some(FailureKind::Destination)),
        (3, None),
    ] {
        let receipts = desk.send("t", vec![content(n, Some("a"), b"")]).await;
        assert_eq!(kind(&receipts[0]), expected);
    }
    assert_eq!(numbers(&memory), [3]);
}

#[tokio::test]
async fn a_held_message_keeps_its_lane_behind_it_and_others_pass() {
    let memory = Memory::new(10);
    let mut desk = desk(&memory).await;
    let head = content(1, Some("a"), b"");
    memory.cluster.script(When::Message(head.id), Fault::Hold, 1);
    let batch = vec![head, content(2, Some("a"), b""), content(3, Some("b"), b"")];
    let tickets = desk.hand_over("t", batch).await;
    assert_eq!(desk.answers(&tickets[2..]).await, [Receipt::Durable]);
    assert_eq!(numbers(&memory), [3]);
    memory.cluster.release();
    assert_eq!(desk.answers(&tickets).await, vec![Receipt::Durable; 3]);
    assert_eq!(numbers(&memory), [3, 1, 2]);
}

#[tokio::test]
async fn a_slow_message_is_there_before_its_answer() {
    let memory = Memory::new(10);
    let mut desk = desk(&memory).await;
    let slow = Fault::Slow(Duration::from_millis(300));
    memory.cluster.script(When::Topic("t".into()), slow, 1);
    let began = tokio::time::Instant::now();
    let tickets = desk.hand_over("t", vec![content(1, Some("a"), b"")]).await;
    assert_eq!(numbers(&memory), [1]);
    assert_eq!(desk.answers(&tickets).await, [Receipt::Durable]);
    assert!(began.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_broken_connection_loses_the_rest_of_its_batch() {
    let memory = Memory::new(10);
    let mut desk = desk(&memory).await;
    let second = content(2, Some("b"), b"");
    memory.cluster.script(When::Message(second.id), Fault::Drop, 1);
    let batch = vec![content(1, Some("a"), b""), second, content(3, Some("a"), b"")];
    let receipts = desk.send("t", batch).await;
    assert_eq!(receipts[0], Receipt::Durable);
    assert_eq!(kind(&receipts[1]), Some(FailureKind::Transient));
    assert_eq!(kind(&receipts[2]), Some(FailureKind::Transient));
    assert_eq!(numbers(&memory), [1]);
}

#[tokio::test]
async fn a_broker_that_is_away_answers_nothing_and_says_so() {
    let memory = Memory::new(10);
    let mut desk = desk(&memory).await;
    memory.cluster.set_down(true);
    let tickets = desk
        .hand_over("t", vec![content(1, Some("a"), b""), content(2, Some("a"), b"")])
        .await;
    let Health::Away(failure) = desk.publisher.outlook().health else {
        panic!("it is away");
    };
    assert_eq!(failure.kind, FailureKind::Unreachable);
    assert!(desk.receipts.is_empty() && numbers(&memory).is_empty());
    memory.cluster.set_down(false);
    assert_eq!(desk.answers(&tickets).await, vec![Receipt::Durable; 2]);
    assert_eq!(numbers(&memory), [1, 2]);
    assert_eq!(desk.publisher.outlook().health, Health::Up);
    desk.close(DEADLINE).await;
}
