//! What an operator holds back, and which lanes are blocked.

use jiff::Timestamp;
use serde_json::json;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use super::{Desk, DeskError, Order};
use crate::delivery::LaneName;
use crate::message::Key;

/// Whose lanes: `relay` or `consumer`, and its name.
pub type Whose<'a> = (&'a str, &'a str);

/// A pause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paused {
    /// The key; none = everything of the owner.
    pub key: Option<Key>,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
    /// Since when.
    pub since: Timestamp,
}

/// A blocked lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    /// Its name.
    pub lane: String,
    /// Why it is blocked.
    pub cause: String,
    /// When its head is tried next; none = when somebody releases it.
    pub due: Option<Timestamp>,
    /// Attempts at its head since it was stored.
    pub attempts: i32,
    /// The key of its head.
    pub key: Option<Vec<u8>>,
    /// When its head failed first.
    pub since: Option<Timestamp>,
    /// Kind, vendor's name and sentence of what happened to its head.
    pub error: Option<(String, String, String)>,
    /// Its open letters.
    pub letters: i64,
}

// === impl Desk ===

impl Desk {
    /// What is held back.
    pub async fn pauses(&self, client: &Client, (side, owner): Whose<'_>) -> Result<Vec<Paused>, DeskError> {
        let text = self.sql(include_str!("../../../sql/queries/desk/pauses.sql"));
        let rows = client
            .query_typed(&text, &[(&side, Type::TEXT), (&owner, Type::TEXT)])
            .await?;
        Ok(rows.iter().map(Paused::of).collect::<Result<_, _>>()?)
    }

    /// Blocked lanes in the order of their names, at most `limit`; of one key where it is named.
    pub async fn stored(
        &self,
        client: &Client,
        (side, owner): Whose<'_>,
        (key, limit): (Option<&Key>, i64),
    ) -> Result<Vec<Blocked>, DeskError> {
        let text = self.sql(include_str!("../../../sql/queries/desk/stored.sql"));
        let ending = key.map(LaneName::ending);
        let values: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 4] = [
            (&side, Type::TEXT),
            (&owner, Type::TEXT),
            (&ending, Type::TEXT),
            (&limit, Type::INT8),
        ];
        let rows = client.query_typed(&text, &values).await?;
        Ok(rows.iter().map(Blocked::of).collect::<Result<_, _>>()?)
    }

    /// Holds a key back, or everything. False: it was already.
    pub async fn pause(
        &self,
        client: &mut Client,
        (side, owner): Whose<'_>,
        (key, order): (Option<&Key>, &Order),
    ) -> Result<bool, DeskError> {
        let transaction = client.transaction().await?;
        let text = self.sql(include_str!("../../../sql/queries/desk/pause.sql"));
        let (ending, bytes) = (ending(key), key.map(Key::as_bytes));
        let Order { actor, reason } = order;
        let changed = transaction
            .execute(&text, &[&side, &owner, &ending, &bytes, actor, reason])
            .await?;
        if changed > 0 {
            let detail = json!({ "side": side, "key": shown(key) });
            self.note(&transaction, ("pause", owner, 1), (order, detail)).await?;
        }
        transaction.commit().await?;
        Ok(changed > 0)
    }

    /// Lets a key go on, or everything that was held back as such. False: it was not paused.
    pub async fn resume(
        &self,
        client: &mut Client,
        (side, owner): Whose<'_>,
        (key, order): (Option<&Key>, &Order),
    ) -> Result<bool, DeskError> {
        let transaction = client.transaction().await?;
        let text = self.sql(include_str!("../../../sql/queries/desk/resume.sql"));
        let changed = transaction.execute(&text, &[&side, &owner, &ending(key)]).await?;
        if changed > 0 {
            let detail = json!({ "side": side, "key": shown(key) });
            self.note(&transaction, ("resume", owner, 1), (order, detail)).await?;
        }
        transaction.commit().await?;
        Ok(changed > 0)
    }
}

/// What the names of its lanes end with.
fn ending(key: Option<&Key>) -> String {
    key.map(LaneName::ending).unwrap_or_default()
}

fn shown(key: Option<&Key>) -> Option<String> {
    key.map(|key| String::from_utf8_lossy(key.as_bytes()).into_owned())
}

// === impl Paused ===

impl Paused {
    fn of(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            key: row.try_get::<_, Option<&[u8]>>(0)?.map(Key::from),
            by: row.try_get(1)?,
            reason: row.try_get(2)?,
            since: row.try_get(3)?,
        })
    }
}

// === impl Blocked ===

impl Blocked {
    fn of(row: &Row) -> Result<Self, tokio_postgres::Error> {
        let kind: Option<String> = row.try_get(6)?;
        let error = match kind {
            None => None,
            Some(kind) => Some((
                kind,
                row.try_get::<_, Option<_>>(7)?.unwrap_or_default(),
                row.try_get::<_, Option<_>>(8)?.unwrap_or_default(),
            )),
        };
        Ok(Self {
            lane: row.try_get(0)?,
            cause: row.try_get(1)?,
            due: row.try_get(2)?,
            attempts: row.try_get(3)?,
            key: row.try_get(4)?,
            since: row.try_get(5)?,
            error,
            letters: row.try_get(9)?,
        })
    }
}
