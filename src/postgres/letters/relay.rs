//! A relay's side: letters are rows of the outbox, and what is stored is struck from its windows.

use std::sync::Arc;

use tokio_postgres::{Client, Transaction};

use super::LettersText;
use super::failure::Failures;
use super::store::Heads;
use crate::contract::{Append, Progress, StoreError, StoreRun};
use crate::delivery::LaneName;
use crate::message::Message;
use crate::postgres::answer::away;
use crate::postgres::cursor::{Columns, Shared};
use crate::postgres::fence::Fence;
use crate::postgres::progress::Change;

/// What the letters of a relay know beside the letters.
pub(in crate::postgres) struct RelaySide {
    pub(in crate::postgres) text: Arc<LettersText>,
    pub(in crate::postgres) fence: Fence,
    pub(in crate::postgres) shared: Arc<Shared>,
    pub(in crate::postgres) columns: Columns,
}

/// Rows to be stored, as the columns of an array parameter.
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

// === impl RelaySide ===

impl RelaySide {
    pub(super) async fn hold(&self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        let Fence { relay, epoch, holder } = &self.fence;
        let row = transaction.query_opt(&self.text.fence, &[relay, epoch, holder]).await;
        row.map_err(|error| away(&error))?.map(drop).ok_or(StoreError::Fenced)
    }

    pub(super) async fn blocked(&self, client: &Client) -> Result<Vec<LaneName>, StoreError> {
        let Fence { relay, epoch, holder } = &self.fence;
        let rows = client.query(&self.text.blocked, &[relay, epoch, holder]).await;
        let rows = rows.map_err(|error| away(&error))?;
        if rows.is_empty() {
            return Err(StoreError::Fenced);
        }
        let lanes = rows.iter().filter_map(|row| row.get::<_, Option<&str>>(0));
        Ok(lanes.map(LaneName::from).collect())
    }

    /// The bytes go from table to table inside the database.
    pub(super) async fn keep(
        &self,
        transaction: &Transaction<'_>,
        run: &StoreRun,
        appends: &[&Append],
    ) -> Result<(), StoreError> {
        let (mut stored, mut heads) = (Stored::default(), Heads::default());
        let mut seqs = Vec::new();
        for park in &run.parks {
            stored.push(&park.lane, &park.messages);
            if let Some(head) = park.messages.first() {
                seqs.push(head.position.minor.cast_signed());
                heads.push(park);
            }
        }
        for append in appends {
            stored.push(&append.lane, &append.messages);
        }
        let Heads { attempts, failures } = &heads;
        let Failures {
            kinds,
            types,
            messages,
            chains,
            fingerprints,
        } = failures;
        let Fence { relay, epoch, .. } = &self.fence;
        let Stored {
            lanes,
            places,
            seqs: rows,
        } = &stored;
        transaction
            .execute(
                &self.text.keep,
                &[
                    relay,
                    epoch,
                    lanes,
                    places,
                    rows,
                    &seqs,
                    attempts,
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

    /// Writes what is left of the windows, and holds the fence.
    pub(super) async fn settle(&self, transaction: &Transaction<'_>, left: &Progress) -> Result<Change, StoreError> {
        let change = self.shared.windows().change(left);
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
        if fences == 0 {
            Err(StoreError::Fenced)
        } else {
            Ok(change)
        }
    }
}
