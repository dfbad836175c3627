//! Picking lanes whose time has come, with their first letters.

use std::time::Duration;

use tokio_postgres::types::Type;
use tokio_postgres::{Row, Transaction};

use super::{Attempts, Client, Letters, Side, Whose};
use crate::contract::{DueLane, StoreError};
use crate::delivery::{Cause, LaneName};
use crate::postgres::answer::away;
use crate::postgres::cursor::Kinds;

/// How long a claim lasts if nobody closes it. A new holder does not wait for it.
const CLAIM: Duration = Duration::from_secs(300);

// === impl Letters ===

impl Letters {
    pub(super) async fn pick(&self, lanes: usize, run: usize) -> Result<Vec<DueLane>, StoreError> {
        let mut client = self.client().await?;
        let Whose {
            side, owner, lanes: of, ..
        } = &self.whose;
        let any = client
            .query_typed(
                &self.text.any_due,
                &[(side, Type::TEXT), (owner, Type::TEXT), (of, Type::TEXT)],
            )
            .await
            .map_err(|error| away(&error))?;
        if !any.iter().any(|row| row.get(0)) {
            return Ok(Vec::new());
        }
        let mut attempts = Attempts::default();
        loop {
            let outcome = self.pick_once(&mut client, (lanes, run)).await;
            if !attempts.again(&outcome) {
                return outcome;
            }
        }
    }

    async fn pick_once(&self, client: &mut Client, (lanes, run): (usize, usize)) -> Result<Vec<DueLane>, StoreError> {
        let transaction = client.transaction().await.map_err(|error| away(&error))?;
        let Whose {
            side,
            owner,
            lanes: of,
            holder,
        } = &self.whose;
        let (limit, claim) = (lanes.cast_signed() as i64, CLAIM.as_secs_f64());
        let picked = transaction
            .query(&self.text.pick, &[side, owner, of, holder, &limit, &claim])
            .await
            .map_err(|error| away(&error))?;
        let mut letters = Vec::new();
        if !picked.is_empty() {
            letters = self.open_letters(&transaction, (&picked, run)).await?;
        }
        let counter = self.hold_fence(&transaction).await?;
        let due = self.assemble(&picked, &letters)?;
        transaction.commit().await.map_err(|error| away(&error))?;
        self.committed(counter);
        if !due.is_empty() {
            crate::point!("lane.picked");
        }
        Ok(due)
    }

    async fn open_letters(
        &self,
        transaction: &Transaction<'_>,
        (picked, run): (&[Row], usize),
    ) -> Result<Vec<Row>, StoreError> {
        let Whose { side, owner, .. } = &self.whose;
        let lanes: Vec<&str> = picked.iter().map(|row| row.get(0)).collect();
        let run = run.cast_signed() as i64;
        let budget = self.bytes_max.cast_signed() as i64;
        let each = budget / picked.len().max(1).cast_signed() as i64;
        // A relay's larger ones stay inside the database; a consumer's came in one piece and go to the handler in one.
        let all = match self.side {
            Side::Relay(_) => budget,
            Side::Consumer(_) => i64::MAX,
        };
        let letters = transaction
            .query(&self.text.open, &[side, owner, &lanes, &run, &each, &all])
            .await
            .map_err(|error| away(&error))?;
        // Lanes whose letters were all closed by others block nothing.
        transaction
            .execute(&self.text.drop_empty, &[side, owner, &lanes])
            .await
            .map_err(|error| away(&error))?;
        Ok(letters)
    }

    fn assemble(&self, picked: &[Row], letters: &[Row]) -> Result<Vec<DueLane>, StoreError> {
        let mut kinds = Kinds::default();
        let mut due: Vec<DueLane> = Vec::with_capacity(picked.len());
        for row in picked {
            let lane: &str = row.get(0);
            let own = letters.iter().filter(|letter| letter.get::<_, &str>(11) == lane);
            let letters = own
                .map(|letter| self.side.letter(letter, &mut kinds))
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| away(&error))?;
            if letters.is_empty() {
                continue;
            }
            due.push(DueLane {
                lane: LaneName::from(lane),
                cause: Cause::from_name(row.get(1)).unwrap_or(Cause::Resting),
                attempts: row.get::<_, i32>(2).unsigned_abs(),
                letters,
            });
        }
        Ok(due)
    }
}
