//! Going on after an incident that stopped a stream.
//!
//! Most kinds are only noted here; the stopped relay reads the note and goes on. `system_changed` is done here, because it
//! rewrites rows, which a relay may not.
//!
//! # Why rows are rewritten
//!
//! After a restore into another cluster the rows carry that one's transaction numbers: those above the present ones would
//! be repeated for ever, those below never seen. The restored floors still tell published from not, so published rows
//! get a number below every snapshot, and the others that of the accepting transaction. An upgrade keeps the numbers
//! going; then nothing is rewritten.

use serde_json::json;
use tokio_postgres::{Client, Transaction};

use super::{Desk, DeskError, Order};
use crate::postgres::snapshot::PgSnapshot;

/// What can be accepted.
pub const KINDS: [&str; 11] = [
    "system_changed",
    "timeline_changed",
    "route_changed",
    "partitions_changed",
    "topic_recreated",
    "order_broken",
    "offsets_lost",
    "slot_missing",
    "slot_lost",
    "slot_recreated",
    "publication_missing",
];

/// What accepting did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// The relay will read it and go on.
    Noted,
    /// All relays of this outbox are bound to this database now.
    Rebound {
        /// Their names.
        relays: Vec<String>,
        /// Rows that got another transaction number.
        rewritten: u64,
    },
}

// === impl Desk ===

impl Desk {
    /// Accepts an incident of a relay. For `system_changed` the producers should be off; they are locked out meanwhile.
    pub async fn accept(
        &self,
        client: &mut Client,
        (relay, kind): (&str, &str),
        order: &Order,
    ) -> Result<Accepted, DeskError> {
        if !KINDS.contains(&kind) {
            return Err(DeskError::UnknownKind(kind.to_owned()));
        }
        // Taken before the rows are locked: what is written in between gets the accepting transaction's number too.
        let text = self.sql(include_str!("../../../sql/queries/desk/world.sql"));
        let world = client.query_one(&text, &[]).await?;
        let transaction = client.transaction().await?;
        let text = self.sql(include_str!("../../../sql/queries/desk/accept.sql"));
        let noted = transaction
            .query_opt(&text, &[&relay, &kind, &order.actor, &order.reason])
            .await?;
        if noted.is_none() {
            return Err(DeskError::NoRelay(relay.to_owned()));
        }
        let mut accepted = Accepted::Noted;
        if kind == "system_changed" {
            let (now, timeline, goes_on): (PgSnapshot, &str, bool) = (world.get(0), world.get(1), world.get(2));
            let rewritten = if goes_on {
                0
            } else {
                self.resettle(&transaction, &now).await?
            };
            let relays = self.rebind(&transaction, timeline).await?;
            let used = self
                .sql("update {schema}.acceptance set used_at = clock_timestamp() where used_at is null and kind = $1");
            transaction.execute(&used, &[&kind]).await?;
            accepted = Accepted::Rebound { relays, rewritten };
        }
        let detail = json!({ "kind": kind });
        self.note(&transaction, ("accept", relay, 1), (order, detail)).await?;
        transaction.commit().await?;
        Ok(accepted)
    }

    async fn resettle(&self, transaction: &Transaction<'_>, now: &PgSnapshot) -> Result<u64, DeskError> {
        let lock = self.sql("lock table {schema}.outbox in share row exclusive mode");
        transaction.batch_execute(&lock).await?;
        let text = self.sql(include_str!("../../../sql/queries/desk/resettle.sql"));
        let rewritten = transaction.execute(&text, &[]).await?;
        let text = self.sql(include_str!("../../../sql/queries/desk/refloor.sql"));
        transaction.execute(&text, &[now]).await?;
        let text = self.sql(include_str!("../../../sql/queries/desk/unwindow.sql"));
        transaction.execute(&text, &[]).await?;
        let text = self.sql("update {schema}.relay_cursor set deleted_up_to = null");
        transaction.execute(&text, &[]).await?;
        let text = self.sql("delete from {schema}.relay_horizon");
        transaction.execute(&text, &[]).await?;
        Ok(rewritten)
    }

    async fn rebind(&self, transaction: &Transaction<'_>, timeline: &str) -> Result<Vec<String>, DeskError> {
        let timeline = i32::from_str_radix(timeline, 16).unwrap_or(i32::MAX);
        let text = self.sql(include_str!("../../../sql/queries/desk/rebind.sql"));
        let rows = transaction.query(&text, &[&timeline]).await?;
        let mut relays: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        relays.sort();
        Ok(relays)
    }
}
