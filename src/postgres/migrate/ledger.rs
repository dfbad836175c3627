//! What was applied here, and how it compares with what this binary ships.
//!
//! Promises: [`standing`] is pure; reading changes nothing, so that `--check` needs no more than SELECT.

use tokio_postgres::Transaction;

use super::files::{self, Component, Shape, Step};
use super::{MigrateError, Options, Part, Payload, Stop, Wake};
use crate::postgres::identifier::{Schema, quoted};

/// One row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    component: String,
    version: i32,
    name: String,
    checksum: String,
    binary: String,
}

/// How a database compares with this binary and what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Nothing to do.
    Current,
    /// These are missing, in this order.
    Behind(Vec<Step>),
    /// The database knows something that this binary does not.
    Newer {
        /// Component of the ledger.
        component: String,
        /// Its version.
        version: i32,
        /// Who applied it.
        binary: String,
    },
    /// A file is not what it was when it was applied.
    Tampered {
        /// The file.
        step: Step,
        /// Checksum in the ledger.
        applied: String,
    },
    /// The payload column has another type than asked for.
    PayloadFixed {
        /// What it is.
        present: Payload,
        /// What was asked for.
        asked: Payload,
    },
    /// The outbox is a plain table, and partitions were asked for.
    Plain,
}

/// Makes the schema and the ledger unless they are there. `create schema if not exists` would want the right to create
/// one even where it exists.
pub(super) async fn prepare(transaction: &Transaction<'_>, schema: &Schema) -> Result<(), tokio_postgres::Error> {
    let present = "select exists (select from pg_namespace where nspname = $1::text)";
    if !transaction
        .query_one(present, &[&schema.name()])
        .await?
        .get::<_, bool>(0)
    {
        transaction
            .batch_execute(&format!("create schema {}", quoted(schema.name())))
            .await?;
    }
    if !present_ledger(transaction, schema).await? {
        transaction.batch_execute(&schema.render(files::LEDGER)).await?;
    }
    Ok(())
}

/// Everything applied, or nothing where there is no ledger yet.
pub(super) async fn read(transaction: &Transaction<'_>, schema: &Schema) -> Result<Vec<Entry>, tokio_postgres::Error> {
    if !present_ledger(transaction, schema).await? {
        return Ok(Vec::new());
    }
    let sql = r#"select component, version, name, checksum, "binary" from {schema}.migration m order by m.component, m.version"#;
    let rows = transaction.query(&schema.render(sql), &[]).await?;
    Ok(rows
        .iter()
        .map(|row| Entry {
            component: row.get(0),
            version: row.get(1),
            name: row.get(2),
            checksum: row.get(3),
            binary: row.get(4),
        })
        .collect())
}

/// Compares the ledger with the plan.
pub(super) fn standing(options: &Options, ledger: &[Entry], wake: Wake) -> Standing {
    for entry in ledger {
        match files::find(&entry.component, entry.version, &entry.name) {
            None => {
                let Entry {
                    component,
                    version,
                    binary,
                    ..
                } = entry.clone();
                return Standing::Newer {
                    component,
                    version,
                    binary,
                };
            }
            Some(step) if step.checksum() != entry.checksum => {
                return Standing::Tampered {
                    step,
                    applied: entry.checksum.clone(),
                };
            }
            Some(_) => {}
        }
    }
    let outbox = options.only != Some(Part::Inbox);
    let present = present(ledger);
    if outbox
        && let (Some(Shape { payload: present, .. }), Some(asked)) = (present, options.payload)
        && present != asked
    {
        return Standing::PayloadFixed { present, asked };
    }
    if outbox && options.partitions && present.is_some_and(|present| !present.partitions) {
        return Standing::Plain;
    }
    let plan = files::plan(options.only, present.unwrap_or_else(|| options.shape()), wake);
    let mut missing: Vec<_> = plan.into_iter().filter(|step| !has(ledger, step)).collect();
    if outbox && wake != Wake::Installed && has(ledger, &files::wake_removal()) {
        missing.push(files::wake_removal());
    }
    if missing.is_empty() {
        Standing::Current
    } else {
        Standing::Behind(missing)
    }
}

/// What the next transaction applies, or why nothing may be.
pub(super) fn next(options: &Options, standing: Standing) -> Result<Vec<Step>, MigrateError> {
    let schema = options.schema.clone();
    match standing {
        Standing::Current => Ok(Vec::new()),
        Standing::Behind(mut steps) => {
            steps.truncate(files::together(&steps));
            Ok(steps)
        }
        Standing::Newer {
            component,
            version,
            binary,
        } => Err(MigrateError::Newer {
            schema,
            component,
            version,
            binary,
        }),
        Standing::Tampered { step, applied } => Err(MigrateError::Tampered {
            schema,
            step,
            applied,
            shipped: step.checksum(),
        }),
        Standing::PayloadFixed { present, asked } => Err(MigrateError::PayloadFixed { schema, present, asked }),
        Standing::Plain => Err(MigrateError::Plain { schema }),
    }
}

/// Runs one step and writes, or strikes, its row.
pub(super) async fn take(transaction: &Transaction<'_>, options: &Options, step: &Step) -> Result<(), Stop> {
    transaction.batch_execute(&options.schema.render(step.sql)).await?;
    if step.adds {
        let sql = r#"insert into {schema}.migration (component, version, name, checksum, "binary") values ($1, $2, $3, $4, $5)"#;
        let (component, checksum) = (step.component.name(), step.checksum());
        transaction
            .execute(
                &options.schema.render(sql),
                &[&component, &step.version, &step.name, &checksum, &binary()],
            )
            .await?;
    } else {
        let sql = "delete from {schema}.migration where component = $1";
        transaction
            .execute(&options.schema.render(sql), &[&step.component.name()])
            .await?;
    }
    Ok(())
}

/// Who writes the ledger.
pub(super) fn binary() -> &'static str {
    concat!("twinbox ", env!("CARGO_PKG_VERSION"))
}

async fn present_ledger(transaction: &Transaction<'_>, schema: &Schema) -> Result<bool, tokio_postgres::Error> {
    let sql = "select exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
               where n.nspname = $1::text and c.relname = 'migration')";
    Ok(transaction.query_one(sql, &[&schema.name()]).await?.get(0))
}

fn has(ledger: &[Entry], step: &Step) -> bool {
    ledger
        .iter()
        .any(|entry| entry.component == step.component.name() && entry.version == step.version)
}

/// What the outbox is; none as long as there is no table.
fn present(ledger: &[Entry]) -> Option<Shape> {
    let of = |component: Component| ledger.iter().find(|entry| entry.component == component.name());
    of(Component::Outbox)?;
    let payload = match of(Component::Payload) {
        Some(entry) => entry.name.parse().ok()?,
        None => Payload::Jsonb,
    };
    Some(Shape {
        payload,
        partitions: of(Component::Partitions).is_some(),
    })
}
