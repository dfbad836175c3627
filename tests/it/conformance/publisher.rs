//! P1–P6 of `Publisher`, for every backend.

use super::desk::{Desk, content, kind};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use twinbox::contract::{Broker, Receipt};
use twinbox::delivery::FailureKind;
use twinbox::message::{Body, Content, Headers, Key};

/// A record as an independent client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

/// How a backend takes part.
pub(crate) trait Subject {
    /// A broker on the shared server.
    fn broker(&self) -> Arc<dyn Broker>;
    /// Creates a destination nobody else uses, which takes messages of at most `limit` bytes.
    fn destination(&self, limit: Option<u32>) -> impl Future<Output = String>;
    /// What stands there, each partition in order.
    fn stored(&self, topic: &str) -> Vec<Stored>;
    /// Whether there is such a destination.
    fn exists(&self, topic: &str) -> bool;
    /// A broker that answers nothing that goes to `topic`, until it is dropped.
    fn mute(&self, topic: &str) -> Arc<dyn Broker>;
}

impl Stored {
    pub(crate) fn header(&self, name: &str) -> Option<&[u8]> {
        let mut headers = self.headers.iter();
        headers.find(|(own, _)| own == name).map(|(_, value)| &**value)
    }

    fn text(&self, name: &str) -> &str {
        std::str::from_utf8(self.header(name).unwrap_or_default()).expect("a text")
    }

    /// The message's number, from its position.
    pub(crate) fn number(&self) -> u64 {
        let position = self.text("twinbox-position");
        position
            .rsplit('.')
            .next()
            .and_then(|n| n.parse().ok())
            .expect("a position")
    }
}

/// Payloads that are too large for a limit of 4 KiB, and that are not.
const LARGE: &[u8] = &[b'x'; 8192];
const SMALL: &[u8] = br#"{"a": 1}"#;
const LIMIT: Option<u32> = Some(4096);

pub(crate) async fn p1_every_ticket_is_answered_once(subject: &impl Subject) {
    let topic = subject.destination(LIMIT).await;
    let mut desk = Desk::open(&*subject.broker()).await;
    let mut tickets = Vec::new();
    for round in 0..20 {
        let batch = (0..50).map(|n| {
            let key = format!("k{n}");
            let (topic, payload) = match n % 10 {
                3 => ("nowhere-at-all", SMALL),
                4 => ("not a topic", SMALL),
                5 => (&*topic, LARGE),
                _ => (&*topic, SMALL),
            };
            (topic.to_owned(), content(round * 50 + n, Some(&key), payload))
        });
        tickets.extend(desk.hand_over_to(batch.collect()).await);
        // The caller's promise: a lane's next messages follow the answers to the last.
        desk.answers(&tickets).await;
    }
    desk.close(Duration::from_secs(10)).await;
    assert_eq!(desk.receipts.len() as u64, desk.given());
    assert!(
        desk.publisher.receipts().await.is_empty(),
        "there is nothing after close"
    );
}

pub(crate) async fn p1_close_answers_what_is_left(subject: &impl Subject) {
    let topic = subject.destination(None).await;
    let mut desk = Desk::open(&*subject.mute(&topic)).await;
    let batch = (0..30).map(|n| content(n, Some(&format!("k{n}")), SMALL));
    desk.hand_over(&topic, batch.collect()).await;
    desk.close(Duration::from_millis(200)).await;
    assert_eq!(desk.receipts.len(), 30);
    for receipt in desk.receipts.values() {
        // Nobody acknowledged anything.
        assert_ne!(*receipt, Receipt::Durable);
        assert!(
            matches!(kind(receipt), None | Some(FailureKind::Transient)),
            "{receipt:?}"
        );
    }
}

pub(crate) async fn p1_close_wakes_whoever_waits(subject: &impl Subject) {
    let mut desk = Desk::open(&*subject.broker()).await;
    let publisher = Arc::clone(&desk.publisher);
    let waits = async { publisher.receipts().await };
    let ((), woken) = tokio::join!(desk.close(Duration::from_secs(1)), waits);
    assert!(woken.is_empty());
}

pub(crate) async fn p2_durable_means_that_it_is_there(subject: &impl Subject) {
    let topic = subject.destination(None).await;
    let mut desk = Desk::open(&*subject.broker()).await;
    let batch = (0..500).map(|n| content(n, Some(&format!("k{n}")), SMALL));
    let receipts = desk.send(&topic, batch.collect()).await;
    // Read before anything is closed or flushed: the receipt alone must be enough.
    let mut there: Vec<u64> = subject.stored(&topic).iter().map(Stored::number).collect();
    there.sort_unstable();
    assert!(
        receipts.iter().all(|receipt| *receipt == Receipt::Durable),
        "{receipts:?}"
    );
    assert_eq!(there, (0..500).collect::<Vec<_>>());
    desk.close(Duration::from_secs(10)).await;
}

pub(crate) async fn p3_a_failure_stops_its_lane(subject: &impl Subject) {
    let topic = subject.destination(LIMIT).await;
    let mut desk = Desk::open(&*subject.broker()).await;
    let lane = |n, payload| content(n, Some("a"), payload);
    let mut batch = vec![lane(1, LARGE), content(2, Some("b"), SMALL), content(3, None, SMALL)];
    if desk.runs() {
        batch = vec![
            lane(0, SMALL),
            lane(1, LARGE),
            content(2, Some("b"), SMALL),
            lane(4, SMALL),
            lane(5, LARGE),
        ];
        batch.extend([content(3, None, SMALL), content(6, Some("b"), SMALL)]);
    }
    let numbers: Vec<u64> = batch.iter().map(|content| content.position.minor).collect();
    let receipts: BTreeMap<u64, Receipt> = numbers.into_iter().zip(desk.send(&topic, batch).await).collect();
    desk.close(Duration::from_secs(10)).await;
    assert_eq!(kind(&receipts[&1]), Some(FailureKind::Message), "{receipts:?}");
    for others in [2, 3] {
        assert_eq!(receipts[&others], Receipt::Durable, "{receipts:?}");
    }
    let mut expected = vec![2, 3];
    if receipts.len() > 3 {
        assert_eq!(receipts[&0], Receipt::Durable, "what stands before goes out");
        assert_eq!(receipts[&4], Receipt::NotAttempted, "{receipts:?}");
        assert_ne!(receipts[&5], Receipt::Durable);
        expected = vec![0, 2, 3, 6];
    }
    let mut there: Vec<u64> = subject.stored(&topic).iter().map(Stored::number).collect();
    there.sort_unstable();
    assert_eq!(there, expected);
}

pub(crate) async fn p4_lanes_keep_their_order(subject: &impl Subject) {
    const KEYS: u64 = 20;
    const ROUNDS: u64 = 25;
    let topic = subject.destination(None).await;
    let mut desk = Desk::open(&*subject.broker()).await;
    let run = if desk.runs() { 8 } else { 1 };
    let mut number = 0;
    for _ in 0..ROUNDS {
        let mut batch: Vec<Content> = Vec::new();
        for _ in 0..run {
            for key in 0..KEYS {
                batch.push(content(number, Some(&format!("k{key}")), SMALL));
                number += 1;
            }
        }
        let receipts = desk.send(&topic, batch).await;
        assert!(
            receipts.iter().all(|receipt| *receipt == Receipt::Durable),
            "{receipts:?}"
        );
    }
    desk.close(Duration::from_secs(10)).await;
    let mut lanes: BTreeMap<Option<Vec<u8>>, Vec<u64>> = BTreeMap::new();
    for record in subject.stored(&topic) {
        lanes.entry(record.key.clone()).or_default().push(record.number());
    }
    assert_eq!(lanes.len() as u64, KEYS);
    for (key, numbers) in lanes {
        assert_eq!(numbers.len() as u64, ROUNDS * run);
        assert!(numbers.is_sorted(), "lane {key:?} came as {numbers:?}");
    }
}

pub(crate) async fn p5_bytes_arrive_unchanged(subject: &impl Subject) {
    let topic = subject.destination(None).await;
    let mut desk = Desk::open(&*subject.broker()).await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let pairs = [("note", "grüße \u{1f600}"), ("empty", ""), ("tracestate", "a=1")];
    let mut whole = content(1, None, &[0, 0xff, b'\n', 0xfe, 0]);
    whole.key = Some(Key::from([0xc3, 0x28, 0].as_slice()));
    whole.traceparent = Some(trace.into());
    let forged = ("Twinbox-Replay", "7");
    whole.headers = pairs
        .iter()
        .chain([&forged])
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect();
    let mut tombstone = content(2, Some(""), SMALL);
    tombstone.body = Body::Null;
    let mut empty = content(3, None, b"");
    empty.headers = Headers::default();
    let receipts = desk.send(&topic, vec![whole, tombstone, empty]).await;
    assert!(
        receipts.iter().all(|receipt| *receipt == Receipt::Durable),
        "{receipts:?}"
    );
    // Our own names win, and that is counted.
    assert_eq!(desk.publisher.outlook().gave_way, 1);
    assert_eq!(desk.publisher.outlook().gave_way, 0);
    desk.close(Duration::from_secs(10)).await;

    let stored = subject.stored(&topic);
    let find = |number| {
        stored
            .iter()
            .find(|record| record.number() == number)
            .expect("it is there")
    };
    let whole = find(1);
    assert_eq!(whole.key.as_deref(), Some(&[0xc3, 0x28, 0][..]));
    assert_eq!(whole.value.as_deref(), Some(&[0, 0xff, b'\n', 0xfe, 0][..]));
    assert_eq!(whole.text("traceparent"), trace);
    assert_eq!(whole.text("twinbox-position"), "1.7.1");
    for (name, value) in pairs {
        assert_eq!(whole.header(name), Some(value.as_bytes()), "{name}");
    }
    assert_eq!(whole.header(forged.0), None);
    // A null is no empty text: not as a key, not as a payload where the broker knows tombstones.
    assert_eq!(find(2).key.as_deref(), Some(&b""[..]));
    assert_eq!(find(3).key, None);
    let tombstones = subject.broker().capabilities().tombstones;
    assert_eq!(find(2).value.is_none(), tombstones);
    assert_eq!(find(3).value.as_deref(), Some(&b""[..]));
}

pub(crate) async fn p6_what_cannot_arrive_is_told_and_nothing_is_created(subject: &impl Subject) {
    let topic = subject.destination(LIMIT).await;
    let mut desk = Desk::open(&*subject.broker()).await;
    let nowhere = "a-topic-that-nobody-made".to_owned();
    let batch = vec![
        (topic.clone(), content(1, Some("a"), LARGE)),
        (nowhere.clone(), content(2, Some("a"), SMALL)),
        (topic.clone(), content(3, Some("c"), SMALL)),
    ];
    let tickets = desk.hand_over_to(batch).await;
    let receipts = desk.answers(&tickets).await;
    assert_eq!(kind(&receipts[0]), Some(FailureKind::Message), "{receipts:?}");
    // The same key at another destination is another lane (S8).
    assert_eq!(kind(&receipts[1]), Some(FailureKind::Destination), "{receipts:?}");
    assert_eq!(receipts[2], Receipt::Durable, "{receipts:?}");
    assert!(!subject.exists(&nowhere), "a destination was created");
    // The lane goes on once its failed message is out of the way.
    let receipts = desk.send(&topic, vec![content(4, Some("a"), SMALL)]).await;
    assert_eq!(receipts, [Receipt::Durable]);
    desk.close(Duration::from_secs(10)).await;
}

/// Makes one test of each promise for a subject; `$open` answers `None` when its server is not there.
#[macro_export]
macro_rules! publisher_suite {
    ($open:expr) => {
        $crate::publisher_suite!($open;
            p1_every_ticket_is_answered_once
            p1_close_answers_what_is_left
            p1_close_wakes_whoever_waits
            p2_durable_means_that_it_is_there
            p3_a_failure_stops_its_lane
            p4_lanes_keep_their_order
            p5_bytes_arrive_unchanged
            p6_what_cannot_arrive_is_told_and_nothing_is_created
        );
    };
    ($open:expr; $($promise:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                if let Some(subject) = ($open)(stringify!($promise)) {
                    $crate::conformance::publisher::$promise(&subject).await;
                }
            }
        )*
    };
}
