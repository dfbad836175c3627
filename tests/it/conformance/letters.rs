//! The promises of a `LetterStore`, P1–P7, with a second caller and with an operator in between.

use std::sync::Arc;
use std::time::Duration;

use twinbox::contract::{
    Append, CloseRun, DueLane, LetterCounts, LetterStore, Next, Opened, Park, Progress, StoreError, StoreRun,
};
use twinbox::delivery::{Cause, Destination, Failure, FailureKind, LaneName};
use twinbox::message::{Message, Position};

use super::place::{Place, ROOM, bodies, body, positions, read_all, read_until, settled_but, start, stop, write};

fn lane(key: &str) -> LaneName {
    let destination: Destination = std::iter::once("order.events").collect();
    LaneName::of(&destination, Some(&key.into()), Position::new(0, 0, 0))
}

fn failure() -> Arc<Failure> {
    let failure = Failure::new(
        FailureKind::Message,
        "TooLarge",
        "the message is larger than the topic takes",
    );
    Arc::new(failure.with_chain(vec!["broker said no".to_owned()]))
}

fn park(key: &str, messages: &[&Message], due: Option<Duration>) -> Park {
    Park {
        lane: lane(key),
        cause: if due.is_some() { Cause::Resting } else { Cause::Rejected },
        due,
        attempts: 1,
        failure: failure(),
        messages: messages.iter().map(|message| (*message).clone()).collect(),
    }
}

fn append(key: &str, messages: &[&Message]) -> Append {
    Append {
        lane: lane(key),
        messages: messages.iter().map(|message| (*message).clone()).collect(),
    }
}

fn run(parks: Vec<Park>, appends: Vec<Append>, progress: Progress) -> StoreRun {
    StoreRun {
        parks,
        appends,
        progress,
    }
}

async fn store(opened: &Opened, run: StoreRun) -> Vec<LaneName> {
    opened.letters.store(run).await.expect("stored").live
}

/// Asks until the lane is due.
async fn due_lane(letters: &dyn LetterStore, key: &str, count: usize) -> DueLane {
    let asking = async {
        loop {
            let mut due = letters.due(10, count).await.expect("an answer");
            if let Some(index) = due.iter().position(|due| due.lane == lane(key)) {
                return due.swap_remove(index);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), asking)
        .await
        .expect("due in time")
}

fn messages(due: &DueLane) -> Vec<Message> {
    due.letters.iter().map(|letter| letter.message.clone()).collect()
}

fn delivered(due: &DueLane, count: usize) -> CloseRun {
    CloseRun {
        lane: due.lane.clone(),
        delivered: due.letters[..count].iter().map(|letter| letter.id).collect(),
        next: Next::Now,
    }
}

const AT_ONCE: Option<Duration> = Some(Duration::ZERO);

/// Three messages of `k`, one of `other`, read and parked by key `k`.
async fn parked(
    place: &impl Place,
    due: Option<Duration>,
) -> (Box<dyn twinbox::contract::Lease>, Opened, Vec<Message>) {
    let (lease, _held, mut opened) = start(place).await;
    write(place, &[("k", "1"), ("other", "2"), ("k", "3"), ("k", "4")]).await;
    let read = read_until(opened.source.as_mut(), 4).await;
    let whole = [&read[0], &read[2], &read[3]];
    let progress = settled_but(&read, &[read[1].position]);
    let live = store(&opened, run(vec![park("k", &whole, due)], vec![], progress)).await;
    assert!(live.is_empty());
    (lease, opened, read)
}

pub(crate) async fn p1_a_lane_is_blocked_while_its_row_exists(place: &impl Place) {
    let (lease, opened, _read) = parked(place, AT_ONCE).await;
    assert_eq!(opened.letters.blocked().await.expect("an answer"), [lane("k")]);
    stop(lease, opened).await;
    let (lease, _held, opened) = start(place).await;
    assert_eq!(opened.letters.blocked().await.expect("an answer"), [lane("k")]);
    let due = due_lane(&*opened.letters, "k", 10).await;
    let free = opened.letters.close(vec![delivered(&due, 3)]).await.expect("closed");
    assert_eq!(free, [lane("k")]);
    assert!(opened.letters.blocked().await.expect("an answer").is_empty());
    stop(lease, opened).await;
    let (_lease, _held, opened) = start(place).await;
    assert!(opened.letters.blocked().await.expect("an answer").is_empty());
}

pub(crate) async fn p2_a_store_is_all_or_nothing_and_once(place: &impl Place) {
    let (lease, opened, read) = parked(place, None).await;
    let whole = [&read[0], &read[2], &read[3]];
    let again = run(
        vec![park("k", &whole, None)],
        vec![],
        settled_but(&read, &[read[1].position]),
    );
    assert!(
        store(&opened, again.clone()).await.is_empty(),
        "an unknown outcome is repeated"
    );
    assert_eq!(place.open_letters(lane("k").as_str()).await, 3);

    place.kill_holder(lease).await;
    let (_lease, _held, successor) = start(place).await;
    let zombie = run(vec![park("other", &[&read[1]], None)], vec![], settled_but(&read, &[]));
    let stored = opened.letters.store(zombie).await;
    assert!(matches!(stored, Err(StoreError::Fenced)), "{stored:?}");
    assert_eq!(successor.letters.blocked().await.expect("an answer"), [lane("k")]);
    assert_eq!(place.open_letters(lane("other").as_str()).await, 0);
    let closed = opened.letters.close(vec![]).await;
    assert!(matches!(closed, Err(StoreError::Fenced)), "{closed:?}");
}

pub(crate) async fn p2_what_is_stored_is_settled_with_it(place: &impl Place) {
    let (lease, opened, read) = parked(place, None).await;
    // Nothing but the store told the table.
    place.kill_holder(lease).await;
    drop(opened);
    let (_lease, _held, mut opened) = start(place).await;
    let again = read_all(opened.source.as_mut(), ROOM).await;
    assert_eq!(positions(&again), [read[1].position]);
}

pub(crate) async fn p3_letters_come_back_in_order_with_their_bytes(place: &impl Place) {
    let (_lease, mut opened, read) = parked(place, AT_ONCE).await;
    write(place, &[("k", "5")]).await;
    let fifth = read_until(opened.source.as_mut(), 1).await;
    let progress = settled_but(&fifth, &[read[1].position]);
    let live = store(&opened, run(vec![], vec![append("k", &[&fifth[0]])], progress)).await;
    assert!(live.is_empty());
    let due = due_lane(&*opened.letters, "k", 2).await;
    assert_eq!((due.cause, due.attempts), (Cause::Resting, 2), "this attempt counts");
    assert_eq!(bodies(&messages(&due)), ["1", "3"], "at most as many as asked for");
    let free = opened.letters.close(vec![delivered(&due, 2)]).await.expect("closed");
    assert!(free.is_empty());
    let rest = due_lane(&*opened.letters, "k", 10).await;
    assert_eq!(bodies(&messages(&rest)), ["4", "5"]);
    for (letter, original) in due
        .letters
        .iter()
        .chain(&rest.letters)
        .zip([&read[0], &read[2], &read[3], &fifth[0]])
    {
        let letter = &letter.message;
        assert_eq!(letter.position, original.position);
        assert_eq!((letter.id, body(letter)), (original.id, body(original)));
        assert_eq!(letter.key.as_ref(), original.key.as_ref());
        assert_eq!(
            (&letter.aggregate_type, &letter.kind, letter.content_type),
            (&original.aggregate_type, &original.kind, original.content_type)
        );
        assert_eq!(letter.occurred_at, original.occurred_at);
        assert_eq!(letter.replay, Some(0));
    }
}

pub(crate) async fn p4_a_due_lane_is_given_to_one_caller(place: &impl Place) {
    let (_lease, opened, _read) = parked(place, AT_ONCE).await;
    let asked = (0..8).map(|_| opened.letters.due(10, 10));
    let given: Vec<DueLane> = futures_util::future::join_all(asked)
        .await
        .into_iter()
        .flat_map(|answer| answer.expect("an answer"))
        .collect();
    assert_eq!(given.len(), 1);
    assert!(
        opened.letters.due(10, 10).await.expect("an answer").is_empty(),
        "it is claimed"
    );
}

pub(crate) async fn p4_a_new_holder_takes_over_what_was_claimed(place: &impl Place) {
    let (lease, opened, _read) = parked(place, AT_ONCE).await;
    let first = due_lane(&*opened.letters, "k", 10).await;
    place.kill_holder(lease).await;
    let (_lease, _held, successor) = start(place).await;
    assert_eq!(successor.letters.blocked().await.expect("an answer"), [lane("k")]);
    let second = due_lane(&*successor.letters, "k", 10).await;
    assert_eq!(
        second.attempts, first.attempts,
        "nobody knows whether the first was tried"
    );
    assert_eq!(bodies(&messages(&second)), ["1", "3", "4"]);
    let late = opened.letters.close(vec![delivered(&first, 3)]).await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    assert_eq!(place.open_letters(lane("k").as_str()).await, 3);
}

pub(crate) async fn p5_releasing_closes_nothing(place: &impl Place) {
    let (lease, opened, _read) = parked(place, None).await;
    assert!(
        opened.letters.due(10, 10).await.expect("an answer").is_empty(),
        "it waits for a person"
    );
    place.release(lane("k").as_str()).await;
    assert_eq!(place.open_letters(lane("k").as_str()).await, 3);
    let due = due_lane(&*opened.letters, "k", 10).await;
    assert_eq!(due.cause, Cause::Rejected);
    // S3: released and picked, and then nobody publishes.
    place.kill_holder(lease).await;
    let (_lease, _held, successor) = start(place).await;
    assert_eq!(successor.letters.blocked().await.expect("an answer"), [lane("k")]);
    let due = due_lane(&*successor.letters, "k", 10).await;
    assert_eq!(bodies(&messages(&due)), ["1", "3", "4"]);
    let free = successor.letters.close(vec![delivered(&due, 3)]).await.expect("closed");
    assert_eq!(free, [lane("k")]);
}

pub(crate) async fn p5_a_rest_keeps_what_happened(place: &impl Place) {
    let (_lease, opened, _read) = parked(place, AT_ONCE).await;
    let due = due_lane(&*opened.letters, "k", 10).await;
    let rest = CloseRun {
        next: Next::Rest {
            cause: Cause::Rejected,
            due: None,
            attempts: due.attempts,
            failure: failure(),
        },
        ..delivered(&due, 1)
    };
    assert!(opened.letters.close(vec![rest]).await.expect("closed").is_empty());
    assert_eq!(place.open_letters(lane("k").as_str()).await, 2);
    assert!(opened.letters.due(10, 10).await.expect("an answer").is_empty());
    place.release(lane("k").as_str()).await;
    let due = due_lane(&*opened.letters, "k", 10).await;
    assert_eq!((due.cause, due.attempts), (Cause::Rejected, 3));
    let dead = CloseRun {
        next: Next::Dead {
            letter: due.letters[0].id,
            failure: failure(),
        },
        ..delivered(&due, 0)
    };
    assert!(opened.letters.close(vec![dead]).await.expect("closed").is_empty());
    let last = due_lane(&*opened.letters, "k", 10).await;
    assert_eq!(bodies(&messages(&last)), ["4"]);
    assert_eq!(last.attempts, 1, "the next head begins anew");
}

pub(crate) async fn p6_a_dropped_message_never_comes_again(place: &impl Place) {
    let (lease, opened, read) = parked(place, None).await;
    place.discard(lane("k").as_str()).await;
    assert_eq!(place.open_letters(lane("k").as_str()).await, 0);
    place.kill_holder(lease).await;
    drop(opened);
    let (_lease, _held, mut opened) = start(place).await;
    assert!(opened.letters.blocked().await.expect("an answer").is_empty());
    let again = read_all(opened.source.as_mut(), ROOM).await;
    assert_eq!(positions(&again), [read[1].position]);
    // Stored once more by somebody who does not know: it stays dropped, and blocks nothing.
    let progress = settled_but(&again, &[read[1].position]);
    let parked = run(vec![park("k", &[&read[0]], None)], vec![], progress);
    store(&opened, parked).await;
    assert_eq!(place.open_letters(lane("k").as_str()).await, 0);
    assert!(opened.letters.blocked().await.expect("an answer").is_empty());
}

pub(crate) async fn p7_counting_changes_nothing(place: &impl Place) {
    let (_lease, opened, _read) = parked(place, AT_ONCE).await;
    let scheduled = LetterCounts {
        lanes: 1,
        scheduled: 1,
        queued: 2,
        ..LetterCounts::default()
    };
    assert_eq!(opened.letters.count().await.expect("an answer"), scheduled);
    let due = due_lane(&*opened.letters, "k", 10).await;
    assert_eq!(opened.letters.count().await.expect("an answer"), scheduled);
    let known = vec![lane("k"), lane("other")];
    let gone = opened.letters.gone(known.clone()).await.expect("an answer");
    assert_eq!(gone, [lane("other")]);
    assert!(
        opened.letters.due(10, 10).await.expect("an answer").is_empty(),
        "it is claimed still"
    );
    let rejected = CloseRun {
        next: Next::Rest {
            cause: Cause::Rejected,
            due: None,
            attempts: 1,
            failure: failure(),
        },
        ..delivered(&due, 1)
    };
    opened.letters.close(vec![rejected]).await.expect("closed");
    let parked = LetterCounts {
        lanes: 1,
        parked: 1,
        queued: 1,
        ..LetterCounts::default()
    };
    assert_eq!(opened.letters.count().await.expect("an answer"), parked);
    place.discard(lane("k").as_str()).await;
    let counts = opened.letters.count().await.expect("an answer");
    assert_eq!(counts, LetterCounts::default());
    assert_eq!(opened.letters.gone(known.clone()).await.expect("an answer"), known);
}

pub(crate) async fn s01_an_append_behind_a_closed_lane_stays_live(place: &impl Place) {
    let (lease, mut opened, read) = parked(place, AT_ONCE).await;
    write(place, &[("k", "5"), ("k", "6")]).await;
    let later = read_until(opened.source.as_mut(), 2).await;
    let due = due_lane(&*opened.letters, "k", 10).await;
    opened.letters.close(vec![delivered(&due, 3)]).await.expect("closed");
    let all = run(
        vec![],
        vec![append("k", &[&later[0], &later[1]])],
        // As the engine sees it: settled once it is stored.
        settled_but(&later, &[read[1].position]),
    );
    assert_eq!(store(&opened, all).await, [lane("k")]);
    assert_eq!(place.open_letters(lane("k").as_str()).await, 0);
    place.kill_holder(lease).await;
    drop(opened);
    let (_lease, _held, mut opened) = start(place).await;
    let again = read_all(opened.source.as_mut(), ROOM).await;
    assert_eq!(bodies(&again), ["2", "5", "6"], "what was not stored is not settled");
}

/// Its sending was durable and the answer is lost: it comes again as what it was, or its effect is doubled.
pub(crate) async fn s29_a_release_raises_no_epoch(place: &impl Place) {
    let (mut lease, mut opened, read) = parked(place, None).await;
    for _ in 0..2 {
        place.release(lane("k").as_str()).await;
        let due = due_lane(&*opened.letters, "k", 10).await;
        for (letter, original) in due.letters.iter().zip([&read[0], &read[2], &read[3]]) {
            let letter = &letter.message;
            assert_eq!((letter.id, letter.position), (original.id, original.position));
            assert_eq!(letter.replay, Some(0));
        }
        place.kill_holder(lease).await;
        (lease, _, opened) = start(place).await;
        assert_eq!(opened.letters.blocked().await.expect("an answer"), [lane("k")]);
    }
}

pub(crate) async fn s33_a_late_delivery_closes_its_letter_and_keeps_the_rest(place: &impl Place) {
    let (_lease, opened, _read) = parked(place, AT_ONCE).await;
    let due = due_lane(&*opened.letters, "k", 10).await;
    let rest = CloseRun {
        next: Next::Rest {
            cause: Cause::Resting,
            due: Some(Duration::from_secs(3600)),
            attempts: due.attempts,
            failure: failure(),
        },
        ..delivered(&due, 0)
    };
    opened.letters.close(vec![rest]).await.expect("closed");
    let late = opened.letters.close(vec![delivered(&due, 1)]).await.expect("closed");
    assert!(late.is_empty());
    assert_eq!(place.open_letters(lane("k").as_str()).await, 2);
    assert!(
        opened.letters.due(10, 10).await.expect("an answer").is_empty(),
        "its rest goes on"
    );
}
