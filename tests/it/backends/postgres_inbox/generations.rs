//! Generations of the inbox: `once`, the lock that batches and the rotation meet at, and who may.

use tokio_postgres::Client;
use twinbox::contract::{Grade, Identity, once_token};
use twinbox::postgres::migrate::{self, Options, Part, Standing};
use twinbox::postgres::{Direct, Session, preflight};

use crate::backends::postgres_ground::scratch::{Scratch, options, refused, value};

const ONCE: &str = "select twinbox.once('billing:018f3f2e-0000-7000-8000-000000000001:0')";
/// Makes the current generation old enough.
const AGE: &str = "insert into twinbox.consumer values ('billing', '1 hour') on conflict do nothing;
    update twinbox.inbox_generation set started_at = now() - interval '2 hours'";
const ROTATE: &str = "select rotated from twinbox.rotate_inbox()";

/// An inbox alone, without an outbox beside it.
async fn inbox(test: &str) -> Option<(Scratch, Direct)> {
    let scratch = Scratch::new(test).await?;
    let owner = scratch.migrated(&only(true)).await;
    Some((scratch, owner))
}

fn only(roles: bool) -> Options {
    Options {
        only: Some(Part::Inbox),
        roles,
        ..options()
    }
}

async fn rotate(client: &Client) {
    client.batch_execute(AGE).await.expect("aged");
    assert!(value::<bool>(client, ROTATE).await);
}

async fn generations(client: &Client) -> String {
    value(
        client,
        "select string_agg(c.relname, ' ' order by c.relname) from pg_inherits i join pg_class c on c.oid = i.inhrelid
         where i.inhparent = 'twinbox.inbox'::regclass",
    )
    .await
}

#[tokio::test]
async fn an_inbox_needs_no_outbox_beside_it() {
    let Some((scratch, mut owner)) = inbox("an_inbox_needs_no_outbox_beside_it").await else {
        return;
    };
    let outbox = "select to_regclass('twinbox.outbox') is null and to_regclass('twinbox.letter') is not null";
    assert!(value::<bool>(owner.client(), outbox).await);
    let standing = migrate::check(owner.client_mut(), &only(false)).await.expect("checked");
    assert_eq!(standing, Standing::Current);
    let Standing::Behind(missing) = migrate::check(owner.client_mut(), &options()).await.expect("checked") else {
        panic!("the outbox is missing");
    };
    assert!(missing.iter().all(|step| step.component != migrate::Component::Inbox));
    migrate::apply(owner.client_mut(), &options())
        .await
        .expect("the other half");
    scratch.drop().await;
}

#[tokio::test]
async fn once_is_true_once_in_two_generations() {
    let Some((scratch, owner)) = inbox("once_is_true_once_in_two_generations").await else {
        return;
    };
    let client = owner.client();
    assert!(value::<bool>(client, ONCE).await);
    assert!(!value::<bool>(client, ONCE).await);
    rotate(client).await;
    assert!(!value::<bool>(client, ONCE).await, "the previous generation is asked");
    assert_eq!(generations(client).await, "inbox_1 inbox_2");
    rotate(client).await;
    assert_eq!(generations(client).await, "inbox_2 inbox_3");
    assert!(value::<bool>(client, ONCE).await, "its time is over");
    assert!(!value::<bool>(client, ROTATE).await, "not before its time");
    // Another replay epoch, another consumer: something else.
    let again = ONCE.replace(":0'", ":1'");
    for other in [&again, &ONCE.replace("billing", "search")] {
        assert!(value::<bool>(client, other).await, "{other}");
    }
    client
        .batch_execute("update twinbox.inbox set state = 'dropped' where replay_epoch = 1")
        .await
        .expect("dropped");
    assert!(
        !value::<bool>(client, &again).await,
        "a dropped one is not done any more"
    );
    for bad in [
        "",
        "billing",
        "Billing:018f3f2e-0000-7000-8000-000000000001:0",
        "billing:1:0",
        "billing:018f3f2e-0000-7000-8000-000000000001:",
        "billing:------------------------------------:0",
    ] {
        let code = refused(client, &format!("select twinbox.once('{bad}')")).await;
        assert!(matches!(&*code, "22023" | "22P02"), "{bad}: {code}");
    }
    scratch.drop().await;
}

#[tokio::test]
async fn once_takes_the_token_apart_that_handlers_get() {
    let Some((scratch, owner)) = inbox("once_takes_the_token_apart_that_handlers_get").await else {
        return;
    };
    let identity = Identity {
        id: uuid::Uuid::from_u128(7),
        replay_epoch: i32::MAX,
    };
    let token = once_token("billing_2", identity);
    assert!(value::<bool>(owner.client(), &format!("select twinbox.once('{token}')")).await);
    let row = "select consumer = 'billing_2' and message_id = '00000000-0000-0000-0000-000000000007'
        and replay_epoch = 2147483647 and state = 'done' from twinbox.inbox";
    assert!(value::<bool>(owner.client(), row).await);
    scratch.drop().await;
}

#[tokio::test]
async fn s24_a_rotation_waits_a_second_for_batches_and_no_longer() {
    let Some((scratch, owner)) = inbox("s24_a_rotation_waits_a_second_for_batches_and_no_longer").await else {
        return;
    };
    let batch = scratch.owner().await;
    owner.client().batch_execute(AGE).await.expect("aged");
    batch
        .client()
        .batch_execute("begin; select twinbox.enter_generation()")
        .await
        .expect("a batch");
    let began = std::time::Instant::now();
    assert_eq!(refused(owner.client(), ROTATE).await, "55P03");
    let waited = began.elapsed();
    assert!(waited.as_millis() >= 900 && waited.as_secs() < 10, "{waited:?}");
    // What the batch writes goes where it looked: nothing has moved.
    batch.client().batch_execute(ONCE).await.expect("written");
    batch.client().batch_execute("commit").await.expect("committed");
    assert!(value::<bool>(owner.client(), ROTATE).await);
    let number: i32 = value(batch.client(), "select current from twinbox.enter_generation()").await;
    assert_eq!(number, 2, "read after the lock");
    scratch.drop().await;
}

#[tokio::test]
async fn s38_a_transaction_that_is_older_than_a_rotation_is_told_to_begin_again() {
    let Some((scratch, owner)) = inbox("s38_a_transaction_that_is_older_than_a_rotation").await else {
        return;
    };
    let slow = scratch.owner().await;
    slow.client()
        .batch_execute("begin isolation level repeatable read; select 1")
        .await
        .expect("a snapshot");
    assert!(value::<bool>(owner.client(), ONCE).await);
    rotate(owner.client()).await;
    rotate(owner.client()).await;
    rotate(owner.client()).await;
    assert!(value::<bool>(owner.client(), ONCE).await);
    assert_eq!(refused(slow.client(), ONCE).await, "40001");
    slow.client().batch_execute("rollback").await.expect("rolled back");
    assert!(!value::<bool>(slow.client(), ONCE).await);
    scratch.drop().await;
}

#[tokio::test]
async fn a_rotation_that_ended_early_is_finished_by_the_next() {
    let Some((scratch, owner)) = inbox("a_rotation_that_ended_early_is_finished_by_the_next").await else {
        return;
    };
    let client = owner.client();
    client.batch_execute(AGE).await.expect("aged");
    client
        .batch_execute("begin; select twinbox.rotate_inbox(); rollback")
        .await
        .expect("not committed");
    // Meanwhile nothing is lost, and whoever reads after the lock goes on.
    assert_eq!(generations(client).await, "inbox_1");
    assert!(value::<bool>(client, ONCE).await);
    client
        .batch_execute("update twinbox.inbox_generation set started_at = now()")
        .await
        .expect("young");
    assert!(value::<bool>(client, ROTATE).await, "it is due at once");
    assert_eq!(generations(client).await, "inbox_1 inbox_2");
    let agree = "select current = last_value from twinbox.inbox_generation, twinbox.inbox_number";
    assert!(value::<bool>(client, agree).await);
    assert!(!value::<bool>(client, ONCE).await);
    scratch.drop().await;
}

#[tokio::test]
async fn an_application_may_ask_once_and_nothing_else() {
    let Some((scratch, owner)) = inbox("an_application_may_ask_once_and_nothing_else").await else {
        return;
    };
    let login = format!("{}_app", scratch.name);
    let make = format!("create role {login} login in role twinbox_app");
    owner.client().batch_execute(&make).await.expect("made");
    let app = scratch
        .connector(&login, Session::command("test"))
        .direct()
        .await
        .expect("connected");
    assert!(value::<bool>(app.client(), ONCE).await);
    for statement in [
        "select from twinbox.inbox",
        "insert into twinbox.inbox (generation, consumer, message_id) values (1, 'billing', gen_random_uuid())",
        "select from twinbox.inbox_generation",
        "select from twinbox.consumer_position",
        "select from twinbox.enter_generation()",
        "select from twinbox.rotate_inbox()",
        "select from twinbox.letter",
    ] {
        assert_eq!(refused(app.client(), statement).await, "42501", "{statement}");
    }
    drop(app);
    let clean = format!("drop owned by {login}; drop role {login}");
    owner.client().batch_execute(&clean).await.expect("dropped");
    scratch.drop().await;
}

#[tokio::test]
async fn a_consumer_has_what_it_needs_and_no_more() {
    let Some((scratch, owner)) = inbox("a_consumer_has_what_it_needs_and_no_more").await else {
        return;
    };
    let login = format!("{}_consumer", scratch.name);
    let make = format!("create role {login} login in role twinbox_consumer");
    owner.client().batch_execute(&make).await.expect("made");
    let consumer = scratch
        .connector(&login, Session::command("test"))
        .direct()
        .await
        .expect("connected");
    let day = "
        insert into twinbox.consumer values ('billing', '7 days') on conflict (consumer) do update set seen_at = now();
        insert into twinbox.consumer_position (consumer, topic) values ('billing', 'orders');
        update twinbox.consumer_position set epoch = epoch + 1;
        select twinbox.enter_generation();
        insert into twinbox.inbox (generation, consumer, message_id) values (1, 'billing', gen_random_uuid()) on conflict do nothing;
        select from twinbox.inbox; select from twinbox.inbox_generation; select from twinbox.rotate_inbox();
        insert into twinbox.lane (side, owner, lane, cause) values ('consumer', 'billing', 'l', 'rejected');
        insert into twinbox.letter (side, owner, lane, place, message_id) values ('consumer', 'billing', 'l', '1', gen_random_uuid());
        update twinbox.letter set closed = 'delivered'; delete from twinbox.lane;
        insert into twinbox.audit (verb, object) values ('test', 'billing')";
    consumer.client().batch_execute(day).await.expect("a consumer's day");
    for statement in [
        "update twinbox.inbox set state = 'done'",
        "delete from twinbox.inbox",
        "truncate twinbox.inbox",
        "select from twinbox.inbox_1",
        "drop table twinbox.inbox_1",
        "update twinbox.inbox_generation set current = 9",
        "select nextval('twinbox.inbox_number')",
        "delete from twinbox.consumer_position",
        "select from twinbox.audit",
        "select twinbox.once('x')",
    ] {
        assert_eq!(refused(consumer.client(), statement).await, "42501", "{statement}");
    }
    drop(consumer);
    let clean = format!("drop owned by {login}; drop role {login}");
    owner.client().batch_execute(&clean).await.expect("dropped");
    scratch.drop().await;
}

#[tokio::test]
async fn preflight_says_what_a_consumer_lacks() {
    let Some(scratch) = Scratch::new("preflight_says_what_a_consumer_lacks").await else {
        return;
    };
    let failing = async |user: &str| {
        let connector = scratch.connector(user, Session::consumer("billing"));
        let mut found = preflight::inbox(&connector, &options().schema).await;
        found.retain(|finding| finding.grade == Grade::Fail);
        found
    };
    let owner = scratch.owner().await;
    let login = format!("{}_bare", scratch.name);
    let make = format!("create role {login} login");
    owner.client().batch_execute(&make).await.expect("made");
    let found = failing(&login).await;
    let ids: Vec<&str> = found.iter().map(|finding| finding.id).collect();
    assert_eq!(ids, ["PG-TABLE", "PG-MIGR"]);
    assert!(found[0].observed.contains("consumer_position"), "{}", found[0].observed);
    let owner = scratch.migrated(&only(true)).await;
    // The ledger cannot be read either, which is no verdict.
    let found = failing(&login).await;
    assert_eq!(found.len(), 1, "{found:?}");
    for word in ["insert on twinbox.inbox,", "execute on twinbox.rotate_inbox"] {
        assert!(found[0].observed.contains(word), "{}", found[0].observed);
    }
    let grant = format!("grant twinbox_consumer to {login}");
    owner.client().batch_execute(&grant).await.expect("granted");
    let found = failing(&login).await;
    assert!(found.is_empty(), "{found:?}");
    let clean = format!("drop owned by {login}; drop role {login}");
    owner.client().batch_execute(&clean).await.expect("dropped");
    scratch.drop().await;
}
