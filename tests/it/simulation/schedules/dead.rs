//! Dead letters: what one says of the dead-letter destination, and of no other.

use twinbox::contract::Receipt;
use twinbox::delivery::FailureKind;
use twinbox::flow::{Notice, OnReject};

use super::super::clock::{MILLISECOND, SECOND};
use super::super::faults::Shape;
use super::super::model_letters::Closed;
use super::super::model_source::Seq;
use super::rig::{Rig, row};

fn rig() -> Rig {
    Rig::new(Shape {
        on_reject: OnReject::DeadLetter,
        attempts_max: 3,
        ..Shape::plain()
    })
}

/// Where a row that is on its way goes.
fn goes_to(rig: &Rig, seq: Seq) -> Option<String> {
    let outbound = rig
        .flying
        .iter()
        .find(|outbound| outbound.message.position.minor == seq)?;
    Some(outbound.address.destination.to_string())
}

/// Another lane of `t0` succeeds, a moment later.
fn flow(rig: &mut Rig) {
    rig.wait(MILLISECOND);
    let other = rig.read(&[row(0, Some(90))]);
    rig.durable(&other);
    rig.wait(MILLISECOND);
}

fn is_back(rig: &Rig, destination: &str) -> bool {
    rig.told
        .iter()
        .any(|notice| matches!(notice, Notice::DestinationBack(back) if back.to_string() == destination))
}

/// The dead-letter topic takes a letter while the message's own topic is down.
#[test]
fn a_dead_letter_that_is_taken_does_not_wake_the_topic_it_came_from() {
    for down in [FailureKind::Unreachable, FailureKind::Destination] {
        let mut rig = rig();
        let rows = rig.read(&[row(0, Some(1)), row(0, Some(2))]);
        rig.fails(rows[0], FailureKind::Message);
        assert_eq!(goes_to(&rig, rows[0]).as_deref(), Some("t0.dlq"));
        rig.fails(rows[1], down);
        rig.published();
        rig.durable(&rows[..1]);
        assert!(!is_back(&rig, "t0"), "t0 is down still");
        let later = rig.read(&[row(0, Some(3))]);
        assert!(rig.published().is_empty(), "t0 rests: {later:?} wait for its probe");
        let tallies = rig.state.take_tallies();
        let durable = tallies.iter().find(|(_, tally)| tally.durable > 0);
        assert_eq!(durable.map(|(place, _)| place.to_string()).as_deref(), Some("t0.dlq"));
    }
}

/// What was refused does not wait for the topic that refused it, and is no probe of it.
#[test]
fn a_dead_letter_goes_out_while_its_own_topic_rests() {
    let mut rig = rig();
    let rows = rig.read(&[row(0, Some(1)), row(0, Some(2))]);
    rig.fails(rows[1], FailureKind::Destination);
    rig.published();
    rig.fails(rows[0], FailureKind::Message);
    assert_eq!(goes_to(&rig, rows[0]).as_deref(), Some("t0.dlq"));
    rig.published();
    rig.wait(31 * SECOND);
    assert_eq!(rig.published(), rows[1..], "t0 is probed by what is its own");
}

/// Everything fails at the topic, dead letters are taken: that is an outage, and no attempt counts.
#[test]
fn dead_letters_that_are_taken_let_no_attempt_count() {
    let mut rig = rig();
    let healthy = rig.read(&[row(0, Some(1))])[0];
    let refused = rig.read(&[2, 3, 4, 5, 6, 7].map(|key| row(0, Some(key))));
    for seq in &refused {
        rig.fails(*seq, FailureKind::Message);
    }
    for seq in refused {
        assert_eq!(goes_to(&rig, healthy).as_deref(), Some("t0"), "an outage kills nothing");
        rig.fails(healthy, FailureKind::Transient);
        rig.wait(MILLISECOND);
        rig.durable(&[seq]);
        rig.wait(9 * SECOND);
    }
}

/// A message whose attempts are used up, on its way to the dead-letter topic.
fn worn_out(rig: &mut Rig) -> Seq {
    let head = rig.read(&[row(0, Some(1))])[0];
    while goes_to(rig, head).as_deref() != Some("t0.dlq") {
        rig.fails(head, FailureKind::Transient);
        flow(rig);
        rig.wait(2 * SECOND);
    }
    head
}

/// The dead-letter topic fails for a while, its messages' own topic flows: that says nothing of the message.
#[test]
fn an_outage_of_the_dead_letter_topic_parks_nothing() {
    let mut rig = rig();
    let head = worn_out(&mut rig);
    for _ in 0..5 {
        assert_eq!(goes_to(&rig, head).as_deref(), Some("t0.dlq"), "it is tried again");
        rig.fails(head, FailureKind::Transient);
        flow(&mut rig);
        rig.wait(7 * SECOND);
        assert!(rig.store.is_none(), "it is parked");
    }
}

/// What was said of a message where it was refused does not count where dead letters go, others are taken there or not.
#[test]
fn a_refused_message_has_all_its_attempts_as_a_dead_one() {
    let mut rig = rig();
    let head = worn_out(&mut rig);
    for key in [2, 3, 4] {
        assert_eq!(goes_to(&rig, head).as_deref(), Some("t0.dlq"), "it is tried again");
        let other = rig.read(&[row(0, Some(key))]);
        rig.fails(other[0], FailureKind::Message);
        rig.wait(MILLISECOND);
        rig.durable(&other);
        rig.wait(MILLISECOND);
        rig.fails(head, FailureKind::Transient);
        rig.wait(7 * SECOND);
    }
    assert_eq!(goes_to(&rig, head).as_deref(), Some("t0.dlq"), "the first counts not");
}

/// What was said of a letter where it was refused does not count where dead letters go.
#[test]
fn a_letter_that_was_refused_has_all_its_attempts_as_a_dead_one() {
    let mut rig = rig();
    let rows = rig.read(&[row(0, Some(1))]);
    let head = rows[0];
    for _ in 0..2 {
        rig.fails(head, FailureKind::Message);
    }
    rig.serve();
    rig.release(head);
    let goes_out = |rig: &mut Rig| {
        for _ in 0..100 {
            if goes_to(rig, head).is_none() {
                rig.wait_served(SECOND / 10);
            }
        }
        goes_to(rig, head)
    };
    while goes_out(&mut rig).as_deref() == Some("t0") {
        flow(&mut rig);
        rig.fails(head, FailureKind::Transient);
        rig.serve();
    }
    let other = rig.read(&[row(0, Some(2))]);
    rig.fails(other[0], FailureKind::Message);
    rig.wait(MILLISECOND);
    rig.durable(&other);
    rig.fails(head, FailureKind::Transient);
    rig.serve();
    assert_eq!(goes_out(&mut rig).as_deref(), Some("t0.dlq"), "it has two more");
    rig.durable(&rows);
    rig.serve();
    assert_eq!(
        rig.letters.of(head).and_then(|letter| letter.closed),
        Some(Closed::Dead)
    );
}

/// A refused head that the dead-letter topic does not answer, and one behind it, until the lane is to be stored.
fn unanswered(rig: &mut Rig) -> Vec<Seq> {
    let rows = rig.read(&[row(0, Some(1)), row(0, Some(1))]);
    rig.fails(rows[0], FailureKind::Message);
    rig.answer(rows[1], Receipt::NotAttempted);
    assert_eq!(goes_to(rig, rows[0]).as_deref(), Some("t0.dlq"));
    for _ in 0..14 {
        flow(rig);
        if rig.confirm.is_some() {
            rig.confirms();
        }
        if rig.store.is_some() {
            break;
        }
        rig.wait(5 * SECOND);
    }
    assert!(rig.store.is_some(), "R11: it is stored");
    rig.published();
    rows
}

/// Its answer comes when it is a letter already, or while it becomes one: it is dead all the same, not delivered.
#[test]
fn s33_a_dead_letter_that_is_answered_late_is_closed_as_dead() {
    for during in [false, true] {
        let mut rig = rig();
        let rows = unanswered(&mut rig);
        if during {
            rig.durable(&rows[..1]);
        }
        rig.stores();
        assert_eq!(rig.open_letters(rows[0]), rows);
        if !during {
            rig.durable(&rows[..1]);
        }
        rig.release(rows[0]);
        rig.wait_served(2 * SECOND);
        let closed = rig.letters.of(rows[0]).and_then(|letter| letter.closed);
        assert_eq!(closed, Some(Closed::Dead), "answered during the store: {during}");
        assert_eq!(rig.published(), rows[1..]);
        rig.durable(&rows[1..]);
        rig.serve();
        let closed = rig.letters.of(rows[1]).and_then(|letter| letter.closed);
        assert_eq!(closed, Some(Closed::Delivered));
    }
}

/// The lane waits for the dead-letter topic, is stored, and discarded: what comes next goes to its own topic at once.
#[test]
fn a_lane_that_is_free_again_does_not_wait_for_the_dead_letter_topic() {
    let mut rig = rig();
    let rows = rig.read(&[row(0, Some(1))]);
    rig.fails(rows[0], FailureKind::Message);
    while rig.letters.of(rows[0]).is_none() {
        if goes_to(&rig, rows[0]).is_some() {
            rig.fails(rows[0], FailureKind::Destination);
        }
        flow(&mut rig);
        rig.wait_served(5 * SECOND);
    }
    rig.published();
    rig.discard(rows[0], 1);
    let later = rig.read(&[row(0, Some(1))]);
    rig.serve();
    assert_eq!(rig.published(), later);
    assert_eq!(goes_to(&rig, later[0]).as_deref(), Some("t0"));
}
