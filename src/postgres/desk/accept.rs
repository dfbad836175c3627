//! Going on after an incident that stopped a stream.
//!
//! Most kinds are only noted here; the stopped relay reads the note and goes on. `system_changed` is done here, because it
//! rewrites rows, which a relay may not.
//!
//! # Why rows are rewritten
//!
//! After a restore into another cluster the rows carry that one's transaction numbers: those above the present ones would
//! be repeated for ever, those below never seen. The restored floors still tell published from not, so published rows
//! get a number below every snapshot, and the others that of the accepting transaction (`rebase` in
//! `0004_operate.up.sql`). An upgrade keeps the numbers going; then nothing is rewritten.

use serde_json::json;
use tokio_postgres::{Client, Transaction};

use super::{Desk, DeskError, Order};

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
        /// After a restore, whose rows got numbers of this cluster: how many of them go out. None after an upgrade.
        waiting: Option<i64>,
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
        let transaction = client.transaction().await?;
        let mut accepted = Accepted::Noted;
        if kind == "system_changed" {
            accepted = self.go_on(&transaction, order).await.map_err(|error| error.of(relay))?;
        }
        let text = self.sql(include_str!("../../../sql/queries/desk/accept.sql"));
        let noted = transaction
            .query_opt(&text, &[&relay, &kind, &order.actor, &order.reason])
            .await?;
        if noted.is_none() {
            return Err(DeskError::NoRelay(relay.to_owned()));
        }
        let detail = json!({ "kind": kind });
        self.note(&transaction, ("accept", relay, 1), (order, detail)).await?;
        transaction.commit().await?;
        Ok(accepted)
    }

    /// Rows first, if theirs are numbers of another cluster: it must be the first to write in its transaction.
    async fn go_on(&self, transaction: &Transaction<'_>, order: &Order) -> Result<Accepted, DeskError> {
        let text = self.sql(include_str!("../../../sql/queries/desk/world.sql"));
        let goes_on: bool = transaction.query_one(&text, &[]).await?.get(0);
        let mut waiting = None;
        if !goes_on {
            let text = self.sql("select {schema}.rebase($1)");
            waiting = Some(transaction.query_one(&text, &[&order.reason]).await?.get(0));
        }
        let text = self.sql("select {schema}.rebind($1)");
        let relays = transaction.query_one(&text, &[&order.reason]).await?.get(0);
        Ok(Accepted::Rebound { relays, waiting })
    }
}

// === impl DeskError ===

impl DeskError {
    /// "Object in use" is what the functions say while somebody leads.
    fn of(self, relay: &str) -> Self {
        match self {
            Self::Database(failure) if failure.code.as_deref() == Some("55006") => Self::Running(relay.to_owned()),
            other => other,
        }
    }
}
