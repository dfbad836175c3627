//! What an operator does to a stream while it is tended: it stands still and is put elsewhere; nobody restarts anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use twinbox::consumer::ConsumerState;
use twinbox::contract::Stop;

use super::world::{Reply, World};
use crate::support::wait::{PATIENCE, ensure, until};
use twinbox::delivery::FailureKind;

/// What was read before the gap is settled first: accepting gives up what is gone, and nothing else.
#[tokio::test]
async fn g8_what_was_read_is_settled_before_a_stream_stands_still() {
    let world = World::new();
    let mended = Arc::new(AtomicBool::new(false));
    let passes = Arc::clone(&mended);
    world.script(move |offset, _| match offset {
        3 if !passes.load(Ordering::SeqCst) => Reply::Fails(FailureKind::Transient),
        _ => Reply::Done,
    });
    world.write((0..20).map(|n| ["a", "b", "c", "d"][n % 4]));
    world.lose((8, 12));
    let mut consumer = world.start();
    consumer
        .shows("blocked", |status| status.state == ConsumerState::Blocked)
        .await;
    // All of the other keys; what rests is waited for.
    world.done(6).await;
    assert_eq!(world.database.tables().stopped, None, "something is still to be done");
    mended.store(true, Ordering::SeqCst);
    until("it stands still", PATIENCE, async || {
        let stopped = world.database.tables().stopped;
        ensure(stopped.is_some(), || format!("{:?}", world.effects()))
    })
    .await;
    let stop = Stop {
        kind: "offsets_lost",
        from: 8,
        go_on: 12,
        mark: Some(8),
    };
    assert_eq!(world.database.tables().stopped, Some(stop));
    assert_eq!(world.database.tables().position, Some(8));

    world.database.put_at(12);
    world.done(16).await;
    consumer
        .shows("running", |status| {
            status.state == ConsumerState::Running && status.last_error.is_none()
        })
        .await;
    let mut effects = world.effects();
    effects.sort_unstable();
    assert_eq!(effects, (0..8).chain(12..20).collect::<Vec<_>>());
    consumer.stop().await;
}

/// A stream that is idle notices, too; and what was called for frightens nobody afterwards.
#[tokio::test]
async fn a_stream_that_is_put_back_is_read_again_without_a_restart() {
    let world = World::new();
    world.write(["a"; 10]);
    let mut consumer = world.start();
    world.done(10).await;
    until("the mark", PATIENCE, async || {
        ensure(world.settled() == 10, || world.settled().to_string())
    })
    .await;
    {
        let mut tables = world.database.tables();
        tables.done.clear();
        tables.claims.clear();
    }
    world.database.put_at(4);
    world.done(16).await;
    assert_eq!(world.effects()[10..], (4..10).collect::<Vec<_>>());
    let careless = world.database.tables().claims.iter().all(|claim| claim.care == 0);
    assert!(careless, "nobody died: {:?}", world.database.tables().claims);
    consumer
        .shows("running", |status| status.state == ConsumerState::Running)
        .await;
    consumer.stop().await;
}
