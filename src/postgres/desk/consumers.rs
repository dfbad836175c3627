//! Going on with a consumer's stream that an incident stopped.
//!
//! Whoever moves a stream raises its epoch and takes its holder away: what was begun before is fenced, and the owner, which
//! looks once a second, takes the stream over anew from where it is put.

use serde_json::json;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, GenericClient};

use super::{Desk, DeskError, Order};

/// A stream that stands still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// Topic or queue.
    pub topic: String,
    /// Partition, where there are some.
    pub partition: Option<i32>,
    /// The first offset that is given up: everything below is settled.
    pub from: i64,
    /// Where it goes on.
    pub go_on: i64,
    /// Open letters of it.
    pub letters: i64,
    epoch: i64,
}

// === impl Stopped ===

impl Stopped {
    /// How many offsets are given up, at most so many messages; none where the log was cut off, or is another one.
    #[must_use]
    pub fn lost(&self) -> u64 {
        u64::try_from(self.go_on - self.from).unwrap_or(0)
    }

    /// As logs and `/status` name it.
    #[must_use]
    pub fn name(&self) -> String {
        match self.partition {
            Some(partition) => format!("{}/{partition}", self.topic),
            None => self.topic.clone(),
        }
    }
}

// === impl Desk ===

impl Desk {
    /// Whether there is such a consumer in this database.
    pub async fn has_consumer(&self, client: &impl GenericClient, consumer: &str) -> Result<bool, DeskError> {
        let there = self.sql("select to_regclass('{schema}.consumer') is not null");
        if !client.query_one(&there, &[]).await?.get::<_, bool>(0) {
            return Ok(false);
        }
        let text = self.sql("select from {schema}.consumer c where c.consumer = $1::text");
        let row = client.query_typed_opt(&text, &[(&consumer, Type::TEXT)]).await?;
        Ok(row.is_some())
    }

    /// Streams of a consumer that an incident of that kind stopped.
    pub async fn stopped(
        &self,
        client: &impl GenericClient,
        (consumer, kind): (&str, &str),
    ) -> Result<Vec<Stopped>, DeskError> {
        if !self.has_consumer(client, consumer).await? {
            return Err(DeskError::NoConsumer(consumer.to_owned()));
        }
        let text = self.sql(include_str!("../../../sql/queries/desk/stopped.sql"));
        let asked = [(&consumer as _, Type::TEXT), (&kind as _, Type::TEXT)];
        let rows = client.query_typed(&text, &asked).await?;
        let stopped = |row: &tokio_postgres::Row| Stopped {
            topic: row.get(0),
            partition: Some(row.get(1)).filter(|partition| *partition >= 0),
            from: row.get::<_, Option<i64>>(2).unwrap_or(row.get(3)),
            go_on: row.get(4),
            epoch: row.get(5),
            letters: row.get(6),
        };
        Ok(rows.iter().map(stopped).collect())
    }

    /// Puts these streams where they go on, all or none, as they were shown: one that was taken over meanwhile is left alone.
    pub async fn accept_streams(
        &self,
        client: &mut Client,
        (consumer, kind, streams): (&str, &str, &[Stopped]),
        order: &Order,
    ) -> Result<(), DeskError> {
        let transaction = client.transaction().await?;
        let text = self.sql(include_str!("../../../sql/queries/desk/go_on_at.sql"));
        for stream in streams {
            let partition = stream.partition.unwrap_or(-1);
            let put = transaction
                .query_opt(&text, &[&consumer, &stream.topic, &partition, &stream.epoch, &kind])
                .await?;
            if put.is_none() {
                return Err(DeskError::Changed(format!("{consumer}'s {}", stream.name())));
            }
        }
        let lost = streams.iter().map(Stopped::lost).sum();
        let ranges = streams
            .iter()
            .map(|stream| json!({ "stream": stream.name(), "from": stream.from, "to": stream.go_on }));
        let detail = json!({ "kind": kind, "streams": ranges.collect::<Vec<_>>() });
        self.note(&transaction, ("accept", consumer, lost), (order, detail))
            .await?;
        transaction.commit().await?;
        Ok(())
    }
}
