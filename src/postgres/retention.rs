//! Getting rid of what every relay has settled and nobody needs any more: rows by range delete, or partitions whole.
//!
//! Promises: a row goes only when every relay's floor has passed its transaction and it is older than the longest
//! retention; one step is one short transaction of at most [`ROWS_MAX`] rows, or few that make, detach and drop a partition
//! each; every write is fenced; writers never wait longer for it than a tenth of a second.
//!
//! # Why by xid
//!
//! `delete … where seq <= watermark` deletes the rows of a transaction that drew its numbers early and committed late,
//! unpublished. Every transaction below the floor's xmin had finished and is settled, and nothing can appear below it.
//! A partition goes by the same bound: when the newest transaction in it is below.
//!
//! # Why detaching and dropping are two transactions
//!
//! Detaching needs a lock that stops writers, so it changes the catalogue and nothing else. Dropping takes as long as the
//! file system takes, and nobody waits for it. A crash in between leaves a detached partition, which the next step drops.
//!
//! # Why a partition is emptied that cannot be detached
//!
//! Where some transaction that has written is always open for longer than writers may wait, the lock for detaching is
//! never to be had. The one on an old partition is: nobody writes there any more. So what is in it goes, and the disk does
//! not fill; the empty piece stays until there is a quiet moment, and that is told.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSql, ToSql};

use super::answer::{away, pooled};
use super::connect::Pool;
use super::fence::Fence;
use super::identifier::Schema;
use super::snapshot::Xid8;
use crate::contract::{Boxed, StoreError, Tidied, Upkeep};
use crate::delivery::{Failure, FailureKind};

/// Rows that one step deletes: some 20 ms of the server's time.
pub const ROWS_MAX: i64 = 5000;
/// Between two steps of a longer deletion: the application's statements go first.
const BETWEEN: Duration = Duration::from_millis(50);
/// After a lock that was not to be had: somebody writes in a long transaction, and meanwhile others should not wait for us.
const BUSY: Duration = Duration::from_secs(10);
/// Partitions that one step empties: each takes as long as the file system takes.
const EMPTIED_MAX: u32 = 8;
/// Rows may stay a hundredth of the retention longer than asked, or these bounds.
const NOTE_MIN: Duration = Duration::from_secs(1);
const NOTE_MAX: Duration = Duration::from_secs(600);
const NOTES: u32 = 100;

/// The statements.
#[derive(Debug)]
pub(super) struct RetentionText {
    note: String,
    bound: String,
    delete: String,
    sweep: String,
    make: String,
    detach: String,
    empty: String,
    drop: String,
    schema: Schema,
}

/// Retention as a relay's holder does it. Several relays of one outbox may do it side by side.
#[derive(Debug, Clone)]
pub struct Retention {
    pub(super) pool: Pool,
    pub(super) text: Arc<RetentionText>,
    pub(super) fence: Fence,
    pub(super) retention: Option<Duration>,
    /// Drop partitions; else delete rows.
    pub(super) partitions: bool,
}

/// What one step did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Step {
    /// Rows deleted.
    pub deleted: u64,
    /// Partitions dropped.
    pub dropped: u64,
    /// Go on soon: there was more than one step's worth.
    pub more: bool,
    /// Partitions emptied, because they could not be detached.
    pub emptied: u64,
    /// Others held a lock that this needs: go on later.
    pub held_up: Option<Verb>,
}

/// What is done to a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Taken out of the outbox.
    Detach,
    /// Dropped.
    Drop,
    /// Made ahead.
    Make,
}

// === impl Verb ===

impl Verb {
    /// What to say when it is held up again and again.
    fn held_up(self, schema: &Schema) -> Failure {
        let what = match self {
            Self::Detach => format!(
                "a settled partition of {schema}.outbox cannot be detached, as transactions that have written are always \
                 open for longer than writers may wait; its rows go, the empty piece stays: `twinbox doctor` says who \
                 and what to do"
            ),
            Self::Drop => format!(
                "a detached partition of {schema}.outbox cannot be dropped, as somebody reads it: look for long \
                 transactions in pg_stat_activity"
            ),
            Self::Make => format!(
                "no partition of {schema}.outbox can be made ahead, as somebody holds a lock on it, or on \
                 outbox_default, where rows go that no partition takes: look for long transactions in pg_stat_activity"
            ),
        };
        Failure::new(
            FailureKind::Transient,
            SqlState::LOCK_NOT_AVAILABLE.code().to_owned(),
            what,
        )
    }
}

// === impl RetentionText ===

impl RetentionText {
    pub(super) fn new(schema: &Schema) -> Self {
        macro_rules! text {
            ($name:literal) => {
                schema.render(include_str!(concat!(
                    "../../sql/queries/retention/",
                    $name,
                    ".sql"
                )))
            };
        }
        Self {
            note: text!("note"),
            bound: text!("bound"),
            delete: text!("delete"),
            sweep: text!("sweep"),
            make: text!("make"),
            detach: text!("detach"),
            empty: text!("empty"),
            drop: text!("drop"),
            schema: schema.clone(),
        }
    }
}

// === impl Retention ===

impl Retention {
    /// How long to wait between two steps without more to do.
    #[must_use]
    pub fn pace(&self) -> Duration {
        let note = self.retention.unwrap_or(NOTE_MAX) / NOTES;
        note.clamp(NOTE_MIN, NOTE_MAX)
    }

    /// Notes the time, and lets go what may go, up to a limit. Dropping it loses nothing.
    pub async fn step(&self) -> Result<Step, StoreError> {
        let client = Box::pin(self.pool.get()).await.map_err(pooled)?;
        let every = self.pace().as_secs_f64();
        client
            .execute(&self.text.note, &[&every])
            .await
            .map_err(|error| away(&error))?;
        let (bound, reached) = self.bound(&client).await?;
        if self.partitions {
            return self.turn(&client, bound).await;
        }
        let from = reached.unwrap_or(Xid8(0));
        match bound.filter(|bound| *bound > from) {
            None => Ok(Step::default()),
            Some(bound) => {
                self.delete(&client, &self.text.delete, &[&from, &bound, &ROWS_MAX])
                    .await
            }
        }
    }

    /// Below which transaction rows may go, and where the last batch ended.
    async fn bound(&self, client: &Client) -> Result<(Option<Xid8>, Option<Xid8>), StoreError> {
        let row = client
            .query_one(&self.text.bound, &[])
            .await
            .map_err(|error| away(&error))?;
        Ok((row.get(0), row.get(1)))
    }

    /// Deletes what may go of the rows that no partition took, up to a limit.
    async fn sweep(&self, client: &Client, bound: Option<Xid8>) -> Result<Step, StoreError> {
        match bound {
            None => Ok(Step::default()),
            Some(bound) => self.delete(client, &self.text.sweep, &[&bound, &ROWS_MAX]).await,
        }
    }

    async fn delete(&self, client: &Client, text: &str, range: &[&(dyn ToSql + Sync)]) -> Result<Step, StoreError> {
        crate::point!("retention.before");
        let Fence { relay, epoch, holder } = &self.fence;
        let fence: [&(dyn ToSql + Sync); 3] = [relay, epoch, holder];
        let row = client
            .query_one(text, &[&fence[..], range].concat())
            .await
            .map_err(|error| away(&error))?;
        crate::point!("retention.middle");
        let (fences, rows, found): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
        if fences == 0 {
            return Err(StoreError::Fenced);
        }
        Ok(Step {
            deleted: rows.unsigned_abs(),
            more: found == ROWS_MAX,
            ..Step::default()
        })
    }

    /// Detaches what may go, drops what was detached, and makes what is needed next, one partition each. One that fails
    /// keeps no other from being done: what cannot be dropped must not let the outbox run out of partitions.
    async fn turn(&self, client: &Client, bound: Option<Xid8>) -> Result<Step, StoreError> {
        let swept = self.sweep(client, bound).await;
        let detached: Result<Option<Option<String>>, _> = self.ask(client, &self.text.detach).await;
        if let Ok(Some(Some(partition))) = &detached {
            crate::point!("partition.detached");
            tracing::info!(%partition, "detached a partition of the outbox: all of it is published and old");
        }
        let emptied = match &detached {
            Ok(None) => self.empty(client).await,
            _ => Ok(0),
        };
        let dropped: Result<Option<Option<String>>, _> = self.ask(client, &self.text.drop).await;
        if let Ok(Some(Some(partition))) = &dropped {
            crate::point!("partition.dropped");
            tracing::info!(%partition, "dropped a partition of the outbox");
        }
        let made: Result<Option<bool>, _> = self.ask(client, &self.text.make).await;
        let (mut step, detached, dropped, made) = (swept?, detached?, dropped?, made?);
        step.emptied = emptied?;
        step.dropped = u64::from(matches!(dropped, Some(Some(_))));
        step.more |= step.dropped > 0 || made == Some(true);
        step.held_up = [
            (detached.is_none(), Verb::Detach),
            (made.is_none(), Verb::Make),
            (dropped.is_none(), Verb::Drop),
        ]
        .into_iter()
        .find_map(|(held_up, verb)| held_up.then_some(verb));
        Ok(step)
    }

    /// Empties what cannot be detached.
    async fn empty(&self, client: &Client) -> Result<u64, StoreError> {
        let mut emptied = 0;
        for _ in 0..EMPTIED_MAX {
            let partition: Option<Option<String>> = self.ask(client, &self.text.empty).await?;
            let Some(Some(partition)) = partition else { break };
            tracing::info!(%partition, "emptied a partition of the outbox: all of it is published and old");
            emptied += 1;
        }
        Ok(emptied)
    }

    /// Calls one of the owner's functions under the fence; none = a lock was not to be had.
    async fn ask<T>(&self, client: &Client, text: &str) -> Result<Option<T>, StoreError>
    where
        T: for<'a> FromSql<'a>,
    {
        let Fence { relay, epoch, holder } = &self.fence;
        match client.query_opt(text, &[relay, epoch, holder]).await {
            Ok(Some(row)) => Ok(Some(row.get(0))),
            Ok(None) => Err(StoreError::Fenced),
            Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => Ok(None),
            Err(error) => Err(away(&error)),
        }
    }
}

impl Upkeep for Retention {
    fn step(&self) -> Boxed<'_, Result<Tidied, StoreError>> {
        Box::pin(async move {
            let step = Self::step(self).await?;
            Ok(Tidied {
                wait: match step {
                    // A short retention has short partitions, and the next ones must be made in time. Rows go meanwhile.
                    Step { held_up: Some(_), .. } => BUSY.min(self.pace()),
                    Step { more: true, .. } => BETWEEN,
                    _ => self.pace(),
                },
                held_up: step.held_up.map(|verb| verb.held_up(&self.text.schema)),
            })
        })
    }

    fn sweep(&self) -> Boxed<'_, Result<Option<Duration>, StoreError>> {
        Box::pin(async move {
            if !self.partitions {
                return Ok(None);
            }
            let client = Box::pin(self.pool.get()).await.map_err(pooled)?;
            let (bound, _) = self.bound(&client).await?;
            let swept = Self::sweep(self, &client, bound).await?;
            Ok(swept.more.then_some(BETWEEN))
        })
    }
}
