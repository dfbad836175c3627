//! Releasing and discarding: previewed as lanes, done in runs of at most [`LANES_MAX`] of them.

use serde_json::json;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Transaction};

use super::{Desk, DeskError, LANES_MAX, Order, Selection};
use crate::contract::{Identity, Known};
use crate::postgres::inbox::InboxText;

type Value<'a> = &'a (dyn ToSql + Sync);

/// Lanes of one owner with letters that match, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lanes {
    /// `relay` or `consumer`.
    pub side: String,
    /// Name of the relay or consumer.
    pub owner: String,
    /// Their names.
    pub lanes: Vec<String>,
    /// How many of their open letters match.
    pub letters: i64,
}

/// What a release did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Released {
    /// Lanes that are due now.
    pub lanes: u64,
    /// Lanes that were out for delivery already, or are gone.
    pub left: u64,
}

/// What a discard did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discarded {
    /// Letters that were dropped.
    pub letters: Vec<i64>,
    /// Lanes that are not blocked any more.
    pub freed: u64,
}

// === impl Desk ===

impl Desk {
    /// What a release or discard would touch, in runs of one owner and at most [`LANES_MAX`] lanes.
    pub async fn lanes(&self, client: &Client, selection: &Selection) -> Result<Vec<Lanes>, DeskError> {
        let text = self.sql(include_str!("../../../sql/queries/desk/lanes.sql"));
        let Selection { owner, ids, error, .. } = selection;
        let rows = client
            .query(&text, &[owner, ids, &selection.key_bytes(), error])
            .await?;
        let mut runs: Vec<Lanes> = Vec::new();
        for row in rows {
            let (side, owner, lane, letters): (String, String, String, i64) =
                (row.get(0), row.get(1), row.get(2), row.get(3));
            match runs.last_mut() {
                Some(run) if run.side == side && run.owner == owner && run.lanes.len() < LANES_MAX => {
                    run.lanes.push(lane);
                    run.letters += letters;
                }
                _ => runs.push(Lanes {
                    side,
                    owner,
                    lanes: vec![lane],
                    letters,
                }),
            }
        }
        Ok(runs)
    }

    /// Makes the lanes of one run due; one transaction.
    pub async fn release(&self, client: &mut Client, run: &Lanes, order: &Order) -> Result<Released, DeskError> {
        let transaction = client.transaction().await?;
        self.lock(&transaction, run).await?;
        let text = self.sql(include_str!("../../../sql/queries/desk/release.sql"));
        let released = transaction.execute(&text, &[&run.side, &run.owner, &run.lanes]).await?;
        let detail = json!({ "side": run.side, "lanes": run.lanes });
        self.note(&transaction, ("release", &run.owner, released), (order, detail))
            .await?;
        transaction.commit().await?;
        Ok(Released {
            lanes: released,
            left: run.lanes.len() as u64 - released,
        })
    }

    /// Drops the letters of one run that match the selection; one transaction. What stood behind them goes out.
    pub async fn discard(
        &self,
        client: &mut Client,
        run: &Lanes,
        (selection, order): (&Selection, &Order),
    ) -> Result<Discarded, DeskError> {
        let transaction = client.transaction().await?;
        let Lanes { side, owner, lanes, .. } = run;
        let chosen = match side.as_str() {
            "consumer" => Some(self.drop_in_inbox(&transaction, run, selection).await?),
            _ => None,
        };
        self.lock(&transaction, run).await?;
        let text = self.sql(include_str!("../../../sql/queries/desk/drop.sql"));
        let ids = chosen.as_ref().or(selection.ids.as_ref());
        let matching = &[
            side as Value<'_>,
            owner,
            lanes,
            &ids,
            &selection.key_bytes(),
            &selection.error,
        ];
        let dropped = transaction.query(&text, matching).await?;
        let letters: Vec<i64> = dropped.iter().map(|row| row.get(0)).collect();
        if chosen.is_none() {
            let seqs: Vec<i64> = dropped.iter().filter_map(|row| row.get(2)).collect();
            let text = self.sql(include_str!("../../../sql/queries/desk/strike.sql"));
            transaction.execute(&text, &[owner, &seqs]).await?;
        }
        let text = self.sql(include_str!("../../../sql/queries/desk/sweep.sql"));
        let freed = transaction.execute(&text, &[side, owner, lanes]).await?;
        let text = self.sql(include_str!("../../../sql/queries/desk/go_on.sql"));
        transaction.execute(&text, &[side, owner, lanes, &letters]).await?;
        let detail = json!({ "side": side, "selection": selection.describe(), "letters": letters });
        self.note(&transaction, ("discard", owner, letters.len() as u64), (order, detail))
            .await?;
        transaction.commit().await?;
        Ok(Discarded { letters, freed })
    }

    /// A consumer's dropped letters are dedupe facts of its inbox (S4): the application is told to skip them, and what a
    /// broker brings again is a duplicate. Rows of the inbox come before lanes, so the letters are chosen before, too.
    async fn drop_in_inbox(
        &self,
        transaction: &Transaction<'_>,
        run: &Lanes,
        selection: &Selection,
    ) -> Result<Vec<i64>, DeskError> {
        let inbox = InboxText::new(&self.schema);
        let generations = inbox.enter(transaction).await?;
        let text = self.sql(include_str!("../../../sql/queries/desk/matching.sql"));
        let Selection { ids, error, .. } = selection;
        let Lanes { side, owner, lanes, .. } = run;
        let matching: &[Value<'_>] = &[side, owner, lanes, ids, &selection.key_bytes(), error];
        let rows = transaction.query(&text, matching).await?;
        let identities: Vec<Identity> = rows
            .iter()
            .map(|row| Identity {
                id: row.get(1),
                replay_epoch: row.get(2),
            })
            .collect();
        let dropped = (identities.as_slice(), Known::Dropped);
        inbox.remember(transaction, (owner, generations), dropped).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    async fn lock(&self, transaction: &Transaction<'_>, run: &Lanes) -> Result<(), DeskError> {
        let text = self.sql(include_str!("../../../sql/queries/desk/lock.sql"));
        transaction.execute(&text, &[&run.side, &run.owner, &run.lanes]).await?;
        Ok(())
    }

    /// The audit row of a verb on an object.
    pub(super) async fn note(
        &self,
        transaction: &Transaction<'_>,
        (verb, object, count): (&str, &str, u64),
        (order, detail): (&Order, serde_json::Value),
    ) -> Result<(), DeskError> {
        let text = self.sql(include_str!("../../../sql/queries/desk/audit.sql"));
        let count = count.cast_signed();
        transaction
            .execute(&text, &[&order.actor, &verb, &object, &count, &order.reason, &detail])
            .await?;
        Ok(())
    }
}
