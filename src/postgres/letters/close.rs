//! Closing: what became of the letters that were out.
//!
//! Promises: one transaction for all lanes of a call; a lane is free only when a statement that began after its letters
//! were closed finds none open; a lane that is no longer claimed by us keeps its rest, but a late *delivered* still closes
//! its letter (S33).

use std::collections::HashSet;

use tokio_postgres::Transaction;

use super::failure::Failures;
use super::{Attempts, Client, Letters, Side, Whose};
use crate::contract::{CloseRun, Next, StoreError};
use crate::delivery::LaneName;
use crate::postgres::answer::away;

/// Lanes that rest again, as the columns of an array parameter.
#[derive(Debug, Default)]
struct Rests<'a> {
    lanes: Vec<&'a str>,
    causes: Vec<&'static str>,
    dues: Vec<Option<f64>>,
    attempts: Vec<i32>,
    failures: Failures,
}

// === impl Letters ===

impl Letters {
    pub(super) async fn close_runs(&self, runs: &[CloseRun]) -> Result<Vec<LaneName>, StoreError> {
        crate::point!("letters.unclosed");
        let mut client = self.client().await?;
        let mut attempts = Attempts::default();
        loop {
            let outcome = self.close_once(&mut client, runs).await;
            if !attempts.again(&outcome) {
                return outcome;
            }
        }
    }

    async fn close_once(&self, client: &mut Client, runs: &[CloseRun]) -> Result<Vec<LaneName>, StoreError> {
        let transaction = client.transaction().await.map_err(|error| away(&error))?;
        let (free, counter) = self.close_in(&transaction, runs).await?;
        transaction.commit().await.map_err(|error| away(&error))?;
        self.committed(counter);
        Ok(free)
    }

    async fn close_in(
        &self,
        transaction: &Transaction<'_>,
        runs: &[CloseRun],
    ) -> Result<(Vec<LaneName>, Option<i64>), StoreError> {
        let Whose {
            side, owner, holder, ..
        } = &self.whose;
        let lanes: Vec<&str> = runs.iter().map(|run| run.lane.as_str()).collect();
        if let Side::Consumer(side) = &self.side {
            // Rows of the inbox come before lanes.
            side.give_up(transaction, &dead_of(runs)).await?;
        }
        let locked = transaction
            .query(&self.text.lock, &[side, owner, &lanes, holder])
            .await
            .map_err(|error| away(&error))?;
        let delivered: Vec<i64> = runs
            .iter()
            .flat_map(|run| run.delivered.iter().map(|letter| letter.0))
            .collect();
        transaction
            .execute(&self.text.delivered, &[side, owner, &delivered])
            .await
            .map_err(|error| away(&error))?;
        self.bury(transaction, runs).await?;
        let freed = transaction
            .query(&self.text.drop_empty, &[side, owner, &lanes])
            .await
            .map_err(|error| away(&error))?;
        self.go_on(transaction, runs).await?;
        self.rest(transaction, runs).await?;
        let counter = self.hold_fence(transaction).await?;
        let mut blocked: HashSet<&str> = locked.iter().map(|row| row.get(0)).collect();
        for row in &freed {
            blocked.remove(row.get::<_, &str>(0));
        }
        // Freed now, or by an operator before.
        let free = lanes.iter().filter(|lane| !blocked.contains(**lane));
        Ok((free.map(|lane| LaneName::from(*lane)).collect(), counter))
    }

    async fn bury(&self, transaction: &Transaction<'_>, runs: &[CloseRun]) -> Result<(), StoreError> {
        let (mut letters, mut failures) = (Vec::new(), Failures::default());
        for run in runs {
            if let Next::Dead { letter, failure } = &run.next {
                letters.push(letter.0);
                failures.push(failure);
            }
        }
        if letters.is_empty() {
            return Ok(());
        }
        let Failures {
            kinds,
            types,
            messages,
            chains,
            fingerprints,
        } = &failures;
        transaction
            .execute(
                &self.text.dead,
                &[
                    &self.whose.side,
                    &self.whose.owner,
                    &letters,
                    kinds,
                    types,
                    messages,
                    chains,
                    fingerprints,
                ],
            )
            .await
            .map_err(|error| away(&error))?;
        Ok(())
    }

    async fn go_on(&self, transaction: &Transaction<'_>, runs: &[CloseRun]) -> Result<(), StoreError> {
        let going = runs
            .iter()
            .filter(|run| matches!(run.next, Next::Now | Next::Dead { .. }));
        let lanes: Vec<&str> = going.map(|run| run.lane.as_str()).collect();
        let Whose {
            side, owner, holder, ..
        } = &self.whose;
        transaction
            .execute(&self.text.go_on, &[side, owner, &lanes, holder])
            .await
            .map_err(|error| away(&error))?;
        Ok(())
    }

    async fn rest(&self, transaction: &Transaction<'_>, runs: &[CloseRun]) -> Result<(), StoreError> {
        let mut rests = Rests::default();
        for run in runs {
            if let Next::Rest {
                cause,
                due,
                attempts,
                failure,
            } = &run.next
            {
                rests.lanes.push(run.lane.as_str());
                rests.causes.push(cause.as_str());
                rests.dues.push(due.map(|due| due.as_secs_f64()));
                rests.attempts.push(attempts.cast_signed());
                rests.failures.push(failure);
            }
        }
        if rests.lanes.is_empty() {
            return Ok(());
        }
        let Whose {
            side, owner, holder, ..
        } = &self.whose;
        let failures = &rests.failures;
        transaction
            .execute(
                &self.text.rest,
                &[
                    side,
                    owner,
                    holder,
                    &rests.lanes,
                    &rests.causes,
                    &rests.dues,
                    &rests.attempts,
                    &failures.kinds,
                    &failures.types,
                    &failures.messages,
                    &failures.chains,
                    &failures.fingerprints,
                ],
            )
            .await
            .map_err(|error| away(&error))?;
        Ok(())
    }
}

/// Letters that go to the dead.
fn dead_of(runs: &[CloseRun]) -> Vec<i64> {
    let dead = runs.iter().filter_map(|run| match &run.next {
        Next::Dead { letter, .. } => Some(letter.0),
        Next::Now | Next::Rest { .. } => None,
    });
    dead.collect()
}
