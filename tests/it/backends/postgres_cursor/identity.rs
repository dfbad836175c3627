//! Is this still the database in which the windows are valid: promotions, restores, foreign rows, and going on by command.

use twinbox::contract::{Opened, StoreError};
use twinbox::postgres::desk::{Accepted, Desk, DeskError, Order};

use super::rig::{RELAY, Rig, schema};
use crate::conformance::place::{Place as _, ROOM, bodies, read_all, read_until, settled_but, start, stop, write};

/// Takes the lease and opens, or is refused; resigns after a refusal.
async fn open(rig: &Rig) -> Result<Opened, StoreError> {
    let mut lease = rig.outbox().lease();
    let held = lease.acquire().await.expect("an answer").expect("free");
    let opened = rig.outbox().open(&held).await;
    if opened.is_err() {
        lease.resign().await.expect("resigned");
    }
    opened
}

fn incident(refused: Result<Opened, StoreError>) -> (&'static str, String) {
    match refused {
        Err(StoreError::Incident { kind, sentence, .. }) => (kind, sentence),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_is_from_the_beginning_or_from_now() {
    let Some(rig) = Rig::new("first_start").await else {
        return;
    };
    write(&rig, &[("a", "1")]).await;
    let (_lease, _held, mut opened) = start(&rig).await;
    assert_eq!(bodies(&read_until(opened.source.as_mut(), 1).await), ["1"]);
    let latest = rig.also(|options| {
        options.name = "audit".to_owned();
        options.start = twinbox::postgres::Start::Latest;
    });
    let mut lease = twinbox::contract::Outbox::lease(&latest);
    let held = lease
        .acquire()
        .await
        .expect("an answer")
        .expect("another name is another lease");
    let mut opened = twinbox::contract::Outbox::open(&latest, &held).await.expect("opened");
    assert!(read_all(opened.source.as_mut(), ROOM).await.is_empty());
    write(&rig, &[("a", "2")]).await;
    assert_eq!(bodies(&read_until(opened.source.as_mut(), 1).await), ["2"]);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promoted_standby_goes_on_under_a_new_epoch_and_tells() {
    let Some(rig) = Rig::new("promoted").await else { return };
    let (lease, _held, mut opened) = start(&rig).await;
    assert!(opened.told.is_empty());
    write(&rig, &[("a", "1")]).await;
    let before = read_until(opened.source.as_mut(), 1).await;
    stop(lease, opened).await;
    // As the row of a primary of before would say.
    rig.run("update twinbox.relay_cursor set timeline = timeline - 1").await;
    let (lease, _held, mut opened) = start(&rig).await;
    let [StoreError::Incident { kind, .. }] = opened.told.as_slice() else {
        panic!("{:?}", opened.told)
    };
    assert_eq!(*kind, "timeline_changed");
    let after = read_until(opened.source.as_mut(), 1).await;
    assert!(after[0].position > before[0].position);
    assert!(after[0].position.epoch > before[0].position.epoch);
    assert_eq!(after[0].id, before[0].id);
    stop(lease, opened).await;
    let (_lease, _held, opened) = start(&rig).await;
    assert!(opened.told.is_empty(), "told once");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_primary_is_refused_until_it_is_accepted() {
    let Some(rig) = Rig::new("old_primary").await else {
        return;
    };
    let (lease, _held, opened) = start(&rig).await;
    stop(lease, opened).await;
    rig.run("update twinbox.relay_cursor set timeline = timeline + 1").await;
    let (kind, sentence) = incident(open(&rig).await);
    assert_eq!(kind, "timeline_changed");
    assert!(
        sentence.contains("`twinbox accept orders timeline_changed`"),
        "{sentence}"
    );
    let mut operator = rig.operator().await;
    let desk = Desk::new(schema());
    let accepted = desk
        .accept(&mut operator, (RELAY, "timeline_changed"), &Order::default())
        .await;
    assert_eq!(accepted.expect("accepted"), Accepted::Noted);
    open(&rig).await.expect("accepted");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_system_halts_until_it_is_accepted() {
    let Some(rig) = Rig::new("another_system").await else {
        return;
    };
    let (lease, _held, mut opened) = start(&rig).await;
    write(&rig, &[("a", "1"), ("b", "2")]).await;
    let read = read_until(opened.source.as_mut(), 2).await;
    opened.source.confirm(settled_but(&read, &[])).await.expect("confirmed");
    stop(lease, opened).await;
    rig.run("update twinbox.relay_cursor set system_id = system_id + 1")
        .await;
    write(&rig, &[("c", "3")]).await;
    let (kind, sentence) = incident(open(&rig).await);
    assert_eq!(kind, "system_changed");
    assert!(
        sentence.contains("`twinbox accept orders system_changed`"),
        "{sentence}"
    );
    // An upgrade: the numbers go on, nothing need be rewritten.
    let mut owner = rig.database.owner().await;
    let desk = Desk::new(schema());
    let accepted = desk
        .accept(&mut owner, (RELAY, "system_changed"), &Order::default())
        .await;
    let relays = vec![RELAY.to_owned()];
    assert_eq!(accepted.expect("accepted"), Accepted::Rebound { relays, rewritten: 0 });
    let mut opened = open(&rig).await.expect("accepted");
    let after = read_until(opened.source.as_mut(), 1).await;
    assert_eq!(bodies(&after), ["3"]);
    assert!(after[0].position > read[1].position);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_outbox_is_told_apart_by_its_floors() {
    let Some(rig) = Rig::new("restored").await else { return };
    let (lease, _held, mut opened) = start(&rig).await;
    write(&rig, &[("a", "1"), ("b", "2")]).await;
    let read = read_until(opened.source.as_mut(), 2).await;
    opened.source.confirm(settled_but(&read, &[])).await.expect("confirmed");
    write(&rig, &[("c", "3")]).await;
    // The dump of a cluster that was a billion transactions ahead, restored here.
    rig.run("update twinbox.outbox set xid = (xid::text::bigint + 1000000000)::text::xid8")
        .await;
    rig.run(
        "update twinbox.relay_window set upper = format('%s:%s:', pg_snapshot_xmin(upper)::text::bigint + 1000000000,
           pg_snapshot_xmax(upper)::text::bigint + 1000000000)::pg_snapshot where number > 0",
    )
    .await;
    // Even where nobody noticed the other system: a row of a transaction that has not happened.
    let next = opened.source.next(ROOM).await;
    let Err(StoreError::Incident { kind, sentence, .. }) = next else {
        panic!("{next:?}")
    };
    assert_eq!(kind, "system_changed");
    assert!(
        sentence.contains("`twinbox accept orders system_changed`"),
        "{sentence}"
    );
    stop(lease, opened).await;

    let mut owner = rig.database.owner().await;
    let desk = Desk::new(schema());
    let accepted = desk
        .accept(&mut owner, (RELAY, "system_changed"), &Order::default())
        .await;
    let relays = vec![RELAY.to_owned()];
    assert_eq!(accepted.expect("accepted"), Accepted::Rebound { relays, rewritten: 3 });
    let mut opened = open(&rig).await.expect("accepted");
    let after = read_until(opened.source.as_mut(), 1).await;
    assert_eq!(bodies(&after), ["3"], "published ones stay published");
    assert!(after[0].position > read[1].position);
    write(&rig, &[("d", "4")]).await;
    assert_eq!(bodies(&read_until(opened.source.as_mut(), 1).await), ["4"]);
    assert!(read_all(opened.source.as_mut(), ROOM).await.is_empty());
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accepting_wants_a_relay_and_a_kind_that_exist() {
    let Some(rig) = Rig::new("accept_what").await else {
        return;
    };
    let mut operator = rig.operator().await;
    let desk = Desk::new(schema());
    let nobody = desk
        .accept(&mut operator, ("nobody", "route_changed"), &Order::default())
        .await;
    assert!(matches!(nobody, Err(DeskError::NoRelay(_))), "{nobody:?}");
    let nothing = desk
        .accept(&mut operator, (RELAY, "rout_changed"), &Order::default())
        .await;
    assert!(matches!(nothing, Err(DeskError::UnknownKind(_))), "{nothing:?}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_is_forgotten_only_when_it_is_stopped() {
    let Some(rig) = Rig::new("forget").await else { return };
    let (lease, _held, opened) = start(&rig).await;
    let owner = rig.database.owner().await;
    let desk = Desk::new(schema());
    let running = desk.forget(&owner, RELAY, None).await;
    assert!(matches!(running, Err(DeskError::Running(_))), "{running:?}");
    stop(lease, opened).await;
    let forgotten = desk.forget(&owner, RELAY, None).await.expect("forgotten");
    assert_eq!(forgotten, 1);
    let gone = desk.forget(&owner, RELAY, None).await;
    assert!(matches!(gone, Err(DeskError::NoRelay(_))), "{gone:?}");
    assert_eq!(
        rig.value::<i64>("select count(*) from twinbox.audit where verb = 'forget'")
            .await,
        1
    );
    rig.end().await;
}
