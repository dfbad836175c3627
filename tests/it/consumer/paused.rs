//! What an operator holds back: what was called for is finished, what waits for its call goes back and burns nothing.

use tokio::sync::watch;
use twinbox::consumer::{ConsumerState, Outcome};
use twinbox::flow::{Pause, Pauses};
use twinbox::message::Key;

use super::world::{Reply, World};
use crate::support::wait::{PATIENCE, ensure, until};

/// Messages, each of a key of its own; four batches of ten are called for at a time.
const MESSAGES: u64 = 60;
const CALLED: u64 = 40;

fn key(offset: u64) -> String {
    format!("k{offset}")
}

/// Everything that is read is called for, or waits for its call; nothing answers before the gate opens.
fn busy(world: &World) -> watch::Sender<bool> {
    let (gate, open) = watch::channel(false);
    world.script(move |_, _| Reply::Waits(open.clone()));
    let keys: Vec<String> = (0..MESSAGES).map(key).collect();
    world.write(keys.iter().map(String::as_str));
    gate
}

fn whole() -> Pauses {
    let whole = Some(Pause {
        by: "ann".to_owned(),
        reason: None,
        since: jiff::Timestamp::UNIX_EPOCH,
    });
    Pauses {
        whole,
        ..Pauses::none()
    }
}

#[tokio::test]
async fn a_paused_key_that_waits_for_its_call_is_not_called_for() {
    let world = World::new();
    let gate = busy(&world);
    let mut consumer = world.start();
    consumer
        .shows("all are read", |status| status.in_flight() == MESSAGES as usize)
        .await;
    // The last one flows: those before it would have been called for before it.
    let keys = (CALLED..MESSAGES - 1).map(|offset| Key::from(key(offset).as_str()));
    let keys = keys.collect();
    world.pauses.send_replace(Pauses { keys, ..Pauses::none() });
    gate.send_replace(true);
    let flowing = CALLED + 1;
    world.done(flowing as usize).await;
    until("the mark", PATIENCE, async || {
        ensure(world.settled() == MESSAGES.cast_signed(), || {
            format!("{}", world.settled())
        })
    })
    .await;
    let expected: Vec<u64> = (0..CALLED).chain([MESSAGES - 1]).collect();
    let mut effects = world.effects();
    effects.sort_unstable();
    assert_eq!(effects, expected);
    assert!((CALLED..MESSAGES - 1).all(|offset| world.attempts(offset).is_empty()));

    world.pauses.send_replace(Pauses::none());
    world.database.release();
    world.done(MESSAGES as usize).await;
    assert!(
        (0..MESSAGES).all(|offset| world.attempts(offset) == [1]),
        "no attempt is burnt"
    );
    assert_eq!(consumer.stop().await, Outcome::Drained);
}

#[tokio::test]
async fn under_a_whole_pause_nothing_is_called_for_and_nothing_stored() {
    let world = World::new();
    let gate = busy(&world);
    let mut consumer = world.start();
    consumer
        .shows("all are read", |status| status.in_flight() == MESSAGES as usize)
        .await;
    world.pauses.send_replace(whole());
    gate.send_replace(true);
    let waiting = (MESSAGES - CALLED) as usize;
    consumer
        .shows("what was called for is finished", |status| {
            status.state == ConsumerState::Paused && status.in_flight() == waiting && status.paused.is_some()
        })
        .await;
    assert!((CALLED..MESSAGES).all(|offset| world.attempts(offset).is_empty()));
    assert!(world.database.tables().lanes.is_empty());
    world.pauses.send_replace(Pauses::none());
    world.done(MESSAGES as usize).await;
    assert!(
        (0..MESSAGES).all(|offset| world.attempts(offset) == [1]),
        "no attempt is burnt"
    );
    assert_eq!(consumer.stop().await, Outcome::Drained);
}

/// Nobody has read yet what is paused: nothing is called for before somebody has.
#[tokio::test]
async fn before_it_is_known_what_is_paused_nothing_is_called_for() {
    let world = World::new();
    world.pauses.send_replace(Pauses::default());
    world.write(["a", "b"]);
    let mut consumer = world.start();
    consumer.shows("both are read", |status| status.in_flight() == 2).await;
    assert!(world.effects().is_empty());
    world.pauses.send_replace(Pauses::none());
    world.done(2).await;
    assert_eq!(consumer.stop().await, Outcome::Drained);
}
