//! `twinbox migrate`: once, in order, by however many pods.

use futures_util::future::join_all;
use twinbox::postgres::migrate::{self, MigrateError, Payload, Standing, Wake};
use twinbox::postgres::{Kind, Session};

use super::scratch::{Scratch, options, schema, value};

#[tokio::test]
async fn ten_pods_migrate_at_once() {
    let Some(scratch) = Scratch::new("ten_pods_migrate_at_once").await else {
        return;
    };
    let pods = (0..10).map(async |_| {
        let mut pod = scratch.owner().await;
        migrate::apply(
            pod.client_mut(),
            &migrate::Options {
                roles: true,
                ..options()
            },
        )
        .await
        .expect("migrated")
    });
    let reports = join_all(pods).await;
    let applied: usize = reports.iter().map(|report| report.applied.len()).sum();
    assert_eq!(applied, 12, "each file by exactly one pod");
    let mut owner = scratch.owner().await;
    assert_eq!(
        value::<i64>(owner.client(), "select count(*) from twinbox.migration").await,
        12
    );
    assert_eq!(
        migrate::check(owner.client_mut(), &options()).await.expect("checked"),
        Standing::Current
    );
    scratch.drop().await;
}

#[tokio::test]
async fn ten_pods_make_one_outbox_of_partitions() {
    let Some(scratch) = Scratch::new("ten_pods_make_one_outbox_of_partitions").await else {
        return;
    };
    let asked = migrate::Options {
        payload: Some(Payload::Bytea),
        partitions: true,
        roles: true,
        ..options()
    };
    let pods = (0..10).map(async |_| {
        let mut pod = scratch.owner().await;
        migrate::apply(pod.client_mut(), &asked).await.expect("migrated")
    });
    let applied: usize = join_all(pods).await.iter().map(|report| report.applied.len()).sum();
    assert_eq!(applied, 15, "each file by exactly one pod");
    let mut owner = scratch.owner().await;
    // Whoever does not say keeps it.
    for silent in [&asked, &options()] {
        let standing = migrate::check(owner.client_mut(), silent).await.expect("checked");
        assert_eq!(standing, Standing::Current);
    }
    let kind = "select relkind::text from pg_class where oid = 'twinbox.outbox'::regclass";
    assert_eq!(value::<String>(owner.client(), kind).await, "p");
    let enqueue = "select twinbox.enqueue('order', 'o1', 'order.placed', 'x') is not null";
    assert!(value::<bool>(owner.client(), enqueue).await);
    scratch.drop().await;
}

#[tokio::test]
async fn a_plain_table_stays_one() {
    let Some(scratch) = Scratch::new("a_plain_table_stays_one").await else {
        return;
    };
    let mut owner = scratch.migrated(&options()).await;
    let asked = migrate::Options {
        partitions: true,
        ..options()
    };
    let standing = migrate::check(owner.client_mut(), &asked).await.expect("checked");
    assert_eq!(standing, Standing::Plain);
    let refused = migrate::apply(owner.client_mut(), &asked).await.expect_err("refused");
    let sentence = refused.to_string();
    for word in [
        "twinbox.outbox is a plain table",
        "`retention: 24h`",
        "migrate --partitions --schema NAME`",
    ] {
        assert!(sentence.contains(word), "{sentence}");
    }
    scratch.drop().await;
}

#[tokio::test]
async fn checking_changes_nothing() {
    let Some(scratch) = Scratch::new("checking_changes_nothing").await else {
        return;
    };
    let mut owner = scratch.owner().await;
    let standing = migrate::check(owner.client_mut(), &options()).await.expect("checked");
    let Standing::Behind(missing) = standing else {
        panic!("{standing:?}")
    };
    assert_eq!(missing[0].to_string(), "outbox 0001 (outbox)");
    assert_eq!(missing.len(), 12);
    let schemas = "select count(*) from pg_namespace where nspname = 'twinbox'";
    assert_eq!(value::<i64>(owner.client(), schemas).await, 0);
    scratch.drop().await;
}

#[tokio::test]
async fn a_file_that_changed_refuses() {
    let Some(scratch) = Scratch::new("a_file_that_changed_refuses").await else {
        return;
    };
    let mut owner = scratch.migrated(&options()).await;
    let tamper = "update twinbox.migration set checksum = repeat('0', 64) where component = 'outbox' and version = 2";
    owner.client().batch_execute(tamper).await.expect("tampered");
    let standing = migrate::check(owner.client_mut(), &options()).await.expect("checked");
    assert!(
        matches!(&standing, Standing::Tampered { step, .. } if step.name == "relay"),
        "{standing:?}"
    );
    let refused = migrate::apply(owner.client_mut(), &options())
        .await
        .expect_err("refused");
    assert!(matches!(refused, MigrateError::Tampered { .. }), "{refused}");
    assert!(
        refused
            .to_string()
            .contains("outbox 0002 (relay) was applied to schema twinbox with other contents")
    );
    scratch.drop().await;
}

#[tokio::test]
async fn there_is_no_way_down() {
    let Some(scratch) = Scratch::new("there_is_no_way_down").await else {
        return;
    };
    let mut owner = scratch.migrated(&options()).await;
    for (component, version) in [("outbox", 99), ("inbox", 99)] {
        let newer = format!(
            "insert into twinbox.migration values ('{component}', {version}, 'future', 'x', now(), 'x', 'twinbox 9.9.9')"
        );
        owner.client().batch_execute(&newer).await.expect("written");
        let refused = migrate::apply(owner.client_mut(), &options())
            .await
            .expect_err("refused");
        assert!(
            refused
                .to_string()
                .contains("migrated by a newer twinbox (twinbox 9.9.9)"),
            "{refused}"
        );
        let standing = migrate::check(owner.client_mut(), &options()).await.expect("checked");
        assert!(matches!(standing, Standing::Newer { version: found, .. } if found == version));
        owner
            .client()
            .batch_execute("delete from twinbox.migration where name = 'future'")
            .await
            .expect("deleted");
    }
    scratch.drop().await;
}

#[tokio::test]
async fn the_payload_has_the_type_that_was_asked_for() {
    let Some(scratch) = Scratch::new("the_payload_has_the_type_that_was_asked_for").await else {
        return;
    };
    for payload in [Payload::Jsonb, Payload::Json, Payload::Bytea, Payload::Text] {
        let schema = schema(&format!("box_{payload}"));
        let asked = migrate::Options {
            payload: Some(payload),
            schema: schema.clone(),
            ..options()
        };
        let mut owner = scratch.migrated(&asked).await;
        let column = format!(
            "select format_type(atttypid, null) from pg_attribute where attrelid = '{schema}.outbox'::regclass and attname = 'payload'"
        );
        assert_eq!(value::<String>(owner.client(), &column).await, payload.name());
        let enqueue = format!("select {schema}.enqueue('order', 'o1', 'order.placed', '{{\"a\": 1}}') is not null");
        assert!(value::<bool>(owner.client(), &enqueue).await);
        // Whoever does not say keeps it; whoever says another one is told.
        let silent = migrate::Options {
            payload: None,
            ..asked.clone()
        };
        assert_eq!(
            migrate::check(owner.client_mut(), &silent).await.expect("checked"),
            Standing::Current
        );
        let other = if payload == Payload::Text {
            Payload::Json
        } else {
            Payload::Text
        };
        let refused = migrate::apply(
            owner.client_mut(),
            &migrate::Options {
                payload: Some(other),
                ..asked
            },
        )
        .await;
        assert!(
            matches!(refused, Err(MigrateError::PayloadFixed { present, .. }) if present == payload),
            "{refused:?}"
        );
    }
    scratch.drop().await;
}

#[tokio::test]
async fn what_is_printed_is_what_is_applied() {
    let Some(scratch) = Scratch::new("what_is_printed_is_what_is_applied").await else {
        return;
    };
    let asked = migrate::Options {
        payload: Some(Payload::Bytea),
        partitions: true,
        roles: true,
        ..options()
    };
    let mut owner = scratch.owner().await;
    owner
        .client()
        .batch_execute(&migrate::print(&asked))
        .await
        .expect("it runs as printed");
    assert_eq!(
        migrate::check(owner.client_mut(), &asked).await.expect("checked"),
        Standing::Current
    );
    scratch.drop().await;
}

/// Whoever runs the printed file by hand may stop after any transaction.
#[tokio::test]
async fn no_transaction_of_the_printed_file_leaves_an_outbox_of_another_shape() {
    let Some(scratch) = Scratch::new("no_transaction_of_the_printed_file_leaves_an_outbox_of_another_shape").await
    else {
        return;
    };
    let asked = migrate::Options {
        payload: Some(Payload::Bytea),
        partitions: true,
        ..options()
    };
    let mut owner = scratch.owner().await;
    let script = migrate::print(&asked);
    let shaped = "select coalesce(to_regclass('twinbox.outbox'), 0)::oid = 0 or exists (
        select from pg_class c join pg_attribute a on a.attrelid = c.oid
        where c.oid = to_regclass('twinbox.outbox') and c.relkind = 'p' and a.attname = 'payload' and a.atttypid = 'bytea'::regtype)";
    for transaction in script.split_inclusive("\ncommit;\n") {
        owner
            .client()
            .batch_execute(transaction)
            .await
            .expect("it runs as printed");
        assert!(value::<bool>(owner.client(), shaped).await, "after {transaction}");
        let standing = migrate::check(owner.client_mut(), &asked).await.expect("checked");
        assert!(
            matches!(standing, Standing::Behind(_) | Standing::Current),
            "{standing:?}"
        );
    }
    scratch.drop().await;
}

#[tokio::test]
async fn the_wake_trigger_comes_and_goes() {
    let Some(scratch) = Scratch::new("the_wake_trigger_comes_and_goes").await else {
        return;
    };
    let count = "select count(*) from pg_trigger where tgname = 'twinbox_wake'";
    let off = migrate::Options {
        wake: false,
        ..options()
    };
    let mut owner = scratch.migrated(&off).await;
    assert_eq!(value::<i64>(owner.client(), count).await, 0);
    let report = migrate::apply(owner.client_mut(), &options()).await.expect("migrated");
    assert_eq!(
        (report.wake, value::<i64>(owner.client(), count).await),
        (Wake::Installed, 1)
    );
    let report = migrate::apply(owner.client_mut(), &off).await.expect("migrated");
    assert_eq!(
        (report.wake, value::<i64>(owner.client(), count).await),
        (Wake::Declined, 0)
    );
    scratch.drop().await;
}

#[tokio::test]
async fn a_schema_made_by_the_dba_is_enough() {
    let Some(scratch) = Scratch::new("a_schema_made_by_the_dba_is_enough").await else {
        return;
    };
    let owner = scratch.owner().await;
    let login = format!("{}_owner", scratch.name);
    let prepare = format!("create role {login} login; create schema twinbox authorization {login}");
    owner.client().batch_execute(&prepare).await.expect("prepared");
    let mut owner_of_schema = scratch
        .connector(&login, Session::command("migrate"))
        .direct()
        .await
        .expect("connected");
    migrate::apply(owner_of_schema.client_mut(), &options())
        .await
        .expect("migrated without CREATE on the database");
    // Another schema would have to be made, and this login may not.
    let elsewhere = migrate::Options::new(schema("elsewhere"));
    let refused = migrate::apply(owner_of_schema.client_mut(), &elsewhere)
        .await
        .expect_err("refused");
    assert!(
        matches!(&refused, MigrateError::Failed { failure, .. } if failure.kind == Kind::Configuration),
        "{refused}"
    );
    drop(owner_of_schema);
    let clean = format!("drop owned by {login} cascade; drop role {login}");
    owner.client().batch_execute(&clean).await.expect("cleaned");
    scratch.drop().await;
}

/// As `migrate --print --partitions | psql` goes on after an error.
#[tokio::test]
async fn a_script_for_partitions_leaves_an_outbox_in_use_alone() {
    let Some(scratch) = Scratch::new("a_script_for_partitions_leaves_an_outbox_in_use_alone").await else {
        return;
    };
    let owner = scratch.migrated(&options()).await;
    let client = owner.client();
    let insert = "insert into twinbox.outbox (aggregatetype, type, aggregateid) values ('a', 't', 'waits')";
    client.batch_execute(insert).await.expect("inserted");
    let script = migrate::print(&migrate::Options {
        partitions: true,
        ..options()
    });
    for transaction in script.split("\nbegin;\n").skip(1) {
        if client.batch_execute(&format!("begin;\n{transaction}")).await.is_err() {
            client.batch_execute("rollback").await.expect("over");
        }
    }
    assert_eq!(value::<i64>(client, "select count(*) from twinbox.outbox").await, 1);
    scratch.drop().await;
}
