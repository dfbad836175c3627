//! The letters of a consumer's stream: what they hold, who may change them, and the schedules that they decide.

use std::time::Duration;

use twinbox::contract::{Append, CloseRun, DueLane, Known, LetterCounts, LetterStore, Next, StoreRun};
use twinbox::delivery::Cause;
use twinbox::message::{Body, Message, Position};

use super::inbox::{Cellar, assume, delivery, failure, id, identity, lane, message, park, parks, settled_but, stream};

const AT_ONCE: Option<Duration> = Some(Duration::ZERO);

/// Asks until the lane is due.
async fn due_lane(letters: &dyn LetterStore, key: &str, count: usize) -> DueLane {
    let asking = async {
        loop {
            let mut due = letters.due(10, count).await.expect("an answer");
            if let Some(index) = due.iter().position(|due| due.lane == lane(0, key)) {
                return due.swap_remove(index);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), asking)
        .await
        .expect("due in time")
}

fn offsets(due: &DueLane) -> Vec<u64> {
    due.letters.iter().map(|letter| letter.message.position.major).collect()
}

fn delivered(due: &DueLane, count: usize) -> CloseRun {
    CloseRun {
        lane: due.lane.clone(),
        delivered: due.letters[..count].iter().map(|letter| letter.id).collect(),
        next: Next::Now,
    }
}

fn append(messages: &[&Message], read: i64) -> StoreRun {
    StoreRun {
        parks: Vec::new(),
        appends: vec![Append {
            lane: lane(0, "k"),
            messages: messages.iter().map(|message| (*message).clone()).collect(),
        }],
        progress: settled_but(read, &[]),
    }
}

/// Everything that a delivery may bring.
fn full() -> Message {
    delivery("k", 0, 2, |content| {
        content.body = Body::Bytes(vec![0, 159, 146, 150, b'"'].into());
        content.headers = [("b", "2"), ("a", "1"), ("b", "3")]
            .map(|(name, value)| (name.into(), value.into()))
            .into_iter()
            .collect();
        content.id = id(1002);
        content.occurred_at = "2026-11-23T10:00:00.123456789Z".parse().expect("a time");
        content.replay = Some(3);
        let origin = content.origin.as_mut().expect("an origin");
        origin.source = Some("/shop".into());
        origin.id_text = Some("order-2".into());
        origin.sent = Some(Position::new(1, 2, 3));
        origin.stored_at = "2026-11-23T10:00:01Z".parse().ok();
        origin.flaw = Some("no such content type".into());
    })
}

pub(crate) async fn p3_a_letter_comes_back_as_it_was_received(cellar: &impl Cellar) {
    let held = assume(cellar, 0).await;
    let (first, bare) = (
        full(),
        delivery("k", 0, 3, |content| {
            (content.body, content.key, content.traceparent) = (Body::Null, None, None);
        }),
    );
    let run = parks(vec![park("k", &[&first, &bare], AT_ONCE)], settled_but(3, &[]));
    held.letters.store(run).await.expect("stored");
    let due = due_lane(&*held.letters, "k", 10).await;
    for (letter, original) in due.letters.iter().zip([&first, &bare]) {
        let letter = &letter.message;
        assert_eq!(
            letter.replay,
            Some(original.replay.unwrap_or_default()),
            "its epoch, or released"
        );
        assert_eq!((letter.id, letter.position), (original.id, original.position));
        assert_eq!((&letter.body, &letter.key), (&original.body, &original.key));
        assert_eq!(letter.headers, original.headers);
        assert_eq!(letter.origin, original.origin);
        assert_eq!(
            (letter.content_type, letter.occurred_at),
            (original.content_type, original.occurred_at)
        );
        assert_eq!(
            (&letter.aggregate_type, &letter.kind, &letter.traceparent),
            (&original.aggregate_type, &original.kind, &original.traceparent)
        );
    }
    assert_eq!(due.letters.len(), 2);
}

pub(crate) async fn p2_storing_moves_the_mark_and_is_done_once(cellar: &impl Cellar) {
    let held = assume(cellar, 0).await;
    let run = || {
        let whole = [&message("k", 2), &message("k", 4)].map(Clone::clone);
        parks(vec![park("k", &[&whole[0], &whole[1]], None)], settled_but(4, &[3]))
    };
    held.letters.store(run()).await.expect("stored");
    held.letters.store(run()).await.expect("an unknown outcome is repeated");
    assert_eq!(cellar.open_letters(&lane(0, "k")).await, 2);
    let next = assume(cellar, 0).await;
    assert_eq!(next.position, Some(3), "the first that is not settled");
    assert_eq!(next.blocked, [lane(0, "k")], "s27: loaded after the take-over");
    let counts = next.letters.count().await.expect("counted");
    let parked = LetterCounts {
        lanes: 1,
        parked: 1,
        queued: 1,
        ..LetterCounts::default()
    };
    assert_eq!(counts, parked);
}

pub(crate) async fn s01_an_append_behind_a_closed_lane_stays_live(cellar: &impl Cellar) {
    let held = assume(cellar, 0).await;
    let head = message("k", 1);
    let run = parks(vec![park("k", &[&head], AT_ONCE)], settled_but(1, &[]));
    held.letters.store(run).await.expect("stored");
    let due = due_lane(&*held.letters, "k", 10).await;
    let free = held.letters.close(vec![delivered(&due, 1)]).await.expect("closed");
    assert_eq!(free, [lane(0, "k")]);
    let kept = held
        .letters
        .store(append(&[&message("k", 2)], 2))
        .await
        .expect("an answer");
    assert_eq!(kept.live, [lane(0, "k")]);
    assert_eq!(cellar.open_letters(&lane(0, "k")).await, 0);
    assert_eq!(
        assume(cellar, 0).await.position,
        Some(2),
        "what was not stored is not settled"
    );
}

pub(crate) async fn s04_what_was_given_up_is_a_duplicate_for_ever(cellar: &impl Cellar) {
    let (held, inbox) = (assume(cellar, 0).await, cellar.inbox());
    let (one, two, three) = (message("k", 1), message("k", 2), message("k", 3));
    let run = || parks(vec![park("k", &[&one, &two, &three], AT_ONCE)], settled_but(3, &[]));
    held.letters.store(run()).await.expect("stored");
    let due = due_lane(&*held.letters, "k", 10).await;
    let dead = CloseRun {
        next: Next::Dead {
            letter: due.letters[0].id,
            failure: failure(),
        },
        ..delivered(&due, 0)
    };
    held.letters.close(vec![dead]).await.expect("closed");
    assert_eq!(cellar.dead_letters(&lane(0, "k")).await, 1);
    let asked = || vec![identity(1), identity(2), identity(3)];
    assert_eq!(inbox.known(asked()).await.expect("an answer").len(), 1, "the dead one");
    cellar.discard(&lane(0, "k")).await;
    assert_eq!(
        inbox.known(asked()).await.expect("an answer").len(),
        3,
        "those that a person dropped"
    );
    assert_eq!(cellar.open_letters(&lane(0, "k")).await, 0);
    // Read again after a crash, and stored by somebody who does not know: they stay dropped, and block nothing.
    let next = assume(cellar, 0).await;
    assert!(next.blocked.is_empty());
    next.letters.store(run()).await.expect("nothing to store");
    assert_eq!(cellar.open_letters(&lane(0, "k")).await, 0);
    assert!(next.letters.blocked().await.expect("an answer").is_empty());
}

pub(crate) async fn s05_ten_callers_pick_one_lane_once(cellar: &impl Cellar) {
    let held = assume(cellar, 0).await;
    let head = message("k", 1);
    let run = parks(vec![park("k", &[&head], AT_ONCE)], settled_but(1, &[]));
    held.letters.store(run).await.expect("stored");
    let asked = (0..10).map(|_| held.letters.due(10, 10));
    let answers = futures_util::future::join_all(asked).await;
    let given: usize = answers.into_iter().map(|answer| answer.expect("an answer").len()).sum();
    assert_eq!(given, 1);
}

pub(crate) async fn s06_what_is_done_is_not_parked(cellar: &impl Cellar) {
    let (held, inbox) = (assume(cellar, 0).await, cellar.inbox());
    inbox
        .record(&held.fence, vec![identity(1)], Known::Done)
        .await
        .expect("recorded");
    let (one, two) = (message("k", 1), message("k", 2));
    let run = parks(vec![park("k", &[&one, &two], None)], settled_but(2, &[]));
    held.letters.store(run).await.expect("stored");
    assert_eq!(cellar.open_letters(&lane(0, "k")).await, 1);
    let due = due_lane(&*held.letters, "k", 10).await;
    assert_eq!(
        (offsets(&due), due.cause),
        (vec![2], Cause::Resting),
        "nobody has judged it yet"
    );
    // Alone: it blocks nothing.
    let run = parks(
        vec![park("other", &[&delivery("other", 0, 1, |_| {})], None)],
        settled_but(2, &[]),
    );
    held.letters.store(run).await.expect("stored");
    assert_eq!(held.letters.blocked().await.expect("an answer"), [lane(0, "k")]);
}

pub(crate) async fn s29_a_release_raises_no_epoch(cellar: &impl Cellar) {
    let held = assume(cellar, 0).await;
    let original = delivery("k", 0, 1, |content| content.replay = Some(2));
    let run = parks(vec![park("k", &[&original], None)], settled_but(1, &[]));
    held.letters.store(run).await.expect("stored");
    for _ in 0..2 {
        let next = assume(cellar, 0).await;
        cellar.release(&lane(0, "k")).await;
        let due = due_lane(&*next.letters, "k", 10).await;
        assert_eq!(due.letters[0].message.replay, Some(2), "what the inbox knows it by");
        assert_eq!(due.letters[0].message.id, original.id);
    }
}

pub(crate) async fn s30_lanes_of_other_streams_are_not_ours(cellar: &impl Cellar) {
    let (first, second) = (assume(cellar, 1).await, assume(cellar, 12).await);
    let mut elsewhere = park("k", &[&delivery("k", 12, 1, |_| {})], AT_ONCE);
    elsewhere.lane = lane(12, "k");
    second
        .letters
        .store(parks(vec![elsewhere], settled_but(1, &[])))
        .await
        .expect("stored");
    assert!(first.letters.blocked().await.expect("an answer").is_empty());
    assert!(first.letters.due(10, 10).await.expect("an answer").is_empty());
    assert_eq!(first.letters.count().await.expect("an answer"), LetterCounts::default());
    assert!(assume(cellar, 1).await.blocked.is_empty());
    assert_eq!(
        second.letters.due(10, 10).await.expect("an answer").len(),
        1,
        "its claim was left alone"
    );
    // The same place in two streams is two messages.
    let first = assume(cellar, 1).await;
    let mut here = park(
        "k",
        &[&delivery("k", 1, 1, |content| {
            content.origin.as_mut().expect("an origin").identity = id(77);
        })],
        AT_ONCE,
    );
    here.lane = lane(1, "k");
    first
        .letters
        .store(parks(vec![here], settled_but(1, &[])))
        .await
        .expect("stored");
    assert_eq!(cellar.open_letters(&lane(1, "k")).await, 1);
}

pub(crate) async fn s32_a_lane_is_drained_in_runs(cellar: &impl Cellar) {
    let held = assume(cellar, 0).await;
    let all: Vec<Message> = (1..=7).map(|offset| message("k", offset)).collect();
    let run = parks(
        vec![park("k", &all.iter().collect::<Vec<_>>(), AT_ONCE)],
        settled_but(7, &[]),
    );
    held.letters.store(run).await.expect("stored");
    let due = due_lane(&*held.letters, "k", 5).await;
    assert_eq!(offsets(&due), [1, 2, 3, 4, 5]);
    held.letters.close(vec![delivered(&due, 5)]).await.expect("closed");
    assert_eq!(offsets(&due_lane(&*held.letters, "k", 5).await), [6, 7], "at once");
}

pub(crate) async fn s35_what_was_finished_late_is_swept(cellar: &impl Cellar) {
    let (held, inbox) = (assume(cellar, 0).await, cellar.inbox());
    let (one, two) = (message("k", 1), message("k", 2));
    let run = parks(vec![park("k", &[&one, &two], None)], settled_but(2, &[]));
    held.letters.store(run).await.expect("stored");
    inbox.tidy().await.expect("tidied");
    assert_eq!(cellar.open_letters(&lane(0, "k")).await, 2, "nobody has finished it");
    inbox
        .record(&held.fence, vec![identity(1)], Known::Done)
        .await
        .expect("recorded");
    inbox.tidy().await.expect("tidied");
    assert_eq!(cellar.open_letters(&lane(0, "k")).await, 1);
    let due = due_lane(&*held.letters, "k", 10).await;
    assert_eq!(offsets(&due), [2], "what stood behind it goes out");
    // Somebody has it in hand: left alone.
    inbox
        .record(&held.fence, vec![identity(2)], Known::Done)
        .await
        .expect("recorded");
    inbox.tidy().await.expect("tidied");
    assert_eq!(cellar.open_letters(&lane(0, "k")).await, 1);
    let free = held.letters.close(vec![delivered(&due, 1)]).await.expect("closed");
    assert_eq!(free, [lane(0, "k")]);
}

pub(crate) async fn s39_only_a_death_alone_keeps_the_attempt(cellar: &impl Cellar) {
    let (held, inbox) = (assume(cellar, 0).await, cellar.inbox());
    let head = message("k", 1);
    let run = parks(vec![park("k", &[&head], AT_ONCE)], settled_but(1, &[]));
    held.letters.store(run).await.expect("stored");
    let due = due_lane(&*held.letters, "k", 1).await;
    assert_eq!(due.attempts, 2, "counted before the call");
    // It dies of another message.
    let next = assume(cellar, 0).await;
    assert_eq!(due_lane(&*next.letters, "k", 1).await.attempts, 2, "given back");
    // A drain signs its claims off.
    inbox.yield_to_next(&next.fence, None, None).await.expect("handed over");
    let next = assume(cellar, 0).await;
    let claim = twinbox::contract::Claim {
        tried_to: 2,
        care: 4,
        alone: Some((1, 1)),
    };
    inbox.claim(&next.fence, claim, Duration::ZERO).await.expect("signed");
    assert_eq!(due_lane(&*next.letters, "k", 1).await.attempts, 2, "given back");
    // It dies while it is alone with it.
    let next = assume(cellar, 0).await;
    assert_eq!(next.claim.and_then(|claim| claim.alone), Some((1, 1)));
    assert_eq!(due_lane(&*next.letters, "k", 1).await.attempts, 3, "this one counts");
    assert_eq!(next.fence.stream, stream(0));
}
