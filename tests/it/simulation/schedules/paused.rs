//! What an operator holds back, in every state a lane may be in: ready, in flight, resting, stored, in a drain.

use twinbox::contract::Receipt;
use twinbox::delivery::{Cause, FailureKind};
use twinbox::flow::{Event, Pauses};

use super::super::clock::SECOND;
use super::rig::{Rig, row};

/// It is stored behind nothing, so it holds neither the watermark nor the budget; its successors follow it.
#[test]
fn r10_a_ready_key_is_stored_whole_while_the_others_flow() {
    let mut rig = Rig::plain();
    rig.pauses(&[1]);
    let rows = rig.read(&[row(0, Some(1)), row(0, Some(2)), row(0, Some(1)), row(1, Some(1))]);
    assert_eq!(rig.published(), [rows[1]], "the key is held back wherever it goes");
    rig.serve();
    rig.durable(&rows[1..2]);
    let later = rig.read(&[row(0, Some(1))]);
    rig.wait_served(30 * SECOND);
    assert!(rig.published().is_empty());
    assert_eq!(
        rig.state.watermark(),
        rig.source.position(later[0]),
        "all of it is settled"
    );
    assert_eq!(rig.open_letters(rows[0]), [rows[0], rows[2], later[0]]);
    let lane = &rig.letters.lanes[&rig.lane(rows[0])];
    assert_eq!((lane.cause, lane.attempts), (Cause::Paused, 0));

    rig.pauses(&[]);
    rig.wait_served(SECOND);
    let mut left = rig.published();
    left.sort_unstable();
    assert_eq!(left, [rows[0], rows[2], rows[3], later[0]]);
    rig.durable(&left);
    rig.serve();
    assert!(rig.letters.lanes.is_empty(), "it is live again");
}

/// What is on its way is finished, whatever its answer is.
#[test]
fn a_key_in_flight_is_stored_behind_its_run() {
    let mut rig = Rig::plain();
    let rows = rig.read(&[row(0, Some(1))]);
    rig.pauses(&[1]);
    let later = rig.read(&[row(0, Some(1))]);
    rig.wait_served(5 * SECOND);
    assert!(rig.letters.lanes.is_empty(), "nothing is stored beside a run in flight");
    rig.durable(&rows);
    rig.serve();
    assert_eq!(rig.open_letters(later[0]), later);
    assert_eq!(rig.published(), rows);
}

/// It failed before it was paused: attempts of before stay, and none is added.
#[test]
fn a_resting_key_is_stored_when_its_rest_is_over() {
    let mut rig = Rig::plain();
    let rows = rig.read(&[row(0, Some(1)), row(0, Some(2))]);
    rig.published();
    rig.durable(&rows[1..]);
    rig.fails(rows[0], FailureKind::Timeout);
    rig.pauses(&[1]);
    rig.wait_served(120 * SECOND);
    assert!(rig.published().is_empty());
    assert_eq!(rig.open_letters(rows[0]), rows[..1]);
    rig.pauses(&[]);
    rig.wait_served(SECOND);
    assert_eq!(rig.published(), rows[..1]);
}

/// Letters that are due stay where they are, and so does what the key gets meanwhile, over a restart too.
#[test]
fn a_stored_key_stays_stored_over_a_restart() {
    let mut rig = Rig::plain();
    let rows = rig.read(&[row(0, Some(1))]);
    rig.fails(rows[0], FailureKind::Message);
    rig.serve();
    rig.pauses(&[1]);
    rig.release(rows[0]);
    rig.published();
    rig.restart();
    rig.pauses(&[1]);
    let later = rig.read(&[row(0, Some(1)), row(0, Some(2))]);
    rig.wait_served(30 * SECOND);
    assert_eq!(rig.published(), later[1..]);
    assert_eq!(rig.open_letters(rows[0]), [rows[0], later[0]]);
    rig.pauses(&[]);
    rig.wait_served(SECOND);
    assert_eq!(rig.published()[0], rows[0], "from its head");
}

/// Picked before the pause was heard of: it goes back as it came.
#[test]
fn a_letter_that_was_picked_a_moment_too_early_goes_back_without_an_attempt() {
    let mut rig = Rig::plain();
    let rows = rig.read(&[row(0, Some(1))]);
    rig.fails(rows[0], FailureKind::Message);
    rig.serve();
    rig.published();
    rig.release(rows[0]);
    let before = rig.letters.lanes[&rig.lane(rows[0])].attempts;
    rig.wait(SECOND);
    let pauses = Pauses {
        keys: [twinbox::message::Key::from("k1")].into(),
        ..Pauses::none()
    };
    rig.happens(Event::Paused(pauses));
    rig.picks();
    assert!(rig.published().is_empty());
    rig.pauses(&[1]);
    rig.serve();
    let lane = &rig.letters.lanes[&rig.lane(rows[0])];
    assert_eq!((lane.attempts, lane.claimed_by), (before, None));
}

/// Handed over, and given back by whoever had not begun with it: nothing has failed, nothing is counted.
#[test]
fn what_was_not_begun_under_a_pause_has_not_failed() {
    let mut rig = Rig::plain();
    let rows = rig.read(&[row(0, Some(1)), row(0, Some(2))]);
    rig.published();
    rig.pauses_all();
    for seq in &rows {
        rig.answer(*seq, Receipt::NotAttempted);
    }
    rig.wait(120 * SECOND);
    assert!(rig.store.is_none(), "a whole pause stores nothing");
    assert_eq!(rig.state.lane_counts().resting, 0, "nothing failed");
    rig.pauses(&[]);
    assert_eq!(rig.published(), rows, "in order, when it is over, and at once");
}

/// Everything waits where it is, for as long as it takes; `wait` fails if the reducer spins meanwhile.
#[test]
fn under_a_whole_pause_all_just_wait() {
    let mut rig = Rig::plain();
    let rows = rig.read(&[row(0, Some(1)), row(0, Some(2)), row(0, Some(3))]);
    rig.published();
    rig.fails(rows[0], FailureKind::Message);
    rig.serve();
    rig.fails(rows[1], FailureKind::Timeout);
    rig.pauses_all();
    rig.fails(rows[2], FailureKind::Unreachable);
    rig.release(rows[0]);
    let later = rig.read(&[row(1, Some(4)), row(1, None)]);
    rig.wait(5 * SECOND);
    assert!(rig.pick.is_none(), "letters are not asked for: none may go out");
    rig.wait_served(3_500 * SECOND);
    assert!(rig.published().is_empty());
    assert!(rig.ended.is_none());
    assert_eq!(rig.letters.letters.len(), 1, "nothing is stored");
    rig.pauses(&[]);
    let left = rig.published();
    assert!(later.iter().all(|seq| left.contains(seq)), "{left:?}");
}

/// A drain does not wait for what nobody may hand over; the next holder reads it again.
#[test]
fn r9_a_drain_under_a_pause_ends() {
    for whole in [false, true] {
        let mut rig = Rig::plain();
        if whole {
            rig.pauses_all();
        } else {
            rig.pauses(&[1]);
        }
        let rows = rig.read(&[row(0, Some(1))]);
        rig.happens(Event::Drain);
        while rig.fetch.is_some() {
            rig.fetches();
        }
        rig.wait_served(30 * SECOND);
        assert_eq!(rig.ended, Some("drained"), "whole: {whole}");
        assert!(rig.published().is_empty());
        rig.restart();
        rig.pauses(&[]);
        rig.fetches();
        rig.wait_served(SECOND);
        assert_eq!(rig.published(), rows, "whole: {whole}");
    }
}
