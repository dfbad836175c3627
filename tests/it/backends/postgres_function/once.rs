//! Once per event: inbox row, effect and position in one transaction, under a fence.

use std::sync::Arc;

use twinbox::contract::{Fence, Outbound, Processed, Work};

use super::rig::Rig;
use crate::conformance::processor::{Workplace as _, changed, delivery, stream};

#[tokio::test]
async fn b20_b21_inbox_row_effect_and_position_are_one_transaction() {
    let Some(rig) = Rig::new("b20_b21_inbox_row_effect_and_position_are_one_transaction").await else {
        return;
    };
    let messages: Vec<Outbound> = (0..3).map(|n| delivery(n, Some("a"), "made")).collect();
    assert_eq!(rig.process_to(&messages, Some(3)).await, vec![Processed::Done; 3]);
    // All of it was written by one transaction.
    let writers = "select count(distinct x) from (select xmin::text x from twinbox.inbox union all
        select xmin::text from billing.effect union all select xmin::text from twinbox.consumer_position) w";
    assert_eq!(rig.value::<i64>(writers).await, 1);
    assert_eq!(
        rig.value::<i64>("select next_offset from twinbox.consumer_position")
            .await,
        3
    );
    // A failed one leaves neither.
    let bad = [delivery(4, Some("a"), "raised")];
    assert!(matches!(rig.process_to(&bad, Some(4)).await[0], Processed::Failed(_)));
    assert_eq!((rig.remembered().await, rig.count().await), (3, 3));
    assert_eq!(
        rig.value::<i64>("select next_offset from twinbox.consumer_position")
            .await,
        3
    );
    rig.end().await;
}

#[tokio::test]
async fn duplicates_within_a_batch_and_across_generations_are_not_called() {
    let Some(rig) = Rig::new("duplicates_within_a_batch_and_across_generations").await else {
        return;
    };
    let one = delivery(1, Some("a"), "made");
    let again = changed(&one, |content| content.key = Some("b".into()));
    let answers = rig
        .process(&[one.clone(), again.clone(), delivery(2, Some("a"), "made")])
        .await;
    assert_eq!(answers, [Processed::Done, Processed::Duplicate, Processed::Done]);
    rig.run(
        "insert into twinbox.consumer values ('billing', '1 hour') on conflict do nothing;
         update twinbox.inbox_generation set started_at = now() - interval '2 hours'",
    )
    .await;
    assert!(rig.value::<bool>("select rotated from twinbox.rotate_inbox()").await);
    assert_eq!(rig.process(std::slice::from_ref(&again)).await, [Processed::Duplicate]);
    // A reprocessing is another event; dropped ones are not called (S4).
    let replayed = changed(&one, |content| content.replay = Some(1));
    assert_eq!(rig.process(std::slice::from_ref(&replayed)).await, [Processed::Done]);
    assert_eq!(rig.process(&[replayed]).await, [Processed::Duplicate]);
    let released = changed(&one, |content| content.replay = Some(0));
    assert_eq!(rig.process(&[released]).await, [Processed::Duplicate]);
    let dropped = delivery(3, Some("c"), "made");
    let sql = "insert into twinbox.inbox (generation, consumer, message_id, state)
        select current, 'billing', $1, 'dropped' from twinbox.inbox_generation";
    rig.owner.execute(sql, &[&dropped.message.id]).await.expect("dropped");
    assert_eq!(rig.process(&[dropped]).await, [Processed::Duplicate]);
    assert_eq!(rig.count().await, 3);
    rig.end().await;
}

#[tokio::test]
async fn a_failed_first_of_two_equal_ones_leaves_the_other_to_be_done() {
    let Some(rig) = Rig::new("a_failed_first_of_two_equal_ones").await else {
        return;
    };
    let one = delivery(1, Some("a"), "refused");
    let same = changed(&one, |content| {
        content.key = Some("b".into());
        content.kind = "made".into();
    });
    let answers = rig.process(&[one, same]).await;
    assert!(matches!(answers[0], Processed::Failed(_)), "{answers:?}");
    assert_eq!(answers[1], Processed::Done);
    rig.end().await;
}

#[tokio::test]
async fn s21_a_database_that_went_back_takes_no_effect() {
    let Some(rig) = Rig::new("s21_a_database_that_went_back_takes_no_effect").await else {
        return;
    };
    for n in 0..3 {
        assert_eq!(rig.process(&[delivery(n, Some("a"), "made")]).await, [Processed::Done]);
    }
    assert_eq!(rig.fence.seen(), 3, "each committed transaction is counted");
    // A standby that lacked the last one was promoted.
    rig.run("update twinbox.consumer_position set counter = 2").await;
    assert_eq!(
        rig.process(&[delivery(4, Some("a"), "made")]).await,
        [Processed::Fenced]
    );
    assert_eq!((rig.count().await, rig.remembered().await), (3, 3));
    // Whoever assumes the stream anew goes on from there.
    let fence = Arc::new(Fence::new(stream(), 1, 2));
    let sql = "update twinbox.consumer_position set holder = $1";
    rig.owner.execute(sql, &[&fence.holder]).await.expect("assumed");
    let work = Work {
        fence: Arc::clone(&fence),
        mark: None,
        messages: vec![delivery(5, Some("a"), "made")],
    };
    assert_eq!(rig.processor.process(work).await, [Processed::Done]);
    assert_eq!(fence.seen(), 3);
    rig.end().await;
}
