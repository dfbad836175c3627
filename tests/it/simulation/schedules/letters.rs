//! Letters on their way out: claims, operators, and what cannot be sent.

use twinbox::contract::Receipt;
use twinbox::delivery::FailureKind;
use twinbox::flow::{Notice, OnReject};

use super::super::clock::SECOND;
use super::super::faults::Shape;
use super::super::model_source::Seq;
use super::rig::{Rig, row};

/// A lane whose rows are letters: the first was rejected, the others stood behind it.
pub(super) fn parked(rig: &mut Rig, count: usize) -> Vec<Seq> {
    let rows = rig.read(&vec![row(0, Some(1)); count]);
    rig.fails(rows[0], FailureKind::Message);
    for seq in &rows[1..] {
        rig.answer(*seq, Receipt::NotAttempted);
    }
    rig.serve();
    rig.published();
    assert_eq!(rig.open_letters(rows[0]), rows);
    rows
}

/// Releases and picks the lane of a row; answers what is handed over.
pub(super) fn released(rig: &mut Rig, seq: Seq) -> Vec<Seq> {
    rig.release(seq);
    rig.wait_served(SECOND);
    rig.published()
}

/// The claim ends while the letters wait for their answers; the lane is given to the same process again.
#[test]
fn s05_a_claim_that_ended_early_makes_no_second_run() {
    let mut rig = Rig::plain();
    let rows = parked(&mut rig, 2);
    assert_eq!(released(&mut rig, rows[0]), rows);
    rig.wait_served(40 * SECOND);
    assert!(rig.published().is_empty(), "R1: they are on their way");
    rig.durable(&rows);
    rig.serve();
    assert!(rig.letters.lanes.is_empty());
}

/// An operator discards what is out; what arrives behind finds the lane free, and waits for the answers all the same.
#[test]
fn s01_a_lane_discarded_under_its_letters_is_live_after_their_answers() {
    let mut rig = Rig::plain();
    let rows = parked(&mut rig, 2);
    assert_eq!(released(&mut rig, rows[0]), rows);
    rig.discard(rows[0], 2);
    let later = rig.read(&[row(0, Some(1))]);
    rig.serve();
    assert!(rig.published().is_empty(), "R1: two of the lane are on their way");
    rig.durable(&rows);
    rig.serve();
    assert_eq!(rig.published(), later);
}

/// A busy blocked lane has something to append at every moment; a due lane goes out all the same.
#[test]
fn s32_a_due_lane_is_picked_though_another_is_appended_to_without_end() {
    let mut rig = Rig::plain();
    let busy = rig.read(&[row(0, Some(2))]);
    rig.fails(busy[0], FailureKind::Message);
    rig.serve();
    let rows = parked(&mut rig, 2);
    rig.release(rows[0]);
    for _ in 0..20 {
        rig.read(&[row(0, Some(2))]);
        rig.wait(SECOND / 10);
        if rig.store.is_some() {
            // While this is stored more arrives: there is something to append again when it is done.
            rig.read(&[row(0, Some(2))]);
            rig.stores();
        }
        if rig.pick.is_some() {
            rig.picks();
        }
    }
    assert_eq!(rig.published(), rows);
}

/// What cannot be sent stays; what stands before it goes out.
#[test]
fn letters_go_out_up_to_the_first_without_a_body() {
    let mut rig = Rig::new(Shape {
        bytes: 4_000,
        ..Shape::plain()
    });
    let mut large = row(0, Some(1));
    large.body = 5_000;
    let rows = rig.read(&[row(0, Some(1)), large, row(0, Some(1))]);
    rig.fails(rows[0], FailureKind::Message);
    rig.serve();
    rig.fetches();
    rig.serve();
    assert_eq!(rig.open_letters(rows[0]), rows);
    rig.published();
    assert_eq!(released(&mut rig, rows[0]), rows[..1]);
    rig.durable(&rows[..1]);
    rig.wait_served(5 * SECOND);
    assert!(rig.published().is_empty());
    assert_eq!(rig.open_letters(rows[1]), rows[1..]);
    assert!(
        rig.letters.lanes[&rig.lane(rows[1])].due.is_none(),
        "it waits for a person"
    );
}

/// Nothing is left of a lane, and nothing more of it arrives: the count tells that it is not blocked.
#[test]
fn a_discarded_lane_is_free_although_nothing_of_it_arrives() {
    let mut rig = Rig::plain();
    let rows = parked(&mut rig, 2);
    rig.discard(rows[0], 1);
    rig.counts();
    assert_eq!(rig.state.lane_counts().parked, 1, "a letter is left");
    rig.discard(rows[0], 1);
    let lane = rig.lane(rows[0]);
    rig.counts();
    assert_eq!(rig.state.lane_counts().parked, 0);
    assert_eq!(rig.told.last(), Some(&Notice::LaneFree(lane)));
    rig.wait(10 * SECOND);
    assert_eq!(rig.pick, None, "nobody asks for due lanes any more");
    let later = rig.read(&[row(0, Some(1))]);
    assert_eq!(rig.published(), later);
}

/// The letters of a discarded lane are out: it is free once they are answered, not before.
#[test]
fn a_lane_discarded_under_its_letters_is_not_free_by_counting() {
    let mut rig = Rig::plain();
    let rows = parked(&mut rig, 2);
    assert_eq!(released(&mut rig, rows[0]), rows);
    rig.discard(rows[0], 2);
    rig.counts();
    let later = rig.read(&[row(0, Some(1))]);
    rig.serve();
    assert!(rig.published().is_empty(), "R1: two of the lane are on their way");
    rig.durable(&rows);
    rig.serve();
    assert_eq!(rig.published(), later);
    assert_eq!(rig.state.lane_counts().parked, 0);
}

/// It is free while its destination rests, and nothing of it is left in memory: what comes next is not forgotten.
#[test]
fn a_lane_discarded_while_its_destination_rests_goes_on() {
    let mut rig = Rig::plain();
    let rows = rig.read(&[row(0, Some(1))]);
    for wait in [31, 20] {
        rig.fails(rows[0], FailureKind::Destination);
        rig.wait_served(wait * SECOND);
    }
    let other = rig.read(&[row(1, Some(2))]);
    rig.durable(&other);
    rig.wait_served(15 * SECOND);
    assert_eq!(rig.open_letters(rows[0]), rows, "R11: stored while others flow");
    rig.discard(rows[0], 1);
    rig.counts();
    rig.wait_served(SECOND);
    let later = rig.read(&[row(0, Some(1))]);
    rig.wait_served(SECOND);
    assert_eq!(rig.open_letters(later[0]), later);
}

fn dead_letters() -> Rig {
    Rig::new(Shape {
        on_reject: OnReject::DeadLetter,
        ..Shape::plain()
    })
}

/// Where what is on its way goes.
fn destinations(rig: &Rig) -> Vec<String> {
    let flying = rig.flying.iter();
    flying
        .map(|outbound| outbound.address.destination.to_string())
        .collect()
}

/// A lane rests so long that it is stored, and then its head is refused: the letter goes to the dead-letter destination,
/// is dead once that has it, and what stood behind it goes out.
#[test]
fn a_letter_that_is_refused_goes_where_dead_letters_go() {
    let mut rig = dead_letters();
    let rows = rig.read(&[row(0, Some(1)), row(0, Some(1)), row(1, Some(2))]);
    rig.durable(&rows[2..]);
    rig.fails(rows[0], FailureKind::Destination);
    rig.answer(rows[1], Receipt::NotAttempted);
    rig.published();
    while rig.letters.of(rows[0]).is_none() {
        for seq in rig.published() {
            rig.fails(seq, FailureKind::Destination);
        }
        let other = rig.read(&[row(1, Some(2))]);
        rig.durable(&other);
        assert_eq!(rig.published().pop(), other.last().copied());
        rig.wait_served(5 * SECOND);
    }
    let goes_out = |rig: &mut Rig| {
        for _ in 0..600 {
            if rig.flying.is_empty() {
                rig.wait_served(SECOND);
            }
        }
        destinations(rig)
    };
    assert_eq!(goes_out(&mut rig), ["t0", "t0"]);
    rig.fails(rows[0], FailureKind::Message);
    rig.answer(rows[1], Receipt::NotAttempted);
    rig.serve();
    assert_eq!(goes_out(&mut rig), ["t0.dlq"]);
    rig.fails(rows[0], FailureKind::Unreachable);
    rig.serve();
    assert_eq!(goes_out(&mut rig), ["t0.dlq"], "nobody was there: it is tried again");
    rig.durable(&rows[..1]);
    rig.serve();
    assert!(rig.letters.of(rows[0]).is_some_and(|letter| letter.closed.is_some()));
    assert_eq!(goes_out(&mut rig), ["t0"]);
    rig.durable(&rows[1..2]);
    rig.serve();
    assert!(rig.letters.lanes.is_empty(), "nothing is left of the lane");
}

/// What is refused as a dead letter, too, waits for a person; after a release it is tried where it belongs.
#[test]
fn a_letter_that_is_refused_twice_is_parked() {
    let mut rig = dead_letters();
    let rows = rig.read(&[row(0, Some(1))]);
    for to in ["t0", "t0.dlq"] {
        assert_eq!(destinations(&rig), [to]);
        rig.fails(rows[0], FailureKind::Message);
    }
    rig.serve();
    for _ in 0..2 {
        rig.release(rows[0]);
        for to in ["t0", "t0.dlq"] {
            rig.wait_served(SECOND);
            assert_eq!(destinations(&rig), [to]);
            rig.fails(rows[0], FailureKind::Message);
            rig.serve();
        }
        rig.wait_served(SECOND);
        assert_eq!(rig.letters.lanes[&rig.lane(rows[0])].due, None, "parked");
    }
}

/// Ever-new lanes are blocked, and people deal with them: what is remembered of each goes with its row.
#[test]
fn a_blocked_lane_is_forgotten_with_its_row() {
    let mut rig = Rig::plain();
    for round in 0..20 {
        let rows = rig.read(&vec![row(0, None); 50]);
        for seq in &rows {
            rig.fails(*seq, FailureKind::Message);
        }
        rig.serve();
        assert_eq!(rig.state.lane_counts().parked, rows.len());
        for seq in rows {
            if round % 2 == 0 {
                rig.discard(seq, 1);
            } else {
                rig.release(seq);
                rig.wait_served(SECOND);
                rig.durable(&[seq]);
                rig.serve();
            }
        }
        rig.counts();
        assert_eq!(rig.state.lane_counts().parked, 0);
    }
}
