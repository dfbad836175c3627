//! Rows written one by one, with the truth kept in memory: for tests in which nobody kills the writer.

use super::checker::Truth;
use super::fingerprint;
use crate::support::postgres::{Database, Login, connect};
use std::collections::HashMap;
use tokio_postgres::{Client, Error};
use uuid::Uuid;

/// One row; what is left out is null.
#[derive(Debug, Clone, Default)]
pub(crate) struct Row {
    pub kind: String,
    pub key: Option<String>,
    pub payload: Option<Vec<u8>>,
    /// JSON text.
    pub headers: Option<String>,
}

impl Row {
    #[must_use]
    pub(crate) fn new(kind: &str, key: &str, payload: &[u8]) -> Self {
        Self {
            kind: kind.into(),
            key: Some(key.into()),
            payload: Some(payload.into()),
            headers: None,
        }
    }
}

/// A writer with a memory. The outbox's payload is `bytea`.
pub(crate) struct Plain {
    client: Client,
    kseqs: HashMap<(String, String), i64>,
    pub truth: Vec<Truth>,
}

impl Plain {
    /// As `twinbox_app`.
    pub(crate) async fn connect(database: &Database) -> Self {
        let client = connect(&database.login_url(Login::App))
            .await
            .expect("the test server answers");
        Self {
            client,
            kseqs: HashMap::new(),
            truth: Vec::new(),
        }
    }

    /// All rows by one statement; their ids.
    pub(crate) async fn write(&mut self, rows: &[Row]) -> Vec<Uuid> {
        self.try_write(rows).await.expect("the rows are valid")
    }

    /// One row; its id.
    pub(crate) async fn one(&mut self, row: Row) -> Uuid {
        self.write(&[row]).await[0]
    }

    /// # Errors
    /// What Postgres says; nothing is remembered then.
    pub(crate) async fn try_write(&mut self, rows: &[Row]) -> Result<Vec<Uuid>, Error> {
        let sql = "insert into twinbox.outbox (id, aggregatetype, aggregateid, type, payload, headers) \
             select id, a, k, 'plain.row', p, h::jsonb \
             from unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::text[]) \
             with ordinality as given(id, a, k, p, h, place) order by place";
        let ids: Vec<Uuid> = rows.iter().map(|_| Uuid::new_v4()).collect();
        let kinds: Vec<&str> = rows.iter().map(|row| row.kind.as_str()).collect();
        let keys: Vec<Option<&str>> = rows.iter().map(|row| row.key.as_deref()).collect();
        let payloads: Vec<Option<&[u8]>> = rows.iter().map(|row| row.payload.as_deref()).collect();
        let headers: Vec<Option<&str>> = rows.iter().map(|row| row.headers.as_deref()).collect();
        self.client
            .execute(sql, &[&ids, &kinds, &keys, &payloads, &headers])
            .await?;
        for (row, id) in rows.iter().zip(&ids) {
            self.remember(row, *id);
        }
        Ok(ids)
    }

    fn remember(&mut self, row: &Row, id: Uuid) {
        let topic = format!("{}.events", row.kind);
        let kseq = row.key.as_ref().map_or(0, |key| {
            let kseq = self.kseqs.entry((topic.clone(), key.clone())).or_insert(0);
            *kseq += 1;
            *kseq
        });
        let note = row
            .headers
            .as_deref()
            .and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
        let note = note.and_then(|headers| headers["note"].as_str().map(str::to_owned));
        let key = row.key.as_deref().map(str::as_bytes);
        let fingerprint = fingerprint(key, row.payload.as_deref(), note.as_deref().map(str::as_bytes));
        self.truth.push(Truth {
            id,
            key: row.key.clone(),
            kseq,
            topic,
            fingerprint,
        });
    }
}
