//! One writer's transaction: rolled first, then performed, so that a seed repeats it.

use super::copy::{copy, hex};
use super::dice::Dice;
use super::fingerprint;
use super::workload::{Payload, Shared, Workload, key_text};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio_postgres::{Client, Error, Transaction};
use uuid::Uuid;

/// The lane that only the long transaction writes: one beyond the last key.
fn private_key(workload: &Workload) -> usize {
    workload.keys
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Mixed,
    /// Open this long in its middle.
    Long(Duration),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Commit,
    Rollback,
    /// Prepared under this name, and committed by another statement a little later.
    Prepared(Uuid),
}

/// A row without its identity. `key` is a number; `None` = no key.
#[derive(Debug, Clone)]
struct Row {
    key: Option<usize>,
    payload: Option<Vec<u8>>,
    note: Option<String>,
}

/// How long a prepared transaction stays so, with its keys locked.
const PREPARED: Duration = Duration::from_millis(50);

/// Rows that go in by one statement.
#[derive(Debug, Clone)]
struct Batch {
    rows: Vec<Row>,
    /// Written below a savepoint and rolled back to it.
    undone: bool,
    /// Before the batch.
    pause: Duration,
    /// Keys to lock before it, ascending.
    locks: Vec<usize>,
    /// By COPY.
    copied: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Plan {
    batches: Vec<Batch>,
    pub ending: Ending,
}

impl Plan {
    pub(super) fn roll(dice: &mut Dice, shared: &Shared, shape: Shape) -> Self {
        if let Shape::Long(open) = shape {
            return Self::long(dice, shared, open);
        }
        // Every twentieth transaction is slow, so that others begin and end inside of it.
        let slow = dice.chance(5.0);
        let lanes: Vec<usize> = (0..dice.between(1, 3)).map(|_| shared.zipf.pick(dice)).collect();
        let mut left = if dice.chance(60.0) {
            dice.between(1, 3)
        } else {
            dice.between(1, 20)
        };
        let mut batches = Vec::new();
        while left > 0 {
            let size = dice.between(1, left);
            left -= size;
            let pause = if slow {
                Duration::from_millis(dice.between(20, 300) as u64)
            } else {
                Duration::ZERO
            };
            let rows = (0..size).map(|_| Row::roll(dice, &lanes, &shared.workload)).collect();
            // All keys are locked before the first row, in one order for everybody: no deadlocks.
            let locks = if batches.is_empty() {
                ascending(&lanes)
            } else {
                Vec::new()
            };
            batches.push(Batch {
                rows,
                undone: dice.chance(5.0),
                pause,
                locks,
                copied: dice.chance(10.0),
            });
        }
        let ending = if dice.chance(5.0) {
            Ending::Rollback
        } else if shared.workload.prepared && dice.chance(2.0) {
            Ending::Prepared(Uuid::new_v4())
        } else {
            Ending::Commit
        };
        Self { batches, ending }
    }

    fn long(dice: &mut Dice, shared: &Shared, open: Duration) -> Self {
        let private = [private_key(&shared.workload)];
        let lanes: Vec<usize> = (0..3).map(|_| shared.zipf.pick(dice)).collect();
        let batch = |dice: &mut Dice, lanes: &[usize], pause| Batch {
            rows: (0..20).map(|_| Row::roll(dice, lanes, &shared.workload)).collect(),
            undone: false,
            pause,
            locks: ascending(lanes),
            copied: false,
        };
        let mut first = batch(dice, &private, Duration::ZERO);
        // Every run has one of the largest.
        first.rows[0].payload = Some(payload(dice, shared.workload.bytes_max, shared.workload.payload));
        Self {
            batches: vec![first, batch(dice, &lanes, open)],
            ending: Ending::Commit,
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.batches.iter().map(|batch| batch.rows.len()).sum()
    }
}

fn ascending(lanes: &[usize]) -> Vec<usize> {
    let mut keys = lanes.to_vec();
    keys.sort_unstable();
    keys.dedup();
    keys
}

impl Row {
    fn roll(dice: &mut Dice, lanes: &[usize], workload: &Workload) -> Self {
        let key = (!dice.chance(3.0)).then(|| lanes[dice.between(0, lanes.len() - 1)]);
        let size = match dice.between(0, 2_000) {
            0..=1 => dice.between(0, workload.bytes_max),
            2..=40 => dice.between(0, workload.bytes_max.min(100_000) / 50),
            41..=60 => 0,
            _ => dice.between(1, 300),
        };
        // A null payload is a tombstone.
        let is_null = workload.payload == Payload::Bytea && dice.chance(1.0);
        let payload = (!is_null).then(|| payload(dice, size, workload.payload));
        let note = dice.chance(20.0).then(|| format!("nä☃ve \"{}\"", dice.next()));
        Self { key, payload, note }
    }
}

/// About `size` bytes of the column's type.
fn payload(dice: &mut Dice, size: usize, kind: Payload) -> Vec<u8> {
    match kind {
        // Random bytes have NULs and no valid UTF-8.
        Payload::Bytea => dice.bytes(size),
        // As Postgres prints it: shorter names first, one blank after colon and comma.
        Payload::Jsonb => format!(
            "{{\"n\": {}, \"pad\": \"{}\"}}",
            dice.next() >> 1,
            "☃ x".repeat(size / 5)
        )
        .into_bytes(),
    }
}

/// Performs it; the ids of the rows that are committed now.
///
/// # Errors
/// What Postgres said; the transaction's outcome is then unknown.
pub(super) async fn run(client: &mut Client, plan: &Plan, workload: &Workload) -> Result<Vec<Uuid>, Error> {
    let mut transaction = client.transaction().await?;
    // The xid is taken now, also by a transaction that writes its first row much later.
    transaction.execute("select pg_current_xact_id()", &[]).await?;
    let mut ids = Vec::new();
    let mut lanes = Lanes {
        kseqs: BTreeMap::new(),
        workload,
    };
    for batch in &plan.batches {
        tokio::time::sleep(batch.pause).await;
        lanes.lock(&transaction, &batch.locks).await?;
        if batch.undone {
            let before = lanes.kseqs.clone();
            let savepoint = transaction.savepoint("undone").await?;
            lanes.insert(&savepoint, batch).await?;
            savepoint.rollback().await?;
            lanes.kseqs = before;
        } else {
            ids.extend(lanes.insert(&transaction, batch).await?);
        }
    }
    lanes.save(&transaction).await?;
    match plan.ending {
        Ending::Commit => transaction.commit().await?,
        Ending::Rollback => {
            transaction.rollback().await?;
            ids.clear();
        }
        Ending::Prepared(name) => {
            transaction
                .batch_execute(&format!("prepare transaction '{name}'"))
                .await?;
            // Nothing is open any more: a warning, and the client knows it too.
            transaction.rollback().await?;
            tokio::time::sleep(PREPARED).await;
            client.batch_execute(&format!("commit prepared '{name}'")).await?;
        }
    }
    Ok(ids)
}

/// After a lost connection: what was prepared holds its locks until somebody ends it.
///
/// # Errors
/// What Postgres said; it may be asked again.
pub(super) async fn end_prepared(client: &Client, ending: Ending) -> Result<(), Error> {
    let Ending::Prepared(name) = ending else { return Ok(()) };
    let sql = "select from pg_prepared_xacts where gid = $1";
    if client.query_opt(sql, &[&name.to_string()]).await?.is_some() {
        client.batch_execute(&format!("commit prepared '{name}'")).await?;
    }
    Ok(())
}

/// The lanes this transaction has locked, with the last kseq it gave out in each.
struct Lanes<'a> {
    kseqs: BTreeMap<usize, i64>,
    workload: &'a Workload,
}

impl Lanes<'_> {
    fn topic(&self, key: usize) -> String {
        format!("{}{}", self.workload.type_of(key), self.workload.suffix)
    }

    async fn lock(&mut self, transaction: &Transaction<'_>, keys: &[usize]) -> Result<(), Error> {
        for key in keys {
            let sql = "select kseq from ledger.lane where topic = $1 and key = $2 for update";
            let row = transaction
                .query_one(sql, &[&self.topic(*key), &key_text(*key)])
                .await?;
            self.kseqs.insert(*key, row.get(0));
        }
        Ok(())
    }

    async fn insert(&mut self, transaction: &Transaction<'_>, batch: &Batch) -> Result<Vec<Uuid>, Error> {
        let mut columns = Columns::default();
        for row in &batch.rows {
            let kseq = row.key.map_or(0, |key| {
                let kseq = self.kseqs.get_mut(&key).expect("locked before");
                *kseq += 1;
                *kseq
            });
            columns.push(row, kseq, self);
        }
        if batch.copied {
            columns.copy(transaction, self.workload.payload).await?;
        } else {
            columns.insert(transaction, self.workload.payload).await?;
        }
        let truth = "insert into ledger.truth (event_id, key, kseq, topic, fingerprint) \
             select * from unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::text[])";
        let Columns {
            ids,
            keys,
            kseqs,
            topics,
            fingerprints,
            ..
        } = &columns;
        transaction
            .execute(truth, &[ids, keys, kseqs, topics, fingerprints])
            .await?;
        Ok(columns.ids)
    }

    async fn save(&self, transaction: &Transaction<'_>) -> Result<(), Error> {
        for (key, kseq) in &self.kseqs {
            let sql = "update ledger.lane set kseq = $3 where topic = $1 and key = $2";
            transaction
                .execute(sql, &[&self.topic(*key), &key_text(*key), kseq])
                .await?;
        }
        Ok(())
    }
}

/// A batch, turned for `unnest`.
#[derive(Default)]
struct Columns {
    ids: Vec<Uuid>,
    types: Vec<String>,
    keys: Vec<Option<String>>,
    payloads: Vec<Option<Vec<u8>>>,
    headers: Vec<Option<String>>,
    kseqs: Vec<i64>,
    topics: Vec<String>,
    fingerprints: Vec<String>,
}

impl Columns {
    async fn insert(&self, transaction: &Transaction<'_>, payload: Payload) -> Result<(), Error> {
        let payload = match payload {
            Payload::Bytea => "p",
            Payload::Jsonb => "convert_from(p, 'UTF8')::jsonb",
        };
        let outbox = format!(
            "insert into twinbox.outbox (id, aggregatetype, aggregateid, type, payload, headers) \
             select id, a, k, 'ledger.row', {payload}, h::jsonb \
             from unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::text[]) \
             with ordinality as given(id, a, k, p, h, place) order by place"
        );
        let Self {
            ids,
            types,
            keys,
            payloads,
            headers,
            ..
        } = self;
        transaction
            .execute(&outbox, &[ids, types, keys, payloads, headers])
            .await?;
        Ok(())
    }

    async fn copy(&self, transaction: &Transaction<'_>, payload: Payload) -> Result<(), Error> {
        let ids: Vec<String> = self.ids.iter().map(Uuid::to_string).collect();
        let text = |bytes: &Vec<u8>| match payload {
            Payload::Bytea => hex(bytes),
            Payload::Jsonb => String::from_utf8_lossy(bytes).into_owned(),
        };
        let payloads: Vec<Option<String>> = self.payloads.iter().map(|bytes| bytes.as_ref().map(text)).collect();
        let lines = (0..ids.len()).map(|row| {
            vec![
                Some(ids[row].as_str()),
                Some(self.types[row].as_str()),
                self.keys[row].as_deref(),
                Some("ledger.row"),
                payloads[row].as_deref(),
                self.headers[row].as_deref(),
            ]
        });
        let into = "twinbox.outbox (id, aggregatetype, aggregateid, type, payload, headers)";
        copy(transaction, into, lines).await?;
        Ok(())
    }

    fn push(&mut self, row: &Row, kseq: i64, lanes: &Lanes<'_>) {
        let key = row.key.map(key_text);
        let note = row.note.as_deref();
        let bytes = (
            key.as_deref().map(str::as_bytes),
            row.payload.as_deref(),
            note.map(str::as_bytes),
        );
        self.fingerprints.push(fingerprint(bytes.0, bytes.1, bytes.2));
        // A row without a key belongs to the first type.
        self.types.push(lanes.workload.type_of(row.key.unwrap_or(0)).to_owned());
        self.topics.push(lanes.topic(row.key.unwrap_or(0)));
        self.headers
            .push(note.map(|note| serde_json::json!({ "note": note }).to_string()));
        self.ids.push(Uuid::new_v4());
        self.keys.push(key);
        self.payloads.push(row.payload.clone());
        self.kseqs.push(kseq);
    }
}
