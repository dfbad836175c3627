//! The promises of an `Inbox`, P1–P5, and the schedules that it decides.
//!
//! A store adopts the suite by implementing [`Cellar`]: what a process of the consumer sees, how time passes, what an operator
//! does. Then it calls each function from a test of its own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use twinbox::contract::{
    Assumed, Burial, Claim, Identity, Inbox, Known, Park, Progress, StoreError, StoreRun, StreamName,
};
use twinbox::delivery::{Cause, Destination, Failure, FailureKind, LaneName};
use twinbox::message::{Body, Content, ContentType, Headers, Message, Origin, Position};
use uuid::Uuid;

/// What the suites want of a store: fresh, with one consumer that was never started.
pub(crate) trait Cellar {
    /// A process of the consumer.
    fn inbox(&self) -> &dyn Inbox;

    /// So much time has passed that the next `tidy` begins a generation.
    async fn age(&self);

    /// The database goes back to where it was before the last `count` transactions of that stream.
    async fn forget(&self, stream: &StreamName, count: i64);

    /// The operator makes blocked lanes due.
    async fn release(&self, lane: &LaneName);

    /// The operator drops everything that is stored of a lane.
    async fn discard(&self, lane: &LaneName);

    /// How many letters of a lane are open.
    async fn open_letters(&self, lane: &LaneName) -> i64;

    /// How many letters of a lane were closed as dead.
    async fn dead_letters(&self, lane: &LaneName) -> i64;
}

pub(crate) fn stream(partition: i32) -> StreamName {
    StreamName {
        topic: "order.events".into(),
        partition: Some(partition),
    }
}

pub(crate) fn lane(partition: i32, key: &str) -> LaneName {
    let destination: Destination = ["order.events".to_owned(), partition.to_string()].into_iter().collect();
    LaneName::of(&destination, Some(&key.into()), Position::new(0, 0, 0))
}

pub(crate) fn id(offset: i64) -> Uuid {
    Uuid::from_u128(0x0195_0000_0000_7000_8000_0000_0000_0000 + u128::from(offset.unsigned_abs()))
}

pub(crate) fn identity(offset: i64) -> Identity {
    Identity {
        id: id(offset),
        replay_epoch: 0,
    }
}

/// A delivery of partition 0.
pub(crate) fn message(key: &str, offset: i64) -> Message {
    delivery(key, 0, offset, |_| {})
}

pub(crate) fn delivery(key: &str, partition: i32, offset: i64, change: impl FnOnce(&mut Content)) -> Message {
    let mut content = Content {
        position: Position::new(0, offset.unsigned_abs(), 0),
        id: id(offset),
        aggregate_type: "order".into(),
        key: Some(key.into()),
        kind: "order.placed".into(),
        body: Body::Bytes(Bytes::from(format!("{{\"offset\": {offset}}}"))),
        content_type: ContentType::Json,
        headers: Headers::default(),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        occurred_at: "2026-11-23T10:00:00.5Z".parse().expect("a time"),
        replay: None,
        origin: Some(Box::new(Origin {
            topic: "order.events".into(),
            partition: Some(partition),
            offset: Some(offset),
            source: None,
            id_text: None,
            identity: id(offset),
            sent: None,
            stored_at: None,
            flaw: None,
        })),
    };
    change(&mut content);
    content.into()
}

pub(crate) fn failure() -> Arc<Failure> {
    let failure = Failure::new(FailureKind::Rejected, "TB001", "no such customer");
    Arc::new(failure.with_chain(vec!["in billing.on_event".to_owned()]))
}

pub(crate) fn park(key: &str, messages: &[&Message], due: Option<Duration>) -> Park {
    Park {
        lane: lane(0, key),
        cause: if due.is_some() { Cause::Resting } else { Cause::Rejected },
        due,
        attempts: 1,
        failure: failure(),
        messages: messages.iter().map(|message| (*message).clone()).collect(),
    }
}

/// Everything up to an offset is settled, but these.
pub(crate) fn settled_but(read: i64, rest: &[i64]) -> Progress {
    let at = |offset: i64| Position::new(0, offset.unsigned_abs(), 0);
    Progress {
        read: at(read),
        rest: rest.iter().copied().map(at).collect(),
    }
}

pub(crate) fn parks(parks: Vec<Park>, progress: Progress) -> StoreRun {
    StoreRun {
        parks,
        appends: Vec::new(),
        progress,
    }
}

pub(crate) async fn assume(cellar: &impl Cellar, partition: i32) -> Assumed {
    cellar.inbox().assume(&stream(partition)).await.expect("taken over")
}

async fn known(cellar: &impl Cellar, offsets: &[i64]) -> Vec<i64> {
    let asked = offsets.iter().copied().map(identity).collect();
    let known = cellar.inbox().known(asked).await.expect("an answer");
    let of = |offset: &i64| known.contains(&identity(*offset));
    offsets.iter().copied().filter(of).collect()
}

const LONG: Duration = Duration::from_secs(30);

fn claim(tried_to: i64) -> Claim {
    Claim {
        tried_to,
        care: 2,
        alone: Some((7, 1)),
    }
}

fn burial(key: &str, offset: i64) -> Burial {
    Burial {
        message: message(key, offset),
        lane: lane(0, key),
        attempts: 3,
        failure: failure(),
    }
}

pub(crate) async fn p1_whoever_had_the_stream_before_writes_nothing(cellar: &impl Cellar) {
    let (old, inbox) = (assume(cellar, 0).await, cellar.inbox());
    inbox.begin(&old.fence, 5).await.expect("begun");
    let new = assume(cellar, 0).await;
    assert!(new.fence.epoch > old.fence.epoch);
    assert_ne!(new.fence.holder, old.fence.holder);
    let whole = message("k", 9);
    let writes = [
        ("begin", inbox.begin(&old.fence, 6).await),
        ("claim", inbox.claim(&old.fence, claim(9), LONG).await),
        ("mark", inbox.mark(&old.fence, 9).await),
        ("yield", inbox.yield_to_next(&old.fence, Some(9), None).await),
        ("record", inbox.record(&old.fence, vec![identity(8)], Known::Done).await),
        ("bury", inbox.bury(&old.fence, vec![burial("k", 9)]).await),
        ("store", {
            let run = parks(vec![park("k", &[&whole], None)], settled_but(9, &[]));
            old.letters.store(run).await.map(drop)
        }),
        ("close", old.letters.close(vec![]).await.map(drop)),
    ];
    for (write, answer) in writes {
        assert!(matches!(answer, Err(StoreError::Fenced)), "{write}: {answer:?}");
    }
    assert!(known(cellar, &[8, 9]).await.is_empty());
    assert_eq!(cellar.open_letters(&lane(0, "k")).await, 0);
    assert_eq!(cellar.dead_letters(&lane(0, "k")).await, 0);
    let next = assume(cellar, 0).await;
    assert_eq!((next.position, next.claim), (Some(5), None));
    assert!(next.told.is_empty(), "{:?}", next.told);
}

pub(crate) async fn p1_streams_are_fenced_apart(cellar: &impl Cellar) {
    let (first, second) = (assume(cellar, 0).await, assume(cellar, 1).await);
    cellar.inbox().begin(&first.fence, 5).await.expect("its own");
    cellar.inbox().begin(&second.fence, 6).await.expect("its own");
    assert_eq!(assume(cellar, 0).await.position, Some(5));
    cellar
        .inbox()
        .mark(&second.fence, 7)
        .await
        .expect("not its neighbour's");
}

pub(crate) async fn p2_what_is_recorded_is_known_across_rotations(cellar: &impl Cellar) {
    let (held, inbox) = (assume(cellar, 0).await, cellar.inbox());
    let record = |ids: &[i64], how| inbox.record(&held.fence, ids.iter().copied().map(identity).collect(), how);
    record(&[3, 1, 3], Known::Done).await.expect("recorded");
    record(&[2], Known::Dropped).await.expect("recorded");
    record(&[1, 2], Known::Done).await.expect("again");
    assert_eq!(known(cellar, &[1, 2, 3, 4]).await, [1, 2, 3]);
    let again = Identity {
        replay_epoch: 1,
        ..identity(1)
    };
    assert!(
        inbox.known(vec![again]).await.expect("an answer").is_empty(),
        "another replay epoch"
    );
    assert!(inbox.tidy().await.expect("nothing to do") > Duration::ZERO);
    assert_eq!(known(cellar, &[1, 2, 3]).await, [1, 2, 3]);
    cellar.age().await;
    inbox.tidy().await.expect("the next generation");
    record(&[5], Known::Done).await.expect("recorded");
    assert_eq!(known(cellar, &[1, 2, 3, 4, 5]).await, [1, 2, 3, 5]);
    let memory = inbox.memory().await.expect("an answer");
    assert!(memory.reaches >= memory.retention, "{memory:?}");
    cellar.age().await;
    inbox.tidy().await.expect("the next generation");
    assert_eq!(known(cellar, &[1, 2, 3, 5]).await, [5], "their time is over");
}

pub(crate) async fn p3_the_position_never_goes_back(cellar: &impl Cellar) {
    let (held, inbox) = (assume(cellar, 0).await, cellar.inbox());
    assert_eq!(held.position, None);
    inbox.begin(&held.fence, 5).await.expect("begun");
    inbox.begin(&held.fence, 3).await.expect("begun already");
    assert_eq!(assume(cellar, 0).await.position, Some(5));
    let held = assume(cellar, 0).await;
    inbox.mark(&held.fence, 9).await.expect("marked");
    inbox.mark(&held.fence, 7).await.expect("nothing new");
    inbox.begin(&held.fence, 20).await.expect("begun already");
    let held = assume(cellar, 0).await;
    assert_eq!(held.position, Some(9));
    inbox
        .yield_to_next(&held.fence, Some(8), None)
        .await
        .expect("handed over");
    inbox.yield_to_next(&held.fence, None, None).await.expect("handed over");
    assert_eq!(assume(cellar, 0).await.position, Some(9));
}

pub(crate) async fn p4_a_claim_stays_until_it_is_yielded(cellar: &impl Cellar) {
    let (held, inbox) = (assume(cellar, 0).await, cellar.inbox());
    assert_eq!((held.claim, held.wait), (None, Duration::ZERO));
    inbox.claim(&held.fence, claim(40), LONG).await.expect("signed");
    inbox.mark(&held.fence, 12).await.expect("marked");
    for _ in 0..2 {
        let successor = assume(cellar, 0).await;
        assert_eq!(successor.claim, Some(claim(40)));
        assert!(
            successor.wait <= LONG && successor.wait > LONG / 2,
            "{:?}",
            successor.wait
        );
    }
    let successor = assume(cellar, 0).await;
    inbox
        .claim(&successor.fence, claim(50), Duration::ZERO)
        .await
        .expect("signed");
    let next = assume(cellar, 0).await;
    assert_eq!(
        (next.claim, next.wait),
        (Some(claim(50)), Duration::ZERO),
        "its time is over"
    );
    inbox
        .yield_to_next(&next.fence, Some(50), None)
        .await
        .expect("handed over");
    let clean = assume(cellar, 0).await;
    assert_eq!(
        (clean.claim, clean.wait, clean.position),
        (None, Duration::ZERO, Some(50))
    );
    inbox.claim(&clean.fence, claim(90), LONG).await.expect("signed");
    let legacy = Claim {
        tried_to: 80,
        care: 2,
        alone: Some((60, 1)),
    };
    inbox
        .yield_to_next(&clean.fence, None, Some(legacy))
        .await
        .expect("handed over");
    let careful = assume(cellar, 0).await;
    assert_eq!(
        (careful.claim, careful.wait),
        (Some(legacy), Duration::ZERO),
        "what others died of is left, and nobody waits for it"
    );
}

pub(crate) async fn p5_a_burial_is_one_transaction(cellar: &impl Cellar) {
    let (held, inbox) = (assume(cellar, 0).await, cellar.inbox());
    let both = || vec![burial("k", 4), burial("k", 5)];
    inbox.bury(&held.fence, both()).await.expect("buried");
    assert_eq!(known(cellar, &[4, 5, 6]).await, [4, 5]);
    assert_eq!(cellar.dead_letters(&lane(0, "k")).await, 2);
    assert_eq!(cellar.open_letters(&lane(0, "k")).await, 0);
    inbox
        .bury(&held.fence, both())
        .await
        .expect("an unknown outcome is repeated");
    assert_eq!(cellar.dead_letters(&lane(0, "k")).await, 2);
    let next = assume(cellar, 0).await;
    assert!(next.blocked.is_empty(), "the dead block nothing");
    // Its effect was durable after all: there is nothing to give up.
    inbox
        .record(&next.fence, vec![identity(7)], Known::Done)
        .await
        .expect("recorded");
    inbox
        .bury(&next.fence, vec![burial("k", 7)])
        .await
        .expect("nothing to bury");
    assert_eq!(cellar.dead_letters(&lane(0, "k")).await, 2);
}

pub(crate) async fn s21_a_database_that_went_back_is_noticed_and_told(cellar: &impl Cellar) {
    let (held, inbox) = (assume(cellar, 0).await, cellar.inbox());
    inbox.begin(&held.fence, 5).await.expect("begun");
    inbox.mark(&held.fence, 6).await.expect("marked");
    cellar.forget(&stream(0), 1).await;
    let late = inbox.mark(&held.fence, 7).await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    let again = assume(cellar, 0).await;
    let [StoreError::Incident { kind, sentence, .. }] = &again.told[..] else {
        panic!("{:?}", again.told)
    };
    assert_eq!(*kind, "timeline_changed");
    assert!(
        sentence.contains("position of record of order.events/0, offset 6"),
        "{sentence}"
    );
    inbox.mark(&again.fence, 7).await.expect("it goes on");
    assert!(assume(cellar, 0).await.told.is_empty(), "told once");
}

pub(crate) async fn s22_where_it_began_is_written_before_anything_comes(cellar: &impl Cellar) {
    let held = assume(cellar, 0).await;
    assert_eq!(held.position, None, "`start` decides");
    let again = assume(cellar, 0).await;
    assert_eq!(again.position, None, "nothing was resolved yet");
    cellar.inbox().begin(&again.fence, 0).await.expect("begun");
    // Nothing came, and it died.
    assert_eq!(assume(cellar, 0).await.position, Some(0));
}
