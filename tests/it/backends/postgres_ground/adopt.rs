//! `twinbox migrate --adopt`: tables of another shape.

use twinbox::postgres::adopt::{self, AdoptError, Adoption, Mapping, Outcome, Profile, Standing};
use twinbox::postgres::migrate::{Options, Payload};
use twinbox::postgres::{Direct, Session, TableName};

use super::scratch::{Scratch, options, refused, schema, value};

const DEBEZIUM: &str = "create table shop.outbox (id uuid primary key, aggregatetype varchar(255) not null,
    aggregateid varchar(255) not null, type varchar(255) not null, payload jsonb)";
const OPEN_OUTBOX: &str = "create table shop.openoutbox_events (event_id uuid primary key, event_type text not null,
    partition_key text, payload bytea not null, headers jsonb, status text not null default 'PENDING',
    attempts int not null default 0, created_at timestamptz not null default now())";

async fn site(test: &str, payload: Payload, table: &str) -> Option<(Scratch, Direct)> {
    let scratch = Scratch::new(test).await?;
    let owner = scratch
        .migrated(&Options {
            payload: Some(payload),
            ..options()
        })
        .await;
    owner
        .client()
        .batch_execute(&format!("create schema shop; {table}"))
        .await
        .expect("made");
    Some((scratch, owner))
}

/// The copy lands in partitions as it does in a plain table.
#[tokio::test]
async fn rows_are_copied_into_partitions() {
    let Some(scratch) = Scratch::new("rows_are_copied_into_partitions").await else {
        return;
    };
    let asked = Options {
        partitions: true,
        ..options()
    };
    let mut owner = scratch.migrated(&asked).await;
    let table = format!("create schema shop; {DEBEZIUM}; {}", event("old", "{}"));
    owner.client().batch_execute(&table).await.expect("made");
    let wanted = adoption("shop.outbox", Profile::Debezium, "");
    let done = adopt::adopt(owner.client_mut(), &schema("twinbox"), &wanted).await;
    assert_eq!(done.expect("adopted").rows, 1);
    owner
        .client()
        .batch_execute(&event("new", "{}"))
        .await
        .expect("written");
    assert_eq!(copied(&owner).await, ["old placed", "new placed"]);
    scratch.drop().await;
}

fn adoption(table: &str, profile: Profile, columns: &str) -> Adoption {
    let table = TableName::parse(table).expect("a name");
    Adoption {
        table,
        mapping: Mapping::new(profile, columns).expect("a mapping"),
        backlog: true,
    }
}

fn event(key: &str, body: &str) -> String {
    format!("insert into shop.outbox values (gen_random_uuid(), 'order', '{key}', 'placed', '{body}')")
}

async fn copied(owner: &Direct) -> Vec<String> {
    let sql = "select coalesce(aggregateid, '-') || ' ' || type from twinbox.outbox order by seq";
    owner
        .client()
        .query(sql, &[])
        .await
        .expect("read")
        .iter()
        .map(|row| row.get(0))
        .collect()
}

#[tokio::test]
async fn rows_that_are_deleted_at_once_are_copied() {
    let test = "rows_that_are_deleted_at_once_are_copied";
    let Some((scratch, mut owner)) = site(test, Payload::Jsonb, DEBEZIUM).await else {
        return;
    };
    owner
        .client()
        .batch_execute(&event("old", "{}"))
        .await
        .expect("backlog");
    let wanted = adoption("shop.outbox", Profile::Debezium, "");
    let preview = adopt::preview(owner.client_mut(), &schema("twinbox"), &wanted)
        .await
        .expect("previewed");
    assert_eq!((preview.outcome, preview.rows), (Outcome::Adopted, 1));
    assert!(
        preview.notes.iter().any(|note| note.contains("physical order")),
        "{:?}",
        preview.notes
    );
    let done = adopt::adopt(owner.client_mut(), &schema("twinbox"), &wanted)
        .await
        .expect("adopted");
    assert_eq!((done.outcome, done.rows), (Outcome::Adopted, 1));
    // The writer has no right on our schema, and deletes what it has just inserted.
    let login = format!("{}_shop", scratch.name);
    let make = format!(
        "create role {login} login; grant usage on schema shop to {login}; grant all on shop.outbox to {login}"
    );
    owner.client().batch_execute(&make).await.expect("made");
    let writer = scratch
        .connector(&login, Session::command("test"))
        .direct()
        .await
        .expect("connected");
    let quarkus = format!(
        "begin; {}; delete from shop.outbox where aggregateid = 'new'; commit",
        event("new", "{\"n\": 1}")
    );
    writer.client().batch_execute(&quarkus).await.expect("written");
    let undone = format!("begin; {}; rollback", event("undone", "{}"));
    writer.client().batch_execute(&undone).await.expect("rolled back");
    assert_eq!(copied(&owner).await, ["old placed", "new placed"]);
    assert_eq!(
        refused(
            writer.client(),
            "insert into twinbox.outbox (aggregatetype, type) values ('a', 't')"
        )
        .await,
        "42501"
    );
    let own = "select xid = pg_current_xact_id() from twinbox.outbox where aggregateid = 'same'";
    owner
        .client()
        .batch_execute(&format!("begin; {}", event("same", "{}")))
        .await
        .expect("open");
    assert!(
        value::<bool>(owner.client(), own).await,
        "a copy carries its writer's transaction"
    );
    owner.client().batch_execute("commit").await.expect("committed");
    drop(writer);
    let clean = format!("drop owned by {login}; drop role {login}");
    owner.client().batch_execute(&clean).await.expect("dropped");
    scratch.drop().await;
}

#[tokio::test]
async fn adopting_twice_changes_nothing() {
    let Some((scratch, mut owner)) = site("adopting_twice_changes_nothing", Payload::Jsonb, DEBEZIUM).await else {
        return;
    };
    let wanted = adoption("shop.outbox", Profile::Debezium, "");
    let twinbox = schema("twinbox");
    assert_eq!(
        adopt::check(owner.client_mut(), &twinbox, &wanted)
            .await
            .expect("checked"),
        Standing::Absent
    );
    owner
        .client()
        .batch_execute(&event("old", "{}"))
        .await
        .expect("backlog");
    for (outcome, rows) in [(Outcome::Adopted, 1), (Outcome::Unchanged, 0)] {
        let done = adopt::adopt(owner.client_mut(), &twinbox, &wanted)
            .await
            .expect("adopted");
        assert_eq!((done.outcome, done.rows), (outcome, rows));
        assert_eq!(
            adopt::check(owner.client_mut(), &twinbox, &wanted)
                .await
                .expect("checked"),
            Standing::Current
        );
    }
    // Another mapping replaces the trigger, without the backlog.
    let other = adoption("shop.outbox", Profile::Debezium, "aggregatetype='shop'");
    assert_eq!(
        adopt::check(owner.client_mut(), &twinbox, &other)
            .await
            .expect("checked"),
        Standing::Different
    );
    let done = adopt::adopt(owner.client_mut(), &twinbox, &other)
        .await
        .expect("adopted");
    assert_eq!((done.outcome, done.rows), (Outcome::Replaced, 0));
    owner
        .client()
        .batch_execute(&event("new", "{}"))
        .await
        .expect("inserted");
    let kinds: String = value(
        owner.client(),
        "select string_agg(aggregatetype, ' ' order by seq) from twinbox.outbox",
    )
    .await;
    assert_eq!(kinds, "order shop");
    scratch.drop().await;
}

#[tokio::test]
async fn a_trigger_changed_by_hand_is_noticed() {
    let test = "a_trigger_changed_by_hand_is_noticed";
    let Some((scratch, mut owner)) = site(test, Payload::Jsonb, DEBEZIUM).await else {
        return;
    };
    let (twinbox, wanted) = (schema("twinbox"), adoption("shop.outbox", Profile::Debezium, ""));
    adopt::adopt(owner.client_mut(), &twinbox, &wanted)
        .await
        .expect("adopted");
    let function: String = value(
        owner.client(),
        "select p.oid::regproc::text from pg_proc p where proname like 'copy\\_%'",
    )
    .await;
    for (harm, standing) in [
        ("alter table shop.outbox disable trigger twinbox_copy".to_owned(), Standing::Disabled),
        (format!("alter function {function}() security invoker"), Standing::Changed),
        (
            "create or replace trigger twinbox_copy after insert on shop.outbox for each row when (new.type <> 'x') execute function "
                .to_owned()
                + &function
                + "()",
            Standing::Changed,
        ),
        ("drop trigger twinbox_copy on shop.outbox".to_owned(), Standing::Absent),
    ] {
        owner.client().batch_execute(&harm).await.expect(&harm);
        assert_eq!(adopt::check(owner.client_mut(), &twinbox, &wanted).await.expect("checked"), standing, "{harm}");
        adopt::adopt(owner.client_mut(), &twinbox, &wanted).await.expect("mended");
        assert_eq!(adopt::check(owner.client_mut(), &twinbox, &wanted).await.expect("checked"), Standing::Current);
    }
    scratch.drop().await;
}

#[tokio::test]
async fn an_open_outbox_table_is_copied_while_pending() {
    let test = "an_open_outbox_table_is_copied_while_pending";
    let Some((scratch, mut owner)) = site(test, Payload::Bytea, OPEN_OUTBOX).await else {
        return;
    };
    let insert = |key: &str, status: &str| {
        format!(
            "insert into shop.openoutbox_events (event_id, event_type, partition_key, payload, headers, status)
                 values (gen_random_uuid(), 'order.placed', '{key}', '\\x00ff', '{{\"a\": \"b\"}}', '{status}')"
        )
    };
    for (key, status) in [("b1", "PENDING"), ("b2", "DELIVERED")] {
        owner
            .client()
            .batch_execute(&insert(key, status))
            .await
            .expect("backlog");
    }
    let wanted = adoption("shop.openoutbox_events", Profile::OpenOutbox, "order=created_at");
    let done = adopt::adopt(owner.client_mut(), &schema("twinbox"), &wanted)
        .await
        .expect("adopted");
    assert_eq!(done.rows, 1);
    assert_eq!(done.notes.len(), 1, "an order was named: {:?}", done.notes);
    for (key, status) in [("n1", "PENDING"), ("n2", "DEAD")] {
        owner
            .client()
            .batch_execute(&insert(key, status))
            .await
            .expect("inserted");
    }
    assert_eq!(copied(&owner).await, ["b1 order.placed", "n1 order.placed"]);
    let whole = "select bool_and(aggregatetype = 'order.placed' and payload = '\\x00ff' and headers = '{\"a\": \"b\"}') from twinbox.outbox";
    assert!(value::<bool>(owner.client(), whole).await);
    scratch.drop().await;
}

#[tokio::test]
async fn no_row_is_missed_or_doubled_while_writers_go_on() {
    let test = "no_row_is_missed_or_doubled_while_writers_go_on";
    let Some((scratch, mut owner)) = site(test, Payload::Jsonb, DEBEZIUM).await else {
        return;
    };
    let writers = (0..4).map(async |writer: u32| {
        let client = scratch.owner().await;
        for n in 0..200_u32 {
            let body = format!("{{\"n\": {n}}}");
            client
                .client()
                .batch_execute(&event(&format!("k{writer}"), &body))
                .await
                .expect("written");
        }
    });
    let adopting = async {
        // In the middle: some rows are there already, more follow.
        while value::<i64>(owner.client(), "select count(*) from shop.outbox").await < 100 {
            tokio::task::yield_now().await;
        }
        let wanted = adoption("shop.outbox", Profile::Debezium, "");
        adopt::adopt(owner.client_mut(), &schema("twinbox"), &wanted)
            .await
            .expect("adopted")
            .rows
    };
    let (rows, _) = tokio::join!(adopting, futures_util::future::join_all(writers));
    assert!((100..800).contains(&rows), "{rows} rows were there");
    assert_eq!(
        value::<i64>(owner.client(), "select count(*) from twinbox.outbox").await,
        800
    );
    assert_eq!(
        value::<i64>(owner.client(), "select count(distinct id) from twinbox.outbox").await,
        800
    );
    let inversions = "select count(*) from (select (payload->>'n')::int - lag((payload->>'n')::int)
        over (partition by aggregateid order by seq) as step from twinbox.outbox) s where step <> 1";
    assert_eq!(
        value::<i64>(owner.client(), inversions).await,
        0,
        "a key's backlog comes before its new rows"
    );
    scratch.drop().await;
}

#[tokio::test]
async fn leaves_of_a_partitioned_table_are_copied() {
    let test = "leaves_of_a_partitioned_table_are_copied";
    let table = "create table shop.outbox (id uuid not null, aggregatetype text not null, aggregateid text not null,
        type text not null, payload jsonb) partition by list (type);
        create table shop.leaf partition of shop.outbox for values in ('placed')";
    let Some((scratch, mut owner)) = site(test, Payload::Jsonb, table).await else {
        return;
    };
    let wanted = adoption("shop.outbox", Profile::Debezium, "");
    adopt::adopt(owner.client_mut(), &schema("twinbox"), &wanted)
        .await
        .expect("adopted");
    owner
        .client()
        .batch_execute(&event("through", "{}"))
        .await
        .expect("inserted");
    let leaf = event("leaf", "{}").replace("shop.outbox", "shop.leaf");
    owner.client().batch_execute(&leaf).await.expect("inserted");
    assert_eq!(copied(&owner).await, ["through placed", "leaf placed"]);
    let all = adopt::adopted(owner.client(), &schema("twinbox"))
        .await
        .expect("listed");
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(
        (all[0].table.to_string().as_str(), &all[0].standing),
        ("shop.outbox", &Standing::Current)
    );
    scratch.drop().await;
}

#[tokio::test]
async fn what_does_not_fit_is_refused_beforehand() {
    let test = "what_does_not_fit_is_refused_beforehand";
    let Some((scratch, mut owner)) = site(test, Payload::Jsonb, OPEN_OUTBOX).await else {
        return;
    };
    owner
        .client()
        .batch_execute("create view shop.v as select 1 as id")
        .await
        .expect("made");
    let twinbox = schema("twinbox");
    let mut refusal = async |table: &str, profile| {
        let wanted = adoption(table, profile, "");
        adopt::adopt(owner.client_mut(), &twinbox, &wanted)
            .await
            .expect_err(table)
    };
    let error = refusal("shop.openoutbox_events", Profile::OpenOutbox).await;
    assert!(
        error.to_string().contains("column payload is bytea, not jsonb"),
        "{error}"
    );
    assert!(error.to_string().contains("twinbox migrate --payload bytea"), "{error}");
    let error = refusal("shop.openoutbox_events", Profile::Debezium).await;
    assert!(
        matches!(&error, AdoptError::Misfits { misfits, .. } if misfits.len() == 5),
        "{error}"
    );
    assert!(matches!(
        refusal("shop.missing", Profile::Same).await,
        AdoptError::NoTable(_)
    ));
    assert!(matches!(
        refusal("shop.v", Profile::Same).await,
        AdoptError::WrongKind { what: "a view", .. }
    ));
    assert!(matches!(
        refusal("twinbox.outbox", Profile::Same).await,
        AdoptError::WrongKind { .. }
    ));
    let nowhere = schema("nowhere");
    let wanted = adoption("shop.openoutbox_events", Profile::OpenOutbox, "");
    let error = adopt::adopt(owner.client_mut(), &nowhere, &wanted)
        .await
        .expect_err("refused");
    assert!(error.to_string().contains("run `twinbox migrate` first"), "{error}");
    assert_eq!(
        value::<i64>(
            owner.client(),
            "select count(*) from pg_trigger where tgname = 'twinbox_copy'"
        )
        .await,
        0
    );
    scratch.drop().await;
}
