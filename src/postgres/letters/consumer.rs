//! A consumer's side, of one stream: letters with the bytes as received, the inbox, the position of record.

use std::collections::HashSet;
use std::sync::Arc;

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Transaction};

use super::received::Received;
use crate::contract::{Append, Burial, Fence, Identity, Known, Progress, StoreError, StoreRun};
use crate::delivery::LaneName;
use crate::message::Message;
use crate::postgres::answer::away;
use crate::postgres::inbox::{InboxText, Parameter};

type Value<'a> = &'a (dyn ToSql + Sync);

/// What the letters of a stream know beside the letters.
pub(in crate::postgres) struct ConsumerSide {
    pub(in crate::postgres) text: Arc<InboxText>,
    pub(in crate::postgres) consumer: String,
    pub(in crate::postgres) fence: Arc<Fence>,
    /// What the names of its lanes begin with.
    pub(in crate::postgres) lanes: String,
}

// === impl ConsumerSide ===

impl ConsumerSide {
    /// The position row; answers its counter.
    pub(super) async fn hold(&self, transaction: &Transaction<'_>, mark: Option<i64>) -> Result<i64, StoreError> {
        let held = self.text.hold(transaction, (&self.consumer, &self.fence), mark).await;
        held.map_err(|error| away(&error))?.ok_or(StoreError::Fenced)
    }

    pub(super) async fn blocked(&self, client: &Client) -> Result<Vec<LaneName>, StoreError> {
        let asked: [Parameter<'_>; 2] = [(&self.consumer, Type::TEXT), (&self.lanes, Type::TEXT)];
        let rows = client.query_typed(&self.text.blocked, &asked).await;
        let rows = rows.map_err(|error| away(&error))?;
        Ok(rows.iter().map(|row| LaneName::from(row.get::<_, &str>(0))).collect())
    }

    /// Which messages of a run the inbox has.
    pub(super) async fn known(
        &self,
        transaction: &Transaction<'_>,
        run: &StoreRun,
    ) -> Result<HashSet<Identity>, StoreError> {
        let parks = run.parks.iter().flat_map(|park| &park.messages);
        let appends = run.appends.iter().flat_map(|append| &append.messages);
        let identities: Vec<Identity> = parks.chain(appends).map(Identity::of).collect();
        let known = self.text.known(transaction, &self.consumer, &identities).await;
        known.map_err(|error| away(&error))
    }

    /// Letters that go to the dead are dropped for good (S4). Before any lane is locked.
    pub(super) async fn give_up(&self, transaction: &Transaction<'_>, letters: &[i64]) -> Result<(), StoreError> {
        if letters.is_empty() {
            return Ok(());
        }
        let failed = |error| away(&error);
        let generations = self.text.enter(transaction).await.map_err(failed)?;
        let asked: [Parameter<'_>; 2] = [(&self.consumer, Type::TEXT), (&letters, Type::INT8_ARRAY)];
        let rows = transaction
            .query_typed(&self.text.identities, &asked)
            .await
            .map_err(failed)?;
        let identities: Vec<Identity> = rows
            .iter()
            .map(|row| Identity {
                id: row.get(0),
                replay_epoch: row.get(1),
            })
            .collect();
        let dropped = (identities.as_slice(), Known::Dropped);
        let remembered = self
            .text
            .remember(transaction, (&self.consumer, generations), dropped)
            .await;
        remembered.map(drop).map_err(failed)
    }

    pub(super) async fn keep(
        &self,
        transaction: &Transaction<'_>,
        run: &StoreRun,
        (appends, known): (&[&Append], &HashSet<Identity>),
    ) -> Result<(), StoreError> {
        let new = |message: &&Message| !known.contains(&Identity::of(message));
        let mut received = Received::default();
        for park in &run.parks {
            for (index, message) in park.messages.iter().enumerate().filter(|(_, message)| new(message)) {
                let head = (index == 0).then_some((park.attempts, &*park.failure));
                received.push(&park.lane, message, head);
            }
        }
        for append in appends {
            for message in append.messages.iter().filter(new) {
                received.push(&append.lane, message, None);
            }
        }
        self.insert(transaction, (&received, None)).await
    }

    /// Messages that are given up and were never stored: closed as dead, and dropped for good, in one transaction that ends
    /// with the position row. One that is remembered already has its letter, or its effect.
    pub(in crate::postgres) async fn bury(
        &self,
        transaction: &Transaction<'_>,
        burials: &[Burial],
    ) -> Result<i64, StoreError> {
        let failed = |error| away(&error);
        let generations = self.text.enter(transaction).await.map_err(failed)?;
        let identities: Vec<Identity> = burials.iter().map(|burial| Identity::of(&burial.message)).collect();
        let dropped = (identities.as_slice(), Known::Dropped);
        let remembered = self
            .text
            .remember(transaction, (&self.consumer, generations), dropped)
            .await;
        let mut new = remembered.map_err(failed)?;
        let mut received = Received::default();
        for burial in burials {
            if new.remove(&Identity::of(&burial.message)) {
                received.push(&burial.lane, &burial.message, Some((burial.attempts, &burial.failure)));
            }
        }
        self.insert(transaction, (&received, Some("dead"))).await?;
        self.hold(transaction, None).await
    }

    async fn insert(
        &self,
        transaction: &Transaction<'_>,
        (received, closed): (&Received<'_>, Option<&str>),
    ) -> Result<(), StoreError> {
        if received.is_empty() {
            return Ok(());
        }
        let mut parameters: Vec<Value<'_>> = vec![&self.consumer, &self.fence.epoch, &closed];
        parameters.extend(received.columns());
        let inserted = transaction.execute(&self.text.keep, &parameters).await;
        inserted.map(drop).map_err(|error| away(&error))
    }

    /// The mark is the first offset that is not settled.
    pub(super) async fn settle(&self, transaction: &Transaction<'_>, left: &Progress) -> Result<i64, StoreError> {
        let next = left.read.major.saturating_add(1);
        let mark = left.rest.first().map_or(next, |position| position.major.min(next));
        self.hold(transaction, Some(mark.cast_signed())).await
    }
}
