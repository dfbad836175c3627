//! The promises of `Destinations`, P1 and P2.

use twinbox::contract::{Remembered, StoreError};
use twinbox::delivery::Destination;

use super::place::{Place, start};

fn seen(parts: &[&str], partitions: u32, offsets: &[Option<i64>]) -> Remembered {
    Remembered {
        destination: parts.iter().copied().collect::<Destination>(),
        partitions,
        offsets: offsets.to_vec(),
    }
}

pub(crate) async fn p1_what_was_kept_comes_back_to_every_holder(place: &impl Place) {
    let (lease, _held, opened) = start(place).await;
    assert_eq!(opened.destinations.known().await.expect("an answer"), []);
    let orders = seen(&["orders"], 3, &[Some(0), None, Some(41)]);
    let odd = seen(&["exchange", "a.b", ""], 1, &[]);
    let kept = vec![odd.clone(), seen(&["orders"], 2, &[])];
    opened.destinations.keep(kept).await.expect("kept");
    opened.destinations.keep(vec![orders.clone()]).await.expect("kept");
    place.kill_holder(lease).await;
    let (_lease, _held, successor) = start(place).await;
    let mut known = successor.destinations.known().await.expect("an answer");
    known.sort_by_key(|known| known.destination.to_string());
    assert_eq!(known, [odd, orders]);
    let late = opened.destinations.keep(vec![seen(&["orders"], 9, &[])]).await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
}

pub(crate) async fn p2_an_acceptance_serves_once_and_forgets(place: &impl Place) {
    let (_lease, _held, opened) = start(place).await;
    let orders = seen(&["orders"], 3, &[Some(7)]);
    opened.destinations.keep(vec![orders.clone()]).await.expect("kept");
    assert!(!opened.destinations.accepted().await.expect("an answer"));
    assert_eq!(opened.destinations.known().await.expect("an answer"), [orders]);
    place.accept("partitions_changed").await;
    assert!(opened.destinations.accepted().await.expect("an answer"));
    assert_eq!(opened.destinations.known().await.expect("an answer"), []);
    assert!(!opened.destinations.accepted().await.expect("an answer"), "once");
}
