//! A message that kills the process (S23, S39): it is found and parked, and its bystanders are not blamed.

use super::world::{ATTEMPTS, Reply, World};
use crate::support::wait::{PATIENCE, ensure, until};

#[tokio::test]
async fn s23_a_message_that_kills_the_process_is_parked_and_its_bystanders_are_not() {
    let world = World::new();
    let killer = 20;
    world.script(move |offset, _| if offset == killer { Reply::Hangs } else { Reply::Done });
    world.write((0..40).map(|n| ["a", "b", "c", "d"][n % 4]));
    let mut deaths = 0;
    loop {
        let consumer = world.start();
        let calls = world.attempts(killer).len();
        let called = until("the killer is called for, or parked", PATIENCE, async || {
            let parked = !world.database.tables().lanes.is_empty();
            ensure(parked || world.attempts(killer).len() > calls, || {
                format!("{:?}", world.effects())
            })?;
            Ok(!parked)
        })
        .await;
        if !called {
            world.done(30).await;
            consumer.stop().await;
            break;
        }
        deaths += 1;
        assert!(deaths < 20, "it is never found");
        consumer.dies().await;
    }
    // 64 → 8 → 1: two deaths among others, and then alone as often as attempts allow.
    assert_eq!(deaths, 2 + ATTEMPTS);
    let tables = world.database.tables();
    let parked: Vec<_> = tables.lanes.values().collect();
    assert_eq!(parked.len(), 1, "the killer's key alone");
    assert_eq!(parked[0].code, "ProcessDied");
    let offsets: Vec<_> = parked[0]
        .letters
        .iter()
        .map(|(_, message)| message.position.major)
        .collect();
    assert_eq!(offsets, [20, 24, 28, 32, 36]);
    let mut effects = world.effects();
    effects.sort_unstable();
    effects.dedup();
    assert_eq!(effects.len(), 35, "each of the others once");
}

#[tokio::test]
async fn s23_a_clean_end_leaves_no_claim() {
    let world = World::new();
    world.write(["a"; 10]);
    let consumer = world.start();
    world.done(10).await;
    assert!(
        world.database.tables().claim.is_some(),
        "what is called for is signed before"
    );
    consumer.stop().await;
    assert_eq!(world.database.tables().claim, None);
}

#[tokio::test]
async fn s23_clean_ends_in_the_middle_of_care_are_no_deaths() {
    let world = World::new();
    world.script(|offset, _| if offset == 5 { Reply::Hangs } else { Reply::Done });
    world.write(["a"; 10]);
    let consumer = world.start();
    world.done(5).await;
    consumer.dies().await;
    world.script(|offset, _| {
        if offset >= 5 {
            Reply::Fails(twinbox::delivery::FailureKind::Unreachable)
        } else {
            Reply::Done
        }
    });
    for _ in 0..3 {
        let before = world.attempts(5).len();
        let consumer = world.start();
        until("a probe", PATIENCE, async || {
            let attempts = world.attempts(5).len();
            ensure(attempts > before, || format!("{attempts}"))
        })
        .await;
        consumer.stop().await;
        let claim = world.database.tables().claim;
        let claim = claim.expect("what it died of may still lie ahead");
        assert_eq!(claim.care, 0, "one death, however often it was handed over since");
    }
}
