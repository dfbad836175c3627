//! Applying `sql/` to a database: once, in order, by however many pods at a time.
//!
//! Promises: every file is applied in one transaction with its ledger row · two migrations of one schema never run side
//! by side (`pg_advisory_xact_lock`, which survives poolers) · applying twice changes nothing · a file that changed since
//! it was applied, or a ledger that this binary does not know, refuses before anything is changed · no lock is waited for
//! longer than five seconds at a time, so that a migration behind a long transaction does not dam up the application.
//!
//! ```text
//!  files (what this binary ships) ──┐
//!                                   ├─ standing ─ current | behind | newer | tampered
//!  ledger (what was applied here) ──┘                        │
//!                                             apply: one transaction per file
//! ```

mod files;
mod ledger;
mod print;

use std::fmt;
use std::str::FromStr;

use tokio_postgres::{Client, Transaction};

use super::failure::{Failure, Kind};
use super::identifier::Schema;
use files::Shape;
pub use files::{Component, Step};
pub use ledger::Standing;
pub use print::print;

/// How often a file that met a lock time-out or a deadlock is tried; with five seconds each this is half a minute.
pub(super) const ATTEMPTS_MAX: u32 = 6;
/// First half of the advisory lock's key; the second is the schema's name, hashed.
const LOCK_CLASS: i32 = 0x7477_626d;

/// Type of the payload column. It is chosen once, before the first row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Payload {
    /// Parsed once, stored in binary; the bytes on the wire are PostgreSQL's rendering.
    #[default]
    Jsonb,
    /// The text as it was written.
    Json,
    /// Any bytes.
    Bytea,
    /// Any text.
    Text,
}

/// One of the two halves, where they live in two databases. Letters belong to both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// What relays need.
    Outbox,
    /// What consumers need.
    Inbox,
}

/// What to migrate to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Where our tables live.
    pub schema: Schema,
    /// Only this half; none = both.
    pub only: Option<Part>,
    /// Type of the payload column; none = what is there, `jsonb` on a fresh schema.
    pub payload: Option<Payload>,
    /// A fresh outbox is made of partitions; off = what is there, a plain table on a fresh schema.
    pub partitions: bool,
    /// Whether writers shall wake sleeping relays. Off removes the trigger.
    pub wake: bool,
    /// Also make the roles and their grants.
    pub roles: bool,
}

/// What [`apply`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Files applied by this call, in order.
    pub applied: Vec<Step>,
    /// What became of the wake trigger.
    pub wake: Wake,
    /// Whether roles and grants were made.
    pub roles: bool,
}

/// Whether writers wake sleeping relays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// The trigger is there.
    Installed,
    /// Left out, as asked.
    Declined,
    /// Left out: a transaction that has notified cannot be prepared, and this server allows prepared transactions.
    Unsafe,
}

/// Why a migration stopped. What was applied before stays applied.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database is ahead of this binary.
    #[error(
        "schema {schema} has {component} {version}, which this binary does not know: it was migrated by a newer twinbox \
         ({binary}); use that one, there is no way down"
    )]
    Newer {
        /// Our schema.
        schema: Schema,
        /// Component of the ledger.
        component: String,
        /// Its version.
        version: i32,
        /// Who applied it.
        binary: String,
    },
    /// A file changed after it was applied.
    #[error(
        "{step} was applied to schema {schema} with other contents (ledger {applied:.12}…, this binary {shipped:.12}…): \
         use the binary that applied it, or compare with `twinbox migrate --print`"
    )]
    Tampered {
        /// Our schema.
        schema: Schema,
        /// The file.
        step: Step,
        /// Checksum in the ledger.
        applied: String,
        /// Checksum of ours.
        shipped: String,
    },
    /// The payload column has another type already.
    #[error(
        "the payload of {schema}.outbox is {present}, not {asked}: it is chosen when the table is made; leave --payload \
         out, or use another --schema"
    )]
    PayloadFixed {
        /// Our schema.
        schema: Schema,
        /// What it is.
        present: Payload,
        /// What was asked for.
        asked: Payload,
    },
    /// The outbox is a plain table already.
    #[error(
        "{schema}.outbox is a plain table and stays one, partitions are chosen when it is made: {}",
        super::answer::PLAIN
    )]
    Plain {
        /// Our schema.
        schema: Schema,
    },
    /// Somebody holds a lock on a table of ours.
    #[error(
        "{what}: a lock could not be had in {ATTEMPTS_MAX} attempts: look for long transactions in pg_stat_activity, then run it again"
    )]
    Locked {
        /// What was being done.
        what: String,
    },
    /// The server refused.
    #[error("{what}: {failure}")]
    Failed {
        /// What was being done.
        what: String,
        /// What it said.
        #[source]
        failure: Failure,
    },
}

/// Applies what is missing. Any number of processes may do so at a time.
///
/// # Errors
/// Refusals before any change, or the first file that failed; see [`MigrateError`].
pub async fn apply(client: &mut Client, options: &Options) -> Result<Report, MigrateError> {
    let mut applied = Vec::new();
    loop {
        match retried(client, options, Work::Next).await? {
            Turn::Applied(steps) => applied.extend(steps),
            Turn::Nothing(wake) => {
                if options.roles {
                    retried(client, options, Work::Roles).await?;
                }
                return Ok(Report {
                    applied,
                    wake,
                    roles: options.roles,
                });
            }
        }
    }
}

/// Compares without changing anything.
///
/// # Errors
/// Only when the database does not answer.
pub async fn check(client: &mut Client, options: &Options) -> Result<Standing, MigrateError> {
    let what = "reading the ledger of migrations";
    let failed = |error| MigrateError::Failed {
        what: what.to_owned(),
        failure: Failure::of(&error),
    };
    let transaction = client
        .build_transaction()
        .read_only(true)
        .start()
        .await
        .map_err(failed)?;
    let ledger = ledger::read(&transaction, &options.schema).await.map_err(failed)?;
    let wake = wake(&transaction, options).await.map_err(failed)?;
    Ok(ledger::standing(options, &ledger, wake))
}

#[derive(Clone, Copy)]
enum Work {
    Next,
    Roles,
}

enum Turn {
    Applied(Vec<Step>),
    Nothing(Wake),
}

/// Tries until something else than a lock stands in the way.
async fn retried(client: &mut Client, options: &Options, work: Work) -> Result<Turn, MigrateError> {
    let mut attempt = 1;
    loop {
        let done = match work {
            Work::Next => next(client, options).await,
            Work::Roles => roles(client, options).await,
        };
        match done {
            Err(MigrateError::Failed { failure, what }) if again(&failure) => {
                if attempt == ATTEMPTS_MAX {
                    return Err(MigrateError::Locked { what });
                }
                attempt += 1;
            }
            done => return done,
        }
    }
}

/// Roles belong to the whole cluster, out of reach of our lock: two migrations may meet there ("tuple concurrently
/// updated", a duplicate), and the second attempt finds everything made.
pub(super) fn again(failure: &Failure) -> bool {
    let met_another = ["23505", "42710", "XX000"].contains(&failure.code.as_deref().unwrap_or_default());
    failure.kind == Kind::RetryNow || met_another
}

/// One transaction: the lock, the ledger, and the first file that is missing (the outbox with its payload's type).
async fn next(client: &mut Client, options: &Options) -> Result<Turn, MigrateError> {
    let mut what = "taking the migration lock".to_owned();
    let turn = async {
        let transaction = begin(client, &options.schema).await?;
        "preparing the schema and the ledger".clone_into(&mut what);
        ledger::prepare(&transaction, &options.schema).await?;
        let ledger = ledger::read(&transaction, &options.schema).await?;
        let wake = wake(&transaction, options).await?;
        let standing = ledger::standing(options, &ledger, wake);
        let steps = ledger::next(options, standing)?;
        for step in &steps {
            what = format!("applying {step}");
            ledger::take(&transaction, options, step).await?;
        }
        transaction.commit().await?;
        Ok(if steps.is_empty() {
            Turn::Nothing(wake)
        } else {
            Turn::Applied(steps)
        })
    }
    .await;
    turn.map_err(|stop: Stop| stop.during(what))
}

async fn roles(client: &mut Client, options: &Options) -> Result<Turn, MigrateError> {
    let done = async {
        let transaction = begin(client, &options.schema).await?;
        transaction.batch_execute(&options.schema.render(files::ROLES)).await?;
        let wake = wake(&transaction, options).await?;
        transaction.commit().await?;
        Ok(Turn::Nothing(wake))
    }
    .await;
    done.map_err(|stop: Stop| stop.during("making roles and grants".to_owned()))
}

pub(super) async fn begin<'a>(
    client: &'a mut Client,
    schema: &Schema,
) -> Result<Transaction<'a>, tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    transaction
        .batch_execute(
            "set local search_path = pg_catalog; set local lock_timeout = '5s'; set local statement_timeout = 0",
        )
        .await?;
    let lock = "select pg_advisory_xact_lock($1::int, hashtext($2::text))";
    transaction.execute(lock, &[&LOCK_CLASS, &schema.name()]).await?;
    Ok(transaction)
}

async fn wake(transaction: &Transaction<'_>, options: &Options) -> Result<Wake, tokio_postgres::Error> {
    if !options.wake {
        return Ok(Wake::Declined);
    }
    let prepared = "select current_setting('max_prepared_transactions')::int > 0";
    let unsafe_here: bool = transaction.query_one(prepared, &[]).await?.get(0);
    Ok(if unsafe_here { Wake::Unsafe } else { Wake::Installed })
}

/// What ends a transaction early: a refusal that is complete, or an error that lacks its place.
enum Stop {
    Refused(MigrateError),
    Said(tokio_postgres::Error),
}

// === impl Stop ===

impl Stop {
    fn during(self, what: String) -> MigrateError {
        match self {
            Self::Refused(error) => error,
            Self::Said(error) => MigrateError::Failed {
                what,
                failure: Failure::of(&error),
            },
        }
    }
}

impl From<tokio_postgres::Error> for Stop {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Said(error)
    }
}

impl From<MigrateError> for Stop {
    fn from(error: MigrateError) -> Self {
        Self::Refused(error)
    }
}

// === impl Payload ===

impl Payload {
    /// As SQL, the ledger and `--payload` spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Jsonb => "jsonb",
            Self::Json => "json",
            Self::Bytea => "bytea",
            Self::Text => "text",
        }
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Payload {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Jsonb, Self::Json, Self::Bytea, Self::Text]
            .into_iter()
            .find(|payload| payload.name() == text)
            .ok_or_else(|| format!("{text:?} is no payload type: write jsonb, json, bytea or text"))
    }
}

// === impl Options ===

impl Options {
    /// Everything in `schema`, with the wake trigger, without roles.
    #[must_use]
    pub fn new(schema: Schema) -> Self {
        Self {
            schema,
            only: None,
            payload: None,
            partitions: false,
            wake: true,
            roles: false,
        }
    }

    /// The shape of a fresh outbox.
    fn shape(&self) -> Shape {
        Shape {
            payload: self.payload.unwrap_or_default(),
            partitions: self.partitions,
        }
    }
}
