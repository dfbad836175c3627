//! What was seen in the catalogue, and what to think of it. Pure.

use tokio_postgres::Row;

use crate::contract::{Finding, Grade};
use crate::postgres::identifier::{Schema, quoted};
use crate::postgres::target::TlsMode;

/// Transactions older than this hold back vacuum and retention.
const TRANSACTION_SECONDS_MAX: f64 = 900.0;
/// A prepared transaction this old was forgotten.
const PREPARED_SECONDS_MAX: f64 = 300.0;

/// What the outbox is.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) oid: u32,
    name: String,
    kind: String,
    persistence: String,
    row_security: bool,
    vacuum_off: bool,
    window_index: bool,
    wake: Option<String>,
    prepared_max: i32,
}

/// One column of it.
#[derive(Debug, Clone)]
pub(super) struct Column {
    name: String,
    kind: String,
    not_null: bool,
    identity: bool,
    filler: String,
    sequence: Option<Sequence>,
}

#[derive(Debug, Clone, Copy)]
struct Sequence {
    increment: i64,
    cache: i64,
    cycle: bool,
}

/// Somebody who may write more than events.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    role: String,
    rights: Vec<String>,
}

/// Rights that a relay lacks.
#[derive(Debug, Clone)]
pub(super) struct Grants {
    missing: Vec<String>,
    lacking: Vec<(String, String)>,
}

/// The server and our role.
#[derive(Debug, Clone)]
pub(super) struct Server {
    superuser: bool,
    bypasses_policies: bool,
    role: String,
    oldest_transaction: Option<f64>,
    oldest_prepared: Option<f64>,
}

/// Column, the types it may have, whether null must be impossible.
const SHAPE: [(&str, &[&str], bool); 10] = [
    ("seq", &["bigint"], true),
    ("id", &["uuid"], true),
    ("aggregatetype", &["text", "character varying"], true),
    ("aggregateid", &["text", "character varying"], false),
    ("type", &["text", "character varying"], true),
    ("payload", &["jsonb", "json", "bytea", "text"], false),
    ("headers", &["jsonb"], false),
    ("traceparent", &["text"], false),
    ("xid", &["xid8"], true),
    ("created_at", &["timestamp with time zone"], true),
];

fn fail(id: &'static str, observed: impl Into<String>, expected: &str, fix: impl Into<String>) -> Finding {
    Finding {
        id,
        grade: Grade::Fail,
        observed: observed.into(),
        expected: expected.to_owned(),
        fix: fix.into(),
    }
}

fn warn(id: &'static str, observed: impl Into<String>, expected: &str, fix: impl Into<String>) -> Finding {
    Finding {
        grade: Grade::Warn,
        ..fail(id, observed, expected, fix)
    }
}

fn fine(id: &'static str, observed: impl Into<String>) -> Finding {
    Finding {
        grade: Grade::Ok,
        ..fail(id, observed, "", "")
    }
}

/// There is no such table.
pub(super) fn absent(place: [&str; 2]) -> Finding {
    let observed = format!("there is no table {}.{} in this database", place[0], place[1]);
    fail(
        "PG-TABLE",
        observed,
        "the outbox",
        "twinbox migrate (or correct `database.schema`, or the database in the URL)",
    )
}

/// How the connection is protected, and what stands between.
pub(super) fn connection(mode: TlsMode, pooled: bool) -> Vec<Finding> {
    let mut found = vec![if mode.verifies() {
        fine("PG-CONN", "connected to a primary, its certificate verified")
    } else {
        warn(
            "PG-CONN",
            "connected to a primary whose certificate nobody verified",
            "sslmode=verify-full outside of a private network",
            "set `database.tls.ca`, or sslmode=verify-full in the URL",
        )
    }];
    if pooled {
        found.push(warn(
            "PG-POOLER",
            "a transaction pooler stands between: wake-ups, session locks and time-outs do not work through it",
            "a direct connection",
            "give the server's own address in `database.url`, or set `wake: poll` and use the roles of `twinbox migrate --roles`",
        ));
    }
    found
}

/// Who may lose rows.
pub(super) fn writers(table: &Table, writers: &[Writer]) -> Vec<Finding> {
    let expected = "writers may insert events, column by column, and nothing else";
    writers
        .iter()
        .filter(|writer| !writer.rights.is_empty())
        .map(|writer| {
            let role = if writer.role == "public" {
                "public".to_owned()
            } else {
                quoted(&writer.role)
            };
            let observed = format!("{} may {} on {}", writer.role, writer.rights.join(", "), table.name);
            let fix = format!("revoke all on {} from {role}; grant twinbox_app to {role};", table.name);
            warn("PG-GRANT", observed, expected, fix)
        })
        .collect()
}

// === impl Table ===

impl Table {
    pub(super) fn read(place: [&str; 2], row: &Row) -> Self {
        Self {
            oid: row.get("oid"),
            name: format!("{}.{}", quoted(place[0]), quoted(place[1])),
            kind: row.get("kind"),
            persistence: row.get("persistence"),
            row_security: row.get("row_security"),
            vacuum_off: row.get("vacuum_off"),
            window_index: row.get("window_index"),
            wake: row.get("wake"),
            prepared_max: row.get("prepared_max"),
        }
    }

    pub(super) fn findings(&self, columns: &[Column]) -> Vec<Finding> {
        let mut found = self.nature();
        if found.iter().all(|finding| finding.grade != Grade::Fail) {
            found.extend(self.shape(columns));
            found.extend(self.filled(columns));
            found.extend(self.sequence(columns));
        }
        if found.is_empty() {
            found.push(fine("PG-TABLE", format!("{} has the right shape", self.name)));
        }
        found.push(self.wake());
        found.extend(self.vacuum_off.then(|| {
            let fix = format!(
                "alter table {} reset (autovacuum_enabled); alter system reset autovacuum;",
                self.name
            );
            warn(
                "PG-BLOAT",
                format!("autovacuum is off for {}", self.name),
                "autovacuum on",
                fix,
            )
        }));
        found
    }

    /// Is it a table at all, and do its rows outlive a crash?
    fn nature(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        if self.kind != "r" && self.kind != "p" {
            let kind = match self.kind.as_str() {
                "v" => "a view",
                "m" => "a materialised view",
                "f" => "a foreign table",
                _ => "no table",
            };
            let fix = "twinbox migrate --adopt TABLE, for the table that applications write";
            found.push(fail("PG-TABLE", format!("{} is {kind}", self.name), "a table", fix));
        }
        if self.persistence != "p" {
            let observed = format!(
                "{} is unlogged or temporary: a crash of the server empties it",
                self.name
            );
            found.push(fail(
                "PG-TABLE",
                observed,
                "a logged table",
                format!("alter table {} set logged;", self.name),
            ));
        }
        if self.row_security {
            let observed = format!("a row-level policy hides rows of {} from this role", self.name);
            let fix = format!("alter table {} disable row level security;", self.name);
            found.push(fail("PG-TABLE", observed, "no row security on the outbox", fix));
        }
        if !self.window_index {
            let fix = format!("create index concurrently on {} (xid, seq);", self.name);
            found.push(fail(
                "PG-TABLE",
                format!("{} has no valid index on (xid, seq)", self.name),
                "that index",
                fix,
            ));
        }
        found
    }

    fn shape(&self, columns: &[Column]) -> Vec<Finding> {
        let mut found = Vec::new();
        for (name, kinds, never_null) in SHAPE {
            let Some(column) = columns.iter().find(|column| column.name == name) else {
                let observed = format!("{} has no column {name}", self.name);
                found.push(fail(
                    "PG-TABLE",
                    observed,
                    "the columns of an outbox",
                    "twinbox migrate --adopt TABLE",
                ));
                continue;
            };
            let kind = column.kind.split('(').next().unwrap_or_default();
            if !kinds.contains(&kind) {
                let observed = format!("{}.{name} is {}", self.name, column.kind);
                found.push(fail(
                    "PG-TABLE",
                    observed,
                    &kinds.join(" or "),
                    "twinbox migrate --adopt TABLE",
                ));
            } else if never_null && !column.not_null {
                let fix = format!("alter table {} alter column {name} set not null;", self.name);
                found.push(fail(
                    "PG-TABLE",
                    format!("{}.{name} may be null", self.name),
                    "not null",
                    fix,
                ));
            }
        }
        found
    }

    /// What nobody supplies must fill itself.
    fn filled(&self, columns: &[Column]) -> Vec<Finding> {
        let wrong = |name: &str, filler: &str| {
            columns
                .iter()
                .any(|column| column.name == name && !column.filler.contains(filler))
                .then(|| {
                    let fix = format!("alter table {} alter column {name} set default {filler}();", self.name);
                    fail(
                        "PG-TABLE",
                        format!("{}.{name} is not filled by {filler}()", self.name),
                        "that default",
                        fix,
                    )
                })
        };
        // Insert time, not transaction time: dropping partitions by age relies on it.
        [
            wrong("xid", "pg_current_xact_id"),
            wrong("created_at", "clock_timestamp"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn sequence(&self, columns: &[Column]) -> Vec<Finding> {
        let Some(column) = columns.iter().find(|column| column.name == "seq") else {
            return Vec::new();
        };
        let Some(sequence) = column.sequence else {
            let fix = format!(
                "alter table {} alter column seq add generated always as identity;",
                self.name
            );
            return vec![fail(
                "PG-TABLE",
                format!("{}.seq has no sequence of its own", self.name),
                "an identity",
                fix,
            )];
        };
        let of = if column.identity {
            format!("alter table {} alter column seq", self.name)
        } else {
            format!("alter sequence the_sequence_of {}.seq", self.name)
        };
        let set = if column.identity { "set " } else { "" };
        let mut found = Vec::new();
        let mut out_of_order = |what: String, setting: &str| {
            let observed = format!(
                "the sequence of {}.seq has {what}: late rows get old numbers, and order is lost",
                self.name
            );
            found.push(fail(
                "PG-TABLE",
                observed,
                "cache 1, increment 1, no cycle",
                format!("{of} {set}{setting};"),
            ));
        };
        if sequence.cache != 1 {
            out_of_order(format!("cache {}", sequence.cache), "cache 1");
        }
        if sequence.increment != 1 {
            out_of_order(format!("increment {}", sequence.increment), "increment by 1");
        }
        if sequence.cycle {
            out_of_order("cycle".to_owned(), "no cycle");
        }
        found
    }

    fn wake(&self) -> Finding {
        let expected = "an enabled trigger, or none";
        match self.wake.as_deref() {
            Some(_) if self.prepared_max > 0 => warn(
                "PG-WAKE",
                "the wake trigger is installed, and max_prepared_transactions is above 0: PREPARE TRANSACTION of a writer \
                 fails while a relay sleeps",
                expected,
                "twinbox migrate --no-wake",
            ),
            Some("D") => warn(
                "PG-WAKE",
                "the wake trigger is disabled: a sleeping relay notices rows a second late",
                expected,
                format!("alter table {} enable trigger twinbox_wake;", self.name),
            ),
            Some(_) => fine("PG-WAKE", "writers wake a sleeping relay"),
            None => fine("PG-WAKE", "no wake trigger: relays poll"),
        }
    }
}

// === impl Column, Writer, Grants, Server ===

impl Column {
    pub(super) fn read(row: &Row) -> Self {
        let increment: Option<i64> = row.get("increment");
        Self {
            name: row.get("name"),
            kind: row.get("type"),
            not_null: row.get("not_null"),
            identity: row.get("identity"),
            filler: row.get("filler"),
            sequence: increment.map(|increment| Sequence {
                increment,
                cache: row.get("cache"),
                cycle: row.get("cycle"),
            }),
        }
    }
}

impl Writer {
    pub(super) fn read(row: &Row) -> Self {
        Self {
            role: row.get("role"),
            rights: row.get("rights"),
        }
    }
}

impl Grants {
    pub(super) fn read(rows: &[Row]) -> Self {
        let mut grants = Self {
            missing: Vec::new(),
            lacking: Vec::new(),
        };
        for row in rows {
            let (name, privilege): (String, String) = (row.get("name"), row.get("privilege"));
            if row.get("present") {
                grants.lacking.push((name, privilege));
            } else if !grants.missing.contains(&name) {
                grants.missing.push(name);
            }
        }
        grants
    }

    pub(super) fn findings(&self, schema: &Schema) -> Vec<Finding> {
        let mut found = Vec::new();
        if !self.missing.is_empty() {
            let observed = format!("schema {schema} has no {}", self.missing.join(", "));
            found.push(fail("PG-TABLE", observed, "the tables of a relay", "twinbox migrate"));
        }
        // Deleting is retention's right; without it a relay works and the table grows.
        let (retention, needed): (Vec<_>, Vec<_>) = self
            .lacking
            .iter()
            .partition(|(name, privilege)| name == "outbox" && privilege == "delete");
        let expected = "the rights of twinbox_relay";
        let fix = "twinbox migrate --roles, then: grant twinbox_relay to \"the role in database.url\";";
        if !needed.is_empty() {
            let list = needed
                .iter()
                .map(|(name, right)| format!("{right} on {schema}.{name}"))
                .collect::<Vec<_>>();
            found.push(fail(
                "PG-GRANT",
                format!("this role lacks {}", list.join(", ")),
                expected,
                fix,
            ));
        } else if !retention.is_empty() {
            let observed = format!("this role lacks delete on {schema}.outbox: retention cannot work");
            found.push(warn("PG-GRANT", observed, expected, fix));
        } else if self.missing.is_empty() {
            found.push(fine("PG-GRANT", "this role has what a relay needs"));
        }
        found
    }
}

impl Server {
    pub(super) fn read(row: &Row) -> Self {
        Self {
            superuser: row.get("superuser"),
            bypasses_policies: row.get("bypasses_policies"),
            role: row.get("role"),
            oldest_transaction: row.get("oldest_transaction"),
            oldest_prepared: row.get("oldest_prepared"),
        }
    }

    pub(super) fn findings(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        if self.superuser || self.bypasses_policies {
            let observed = format!("{} is a superuser, or bypasses row security", self.role);
            let fix = "twinbox migrate --roles, then connect as twinbox_relay";
            found.push(warn(
                "PG-ROLE",
                observed,
                "a role with the rights of twinbox_relay only",
                fix,
            ));
        } else {
            found.push(fine("PG-ROLE", format!("{} is an ordinary role", self.role)));
        }
        if let Some(age) = self.oldest_prepared.filter(|age| *age > PREPARED_SECONDS_MAX) {
            let observed =
                format!("a prepared transaction has waited for {age:.0} s: it holds back vacuum and retention");
            let fix = "select gid, prepared, owner from pg_prepared_xacts; then commit prepared or rollback prepared";
            found.push(warn("PG-HORIZON", observed, "none older than five minutes", fix));
        }
        if let Some(age) = self.oldest_transaction.filter(|age| *age > TRANSACTION_SECONDS_MAX) {
            let observed = format!("a transaction has been open for {age:.0} s: it holds back vacuum and retention");
            let fix = "select pid, application_name, state, xact_start from pg_stat_activity order by xact_start;";
            found.push(warn("PG-HORIZON", observed, "none older than fifteen minutes", fix));
        }
        found
    }
}
