//! R1 to R11, each by its name. The bench checks all of them after every step; here each one decides.

use twinbox::contract::{Outbound, Receipt};
use twinbox::delivery::{Cause, FailureKind};
use twinbox::flow::Event;

use super::super::clock::SECOND;
use super::super::faults::Shape;
use super::letters::{parked, released};
use super::rig::{Rig, row};

#[test]
fn r1_a_lane_has_at_most_one_run_in_flight() {
    let mut rig = Rig::new(Shape {
        run_max: 2,
        ..Shape::plain()
    });
    let rows = rig.read(&vec![row(0, Some(1)); 3]);
    assert_eq!(rig.published(), rows[..2]);
    rig.durable(&rows[..1]);
    assert!(rig.published().is_empty(), "one of two is answered");
    rig.durable(&rows[1..2]);
    assert_eq!(rig.published(), rows[2..]);
}

#[test]
fn r2_a_failed_run_goes_back_to_the_front_with_its_tail() {
    let mut rig = Rig::plain();
    let rows = rig.read(&vec![row(0, Some(1)); 3]);
    let later = rig.read(&[row(0, Some(1))]);
    rig.durable(&rows[..1]);
    rig.fails(rows[1], FailureKind::Transient);
    rig.answer(rows[2], Receipt::NotAttempted);
    rig.published();
    rig.wait(SECOND);
    assert_eq!(rig.published(), rows[1..2]);
    rig.durable(&rows[1..2]);
    assert_eq!(rig.published(), [rows[2], later[0]]);
}

#[test]
fn r3_the_watermark_never_passes_an_unsettled_position() {
    let mut rig = Rig::plain();
    let rows = rig.read(&[1, 2, 3].map(|key| row(0, Some(key))));
    rig.durable(&rows[1..]);
    assert_eq!(rig.state.watermark(), None);
    rig.confirms();
    assert_eq!(
        rig.source.would_come_again().collect::<Vec<_>>(),
        [rows[0], rows[2]],
        "told with the first receipt"
    );
    rig.durable(&rows[..1]);
    assert_eq!(rig.state.watermark(), rig.source.position(rows[2]));
    rig.wait(SECOND);
    rig.confirms();
    assert_eq!(rig.source.would_come_again().count(), 0);
}

/// Gaps between positions: the watermark is one that was read, and goes only forward.
#[test]
fn r4_the_watermark_is_monotone_and_was_read() {
    let mut rig = Rig::plain();
    let mut odd = row(0, Some(9));
    odd.committed = false;
    let mut seen = Vec::new();
    for _ in 0..5 {
        rig.commit(&[odd.clone()]);
        let rows = rig.read(&[1, 2].map(|key| row(0, Some(key))));
        rig.durable(&rows[1..]);
        rig.durable(&rows[..1]);
        assert_eq!(rig.state.watermark(), rig.source.position(rows[1]));
        seen.push(rig.state.watermark());
    }
    assert!(seen.is_sorted());
}

#[test]
fn r5_the_budget_of_messages_is_kept() {
    let mut rig = Rig::new(Shape {
        in_flight: 3,
        ..Shape::plain()
    });
    let rows = rig.read(&[1, 2, 3, 4].map(|key| row(0, Some(key))));
    assert_eq!(rig.state.unsettled(), 3);
    assert_eq!(rig.fetch, None);
    rig.durable(&rows[..1]);
    assert_eq!(rig.fetch.map(|room| room.messages), Some(1));
}

#[test]
fn r5_the_budget_of_bytes_is_kept() {
    let mut rig = Rig::new(Shape {
        bytes: 3_000,
        ..Shape::plain()
    });
    let mut large = row(0, Some(1));
    large.body = 2_000;
    let rows = rig.read(&[large.clone(), large]);
    assert_eq!(rig.published(), rows[..1]);
    let room = rig.fetch.expect("there is a little room").bytes;
    assert!(room < 1_000, "{room}");
    rig.durable(&rows[..1]);
    assert_eq!(rig.fetch.map(|room| room.bytes < 1_000), Some(true), "asked for before");
    rig.fetches();
    rig.fetches();
    assert_eq!(rig.published(), rows[1..]);
}

/// A failure settles nothing, a run that was not attempted settles nothing, a store that is not answered settles nothing.
#[test]
fn r6_only_a_durable_message_or_a_stored_letter_is_settled() {
    let mut rig = Rig::plain();
    let rows = rig.read(&vec![row(0, Some(1)); 2]);
    rig.fails(rows[0], FailureKind::Message);
    rig.answer(rows[1], Receipt::NotAttempted);
    assert_eq!(rig.state.unsettled(), 2);
    rig.happens(Event::DeskFailed(std::time::Duration::from_millis(200)));
    assert_eq!(rig.state.unsettled(), 2);
    rig.store = None;
    rig.wait(SECOND);
    rig.stores();
    assert_eq!(rig.state.unsettled(), 0);
}

#[test]
fn r7_a_parked_keys_later_messages_follow_it_in_order() {
    let mut rig = Rig::plain();
    let rows = parked(&mut rig, 2);
    let later = rig.read(&vec![row(0, Some(1)); 2]);
    rig.serve();
    assert!(rig.published().is_empty());
    let all = [rows, later].concat();
    assert_eq!(rig.open_letters(all[0]), all);
    assert_eq!(released(&mut rig, all[0]), all);
    rig.durable(&all);
    rig.serve();
    let live = rig.read(&[row(0, Some(1))]);
    assert_eq!(rig.published(), live, "the lane is free");
}

#[test]
fn r8_a_run_ends_with_its_last_answer() {
    let mut rig = Rig::plain();
    let rows = rig.read(&vec![row(0, Some(1)); 3]);
    rig.happens(Event::Drain);
    rig.fetches();
    rig.fetches();
    rig.published();
    rig.fails(rows[0], FailureKind::Transient);
    rig.answer(rows[1], Receipt::NotAttempted);
    rig.wait(5 * SECOND);
    assert_eq!(rig.ended, None, "one answer is missing");
    rig.answer(rows[2], Receipt::NotAttempted);
    assert_eq!(rig.ended, Some("drained"));
    rig.wait(5 * SECOND);
    assert!(rig.published().is_empty(), "what rests is the next holder's");
}

#[test]
fn r9_after_a_drain_began_nothing_new_is_fetched_and_no_due_letter_taken() {
    let mut rig = Rig::plain();
    let rows = parked(&mut rig, 1);
    rig.wait(SECOND);
    rig.release(rows[0]);
    rig.happens(Event::Drain);
    if rig.pick.is_some() {
        rig.picks();
    }
    assert!(rig.published().is_empty(), "what was picked before goes back");
    rig.fetches();
    rig.fetches();
    rig.commit(&[row(0, Some(2))]);
    rig.wait_served(5 * SECOND);
    assert_eq!((rig.fetch, rig.pick, rig.ended), (None, None, Some("drained")));
}

#[test]
fn r10_a_lane_is_stored_whole_from_its_head() {
    let mut rig = Rig::new(Shape {
        run_max: 2,
        ..Shape::plain()
    });
    let rows = rig.read(&vec![row(0, Some(1)); 5]);
    rig.durable(&rows[..1]);
    rig.fails(rows[1], FailureKind::Message);
    let later = rig.read(&[row(0, Some(1))]);
    rig.confirms();
    let run = rig.store.clone().expect("it is parked");
    let positions: Vec<_> = run.parks[0].positions().iter().map(|position| position.minor).collect();
    assert_eq!(positions, [&rows[1..], &later].concat());
    rig.serve();
    assert_eq!(rig.open_letters(rows[1]), [&rows[1..], &later].concat());
}

#[test]
fn r11_what_pins_the_watermark_for_a_minute_while_others_flow_is_stored() {
    let mut rig = Rig::plain();
    let rows = rig.read(&vec![row(0, Some(1)); 2]);
    for _ in 0..13 {
        if rig
            .flying
            .iter()
            .any(|outbound| outbound.message.position.minor == rows[0])
        {
            rig.fails(rows[0], FailureKind::Unreachable);
        }
        if rig
            .flying
            .iter()
            .any(|outbound| outbound.message.position.minor == rows[1])
        {
            rig.answer(rows[1], Receipt::NotAttempted);
        }
        let other = rig.read(&[row(1, Some(2))]);
        rig.durable(&other);
        rig.wait_served(5 * SECOND);
    }
    assert_eq!(rig.open_letters(rows[0]), rows);
    assert_eq!(rig.letters.lanes[&rig.lane(rows[0])].cause, Cause::Destination);
    assert!(rig.state.watermark() > rig.source.position(rows[1]));
}

/// No answer for 50 s, then failures: the watermark is pinned since the hand-over, not since the first failure.
#[test]
fn r11_the_wait_for_an_answer_counts_too() {
    let mut rig = Rig::plain();
    let rows = rig.read(&[row(0, Some(1))]);
    for round in 0..14 {
        let flies = |outbound: &Outbound| outbound.message.position.minor == rows[0];
        if round >= 10 && rig.flying.iter().any(flies) {
            rig.fails(rows[0], FailureKind::Unreachable);
        }
        let other = rig.read(&[row(1, Some(2))]);
        rig.durable(&other);
        rig.wait_served(5 * SECOND);
    }
    assert_eq!(rig.open_letters(rows[0]), rows);
}

/// Twelve lanes probe a destination that rests, one after the other: the last is pinned since the rest began, not
/// since its own first failure.
#[test]
fn r11_the_rest_of_a_destination_counts_too() {
    let mut rig = Rig::plain();
    let mut rows = rig.read(&[row(0, Some(1))]);
    rig.fails(rows[0], FailureKind::Unreachable);
    rows.extend((2..13).flat_map(|key| rig.read(&[row(0, Some(key))])));
    rig.published();
    let mut tried = Vec::new();
    for tenth in 0..700 {
        let probes = rig.flying.iter().map(|outbound| outbound.message.position.minor);
        for probe in probes.collect::<Vec<_>>() {
            tried.push((probe, rig.now));
            rig.fails(probe, FailureKind::Unreachable);
        }
        if tenth % 50 == 0 {
            let other = rig.read(&[row(1, Some(1))]);
            rig.durable(&other);
        }
        rig.wait_served(SECOND / 10);
    }
    let last = tried
        .iter()
        .find(|(seq, _)| *seq == rows[11])
        .expect("it was the probe");
    assert!(last.1 > 40 * SECOND, "late: {tried:?}");
    for seq in rows {
        assert_eq!(rig.open_letters(seq), [seq]);
    }
}

#[test]
fn r11_when_nobody_flows_nothing_is_stored() {
    let mut rig = Rig::plain();
    let rows = rig.read(&vec![row(0, Some(1)); 2]);
    for _ in 0..40 {
        if !rig.flying.is_empty() {
            rig.fails(rows[0], FailureKind::Unreachable);
        }
        if !rig.flying.is_empty() {
            rig.answer(rows[1], Receipt::NotAttempted);
        }
        rig.wait(5 * SECOND);
        assert!(rig.store.is_none());
    }
    assert_eq!(rig.state.unsettled(), 2);
}
