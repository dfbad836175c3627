//! The database side of a consumer: what is done, how far each stream is, and who may act for it.
//!
//! ```text
//!  assume ─ epoch + 1 ─▶ position, claim, blocked lanes
//!  claim  ─ before the handler is called      mark ─ what is settled       yield ─ a clean hand-over
//!  known, record, bury ─ the inbox, by generation      tidy ─ the rotation
//! ```
//!
//! Promises: as [`Inbox`] says. Every write for a stream ends with its position row, which is the fence.

mod assume;
mod effect;
mod text;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_postgres::Transaction;
use tokio_postgres::types::Type;

use super::answer::{away, pooled};
use super::connect::{Connector, Pool};
use super::identifier::Schema;
use super::letters::{ConsumerSide, Letters, LettersText, Side, Whose};
use crate::contract::{
    Assumed, Boxed, Burial, Claim, Fence, Identity, Inbox, Known, LetterStore, Memory, Stop, StoreError, StreamName,
};
use assume::lanes_of;
pub(super) use effect::Parameter;
pub(super) use text::InboxText;

/// How often a rotation that is due is tried while others write (S24).
const ROTATION_AGAIN: Duration = Duration::from_secs(5);
/// A rotation that ended early is found after this at the latest.
const ROTATION_LOOK: Duration = Duration::from_secs(60);

/// What a consumer is to its database.
#[derive(Debug, Clone)]
pub struct InboxOptions {
    /// Its name, which is its identity for ever.
    pub name: String,
    /// Where our tables live.
    pub schema: Schema,
    /// How long an id is remembered at least. The longest of all consumers of the schema wins.
    pub retention: Duration,
    /// Memory for letters that are read back at once.
    pub bytes: usize,
}

/// A consumer's place in a PostgreSQL database.
#[derive(Debug, Clone)]
pub struct PostgresInbox {
    pool: Pool,
    options: Arc<InboxOptions>,
    text: Arc<InboxText>,
    letters: Arc<LettersText>,
    /// The last fence of each stream: one entry per partition that was ever ours.
    assumed: Arc<Mutex<HashMap<StreamName, Arc<Fence>>>>,
}

type Client = deadpool::managed::Object<Connector>;

// === impl PostgresInbox ===

impl PostgresInbox {
    /// Every call takes a connection from `pool` and gives it back.
    #[must_use]
    pub fn new(pool: Pool, options: InboxOptions) -> Self {
        Self {
            pool,
            text: Arc::new(InboxText::new(&options.schema)),
            letters: Arc::new(LettersText::new(&options.schema)),
            options: Arc::new(options),
            assumed: Arc::default(),
        }
    }

    async fn client(&self) -> Result<Client, StoreError> {
        Box::pin(self.pool.get()).await.map_err(pooled)
    }

    /// Never held across an await.
    fn assumed(&self) -> MutexGuard<'_, HashMap<StreamName, Arc<Fence>>> {
        self.assumed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn side(&self, fence: &Arc<Fence>) -> ConsumerSide {
        ConsumerSide {
            text: Arc::clone(&self.text),
            consumer: self.options.name.clone(),
            fence: Arc::clone(fence),
            lanes: lanes_of(&fence.stream),
        }
    }

    fn letters(&self, fence: &Arc<Fence>) -> Arc<dyn LetterStore> {
        Arc::new(Letters {
            pool: self.pool.clone(),
            text: Arc::clone(&self.letters),
            whose: Whose {
                side: "consumer",
                owner: self.options.name.clone(),
                lanes: lanes_of(&fence.stream),
                holder: fence.holder.to_string(),
            },
            side: Side::Consumer(self.side(fence)),
            bytes_max: self.options.bytes,
        })
    }

    /// How long ids are to be remembered.
    async fn enlist(&self, client: &tokio_postgres::Client) -> Result<(), StoreError> {
        let retention = self.options.retention.as_secs_f64();
        let asked: [Parameter<'_>; 2] = [(&self.options.name, Type::TEXT), (&retention, Type::FLOAT8)];
        let said = client.query_typed(&self.text.enlist, &asked).await;
        said.map(drop).map_err(|error| away(&error))
    }

    /// Claims of a stream's lanes are given back: of everybody (no holder), or of one.
    async fn free(
        &self,
        transaction: &Transaction<'_>,
        fence: &Fence,
        (holder, alone): (Option<&str>, Option<i64>),
    ) -> Result<(), StoreError> {
        let lanes = lanes_of(&fence.stream);
        let asked: [Parameter<'_>; 4] = [
            (&self.options.name, Type::TEXT),
            (&lanes, Type::TEXT),
            (&holder, Type::TEXT),
            (&alone, Type::INT8),
        ];
        let freed = transaction.query_typed(&self.text.free, &asked).await;
        freed.map(drop).map_err(|error| away(&error))
    }

    /// One statement on the position row.
    async fn under(&self, fence: &Fence, text: &str, more: &[Parameter<'_>]) -> Result<(), StoreError> {
        let client = self.client().await?;
        let held = effect::under(&**client, text, (&self.options.name, fence, more)).await;
        let counter = held.map_err(|error| away(&error))?.ok_or(StoreError::Fenced)?;
        fence.committed(counter);
        Ok(())
    }

    /// The end of a transaction that is written for a stream.
    async fn end(&self, transaction: deadpool_postgres::Transaction<'_>, fence: &Fence) -> Result<(), StoreError> {
        let held = self.text.hold(&transaction, (&self.options.name, fence), None).await;
        let counter = held.map_err(|error| away(&error))?.ok_or(StoreError::Fenced)?;
        transaction.commit().await.map_err(|error| away(&error))?;
        fence.committed(counter);
        Ok(())
    }

    async fn sign(&self, fence: &Fence, claim: Claim, time: Duration) -> Result<(), StoreError> {
        let seconds = time.as_secs_f64();
        let (care, at, times) = columns(claim);
        let signed: [Parameter<'_>; 5] = [
            (&claim.tried_to, Type::INT8),
            (&seconds, Type::FLOAT8),
            (&care, Type::INT4),
            (&at, Type::INT8),
            (&times, Type::INT4),
        ];
        self.under(fence, &self.text.sign, &signed).await
    }

    /// Lanes first, the position row last.
    async fn hand_over(&self, fence: &Fence, mark: Option<i64>, legacy: Option<Claim>) -> Result<(), StoreError> {
        let failed = |error| away(&error);
        let mut client = self.client().await?;
        let transaction = client.transaction().await.map_err(failed)?;
        let holder = fence.holder.to_string();
        self.free(&transaction, fence, (Some(&holder), None)).await?;
        let tried_to = legacy.map(|claim| claim.tried_to);
        let (care, at, times) = columns(legacy.unwrap_or_default());
        let more: [Parameter<'_>; 5] = [
            (&mark, Type::INT8),
            (&tried_to, Type::INT8),
            (&care, Type::INT4),
            (&at, Type::INT8),
            (&times, Type::INT4),
        ];
        let held = effect::under(
            &*transaction,
            &self.text.yield_to_next,
            (&self.options.name, fence, &more),
        )
        .await;
        let counter = held.map_err(failed)?.ok_or(StoreError::Fenced)?;
        transaction.commit().await.map_err(failed)?;
        fence.committed(counter);
        Ok(())
    }

    async fn remember(&self, fence: &Fence, (ids, how): (&[Identity], Known)) -> Result<(), StoreError> {
        let failed = |error| away(&error);
        let mut client = self.client().await?;
        let transaction = client.transaction().await.map_err(failed)?;
        let generations = self.text.enter(&transaction).await.map_err(failed)?;
        let whose = (self.options.name.as_str(), generations);
        self.text
            .remember(&transaction, whose, (ids, how))
            .await
            .map_err(failed)?;
        self.end(transaction, fence).await
    }

    async fn give_up(&self, fence: &Fence, burials: &[Burial]) -> Result<(), StoreError> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await.map_err(|error| away(&error))?;
        let side = ConsumerSide {
            text: Arc::clone(&self.text),
            consumer: self.options.name.clone(),
            fence: Arc::new(Fence::new(fence.stream.clone(), fence.epoch, fence.seen()).held_by(fence.holder)),
            lanes: String::new(),
        };
        let counter = side.bury(&transaction, burials).await?;
        transaction.commit().await.map_err(|error| away(&error))?;
        fence.committed(counter);
        Ok(())
    }

    /// Of each stream that is ours: heads that are done after all (S35).
    async fn sweep(&self, client: &mut Client) -> Result<(), StoreError> {
        let fences: Vec<Arc<Fence>> = self.assumed().values().cloned().collect();
        for fence in fences {
            match self.sweep_stream(client, &fence).await {
                // It has gone to somebody else, who sweeps it.
                Ok(()) | Err(StoreError::Fenced) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn sweep_stream(&self, client: &mut Client, fence: &Fence) -> Result<(), StoreError> {
        let failed = |error| away(&error);
        let transaction = client.transaction().await.map_err(failed)?;
        let (owner, lanes) = (&self.options.name, lanes_of(&fence.stream));
        let asked: [Parameter<'_>; 2] = [(owner, Type::TEXT), (&lanes, Type::TEXT)];
        let swept = transaction
            .query_typed(&self.text.sweep, &asked)
            .await
            .map_err(failed)?;
        if swept.is_empty() {
            return Ok(());
        }
        let swept: Vec<&str> = swept.iter().map(|row| row.get(0)).collect();
        transaction
            .execute(&self.letters.drop_empty, &[&"consumer", owner, &swept])
            .await
            .map_err(failed)?;
        self.end(transaction, fence).await
    }

    async fn rotate(&self) -> Result<Duration, StoreError> {
        let mut client = self.client().await?;
        self.enlist(&client).await?;
        self.sweep(&mut client).await?;
        match client.query_typed_one(&self.text.rotate, &[]).await {
            Ok(row) => {
                if row.get(0) {
                    crate::point!("generation.dropped");
                }
                let again = Duration::try_from_secs_f64(row.get(1)).unwrap_or(ROTATION_LOOK);
                Ok(again.min(ROTATION_LOOK))
            }
            Err(error) => match away(&error) {
                // Others write: they go on, and it is tried again.
                StoreError::Away(failure) if failure.code == "55P03" => Ok(ROTATION_AGAIN),
                other => Err(other),
            },
        }
    }

    async fn moves(&self) -> Result<BTreeMap<StreamName, i64>, StoreError> {
        let client = self.client().await?;
        let asked: [Parameter<'_>; 1] = [(&self.options.name, Type::TEXT)];
        let rows = client.query_typed(&self.text.moved, &asked).await;
        let rows = rows.map_err(|error| away(&error))?;
        let stream = |row: &tokio_postgres::Row| StreamName {
            topic: row.get::<_, &str>(0).into(),
            partition: Some(row.get(1)).filter(|partition| *partition >= 0),
        };
        Ok(rows.iter().map(|row| (stream(row), row.get(2))).collect())
    }

    async fn reach(&self) -> Result<Memory, StoreError> {
        let client = self.client().await?;
        let row = client.query_typed_one(&self.text.memory, &[]).await;
        let row = row.map_err(|error| away(&error))?;
        let seconds = |index: usize| Duration::try_from_secs_f64(row.get(index)).unwrap_or_default();
        Ok(Memory {
            retention: seconds(0),
            reaches: seconds(1),
        })
    }
}

/// A claim's care, and what was tried alone, as the position row has them.
fn columns(claim: Claim) -> (i32, Option<i64>, i32) {
    let (at, times) = claim.alone.unzip();
    (claim.care.cast_signed(), at, times.unwrap_or_default().cast_signed())
}

impl Inbox for PostgresInbox {
    fn assume(&self, stream: &StreamName) -> Boxed<'_, Result<Assumed, StoreError>> {
        let stream = stream.clone();
        Box::pin(async move { self.take_over(&stream).await })
    }

    fn begin<'a>(&'a self, fence: &'a Fence, first: i64) -> Boxed<'a, Result<(), StoreError>> {
        Box::pin(async move { self.under(fence, &self.text.begin, &[(&first, Type::INT8)]).await })
    }

    fn claim<'a>(&'a self, fence: &'a Fence, claim: Claim, time: Duration) -> Boxed<'a, Result<(), StoreError>> {
        Box::pin(self.sign(fence, claim, time))
    }

    fn mark<'a>(&'a self, fence: &'a Fence, mark: i64) -> Boxed<'a, Result<(), StoreError>> {
        Box::pin(async move { self.under(fence, &self.text.hold, &[(&Some(mark), Type::INT8)]).await })
    }

    fn yield_to_next<'a>(
        &'a self,
        fence: &'a Fence,
        mark: Option<i64>,
        legacy: Option<Claim>,
    ) -> Boxed<'a, Result<(), StoreError>> {
        Box::pin(self.hand_over(fence, mark, legacy))
    }

    fn known(&self, ids: Vec<Identity>) -> Boxed<'_, Result<HashSet<Identity>, StoreError>> {
        Box::pin(async move {
            let client = self.client().await?;
            let known = self.text.known(&**client, &self.options.name, &ids).await;
            known.map_err(|error| away(&error))
        })
    }

    fn record<'a>(&'a self, fence: &'a Fence, ids: Vec<Identity>, how: Known) -> Boxed<'a, Result<(), StoreError>> {
        Box::pin(async move { self.remember(fence, (&ids, how)).await })
    }

    fn bury<'a>(&'a self, fence: &'a Fence, burials: Vec<Burial>) -> Boxed<'a, Result<(), StoreError>> {
        Box::pin(async move { self.give_up(fence, &burials).await })
    }

    fn stop<'a>(&'a self, fence: &'a Fence, stop: Stop) -> Boxed<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let more: [Parameter<'_>; 4] = [
                (&stop.mark, Type::INT8),
                (&stop.kind, Type::TEXT),
                (&stop.from, Type::INT8),
                (&stop.go_on, Type::INT8),
            ];
            self.under(fence, &self.text.stop, &more).await
        })
    }

    fn moved(&self) -> Boxed<'_, Result<BTreeMap<StreamName, i64>, StoreError>> {
        Box::pin(self.moves())
    }

    fn tidy(&self) -> Boxed<'_, Result<Duration, StoreError>> {
        Box::pin(self.rotate())
    }

    fn memory(&self) -> Boxed<'_, Result<Memory, StoreError>> {
        Box::pin(self.reach())
    }
}
