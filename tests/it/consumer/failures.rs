//! What fails: one message, everything, the database; and what nobody can read.

use twinbox::consumer::{ConsumerState, Outcome};
use twinbox::delivery::FailureKind;
use twinbox::flow::OnReject;

use super::world::{ATTEMPTS, Reply, World};
use crate::support::wait::{PATIENCE, ensure, until};

/// Offsets 2, 5, 8 … are the key "poison".
fn keys(count: usize) -> impl Iterator<Item = &'static str> {
    (0..count).map(|n| ["a", "b", "poison"][n % 3])
}

async fn parked(world: &World, letters: usize) {
    until("letters", PATIENCE, async || {
        let stored: usize = world
            .database
            .tables()
            .lanes
            .values()
            .map(|row| row.letters.len())
            .sum();
        ensure(stored == letters, || format!("{stored} letters"))
    })
    .await;
}

#[tokio::test]
async fn a_rejected_message_blocks_its_key_alone_and_is_released_in_order() {
    let world = World::new();
    world.script(|offset, _| {
        if offset == 2 {
            Reply::Fails(FailureKind::Rejected)
        } else {
            Reply::Done
        }
    });
    world.write(keys(30));
    let consumer = world.start();
    world.done(20).await;
    parked(&world, 10).await;
    until("the mark", PATIENCE, async || {
        ensure(world.settled() == 30, || format!("{}", world.settled()))
    })
    .await;
    consumer.dies().await;

    world.script(|_, _| Reply::Done);
    let consumer = world.start();
    world.write(["poison", "a"]);
    world.done(21).await;
    parked(&world, 11).await;
    world.database.release();
    world.done(32).await;
    let of_key: Vec<_> = world
        .effects()
        .into_iter()
        .filter(|offset| offset % 3 == 2 || *offset == 30)
        .collect();
    assert!(of_key.is_sorted(), "{of_key:?}");
    consumer.stop().await;
    assert!(world.database.tables().lanes.is_empty());
}

#[tokio::test]
async fn attempts_count_only_while_others_flow() {
    let world = World::new();
    world.script(|offset, _| {
        if offset == 2 {
            Reply::Fails(FailureKind::Transient)
        } else {
            Reply::Done
        }
    });
    let consumer = world.start();
    world.write(["x", "y", "poison"]);
    until("two attempts", PATIENCE, async || {
        let attempts = world.attempts(2).len();
        ensure(attempts >= 6, || format!("{attempts}"))
    })
    .await;
    assert!(
        world.attempts(2).iter().all(|attempt| *attempt <= 2),
        "{:?}",
        world.attempts(2)
    );
    assert!(
        world.database.tables().lanes.is_empty(),
        "nobody else flows: it may be the application"
    );
    until("parked once others flow", PATIENCE, async || {
        world.write(["x"]);
        ensure(world.database.tables().lanes.len() == 1, || "not parked".to_owned())
    })
    .await;
    assert_eq!(world.attempts(2).last(), Some(&ATTEMPTS));
    consumer.stop().await;
}

#[tokio::test]
async fn an_application_that_is_down_burns_no_attempt_and_parks_nothing() {
    let world = World::new();
    world.script(|_, _| Reply::Fails(FailureKind::Unreachable));
    world.write(keys(30));
    let mut consumer = world.start();
    consumer
        .shows("paused", |status| {
            status.state == ConsumerState::Paused && status.breaker_open
        })
        .await;
    until("some probes", PATIENCE, async || {
        let attempts = world.attempts(0).len() + world.attempts(1).len() + world.attempts(2).len();
        ensure(attempts >= 8, || format!("{attempts}"))
    })
    .await;
    assert!(world.database.tables().lanes.is_empty());
    assert!((0..30).all(|offset| world.attempts(offset).iter().all(|attempt| *attempt == 1)));
    world.script(|_, _| Reply::Done);
    world.done(30).await;
    consumer
        .shows("running again", |status| {
            status.state == ConsumerState::Running && status.last_error.is_none()
        })
        .await;
    consumer.stop().await;
    assert_eq!(world.settled(), 30);
}

#[tokio::test]
async fn what_nobody_can_read_is_parked_at_once_and_others_flow() {
    let world = World::new();
    world.write(["a", "malformed", "b"]);
    let consumer = world.start();
    world.done(2).await;
    parked(&world, 1).await;
    assert_eq!(world.attempts(1), [0; 0], "nobody is called for it");
    assert_eq!(
        world
            .database
            .tables()
            .lanes
            .values()
            .next()
            .map(|row| row.code.clone()),
        Some("Malformed".into())
    );
    consumer.stop().await;
    assert_eq!(world.settled(), 3);
}

#[tokio::test]
async fn halt_stops_with_a_sentence_and_settles_nothing_of_it() {
    let world = World::new();
    world.script(|offset, _| {
        if offset == 1 {
            Reply::Fails(FailureKind::Rejected)
        } else {
            Reply::Done
        }
    });
    world.write(["a", "b"]);
    let consumer = world.start_with(OnReject::Halt, 1);
    let Outcome::Halted { sentence } = consumer.ends().await else {
        panic!("it did not halt")
    };
    assert!(
        sentence.contains("offset 1 of t/0") && sentence.contains("on_reject"),
        "{sentence}"
    );
    assert!(world.settled() <= 1);
}

#[tokio::test]
async fn a_database_that_is_away_settles_nothing_and_loses_nothing() {
    let world = World::new();
    let mut consumer = world.start();
    world.write(["a"; 5]);
    world.done(5).await;
    world.database.tables().away = true;
    world.write(["b"; 5]);
    consumer
        .shows("the failure", |status| status.last_error.is_some())
        .await;
    world.database.tables().away = false;
    world.done(10).await;
    consumer.stop().await;
    assert_eq!(world.settled(), 10);
}
