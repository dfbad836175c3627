//! Topics that change: grown, made anew, made late.

use super::Kafka;
use crate::conformance::desk::{Desk, content, kind};
use crate::conformance::publisher::Subject as _;
use crate::support::wait::{PATIENCE, ensure, until};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use twinbox::contract::{Grade, Receipt, Remembered};
use twinbox::delivery::FailureKind;

const DEADLINE: Duration = Duration::from_secs(10);
const KEYS: u64 = 40;

async fn one_per_key(desk: &mut Desk, topic: &str, first: u64) {
    let batch = (0..KEYS)
        .map(|n| content(first + n, Some(&format!("k{n}")), b"x"))
        .collect();
    let receipts = desk.send(topic, batch).await;
    assert!(
        receipts.iter().all(|receipt| *receipt == Receipt::Durable),
        "{receipts:?}"
    );
}

/// The partitions that each key is on.
fn partitions(kafka: &Kafka, topic: &str) -> BTreeMap<Vec<u8>, BTreeSet<i32>> {
    let mut places: BTreeMap<_, BTreeSet<i32>> = BTreeMap::new();
    for record in kafka.records(topic) {
        places
            .entry(record.key.expect("a key"))
            .or_default()
            .insert(record.partition);
    }
    places
}

fn memory(desk: &Desk) -> Vec<Remembered> {
    desk.publisher.outlook().remember
}

#[tokio::test(flavor = "multi_thread")]
async fn s14_added_partitions_are_told_and_not_used_until_accepted() {
    let Some(kafka) = Kafka::open("s14_added_partitions_are_told_and_not_used_until_accepted") else {
        return;
    };
    let topic = kafka.topic(3, &[]).await;
    let mut desk = Desk::open(&*kafka.broker()).await;
    one_per_key(&mut desk, &topic, 0).await;
    let remembered = memory(&desk);
    assert_eq!(remembered.len(), 1);
    assert_eq!(remembered[0].partitions, 3);
    desk.close(DEADLINE).await;

    // They grow while the relay is down.
    kafka.cluster.grow_topic(&topic, 7).await;
    let broker = kafka.broker();
    broker.remember(remembered);
    let mut desk = Desk::open(&*broker).await;
    one_per_key(&mut desk, &topic, 100).await;
    let outlook = desk.publisher.outlook();
    let told: Vec<_> = outlook
        .incidents
        .iter()
        .map(|one| (one.kind, &*one.from, &*one.to))
        .collect();
    assert_eq!(told, [("partitions_changed", "3", "7")]);
    assert!(desk.publisher.outlook().incidents.is_empty(), "told once");
    assert!(
        partitions(&kafka, &topic).values().all(|places| places.len() == 1),
        "a key has moved"
    );
    desk.close(DEADLINE).await;

    // Accepted: what is remembered says 7 now.
    let mut accepted = outlook.remember;
    accepted[0].partitions = 7;
    let broker = kafka.broker();
    broker.remember(accepted);
    let mut desk = Desk::open(&*broker).await;
    one_per_key(&mut desk, &topic, 200).await;
    assert!(desk.publisher.outlook().incidents.is_empty());
    desk.close(DEADLINE).await;
    until("every partition is used", PATIENCE, async || {
        let used: BTreeSet<i32> = partitions(&kafka, &topic).into_values().flatten().collect();
        ensure(used == (0..7).collect(), || format!("{used:?}"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_made_anew_is_a_loss_suspected() {
    let Some(kafka) = Kafka::open("a_topic_that_was_made_anew_is_a_loss_suspected") else {
        return;
    };
    let topic = kafka.topic(1, &[]).await;
    let mut desk = Desk::open(&*kafka.broker()).await;
    one_per_key(&mut desk, &topic, 0).await;
    let remembered = memory(&desk);
    assert_eq!(remembered[0].offsets, [Some(KEYS.cast_signed() - 1)]);
    desk.close(DEADLINE).await;

    kafka.cluster.delete_topic(&topic).await;
    until("the topic is gone", PATIENCE, async || {
        ensure(!kafka.exists(&topic), || "still there".into())
    })
    .await;
    kafka.cluster.create_topic(&topic, 1, &[]).await;
    let broker = kafka.broker();
    broker.remember(remembered);
    let mut desk = Desk::open(&*broker).await;
    // The first acknowledgement shows it: the record stands where another stood before.
    assert_eq!(
        desk.send(&topic, vec![content(500, Some("k"), b"")]).await,
        [Receipt::Durable]
    );
    let incidents = desk.publisher.outlook().incidents;
    assert_eq!(incidents.len(), 1);
    assert_eq!(incidents[0].kind, "topic_recreated");
    assert_eq!(incidents[0].to, "partition 0, 0");
    // Nothing more goes there before somebody has looked.
    let receipts = desk.send(&topic, vec![content(501, Some("k"), b"")]).await;
    assert_eq!(kind(&receipts[0]), Some(FailureKind::Destination), "{receipts:?}");
    desk.close(DEADLINE).await;
    assert_eq!(kafka.stored(&topic).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_made_late_is_used_at_once() {
    let Some(kafka) = Kafka::open("a_topic_that_is_made_late_is_used_at_once") else {
        return;
    };
    let mut desk = Desk::open(&*kafka.broker()).await;
    let topic = format!("late-{}", uuid::Uuid::new_v4().simple());
    let receipts = desk.send(&topic, vec![content(1, Some("k"), b"")]).await;
    assert_eq!(kind(&receipts[0]), Some(FailureKind::Destination), "{receipts:?}");
    kafka.cluster.create_topic(&topic, 2, &[]).await;
    until("the topic is used", PATIENCE, async || {
        let metadata = kafka.exists(&topic);
        ensure(metadata, || "not there yet".into())
    })
    .await;
    assert_eq!(
        desk.send(&topic, vec![content(1, Some("k"), b"")]).await,
        [Receipt::Durable]
    );
    desk.close(DEADLINE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_deleted_under_load_fails_as_a_destination() {
    let Some(kafka) = Kafka::open("a_topic_deleted_under_load_fails_as_a_destination") else {
        return;
    };
    let (gone, stays) = (kafka.topic(1, &[]).await, kafka.topic(1, &[]).await);
    // Otherwise librdkafka hopes for half a minute that the topic comes back.
    let hurry =
        json!({ "options": { "topic.metadata.propagation.max.ms": 500, "topic.metadata.refresh.interval.ms": 500 } });
    let mut desk = Desk::open(&*kafka.with(hurry, |_| {})).await;
    for topic in [&gone, &stays] {
        one_per_key(&mut desk, topic, 0).await;
    }
    kafka.cluster.delete_topic(&gone).await;
    let began = Instant::now();
    for number in 1000.. {
        let receipts = desk.send(&gone, vec![content(number, Some("k"), b"")]).await;
        match kind(&receipts[0]) {
            Some(FailureKind::Destination) => break,
            // Until the deletion has reached the broker it may still take something, not say what became of it, or not answer.
            None | Some(FailureKind::Transient | FailureKind::Unreachable) => {
                assert!(began.elapsed() < PATIENCE, "{receipts:?}");
            }
            Some(_) => panic!("{receipts:?}"),
        }
    }
    assert!(!kafka.exists(&gone), "the topic was created again");
    one_per_key(&mut desk, &stays, 100).await;
    desk.close(DEADLINE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_without_a_key_use_every_partition() {
    let Some(kafka) = Kafka::open("messages_without_a_key_use_every_partition") else {
        return;
    };
    let topic = kafka.topic(3, &[]).await;
    let mut desk = Desk::open(&*kafka.broker()).await;
    let receipts = desk
        .send(&topic, (0..600).map(|n| content(n, None, b"x")).collect())
        .await;
    assert!(
        receipts.iter().all(|receipt| *receipt == Receipt::Durable),
        "{receipts:?}"
    );
    desk.close(DEADLINE).await;
    let mut counts: BTreeMap<i32, usize> = BTreeMap::new();
    for record in kafka.records(&topic) {
        *counts.entry(record.partition).or_default() += 1;
    }
    assert_eq!(counts.len(), 3, "{counts:?}");
    assert!(counts.values().all(|count| (150..=250).contains(count)), "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_hears_what_a_topic_is_made_for() {
    let Some(kafka) = Kafka::open("doctor_hears_what_a_topic_is_made_for") else {
        return;
    };
    let topic = kafka
        .topic(2, &[("cleanup.policy", "compact"), ("max.message.bytes", "5000")])
        .await;
    let destinations = [&*topic, "nobody-made-this"]
        .map(|name| [name].into_iter().collect())
        .to_vec();
    let findings = kafka.broker().findings(destinations).await;
    let grade = |id: &str, about: &str| {
        let found = findings
            .iter()
            .find(|finding| finding.id == id && finding.observed.contains(about));
        found
            .unwrap_or_else(|| panic!("no {id} about {about}: {findings:#?}"))
            .grade
    };
    assert_eq!(grade("KAFKA-CONN", ""), Grade::Ok);
    assert_eq!(grade("KAFKA-TOPIC", &topic), Grade::Ok);
    assert_eq!(grade("KAFKA-TOPIC", "nobody-made-this"), Grade::Fail);
    for id in ["KAFKA-REPLICAS", "KAFKA-IN-SYNC", "KAFKA-CLEANUP", "KAFKA-SIZE"] {
        assert_eq!(grade(id, &topic), Grade::Warn, "{id}");
    }
    assert!(!kafka.exists("nobody-made-this"), "asking has created it");
    let nobody = kafka.with(json!({ "brokers": ["127.0.0.1:1"] }), |_| {});
    let findings = nobody.findings(Vec::new()).await;
    assert_eq!(findings.len(), 1);
    assert_eq!((findings[0].id, findings[0].grade), ("KAFKA-CONN", Grade::Fail));
}
