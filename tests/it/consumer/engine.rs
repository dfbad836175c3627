//! The path: read, called for in order, settled after the effect.

use std::time::Duration;

use twinbox::consumer::Outcome;

use super::world::{Reply, World};
use crate::support::wait::{PATIENCE, ensure, until};

#[tokio::test]
async fn every_message_has_its_effect_once_and_in_order_of_its_key() {
    let world = World::new();
    world.write((0..500).map(|n| ["a", "b", "c", "d", "e"][n % 5]));
    let consumer = world.start();
    world.done(500).await;
    let effects = world.effects();
    for key in 0..5 {
        let of_key: Vec<_> = effects.iter().filter(|offset| *offset % 5 == key).collect();
        assert!(of_key.is_sorted(), "key {key}: {of_key:?}");
        assert_eq!(of_key.len(), 100, "key {key}");
    }
    assert_eq!(consumer.stop().await, Outcome::Drained);
    assert_eq!((world.settled(), world.database.tables().position), (500, Some(500)));
}

#[tokio::test]
async fn g4_nothing_is_settled_above_a_message_that_has_no_effect() {
    let world = World::new();
    world.script(|offset, _| if offset == 3 { Reply::Hangs } else { Reply::Done });
    world.write(["a", "b", "c", "d"]);
    let consumer = world.start_with(twinbox::flow::OnReject::Park, 1);
    world.done(3).await;
    world.write((0..300).map(|n| if n % 2 == 0 { "e" } else { "f" }));
    world.done(303 - 64).await;
    assert!(world.settled() <= 3, "{}", world.settled());
    assert!(world.database.tables().position <= Some(3));
    consumer.dies().await;
}

#[tokio::test]
async fn a_successor_goes_on_where_nothing_is_missing_and_repeats_no_effect() {
    let world = World::new();
    world.write((0..100).map(|n| if n % 2 == 0 { "a" } else { "b" }));
    let consumer = world.start();
    world.done(20).await;
    consumer.dies().await;
    world.write((0..100).map(|_| "a"));
    let consumer = world.start();
    world.done(200).await;
    consumer.stop().await;
    let mut effects = world.effects();
    effects.sort_unstable();
    assert_eq!(effects, (0..200).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_broker_hears_of_the_mark_while_work_goes_on() {
    let world = World::new();
    let consumer = world.start();
    world.write(["a"; 10]);
    world.done(10).await;
    until("the mark", PATIENCE, async || {
        ensure(world.settled() == 10, || format!("{}", world.settled()))
    })
    .await;
    consumer.stop().await;
}

#[tokio::test]
async fn an_empty_stream_is_no_work() {
    let world = World::new();
    let mut consumer = world.start();
    consumer
        .shows("running", |status| status.streams.len() == 1 && status.in_flight() == 0)
        .await;
    let stopped = tokio::time::timeout(Duration::from_secs(3), consumer.stop()).await;
    assert_eq!(stopped, Ok(Outcome::Drained));
}
