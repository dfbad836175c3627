//! The promises of a `Lease`, P1–P4, with two holders on one store.

use std::time::{Duration, Instant};

use twinbox::contract::{Held, Lease, StoreError};

use super::place::Place;

async fn take(lease: &mut Box<dyn Lease>) -> Option<Held> {
    lease.acquire().await.expect("an answer")
}

/// Asks like a standby until it is given.
async fn take_within(lease: &mut Box<dyn Lease>, patience: Duration) -> (Held, Duration) {
    let begun = Instant::now();
    loop {
        if let Some(held) = take(lease).await {
            return (held, begun.elapsed());
        }
        assert!(begun.elapsed() < patience, "not given within {patience:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) async fn p1_an_epoch_has_one_holder(place: &impl Place) {
    let (mut a, mut b) = (place.outbox().lease(), place.outbox().lease());
    let first = take(&mut a).await.expect("free");
    // The same holder may take it anew after an unknown outcome; the old epoch is fenced out.
    let second = take(&mut a).await.expect("its own");
    assert!(second.epoch > first.epoch);
    a.resign().await.expect("resigned");
    let third = take(&mut b).await.expect("free");
    assert!(third.epoch > second.epoch);
    assert_ne!(third.holder, second.holder);
    let renewed = a.renew().await;
    assert!(matches!(renewed, Err(StoreError::Fenced)), "{renewed:?}");
    b.renew().await.expect("still its own");
}

pub(crate) async fn p2_nobody_takes_a_running_lease(place: &impl Place) {
    let (mut a, mut b) = (place.outbox().lease(), place.outbox().lease());
    take(&mut a).await.expect("free");
    let begun = Instant::now();
    // Longer than a lease: renewing keeps it.
    while begun.elapsed() < place.lease() * 3 / 2 {
        assert_eq!(take(&mut b).await, None);
        a.renew().await.expect("renewed");
        tokio::time::sleep(place.lease() / 6).await;
    }
}

pub(crate) async fn p2_a_holder_that_stops_renewing_is_replaced_in_time(place: &impl Place) {
    let (mut a, mut b) = (place.outbox().lease(), place.outbox().lease());
    take(&mut a).await.expect("free");
    let (_, waited) = take_within(&mut b, place.lease() + Duration::from_secs(2)).await;
    assert!(
        waited > place.lease() / 2,
        "its session lives, so its time must run out: {waited:?}"
    );
    let renewed = a.renew().await;
    assert!(matches!(renewed, Err(StoreError::Fenced)), "{renewed:?}");
}

pub(crate) async fn p2_a_holder_whose_session_ends_is_replaced_at_once(place: &impl Place) {
    let (mut a, mut b, mut c) = (place.outbox().lease(), place.outbox().lease(), place.outbox().lease());
    take(&mut a).await.expect("free");
    assert_eq!(take(&mut b).await, None);
    place.kill_holder(a).await;
    let (_, waited) = take_within(&mut b, place.lease()).await;
    assert!(waited < place.lease() / 2, "the time need not run out: {waited:?}");
    assert_eq!(take(&mut c).await, None, "only one takes over");
}

pub(crate) async fn p3_after_resigning_anybody_takes_it_at_once(place: &impl Place) {
    let (mut a, mut b) = (place.outbox().lease(), place.outbox().lease());
    take(&mut a).await.expect("free");
    assert_eq!(take(&mut b).await, None);
    a.resign().await.expect("resigned");
    take(&mut b).await.expect("free");
    assert_eq!(take(&mut a).await, None);
    let resigned = a.resign().await;
    assert!(matches!(resigned, Err(StoreError::Fenced)), "{resigned:?}");
    b.renew().await.expect("untouched");
}

pub(crate) async fn p4_trust_ends_before_the_lease(place: &impl Place) {
    let mut a = place.outbox().lease();
    let held = take(&mut a).await.expect("free");
    assert!(held.trust < place.lease() && held.trust > place.lease() / 3);
    assert_eq!(a.renew().await.expect("renewed"), held.trust);
}
