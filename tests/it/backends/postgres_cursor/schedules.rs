//! The schedules of the design that a database decides, by number.

use std::sync::Arc;
use std::time::Duration;

use twinbox::contract::{Append, Lease, Park, Progress, StoreError, StoreRun};
use twinbox::delivery::{Cause, Destination, Failure, FailureKind, LaneName};
use twinbox::message::{Message, Position};
use twinbox::postgres::desk::{Desk, Order, Selection};

use super::rig::{LEASE, RELAY, Rig, schema};
use crate::conformance::place::{
    Place as _, ROOM, bodies, positions, read_all, read_until, settled_but, start, stop, write,
};
use crate::support::wait;

fn lane(key: &str) -> LaneName {
    let destination: Destination = std::iter::once("order.events").collect();
    LaneName::of(&destination, Some(&key.into()), Position::new(0, 0, 0))
}

pub(super) fn park(key: &str, messages: &[Message]) -> Park {
    let failure = Failure::new(FailureKind::Message, "TooLarge", "too large");
    Park {
        lane: lane(key),
        cause: Cause::Rejected,
        due: None,
        attempts: 1,
        failure: Arc::new(failure),
        messages: messages.to_vec(),
    }
}

pub(super) fn stored(parks: Vec<Park>, appends: Vec<Append>, progress: Progress) -> StoreRun {
    StoreRun {
        parks,
        appends,
        progress,
    }
}

/// Waits until some statement of the relay waits for a lock.
async fn until_it_waits(rig: &Rig) {
    let sql = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    wait::until("a statement waits for a lock", wait::PATIENCE, async || {
        match rig.value::<i64>(sql).await {
            0 => Err("nobody waits".to_owned()),
            _ => Ok(()),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s01_an_append_that_waited_for_the_lane_to_go_stays_live() {
    let Some(rig) = Rig::new("s01").await else { return };
    let (_lease, _held, mut opened) = start(&rig).await;
    write(&rig, &[("k", "3"), ("k", "6")]).await;
    let read = read_until(opened.source.as_mut(), 2).await;
    let first = stored(
        vec![park("k", &read[..1])],
        vec![],
        settled_but(&read, &positions(&read[1..])),
    );
    opened.letters.store(first).await.expect("stored");
    // Somebody closes the last letter and deletes the row, and has not committed yet.
    let mut other = rig.database.owner().await;
    let transaction = other.transaction().await.expect("begun");
    for sql in [
        "select from twinbox.lane for no key update",
        "update twinbox.letter set closed = 'delivered'",
        "delete from twinbox.lane",
    ] {
        transaction.execute(sql, &[]).await.expect(sql);
    }
    let letters = Arc::clone(&opened.letters);
    let append = Append {
        lane: lane("k"),
        messages: read[1..].to_vec(),
    };
    let run = stored(vec![], vec![append], settled_but(&read, &[]));
    let appending = tokio::spawn(async move { letters.store(run).await });
    until_it_waits(&rig).await;
    transaction.commit().await.expect("committed");
    let kept = appending.await.expect("no panic").expect("stored");
    assert_eq!(kept.live, [lane("k")]);
    assert_eq!(
        rig.value::<i64>("select count(*) from twinbox.letter where closed is null")
            .await,
        0
    );
    let left: Vec<i64> = rig
        .value("select rest from twinbox.relay_window order by number desc limit 1")
        .await;
    assert_eq!(
        left,
        [read[1].position.minor.cast_signed()],
        "what was not stored is not settled"
    );
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s02_a_lane_is_stored_whole_or_not_at_all() {
    let Some(rig) = Rig::new("s02").await else { return };
    let (_lease, _held, mut opened) = start(&rig).await;
    write(&rig, &[("k", "1"), ("k", "2"), ("k", "3"), ("other", "4")]).await;
    let read = read_until(opened.source.as_mut(), 4).await;
    // The last statement of the transaction fails: nothing of what came before it stays.
    rig.run("alter table twinbox.relay_window add constraint no_rest check (rest is null or number = 0) not valid")
        .await;
    let run = stored(
        vec![park("k", &read[..3])],
        vec![],
        settled_but(&read, &positions(&read[3..])),
    );
    let failed = opened.letters.store(run.clone()).await;
    assert!(matches!(failed, Err(StoreError::Away(_))), "{failed:?}");
    let counts = "select (select count(*) from twinbox.lane) + (select count(*) from twinbox.letter)";
    assert_eq!(rig.value::<i64>(counts).await, 0);
    rig.run("alter table twinbox.relay_window drop constraint no_rest")
        .await;
    opened.letters.store(run).await.expect("stored");
    assert_eq!(rig.value::<i64>(counts).await, 4);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s04_a_discarded_row_is_struck_from_what_its_window_has_left() {
    let Some(rig) = Rig::new("s04").await else { return };
    let (lease, _held, mut opened) = start(&rig).await;
    write(&rig, &[("k", "1"), ("k", "2"), ("other", "3")]).await;
    let read = read_until(opened.source.as_mut(), 3).await;
    let run = stored(
        vec![park("k", &read[..2])],
        vec![],
        settled_but(&read, &positions(&read[2..])),
    );
    opened.letters.store(run).await.expect("stored");
    // As if the window had been written before the letters were: with all of its rows, and then with nothing known.
    for rest in ["(select array_agg(seq order by seq) from twinbox.outbox)", "null"] {
        rig.run(&format!(
            "update twinbox.relay_window set rest = {rest} where number > 0"
        ))
        .await;
        let desk = Desk::new(schema());
        let mut operator = rig.operator().await;
        let selection = Selection {
            key: Some("k".to_owned()),
            ..Selection::default()
        };
        for lanes in desk.lanes(&operator, &selection).await.expect("listed") {
            assert_eq!((lanes.owner.as_str(), lanes.letters), (RELAY, 2));
            let order = Order {
                actor: Some("ada".to_owned()),
                reason: Some("test data".to_owned()),
            };
            let done = desk
                .discard(&mut operator, &lanes, (&selection, &order))
                .await
                .expect("discarded");
            assert_eq!((done.letters.len(), done.freed), (2, 1));
        }
        if rest != "null" {
            let left: Vec<i64> = rig
                .value("select rest from twinbox.relay_window where number > 0")
                .await;
            assert_eq!(left, [read[2].position.minor.cast_signed()]);
        }
    }
    let audit = "select actor || ' ' || verb || ' ' || count || ' ' || reason from twinbox.audit";
    assert_eq!(rig.value::<String>(audit).await, "ada discard 2 test data");
    rig.kill_holder(lease).await;
    let (_lease, _held, mut opened) = start(&rig).await;
    let again = read_all(opened.source.as_mut(), ROOM).await;
    assert_eq!(
        bodies(&again),
        ["3"],
        "a verdict is not forgotten, though the window says all"
    );
    opened
        .source
        .confirm(settled_but(&again, &[]))
        .await
        .expect("confirmed");
    assert_eq!(
        rig.value::<i64>("select count(*) from twinbox.relay_window").await,
        1,
        "all is settled"
    );
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s16_a_stuck_backend_opens_no_window_after_a_take_over() {
    let Some(rig) = Rig::new("s16").await else { return };
    let (_lease, _held, mut opened) = start(&rig).await;
    write(&rig, &[("a", "1")]).await;
    // The statement is on its way while somebody else takes the lease.
    let mut other = rig.database.owner().await;
    let taking = other.transaction().await.expect("begun");
    let take = "update twinbox.relay_cursor set epoch = epoch + 1, holder = 'pooled-other', lease_until = '-infinity'";
    taking.execute(take, &[]).await.expect("taken");
    let stuck = tokio::spawn(async move { opened.source.next(ROOM).await });
    until_it_waits(&rig).await;
    taking.commit().await.expect("committed");
    let late = stuck.await.expect("no panic");
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    assert_eq!(
        rig.value::<i64>("select count(*) from twinbox.relay_window").await,
        1,
        "only the floor"
    );
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s16_after_an_unknown_outcome_only_a_new_epoch_goes_on() {
    let Some(rig) = Rig::new("s16c").await else { return };
    let (mut lease, held, mut opened) = start(&rig).await;
    write(&rig, &[("a", "1")]).await;
    let mut other = rig.database.owner().await;
    let blocking = other.transaction().await.expect("begun");
    let lock = "select from twinbox.relay_cursor for update";
    blocking.execute(lock, &[]).await.expect("locked");
    let stuck = tokio::spawn(async move { (opened.source.next(ROOM).await, opened.source) });
    until_it_waits(&rig).await;
    let ended = "select count(pg_terminate_backend(pid)) from pg_stat_activity
                 where datname = current_database() and wait_event_type = 'Lock'";
    assert_eq!(rig.value::<i64>(ended).await, 1);
    let (unknown, mut source) = stuck.await.expect("no panic");
    assert!(matches!(unknown, Err(StoreError::Away(_))), "{unknown:?}");
    let after = source.next(ROOM).await;
    assert!(
        matches!(after, Err(StoreError::Away(_))),
        "it does not guess: {after:?}"
    );
    blocking.commit().await.expect("let go");
    let again = lease.acquire().await.expect("an answer").expect("its own");
    assert!(again.epoch > held.epoch);
    let mut opened = rig.outbox().open(&again).await.expect("opened");
    assert_eq!(bodies(&read_until(opened.source.as_mut(), 1).await), ["1"]);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s16_epochs_that_repeat_after_a_failover_are_told_apart_by_holder() {
    let Some(rig) = Rig::new("s16b").await else { return };
    let (_lease, held, mut opened) = start(&rig).await;
    write(&rig, &[("a", "1")]).await;
    // The promoted standby never saw the take-over: the same epoch is given again, to somebody else.
    rig.run("update twinbox.relay_cursor set epoch = epoch - 1, lease_until = '-infinity'")
        .await;
    let mut other = rig.outbox().lease();
    let given = other.acquire().await.expect("an answer").expect("free");
    assert_eq!(given.epoch, held.epoch);
    let late = opened.source.next(ROOM).await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s18_the_session_lock_only_shortens_a_wait() {
    let Some(rig) = Rig::new("s18").await else { return };
    let mut holder = rig.outbox().lease();
    holder.acquire().await.expect("an answer").expect("free");
    // Its session ends, it lives: it has lost the lock, not the lease, and takes the lock again on its next session.
    let ended = "select count(pg_terminate_backend(l.pid)) from pg_locks l join pg_database d on d.oid = l.database
                 where d.datname = current_database() and l.locktype = 'advisory'";
    assert_eq!(rig.value::<i64>(ended).await, 1);
    let holder = tokio::sync::Mutex::new(holder);
    wait::until("renewed on a new session, under the same epoch", LEASE, async || {
        let renewed = holder.lock().await.renew().await;
        renewed.map_err(|error| error.to_string())
    })
    .await;
    let mut standby = rig.outbox().lease();
    assert_eq!(standby.acquire().await.expect("an answer"), None, "the lock is back");
    // A holder without a lock (behind a pooler) is not taken for dead.
    rig.run("update twinbox.relay_cursor set holder = replace(holder, 'direct-', 'pooled-')")
        .await;
    rig.kill_holder(holder.into_inner()).await;
    assert_eq!(
        standby.acquire().await.expect("an answer"),
        None,
        "its time must run out"
    );
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s19_an_idle_outbox_lets_go_of_its_last_rows() {
    let Some(rig) = Rig::new("s19").await else { return };
    let (_lease, _held, mut opened) = start(&rig).await;
    // A transaction that runs while the window is written holds the floor's xmin back.
    let running = rig.begin().await;
    rig.run("begin; select pg_current_xact_id()").await;
    write(&rig, &[("a", "1")]).await;
    let read = read_until(opened.source.as_mut(), 1).await;
    opened.source.confirm(settled_but(&read, &[])).await.expect("confirmed");
    let held_back = "select count(*) from twinbox.outbox o, twinbox.relay_window w
                     where o.xid >= pg_snapshot_xmin(w.upper)";
    assert_eq!(rig.value::<i64>(held_back).await, 1);
    rig.run("commit").await;
    drop(running);
    let source = tokio::sync::Mutex::new(opened.source);
    wait::until("the floor passes the last row", wait::PATIENCE, async || {
        let page = source.lock().await.next(ROOM).await.expect("a page");
        assert!(page.messages.is_empty());
        match rig.value::<i64>(held_back).await {
            0 => Ok(()),
            left => Err(format!("{left} rows are held back")),
        }
    })
    .await;
    let number: i64 = rig.value("select max(number) from twinbox.relay_window").await;
    for _ in 0..20 {
        source.lock().await.next(ROOM).await.expect("a page");
        source.lock().await.idle(Duration::from_millis(100)).await;
    }
    let after: i64 = rig.value("select max(number) from twinbox.relay_window").await;
    assert_eq!(number, after, "no more windows than that");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s31_two_rows_with_one_id_are_two_letters() {
    let Some(rig) = Rig::new("s31").await else { return };
    let (_lease, _held, mut opened) = start(&rig).await;
    rig.run(
        "insert into twinbox.outbox (id, aggregatetype, aggregateid, type, payload)
         select '00000000-0000-0000-0000-000000000001', 'order', k, 'changed', to_jsonb(k) from unnest(array['a', 'b']) k",
    )
    .await;
    let read = read_until(opened.source.as_mut(), 2).await;
    assert_eq!(read[0].id, read[1].id);
    let parks = vec![park("a", &read[..1]), park("b", &read[1..])];
    opened
        .letters
        .store(stored(parks, vec![], settled_but(&read, &[])))
        .await
        .expect("stored");
    assert_eq!(rig.open_letters(lane("a").as_str()).await, 1);
    assert_eq!(rig.open_letters(lane("b").as_str()).await, 1);
    rig.release(lane("a").as_str()).await;
    let due = opened.letters.due(10, 10).await.expect("an answer");
    let run = twinbox::contract::CloseRun {
        lane: due[0].lane.clone(),
        delivered: vec![due[0].letters[0].id],
        next: twinbox::contract::Next::Now,
    };
    assert_eq!(opened.letters.close(vec![run]).await.expect("closed"), [lane("a")]);
    assert_eq!(
        rig.open_letters(lane("b").as_str()).await,
        1,
        "the other row's letter is open"
    );
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s36_another_route_is_refused_while_letters_are_open() {
    let Some(rig) = Rig::new("s36").await else { return };
    let (old, new) = ("topic={aggregatetype}.events", "topic=all");
    let before = rig.also(|options| options.route = Some(old.to_owned()));
    let after = rig.also(|options| options.route = Some(new.to_owned()));
    let take = async |outbox: &twinbox::postgres::PostgresOutbox| {
        use twinbox::contract::Outbox as _;
        let mut lease: Box<dyn Lease> = outbox.lease();
        let held = lease.acquire().await.expect("an answer").expect("free");
        let opened = outbox.open(&held).await;
        (lease, opened)
    };
    let (lease, opened) = take(&before).await;
    let mut opened = opened.expect("opened");
    write(&rig, &[("k", "1")]).await;
    let read = read_until(opened.source.as_mut(), 1).await;
    let run = stored(vec![park("k", &read)], vec![], settled_but(&read, &[]));
    opened.letters.store(run).await.expect("stored");
    stop(lease, opened).await;

    let (mut lease, refused) = take(&after).await;
    let Err(StoreError::Incident {
        kind,
        sentence,
        from,
        to,
    }) = refused
    else {
        panic!("{refused:?}")
    };
    assert_eq!((kind, from.as_str(), to.as_str()), ("route_changed", old, new));
    assert!(sentence.contains("`twinbox accept orders route_changed`"), "{sentence}");
    lease.resign().await.expect("resigned");
    let (lease, opened) = take(&before).await;
    stop(lease, opened.expect("the old route is fine")).await;

    let mut operator = rig.operator().await;
    Desk::new(schema())
        .accept(&mut operator, (RELAY, "route_changed"), &Order::default())
        .await
        .expect("accepted");
    let (lease, opened) = take(&after).await;
    stop(lease, opened.expect("accepted")).await;
    let (_lease, refused) = take(&before).await;
    assert!(
        matches!(refused, Err(StoreError::Incident { .. })),
        "an acceptance serves once"
    );
    rig.end().await;
}
