//! Lanes on their way into the letter store: whole, from the head, while answers come and go.

use twinbox::contract::Receipt;
use twinbox::delivery::FailureKind;

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
