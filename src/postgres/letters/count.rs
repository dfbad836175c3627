//! Looking at what is stored, for people: nothing is locked, claimed or changed.

use tokio_postgres::types::Type;

use super::RelayLetters;
use crate::contract::{LetterCounts, StoreError};
use crate::delivery::LaneName;
use crate::postgres::answer::away;

// === impl RelayLetters ===

impl RelayLetters {
    pub(super) async fn count_all(&self) -> Result<LetterCounts, StoreError> {
        let rows = self
            .client()
            .await?
            .query_typed(&self.text.count, &[(&self.fence.relay, Type::TEXT)])
            .await
            .map_err(|error| away(&error))?;
        let number = |column: usize| rows.first().map_or(0, |row| row.get::<_, i64>(column).unsigned_abs());
        Ok(LetterCounts {
            lanes: number(0),
            parked: number(1),
            queued: number(2),
            deferred: number(3),
            scheduled: number(4),
            dead: number(5),
        })
    }

    pub(super) async fn gone_of(&self, lanes: &[LaneName]) -> Result<Vec<LaneName>, StoreError> {
        let lanes: Vec<&str> = lanes.iter().map(LaneName::as_str).collect();
        let asked: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 2] =
            [(&self.fence.relay, Type::TEXT), (&lanes, Type::TEXT_ARRAY)];
        let rows = self.client().await?.query_typed(&self.text.gone, &asked).await;
        let rows = rows.map_err(|error| away(&error))?;
        Ok(rows.iter().map(|row| LaneName::from(row.get::<_, &str>(0))).collect())
    }
}
