//! Who may do what, tried as those roles.

use twinbox::postgres::migrate::{self, Options};
use twinbox::postgres::{Direct, Session};

use super::scratch::{Scratch, options, refused, value};

const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// The tables, the roles, and a login that is a member of one of them.
struct Site {
    scratch: Scratch,
    owner: Direct,
}

impl Site {
    async fn new(test: &str) -> Option<Self> {
        Self::with(test, options()).await
    }

    async fn with(test: &str, options: Options) -> Option<Self> {
        let scratch = Scratch::new(test).await?;
        let owner = scratch.migrated(&Options { roles: true, ..options }).await;
        Some(Self { scratch, owner })
    }

    async fn login(&self, role: &str) -> Direct {
        let login = self.name(role);
        let sql = format!("create role {login} login in role {role}");
        self.owner.client().batch_execute(&sql).await.expect("made");
        self.scratch
            .connector(&login, Session::command("test"))
            .direct()
            .await
            .expect("connected")
    }

    fn name(&self, role: &str) -> String {
        format!("{}_{role}", self.scratch.name)
    }

    async fn end(self, roles: &[&str]) {
        for role in roles {
            let sql = format!("drop owned by {0}; drop role {0}", self.name(role));
            self.owner.client().batch_execute(&sql).await.expect("dropped");
        }
        drop(self.owner);
        self.scratch.drop().await;
    }
}

#[tokio::test]
async fn an_application_may_only_add_events() {
    let Some(site) = Site::new("an_application_may_only_add_events").await else {
        return;
    };
    let app = site.login("twinbox_app").await;
    let client = app.client();
    let enqueue = "select twinbox.enqueue('order', 'o1', 'order.placed', '{}', '{\"tenant\": \"t1\"}', null)";
    let id: uuid::Uuid = value(client, enqueue).await;
    // Debezium's columns, as its users write them.
    let insert = "insert into twinbox.outbox (id, aggregatetype, aggregateid, type, payload) values (gen_random_uuid(), 'a', 'k', 't', '{}')";
    client.batch_execute(insert).await.expect("its right");
    for statement in [
        "insert into twinbox.outbox (aggregatetype, type, xid) values ('a', 't', '3')",
        "insert into twinbox.outbox (aggregatetype, type, created_at) values ('a', 't', now())",
        "insert into twinbox.outbox (seq, aggregatetype, type) overriding system value values (7, 'a', 't')",
        "insert into twinbox.outbox (aggregatetype, type) values ('a', 't') returning seq",
        "select from twinbox.outbox",
        "update twinbox.outbox set type = 'x'",
        "delete from twinbox.outbox",
        "truncate twinbox.outbox",
        "select from twinbox.relay_cursor",
        "select from twinbox.letter",
        "insert into twinbox.migration values ('x', 1, 'x', 'x', now(), 'x', 'x')",
        "select twinbox.wake()",
        "create table twinbox.mine ()",
    ] {
        let code = refused(client, statement).await;
        // A trigger function is no function to call: that is refused before rights are looked at.
        assert!(
            code == INSUFFICIENT_PRIVILEGE || statement.contains("wake") && code == "0A000",
            "{statement}: {code}"
        );
    }
    assert_eq!(
        value::<i64>(site.owner.client(), "select count(*) from twinbox.outbox").await,
        2
    );
    let found: String = value(
        site.owner.client(),
        &format!("select headers->>'tenant' from twinbox.outbox where id = '{id}'"),
    )
    .await;
    assert_eq!(found, "t1");
    drop(app);
    site.end(&["twinbox_app"]).await;
}

#[tokio::test]
async fn enqueue_answers_the_id_that_it_wrote() {
    let Some(site) = Site::new("enqueue_answers_the_id_that_it_wrote").await else {
        return;
    };
    let client = site.owner.client();
    let given = "select twinbox.enqueue('a', null, 't', null, id => '018f3f2e-0000-7000-8000-000000000001')::text";
    assert_eq!(
        value::<String>(client, given).await,
        "018f3f2e-0000-7000-8000-000000000001"
    );
    let null_id: uuid::Uuid = value(client, "select twinbox.enqueue('a', 'k', 't', '{}', id => null)").await;
    let written = format!("select count(*) from twinbox.outbox where id = '{null_id}' and xid is not null");
    assert_eq!(value::<i64>(client, &written).await, 1);
    site.end(&[]).await;
}

#[tokio::test]
async fn a_relay_makes_and_drops_partitions_only_through_the_owner() {
    let partitions = Options {
        partitions: true,
        ..options()
    };
    let Some(site) = Site::with("a_relay_makes_and_drops_partitions_only_through_the_owner", partitions).await else {
        return;
    };
    let owner = site.owner.client();
    let day = "select twinbox.make_partition(); select twinbox.detach_partition(); select twinbox.drop_partition();
        select from twinbox.outbox_partition; select from twinbox.outbox; delete from twinbox.outbox_default";
    let relay = site.login("twinbox_relay").await;
    relay.client().batch_execute(day).await.expect("a relay's day");
    let made: String = value(
        owner,
        "select partition::text from twinbox.outbox_partition where lower is not null limit 1",
    )
    .await;
    for statement in [
        format!("drop table twinbox.{made}"),
        format!("alter table twinbox.outbox detach partition twinbox.{made}"),
        format!("select from twinbox.{made}"),
        format!("truncate twinbox.{made}"),
        "truncate twinbox.outbox_default".to_owned(),
        "insert into twinbox.outbox_default (seq, aggregatetype, type) values (1, 'a', 't')".to_owned(),
        format!("select twinbox.partition_is_settled('{made}')"),
    ] {
        let code = refused(relay.client(), &statement).await;
        assert_eq!(code, INSUFFICIENT_PRIVILEGE, "{statement}");
    }
    let app = site.login("twinbox_app").await;
    let insert = "insert into twinbox.outbox (aggregatetype, type) values ('a', 't'); select twinbox.enqueue('a', 'k', 't', '{}')";
    app.client().batch_execute(insert).await.expect("its right");
    for statement in [
        "select twinbox.make_partition()",
        "select twinbox.detach_partition()",
        "select twinbox.drop_partition()",
        "select from twinbox.outbox_partition",
        "insert into twinbox.outbox_default (seq, aggregatetype, type) values (1, 'a', 't')",
        "insert into twinbox.outbox (aggregatetype, type, created_at) values ('a', 't', '2020-01-01')",
    ] {
        assert_eq!(
            refused(app.client(), statement).await,
            INSUFFICIENT_PRIVILEGE,
            "{statement}"
        );
    }
    drop((relay, app));
    site.end(&["twinbox_app", "twinbox_relay"]).await;
}

#[tokio::test]
async fn a_relay_has_what_it_needs_and_no_more() {
    let Some(site) = Site::new("a_relay_has_what_it_needs_and_no_more").await else {
        return;
    };
    let relay = site.login("twinbox_relay").await;
    let client = relay.client();
    let work = "
        insert into twinbox.relay_cursor (relay, source, position_epoch) values ('orders', 'cursor', 1);
        select from twinbox.relay_cursor where relay = 'orders' for share;
        update twinbox.relay_cursor set epoch = epoch + 1;
        insert into twinbox.relay_window (relay, number, upper) values ('orders', 1, pg_current_snapshot());
        update twinbox.relay_window set rest = '{}';
        delete from twinbox.relay_window;
        insert into twinbox.relay_destination (relay, destination, partitions) values ('orders', 'order.events', 3);
        insert into twinbox.relay_horizon default values;
        insert into twinbox.lane (side, owner, lane, cause) values ('relay', 'orders', 'l', 'rejected');
        insert into twinbox.letter (side, owner, lane, place, seq, message_id) values ('relay', 'orders', 'l', '1', 1, gen_random_uuid());
        update twinbox.letter set closed = 'delivered';
        delete from twinbox.lane;
        update twinbox.acceptance set used_at = now() where relay = 'orders';
        insert into twinbox.audit (verb, object) values ('test', 'orders');
        delete from twinbox.outbox where seq = 0;
        select twinbox.outbox_age()";
    client.batch_execute(work).await.expect("a relay's day");
    for statement in [
        "insert into twinbox.outbox (aggregatetype, type) values ('a', 't')",
        "update twinbox.outbox set type = 'x'",
        "truncate twinbox.outbox",
        "select from twinbox.audit",
        "update twinbox.migration set version = 0",
        "insert into twinbox.acceptance (relay, kind) values ('orders', 'system_changed')",
    ] {
        assert_eq!(refused(client, statement).await, INSUFFICIENT_PRIVILEGE, "{statement}");
    }
    drop(relay);
    site.end(&["twinbox_relay"]).await;
}

#[tokio::test]
async fn an_operator_reads_all_and_changes_letters() {
    let Some(site) = Site::new("an_operator_reads_all_and_changes_letters").await else {
        return;
    };
    let operator = site.login("twinbox_operator").await;
    let client = operator.client();
    let work = "
        select from twinbox.outbox; select from twinbox.audit;
        update twinbox.lane set due = now(); delete from twinbox.lane; update twinbox.letter set closed = 'dropped';
        update twinbox.relay_window set rest = '{}';
        insert into twinbox.acceptance (relay, kind, reason) values ('orders', 'system_changed', 'restored');
        insert into twinbox.audit (verb, object) values ('accept', 'orders')";
    client.batch_execute(work).await.expect("an operator's day");
    for statement in [
        "insert into twinbox.outbox (aggregatetype, type) values ('a', 't')",
        "update twinbox.relay_cursor set epoch = 0",
        "update twinbox.relay_window set upper = pg_current_snapshot()",
        "delete from twinbox.audit",
    ] {
        assert_eq!(refused(client, statement).await, INSUFFICIENT_PRIVILEGE, "{statement}");
    }
    drop(operator);
    site.end(&["twinbox_operator"]).await;
}

#[tokio::test]
async fn roles_may_be_made_again() {
    let Some(site) = Site::new("roles_may_be_made_again").await else {
        return;
    };
    let mut again = site.scratch.owner().await;
    let report = migrate::apply(
        again.client_mut(),
        &Options {
            roles: true,
            ..options()
        },
    )
    .await
    .expect("again");
    assert_eq!((report.applied.len(), report.roles), (0, true));
    let settings = "select array_to_string(rolconfig, ' ') from pg_roles where rolname = 'twinbox_relay'";
    let settings: String = value(again.client(), settings).await;
    for setting in [
        "search_path=pg_catalog",
        "row_security=off",
        "enable_seqscan=off",
        "idle_session_timeout=60s",
    ] {
        assert!(settings.contains(setting), "{settings}");
    }
    let app: bool = value(
        again.client(),
        "select rolconfig is null from pg_roles where rolname = 'twinbox_app'",
    )
    .await;
    assert!(app, "an application's settings are its own");
    drop(again);
    site.end(&[]).await;
}
