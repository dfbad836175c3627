//! Storing: lanes to be blocked, whole and from their heads, and successors of blocked ones.
//!
//! Promises: one transaction with what is settled by it; a lane counts as live only if a statement that began after its
//! row was waited for finds none (S1), and then its messages stay unsettled.

use std::collections::HashSet;

use tokio_postgres::Transaction;

use super::failure::Failures;
use super::{Attempts, Client, RelayLetters};
use crate::contract::{Append, Kept, Progress, StoreError, StoreRun};
use crate::delivery::LaneName;
use crate::message::Message;
use crate::postgres::answer::away;
use crate::postgres::fence::Fence;
use crate::postgres::progress::Change;

/// Messages to be stored, as the columns of an array parameter.
#[derive(Debug, Default)]
struct Stored<'a> {
    lanes: Vec<&'a str>,
    places: Vec<String>,
    seqs: Vec<i64>,
}

// === impl Stored ===

impl<'a> Stored<'a> {
    fn push(&mut self, lane: &'a LaneName, messages: &[Message]) {
        for position in messages.iter().map(|message| message.position) {
            self.lanes.push(lane.as_str());
            self.places.push(position.place());
            self.seqs.push(position.minor.cast_signed());
        }
    }
}

// === impl RelayLetters ===

impl RelayLetters {
    pub(super) async fn store_run(&self, run: &StoreRun) -> Result<Kept, StoreError> {
        let _writing = self.shared.writing.lock().await;
        let mut client = self.client().await?;
        let mut attempts = Attempts::default();
        loop {
            let outcome = self.store_once(&mut client, run).await;
            if attempts.again(&outcome) {
                continue;
            }
            let (kept, change) = outcome?;
            crate::point!("lane.stored");
            self.shared.windows().changed(change);
            return Ok(kept);
        }
    }

    async fn store_once(&self, client: &mut Client, run: &StoreRun) -> Result<(Kept, Change), StoreError> {
        // Rolled back when it is dropped.
        let transaction = client.transaction().await.map_err(|error| away(&error))?;
        let stored = self.store_in(&transaction, run).await?;
        transaction.commit().await.map_err(|error| away(&error))?;
        Ok(stored)
    }

    async fn store_in(&self, transaction: &Transaction<'_>, run: &StoreRun) -> Result<(Kept, Change), StoreError> {
        let parks = run.parks.iter().map(|park| park.lane.as_str());
        let appends = run.appends.iter().map(|append| append.lane.as_str());
        let mut blocked = self.lock(transaction, parks.chain(appends).collect()).await?;
        self.park(transaction, run).await?;
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
        self.keep(transaction, run, &live).await?;
        if run.appends.len() > live.len() {
            crate::point!("successors.appended");
        }
        let lanes: Vec<&str> = run.parks.iter().map(|park| park.lane.as_str()).collect();
        // All of its rows were judged before: nothing blocks it.
        let relay = &self.fence.relay;
        transaction
            .execute(&self.text.drop_empty, &[relay, &lanes])
            .await
            .map_err(|error| away(&error))?;
        let change = self.shared.windows().change(&left_by(run, &live));
        self.settle(transaction, &change).await?;
        Ok((Kept { live }, change))
    }

    async fn lock(&self, transaction: &Transaction<'_>, lanes: Vec<&str>) -> Result<HashSet<String>, StoreError> {
        let Fence { relay, holder, .. } = &self.fence;
        let rows = transaction.query(&self.text.lock, &[relay, &lanes, holder]).await;
        Ok(rows
            .map_err(|error| away(&error))?
            .iter()
            .map(|row| row.get(0))
            .collect())
    }

    async fn park(&self, transaction: &Transaction<'_>, run: &StoreRun) -> Result<(), StoreError> {
        let lanes: Vec<&str> = run.parks.iter().map(|park| park.lane.as_str()).collect();
        let causes: Vec<&str> = run.parks.iter().map(|park| park.cause.as_str()).collect();
        let dues: Vec<Option<f64>> = run
            .parks
            .iter()
            .map(|park| park.due.map(|due| due.as_secs_f64()))
            .collect();
        let attempts: Vec<i32> = run.parks.iter().map(|park| park.attempts.cast_signed()).collect();
        transaction
            .execute(&self.text.park, &[&self.fence.relay, &lanes, &causes, &dues, &attempts])
            .await
            .map_err(|error| away(&error))?;
        Ok(())
    }

    async fn keep(&self, transaction: &Transaction<'_>, run: &StoreRun, live: &[LaneName]) -> Result<(), StoreError> {
        let mut stored = Stored::default();
        let (mut heads, mut attempts, mut failures) = (Vec::new(), Vec::new(), Failures::default());
        for park in &run.parks {
            stored.push(&park.lane, &park.messages);
            if let Some(head) = park.messages.first().map(|head| head.position).as_ref() {
                heads.push(head.minor.cast_signed());
                attempts.push(park.attempts.cast_signed());
                failures.push(&park.failure);
            }
        }
        for append in run.appends.iter().filter(|append| !live.contains(&append.lane)) {
            stored.push(&append.lane, &append.messages);
        }
        transaction
            .execute(
                &self.text.keep,
                &[
                    &self.fence.relay,
                    &self.fence.epoch,
                    &stored.lanes,
                    &stored.places,
                    &stored.seqs,
                    &heads,
                    &attempts,
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

    /// Writes what is left of the windows, and holds the fence.
    async fn settle(&self, transaction: &Transaction<'_>, change: &Change) -> Result<(), StoreError> {
        let Fence { relay, epoch, holder } = &self.fence;
        let (numbers, windows, seqs) = change.columns();
        let row = transaction
            .query_one(
                &self.text.confirm,
                &[relay, epoch, holder, &numbers, &windows, &seqs, &change.gone],
            )
            .await
            .map_err(|error| away(&error))?;
        let fences: i64 = row.get(0);
        if fences == 0 { Err(StoreError::Fenced) } else { Ok(()) }
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
