//! Looking at letters.

use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::{Desk, DeskError, Selection};

/// One letter, without its body.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// Its number.
    pub id: i64,
    /// The event's id.
    pub message_id: Uuid,
    /// `relay` or `consumer`.
    pub side: String,
    /// Name of the relay or consumer.
    pub owner: String,
    /// Its lane.
    pub lane: String,
    /// The ordering key.
    pub key: Option<Vec<u8>>,
    /// `parked`, `queued`, `deferred`, `scheduled`, `dead`; closed ones only when asked for by id.
    pub state: String,
    /// Failures that spoke of it.
    pub attempts: i32,
    /// First of them.
    pub first_failed_at: Option<Timestamp>,
    /// Last of them.
    pub last_failed_at: Option<Timestamp>,
    /// What happened; none for successors that were never tried.
    pub error: Option<ListedError>,
    /// Where a consumer's letter came from.
    pub source: (Option<String>, Option<i32>, Option<i64>),
    /// When its lane is tried next; none = when somebody releases it.
    pub due: Option<Timestamp>,
}

/// What happened to a letter.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedError {
    /// A pinned kind.
    pub kind: String,
    /// The vendor's name for it.
    pub code: String,
    /// One sentence.
    pub message: String,
    /// Causes, outermost first.
    pub chain: Value,
    /// Letters of the same error share it.
    pub fingerprint: String,
}

/// Open letters of one error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Name of the relay or consumer.
    pub owner: String,
    /// What they share.
    pub fingerprint: String,
    /// A pinned kind.
    pub kind: String,
    /// One sentence.
    pub message: String,
    /// Blocked lanes.
    pub lanes: i64,
    /// Letters of these lanes, those behind the failed ones too.
    pub letters: i64,
    /// When the oldest of them failed first.
    pub since: Option<Timestamp>,
}

/// One letter with its body.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// What a list shows of it.
    pub listed: Listed,
    /// Its place in the lane: the position as text that sorts.
    pub place: String,
    /// The outbox row, on a relay.
    pub seq: Option<i64>,
    /// Replay epoch.
    pub replay_epoch: i32,
    /// What kind of thing it is about.
    pub aggregate_type: Option<String>,
    /// The event's type.
    pub kind: Option<String>,
    /// The bytes; none = null.
    pub payload: Option<Vec<u8>>,
    /// Own headers.
    pub headers: Option<Value>,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// When the row was inserted.
    pub occurred_at: Option<Timestamp>,
}

// === impl Desk ===

impl Desk {
    /// Letters above `after`, at most `limit`.
    pub async fn list(
        &self,
        client: &Client,
        selection: &Selection,
        (after, limit): (i64, i64),
    ) -> Result<Vec<Listed>, DeskError> {
        let text = self.sql(include_str!("../../../sql/queries/desk/list.sql"));
        let rows = client
            .query_typed(
                &text,
                &[
                    (&selection.owner, Type::TEXT),
                    (&selection.ids, Type::INT8_ARRAY),
                    (&selection.key_bytes(), Type::BYTEA),
                    (&selection.error, Type::TEXT),
                    (&after, Type::INT8),
                    (&limit, Type::INT8),
                ],
            )
            .await?;
        Ok(rows.iter().map(Listed::of).collect::<Result<_, _>>()?)
    }

    /// Open letters by error, the most frequent first.
    pub async fn groups(&self, client: &Client, owner: Option<&str>) -> Result<Vec<Group>, DeskError> {
        let text = self.sql(include_str!("../../../sql/queries/desk/groups.sql"));
        let rows = client.query_typed(&text, &[(&owner, Type::TEXT)]).await?;
        Ok(rows.iter().map(Group::of).collect::<Result<_, _>>()?)
    }

    /// One letter with its body; none = there is no such letter.
    pub async fn show(&self, client: &Client, id: i64) -> Result<Option<Shown>, DeskError> {
        let selection = Selection {
            ids: Some(vec![id]),
            ..Selection::default()
        };
        let Some(listed) = self.list(client, &selection, (0, 1)).await?.pop() else {
            return Ok(None);
        };
        let text = self.sql(include_str!("../../../sql/queries/desk/show.sql"));
        let rows = client.query_typed(&text, &[(&id, Type::INT8)]).await?;
        Ok(rows.first().map(|row| Shown::of(row, listed)).transpose()?)
    }
}

// === impl Listed ===

impl Listed {
    fn of(row: &Row) -> Result<Self, tokio_postgres::Error> {
        let error = match (row.try_get(10)?, row.try_get(14)?) {
            (Some(kind), Some(fingerprint)) => Some(ListedError {
                kind,
                code: row.try_get::<_, Option<_>>(11)?.unwrap_or_default(),
                message: row.try_get::<_, Option<_>>(12)?.unwrap_or_default(),
                chain: row.try_get::<_, Option<_>>(13)?.unwrap_or(Value::Array(Vec::new())),
                fingerprint,
            }),
            _ => None,
        };
        Ok(Self {
            id: row.try_get(0)?,
            message_id: row.try_get(1)?,
            side: row.try_get(2)?,
            owner: row.try_get(3)?,
            lane: row.try_get(4)?,
            key: row.try_get(5)?,
            state: row.try_get(6)?,
            attempts: row.try_get(7)?,
            first_failed_at: row.try_get(8)?,
            last_failed_at: row.try_get(9)?,
            error,
            source: (row.try_get(15)?, row.try_get(16)?, row.try_get(17)?),
            due: row.try_get(18)?,
        })
    }
}

// === impl Group ===

impl Group {
    fn of(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            owner: row.try_get(0)?,
            fingerprint: row.try_get(1)?,
            kind: row.try_get::<_, Option<_>>(2)?.unwrap_or_default(),
            message: row.try_get::<_, Option<_>>(3)?.unwrap_or_default(),
            lanes: row.try_get(4)?,
            letters: row.try_get(5)?,
            since: row.try_get(6)?,
        })
    }
}

// === impl Shown ===

impl Shown {
    fn of(row: &Row, listed: Listed) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            listed,
            place: row.try_get(1)?,
            seq: row.try_get(2)?,
            replay_epoch: row.try_get(3)?,
            aggregate_type: row.try_get(5)?,
            kind: row.try_get(6)?,
            payload: row.try_get(7)?,
            headers: row.try_get(8)?,
            traceparent: row.try_get(9)?,
            occurred_at: row.try_get(10)?,
        })
    }
}
