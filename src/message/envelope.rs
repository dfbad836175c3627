//! A message on its way: an outbox row, or what a broker delivered of one.
//!
//! Promises: cheap to clone (one reference count); the payload is the row's bytes, never parsed or re-written.

use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use uuid::Uuid;

use super::{Headers, Key, Origin, Position};

/// What the bookkeeping of one message costs beside its bytes; part of the memory budget.
const OVERHEAD_BYTES: usize = 256;

/// A message: shared, immutable content.
#[derive(Debug, Clone)]
pub struct Message(Arc<Content>);

/// What a message consists of.
#[derive(Debug)]
pub struct Content {
    /// Its place in the source.
    pub position: Position,
    /// Its identity for ever.
    pub id: Uuid,
    /// What kind of thing it is about; usually names the destination.
    pub aggregate_type: Arc<str>,
    /// The ordering key; null = unordered.
    pub key: Option<Key>,
    /// The event's type.
    pub kind: Arc<str>,
    /// The payload.
    pub body: Body,
    /// How the payload is to be read.
    pub content_type: ContentType,
    /// The row's own headers.
    pub headers: Headers,
    /// W3C trace context of the transaction that wrote the row, unchanged.
    pub traceparent: Option<Box<str>>,
    /// When the row was inserted, by the database's clock.
    pub occurred_at: Timestamp,
    /// Replay epoch: absent on a first publication, 0 = released or skip-done (DESIGN §12, `twinbox-replay`).
    pub replay: Option<u32>,
    /// What only a message has that a broker delivered; none for a row of an outbox.
    pub origin: Option<Box<Origin>>,
}

/// The payload, or why it is not here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// SQL null: a tombstone where the broker has them, an empty body elsewhere.
    Null,
    /// The row's bytes.
    Bytes(Bytes),
    /// Larger than the budget allows to read; it can only become a letter, inside the database.
    Withheld {
        /// Size in the database, in bytes.
        bytes: u64,
    },
}

/// How the payload is to be read; decides the default `content-type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentType {
    /// `json` or `jsonb` column.
    Json,
    /// `text` column.
    Text,
    /// `bytea` column.
    Binary,
}

// === impl Content ===

impl Content {
    /// What the message costs of the budget, in bytes.
    #[must_use]
    pub fn cost(&self) -> usize {
        OVERHEAD_BYTES
            + self.body.as_bytes().map_or(0, <[u8]>::len)
            + self.key.as_ref().map_or(0, |key| key.as_bytes().len())
            + self.headers.bytes()
    }
}

// === impl Message ===

impl From<Content> for Message {
    fn from(content: Content) -> Self {
        Self(Arc::new(content))
    }
}

impl Deref for Message {
    type Target = Content;

    fn deref(&self) -> &Content {
        &self.0
    }
}

// === impl Body ===

impl Body {
    /// The bytes, if there are any here.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Null | Self::Withheld { .. } => None,
        }
    }
}

// === impl ContentType ===

impl ContentType {
    /// The media type that goes on the wire unless the row's headers name another.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Text => "text/plain; charset=utf-8",
            Self::Binary => "application/octet-stream",
        }
    }
}
