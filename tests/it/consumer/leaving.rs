//! Drains, revocations, losses: what is in flight is finished, what waits is given back.

use std::time::Duration;

use twinbox::consumer::{ConsumerState, Outcome, Wanted};
use twinbox::contract::Fate;

use super::world::{Reply, World};
use crate::support::wait::{PATIENCE, ensure, until};

#[tokio::test]
async fn a_drain_loses_nothing_and_stores_nothing() {
    let world = World::new();
    world.write((0..400).map(|n| ["a", "b", "c"][n % 3]));
    let consumer = world.start();
    world.done(20).await;
    assert_eq!(consumer.stop().await, Outcome::Drained);
    let effects = world.effects().len();
    assert!(world.was_released());
    assert!(world.database.tables().lanes.is_empty(), "nothing becomes a letter");
    let mut done = world.effects();
    done.sort_unstable();
    let prefix = done.iter().zip(0..).take_while(|(done, n)| **done == *n).count();
    assert_eq!(
        world.database.tables().position,
        i64::try_from(prefix).ok(),
        "of {effects} effects"
    );
    let consumer = world.start();
    world.done(400).await;
    consumer.stop().await;
    let mut done = world.effects();
    done.sort_unstable();
    assert_eq!(done, (0..400).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_drain_by_hook_leaves_and_stays_until_it_is_resumed() {
    let world = World::new();
    world.write(["a"; 5]);
    let mut consumer = world.start();
    world.done(5).await;
    consumer.wanted.send_replace(Wanted::Drain);
    consumer
        .shows("drained", |status| status.state == ConsumerState::Drained)
        .await;
    assert!(world.was_released());
    world.write(["a"; 5]);
    consumer.wanted.send_replace(Wanted::Consume);
    world.done(10).await;
    assert_eq!(consumer.stop().await, Outcome::Drained);
}

#[tokio::test]
async fn a_drain_ends_at_its_deadline_and_leaves_the_claim() {
    let world = World::new();
    world.script(|offset, _| if offset == 2 { Reply::Hangs } else { Reply::Done });
    world.write(["a", "b", "c"]);
    let consumer = world.start_with(twinbox::flow::OnReject::Park, 1);
    world.done(2).await;
    until("the call", PATIENCE, async || {
        ensure(!world.attempts(2).is_empty(), String::new)
    })
    .await;
    assert_eq!(consumer.stop().await, Outcome::Drained);
    assert!(world.settled() <= 2, "{}", world.settled());
    assert!(world.database.tables().claim.is_some(), "the next owner takes care");
}

#[tokio::test]
async fn a_revoked_stream_is_drained_and_released() {
    let world = World::new();
    world.write((0..200).map(|n| ["a", "b", "c"][n % 3]));
    let consumer = world.start();
    world.done(10).await;
    world.fate(Fate::Revoked(Duration::from_secs(5)));
    until("the release", PATIENCE, async || {
        ensure(world.was_released(), String::new)
    })
    .await;
    assert_eq!(world.database.tables().claim, None, "a clean hand-over");
    let effects = world.effects().len();
    consumer.stop().await;
    assert_eq!(world.effects().len(), effects, "nothing is called for after it");
}

#[tokio::test]
async fn a_lost_stream_settles_nothing_more() {
    let world = World::new();
    world.script(|offset, _| if offset == 0 { Reply::Hangs } else { Reply::Done });
    world.write(["a", "b"]);
    let mut consumer = world.start_with(twinbox::flow::OnReject::Park, 1);
    world.done(1).await;
    world.fate(Fate::Lost);
    consumer
        .shows("no stream", |status| status.streams.is_empty() && status.processed > 0)
        .await;
    assert!(!world.was_released(), "nobody hears of it");
    assert_eq!(consumer.stop().await, Outcome::Drained);
    assert!(world.settled() <= 0, "{}", world.settled());
    assert!(world.database.tables().claim.is_some());
}
