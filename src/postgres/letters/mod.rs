//! Blocked lanes of a relay and their stored messages.
//!
//! ```text
//!  store ── lane row + letters + window's rest, one transaction ──▶ blocked
//!                                                     │ due, or released by a person
//!  close ◀── delivered, or rests again ── pick ◀──────┘
//!    └─ last letter closed: the row goes, the lane is live
//! ```
//!
//! Promises: whoever changes a lane's letters locks its row first, lanes in ascending order, the fence row last; payloads
//! are copied from table to table inside the database and never pass through here on their way in.
//!
//! # Why a row and no advisory lock
//!
//! 32 connections with 500 advisory locks each ran a server out of shared memory.

mod close;
mod count;
mod due;
mod failure;
mod store;
mod text;

use std::sync::Arc;

use tokio_postgres::Transaction;

use super::answer::{away, pooled};
use super::connect::{Connector, Pool};
use super::cursor::{Columns, Shared};
use super::fence::Fence;
use crate::contract::{Boxed, CloseRun, DueLane, Kept, LetterCounts, LetterStore, StoreError, StoreRun};
use crate::delivery::LaneName;
pub(super) use text::LettersText;

/// A transaction that met a deadlock or a lock time-out is made again this often before the caller hears of it.
const ATTEMPTS_MAX: u32 = 3;

/// The letters of one relay, under a lease.
pub(super) struct RelayLetters {
    pub(super) pool: Pool,
    pub(super) text: Arc<LettersText>,
    pub(super) fence: Fence,
    pub(super) shared: Arc<Shared>,
    pub(super) columns: Columns,
    /// A letter that is larger comes with its body withheld.
    pub(super) bytes_max: usize,
}

/// How often a transaction was made.
#[derive(Debug, Default)]
struct Attempts(u32);

type Client = deadpool::managed::Object<Connector>;

// === impl RelayLetters ===

impl RelayLetters {
    async fn client(&self) -> Result<Client, StoreError> {
        Box::pin(self.pool.get()).await.map_err(pooled)
    }

    /// Last statement of every transaction: whoever took the lease over waits for it, or has made it fail.
    async fn hold_fence(&self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        let Fence { relay, epoch, holder } = &self.fence;
        let row = transaction.query_opt(&self.text.fence, &[relay, epoch, holder]).await;
        row.map_err(|error| away(&error))?.map(drop).ok_or(StoreError::Fenced)
    }

    async fn load_blocked(&self) -> Result<Vec<LaneName>, StoreError> {
        let Fence { relay, epoch, holder } = &self.fence;
        let rows = self
            .client()
            .await?
            .query(&self.text.blocked, &[relay, epoch, holder])
            .await
            .map_err(|error| away(&error))?;
        if rows.is_empty() {
            return Err(StoreError::Fenced);
        }
        let lanes = rows.iter().filter_map(|row| row.get::<_, Option<&str>>(0));
        Ok(lanes.map(LaneName::from).collect())
    }
}

impl LetterStore for RelayLetters {
    fn blocked(&self) -> Boxed<'_, Result<Vec<LaneName>, StoreError>> {
        Box::pin(self.load_blocked())
    }

    fn store(&self, run: StoreRun) -> Boxed<'_, Result<Kept, StoreError>> {
        Box::pin(async move { self.store_run(&run).await })
    }

    fn due(&self, lanes: usize, run: usize) -> Boxed<'_, Result<Vec<DueLane>, StoreError>> {
        Box::pin(self.pick(lanes, run))
    }

    fn close(&self, runs: Vec<CloseRun>) -> Boxed<'_, Result<Vec<LaneName>, StoreError>> {
        Box::pin(async move { self.close_runs(&runs).await })
    }

    fn count(&self) -> Boxed<'_, Result<LetterCounts, StoreError>> {
        Box::pin(self.count_all())
    }

    fn gone(&self, lanes: Vec<LaneName>) -> Boxed<'_, Result<Vec<LaneName>, StoreError>> {
        Box::pin(async move { self.gone_of(&lanes).await })
    }
}

// === impl Attempts ===

impl Attempts {
    /// Whether the transaction met another one and is made again.
    fn again<T>(&mut self, outcome: &Result<T, StoreError>) -> bool {
        self.0 += 1;
        let collided = |code: &str| matches!(code, "40001" | "40P01" | "55P03");
        matches!(outcome, Err(StoreError::Away(failure)) if self.0 < ATTEMPTS_MAX && collided(&failure.code))
    }
}
