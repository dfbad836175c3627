//! Where a relay's rows go: what it remembers of destinations, and a sample of what waits.
//!
//! Promises: changes nothing; reads a bounded number of rows, and no payload.

use jiff::Timestamp;
use tokio_postgres::Row;

use crate::delivery::Destination;
use crate::message::{Body, Content, ContentType, Headers, Key, Message, Position};
use crate::postgres::connect::{ConnectError, Connector};
use crate::postgres::cursor::headers;
use crate::postgres::destinations::destination;
use crate::postgres::failure::Failure;
use crate::postgres::identifier::Schema;

/// Rows looked at on either end of what waits.
const ROWS_MAX: i64 = 5000;
/// Kinds of rows (aggregate type and event type) that are told.
const KINDS_MAX: i64 = 200;

const KNOWN: &str = include_str!("../../../sql/queries/destination/known.sql");
const WAITING: &str = include_str!("../../../sql/queries/preflight_waiting.sql");

/// What is known without reading on.
#[derive(Debug, Clone, Default)]
pub struct Waiting {
    /// Destinations that it has published to.
    pub remembered: Vec<Destination>,
    /// One message of each kind that waits, without its body.
    pub messages: Vec<Message>,
}

/// Why nothing is known.
#[derive(Debug, thiserror::Error)]
pub enum WaitingError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The database refused.
    #[error(transparent)]
    Database(#[from] Failure),
}

/// Looks for a relay. `late` is one that begins with what comes when it is started for the first time.
///
/// # Errors
/// When the database is away, or refuses.
pub async fn waiting(
    connector: &Connector,
    schema: &Schema,
    (relay, late): (&str, bool),
) -> Result<Waiting, WaitingError> {
    let direct = connector.direct().await?;
    let client = direct.client();
    let started = "select exists (select from {schema}.relay_window w where w.relay = $1::text)";
    let started: bool = client
        .query_one(&schema.render(started), &[&relay])
        .await
        .map_err(Failure::from)?
        .get(0);
    let known = client
        .query(&schema.render(KNOWN), &[&relay])
        .await
        .map_err(Failure::from)?;
    let sample = if started || !late {
        client
            .query(&schema.render(WAITING), &[&relay, &ROWS_MAX, &KINDS_MAX])
            .await
            .map_err(Failure::from)?
    } else {
        Vec::new()
    };
    Ok(Waiting {
        remembered: known.iter().map(|row| destination(row.get(0))).collect(),
        messages: sample.iter().map(message).collect(),
    })
}

fn message(row: &Row) -> Message {
    let seq: i64 = row.get("seq");
    Message::from(Content {
        position: Position::new(0, 0, seq.unsigned_abs()),
        id: row.get("id"),
        aggregate_type: row.get::<_, &str>("aggregatetype").into(),
        key: row.get::<_, Option<&str>>("aggregateid").map(Key::from),
        kind: row.get::<_, &str>("type").into(),
        body: Body::Null,
        content_type: ContentType::Json,
        headers: row
            .get::<_, Option<&str>>("headers")
            .map_or_else(Headers::default, |text| headers(text.as_bytes())),
        traceparent: None,
        occurred_at: Timestamp::UNIX_EPOCH,
        replay: None,
        origin: None,
    })
}
