//! Forgetting a relay, and writing an event by hand.

use std::error::Error;

use bytes::{BufMut as _, BytesMut};
use postgres_types::{IsNull, ToSql, Type, to_sql_checked};
use serde_json::Value;
use tokio_postgres::Client;
use uuid::Uuid;

use super::{Desk, DeskError, Selection};

/// An event written by hand.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Enqueue {
    /// What kind of thing it is about.
    pub aggregate_type: String,
    /// The ordering key.
    pub key: Option<String>,
    /// The event's type.
    pub kind: String,
    /// The body; none = null.
    pub payload: Option<Vec<u8>>,
    /// Own headers.
    pub headers: Option<Value>,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// Its identity; none = a new one.
    pub id: Option<Uuid>,
}

/// A payload in whatever type the column has.
#[derive(Debug)]
struct Payload<'a>(&'a [u8]);

// === impl Desk ===

impl Desk {
    /// Whether a relay of that name has ever started here.
    pub async fn has_relay(&self, client: &Client, relay: &str) -> Result<bool, DeskError> {
        let there = self.sql("select to_regclass('{schema}.relay_cursor') is not null");
        if !client.query_one(&there, &[]).await?.get::<_, bool>(0) {
            return Ok(false);
        }
        let text = self.sql(include_str!("../../../sql/queries/desk/running.sql"));
        Ok(client.query_opt(&text, &[&relay]).await?.is_some())
    }

    /// Forgets everything about a relay whose name is gone for good; retention no longer waits for it. Answers how many
    /// windows it had. Looks first, so that a refusal is a sentence of ours; the database decides.
    pub async fn forget(&self, client: &Client, relay: &str, reason: Option<&str>) -> Result<i64, DeskError> {
        let text = self.sql(include_str!("../../../sql/queries/desk/running.sql"));
        match client.query_opt(&text, &[&relay]).await? {
            None => return Err(DeskError::NoRelay(relay.to_owned())),
            Some(row) if row.get(0) => return Err(DeskError::Running(relay.to_owned())),
            Some(_) => {}
        }
        let selection = Selection {
            owner: Some(relay.to_owned()),
            ..Selection::default()
        };
        let lanes = self.lanes(client, &selection).await?;
        let own = lanes.iter().filter(|run| run.side == "relay");
        let letters: i64 = own.map(|run| run.letters).sum();
        if letters > 0 {
            let relay = relay.to_owned();
            return Err(DeskError::OpenLetters { relay, letters });
        }
        let text = self.sql(include_str!("../../../sql/queries/desk/forget.sql"));
        Ok(client.query_one(&text, &[&relay, &reason]).await?.get(0))
    }

    /// Writes one event, as an application would.
    pub async fn enqueue(&self, client: &Client, event: &Enqueue) -> Result<Uuid, DeskError> {
        let text = self.sql(include_str!("../../../sql/queries/desk/enqueue.sql"));
        let id = event.id.unwrap_or_else(Uuid::now_v7);
        let row = client
            .query_one(
                &text,
                &[
                    &event.aggregate_type,
                    &event.key,
                    &event.kind,
                    &event.payload.as_deref().map(Payload),
                    &event.headers,
                    &event.traceparent,
                    &id,
                ],
            )
            .await?;
        Ok(row.get(0))
    }
}

impl ToSql for Payload<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        if *ty == Type::JSONB {
            out.put_u8(1);
        }
        out.put_slice(self.0);
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::JSONB | Type::JSON | Type::TEXT | Type::BYTEA)
    }

    to_sql_checked!();
}
