//! Storing: lanes to be blocked, whole and from their heads, and successors of blocked ones.
//!
//! Promises: one transaction with what is settled by it; a lane counts as live only if a statement that began after its
//! row was waited for finds none (S1), and then its messages stay unsettled.

use std::collections::HashSet;

use tokio_postgres::Transaction;

use super::failure::Failures;
use super::{Attempts, Client, Letters, Side, Whose};
use crate::contract::{Append, Identity, Kept, Park, Progress, StoreError, StoreRun};
use crate::delivery::{Cause, LaneName};
use crate::postgres::answer::away;
use crate::postgres::progress::Change;

/// What happened to the heads of parked lanes, as the columns of an array parameter.
#[derive(Debug, Default)]
pub(super) struct Heads {
    pub(super) attempts: Vec<i32>,
    pub(super) failures: Failures,
}

/// What is true once the transaction has committed.
enum Settled {
    /// Windows of a relay.
    Windows(Change),
    /// The counter of a consumer's position row.
    Counter(i64),
}

// === impl Heads ===

impl Heads {
    pub(super) fn push(&mut self, park: &Park) {
        self.attempts.push(park.attempts.cast_signed());
        self.failures.push(&park.failure);
    }
}

// === impl Letters ===

impl Letters {
    pub(super) async fn store_run(&self, run: &StoreRun) -> Result<Kept, StoreError> {
        let _writing = match &self.side {
            Side::Relay(side) => Some(side.shared.writing.lock().await),
            Side::Consumer(_) => None,
        };
        let mut client = self.client().await?;
        let mut attempts = Attempts::default();
        loop {
            let outcome = self.store_once(&mut client, run).await;
            if attempts.again(&outcome) {
                continue;
            }
            let (kept, settled) = outcome?;
            crate::point!("lane.stored");
            match (&self.side, settled) {
                (Side::Relay(side), Settled::Windows(change)) => side.shared.windows().changed(change),
                (_, Settled::Counter(counter)) => self.committed(Some(counter)),
                (Side::Consumer(_), Settled::Windows(_)) => {}
            }
            return Ok(kept);
        }
    }

    async fn store_once(&self, client: &mut Client, run: &StoreRun) -> Result<(Kept, Settled), StoreError> {
        // Rolled back when it is dropped.
        let transaction = client.transaction().await.map_err(|error| away(&error))?;
        let stored = self.store_in(&transaction, run).await?;
        transaction.commit().await.map_err(|error| away(&error))?;
        Ok(stored)
    }

    async fn store_in(&self, transaction: &Transaction<'_>, run: &StoreRun) -> Result<(Kept, Settled), StoreError> {
        // S6: what is done or given up is not stored, and counts as stored.
        let known = match &self.side {
            Side::Relay(_) => HashSet::new(),
            Side::Consumer(side) => side.known(transaction, run).await?,
        };
        let parks = run.parks.iter().map(|park| park.lane.as_str());
        let appends = run.appends.iter().map(|append| append.lane.as_str());
        let mut blocked = self.lock(transaction, parks.chain(appends).collect()).await?;
        self.park(transaction, run, &known).await?;
        crate::point!("lane.row_written");
        let missing = |blocked: &HashSet<String>| -> Vec<&str> {
            let lanes = run.appends.iter().map(|append| append.lane.as_str());
            lanes.filter(|lane| !blocked.contains(*lane)).collect()
        };
        let unseen = missing(&blocked);
        if !unseen.is_empty() {
            blocked.extend(self.lock(transaction, unseen).await?);
        }
        let live: Vec<LaneName> = missing(&blocked).into_iter().map(LaneName::from).collect();
        let appends: Vec<&Append> = run
            .appends
            .iter()
            .filter(|append| !live.contains(&append.lane))
            .collect();
        match &self.side {
            Side::Relay(side) => side.keep(transaction, run, &appends).await?,
            Side::Consumer(side) => side.keep(transaction, run, (&appends, &known)).await?,
        }
        if !appends.is_empty() {
            crate::point!("successors.appended");
        }
        let lanes: Vec<&str> = run.parks.iter().map(|park| park.lane.as_str()).collect();
        // All of its rows were judged before: nothing blocks it.
        let Whose { side, owner, .. } = &self.whose;
        transaction
            .execute(&self.text.drop_empty, &[side, owner, &lanes])
            .await
            .map_err(|error| away(&error))?;
        let left = left_by(run, &live);
        let settled = match &self.side {
            Side::Relay(side) => Settled::Windows(side.settle(transaction, &left).await?),
            Side::Consumer(side) => Settled::Counter(side.settle(transaction, &left).await?),
        };
        Ok((Kept { live }, settled))
    }

    async fn lock(&self, transaction: &Transaction<'_>, lanes: Vec<&str>) -> Result<HashSet<String>, StoreError> {
        let Whose {
            side, owner, holder, ..
        } = &self.whose;
        let rows = transaction.query(&self.text.lock, &[side, owner, &lanes, holder]).await;
        Ok(rows
            .map_err(|error| away(&error))?
            .iter()
            .map(|row| row.get(0))
            .collect())
    }

    /// A lane whose head is done already is due at once: nothing is known of the next one.
    async fn park(
        &self,
        transaction: &Transaction<'_>,
        run: &StoreRun,
        known: &HashSet<Identity>,
    ) -> Result<(), StoreError> {
        let (mut lanes, mut causes) = (Vec::new(), Vec::new());
        let (mut dues, mut attempts) = (Vec::new(), Vec::new());
        for park in &run.parks {
            let done = park
                .messages
                .first()
                .is_some_and(|head| known.contains(&Identity::of(head)));
            lanes.push(park.lane.as_str());
            causes.push(if done { Cause::Resting } else { park.cause }.as_str());
            dues.push(if done {
                Some(0.0)
            } else {
                park.due.map(|due| due.as_secs_f64())
            });
            attempts.push(if done { 0 } else { park.attempts.cast_signed() });
        }
        let Whose { side, owner, .. } = &self.whose;
        transaction
            .execute(&self.text.park, &[side, owner, &lanes, &causes, &dues, &attempts])
            .await
            .map_err(|error| away(&error))?;
        Ok(())
    }
}

/// The run's progress, in which the successors of lanes that turned out live are not settled.
fn left_by(run: &StoreRun, live: &[LaneName]) -> Progress {
    let mut progress = run.progress.clone();
    let unsettled = run.appends.iter().filter(|append| live.contains(&append.lane));
    progress.rest.extend(unsettled.flat_map(Append::positions));
    progress.rest.sort_unstable();
    progress.rest.dedup();
    progress
}
