//! Picking lanes whose time has come, with their first letters.

use std::time::Duration;

use tokio_postgres::types::Type;
use tokio_postgres::{Row, Transaction};

use super::{Attempts, Client, RelayLetters};
use crate::contract::{DueLane, Letter, LetterId, StoreError};
use crate::delivery::{Cause, LaneName};
use crate::message::{Body, Content, Key, Position};
use crate::postgres::answer::away;
use crate::postgres::cursor::{Kinds, Raw, Stamp, headers};
use crate::postgres::fence::Fence;

/// How long a claim lasts if nobody closes it. A new holder does not wait for it.
const CLAIM: Duration = Duration::from_secs(300);

// === impl RelayLetters ===

impl RelayLetters {
    pub(super) async fn pick(&self, lanes: usize, run: usize) -> Result<Vec<DueLane>, StoreError> {
        let mut client = self.client().await?;
        let any = client
            .query_typed(&self.text.any_due, &[(&self.fence.relay, Type::TEXT)])
            .await
            .map_err(|error| away(&error))?;
        if !any.iter().any(|row| row.get(0)) {
            return Ok(Vec::new());
        }
        let mut attempts = Attempts::default();
        loop {
            let outcome = self.pick_once(&mut client, (lanes, run)).await;
            if !attempts.again(&outcome) {
                return outcome;
            }
        }
    }

    async fn pick_once(&self, client: &mut Client, (lanes, run): (usize, usize)) -> Result<Vec<DueLane>, StoreError> {
        let transaction = client.transaction().await.map_err(|error| away(&error))?;
        let Fence { relay, epoch, holder } = &self.fence;
        let (limit, claim) = (lanes.cast_signed() as i64, CLAIM.as_secs_f64());
        let picked = transaction
            .query(&self.text.pick, &[relay, epoch, holder, &limit, &claim])
            .await
            .map_err(|error| away(&error))?;
        let mut letters = Vec::new();
        if !picked.is_empty() {
            letters = self.open_letters(&transaction, (&picked, run)).await?;
        }
        self.hold_fence(&transaction).await?;
        let due = self.assemble(&picked, &letters)?;
        transaction.commit().await.map_err(|error| away(&error))?;
        Ok(due)
    }

    async fn open_letters(
        &self,
        transaction: &Transaction<'_>,
        (picked, run): (&[Row], usize),
    ) -> Result<Vec<Row>, StoreError> {
        let relay = &self.fence.relay;
        let lanes: Vec<&str> = picked.iter().map(|row| row.get(0)).collect();
        let run = run.cast_signed() as i64;
        let all = self.bytes_max.cast_signed() as i64;
        let each = all / picked.len().max(1).cast_signed() as i64;
        let letters = transaction
            .query(&self.text.open, &[relay, &lanes, &run, &each, &all])
            .await
            .map_err(|error| away(&error))?;
        // Lanes whose letters were all closed by others block nothing.
        transaction
            .execute(&self.text.drop_empty, &[relay, &lanes])
            .await
            .map_err(|error| away(&error))?;
        Ok(letters)
    }

    fn assemble(&self, picked: &[Row], letters: &[Row]) -> Result<Vec<DueLane>, StoreError> {
        let mut kinds = Kinds::default();
        let mut due: Vec<DueLane> = Vec::with_capacity(picked.len());
        for row in picked {
            let lane: &str = row.get(0);
            let own = letters.iter().filter(|letter| letter.get::<_, &str>(11) == lane);
            let letters = own
                .map(|letter| self.letter(letter, &mut kinds))
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| away(&error))?;
            if letters.is_empty() {
                continue;
            }
            due.push(DueLane {
                lane: LaneName::from(lane),
                cause: Cause::from_name(row.get(1)).unwrap_or(Cause::Resting),
                attempts: row.get::<_, i32>(2).unsigned_abs(),
                letters,
            });
        }
        Ok(due)
    }

    /// Columns of `open.sql`.
    fn letter(&self, row: &Row, kinds: &mut Kinds) -> Result<Letter, tokio_postgres::Error> {
        let seq: Option<i64> = row.try_get(1)?;
        let place: &str = row.try_get(10)?;
        let bytes: Option<i64> = row.try_get(12)?;
        let payload: Option<Raw<'_>> = row.try_get(6)?;
        let content = Content {
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
            content_type: self.columns.content_type,
            headers: row
                .try_get::<_, Option<Raw<'_>>>(7)?
                .map(|raw| headers(raw.bytes()))
                .unwrap_or_default(),
            traceparent: row.try_get::<_, Option<&str>>(8)?.map(Into::into),
            occurred_at: row.try_get::<_, Option<Stamp>>(9)?.map(|at| at.0).unwrap_or_default(),
            replay: Some(0),
            origin: None,
        };
        Ok(Letter {
            id: LetterId(row.try_get(0)?),
            message: content.into(),
        })
    }
}
