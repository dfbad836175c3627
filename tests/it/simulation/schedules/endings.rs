//! How a term ends: halting, draining, waiting without burning a core.

use std::collections::VecDeque;
use std::time::Duration;

use twinbox::contract::{Page, Receipt};
use twinbox::delivery::FailureKind;
use twinbox::flow::{Event, OnReject};

use super::super::clock::SECOND;
use super::super::faults::Shape;
use super::super::model_source::Seq;
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

/// What was on its way when the publisher was closed was purged: that is no outage of a destination, and nobody is told of
/// one. What became durable meanwhile is settled, so that the next holder does not repeat it.
#[test]
fn what_is_purged_at_the_end_of_a_term_tells_nothing() {
    let mut rig = Rig::plain();
    let rows = rig.read(&[1, 2, 3].map(|key| row(0, Some(key))));
    rig.purged(&rows[1..2]);
    assert_eq!(rig.told, []);
    assert_eq!(rig.published(), rows, "nothing is handed over again");
    let parting = rig.state.parting().expect("something was settled");
    let rest: Vec<Seq> = parting.rest.iter().map(|position| position.minor).collect();
    assert_eq!(rest, [rows[0], rows[2]]);
    rig.wait(60 * SECOND);
    assert!(rig.published().is_empty() && rig.told.is_empty());
    let failed = rig
        .state
        .take_tallies()
        .iter()
        .map(|(_, tally)| tally.failed)
        .sum::<u64>();
    assert_eq!(failed, 0, "the broker refused nothing");
}

/// A row becomes durable every 20 ms: the waits between two confirms double from 50 ms to the usual second.
#[test]
fn the_first_confirms_of_a_term_follow_each_other_sooner() {
    let mut rig = Rig::new(Shape {
        batch: 200,
        ..Shape::plain()
    });
    let keys: Vec<_> = (0..200).map(|key| row(0, Some(key))).collect();
    let mut confirmed = Vec::new();
    for seq in rig.read(&keys) {
        rig.durable(&[seq]);
        while rig.confirm.is_some() {
            confirmed.push(rig.now);
            rig.confirms();
        }
        rig.wait(SECOND / 50);
    }
    let waits: Vec<u64> = confirmed
        .windows(2)
        .map(|two| (two[1] - two[0]) * 1000 / SECOND)
        .collect();
    let at_least = [50, 100, 200, 400, 800, 1000];
    assert!(waits.len() >= at_least.len(), "{waits:?}");
    for (wait, least) in waits.iter().zip(at_least) {
        assert!((least..least + 21).contains(wait), "{waits:?}");
    }
}

/// Killed every 400 ms, in the middle of a long window, while a row becomes durable every 20 ms: most of what was done is
/// not done again.
#[test]
fn a_relay_that_is_killed_more_than_once_a_second_gets_on() {
    let mut rig = Rig::new(Shape {
        batch: 10,
        ..Shape::plain()
    });
    let keys: Vec<_> = (0..60).map(|key| row(0, Some(key))).collect();
    let mut left = rig.commit(&keys);
    let mut terms = 0;
    while !left.is_empty() {
        terms += 1;
        assert!(terms <= 6, "{} of 60 rows are left", left.len());
        let mut flying = VecDeque::new();
        for _ in 0..20 {
            if rig.fetch.is_some() {
                rig.fetches();
                flying.extend(rig.published());
            }
            rig.durable(flying.pop_front().as_slice());
            if rig.confirm.is_some() {
                rig.confirms();
            }
            rig.wait(SECOND / 50);
        }
        rig.restart();
        left = rig.source.would_come_again().collect();
    }
}

/// I6: a row rests, what was read beside it was settled long ago, and the budget is full of what came later: a crash
/// repeats the budget, and nothing that was settled before the last second.
#[test]
fn what_was_settled_long_ago_is_not_sent_again() {
    let mut rig = Rig::new(Shape {
        in_flight: 8,
        run_max: 1,
        ..Shape::plain()
    });
    let rows = rig.read(&[1, 2, 3, 4, 5].map(|key| row(0, Some(key))));
    rig.durable(&rows[1..]);
    rig.fails(rows[0], FailureKind::Transient);
    rig.wait_served(2 * SECOND);
    let later = rig.read(&[6, 7, 8, 9, 10, 11, 12].map(|key| row(1, Some(key))));
    let again: Vec<_> = rig.source.would_come_again().collect();
    assert_eq!(again, [&rows[..1], &later[..]].concat(), "all of it may be on its way");
}

/// A relay that is killed a moment after each start gets on within one window.
#[test]
fn a_relay_that_is_killed_again_and_again_gets_on() {
    let mut rig = Rig::plain();
    let rows = rig.commit(&[1, 2, 3, 4, 5].map(|key| row(0, Some(key))));
    for life in 0..rows.len() {
        rig.fetches();
        assert_eq!(rig.published(), rows[life..]);
        rig.durable(&rows[life..=life]);
        rig.wait_served(SECOND / 10);
        rig.restart();
    }
    assert_eq!(rig.source.would_come_again().count(), 0);
}
