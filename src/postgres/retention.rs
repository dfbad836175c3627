//! Deleting what every relay has settled and nobody needs any more.
//!
//! Promises: a row goes only when every relay's floor has passed its transaction and it is older than the longest
//! retention; one step is one short transaction of at most [`ROWS_MAX`] rows; every write is fenced.
//!
//! # Why by xid
//!
//! `delete … where seq <= watermark` deletes the rows of a transaction that drew its numbers early and committed late,
//! unpublished. Every transaction below the floor's xmin had finished and is settled, and nothing can appear below it.

use std::sync::Arc;
use std::time::Duration;

use super::answer::{away, pooled};
use super::connect::Pool;
use super::fence::Fence;
use super::identifier::Schema;
use super::snapshot::Xid8;
use crate::contract::{Boxed, StoreError, Upkeep};

/// Rows that one step deletes: some 20 ms of the server's time.
pub const ROWS_MAX: i64 = 5000;
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
}

/// Retention as a relay's holder does it. Several relays of one outbox may do it side by side.
#[derive(Debug, Clone)]
pub struct Retention {
    pub(super) pool: Pool,
    pub(super) text: Arc<RetentionText>,
    pub(super) fence: Fence,
    pub(super) retention: Option<Duration>,
}

/// What one step did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Step {
    /// Rows deleted.
    pub deleted: u64,
    /// Go on soon: there was more than one step's worth.
    pub more: bool,
}

// === impl RetentionText ===

impl RetentionText {
    pub(super) fn new(schema: &Schema) -> Self {
        Self {
            note: schema.render(include_str!("../../sql/queries/retention/note.sql")),
            bound: schema.render(include_str!("../../sql/queries/retention/bound.sql")),
            delete: schema.render(include_str!("../../sql/queries/retention/delete.sql")),
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

    /// Notes the time, and deletes what may go, up to a limit. Dropping it loses nothing.
    pub async fn step(&self) -> Result<Step, StoreError> {
        let client = Box::pin(self.pool.get()).await.map_err(pooled)?;
        let every = self.pace().as_secs_f64();
        client
            .execute(&self.text.note, &[&every])
            .await
            .map_err(|error| away(&error))?;
        let Fence { relay, epoch, holder } = &self.fence;
        let row = client
            .query_one(&self.text.bound, &[])
            .await
            .map_err(|error| away(&error))?;
        let (bound, reached): (Option<Xid8>, Option<Xid8>) = (row.get(0), row.get(1));
        let from = reached.unwrap_or(Xid8(0));
        let Some(bound) = bound.filter(|bound| *bound > from) else {
            return Ok(Step::default());
        };
        crate::point!("retention.before");
        let row = client
            .query_one(&self.text.delete, &[relay, epoch, holder, &from, &bound, &ROWS_MAX])
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
        })
    }
}

impl Upkeep for Retention {
    fn step(&self) -> Boxed<'_, Result<Duration, StoreError>> {
        Box::pin(async move {
            let step = Self::step(self).await?;
            Ok(if step.more { Duration::ZERO } else { self.pace() })
        })
    }
}
