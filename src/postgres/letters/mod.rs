//! Blocked lanes and their stored messages: a relay's, or those of one stream of a consumer.
//!
//! ```text
//!  store ── lane row + letters + what is settled, one transaction ──▶ blocked
//!                                                     │ due, or released by a person
//!  close ◀── delivered, or rests again ── pick ◀──────┘
//!    └─ last letter closed: the row goes, the lane is live
//! ```
//!
//! Promises: whoever changes a lane's letters locks its row first, lanes in ascending order, the fence row last. A relay's
//! payloads are copied from table to table inside the database and never pass through here on their way in; a consumer's are
//! written as they were received.
//!
//! # Why a row and no advisory lock
//!
//! 32 connections with 500 advisory locks each ran a server out of shared memory.

mod close;
mod consumer;
mod count;
mod due;
mod failure;
mod letter;
mod received;
mod relay;
mod store;
mod text;

use std::sync::Arc;

use tokio_postgres::Transaction;

use super::answer::pooled;
use super::connect::{Connector, Pool};
use crate::contract::{Boxed, CloseRun, DueLane, Kept, LetterCounts, LetterStore, StoreError, StoreRun};
use crate::delivery::LaneName;
pub(super) use consumer::ConsumerSide;
pub(super) use relay::RelaySide;
pub(super) use text::LettersText;

/// A transaction that met a deadlock or a lock time-out is made again this often before the caller hears of it.
const ATTEMPTS_MAX: u32 = 3;

/// Letters of one owner, as long as its fence holds.
pub(super) struct Letters {
    pub(super) pool: Pool,
    pub(super) text: Arc<LettersText>,
    pub(super) whose: Whose,
    pub(super) side: Side,
    /// More is not read at once.
    pub(super) bytes_max: usize,
}

/// Whose lanes.
#[derive(Debug, Clone)]
pub(super) struct Whose {
    /// As the table spells it.
    pub(super) side: &'static str,
    /// Name of the relay or consumer.
    pub(super) owner: String,
    /// What the names of its lanes begin with.
    pub(super) lanes: String,
    /// Who claims lanes.
    pub(super) holder: String,
}

/// What the two sides do differently.
pub(super) enum Side {
    /// Rows of the outbox, and the windows that they are settled in.
    Relay(RelaySide),
    /// Messages as received, the inbox, and the position of record.
    Consumer(ConsumerSide),
}

/// How often a transaction was made.
#[derive(Debug, Default)]
struct Attempts(u32);

type Client = deadpool::managed::Object<Connector>;

// === impl Letters ===

impl Letters {
    async fn client(&self) -> Result<Client, StoreError> {
        Box::pin(self.pool.get()).await.map_err(pooled)
    }

    /// Last statement of every transaction: whoever took over waits for it, or has made it fail.
    async fn hold_fence(&self, transaction: &Transaction<'_>) -> Result<Option<i64>, StoreError> {
        match &self.side {
            Side::Relay(side) => side.hold(transaction).await.map(|()| None),
            Side::Consumer(side) => side.hold(transaction, None).await.map(Some),
        }
    }

    /// The transaction that held the fence with that counter has committed.
    fn committed(&self, counter: Option<i64>) {
        if let (Side::Consumer(side), Some(counter)) = (&self.side, counter) {
            side.fence.committed(counter);
        }
    }

    async fn load_blocked(&self) -> Result<Vec<LaneName>, StoreError> {
        let client = self.client().await?;
        match &self.side {
            Side::Relay(side) => side.blocked(&client).await,
            Side::Consumer(side) => side.blocked(&client).await,
        }
    }
}

impl LetterStore for Letters {
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
