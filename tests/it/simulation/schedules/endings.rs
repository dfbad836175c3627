//! How a term ends: halting, draining, waiting without burning a core.

use std::time::Duration;

use twinbox::contract::{Page, Receipt};
use twinbox::delivery::FailureKind;
use twinbox::relay::{Event, OnReject};

use super::super::clock::SECOND;
use super::super::faults::Shape;
use super::rig::{Rig, row};

/// The report of an earlier hand-over comes when the message is back in its lane, and when it is out again.
#[test]
fn s12_a_receipt_of_another_hand_over_settles_nothing() {
    let mut rig = Rig::plain();
    let rows = rig.read(&[row(0, Some(1)), row(0, Some(1))]);
    let old = rig.flying[0].ticket;
    rig.fails(rows[0], FailureKind::Transient);
    rig.answer(rows[1], Receipt::NotAttempted);
    rig.late(old, Receipt::Durable);
    assert_eq!(rig.state.unsettled(), 2);
    rig.published();
    rig.wait(SECOND);
    assert_eq!(rig.published(), rows[..1], "one message probes");
    rig.late(old, Receipt::Durable);
    assert_eq!(rig.state.unsettled(), 2);
    rig.durable(&rows[..1]);
    assert_eq!(rig.published(), rows[1..]);
}

/// A long window is being read when the drain begins; what committed after it was opened is read as well.
#[test]
fn s37_the_last_window_is_opened_behind_the_one_being_read() {
    let mut rig = Rig::new(Shape {
        batch: 2,
        ..Shape::plain()
    });
    let mut rows = rig.read(&[1, 2, 3, 4, 5].map(|key| row(0, Some(key))));
    rows.extend(rig.commit(&[row(0, Some(6))]));
    rig.happens(Event::Drain);
    rig.fetches();
    rig.fetches();
    rig.fetches();
    assert_eq!(rig.published(), rows);
    let too_late = rig.commit(&[row(0, Some(7))]);
    assert_eq!(rig.fetch, None, "R9: no other window is opened for {too_late:?}");
    rig.durable(&rows);
    rig.serve();
    assert_eq!(rig.ended, Some("drained"));
}

/// The reading that is out when the drain begins was asked for before: it is not the last one.
#[test]
fn s37_a_reading_asked_for_before_the_drain_is_not_the_last() {
    let mut rig = Rig::plain();
    let mut rows = rig.commit(&[row(0, Some(1))]);
    rig.happens(Event::Drain);
    rig.fetches();
    rows.extend(rig.commit(&[row(0, Some(2))]));
    rig.fetches();
    assert_eq!(rig.published(), rows);
    rig.durable(&rows);
    rig.serve();
    assert_eq!(rig.ended, Some("drained"));
}

/// The same, and it brings nothing: that nothing was there before the drain says nothing about now.
#[test]
fn s37_an_empty_reading_asked_for_before_the_drain_is_not_the_last() {
    let mut rig = Rig::plain();
    rig.happens(Event::Drain);
    let early = rig.fetch.take();
    assert!(early.is_some());
    rig.happens(Event::Fetched(Page::default()));
    let rows = rig.read(&[row(0, Some(1))]);
    rig.durable(&rows);
    rig.serve();
    assert_eq!(rig.ended, Some("drained"));
}

/// A reading failed just before the drain, and had written its window: that one is not the last.
#[test]
fn s37_a_window_of_a_failed_reading_is_not_the_last() {
    let mut rig = Rig::plain();
    let mut rows = rig.commit(&[row(0, Some(1))]);
    rig.source.open_window();
    rig.fetch = None;
    rig.happens(Event::FetchFailed(Duration::from_millis(200)));
    rows.extend(rig.commit(&[row(0, Some(2))]));
    rig.happens(Event::Drain);
    rig.fetches();
    rig.fetches();
    rig.durable(&rows);
    rig.serve();
    assert_eq!(rig.ended, Some("drained"));
}

#[test]
fn a_halted_relay_hands_nothing_over() {
    let mut rig = Rig::new(Shape {
        on_reject: OnReject::Halt,
        ..Shape::plain()
    });
    let unroutable = row(0, Some(1)).unroutable();
    rig.read(&[unroutable, row(0, Some(2)), row(1, Some(3))]);
    assert_eq!(rig.ended, Some("halted"));
    assert!(rig.published().is_empty());
}

/// A confirm must wait for the store, which writes the same rows; the reducer must not ask to be woken for it meanwhile.
#[test]
fn a_slow_store_burns_no_core() {
    let mut rig = Rig::plain();
    let rows = rig.read(&[row(0, Some(1)), row(0, Some(2)), row(0, Some(3))]);
    rig.durable(&rows[..1]);
    rig.confirms();
    rig.fails(rows[1], FailureKind::Message);
    assert!(rig.store.is_some());
    rig.durable(&rows[2..]);
    rig.wait(5 * SECOND);
    rig.stores();
    rig.wait(5 * SECOND);
}

/// A drain that gave its last window up does not want to be woken for a source that failed.
#[test]
fn a_drain_with_its_source_away_burns_no_core() {
    let mut rig = Rig::plain();
    let rows = rig.read(&[row(0, Some(1))]);
    rig.happens(Event::Drain);
    rig.fetch = None;
    rig.happens(Event::FetchFailed(Duration::from_secs(6)));
    rig.wait(20 * SECOND);
    rig.durable(&rows);
    rig.serve();
    assert_eq!(rig.ended, Some("drained"));
}

/// No due lane is taken in a drain, so the reducer must not ask to be woken for taking one.
#[test]
fn a_drain_with_blocked_lanes_burns_no_core() {
    let mut rig = Rig::plain();
    let rows = rig.read(&[row(0, Some(1)), row(0, Some(2))]);
    rig.fails(rows[0], FailureKind::Message);
    rig.stores();
    rig.serve();
    rig.happens(Event::Drain);
    rig.fetches();
    rig.fetches();
    rig.wait(5 * SECOND);
    rig.answer(rows[1], Receipt::Durable);
    rig.serve();
    assert_eq!(rig.ended, Some("drained"));
}
