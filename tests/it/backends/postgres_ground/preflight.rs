//! Preflight: each way in which the tables can be wrong, seen through a relay's own rights.

use std::time::Duration;

use twinbox::contract::{Finding, Grade};
use twinbox::postgres::adopt::{self, Adoption, Mapping, Profile};
use twinbox::postgres::migrate::{self, Options};
use twinbox::postgres::preflight::{self, Wanted};
use twinbox::postgres::{Connector, Direct, Session, TableName};

use super::scratch::{Scratch, options, schema};

fn wanted(table: TableName) -> Wanted {
    Wanted {
        schema: schema("twinbox"),
        table,
        partitions: None,
    }
}

struct Site {
    scratch: Scratch,
    owner: Direct,
    login: String,
    relay: Connector,
}

impl Site {
    /// Tables, roles, and a login that may do what a relay may.
    async fn new(test: &str) -> Option<Self> {
        Self::with(test, options()).await
    }

    async fn with(test: &str, options: Options) -> Option<Self> {
        let scratch = Scratch::new(test).await?;
        let owner = scratch.migrated(&Options { roles: true, ..options }).await;
        let login = format!("{}_relay", scratch.name);
        let make = format!("create role {login} login in role twinbox_relay");
        owner.client().batch_execute(&make).await.expect("made");
        let relay = scratch.connector(&login, Session::relay("orders"));
        Some(Self {
            scratch,
            owner,
            login,
            relay,
        })
    }

    async fn findings(&self) -> Vec<Finding> {
        preflight::findings(&self.relay, &wanted(TableName::new("twinbox", "outbox"))).await
    }

    /// Breaks something, looks, mends it.
    async fn broken(&self, broken: &str, mend: &str) -> Vec<Finding> {
        self.owner.client().batch_execute(broken).await.expect(broken);
        let mut found = self.findings().await;
        self.owner.client().batch_execute(mend).await.expect(mend);
        found.retain(|finding| finding.grade >= Grade::Warn && finding.id != "PG-CONN" && finding.id != "PG-HORIZON");
        found
    }

    async fn end(self) {
        let sql = format!("drop owned by {0}; drop role {0}", self.login);
        self.owner.client().batch_execute(&sql).await.expect("dropped");
        drop(self.owner);
        self.scratch.drop().await;
    }
}

/// What is done to the outbox, how it is mended, what is told, how bad it is.
const HARM: [(&str, &str, &str, Grade); 11] = [
    (
        "alter column seq set cache 50",
        "alter column seq set cache 1",
        "cache 50",
        Grade::Fail,
    ),
    (
        "alter column seq set increment by 50",
        "alter column seq set increment by 1",
        "increment 50",
        Grade::Fail,
    ),
    (
        "alter column seq set cycle",
        "alter column seq set no cycle",
        "has cycle",
        Grade::Fail,
    ),
    (
        "enable row level security",
        "disable row level security",
        "row-level policy",
        Grade::Fail,
    ),
    (
        "alter column xid drop default",
        "alter column xid set default pg_current_xact_id()",
        "xid is not filled",
        Grade::Fail,
    ),
    (
        "alter column created_at set default now()",
        "alter column created_at set default clock_timestamp()",
        "created_at is not filled",
        Grade::Fail,
    ),
    (
        "alter column id drop not null",
        "alter column id set not null",
        "id may be null",
        Grade::Fail,
    ),
    (
        "rename column headers to meta",
        "rename column meta to headers",
        "no column headers",
        Grade::Fail,
    ),
    ("set unlogged", "set logged", "unlogged", Grade::Fail),
    (
        "disable trigger twinbox_wake",
        "enable trigger twinbox_wake",
        "disabled",
        Grade::Warn,
    ),
    (
        "set (autovacuum_enabled = false)",
        "reset (autovacuum_enabled)",
        "autovacuum is off",
        Grade::Warn,
    ),
];

#[tokio::test]
async fn partitions_are_looked_at() {
    let asked = Options {
        partitions: true,
        ..options()
    };
    let Some(site) = Site::with("partitions_are_looked_at", asked).await else {
        return;
    };
    let dropping = Wanted {
        partitions: Some(Duration::from_secs(3600)),
        ..wanted(TableName::new("twinbox", "outbox"))
    };
    let told = async |wanted: &Wanted| {
        let found = preflight::findings(&site.relay, wanted).await;
        let tables = found.into_iter().filter(|finding| finding.id == "PG-TABLE");
        let told = tables.filter(|finding| finding.grade >= Grade::Warn);
        told.map(|finding| finding.observed).collect::<Vec<_>>().join("; ")
    };
    let owner = site.owner.client();
    assert_eq!(told(&dropping).await, "");
    assert!(
        told(&wanted(TableName::new("twinbox", "outbox")))
            .await
            .contains("deletes its rows one by one")
    );
    let detach = "do $$ declare p text; begin
        for p in select o.partition from twinbox.outbox_partition o where lower is not null loop
          execute format('alter table twinbox.outbox detach partition twinbox.%I', p);
        end loop; end $$";
    owner.batch_execute(detach).await.expect("detached");
    let seen = told(&dropping).await;
    assert!(
        seen.contains("no partition for now") && seen.contains("is detached"),
        "{seen}"
    );
    // What is long past: one was emptied, but never detached, as somebody's transaction is open; one has rows still.
    let past =
        "create table twinbox.outbox_a partition of twinbox.outbox for values from ('2026-01-01') to ('2026-01-02');
        create table twinbox.outbox_b partition of twinbox.outbox for values from ('2026-01-02') to ('2026-01-03');
        create table twinbox.outbox_pieces partition of twinbox.outbox for values from ('2026-01-03') to ('2026-01-04')
          partition by range (created_at);
        create table twinbox.outbox_by_hand ();
        insert into twinbox.outbox (aggregatetype, type, created_at) values ('a', 't', '2026-01-02 12:00Z')";
    owner.batch_execute(past).await.expect("made");
    let open = "begin; set local application_name = 'shop'; insert into twinbox.outbox (aggregatetype, type) values ('a', 't')";
    owner.batch_execute(open).await.expect("open");
    let seen = told(&dropping).await;
    for word in [
        "past and empty partitions of twinbox.outbox that are still there: 1",
        " (shop)",
        "partitions of twinbox.outbox that should long be gone: 2",
        "outbox_by_hand is detached",
    ] {
        assert!(seen.contains(word), "{seen}");
    }
    owner.batch_execute("rollback").await.expect("over");
    site.end().await;
}

#[tokio::test]
async fn what_is_wrong_with_the_outbox_is_found() {
    let Some(site) = Site::new("what_is_wrong_with_the_outbox_is_found").await else {
        return;
    };
    assert_eq!(site.broken("select", "select").await, [], "fresh tables have no fault");
    let table = "alter table twinbox.outbox ";
    let cases = HARM;
    for (broken, mend, told, grade) in cases {
        let found = site
            .broken(&format!("{table}{broken}"), &format!("{table}{mend}"))
            .await;
        assert_eq!(found.len(), 1, "{broken}: {found:?}");
        assert!(found[0].observed.contains(told), "{broken}: {found:?}");
        assert_eq!(found[0].grade, grade, "{broken}");
        assert!(!found[0].fix.is_empty(), "{broken}");
    }
    let found = site
        .broken(
            "drop index twinbox.outbox_xid",
            "create index outbox_xid on twinbox.outbox (xid, seq)",
        )
        .await;
    assert!(found[0].observed.contains("no valid index on (xid, seq)"), "{found:?}");
    assert_eq!(site.broken("select", "select").await, [], "all is mended");
    site.end().await;
}

#[tokio::test]
async fn a_fix_can_be_pasted() {
    let Some(site) = Site::new("a_fix_can_be_pasted").await else {
        return;
    };
    for broken in [
        "alter column seq set cache 50",
        "alter column seq set increment by 2",
        "alter column id drop not null",
        "set unlogged",
    ] {
        let found = site
            .broken(&format!("alter table twinbox.outbox {broken}"), "select")
            .await;
        site.owner
            .client()
            .batch_execute(&found[0].fix)
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", found[0].fix));
        assert_eq!(site.broken("select", "select").await, [], "{broken}");
    }
    site.end().await;
}

#[tokio::test]
async fn rights_that_lack_and_rights_that_harm_are_found() {
    let Some(site) = Site::new("rights_that_lack_and_rights_that_harm_are_found").await else {
        return;
    };
    let cases = [
        (
            "revoke select on twinbox.outbox from twinbox_relay",
            "grant select on twinbox.outbox to twinbox_relay",
            "lacks select on twinbox.outbox",
            Grade::Fail,
        ),
        (
            "revoke insert on twinbox.relay_window from twinbox_relay",
            "grant insert on twinbox.relay_window to twinbox_relay",
            "lacks insert on twinbox.relay_window",
            Grade::Fail,
        ),
        (
            "revoke delete on twinbox.outbox from twinbox_relay",
            "grant delete on twinbox.outbox to twinbox_relay",
            "retention cannot work",
            Grade::Warn,
        ),
        (
            "grant insert on twinbox.outbox to pg_monitor",
            "revoke insert on twinbox.outbox from pg_monitor",
            "pg_monitor may insert",
            Grade::Warn,
        ),
        (
            "grant delete on twinbox.outbox to public",
            "revoke delete on twinbox.outbox from public",
            "public may delete",
            Grade::Warn,
        ),
        (
            "grant insert (xid) on twinbox.outbox to pg_monitor",
            "revoke insert (xid) on twinbox.outbox from pg_monitor",
            "insert (xid)",
            Grade::Warn,
        ),
    ];
    for (broken, mend, told, grade) in cases {
        let found = site.broken(broken, mend).await;
        assert_eq!(found.len(), 1, "{broken}: {found:?}");
        assert!(
            found[0].observed.contains(told) && found[0].grade == grade,
            "{broken}: {found:?}"
        );
    }
    site.end().await;
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let Some(scratch) = Scratch::new("what_is_not_there_is_named").await else {
        return;
    };
    let owner = scratch.owner().await;
    let user = owner
        .client()
        .query_one("select current_user::text", &[])
        .await
        .expect("asked")
        .get::<_, String>(0);
    let connector = scratch.connector(&user, Session::relay("orders"));
    let look = async |table: &str| {
        let table = TableName::parse(table).expect("a name");
        let found = preflight::findings(&connector, &wanted(table)).await;
        found
            .into_iter()
            .filter(|finding| finding.grade == Grade::Fail)
            .collect::<Vec<_>>()
    };
    let found = look("twinbox.outbox").await;
    assert!(
        found
            .iter()
            .any(|finding| finding.observed.contains("there is no table twinbox.outbox")),
        "{found:?}"
    );
    assert!(
        found
            .iter()
            .any(|finding| finding.id == "PG-MIGR" && finding.fix == "twinbox migrate"),
        "{found:?}"
    );
    let mut owner = scratch.migrated(&options()).await;
    owner
        .client()
        .batch_execute("create view public.events as select * from twinbox.outbox")
        .await
        .expect("made");
    let found = look("public.events").await;
    assert!(found[0].observed.contains("is a view"), "{found:?}");
    // An adopted table whose trigger was switched off.
    let create = "create table public.o (id uuid not null, aggregatetype text not null, aggregateid text, type text not null, payload jsonb)";
    owner.client().batch_execute(create).await.expect("made");
    let mapping = Mapping::new(Profile::Debezium, "").expect("a mapping");
    let adoption = Adoption {
        table: TableName::parse("o").expect("a name"),
        mapping,
        backlog: true,
    };
    adopt::adopt(owner.client_mut(), &schema("twinbox"), &adoption)
        .await
        .expect("adopted");
    owner
        .client()
        .batch_execute("alter table public.o disable trigger twinbox_copy")
        .await
        .expect("disabled");
    let found = look("twinbox.outbox").await;
    assert!(found[0].observed.contains("copies public.o is disabled"), "{found:?}");
    let gone = migrate::Options::new(schema("elsewhere"));
    assert!(matches!(
        migrate::check(owner.client_mut(), &gone).await,
        Ok(migrate::Standing::Behind(_))
    ));
    drop(owner);
    scratch.drop().await;
}
