//! P1–P4 of `Subscription` and P1–P5 of `Stream`, for every backend, with members that keep a caller's promises.

use crate::support::wait::{self, PATIENCE};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use twinbox::broker::{DedupeBy, Reads, SubscribeContext};
use twinbox::contract::{
    Begin, Fate, Happening, Incident, Room, Start, Stream, StreamError, StreamName, Subscriber, Subscription,
};
use twinbox::message::{Body, Message};
use uuid::Uuid;

/// What is put into a stream.
#[derive(Debug, Clone, Default)]
pub(crate) struct Put {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

/// How a backend takes part.
pub(crate) trait Subject {
    /// That many streams which nobody else uses.
    fn streams(&self, count: usize) -> impl Future<Output = Vec<StreamName>>;
    /// A member of that group, as it is configured to read them.
    fn subscriber(&self, streams: &[StreamName], context: SubscribeContext) -> Arc<dyn Subscriber>;
    /// Puts messages into a stream, in order.
    fn put(&self, stream: &StreamName, messages: Vec<Put>) -> impl Future<Output = ()>;
    /// What the broker was told, as another client sees it.
    fn committed(&self, group: &str, stream: &StreamName) -> impl Future<Output = Option<i64>>;
}

/// What a consumer of that name and group hands over.
pub(crate) fn context(group: &str) -> SubscribeContext {
    SubscribeContext {
        name: group.to_owned(),
        reads: Reads::Auto,
        dedupe: DedupeBy::Id,
        per_topic: false,
        in_flight: 4000,
        bytes: 32 << 20,
        drain: Duration::from_secs(25),
        environment: Arc::new(|_| None),
    }
}

/// A name that nobody else uses.
pub(crate) fn group() -> String {
    format!("group-{}", Uuid::new_v4().simple())
}

/// The `n`th message, raw.
pub(crate) fn put(n: usize) -> Put {
    Put {
        key: Some(format!("k{}", n % 7).into_bytes()),
        value: Some(format!("{{\"n\": {n}}}").into_bytes()),
        headers: vec![("id".into(), format!("event-{n}").into_bytes())],
    }
}

/// Positions of record, as a database would keep them.
pub(crate) type Record = Arc<Mutex<BTreeMap<StreamName, i64>>>;

/// A member that is polled all the time.
pub(crate) struct Member {
    pub(crate) subscription: Arc<dyn Subscription>,
    pub(crate) streams: BTreeMap<StreamName, Box<dyn Stream>>,
    pub(crate) told: Vec<Incident>,
    happenings: mpsc::Receiver<Happening>,
    polls: tokio::task::JoinHandle<()>,
    record: Record,
    pub(crate) start: Start,
}

impl Member {
    pub(crate) async fn join(subscriber: &dyn Subscriber, record: &Record) -> Self {
        let subscription = subscriber.subscribe().await.expect("the settings fit");
        let (sender, happenings) = mpsc::channel(100);
        let polled = Arc::clone(&subscription);
        let polls = tokio::spawn(async move { while sender.send(polled.next().await).await.is_ok() {} });
        Self {
            subscription,
            streams: BTreeMap::new(),
            told: Vec::new(),
            happenings,
            polls,
            record: Arc::clone(record),
            start: Start::Earliest,
        }
    }

    /// The next happening, taken in.
    pub(crate) async fn turn(&mut self, within: Duration) -> bool {
        let Ok(Some(happening)) = tokio::time::timeout(within, self.happenings.recv()).await else {
            return false;
        };
        match happening {
            Happening::Assigned(streams) => {
                for stream in streams {
                    let position = self.record.lock().expect("a lock").get(stream.name()).copied();
                    let from = position.map_or(Begin::Start(self.start), Begin::Offset);
                    match stream.begin(from).await {
                        Ok(_) | Err(StreamError::Lost) => {}
                        Err(StreamError::Incident(incident)) => self.told.push(incident),
                        Err(StreamError::Away(failure)) => panic!("{failure}"),
                    }
                    self.streams.insert(stream.name().clone(), stream);
                }
            }
            Happening::Told(incident) => self.told.push(incident),
            Happening::Health(_) => {}
            Happening::Ended(failure) => panic!("{failure}"),
        }
        true
    }

    /// Waits until it holds so many streams.
    pub(crate) async fn holds(&mut self, count: usize) {
        let until = Instant::now() + PATIENCE;
        while self.streams.len() < count {
            self.turn(Duration::from_millis(100)).await;
            assert!(Instant::now() < until, "holds {:?}, not {count}", self.streams.keys());
        }
    }

    pub(crate) fn stream(&self, name: &StreamName) -> &dyn Stream {
        &**self.streams.get(name).expect("it is held")
    }

    /// The next `count` messages of a stream.
    pub(crate) async fn read(&self, name: &StreamName, count: usize) -> Vec<Message> {
        read(self.stream(name), count).await
    }

    /// Settles and gives up, as an engine does it.
    pub(crate) async fn release(&mut self, name: &StreamName, mark: i64) {
        let stream = self.streams.remove(name).expect("it is held");
        self.record.lock().expect("a lock").insert(name.clone(), mark);
        stream.settle(mark);
        stream.release(PATIENCE).await;
    }

    pub(crate) async fn leave(mut self) {
        self.subscription.close(PATIENCE).await;
        self.polls.abort();
        self.happenings.close();
    }
}

pub(crate) const ROOM: Room = Room {
    messages: 1000,
    bytes: 1 << 20,
};

pub(crate) async fn read(stream: &dyn Stream, count: usize) -> Vec<Message> {
    let mut messages = Vec::new();
    while messages.len() < count {
        let page = tokio::time::timeout(PATIENCE, stream.next(ROOM)).await;
        let page = page.unwrap_or_else(|_| panic!("{} of {count} messages came", messages.len()));
        messages.extend(page.expect("it can be read").messages);
    }
    messages
}

pub(crate) fn offsets(messages: &[Message]) -> Vec<u64> {
    messages.iter().map(|message| message.position.major).collect()
}

async fn is_committed(subject: &impl Subject, group: &str, stream: &StreamName, mark: i64) {
    wait::until("the mark is told", PATIENCE, async || {
        let committed = subject.committed(group, stream).await;
        wait::ensure(committed == Some(mark), || format!("{committed:?}"))
    })
    .await;
}

pub(crate) async fn p1_everything_comes_in_order_and_what_is_unsettled_comes_back(subject: &impl Subject) {
    let (group, record) = (group(), Record::default());
    let streams = subject.streams(2).await;
    for stream in &streams {
        subject.put(stream, (0..300).map(put).collect()).await;
    }
    let mut member = Member::join(&*subject.subscriber(&streams, context(&group)), &record).await;
    member.holds(2).await;
    for name in &streams {
        let messages = member.read(name, 300).await;
        assert_eq!(offsets(&messages), (0..300).collect::<Vec<_>>());
        assert!(messages.iter().all(|message| message.position.epoch == 0));
        let origin = messages[7].origin.as_ref().expect("a delivery has one");
        assert_eq!(
            (&origin.topic, origin.partition, origin.offset),
            (&name.topic, name.partition, Some(7))
        );
        assert_eq!(origin.id_text.as_deref(), Some("event-7"));
        record.lock().expect("a lock").insert(name.clone(), 150);
        member.stream(name).settle(150);
    }
    member.leave().await;
    let mut next = Member::join(&*subject.subscriber(&streams, context(&group)), &record).await;
    next.holds(2).await;
    for name in &streams {
        assert_eq!(offsets(&next.read(name, 150).await), (150..300).collect::<Vec<_>>());
    }
    next.leave().await;
}

pub(crate) async fn p2_what_is_told_is_the_mark_and_nothing_above(subject: &impl Subject) {
    let (group, record) = (group(), Record::default());
    let streams = subject.streams(1).await;
    let name = &streams[0];
    subject.put(name, (0..100).map(put).collect()).await;
    let mut member = Member::join(&*subject.subscriber(&streams, context(&group)), &record).await;
    member.holds(1).await;
    assert_eq!(member.read(name, 100).await.len(), 100);
    member.stream(name).settle(37);
    is_committed(subject, &group, name, 37).await;
    // A mark above what was delivered is nobody's work.
    member.stream(name).settle(5000);
    is_committed(subject, &group, name, 100).await;
    member.leave().await;
    assert_eq!(subject.committed(&group, name).await, Some(100));
}

pub(crate) async fn p2_leaving_tells_the_last_mark(subject: &impl Subject) {
    let (group, record) = (group(), Record::default());
    let streams = subject.streams(2).await;
    for stream in &streams {
        subject.put(stream, (0..10).map(put).collect()).await;
    }
    let mut member = Member::join(&*subject.subscriber(&streams, context(&group)), &record).await;
    member.holds(2).await;
    for name in &streams {
        member.read(name, 10).await;
        member.stream(name).settle(4);
    }
    member.release(&streams[0], 6).await;
    assert_eq!(
        subject.committed(&group, &streams[0]).await,
        Some(6),
        "told when the release ends"
    );
    member.leave().await;
    assert_eq!(subject.committed(&group, &streams[1]).await, Some(4));
}

pub(crate) async fn p3_a_revoked_stream_is_ours_until_it_is_released(subject: &impl Subject) {
    let (group, record) = (group(), Record::default());
    let streams = subject.streams(2).await;
    for stream in &streams {
        subject.put(stream, (0..50).map(put).collect()).await;
    }
    let mut first = Member::join(&*subject.subscriber(&streams, context(&group)), &record).await;
    first.holds(2).await;
    for name in &streams {
        first.read(name, 50).await;
    }
    let mut second = Member::join(&*subject.subscriber(&streams, context(&group)), &record).await;
    let moved = revoked(&first).await;
    let kept = streams
        .iter()
        .find(|name| **name != moved)
        .expect("there are two")
        .clone();
    assert!(matches!(first.stream(&moved).fate(), Fate::Revoked(left) if left <= Duration::from_secs(25)));
    assert_eq!(first.stream(&kept).fate(), Fate::Ours);
    assert!(
        !second.turn(Duration::from_millis(500)).await || second.streams.is_empty(),
        "it is still ours"
    );
    first.release(&moved, 20).await;
    second.holds(1).await;
    // Nothing unsettled is lost with the hand-over.
    assert_eq!(offsets(&second.read(&moved, 30).await), (20..50).collect::<Vec<_>>());
    // What stayed flows on.
    subject.put(&kept, vec![put(50)]).await;
    assert_eq!(offsets(&first.read(&kept, 1).await), [50]);
    first.leave().await;
    second.leave().await;
}

/// The stream that is to be given up.
async fn revoked(member: &Member) -> StreamName {
    wait::until("one is revoked", PATIENCE, async || {
        let mut streams = member.streams.values();
        let moved = streams.find(|stream| matches!(stream.fate(), Fate::Revoked(_)));
        moved
            .map(|stream| stream.name().clone())
            .ok_or_else(|| "none is".to_owned())
    })
    .await
}

pub(crate) async fn p3_whoever_does_not_release_in_time_speaks_of_it_no_more(subject: &impl Subject) {
    let (group, record) = (group(), Record::default());
    let streams = subject.streams(2).await;
    for stream in &streams {
        subject.put(stream, (0..50).map(put).collect()).await;
    }
    let short = SubscribeContext {
        drain: Duration::from_millis(300),
        ..context(&group)
    };
    let mut zombie = Member::join(&*subject.subscriber(&streams, short), &record).await;
    zombie.holds(2).await;
    for name in &streams {
        zombie.read(name, 50).await;
    }
    let mut heir = Member::join(&*subject.subscriber(&streams, context(&group)), &record).await;
    heir.holds(1).await;
    let moved = heir.streams.keys().next().expect("one").clone();
    assert_eq!(offsets(&heir.read(&moved, 50).await), (0..50).collect::<Vec<_>>());
    heir.stream(&moved).settle(10);
    is_committed(subject, &group, &moved, 10).await;
    let lost = zombie.stream(&moved);
    tokio::time::timeout(PATIENCE, async {
        while lost.fate() != Fate::Lost {
            lost.changed().await;
        }
    })
    .await
    .expect("it hears of its loss");
    lost.settle(50);
    assert!(matches!(lost.next(ROOM).await, Err(StreamError::Lost)));
    // A mark of the other stream, told afterwards, shows that the late one was not.
    let kept = streams.iter().find(|name| **name != moved).expect("two");
    zombie.stream(kept).settle(33);
    is_committed(subject, &group, kept, 33).await;
    assert_eq!(subject.committed(&group, &moved).await, Some(10));
    assert_eq!(lost.fate(), Fate::Lost, "it never goes back");
    zombie.leave().await;
    heir.leave().await;
}

pub(crate) async fn p4_who_leaves_is_gone_at_once(subject: &impl Subject) {
    let (group, record) = (group(), Record::default());
    let streams = subject.streams(2).await;
    let mut first = Member::join(&*subject.subscriber(&streams, context(&group)), &record).await;
    first.holds(2).await;
    let mut second = Member::join(&*subject.subscriber(&streams, context(&group)), &record).await;
    let moved = revoked(&first).await;
    first.release(&moved, 0).await;
    second.holds(1).await;
    let left = Instant::now();
    first.leave().await;
    second.holds(2).await;
    // A member that just vanishes is missed after 45 s.
    assert!(left.elapsed() < Duration::from_secs(20), "{:?}", left.elapsed());
    second.leave().await;
}

pub(crate) async fn stream_p2_a_page_fits_into_the_room_but_for_one(subject: &impl Subject) {
    let (group, record) = (group(), Record::default());
    let streams = subject.streams(1).await;
    let name = &streams[0];
    let mut messages: Vec<Put> = (0..20).map(put).collect();
    messages[10].value = Some(vec![b'x'; 100_000]);
    subject.put(name, messages).await;
    let mut member = Member::join(&*subject.subscriber(&streams, context(&group)), &record).await;
    member.holds(1).await;
    let room = Room {
        messages: 3,
        bytes: 10_000,
    };
    let mut seen = Vec::new();
    while seen.len() < 20 {
        let page = tokio::time::timeout(PATIENCE, member.stream(name).next(room)).await;
        let page = page.expect("they come").expect("they can be read").messages;
        let cost: usize = page.iter().map(|message| message.cost()).sum();
        assert!(!page.is_empty() && page.len() <= 3);
        assert!(
            page.len() == 1 || cost <= 10_000,
            "{} messages of {cost} bytes",
            page.len()
        );
        seen.extend(page);
    }
    assert_eq!(offsets(&seen), (0..20).collect::<Vec<_>>());
    member.leave().await;
}

pub(crate) async fn stream_p3_what_cannot_be_read_comes_with_its_bytes(subject: &impl Subject) {
    let (group, record) = (group(), Record::default());
    let streams = subject.streams(1).await;
    let name = &streams[0];
    let cloud = |headers: &[(&str, &[u8])]| Put {
        key: None,
        value: Some(b"{\"a\": 1}".to_vec()),
        headers: headers.iter().map(|(n, v)| ((*n).into(), v.to_vec())).collect(),
    };
    let good: [(&str, &[u8]); 4] = [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"1"),
        ("ce_source", b"/s"),
        ("ce_type", b"t"),
    ];
    let bad: [(&str, &[u8]); 2] = [("ce_specversion", b"0.3"), ("ce_id", b"1")];
    let worse: [(&str, &[u8]); 2] = [("ce_specversion", b"\xff"), ("ce_id", b"1")];
    let tombstone = Put {
        key: Some(Vec::new()),
        ..Put::default()
    };
    let all = vec![cloud(&good), cloud(&bad), cloud(&worse), tombstone, put(4)];
    subject.put(name, all).await;
    let mut member = Member::join(&*subject.subscriber(&streams, context(&group)), &record).await;
    member.holds(1).await;
    let messages = member.read(name, 5).await;
    let flaw = |n: usize| messages[n].origin.as_ref().and_then(|origin| origin.flaw.clone());
    assert!(
        flaw(0).is_none() && flaw(3).is_none() && flaw(4).is_none(),
        "{messages:?}"
    );
    assert!(flaw(1).expect("a flaw").contains("0.3"));
    assert!(flaw(2).expect("a flaw").contains("UTF-8"));
    assert_eq!(messages[1].body.as_bytes(), Some(&b"{\"a\": 1}"[..]));
    assert!(messages[0].key.is_none());
    assert_eq!(messages[3].body, Body::Null);
    assert_eq!(
        messages[3].key.as_ref().map(|key| key.as_bytes().len()),
        Some(0),
        "an empty key is a key"
    );
    member.leave().await;
}

pub(crate) async fn stream_p4_an_unread_stream_holds_nobody_up(subject: &impl Subject) {
    let (group, record) = (group(), Record::default());
    let streams = subject.streams(2).await;
    for stream in &streams {
        subject.put(stream, (0..5000).map(put).collect()).await;
    }
    let mut member = Member::join(&*subject.subscriber(&streams, context(&group)), &record).await;
    member.holds(2).await;
    let read = member.read(&streams[1], 5000).await;
    assert_eq!(offsets(&read), (0..5000).collect::<Vec<_>>());
    member.stream(&streams[1]).settle(5000);
    is_committed(subject, &group, &streams[1], 5000).await;
    assert_eq!(member.stream(&streams[0]).fate(), Fate::Ours);
    let unread = member.read(&streams[0], 5000).await;
    assert_eq!(offsets(&unread), (0..5000).collect::<Vec<_>>());
    member.leave().await;
}

pub(crate) async fn stream_begins_where_it_is_told(subject: &impl Subject) {
    let (group, record) = (group(), Record::default());
    let streams = subject.streams(1).await;
    let name = &streams[0];
    subject.put(name, (0..10).map(put).collect()).await;
    let mut member = Member::join(&*subject.subscriber(&streams, context(&group)), &record).await;
    member.start = Start::Latest;
    member.holds(1).await;
    subject.put(name, vec![put(10)]).await;
    assert_eq!(offsets(&member.read(name, 1).await), [10]);
    // Again, from the position of record.
    assert_eq!(
        member.stream(name).begin(Begin::Offset(7)).await.expect("it is there"),
        7
    );
    assert_eq!(offsets(&member.read(name, 4).await), [7, 8, 9, 10]);
    let beyond = member.stream(name).begin(Begin::Offset(12)).await;
    let Err(StreamError::Incident(incident)) = beyond else {
        panic!("{beyond:?}")
    };
    assert_eq!(
        (incident.kind, &*incident.from, &*incident.to),
        ("offsets_lost", "12", "11")
    );
    member.leave().await;
}

/// Makes one test of each promise for a subject; `$open` answers `None` when its server is not there.
#[macro_export]
macro_rules! subscription_suite {
    ($open:expr) => {
        $crate::subscription_suite!($open;
            p1_everything_comes_in_order_and_what_is_unsettled_comes_back
            p2_what_is_told_is_the_mark_and_nothing_above
            p2_leaving_tells_the_last_mark
            p3_a_revoked_stream_is_ours_until_it_is_released
            p3_whoever_does_not_release_in_time_speaks_of_it_no_more
            p4_who_leaves_is_gone_at_once
            stream_p2_a_page_fits_into_the_room_but_for_one
            stream_p3_what_cannot_be_read_comes_with_its_bytes
            stream_p4_an_unread_stream_holds_nobody_up
            stream_begins_where_it_is_told
        );
    };
    ($open:expr; $($promise:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                if let Some(subject) = ($open)(stringify!($promise)) {
                    $crate::conformance::subscription::$promise(&subject).await;
                }
            }
        )*
    };
}
