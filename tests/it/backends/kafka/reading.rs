//! What only a real Kafka shows of consuming: logs that lose their beginning, topics that grow or come anew, groups of
//! another protocol, members that nobody reads from.

use super::Kafka;
use super::subscription::committed;
use crate::conformance::publisher::Subject as _;
use crate::conformance::subscription::{Member, Put, ROOM, Record, Subject, context, group, offsets, put};
use crate::support::wait::{self, PATIENCE};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use twinbox::broker::SubscribeContext;
use twinbox::contract::{Begin, Fate, Happening, Health, Incident, Start, StreamError, StreamName, Subscriber};

/// Deletes everything below an offset.
async fn delete_records(kafka: &Kafka, stream: &StreamName, below: i64) {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", &kafka.cluster.brokers)
        .create()
        .expect("a client needs no connection");
    let mut list = TopicPartitionList::new();
    let partition = stream.partition.unwrap_or_default();
    list.add_partition_offset(&stream.topic, partition, Offset::Offset(below))
        .expect("an offset");
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    admin.delete_records(&list, &options).await.expect("the broker deletes");
}

fn range(incident: &Incident) -> (&str, &str, &str) {
    (incident.kind, &incident.from, &incident.to)
}

#[tokio::test(flavor = "multi_thread")]
async fn s22_a_position_below_the_log_is_told_with_its_range() {
    let Some(kafka) = Kafka::open("s22_a_position_below_the_log_is_told_with_its_range") else {
        return;
    };
    let streams = kafka.streams(1).await;
    let name = &streams[0];
    kafka.put(name, (0..100).map(put).collect()).await;
    delete_records(&kafka, name, 40).await;
    let record = Record::default();
    record.lock().expect("a lock").insert(name.clone(), 10);
    let mut member = Member::join(&*kafka.subscriber(&streams, context(&group())), &record).await;
    member.holds(1).await;
    assert_eq!(
        member.told.iter().map(range).collect::<Vec<_>>(),
        [("offsets_lost", "10", "40")]
    );
    assert!(
        member.told[0].sentence.contains("twinbox accept"),
        "{}",
        member.told[0].sentence
    );
    // Nothing was moved: it goes on where somebody says.
    assert_eq!(
        member.stream(name).begin(Begin::Offset(40)).await.expect("it is there"),
        40
    );
    assert_eq!(member.read(name, 60).await.len(), 60);
    member.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s22_what_is_deleted_under_a_reader_is_told_with_its_range() {
    let Some(kafka) = Kafka::open("s22_what_is_deleted_under_a_reader_is_told_with_its_range") else {
        return;
    };
    let streams = kafka.streams(1).await;
    let name = &streams[0];
    // More than a reader holds before it is asked.
    let large = |n| Put {
        value: Some(vec![b'x'; 200_000]),
        ..put(n)
    };
    kafka.put(name, (0..80).map(large).collect()).await;
    let mut member = Member::join(&*kafka.subscriber(&streams, context(&group())), &Record::default()).await;
    member.holds(1).await;
    let mut seen = offsets(&member.read(name, 1).await);
    delete_records(&kafka, name, 80).await;
    kafka.put(name, vec![put(80)]).await;
    let incident = loop {
        match tokio::time::timeout(PATIENCE, member.stream(name).next(ROOM))
            .await
            .expect("an answer")
        {
            Ok(page) => seen.extend(offsets(&page.messages)),
            Err(StreamError::Incident(incident)) => break incident,
            Err(StreamError::Away(_)) => {}
            Err(StreamError::Lost) => panic!("it is ours"),
        }
    };
    let next = seen.len().to_string();
    assert_eq!(seen, (0..seen.len() as u64).collect::<Vec<_>>(), "nothing was skipped");
    assert!(seen.len() < 80, "the reader had all of them before they were deleted");
    assert_eq!(range(&incident), ("offsets_lost", &*next, "80"));
    member.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s22_a_start_is_an_offset_before_anything_comes() {
    let Some(kafka) = Kafka::open("s22_a_start_is_an_offset_before_anything_comes") else {
        return;
    };
    let streams = kafka.streams(1).await;
    let name = &streams[0];
    kafka.put(name, (0..3).map(put).collect()).await;
    let record = Record::default();
    let mut member = Member::join(&*kafka.subscriber(&streams, context(&group())), &record).await;
    member.holds(1).await;
    let first = member.read(name, 3).await;
    let stored = first[2]
        .origin
        .as_ref()
        .and_then(|origin| origin.stored_at)
        .expect("a time");
    let later = stored + Duration::from_millis(1);
    wait::until("the clock moves on", PATIENCE, async || {
        wait::ensure(jiff::Timestamp::now() > later, || "the same millisecond".to_owned())
    })
    .await;
    kafka.put(name, (3..6).map(put).collect()).await;
    let stream = member.stream(name);
    for (start, offset) in [(Start::Earliest, 0), (Start::Latest, 6), (Start::At(later), 3)] {
        assert_eq!(
            stream.begin(Begin::Start(start)).await.expect("it is there"),
            offset,
            "{start:?}"
        );
    }
    member.leave().await;
}

/// A member that sees changes of topics at once.
fn watchful(kafka: &Kafka, topic: &str, context: SubscribeContext) -> Arc<dyn Subscriber> {
    let options = json!({ "options": { "topic.metadata.refresh.interval.ms": 500 } });
    kafka.member(&[topic], options, context)
}

#[tokio::test(flavor = "multi_thread")]
async fn added_partitions_are_told_and_read_from_their_start() {
    let Some(kafka) = Kafka::open("added_partitions_are_told_and_read_from_their_start") else {
        return;
    };
    let streams = kafka.streams(1).await;
    let name = &streams[0];
    let added = |partition| StreamName {
        topic: Arc::clone(&name.topic),
        partition: Some(partition),
    };
    let (group, record) = (group(), Record::default());
    kafka.put(name, vec![put(0)]).await;
    let mut member = Member::join(&*watchful(&kafka, &name.topic, context(&group)), &record).await;
    member.holds(1).await;
    member.read(name, 1).await;
    // While it runs, although it would start at the end.
    member.start = Start::Latest;
    kafka.cluster.grow_topic(&name.topic, 2).await;
    kafka.put(&added(1), vec![put(0)]).await;
    member.holds(2).await;
    assert_eq!(offsets(&member.read(&added(1), 1).await), [0]);
    while member.told.is_empty() {
        assert!(member.turn(PATIENCE).await, "nobody tells it");
    }
    assert_eq!(range(&member.told[0]), ("partitions_changed", "1", "2"));
    for name in [name, &added(1)] {
        record.lock().expect("a lock").insert(name.clone(), 1);
        member.stream(name).settle(1);
    }
    member.leave().await;
    // While nobody is there.
    kafka.cluster.grow_topic(&name.topic, 3).await;
    kafka.put(&added(2), vec![put(0)]).await;
    let mut next = Member::join(&*watchful(&kafka, &name.topic, context(&group)), &record).await;
    next.start = Start::Latest;
    next.holds(3).await;
    assert_eq!(offsets(&next.read(&added(2), 1).await), [0]);
    while next.told.is_empty() {
        assert!(next.turn(PATIENCE).await, "nobody tells it");
    }
    assert_eq!(range(&next.told[0]), ("partitions_changed", "2", "3"));
    next.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bp4_a_topic_that_comes_anew_is_told_and_not_read() {
    let Some(kafka) = Kafka::open("bp4_a_topic_that_comes_anew_is_told_and_not_read") else {
        return;
    };
    let streams = kafka.streams(1).await;
    let name = &streams[0];
    kafka.put(name, (0..10).map(put).collect()).await;
    let mut member = Member::join(&*watchful(&kafka, &name.topic, context(&group())), &Record::default()).await;
    member.holds(1).await;
    member.read(name, 10).await;
    kafka.cluster.delete_topic(&name.topic).await;
    wait::until("it is gone", PATIENCE, async || {
        wait::ensure(!kafka.exists(&name.topic), || "it is still there".to_owned())
    })
    .await;
    kafka.cluster.create_topic(&name.topic, 1, &[]).await;
    kafka.put(name, vec![put(0)]).await;
    let told = async {
        loop {
            match member.stream(name).next(ROOM).await {
                Err(StreamError::Incident(incident)) => return Some(incident),
                Err(StreamError::Lost) => return None,
                Err(StreamError::Away(_)) => {}
                Ok(page) => panic!("{:?} of the new one", offsets(&page.messages)),
            }
        }
    };
    // The group may take the partition of a topic that is gone; then its position of record does not fit the new one.
    match tokio::time::timeout(PATIENCE, told).await.expect("an answer") {
        Some(incident) => assert_eq!((incident.kind, &*incident.from), ("topic_recreated", "10")),
        None => {
            member.streams.clear();
            member.start = Start::Earliest;
            member.holds(1).await;
            let beyond = member.stream(name).begin(Begin::Offset(10)).await;
            assert!(matches!(beyond, Err(StreamError::Incident(_))), "{beyond:?}");
        }
    }
    member.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bc4_a_member_that_nobody_reads_from_stays_one() {
    let Some(kafka) = Kafka::open("bc4_a_member_that_nobody_reads_from_stays_one") else {
        return;
    };
    let streams = kafka.streams(1).await;
    let (group, name) = (group(), &streams[0]);
    kafka.put(name, (0..100).map(put).collect()).await;
    let options = json!({ "options": { "max.poll.interval.ms": 6000, "session.timeout.ms": 6000 } });
    let mut member = Member::join(
        &*kafka.member(&[&name.topic], options, context(&group)),
        &Record::default(),
    )
    .await;
    member.holds(1).await;
    member.read(name, 100).await;
    // Longer than either limit, and each second shows that it is a member: its mark is taken.
    for mark in 1..=9 {
        member.stream(name).settle(mark);
        wait::until("the mark is taken", PATIENCE, async || {
            let seen = tokio::task::block_in_place(|| committed(&kafka.cluster.brokers, &group, name));
            wait::ensure(seen == Some(mark), || format!("{seen:?}"))
        })
        .await;
        assert_eq!(member.stream(name).fate(), Fate::Ours);
    }
    member.leave().await;
}

/// The next change of health.
async fn health(subscription: &dyn twinbox::contract::Subscription) -> Health {
    loop {
        let happening = tokio::time::timeout(PATIENCE, subscription.next()).await;
        match happening.expect("it says something") {
            Happening::Health(health) => return health,
            Happening::Assigned(_) | Happening::Told(_) => {}
            Happening::Ended(failure) => panic!("{failure}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_another_protocol_is_told_and_waited_for() {
    let Some(kafka) = Kafka::open("a_group_of_another_protocol_is_told_and_waited_for") else {
        return;
    };
    let streams = kafka.streams(1).await;
    let (group, topic) = (group(), Arc::clone(&streams[0].topic));
    let other: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &kafka.cluster.brokers)
        .set("group.id", &group)
        .set("partition.assignment.strategy", "range")
        .create()
        .expect("a client needs no connection");
    other.subscribe(&[&topic]).expect("a name");
    tokio::task::block_in_place(|| {
        while other.assignment().expect("an assignment").count() == 0 {
            other.poll(Duration::from_millis(50));
        }
    });
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let polls = std::thread::spawn(move || {
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            other.poll(Duration::from_millis(50));
        }
    });
    let subscription = kafka
        .subscriber(&streams, context(&group))
        .subscribe()
        .await
        .expect("it fits");
    let Health::Away(failure) = health(&*subscription).await else {
        panic!("all is well")
    };
    assert_eq!(failure.code, "InconsistentGroupProtocol");
    assert!(
        failure.message.contains(&group) && failure.message.contains("from.kafka.group"),
        "{failure}"
    );
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    tokio::task::block_in_place(|| polls.join()).expect("it ends");
    assert_eq!(health(&*subscription).await, Health::Up);
    subscription.close(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_nobody_made_is_told_and_waited_for() {
    let Some(kafka) = Kafka::open("a_topic_that_nobody_made_is_told_and_waited_for") else {
        return;
    };
    let topic = format!("later-{}", group());
    let subscriber = watchful(&kafka, &topic, context(&group()));
    let subscription = subscriber.subscribe().await.expect("it fits");
    let Health::Away(failure) = health(&*subscription).await else {
        panic!("all is well")
    };
    assert!(
        failure.message.contains(&topic) && failure.message.contains("create it"),
        "{failure}"
    );
    kafka.cluster.create_topic(&topic, 1, &[]).await;
    // It may be told once more before it is there, by whoever else noticed.
    while health(&*subscription).await != Health::Up {}
    subscription.close(PATIENCE).await;
}

/// The same broker, by KIP-848.
struct Newer(Kafka);

impl Subject for Newer {
    async fn streams(&self, count: usize) -> Vec<StreamName> {
        self.0.streams(count).await
    }

    fn subscriber(&self, streams: &[StreamName], context: SubscribeContext) -> Arc<dyn Subscriber> {
        let options = json!({ "options": { "group.protocol": "consumer" } });
        self.0.member(&[&*streams[0].topic], options, context)
    }

    async fn put(&self, stream: &StreamName, messages: Vec<Put>) {
        self.0.put(stream, messages).await;
    }

    async fn committed(&self, group: &str, stream: &StreamName) -> Option<i64> {
        self.0.committed(group, stream).await
    }
}

mod kip_848 {
    crate::subscription_suite!(|test: &str| super::Kafka::open(test).map(super::Newer);
        p1_everything_comes_in_order_and_what_is_unsettled_comes_back
        p2_leaving_tells_the_last_mark
        p3_a_revoked_stream_is_ours_until_it_is_released
        p3_whoever_does_not_release_in_time_speaks_of_it_no_more
        p4_who_leaves_is_gone_at_once
    );
}
