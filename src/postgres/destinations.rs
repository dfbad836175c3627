//! What a relay remembers of its destinations: partition counts and last acknowledged offsets (S14).
//!
//! Promises: as [`Destinations`] says; every write is fenced.

use std::sync::Arc;

use super::answer::{away, busy, unreachable};
use super::connect::{Connector, Pool};
use super::fence::Fence;
use super::identifier::Schema;
use crate::contract::{Boxed, Destinations, Remembered, StoreError};
use crate::delivery::Destination;

/// Between the parts of a destination; no broker allows it in a name.
const BETWEEN: char = '\u{1f}';
/// What the table says where no offset is known.
const NO_OFFSET: i64 = -1;

/// The statements.
#[derive(Debug)]
pub(super) struct DestinationsText {
    known: String,
    keep: String,
    accepted: String,
}

/// The memory of one relay, under a lease.
pub(super) struct RelayDestinations {
    pub(super) pool: Pool,
    pub(super) text: Arc<DestinationsText>,
    pub(super) fence: Fence,
}

// === impl DestinationsText ===

impl DestinationsText {
    pub(super) fn new(schema: &Schema) -> Self {
        Self {
            known: schema.render(include_str!("../../sql/queries/destinations/known.sql")),
            keep: schema.render(include_str!("../../sql/queries/destinations/keep.sql")),
            accepted: schema.render(include_str!("../../sql/queries/destinations/accepted.sql")),
        }
    }
}

// === impl RelayDestinations ===

impl RelayDestinations {
    async fn client(&self) -> Result<deadpool::managed::Object<Connector>, StoreError> {
        self.pool.get().await.map_err(|error| match error {
            deadpool::managed::PoolError::Backend(error) => unreachable(&error),
            other => busy(&other),
        })
    }

    async fn load(&self) -> Result<Vec<Remembered>, StoreError> {
        let rows = self.client().await?.query(&self.text.known, &[&self.fence.relay]).await;
        let rows = rows.map_err(|error| away(&error))?;
        Ok(rows
            .iter()
            .map(|row| remembered(row.get(0), row.get(1), row.get(2)))
            .collect())
    }

    async fn write(&self, seen: Vec<Remembered>) -> Result<(), StoreError> {
        let client = self.client().await?;
        let Fence { relay, epoch, holder } = &self.fence;
        for seen in seen {
            let destination = joined(&seen.destination);
            let partitions = i32::try_from(seen.partitions).unwrap_or(i32::MAX);
            let acked: Vec<i64> = seen.offsets.iter().map(|offset| offset.unwrap_or(NO_OFFSET)).collect();
            let kept = client
                .query_opt(
                    &self.text.keep,
                    &[relay, epoch, holder, &destination, &partitions, &acked],
                )
                .await;
            kept.map_err(|error| away(&error))?.ok_or(StoreError::Fenced)?;
        }
        Ok(())
    }
}

impl Destinations for RelayDestinations {
    fn known(&self) -> Boxed<'_, Result<Vec<Remembered>, StoreError>> {
        Box::pin(self.load())
    }

    fn keep(&self, seen: Vec<Remembered>) -> Boxed<'_, Result<(), StoreError>> {
        Box::pin(self.write(seen))
    }

    fn accepted(&self) -> Boxed<'_, Result<bool, StoreError>> {
        Box::pin(async move {
            let row = self
                .client()
                .await?
                .query_one(&self.text.accepted, &[&self.fence.relay])
                .await;
            Ok(row.map_err(|error| away(&error))?.get(0))
        })
    }
}

fn joined(destination: &Destination) -> String {
    destination.parts().join(&BETWEEN.to_string())
}

fn remembered(destination: &str, partitions: i32, acked: Vec<i64>) -> Remembered {
    Remembered {
        destination: destination.split(BETWEEN).collect(),
        partitions: u32::try_from(partitions).unwrap_or(0),
        offsets: acked
            .into_iter()
            .map(|offset| (offset != NO_OFFSET).then_some(offset))
            .collect(),
    }
}
