//! What a relay remembers of its destinations: partition counts and acknowledged offsets, in `relay_destination`.

use std::sync::Arc;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::answer::{away, pooled};
use super::connect::Pool;
use super::fence::Fence;
use super::identifier::Schema;
use crate::contract::{Boxed, Destinations, Remembered, StoreError};
use crate::delivery::Destination;

/// How a partition without an acknowledged offset is stored.
const NO_OFFSET: i64 = -1;

/// Rendered texts.
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
            known: schema.render(include_str!("../../sql/queries/destination/known.sql")),
            keep: schema.render(include_str!("../../sql/queries/destination/keep.sql")),
            accepted: schema.render(include_str!("../../sql/queries/destination/accepted.sql")),
        }
    }
}

// === impl RelayDestinations ===

impl RelayDestinations {
    async fn load(&self) -> Result<Vec<Remembered>, StoreError> {
        let client = Box::pin(self.pool.get()).await.map_err(pooled)?;
        let rows = client
            .query_typed(&self.text.known, &[(&self.fence.relay, Type::TEXT)])
            .await;
        Ok(rows.map_err(|error| away(&error))?.iter().map(remembered).collect())
    }

    async fn write(&self, seen: &[Remembered]) -> Result<(), StoreError> {
        let names: Vec<String> = seen.iter().map(|seen| name(&seen.destination)).collect();
        let partitions: Vec<i32> = seen.iter().map(|seen| seen.partitions.cast_signed()).collect();
        let (of, offsets): (Vec<&str>, Vec<i64>) = seen
            .iter()
            .zip(&names)
            .flat_map(|(seen, name)| {
                seen.offsets
                    .iter()
                    .map(|offset| (name.as_str(), offset.unwrap_or(NO_OFFSET)))
            })
            .unzip();
        let Fence { relay, epoch, holder } = &self.fence;
        let client = Box::pin(self.pool.get()).await.map_err(pooled)?;
        let row = client
            .query_one(
                &self.text.keep,
                &[relay, epoch, holder, &names, &partitions, &of, &offsets],
            )
            .await
            .map_err(|error| away(&error))?;
        if row.get::<_, i64>(0) == 0 {
            Err(StoreError::Fenced)
        } else {
            Ok(())
        }
    }

    async fn take_acceptance(&self) -> Result<bool, StoreError> {
        let Fence { relay, epoch, holder } = &self.fence;
        let client = Box::pin(self.pool.get()).await.map_err(pooled)?;
        let row = client
            .query_one(&self.text.accepted, &[relay, epoch, holder])
            .await
            .map_err(|error| away(&error))?;
        Ok(row.get::<_, i64>(0) > 0)
    }
}

impl Destinations for RelayDestinations {
    fn known(&self) -> Boxed<'_, Result<Vec<Remembered>, StoreError>> {
        Box::pin(self.load())
    }

    fn keep(&self, seen: Vec<Remembered>) -> Boxed<'_, Result<(), StoreError>> {
        Box::pin(async move { self.write(&seen).await })
    }

    fn accepted(&self) -> Boxed<'_, Result<bool, StoreError>> {
        Box::pin(self.take_acceptance())
    }
}

fn remembered(row: &Row) -> Remembered {
    Remembered {
        destination: destination(row.get(0)),
        partitions: row.get::<_, i32>(1).unsigned_abs(),
        offsets: row
            .get::<_, Vec<i64>>(2)
            .into_iter()
            .map(|offset| (offset != NO_OFFSET).then_some(offset))
            .collect(),
    }
}

/// One part as it is, several as a JSON array.
fn name(destination: &Destination) -> String {
    match destination.parts() {
        [one] if !one.starts_with('[') => one.to_string(),
        parts => serde_json::json!(parts).to_string(),
    }
}

/// As [`name`] wrote it.
pub(super) fn destination(name: &str) -> Destination {
    match serde_json::from_str::<Vec<Box<str>>>(name) {
        Ok(parts) => parts.into_iter().collect(),
        Err(_) => std::iter::once(name).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for parts in [
            vec!["orders"],
            vec!["exchange", "key.*"],
            vec!["[\"odd\"]"],
            vec!["", ""],
        ] {
            let original: Destination = parts.into_iter().collect();
            assert_eq!(destination(&name(&original)), original);
        }
        assert_eq!(name(&std::iter::once("orders").collect()), "orders");
    }
}
