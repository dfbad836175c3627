//! Destinations: what one says of itself, of its lanes, and of nobody else.

use twinbox::contract::Receipt;
use twinbox::delivery::{Cause, FailureKind};
use twinbox::flow::{Notice, OnReject};

use super::super::clock::{MILLISECOND, SECOND};
use super::super::faults::Shape;
use super::rig::{Rig, row};

/// One success of another lane, and then everything fails: only the attempt beside the success speaks of the message.
#[test]
fn an_outage_after_a_success_parks_nothing() {
    let mut rig = Rig::new(Shape {
        attempts_max: 3,
        ..Shape::plain()
    });
    let rows = rig.read(&[row(0, Some(1)), row(0, Some(2))]);
    rig.fails(rows[0], FailureKind::Transient);
    rig.wait(MILLISECOND);
    rig.durable(&rows[1..]);
    rig.published();
    for _ in 0..6 {
        rig.wait(60 * SECOND);
        assert!(!rig.published().is_empty(), "it is tried again, not parked");
        rig.fails(rows[0], FailureKind::Transient);
    }
    assert!(rig.store.is_none());
}

/// Order 42 and customer 42: the same key at two destinations is two lanes.
#[test]
fn s08_a_key_is_another_one_at_another_destination() {
    let mut rig = Rig::plain();
    let rows = rig.read(&[row(0, Some(42)), row(1, Some(42))]);
    rig.fails(rows[0], FailureKind::Message);
    rig.serve();
    rig.durable(&rows[1..]);
    rig.published();
    let later = rig.read(&[row(1, Some(42)), row(0, Some(42))]);
    assert_eq!(rig.published(), later[..1]);
    rig.serve();
    assert_eq!(rig.open_letters(rows[0]), [rows[0], later[1]]);
}

/// Messages without a key block nobody, not even each other.
#[test]
fn s08_a_message_without_a_key_is_its_own_lane() {
    let mut rig = Rig::plain();
    let rows = rig.read(&vec![row(0, None); 3]);
    rig.fails(rows[0], FailureKind::Message);
    rig.serve();
    let later = rig.read(&[row(0, None)]);
    assert_eq!(rig.published(), [&rows[..], &later].concat());
    assert_eq!(rig.open_letters(rows[0]), rows[..1]);
}

/// A broker that lets a later message of a run pass a failed one is told on; the receipts stay the truth.
#[test]
fn a_broken_order_is_told() {
    let mut rig = Rig::plain();
    let rows = rig.read(&vec![row(0, Some(1)); 3]);
    rig.durable(&rows[..1]);
    rig.fails(rows[1], FailureKind::Transient);
    rig.durable(&rows[2..]);
    let place = |seq| rig.source.position(seq).unwrap();
    let (failed, durable) = (place(rows[1]), place(rows[2]));
    let told = |notice: &Notice| matches!(notice, Notice::OrderBroken { failed: one, durable: other, .. } if (*one, *other) == (failed, durable));
    assert!(rig.told.iter().any(told), "{:?}", rig.told);
    assert_eq!(rig.state.unsettled(), 1);
}

/// One partition answers nothing: its lanes are stored after a minute, the others never wait.
#[test]
fn s09_a_partition_without_a_leader_stops_nobody_else() {
    let mut rig = Rig::new(Shape {
        in_flight: 16,
        ..Shape::plain()
    });
    let stuck = rig.read(&[row(0, Some(1)), row(0, Some(3))]);
    rig.published();
    for _ in 0..20 {
        let other = rig.read(&[row(0, Some(2)), row(1, Some(2))]);
        assert_eq!(rig.published(), other);
        rig.durable(&other);
        rig.wait_served(5 * SECOND);
    }
    for seq in stuck {
        let lane = rig.lane(seq);
        assert_eq!(
            rig.letters.lanes[&lane].cause,
            Cause::Destination,
            "it goes out by itself"
        );
    }
    assert_eq!(rig.state.unsettled(), 0);
}

/// The third misconfigured destination is one more that rests; what flows flows on, and each is probed.
#[test]
fn s10_three_dead_destinations_do_not_stop_the_fourth() {
    let mut rig = Rig::plain();
    let rows = rig.read(&[1, 2, 3].map(|topic| row(topic, Some(1))));
    for seq in &rows {
        rig.fails(*seq, FailureKind::Destination);
    }
    assert_eq!(rig.ended, None);
    rig.published();
    let other = rig.read(&[row(4, Some(1)), row(1, Some(2))]);
    assert_eq!(rig.published(), other[..1], "the one that rests is left alone");
    rig.durable(&other[..1]);
    rig.serve();
    rig.wait(29 * SECOND);
    assert!(rig.published().is_empty(), "the first rest is 30 s");
    rig.wait(2 * SECOND);
    let probes = rig.published();
    assert_eq!(probes.len(), 3, "one probe each");
    rig.durable(&probes[..1]);
    let rests = |notice: &&Notice| matches!(notice, Notice::DestinationRests { .. });
    assert_eq!(rig.told.iter().filter(rests).count(), 3);
}

/// One row that nobody takes is left of its window, and others flow: after a minute nothing of the window is left.
#[test]
fn s13_what_nobody_takes_pins_no_window_for_long() {
    let mut rig = Rig::plain();
    let rows = rig.read(&[row(0, Some(1)), row(1, Some(2))]);
    rig.durable(&rows[1..]);
    for _ in 0..14 {
        let tried = rig.flying.iter().map(|outbound| outbound.message.position.minor);
        if tried.collect::<Vec<_>>() == rows[..1] {
            rig.fails(rows[0], FailureKind::Unreachable);
        }
        let other = rig.read(&[row(1, Some(2))]);
        rig.durable(&other);
        rig.wait_served(5 * SECOND);
    }
    let left: Vec<_> = rig.source.would_come_again().filter(|seq| rows.contains(seq)).collect();
    assert_eq!(
        left, [0; 0],
        "it would come again after a crash, behind thousands of windows"
    );
    assert_eq!(rig.open_letters(rows[0]), rows[..1]);
}

/// Probes of lanes that rest fail again, for a second.
fn keep_failing(rig: &mut Rig) {
    for _ in 0..10 {
        rig.wait_served(SECOND / 10);
        let flying = rig.flying.iter().map(|outbound| outbound.message.position.minor);
        for probe in flying.collect::<Vec<_>>() {
            rig.fails(probe, FailureKind::Transient);
        }
    }
}

/// One resting lane holds at most an eighth of the budget, though nobody else rests.
#[test]
fn s13_a_hot_key_that_rests_is_stored_at_once() {
    for (count, stored) in [(10, false), (11, true)] {
        let mut rig = Rig::new(Shape {
            in_flight: 80,
            run_max: 1,
            ..Shape::plain()
        });
        let rows = rig.read(&vec![row(0, Some(1)); count]);
        let other = rig.read(&[row(1, Some(1))]);
        rig.durable(&other);
        rig.fails(rows[0], FailureKind::Transient);
        keep_failing(&mut rig);
        assert_eq!(rig.letters.of(rows[0]).is_some(), stored, "{count} of 80 rest");
        assert_eq!(rig.state.unsettled(), if stored { 0 } else { count });
    }
}

/// All resting lanes together hold at most half, the largest is stored first.
#[test]
fn s13_resting_lanes_do_not_fill_the_budget() {
    let mut rig = Rig::new(Shape {
        in_flight: 80,
        run_max: 1,
        ..Shape::plain()
    });
    let hot = rig.read(&vec![row(0, Some(1)); 11]);
    let cool: Vec<_> = (2..8).map(|key| rig.read(&vec![row(0, Some(key)); 8])).collect();
    let flow = |rig: &mut Rig| {
        let other = rig.read(&[row(1, Some(1))]);
        rig.durable(&other);
    };
    flow(&mut rig);
    rig.fails(hot[0], FailureKind::Transient);
    for lane in &cool {
        rig.fails(lane[0], FailureKind::Transient);
    }
    flow(&mut rig);
    keep_failing(&mut rig);
    assert_eq!(rig.open_letters(hot[0]), hot, "more than 10 of 80");
    assert!(rig.state.unsettled() <= 40, "{} of 80 rest", rig.state.unsettled());
}

/// Rows name ever-new topics; each is dealt with, and none of them is remembered for ever.
#[test]
fn places_that_nothing_speaks_of_are_forgotten() {
    let mut rig = Rig::plain();
    let waits = rig.read(&[row(0, Some(1))]);
    let mut topic = 1;
    for _ in 0..60 {
        let rows: Vec<_> = (0..100).map(|key| row(topic + key, Some(key))).collect();
        topic += 100;
        let rows = rig.read(&rows);
        rig.durable(&rows);
        rig.serve();
        rig.state.take_tallies();
        assert!(rig.state.destinations() <= 1_100, "{}", rig.state.destinations());
    }
    rig.durable(&waits);
    let last = rig.read(&[row(0, Some(1))]);
    assert!(
        rig.published().ends_with(&last),
        "the place of a lane on its way was kept"
    );
}

/// Topics are missing, what waited for them is discarded, and ever-new ones come: the places that rest are forgotten when
/// nothing else can be, and each is told, or what it showed would be shown for ever.
#[test]
fn a_place_that_rests_and_is_forgotten_is_told() {
    let mut rig = Rig::plain();
    let missing = rig.read(&[row(1, Some(1)), row(2, Some(1))]);
    for _ in 0..14 {
        let failing = rig.flying.iter().map(|outbound| outbound.message.position.minor);
        for seq in failing.collect::<Vec<_>>() {
            rig.fails(seq, FailureKind::Destination);
        }
        let other = rig.read(&[row(0, Some(1))]);
        rig.durable(&other);
        rig.wait_served(5 * SECOND);
    }
    for seq in missing {
        rig.discard(seq, 1);
    }
    rig.counts();
    rig.wait_served(150 * SECOND);
    rig.state.take_tallies();
    // What the others did is not counted yet: they are no idle ones.
    let met = (10..).step_by(100).take_while(|topic| {
        let rows: Vec<_> = (*topic..topic + 100).map(|topic| row(topic, Some(1))).collect();
        let rows = rig.read(&rows);
        rig.durable(&rows);
        rig.told
            .iter()
            .all(|told| !matches!(told, Notice::DestinationForgotten(_)))
            && *topic < 2_000
    });
    assert!((8..15).contains(&met.count()), "as many as are kept");
    let told = rig.told.iter();
    let forgotten = told.filter(|told| matches!(told, Notice::DestinationForgotten(_)));
    assert_eq!(forgotten.count(), 2, "topic 0 flows, and is forgotten without a word");
}

/// Nobody made the topic of dead letters: it rests, and the refused message's lane. The topic itself takes others.
#[test]
fn a_dead_letter_topic_that_is_missing_stops_nobody_else() {
    let mut rig = Rig::new(Shape {
        on_reject: OnReject::DeadLetter,
        ..Shape::plain()
    });
    let rows = rig.read(&[row(0, Some(1)), row(0, Some(1))]);
    rig.fails(rows[0], FailureKind::Message);
    rig.answer(rows[1], Receipt::NotAttempted);
    let to = |rig: &Rig| rig.flying[0].address.destination.to_string();
    assert_eq!(to(&rig), "t0.dlq");
    rig.fails(rows[0], FailureKind::Destination);
    rig.published();
    let others = rig.read(&[row(0, Some(2))]);
    assert_eq!(rig.published(), others, "t0 takes messages");
    rig.durable(&others);
    rig.wait(29 * SECOND);
    assert!(rig.published().is_empty(), "the first rest is 30 s");
    rig.wait(2 * SECOND);
    assert_eq!((rig.published(), to(&rig)), (rows[..1].to_vec(), "t0.dlq".to_owned()));
    rig.durable(&rows[..1]);
    assert_eq!(rig.published(), rows[1..], "its lane flows on");
    let about = |notice: &&Notice| match notice {
        Notice::DestinationRests { destination, .. } | Notice::DestinationBack(destination) => {
            assert_eq!(destination.to_string(), "t0.dlq");
            true
        }
        _ => false,
    };
    assert_eq!(rig.told.iter().filter(about).count(), 2, "it rested, and is back");
}
