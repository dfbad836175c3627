//! From a stored letter to the message that it was.

use tokio_postgres::{Error, Row};

use super::Side;
use super::received::restore;
use crate::contract::{Letter, LetterId};
use crate::message::{Body, Content, ContentType, Key, Position};
use crate::postgres::cursor::{Kinds, Raw, Stamp, headers};

// === impl Side ===

impl Side {
    /// Columns of `open.sql`.
    pub(super) fn letter(&self, row: &Row, kinds: &mut Kinds) -> Result<Letter, Error> {
        let mut content = content(row, kinds)?;
        match self {
            Self::Relay(side) => content.content_type = side.columns.content_type,
            Self::Consumer(_) => restore(row, &mut content)?,
        }
        Ok(Letter {
            id: LetterId(row.try_get(0)?),
            message: content.into(),
        })
    }
}

/// What letters of both sides have.
fn content(row: &Row, kinds: &mut Kinds) -> Result<Content, Error> {
    let seq: Option<i64> = row.try_get(1)?;
    let place: &str = row.try_get(10)?;
    let bytes: Option<i64> = row.try_get(12)?;
    let payload: Option<Raw<'_>> = row.try_get(6)?;
    Ok(Content {
        // Places are written by us; a foreign one would sort as the row's number alone.
        position: place
            .parse()
            .unwrap_or_else(|_| Position::new(0, 0, seq.unwrap_or(0).unsigned_abs())),
        id: row.try_get(2)?,
        aggregate_type: kinds.share(row.try_get::<_, Option<&str>>(3)?.unwrap_or_default()),
        key: row.try_get::<_, Option<&[u8]>>(4)?.map(Key::from),
        kind: kinds.share(row.try_get::<_, Option<&str>>(5)?.unwrap_or_default()),
        body: match (payload, bytes) {
            (Some(payload), _) => payload.body(),
            (None, Some(bytes)) => Body::Withheld {
                bytes: bytes.unsigned_abs(),
            },
            (None, None) => Body::Null,
        },
        content_type: ContentType::Binary,
        headers: row
            .try_get::<_, Option<Raw<'_>>>(7)?
            .map(|raw| headers(raw.bytes()))
            .unwrap_or_default(),
        traceparent: row.try_get::<_, Option<&str>>(8)?.map(Into::into),
        occurred_at: row.try_get::<_, Option<Stamp>>(9)?.map(|at| at.0).unwrap_or_default(),
        replay: Some(0),
        origin: None,
    })
}
