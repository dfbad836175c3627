//! Offsets that are gone: told with their range, accepted by an operator, and the running consumer goes on behind them.

use super::moved::Moved;
use crate::support::wait::{self, PATIENCE};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g8_a_consumer_goes_on_behind_lost_offsets_once_they_are_accepted() {
    let Some(world) = Moved::open("accept_offsets").await else {
        return;
    };
    world.put(0..10).await;
    let mut consumer = world.consume();
    world.done(10, &consumer).await;
    assert_eq!(consumer.terminate(PATIENCE).await.0, "exit 0", "{}", consumer.words());

    // Retention takes what nobody has read yet.
    world.put(10..60).await;
    world.delete_below(40).await;
    let consumer = world.consume();
    consumer.reaches("blocked").await;
    let status = consumer.complains("offsets 10 to 39 .*twinbox accept").await;
    assert_eq!(
        status["streams"][world.stream()]["stopped"]["kind"],
        "offsets_lost",
        "{status}"
    );
    assert_eq!(
        world.effects().await,
        (0..10).collect::<Vec<_>>(),
        "nothing was skipped unasked"
    );

    nothing_is_accepted_by_mistake(&world);
    let accept = [
        "accept",
        "billing",
        "offsets_lost",
        "--yes",
        "--reason",
        "they were test messages",
        "-o",
        "json",
    ];
    let accepted = wait::until("the stop is written down", PATIENCE, || async {
        let done = world.operate(&accept);
        wait::ensure(done.0 == 0, || format!("{done:?}"))?;
        Ok(done)
    })
    .await;
    let document: Value = serde_json::from_str(&accepted.1).expect("JSON");
    assert_eq!(
        (&document["streams"][0]["from"], &document["streams"][0]["to"]),
        (&10.into(), &40.into()),
        "{document}"
    );
    world.done(30, &consumer).await;
    let expected: Vec<i64> = (0..10).chain(40..60).collect();
    assert_eq!(
        world.effects().await,
        expected,
        "nothing else is lost, nothing is done twice"
    );
    consumer.reaches("running").await;
    let status = consumer.status().await.expect("answers");
    assert_eq!(status["streams"][world.stream()]["stopped"], Value::Null, "{status}");
    assert_eq!(status["last_error"], Value::Null, "{status}");
    let again = world.operate(&accept);
    assert_eq!(again.0, 1, "there is nothing more to accept: {again:?}");
}

fn nothing_is_accepted_by_mistake(world: &Moved) {
    let wrong = world.operate(&["accept", "billing", "topic_recreated", "--yes"]);
    assert_eq!(wrong.0, 1, "{wrong:?}");
    let never = world.operate(&["accept", "billing", "partitions_changed", "--yes"]);
    assert!(never.0 == 1 && never.2.contains("nothing to accept"), "{never:?}");
    let unasked = world.operate(&["accept", "billing", "offsets_lost"]);
    assert_eq!(unasked.0, 2, "nobody can answer: {unasked:?}");
    assert!(
        unasked.2.contains("10 to 39") && unasked.2.contains("30 messages"),
        "{unasked:?}"
    );
}
