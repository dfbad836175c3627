//! Adopting a table of another shape: a trigger copies each row into the outbox, in the writer's transaction.
//!
//! Promises: one transaction, in which nobody writes to the table: every row is copied once, as backlog or by the
//! trigger, and a key's backlog comes before its new rows · adopting twice changes nothing · twinbox never updates or
//! deletes in the adopted table · a mapping that could fail a writer's statement (a type, a null) is refused beforehand.
//!
//! # What is not copied
//!
//! Rows that `on conflict do update` changes, rows loaded under `session_replication_role = replica`, and rows that meet
//! the profile's condition only after a later UPDATE. [`NOT_COPIED`] says so to whoever adopts.
//!
//! # Why the trigger belongs to the schema's owner
//!
//! `security definer` lets writers go without any right on our schema: firing a trigger asks for none.

mod profile;
mod shape;
mod statements;

use tokio_postgres::{Client, Transaction};

use super::failure::Failure;
use super::identifier::{Schema, TableName};
use super::migrate;
pub use profile::{Mapping, MappingError, Profile};
use shape::Column;
pub use shape::Misfit;
use statements::Statements;

const TABLE: &str = include_str!("../../sql/queries/adopt_table.sql");
const COLUMNS: &str = include_str!("../../sql/queries/adopt_columns.sql");
const PAYLOAD: &str = include_str!("../../sql/queries/adopt_payload.sql");
const LIST: &str = include_str!("../../sql/queries/adopt_list.sql");

/// For whoever adopts a table to read.
pub const NOT_COPIED: &str = "not copied: updates by `on conflict do update`, rows loaded under session_replication_role = \
     replica, and rows that meet the condition only after a later update";
const NO_ORDER: &str = "the table has no column that orders its rows: what is there now goes out in physical order; name a \
     column with --columns order=…";

/// What to adopt, and how.
#[derive(Debug, Clone)]
pub struct Adoption {
    /// The table that applications write; `public` where no schema is given.
    pub table: TableName,
    /// Which of its columns become which of ours.
    pub mapping: Mapping,
    /// Whether rows that are there already are copied too.
    pub backlog: bool,
}

/// What adopting would do, or did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What became of the trigger.
    pub outcome: Outcome,
    /// Rows that were copied, or would be.
    pub rows: u64,
    /// Everything that is run, as SQL.
    pub sql: String,
    /// What to know beforehand.
    pub notes: Vec<String>,
}

/// What became of the trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was not there.
    Adopted,
    /// It was there with another mapping, or changed by hand; no backlog is copied again.
    Replaced,
    /// It was there as it should be.
    Unchanged,
}

/// How an adopted table compares with what is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// There is no trigger.
    Absent,
    /// As asked.
    Current,
    /// Installed with another mapping or for another payload type.
    Different,
    /// Changed by hand since it was installed.
    Changed,
    /// There, but switched off.
    Disabled,
}

/// Why a table cannot be adopted.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// No such table.
    #[error("there is no table {0} in this database: write schema.table")]
    NoTable(TableName),
    /// A view, or our own table.
    #[error("{table} is {what}: only a table that applications write can be adopted")]
    WrongKind {
        /// What was named.
        table: TableName,
        /// What it is.
        what: &'static str,
    },
    /// The outbox is not there yet.
    #[error("schema {0} has no outbox yet: run `twinbox migrate` first")]
    NoOutbox(Schema),
    /// Columns that do not fit, all of them.
    #[error("{table} does not fit: {}", .misfits.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Misfits {
        /// What was named.
        table: TableName,
        /// What does not fit.
        misfits: Vec<Misfit>,
    },
    /// Somebody holds a lock on the table.
    #[error("{0} could not be locked: a transaction holds it; look in pg_stat_activity, then run it again")]
    Locked(TableName),
    /// The server refused.
    #[error("adopting {table}: {failure}")]
    Failed {
        /// What was named.
        table: TableName,
        /// What it said.
        #[source]
        failure: Failure,
    },
}

/// A table whose rows are copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopted {
    /// Which.
    pub table: TableName,
    /// As installed, changed by hand, or switched off.
    pub standing: Standing,
}

/// Says what [`adopt`] would do, and counts.
///
/// # Errors
/// As [`adopt`].
pub async fn preview(client: &mut Client, schema: &Schema, adoption: &Adoption) -> Result<Report, AdoptError> {
    let failed = |error: tokio_postgres::Error| failed(adoption, &error);
    let transaction = look(client).await.map_err(failed)?;
    let plan = plan(&transaction, schema, adoption).await?;
    let outcome = plan.outcome();
    let rows = match outcome {
        Outcome::Adopted if adoption.backlog => {
            let row = transaction
                .query_one(&plan.statements.count, &[])
                .await
                .map_err(failed)?;
            row.get::<_, i64>(0).unsigned_abs()
        }
        _ => 0,
    };
    Ok(plan.report(adoption, rows))
}

/// Installs the trigger and copies what is there. Waits for writers of the table at most five seconds at a time.
///
/// # Errors
/// Refusals before any change; everything or nothing otherwise.
pub async fn adopt(client: &mut Client, schema: &Schema, adoption: &Adoption) -> Result<Report, AdoptError> {
    for _ in 0..migrate::ATTEMPTS_MAX {
        match attempt(client, schema, adoption).await {
            Err(AdoptError::Failed { failure, .. }) if migrate::again(&failure) => {}
            done => return done,
        }
    }
    Err(AdoptError::Locked(adoption.table.clone()))
}

/// Compares without changing anything.
///
/// # Errors
/// As [`adopt`], but for locks.
pub async fn check(client: &mut Client, schema: &Schema, adoption: &Adoption) -> Result<Standing, AdoptError> {
    let transaction = look(client).await.map_err(|error| failed(adoption, &error))?;
    Ok(plan(&transaction, schema, adoption).await?.standing)
}

/// All adopted tables of a schema.
///
/// # Errors
/// When the database does not answer.
pub async fn adopted(client: &Client, schema: &Schema) -> Result<Vec<Adopted>, Failure> {
    let rows = client
        .query(LIST, &[&schema.name(), &statements::trigger_name(schema)])
        .await?;
    let read = |row: &tokio_postgres::Row| Adopted {
        table: TableName::new(row.get("schema"), row.get("name")),
        standing: statements::intact(row.get("enabled"), row.get("signature"), row.get("installed")),
    };
    Ok(rows.iter().map(read).collect())
}

/// Server-side texts are compared, and those depend on the search path.
async fn look(client: &mut Client) -> Result<Transaction<'_>, tokio_postgres::Error> {
    let transaction = client.build_transaction().read_only(true).start().await?;
    transaction.batch_execute("set local search_path = pg_catalog").await?;
    Ok(transaction)
}

/// What was found, and what is to be run.
struct Plan {
    statements: Statements,
    standing: Standing,
    ordered: bool,
}

async fn attempt(client: &mut Client, schema: &Schema, adoption: &Adoption) -> Result<Report, AdoptError> {
    let failed = |error: tokio_postgres::Error| failed(adoption, &error);
    let transaction = migrate::begin(client, schema).await.map_err(failed)?;
    let plan = plan(&transaction, schema, adoption).await?;
    let mut rows = 0;
    if plan.outcome() != Outcome::Unchanged {
        // Making the trigger waits for running writers; from then on nobody writes until the end of this transaction,
        // and the backlog is read by a later statement, whose snapshot shows all of them.
        transaction
            .batch_execute(&plan.statements.install)
            .await
            .map_err(failed)?;
        if plan.outcome() == Outcome::Adopted && adoption.backlog {
            rows = transaction
                .execute(&plan.statements.backlog, &[])
                .await
                .map_err(failed)?;
        }
        sign(&transaction, schema, adoption, &plan.statements).await?;
    }
    transaction.commit().await.map_err(failed)?;
    Ok(plan.report(adoption, rows))
}

async fn plan(transaction: &Transaction<'_>, schema: &Schema, adoption: &Adoption) -> Result<Plan, AdoptError> {
    let failed = |error: tokio_postgres::Error| failed(adoption, &error);
    let table = &adoption.table;
    let (of, name) = (table.schema().unwrap_or("public"), table.name());
    let trigger = statements::trigger_name(schema);
    let found = transaction
        .query_opt(TABLE, &[&of, &name, &trigger])
        .await
        .map_err(failed)?;
    let found = found.ok_or_else(|| AdoptError::NoTable(table.clone()))?;
    let what = match found.get::<_, &str>("kind") {
        "r" | "p" if of == schema.name() => Some("a table of twinbox"),
        "r" | "p" => None,
        "v" | "m" => Some("a view"),
        "f" => Some("a foreign table"),
        _ => Some("no table"),
    };
    if let Some(what) = what {
        return Err(AdoptError::WrongKind {
            table: table.clone(),
            what,
        });
    }
    let oid: u32 = found.get("oid");
    let columns = transaction.query(COLUMNS, &[&oid]).await.map_err(failed)?;
    let columns: Vec<_> = columns.iter().map(Column::read).collect();
    let payload = transaction
        .query_opt(PAYLOAD, &[&schema.name()])
        .await
        .map_err(failed)?;
    let payload = payload.ok_or_else(|| AdoptError::NoOutbox(schema.clone()))?;
    let fitted = shape::fit(&adoption.mapping, &columns, payload.get(0)).map_err(|misfits| AdoptError::Misfits {
        table: table.clone(),
        misfits,
    })?;
    let function: Option<String> = found.get("function");
    let function = function.unwrap_or_else(|| format!("copy_{oid}"));
    let statements = Statements::render(schema, &TableName::new(of, name), &function, &fitted);
    let standing = match found.get::<_, Option<&str>>("enabled") {
        None => Standing::Absent,
        enabled => statements.compare(enabled, found.get("signature"), found.get("installed")),
    };
    Ok(Plan {
        statements,
        standing,
        ordered: fitted.order.is_some(),
    })
}

/// Writes what was asked for and what the server made of it onto the trigger, so that a later look can tell both.
async fn sign(
    transaction: &Transaction<'_>,
    schema: &Schema,
    adoption: &Adoption,
    statements: &Statements,
) -> Result<(), AdoptError> {
    let failed = |error: tokio_postgres::Error| failed(adoption, &error);
    let (of, trigger) = (
        adoption.table.schema().unwrap_or("public"),
        statements::trigger_name(schema),
    );
    let row = transaction
        .query_one(TABLE, &[&of, &adoption.table.name(), &trigger])
        .await
        .map_err(failed)?;
    transaction
        .batch_execute(&statements.signed(row.get("installed")))
        .await
        .map_err(failed)
}

fn failed(adoption: &Adoption, error: &tokio_postgres::Error) -> AdoptError {
    AdoptError::Failed {
        table: adoption.table.clone(),
        failure: Failure::of(error),
    }
}

// === impl Plan ===

impl Plan {
    fn outcome(&self) -> Outcome {
        match self.standing {
            Standing::Absent => Outcome::Adopted,
            Standing::Current => Outcome::Unchanged,
            Standing::Different | Standing::Changed | Standing::Disabled => Outcome::Replaced,
        }
    }

    fn report(&self, adoption: &Adoption, rows: u64) -> Report {
        let mut notes = vec![NOT_COPIED.to_owned()];
        if !self.ordered && adoption.backlog {
            notes.push(NO_ORDER.to_owned());
        }
        let backlog = if adoption.backlog {
            format!("\n{};\n", self.statements.backlog)
        } else {
            String::new()
        };
        let sql = format!("begin;\n{}{backlog}commit;\n", self.statements.install);
        Report {
            outcome: self.outcome(),
            rows,
            sql,
            notes,
        }
    }
}
