//! The promises of a `Source`, P1–P5.

use twinbox::contract::{Room, StoreError};
use twinbox::message::Body;

use super::place::{
    Place, ROOM, Transaction, bodies, body, positions, read_all, read_until, settled_but, start, stop, write,
};

pub(crate) async fn p1_positions_strictly_increase(place: &impl Place) {
    let (_lease, _held, mut opened) = start(place).await;
    let mut all = Vec::new();
    for batch in 0..5 {
        write(place, &[("a", &format!("{batch}")), ("b", "1"), ("c", "2")]).await;
        let room = Room { messages: 2, ..ROOM };
        all.extend(read_all(opened.source.as_mut(), room).await);
    }
    assert_eq!(all.len(), 15);
    assert!(positions(&all).is_sorted_by(|a, b| a < b), "{:?}", positions(&all));
}

pub(crate) async fn p2_what_rolled_back_never_comes_and_what_commits_comes_once(place: &impl Place) {
    let (_lease, _held, mut opened) = start(place).await;
    let mut early = place.begin().await;
    early.write(Some("early"), "\"early\"").await;
    let mut undone = place.begin().await;
    undone.write(Some("undone"), "\"undone\"").await;
    write(place, &[("a", "\"first\"")]).await;
    assert_eq!(bodies(&read_until(opened.source.as_mut(), 1).await), ["\"first\""]);
    undone.roll_back().await;
    write(place, &[("a", "\"second\"")]).await;
    assert_eq!(bodies(&read_until(opened.source.as_mut(), 1).await), ["\"second\""]);
    early.commit().await;
    write(place, &[("a", "\"third\"")]).await;
    let mut last = bodies(&read_until(opened.source.as_mut(), 2).await);
    last.sort();
    assert_eq!(last, ["\"early\"", "\"third\""]);
    assert!(read_all(opened.source.as_mut(), ROOM).await.is_empty());
}

pub(crate) async fn p3_what_is_not_settled_comes_again_identically(place: &impl Place) {
    let (lease, _held, mut opened) = start(place).await;
    write(place, &[("a", "1"), ("b", "2"), ("a", "3"), ("c", "4"), ("a", "5")]).await;
    let first = read_until(opened.source.as_mut(), 5).await;
    let rest = [first[1].position, first[3].position];
    // A window that is not the newest is written down with what is left of it.
    write(place, &[("d", "6")]).await;
    let sixth = read_until(opened.source.as_mut(), 1).await;
    let progress = settled_but(&sixth, &[rest[0], rest[1], sixth[0].position]);
    opened.source.confirm(progress).await.expect("confirmed");
    place.kill_holder(lease).await;
    drop(opened);

    let (_lease, _held, mut opened) = start(place).await;
    let again = read_until(opened.source.as_mut(), 3).await;
    assert_eq!(positions(&again), [rest[0], rest[1], sixth[0].position]);
    for (old, new) in [&first[1], &first[3], &sixth[0]].into_iter().zip(&again) {
        assert_eq!((old.id, body(old)), (new.id, body(new)));
    }
    assert!(read_all(opened.source.as_mut(), ROOM).await.is_empty());
}

pub(crate) async fn p3_a_crash_in_the_middle_of_a_long_window_loses_nothing(place: &impl Place) {
    let (lease, _held, mut opened) = start(place).await;
    let rows: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    let rows: Vec<(&str, &str)> = rows.iter().map(|number| ("k", number.as_str())).collect();
    write(place, &rows).await;
    let room = Room { messages: 10, ..ROOM };
    let mut read = opened.source.next(room).await.expect("a page").messages;
    while read.len() < 20 {
        read.extend(opened.source.next(room).await.expect("a page").messages);
    }
    let left = [read[3].position, read[12].position];
    opened
        .source
        .confirm(settled_but(&read, &left))
        .await
        .expect("confirmed");
    place.kill_holder(lease).await;
    drop(opened);

    let (_lease, _held, mut opened) = start(place).await;
    let again = read_all(opened.source.as_mut(), room).await;
    let expected: Vec<String> = ["3", "12"]
        .into_iter()
        .map(str::to_owned)
        .chain((read.len()..50).map(|n| n.to_string()))
        .collect();
    assert_eq!(bodies(&again), expected);
    assert_eq!(positions(&again)[..2], left);
    assert!(positions(&again).is_sorted_by(|a, b| a < b));
}

pub(crate) async fn p4_what_is_settled_is_forgotten_and_nothing_else(place: &impl Place) {
    let (lease, _held, mut opened) = start(place).await;
    write(place, &[("a", "1"), ("b", "2")]).await;
    let older = read_until(opened.source.as_mut(), 2).await;
    let older = settled_but(&older, &[older[0].position]);
    write(place, &[("c", "3")]).await;
    let newer = read_until(opened.source.as_mut(), 1).await;
    let newer = settled_but(&newer, &[]);
    for progress in [&newer, &newer, &older, &newer] {
        opened.source.confirm(progress.clone()).await.expect("confirmed");
    }
    write(place, &[("d", "4")]).await;
    stop(lease, opened).await;
    let (_lease, _held, mut opened) = start(place).await;
    assert_eq!(bodies(&read_until(opened.source.as_mut(), 1).await), ["4"]);
    assert!(read_all(opened.source.as_mut(), ROOM).await.is_empty());
}

pub(crate) async fn p5_a_page_fits_the_room(place: &impl Place) {
    let (_lease, _held, mut opened) = start(place).await;
    let text = |length: usize| format!("\"{}\"", "x".repeat(length));
    let sizes = [100, 30_000, 100, 30_000, 30_000, 200_000, 10];
    let rows: Vec<String> = sizes.into_iter().map(text).collect();
    let rows: Vec<(&str, &str)> = rows.iter().map(|text| ("k", text.as_str())).collect();
    write(place, &rows).await;
    let room = Room {
        messages: 3,
        bytes: 70_000,
    };
    let mut all = Vec::new();
    loop {
        let page = opened.source.next(room).await.expect("a page");
        let cost: usize = page.messages.iter().map(|message| message.cost()).sum();
        assert!(page.messages.len() <= room.messages && cost <= room.bytes, "{cost}");
        if page.messages.is_empty() {
            assert!(page.more, "the sixth waits for room");
            break;
        }
        all.extend(page.messages);
    }
    assert_eq!(all.len(), 5);
    all.extend(read_all(opened.source.as_mut(), ROOM).await);
    let found: Vec<usize> = all.iter().map(|message| body(message).len() - 2).collect();
    assert_eq!(found, sizes);
}

pub(crate) async fn p5_what_fits_no_room_comes_withheld(place: &impl Place) {
    let (_lease, _held, mut opened) = start(place).await;
    let huge = format!("\"{}\"", "x".repeat(place.bytes_max()));
    write(place, &[("k", "1"), ("k", &huge), ("k", "3")]).await;
    let room = Room {
        messages: 10,
        bytes: place.bytes_max(),
    };
    let all = read_all(opened.source.as_mut(), room).await;
    assert_eq!(all.len(), 3);
    assert_eq!(
        all[1].body,
        Body::Withheld {
            bytes: huge.len() as u64
        }
    );
    assert_eq!((body(&all[0]), body(&all[2])), ("1".to_owned(), "3".to_owned()));
}

/// Outbox P2: after another holder acquired the lease, every write answers fenced.
pub(crate) async fn outbox_p2_a_holder_of_before_writes_nothing(place: &impl Place) {
    let (lease, _held, mut opened) = start(place).await;
    write(place, &[("a", "1"), ("b", "2")]).await;
    let read = read_until(opened.source.as_mut(), 2).await;
    place.kill_holder(lease).await;
    let (_lease, _held, mut successor) = start(place).await;
    assert_eq!(
        positions(&read_until(successor.source.as_mut(), 2).await),
        positions(&read)
    );
    let confirmed = opened.source.confirm(settled_but(&read, &[])).await;
    assert!(matches!(confirmed, Err(StoreError::Fenced)), "{confirmed:?}");
    write(place, &[("c", "3")]).await;
    let next = opened.source.next(ROOM).await;
    assert!(matches!(next, Err(StoreError::Fenced)), "{next:?}");
    assert_eq!(bodies(&read_until(successor.source.as_mut(), 1).await), ["3"]);
    assert!(read_all(successor.source.as_mut(), ROOM).await.is_empty());
}
