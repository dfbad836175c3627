//! Looking at what is stored, for people: nothing is locked, claimed or changed.

use tokio_postgres::types::{ToSql, Type};

use super::{Letters, Whose};
use crate::contract::{LetterCounts, StoreError};
use crate::delivery::LaneName;
use crate::postgres::answer::away;

/// A value and its type.
type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

// === impl Letters ===

impl Letters {
    pub(super) async fn count_all(&self) -> Result<LetterCounts, StoreError> {
        let Whose { side, owner, lanes, .. } = &self.whose;
        let whose: [Parameter<'_>; 3] = [(side, Type::TEXT), (owner, Type::TEXT), (lanes, Type::TEXT)];
        let rows = self.client().await?.query_typed(&self.text.count, &whose).await;
        let rows = rows.map_err(|error| away(&error))?;
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
        let Whose { side, owner, .. } = &self.whose;
        let asked: [Parameter<'_>; 3] = [(side, Type::TEXT), (owner, Type::TEXT), (&lanes, Type::TEXT_ARRAY)];
        let rows = self.client().await?.query_typed(&self.text.gone, &asked).await;
        let rows = rows.map_err(|error| away(&error))?;
        Ok(rows.iter().map(|row| LaneName::from(row.get::<_, &str>(0))).collect())
    }
}
