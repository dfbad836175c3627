//! Destinations: what one says of itself, of its lanes, and of nobody else.

use twinbox::delivery::FailureKind;

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
