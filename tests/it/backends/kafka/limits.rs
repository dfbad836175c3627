//! Sizes and refusals: what only the broker knows, found without letting anything overtake.

use super::Kafka;
use crate::conformance::desk::{Desk, Lanes, content, kind};
use crate::conformance::publisher::{Stored, Subject as _};
use serde_json::json;
use std::collections::HashSet;
use std::time::Duration;
use twinbox::contract::Receipt;
use twinbox::delivery::FailureKind;
use twinbox::message::Content;

const DEADLINE: Duration = Duration::from_secs(10);

/// First occurrences of a key's messages, as they stand in the log.
fn first_occurrences(stored: &[Stored], key: &str) -> Vec<u64> {
    let mut seen = HashSet::new();
    let of_key = stored
        .iter()
        .filter(|record| record.key.as_deref() == Some(key.as_bytes()));
    of_key
        .map(Stored::number)
        .filter(|number| seen.insert(*number))
        .collect()
}

fn failure(receipt: &Receipt) -> String {
    match receipt {
        Receipt::Failed(failure) => failure.message.clone(),
        other => panic!("{other:?} is no failure"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn our_size_of_a_message_is_the_brokers() {
    let Some(kafka) = Kafka::open("our_size_of_a_message_is_the_brokers") else {
        return;
    };
    let topic = kafka.topic(1, &[("max.message.bytes", "2000")]).await;
    let mut desk = Desk::open(&*kafka.broker()).await;
    let payload = |bytes: usize| content(1, Some("key"), &vec![b'x'; bytes]);
    // The refusal names our size of it; from that the payload for exactly 2001 follows.
    let refused = desk.send(&topic, vec![payload(2000)]).await;
    let ours: usize = failure(&refused[0]).split(' ').next().unwrap().parse().unwrap();
    let fits = 2000 - (ours - 2000);
    assert_eq!(
        desk.send(&topic, vec![payload(fits)]).await,
        [Receipt::Durable],
        "2000 of 2000 bytes"
    );
    let over = desk.send(&topic, vec![payload(fits + 1)]).await;
    assert!(failure(&over[0]).starts_with("2001 bytes"), "{over:?}");
    desk.close(DEADLINE).await;

    // The broker agrees: with a limit of 2001 it takes those 2001 bytes, with 2000 it does not.
    kafka
        .cluster
        .configure_topic(&topic, &[("max.message.bytes", "2001")])
        .await;
    let mut desk = Desk::open(&*kafka.broker()).await;
    assert_eq!(desk.send(&topic, vec![payload(fits + 1)]).await, [Receipt::Durable]);
    kafka
        .cluster
        .configure_topic(&topic, &[("max.message.bytes", "2000")])
        .await;
    let refused = desk.send(&topic, vec![payload(fits + 1)]).await;
    assert_eq!(kind(&refused[0]), Some(FailureKind::Message), "{refused:?}");
    assert_eq!(desk.send(&topic, vec![payload(fits)]).await, [Receipt::Durable]);
    desk.close(DEADLINE).await;
    assert_eq!(kafka.stored(&topic).len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_a_limit_that_is_lowered_under_load_lets_nothing_overtake() {
    let Some(kafka) = Kafka::open("p4_a_limit_that_is_lowered_under_load_lets_nothing_overtake") else {
        return;
    };
    // Whole runs in a batch, and a run of many batches: those behind the refused one are on their way with it (B10).
    for options in [
        json!({ "linger.ms": 0 }),
        json!({ "linger.ms": 5 }),
        json!({ "linger.ms": 0, "batch.num.messages": 10 }),
    ] {
        let topic = kafka.topic(1, &[]).await;
        let broker = kafka.with(json!({ "options": options.clone() }), |_| {});
        let mut desk = Desk::open(&*broker).await;
        // The publisher learns the limit of now.
        assert_eq!(
            desk.send(&topic, vec![content(999, Some("other"), b"")]).await,
            [Receipt::Durable]
        );
        kafka
            .cluster
            .configure_topic(&topic, &[("max.message.bytes", "5000")])
            .await;

        let payload = |n| vec![b'x'; if n == 37 { 8000 } else { 100 }];
        let mut lanes = Lanes::new();
        lanes.insert(
            "a".into(),
            (0..400).map(|n| content(n, Some("a"), &payload(n))).collect(),
        );
        lanes.insert(
            "b".into(),
            (400..500).map(|n| content(n, Some("b"), b"small")).collect(),
        );
        let refused = desk.deliver(&topic, &mut lanes).await;
        desk.close(DEADLINE).await;

        assert_eq!(refused, [37], "{options}");
        let stored = kafka.stored(&topic);
        let expected: Vec<u64> = (0..400).filter(|n| *n != 37).collect();
        assert_eq!(first_occurrences(&stored, "a"), expected, "{options}");
        assert_eq!(first_occurrences(&stored, "b"), (400..500).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_refused_is_found_among_its_neighbours() {
    let Some(kafka) = Kafka::open("a_record_that_is_refused_is_found_among_its_neighbours") else {
        return;
    };
    // A compacted topic takes no record without a key; its neighbours of the batch are refused with it.
    let topic = kafka.topic(1, &[("cleanup.policy", "compact")]).await;
    let plain = kafka.topic(1, &[]).await;
    let mut desk = Desk::open(&*kafka.broker()).await;
    assert_eq!(
        desk.send(&topic, vec![content(999, Some("k"), b"")]).await,
        [Receipt::Durable]
    );
    let mut open: Vec<u64> = (0..50).collect();
    let mut refused = Vec::new();
    while !open.is_empty() {
        let key = |n: u64| (n != 25).then(|| format!("k{n}"));
        let batch = open.iter().map(|n| content(*n, key(*n).as_deref(), b"x")).collect();
        let receipts = desk.send(&topic, batch).await;
        let answered: Vec<_> = open.iter().copied().zip(receipts).collect();
        refused.extend(
            answered
                .iter()
                .filter(|(_, r)| kind(r) == Some(FailureKind::Message))
                .map(|(n, _)| *n),
        );
        let again = |r: &Receipt| *r != Receipt::Durable && kind(r) != Some(FailureKind::Message);
        open = answered.into_iter().filter(|(_, r)| again(r)).map(|(n, _)| n).collect();
    }
    // Another destination never noticed (G6).
    assert_eq!(
        desk.send(&plain, vec![content(1, Some("k"), b"")]).await,
        [Receipt::Durable]
    );
    desk.close(DEADLINE).await;
    assert_eq!(refused, [25]);
    let there: HashSet<u64> = kafka.stored(&topic).iter().map(Stored::number).collect();
    assert_eq!(there, (0..50).chain([999]).filter(|n| *n != 25).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn compression_lets_pass_what_is_small_on_the_wire() {
    let Some(kafka) = Kafka::open("compression_lets_pass_what_is_small_on_the_wire") else {
        return;
    };
    let topic = kafka.topic(1, &[("max.message.bytes", "2000")]).await;
    let broker = kafka.with(json!({ "options": { "compression.codec": "zstd" } }), |_| {});
    let mut desk = Desk::open(&*broker).await;
    let compressible = content(1, Some("k"), &vec![b'x'; 100_000]);
    assert_eq!(desk.send(&topic, vec![compressible]).await, [Receipt::Durable]);
    // What is not compressible is refused by the broker, and the next one passes.
    let noise: Vec<u8> = (0..20_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let mut lanes = Lanes::new();
    let lane = [content(2, Some("k"), &noise), content(3, Some("k"), b"after")];
    lanes.insert("k".into(), lane.into());
    assert_eq!(desk.deliver(&topic, &mut lanes).await, [2]);
    desk.close(DEADLINE).await;
    assert_eq!(first_occurrences(&kafka.stored(&topic), "k"), [1, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn s10_a_topic_that_keeps_refusing_costs_others_nothing() {
    let Some(kafka) = Kafka::open("s10_a_topic_that_keeps_refusing_costs_others_nothing") else {
        return;
    };
    // Refuses what has no key; each refusal kills the line that carried it.
    let (refuses, flows) = (
        kafka.topic(1, &[("cleanup.policy", "compact")]).await,
        kafka.topic(1, &[]).await,
    );
    // Small batches one by one: when the refusal comes, much still stands in the queue.
    let slow = json!({ "options": { "batch.num.messages": 10, "max.in.flight": 1, "linger.ms": 0 } });
    let mut desk = Desk::open(&*kafka.with(slow, |_| {})).await;
    for topic in [&refuses, &flows] {
        assert_eq!(
            desk.send(topic, vec![content(1, Some("k"), b"")]).await,
            [Receipt::Durable]
        );
    }
    let poison = desk.send(&refuses, vec![content(2, None, b"")]).await;
    assert_ne!(poison[0], Receipt::Durable);
    for round in 0..5 {
        let mut batch = vec![(refuses.clone(), content(3, None, b""))];
        let many = (0..1000).map(|n| (flows.clone(), content(round * 1000 + n, Some(&format!("k{n}")), b"x")));
        batch.extend(many);
        let tickets = desk.hand_over_to(batch).await;
        let receipts = desk.answers(&tickets).await;
        assert_eq!(
            kind(&receipts[0]),
            Some(FailureKind::Message),
            "alone in its batch, it is the culprit"
        );
        let failed: Vec<_> = receipts[1..]
            .iter()
            .filter(|receipt| **receipt != Receipt::Durable)
            .collect();
        assert!(failed.is_empty(), "{} failed, the first: {:?}", failed.len(), failed[0]);
    }
    assert_eq!(desk.publisher.outlook().rebuilds, 0, "there was a culprit each time");
    desk.close(DEADLINE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_released_letter_meets_the_limit_as_it_is_now() {
    let Some(kafka) = Kafka::open("a_released_letter_meets_the_limit_as_it_is_now") else {
        return;
    };
    let topic = kafka.topic(1, &[("max.message.bytes", "2000")]).await;
    let mut desk = Desk::open(&*kafka.broker()).await;
    let large = || content(1, Some("k"), &[7; 5000]);
    let receipts = desk.send(&topic, vec![large()]).await;
    assert_eq!(kind(&receipts[0]), Some(FailureKind::Message), "{receipts:?}");
    kafka
        .cluster
        .configure_topic(&topic, &[("max.message.bytes", "9000")])
        .await;
    let letter = Content {
        replay: Some(0),
        ..large()
    };
    let receipts = desk.send(&topic, vec![letter]).await;
    assert_ne!(kind(&receipts[0]), Some(FailureKind::Message), "{receipts:?}");
    desk.close(DEADLINE).await;
}
