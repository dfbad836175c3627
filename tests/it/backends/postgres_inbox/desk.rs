//! What an operator's verbs do to positions of record, and what the owner sees of it.

use twinbox::contract::{Stop, StoreError};
use twinbox::postgres::desk::{Desk, DeskError, Order};

use super::rig::{CONSUMER, Rig, schema};
use crate::conformance::inbox::{Cellar, assume, stream};

fn because(reason: &str) -> Order {
    Order {
        actor: None,
        reason: Some(reason.to_owned()),
    }
}

fn stop(kind: &'static str, from: i64, go_on: i64) -> Stop {
    Stop {
        kind,
        from,
        go_on,
        mark: Some(from),
    }
}

/// P6: whoever had the stream writes nothing more, and sees that it was moved; the next one begins where it was put.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p6_an_accepted_stream_is_taken_from_its_owner_and_goes_on_elsewhere() {
    let Some(rig) = Rig::new("p6_an_accepted_stream").await else {
        return;
    };
    let (desk, mut client) = (Desk::new(schema()), rig.operator().await);
    let held = assume(&rig, 0).await;
    rig.inbox().begin(&held.fence, 10).await.expect("begun");
    let none = desk.stopped(&client, (CONSUMER, "offsets_lost")).await.expect("asked");
    assert!(none.is_empty(), "{none:?}");
    let unknown = desk.stopped(&client, ("nobody", "offsets_lost")).await;
    assert!(matches!(unknown, Err(DeskError::NoConsumer(_))), "{unknown:?}");

    let written = rig.inbox().stop(&held.fence, stop("offsets_lost", 10, 40)).await;
    written.expect("it is ours");
    let stopped = desk.stopped(&client, (CONSUMER, "offsets_lost")).await.expect("asked");
    let [one] = &stopped[..] else { panic!("{stopped:?}") };
    assert_eq!(
        (one.from, one.go_on, one.lost(), one.name().as_str()),
        (10, 40, 30, "order.events/0")
    );
    let other = desk
        .stopped(&client, (CONSUMER, "topic_recreated"))
        .await
        .expect("asked");
    assert!(other.is_empty(), "another kind: {other:?}");

    let what = (CONSUMER, "offsets_lost", &stopped[..]);
    let order = because("retention was too short");
    desk.accept_streams(&mut client, what, &order).await.expect("accepted");
    let late = rig.inbox().mark(&held.fence, 12).await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    let moved = rig.inbox().moved().await.expect("asked");
    assert!(moved[&stream(0)] > held.fence.epoch, "{moved:?}");
    let again = desk.accept_streams(&mut client, what, &order).await;
    assert!(matches!(again, Err(DeskError::Changed(_))), "once: {again:?}");

    let held = assume(&rig, 0).await;
    assert_eq!(held.position, Some(40));
    assert!(
        rig.inbox().moved().await.expect("asked").is_empty(),
        "it is somebody's again"
    );
    let row = rig
        .owner
        .query_one(
            "select verb, object, count, reason, detail::text from twinbox.audit",
            &[],
        )
        .await
        .expect("one row");
    let row: (String, String, i64, String, String) = (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4));
    assert_eq!(
        (&*row.0, &*row.1, row.2, &*row.3),
        ("accept", CONSUMER, 30, "retention was too short")
    );
    assert!(row.4.contains("order.events/0"), "{}", row.4);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recreated_topic_goes_on_at_its_start_and_nobody_is_a_suspect() {
    let Some(rig) = Rig::new("a_recreated_topic_goes_on").await else {
        return;
    };
    let (desk, mut client) = (Desk::new(schema()), rig.operator().await);
    let held = assume(&rig, 0).await;
    rig.inbox().begin(&held.fence, 10).await.expect("begun");
    let claim = twinbox::contract::Claim {
        tried_to: 90,
        care: 2,
        alone: None,
    };
    let signed = rig
        .inbox()
        .claim(&held.fence, claim, std::time::Duration::from_secs(9))
        .await;
    signed.expect("signed");
    let written = rig.inbox().stop(&held.fence, stop("topic_recreated", 57, 0)).await;
    written.expect("it is ours");
    let stopped = desk
        .stopped(&client, (CONSUMER, "topic_recreated"))
        .await
        .expect("asked");
    assert_eq!(stopped[0].lost(), 0);
    let what = (CONSUMER, "topic_recreated", &stopped[..]);
    desk.accept_streams(&mut client, what, &Order::default())
        .await
        .expect("accepted");
    let held = assume(&rig, 0).await;
    assert_eq!((held.position, held.claim), (Some(0), None));
    assert!(held.wait.is_zero());
    rig.end().await;
}

/// Whoever takes the stream over before anybody accepts finds out by itself whether it still stands still.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_is_its_owners_word() {
    let Some(rig) = Rig::new("a_stop_is_its_owners_word").await else {
        return;
    };
    let (desk, mut client) = (Desk::new(schema()), rig.operator().await);
    let held = assume(&rig, 0).await;
    rig.inbox()
        .stop(&held.fence, stop("offsets_lost", 10, 40))
        .await
        .expect("ours");
    let stopped = desk.stopped(&client, (CONSUMER, "offsets_lost")).await.expect("asked");
    assume(&rig, 0).await;
    let late = rig.inbox().stop(&held.fence, stop("offsets_lost", 10, 50)).await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    let what = (CONSUMER, "offsets_lost", &stopped[..]);
    let accepted = desk.accept_streams(&mut client, what, &Order::default()).await;
    assert!(matches!(accepted, Err(DeskError::Changed(_))), "{accepted:?}");
    rig.end().await;
}
