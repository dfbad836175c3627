//! What topics remember, without a broker.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn at() -> Instant {
    crate::broker::kafka::keeper::now()
}

fn seen(partitions: u32) -> (Topics, usize) {
    let mut topics = Topics::new(Vec::new());
    let topic = topics.saw("t", partitions, at());
    (topics, topic)
}

fn kinds(topics: &mut Topics) -> Vec<&'static str> {
    topics.take_incidents().iter().map(|incident| incident.kind).collect()
}

#[test]
fn s09_only_the_partition_that_owes_reports_stalls() {
    let (mut topics, topic) = seen(2);
    let began = at();
    topics.get(topic).depart(0, began);
    topics.get(topic).depart(1, began);
    assert!(!topics.watch(began + 29 * SECOND, 30 * SECOND));
    topics.get(topic).arrive(1, began + 29 * SECOND);
    topics.get(topic).depart(1, began + 29 * SECOND);
    assert!(!topics.watch(began + 30 * SECOND, 30 * SECOND), "the other one moves");
    let partitions = &topics.get(topic).partitions;
    assert!(partitions[0].stalled && !partitions[1].stalled);
    assert_eq!(topics.get(topic).choose(None), 1, "what has no key goes elsewhere");
    assert!(topics.watch(began + 60 * SECOND, 30 * SECOND), "all stand still");
    topics.get(topic).arrive(0, began + 61 * SECOND);
    assert!(!topics.get(topic).partitions[0].stalled);
}

#[test]
fn an_idle_partition_never_stalls() {
    let (mut topics, topic) = seen(1);
    let began = at();
    topics.get(topic).depart(0, began);
    topics.get(topic).arrive(0, began);
    assert!(!topics.watch(began + 3600 * SECOND, SECOND));
    assert!(!topics.get(topic).partitions[0].stalled);
}

#[test]
fn s14_a_grown_count_is_told_once_and_not_used() {
    let (mut topics, topic) = seen(3);
    topics.saw("t", 5, at());
    topics.saw("t", 5, at());
    assert_eq!(topics.get(topic).partitions.len(), 3);
    assert_eq!(kinds(&mut topics), ["partitions_changed"]);
    topics.saw("t", 6, at());
    assert_eq!(kinds(&mut topics), ["partitions_changed"], "grown again is told again");
}

#[test]
fn fewer_partitions_are_another_topic() {
    let (mut topics, topic) = seen(3);
    topics.saw("t", 2, at());
    assert!(topics.get(topic).lost.is_some());
    assert_eq!(kinds(&mut topics), ["topic_recreated"]);
}

#[test]
fn an_offset_must_stand_above_what_was_acknowledged_before_sending() {
    let (mut topics, topic) = seen(1);
    topics.acknowledged(topic, 0, 10, -1);
    // Two lines at once: the lower one was sent before 10 was known.
    topics.acknowledged(topic, 0, 9, -1);
    assert_eq!(topics.get(topic).depart(0, at()), 10);
    // A duplicate that the broker recognised says nothing (S14).
    topics.acknowledged(topic, 0, -1, 10);
    assert!(kinds(&mut topics).is_empty());
    topics.acknowledged(topic, 0, 10, 10);
    assert_eq!(kinds(&mut topics), ["topic_recreated"]);
    topics.acknowledged(topic, 0, 3, 10);
    assert!(kinds(&mut topics).is_empty(), "told once");
}

#[test]
fn a_topic_that_comes_back_is_measured_by_what_it_was() {
    let (mut topics, topic) = seen(2);
    topics.acknowledged(topic, 1, 41, -1);
    topics.forget("t");
    assert_eq!(topics.find("t"), None);
    let again = topics.saw("t", 2, at());
    assert_eq!(topics.get(again).partitions[1].last, 41);
}

#[test]
fn what_changed_is_remembered_once() {
    let (mut topics, topic) = seen(2);
    assert_eq!(
        topics.take_changes().len(),
        1,
        "the count, before the first acknowledgement"
    );
    assert!(topics.take_changes().is_empty());
    topics.acknowledged(topic, 1, 5, -1);
    let changes = topics.take_changes();
    assert_eq!(changes[0].offsets, [None, Some(5)]);
    let mut next = Topics::new(changes);
    let topic = next.saw("t", 9, at());
    assert_eq!(next.get(topic).partitions.len(), 2);
    assert_eq!(next.get(topic).partitions[1].last, 5);
}

#[test]
fn the_smallest_limit_bounds_every_batch() {
    let (mut topics, topic) = seen(1);
    let other = topics.saw("u", 1, at());
    topics.get(topic).limit = 5_000_000;
    assert_eq!(topics.batch_bytes(), LIMIT_DEFAULT);
    topics.get(other).limit = 4000;
    assert_eq!(topics.batch_bytes(), 4000);
    topics.forget("u");
    assert_eq!(topics.batch_bytes(), LIMIT_DEFAULT);
}
