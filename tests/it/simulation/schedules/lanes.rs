//! Blocked lanes across restarts, releases and discards: S1 to S4, S7, S29, S32.

use twinbox::contract::Receipt;
use twinbox::delivery::FailureKind;

use super::super::clock::SECOND;
use super::super::faults::Shape;
use super::super::model_letters::Closed;
use super::letters::{parked, released};
use super::rig::{Rig, row};

/// The last letter is dropped, and its lane's row gone, before a successor's append is done.
#[test]
fn s01_an_append_that_finds_no_row_goes_out_live() {
    let mut rig = Rig::plain();
    let rows = parked(&mut rig, 1);
    let later = rig.read(&[row(0, Some(1))]);
    if rig.pick.is_some() {
        rig.picks();
    }
    rig.discard(rows[0], 1);
    rig.stores();
    assert_eq!(rig.published(), later, "not stored, so live, and once");
    rig.durable(&later);
}

/// Between the close and what arrives meanwhile: nothing is both appended and sent, nothing overtakes.
#[test]
fn s01_what_arrives_while_the_last_letter_is_closed_follows_it() {
    let mut rig = Rig::plain();
    let rows = parked(&mut rig, 1);
    assert_eq!(released(&mut rig, rows[0]), rows);
    rig.durable(&rows);
    let later = rig.read(&vec![row(0, Some(1)); 2]);
    assert!(rig.published().is_empty(), "the close is not answered");
    rig.serve();
    rig.serve();
    assert_eq!(rig.published(), later);
}

/// A lane with a run in flight and more behind it is stored: the restart finds nothing of it to send.
#[test]
fn s02_a_restart_sends_no_tail_before_its_head() {
    for done in [false, true] {
        let mut rig = Rig::new(Shape {
            run_max: 2,
            ..Shape::plain()
        });
        let rows = rig.read(&vec![row(0, Some(1)); 6]);
        rig.fails(rows[0], FailureKind::Message);
        rig.answer(rows[1], Receipt::NotAttempted);
        if done {
            rig.stores_and_says_it_failed();
        }
        rig.restart();
        rig.published();
        rig.fetches();
        if done {
            assert!(rig.published().is_empty(), "all are letters");
            assert_eq!(rig.open_letters(rows[0]), rows);
        } else {
            assert_eq!(rig.published(), rows[..2], "none is a letter: the head leaves first");
        }
    }
}

/// Released, picked, handed over; the process dies before the answer, and before the letters were closed.
#[test]
fn s03_a_release_survives_a_crash_before_publishing() {
    let mut rig = Rig::plain();
    let rows = parked(&mut rig, 3);
    assert_eq!(released(&mut rig, rows[0]), rows);
    rig.restart();
    rig.wait_served(40 * SECOND);
    assert_eq!(rig.published(), rows, "the claim ended, the lane is due again");
    rig.durable(&rows);
    rig.serve();
    for seq in rows {
        assert_eq!(rig.letters.of(seq).unwrap().closed, Some(Closed::Delivered));
    }
}

/// Only what is delivered is closed: a release that fails leaves its letters open, in order.
#[test]
fn s03_a_release_that_fails_closes_only_what_was_delivered() {
    let mut rig = Rig::plain();
    let rows = parked(&mut rig, 3);
    released(&mut rig, rows[0]);
    rig.durable(&rows[..1]);
    rig.fails(rows[1], FailureKind::Message);
    rig.answer(rows[2], Receipt::NotAttempted);
    rig.serve();
    assert_eq!(rig.open_letters(rows[0]), rows[1..]);
    assert!(
        rig.letters.lanes[&rig.lane(rows[0])].due.is_none(),
        "it waits for a person"
    );
}

#[test]
fn s04_a_discarded_row_is_not_sent_after_a_restart() {
    let mut rig = Rig::plain();
    let before = rig.read(&[row(0, Some(2))]);
    let rows = parked(&mut rig, 2);
    rig.discard(rows[0], 2);
    rig.restart();
    rig.fetches();
    assert_eq!(rig.published(), before, "what was never settled, and nothing else");
}

/// The store was done and its answer lost; the letters are discarded before it is made again.
#[test]
fn s04_a_row_discarded_before_its_store_is_repeated_is_not_sent() {
    let mut rig = Rig::plain();
    let rows = rig.read(&vec![row(0, Some(1)); 2]);
    rig.published();
    rig.fails(rows[0], FailureKind::Message);
    rig.answer(rows[1], Receipt::NotAttempted);
    rig.stores_and_says_it_failed();
    rig.discard(rows[0], 2);
    rig.wait(SECOND);
    rig.stores();
    rig.wait_served(5 * SECOND);
    assert!(rig.published().is_empty());
    let later = rig.read(&[row(0, Some(1))]);
    rig.wait_served(SECOND);
    assert_eq!(rig.published(), later, "the lane is free");
}

/// A relay's letters have no cap: the stream does not stop for them.
#[test]
fn s07_a_relay_goes_on_however_many_letters_it_has() {
    let mut rig = Rig::new(Shape {
        in_flight: 50,
        ..Shape::plain()
    });
    for key in 0..200 {
        let rows = rig.read(&vec![row(0, Some(key)); 5]);
        rig.fails(rows[0], FailureKind::Message);
        for seq in &rows[1..] {
            rig.answer(*seq, Receipt::NotAttempted);
        }
        rig.serve();
    }
    rig.published();
    let other = rig.read(&[row(0, Some(1_000))]);
    assert_eq!(rig.published(), other);
    assert_eq!(rig.letters.letters.len(), 1_000);
}

/// A released letter is the message that it was, however often: same place, same identity, replay epoch 0.
#[test]
fn s29_a_release_raises_no_epoch() {
    let mut rig = Rig::plain();
    let rows = rig.read(&[row(0, Some(1))]);
    let first = rig.flying[0].clone();
    rig.fails(rows[0], FailureKind::Message);
    rig.serve();
    for _ in 0..3 {
        released(&mut rig, rows[0]);
        let again = &rig.flying[0];
        assert_eq!(again.message.position, first.message.position);
        assert_eq!(again.message.id, first.message.id);
        assert_eq!(again.message.replay, Some(0));
        assert_eq!(again.address, first.address);
        // It is durable, and the answer is lost with the process.
        rig.restart();
    }
}

/// A due lane goes out in runs like a live one; one close takes the delivered prefix of a run.
#[test]
fn s32_a_due_lane_is_drained_in_runs() {
    let mut rig = Rig::new(Shape {
        run_max: 40,
        ..Shape::plain()
    });
    let rows = parked(&mut rig, 40);
    let later = rig.read(&vec![row(0, Some(1)); 60]);
    rig.serve();
    let all = [rows, later].concat();
    assert_eq!(released(&mut rig, all[0]), all[..40]);
    let began = rig.now;
    rig.durable(&all[..40]);
    let closes = rig.close.clone().expect("one close for the run");
    assert_eq!((closes.len(), closes[0].delivered.len()), (1, 40));
    rig.wait_served(SECOND);
    assert_eq!(rig.published(), all[40..80], "the next run follows at once");
    rig.durable(&all[40..80]);
    rig.wait_served(SECOND);
    rig.durable(&all[80..]);
    rig.serve();
    assert!(rig.letters.lanes.is_empty() && rig.now < began + 5 * SECOND);
}
