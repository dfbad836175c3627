//! Lanes on their way into the letter store: whole, from the head, while answers come and go.

use twinbox::contract::Receipt;
use twinbox::delivery::FailureKind;

use super::super::clock::SECOND;
use super::super::model_source::Seq;
use super::rig::{Rig, row};

/// What is read while a store is made again belongs to the progress that it writes.
#[test]
fn a_store_made_again_tells_what_is_left_by_then() {
    let mut rig = Rig::plain();
    let rows = rig.read(&[row(0, Some(1))]);
    rig.fails(rows[0], FailureKind::Message);
    rig.stores_and_says_it_failed();
    let later = rig.read(&[row(0, Some(2))]);
    rig.wait(300_000);
    let progress = rig.store.as_ref().expect("it is made again").progress.clone();
    assert_eq!(Some(progress.read), rig.source.position(later[0]));
    assert_eq!(progress.rest, [progress.read]);
    rig.stores();
    rig.answer(later[0], Receipt::Durable);
}

/// A lane whose run of two is not answered while another lane flows, until it is to be stored.
fn stalled(rig: &mut Rig) -> Vec<Seq> {
    let rows = rig.read(&[row(0, Some(1)), row(0, Some(1))]);
    for _ in 0..7 {
        flow(rig);
        rig.wait(10 * SECOND);
        if rig.store.is_some() {
            break;
        }
    }
    assert!(rig.store.is_some(), "R11: it is stored");
    rig.published();
    rows
}

/// Another lane of the same destination succeeds.
fn flow(rig: &mut Rig) {
    let other = rig.read(&[row(0, Some(2))]);
    rig.durable(&other);
    if rig.confirm.is_some() {
        rig.confirms();
    }
}

#[test]
fn s33_letters_wait_for_the_run_that_was_stored_unanswered() {
    let mut rig = Rig::plain();
    let rows = stalled(&mut rig);
    rig.stores();
    assert_eq!(rig.open_letters(rows[0]), rows);
    rig.release(rows[0]);
    rig.wait_served(5 * SECOND);
    assert!(rig.published().is_empty(), "its run still counts for R1");
    rig.durable(&rows[..1]);
    rig.fails(rows[1], FailureKind::Timeout);
    rig.release(rows[0]);
    rig.wait_served(5 * SECOND);
    assert_eq!(
        rig.published(),
        rows[1..],
        "what became durable late is closed, not sent"
    );
    rig.durable(&rows[1..]);
    rig.serve();
    assert!(rig.letters.lanes.is_empty());
}

/// One answer of the run had come before the lane was stored: only the other is waited for.
#[test]
fn s33_a_run_answered_in_part_is_waited_for_in_part() {
    let mut rig = Rig::plain();
    let rows = rig.read(&[row(0, Some(1)), row(0, Some(1))]);
    rig.fails(rows[0], FailureKind::Timeout);
    for _ in 0..7 {
        flow(&mut rig);
        rig.wait(10 * SECOND);
    }
    rig.stores();
    rig.published();
    rig.fails(rows[1], FailureKind::Timeout);
    rig.release(rows[0]);
    rig.wait_served(5 * SECOND);
    assert_eq!(rig.published(), rows);
}

/// The lane is discarded and live again before its old run is answered.
#[test]
fn s33_a_lane_that_is_free_again_waits_for_its_old_run() {
    let mut rig = Rig::plain();
    let rows = stalled(&mut rig);
    rig.stores();
    rig.discard(rows[0], 2);
    let later = rig.read(&[row(0, Some(1))]);
    rig.serve();
    assert!(rig.published().is_empty(), "R1: its old run is on its way");
    rig.fails(rows[0], FailureKind::Timeout);
    rig.fails(rows[1], FailureKind::Timeout);
    assert_eq!(rig.published(), later);
}

/// Answers come while the store is out: what is being stored is not sent again.
#[test]
fn s33_a_failure_during_the_store_sends_nothing() {
    let mut rig = Rig::plain();
    let rows = stalled(&mut rig);
    rig.fails(rows[0], FailureKind::Timeout);
    rig.answer(rows[1], Receipt::NotAttempted);
    let later = rig.read(&[row(0, Some(1))]);
    rig.wait(10 * SECOND);
    assert!(rig.published().is_empty());
    rig.stores();
    rig.serve();
    assert_eq!(rig.open_letters(rows[0]), [rows[0], rows[1], later[0]]);
}

/// The head became durable while its lane was being stored: its letter is closed, not sent.
#[test]
fn s33_what_is_durable_during_the_store_is_not_sent_again() {
    let mut rig = Rig::plain();
    let rows = stalled(&mut rig);
    rig.durable(&rows[..1]);
    rig.answer(rows[1], Receipt::NotAttempted);
    rig.stores();
    rig.release(rows[0]);
    rig.wait_served(5 * SECOND);
    assert_eq!(rig.published(), rows[1..]);
}

/// The answers come after the lane was found to pin the watermark, and before it could be stored: it flows on.
#[test]
fn a_lane_that_recovers_before_it_is_stored_flows_on() {
    let mut rig = Rig::plain();
    let rows = rig.read(&[row(0, Some(1)), row(0, Some(1))]);
    for _ in 0..6 {
        rig.wait(9 * SECOND);
        flow(&mut rig);
    }
    rig.wait(4 * SECOND);
    let other = rig.read(&[row(0, Some(2))]);
    rig.durable(&other);
    assert!(rig.confirm.is_some(), "a confirm is out, so nothing can be stored");
    rig.wait(4 * SECOND);
    assert!(rig.store.is_none());
    let later = rig.read(&[row(0, Some(1))]);
    rig.published();
    rig.durable(&rows);
    assert_eq!(rig.published(), later);
    rig.confirms();
    assert!(rig.store.is_none(), "nothing of it needs to be stored any more");
}
