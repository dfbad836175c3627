//! Transactions that meet others: a zombie's, another batch's, one that takes too long, one whose end nobody heard.

use std::time::Duration;

use twinbox::contract::{Outbound, Processed, Processor as _, Work};
use twinbox::delivery::FailureKind;

use super::rig::{CONSUMER, Rig, function, pool};
use crate::conformance::processor::{Workplace as _, delivery, process};
use crate::support::postgres::{Login, connect};
use crate::support::proxy::Proxy;
use crate::support::wait::{PATIENCE, ensure, until};

/// Backends of the consumer that wait for a lock.
const WAITING: &str = "select count(*) from pg_stat_activity
    where datname = current_database() and usename = 'it_consumer' and wait_event_type = 'Lock'";

async fn waiting(rig: &Rig) {
    until("somebody waits", PATIENCE, async || {
        let count = rig.value::<i64>(WAITING).await;
        ensure(count > 0, || "nobody waits".to_owned())
    })
    .await;
}

#[tokio::test]
async fn a_zombie_that_holds_the_inbox_row_is_waited_for() {
    let Some(rig) = Rig::new("a_zombie_that_holds_the_inbox_row_is_waited_for").await else {
        return;
    };
    let messages = [delivery(1, Some("a"), "made"), delivery(2, Some("b"), "made")];
    let zombie = connect(&rig.database.login_url(Login::Consumer))
        .await
        .expect("connected");
    let hold = async |end: &str, message: &Outbound| {
        zombie.batch_execute("begin").await.expect("begun");
        let sql = "insert into twinbox.inbox (generation, consumer, message_id)
            select current, 'billing', $1 from twinbox.inbox_generation";
        zombie.execute(sql, &[&message.message.id]).await.expect("held");
        let (answers, ()) = tokio::join!(rig.process(&messages), async {
            waiting(&rig).await;
            zombie.batch_execute(end).await.expect("ended");
        });
        answers
    };
    assert_eq!(hold("rollback", &messages[0]).await, [Processed::Done, Processed::Done]);
    rig.run("truncate twinbox.inbox").await;
    assert_eq!(
        hold("commit", &messages[1]).await,
        [Processed::Done, Processed::Duplicate]
    );
    rig.end().await;
}

#[tokio::test]
async fn two_batches_of_one_stream_go_side_by_side() {
    let Some(rig) = Rig::new("two_batches_of_one_stream_go_side_by_side").await else {
        return;
    };
    let batch = |lane: &str, from: u64| -> Vec<Outbound> {
        (from..from + 100).map(|n| delivery(n, Some(lane), "made")).collect()
    };
    for round in 0..5 {
        let (a, b) = (batch("a", round * 1000), batch("b", round * 1000 + 500));
        let (a, b) = tokio::join!(process(&rig, &a), process(&rig, &b));
        assert!(
            a.iter().chain(&b).all(|answer| *answer == Processed::Done),
            "{a:?} {b:?}"
        );
    }
    assert_eq!(rig.fence.seen(), 10);
    assert_eq!(rig.count().await, 1000);
    rig.end().await;
}

/// Takes the 30 s of `statement_timeout`, and the rest of the batch goes on.
#[tokio::test]
async fn a_call_that_takes_too_long_fails_alone() {
    let Some(rig) = Rig::new("a_call_that_takes_too_long_fails_alone").await else {
        return;
    };
    let kinds = ["slow", "made", "made"];
    let batch: Vec<Outbound> = (0..)
        .zip(kinds)
        .map(|(n, kind)| delivery(n, Some(kind), kind))
        .collect();
    let answers = rig.process(&batch[..1]).await;
    let Processed::Failed(failure) = &answers[0] else {
        panic!("it was done: {answers:?}");
    };
    assert_eq!(failure.kind, FailureKind::Timeout, "{failure:?}");
    assert_eq!(rig.process(&batch[1..]).await, [Processed::Done, Processed::Done]);
    rig.end().await;
}

#[tokio::test]
async fn deadlocks_are_tried_again_and_are_no_failure() {
    let Some(rig) = Rig::new("deadlocks_are_tried_again_and_are_no_failure").await else {
        return;
    };
    rig.run(
        "create table billing.total (key text primary key, sum int); insert into billing.total values ('x', 0), ('y', 0);
         grant select, update on billing.total to twinbox_consumer;
         create function billing.add(type text) returns void language plpgsql as $$
         begin
           update billing.total set sum = sum + 1 where total.key = split_part(type, ' ', 1);
           perform pg_sleep(0.1);
           update billing.total set sum = sum + 1 where total.key = split_part(type, ' ', 2);
         end $$",
    )
    .await;
    let processor = function(&rig.pool, "billing.add");
    let work = |n: u64, kind: &str| Work {
        fence: rig.fence(),
        mark: None,
        messages: vec![delivery(n, Some(kind), kind)],
    };
    for round in 0..2 {
        let (a, b) = tokio::join!(
            processor.process(work(round * 2, "x y")),
            processor.process(work(round * 2 + 1, "y x"))
        );
        assert_eq!((a, b), (vec![Processed::Done], vec![Processed::Done]));
    }
    assert_eq!(rig.value::<i64>("select sum(sum) from billing.total").await, 8);
    rig.end().await;
}

#[tokio::test]
async fn a_database_that_goes_away_burns_nothing_and_is_gone_on_with() {
    let Some(rig) = Rig::new("a_database_that_goes_away_burns_nothing").await else {
        return;
    };
    let batch: Vec<Outbound> = (0..4).map(|n| delivery(n, Some(&n.to_string()), "made")).collect();
    let blocker = rig.database.owner().await;
    blocker
        .batch_execute("begin; lock table billing.effect")
        .await
        .expect("locked");
    let (answers, ()) = tokio::join!(rig.process(&batch), async {
        waiting(&rig).await;
        rig.database.terminate(Login::Consumer).await;
    });
    for answer in &answers {
        assert!(
            matches!(answer, Processed::Failed(failure) if failure.kind == FailureKind::Unreachable),
            "{answer:?}"
        );
    }
    blocker.batch_execute("rollback").await.expect("unlocked");
    assert_eq!(rig.process(&batch).await, vec![Processed::Done; 4]);
    tokio::time::timeout(Duration::from_secs(10), rig.end())
        .await
        .expect("nothing hangs");
}

/// The application's effect, and a COMMIT that takes a while.
const SLOW_COMMIT: &str = "create function billing.nap() returns trigger language plpgsql as $$
        begin perform pg_sleep(2); return null; end $$;
    create constraint trigger nap after insert on billing.effect deferrable initially deferred for each row
        execute function billing.nap()";
/// Backends of the consumer that commit.
const COMMITTING: &str = "select count(*) from pg_stat_activity
    where datname = current_database() and usename = 'it_consumer' and wait_event = 'PgSleep' and query ilike 'commit'";

#[tokio::test]
async fn kc10_a_commit_without_an_answer_is_looked_up_in_the_inbox() {
    let Some(rig) = Rig::new("kc10_a_commit_without_an_answer_is_looked_up").await else {
        return;
    };
    rig.run(SLOW_COMMIT).await;
    let proxy = Proxy::to(rig.database.port()).await;
    let pool = pool(&rig.database.url_at(proxy.port, "it_consumer:it"));
    let processor = function(&pool, "billing.on_event");
    let work = |n: u64| Work {
        fence: rig.fence(),
        mark: None,
        messages: vec![delivery(n, Some("a"), "made")],
    };
    let committing = async || {
        until("it commits", PATIENCE, async || {
            let count = rig.value::<i64>(COMMITTING).await;
            ensure(count > 0, || "nobody commits".to_owned())
        })
        .await;
    };
    // The answer is lost, the commit is not.
    let (answers, ()) = tokio::join!(processor.process(work(1)), async {
        committing().await;
        proxy.hold();
        until("it is durable", PATIENCE, async || {
            let count = rig.count().await;
            ensure(count == 1, || "no effect".to_owned())
        })
        .await;
        proxy.cut();
        proxy.heal();
    });
    assert_eq!(answers, [Processed::Done]);
    // The server is still at it: nobody says done, and the next attempt waits for it.
    let unheard = work(2);
    let (answers, ()) = tokio::join!(processor.process(unheard.clone()), async {
        committing().await;
        proxy.cut();
    });
    let [Processed::Failed(failure)] = &answers[..] else {
        panic!("{CONSUMER} said more than it can know: {answers:?}");
    };
    assert_eq!(
        (failure.kind, &*failure.code),
        (FailureKind::Unreachable, "commit_unknown")
    );
    assert_eq!(processor.process(unheard).await, [Processed::Duplicate]);
    assert_eq!(rig.count().await, 2);
    pool.close();
    rig.end().await;
}
