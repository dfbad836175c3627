//! Taking a stream over: a new epoch first, then what the last owner left.
//!
//! Two transactions, because lanes are locked before the position row everywhere else. Between them the lanes are as the
//! last owner left them, and the next one finds them so.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::PostgresInbox;
use super::effect::{Parameter, Row};
use crate::contract::{Assumed, Claim, Fence, StoreError, StreamName};
use crate::delivery::{Destination, LaneName};
use crate::message::{Key, Position};
use crate::postgres::answer::away;
use crate::postgres::cursor::{SYSTEM, TIMELINE};

/// Where a database is in its history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct History {
    system_id: i64,
    timeline: i32,
}

/// Columns of `left.sql`.
#[derive(Debug)]
struct Left {
    counter: i64,
    position: Option<i64>,
    claim: Option<Claim>,
    wait: Duration,
    signed_by: Option<Uuid>,
    before: Option<History>,
    now: History,
}

// === impl PostgresInbox ===

impl PostgresInbox {
    pub(super) async fn take_over(&self, stream: &StreamName) -> Result<Assumed, StoreError> {
        let mut client = self.client().await?;
        let (fence, left) = self.fence_off(&mut client, stream).await?;
        let fence = Arc::new(fence);
        let told = self.told(&fence, &left);
        self.assumed().insert(stream.clone(), Arc::clone(&fence));
        let alone = left.claim.and_then(|claim| claim.alone).map(|(at, _)| at);
        let blocked = self.lanes(&mut client, (&fence, alone)).await?;
        Ok(Assumed {
            letters: self.letters(&fence),
            fence,
            position: left.position,
            claim: left.claim,
            signed_by: left.signed_by,
            wait: left.wait,
            blocked,
            told,
        })
    }

    /// After this the last owner writes nothing more.
    async fn fence_off(&self, client: &mut super::Client, stream: &StreamName) -> Result<(Fence, Left), StoreError> {
        let failed = |error| away(&error);
        let row = Row {
            consumer: &self.options.name,
            stream,
        };
        let (consumer, topic, partition) = (row.consumer, row.topic(), row.partition());
        let key: [Parameter<'_>; 3] = [(&consumer, Type::TEXT), (&topic, Type::TEXT), (&partition, Type::INT4)];
        self.enlist(client).await?;
        client.query_typed(&self.text.row, &key).await.map_err(failed)?;
        let transaction = client.transaction().await.map_err(failed)?;
        let left = transaction.query_typed_one(&self.text.left, &key).await;
        let left = left.and_then(|row| Left::read(&row)).map_err(failed)?;
        let holder = Uuid::new_v4();
        let [consumer, topic, partition] = key;
        let taken: [Parameter<'_>; 6] = [
            consumer,
            topic,
            partition,
            (&holder, Type::UUID),
            (&left.now.system_id, Type::INT8),
            (&left.now.timeline, Type::INT4),
        ];
        let taken = transaction.query_typed_one(&self.text.assume, &taken).await;
        let epoch: i64 = taken.and_then(|row| row.try_get(0)).map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok((Fence::new(stream.clone(), epoch, left.counter).held_by(holder), left))
    }

    /// Claims of before are void; and what is blocked, read after the take-over (S27).
    async fn lanes(
        &self,
        client: &mut super::Client,
        (fence, alone): (&Fence, Option<i64>),
    ) -> Result<Vec<LaneName>, StoreError> {
        let failed = |error| away(&error);
        let transaction = client.transaction().await.map_err(failed)?;
        self.free(&transaction, fence, (None, alone)).await?;
        let prefix = lanes_of(&fence.stream);
        let asked: [Parameter<'_>; 2] = [(&self.options.name, Type::TEXT), (&prefix, Type::TEXT)];
        let rows = transaction
            .query_typed(&self.text.blocked, &asked)
            .await
            .map_err(failed)?;
        let held = self.text.hold(&transaction, (&self.options.name, fence), None).await;
        let counter = held.map_err(failed)?.ok_or(StoreError::Fenced)?;
        transaction.commit().await.map_err(failed)?;
        fence.committed(counter);
        Ok(rows.iter().map(|row| LaneName::from(row.get::<_, &str>(0))).collect())
    }

    /// What happened to the database since the last owner, or since we had the stream ourselves (S21).
    fn told(&self, fence: &Fence, left: &Left) -> Vec<StoreError> {
        let stream = &fence.stream;
        let goes_on = format!(
            "consumer {} goes back to the position of record of {stream}, {}: what was done and is not in this database is \
             done again",
            self.options.name,
            left.position
                .map_or_else(|| "which is none".to_owned(), |at| format!("offset {at}"))
        );
        if let Some(before) = left.before.filter(|before| *before != left.now) {
            let (kind, from, to) = before.against(left.now);
            let sentence = format!("the database is not the one of before ({from}, now {to}); {goes_on}");
            return vec![StoreError::Incident {
                kind,
                from,
                to,
                sentence,
            }];
        }
        let seen = self.assumed().get(stream).map_or(0, |last| last.seen());
        if left.counter < seen {
            let (from, to) = (format!("counter {seen}"), format!("counter {}", left.counter));
            let sentence = format!("the database has lost commits that it had confirmed ({from}, now {to}); {goes_on}");
            return vec![StoreError::Incident {
                kind: TIMELINE,
                from,
                to,
                sentence,
            }];
        }
        Vec::new()
    }
}

// === impl Left ===

impl Left {
    fn read(row: &tokio_postgres::Row) -> Result<Self, tokio_postgres::Error> {
        let (at, times): (Option<i64>, i32) = (row.try_get(4)?, row.try_get(5)?);
        let (care, tried_to): (i32, Option<i64>) = (row.try_get(3)?, row.try_get(2)?);
        let claim = tried_to.map(|tried_to| Claim {
            tried_to,
            care: care.unsigned_abs(),
            alone: at.map(|at| (at, times.unsigned_abs())),
        });
        let before = match (row.try_get(7)?, row.try_get(8)?) {
            (Some(system_id), Some(timeline)) => Some(History { system_id, timeline }),
            _ => None,
        };
        let wait = row.try_get::<_, Option<f64>>(6)?.unwrap_or_default();
        Ok(Self {
            counter: row.try_get(0)?,
            position: row.try_get(1)?,
            wait: claim.map_or(Duration::ZERO, |_| {
                Duration::try_from_secs_f64(wait).unwrap_or_default()
            }),
            claim,
            signed_by: row.try_get(11)?,
            before,
            now: History {
                system_id: row.try_get(9)?,
                timeline: row.try_get(10)?,
            },
        })
    }
}

// === impl History ===

impl History {
    /// The kind of the incident, and both as an operator reads them.
    fn against(self, now: Self) -> (&'static str, String, String) {
        if self.system_id == now.system_id {
            let text = |history: Self| format!("timeline {}", history.timeline);
            (TIMELINE, text(self), text(now))
        } else {
            let text = |history: Self| format!("system {}", history.system_id);
            (SYSTEM, text(self), text(now))
        }
    }
}

/// What the names of all lanes of a stream begin with, and no other's.
pub(super) fn lanes_of(stream: &StreamName) -> String {
    let partition = stream.partition.map(|partition| partition.to_string());
    let destination: Destination = std::iter::once(stream.topic.to_string()).chain(partition).collect();
    let empty = LaneName::of(&destination, Some(&Key::from("")), Position::new(0, 0, 0));
    empty.as_str().trim_end_matches('=').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s30_a_streams_lanes_begin_alike_and_no_others_do() {
        let stream = |topic: &str, partition| StreamName {
            topic: topic.into(),
            partition,
        };
        assert_eq!(lanes_of(&stream("orders", Some(1))), "orders/1/");
        assert_eq!(lanes_of(&stream("a/b=", None)), "a%2Fb=/");
        assert!(!lanes_of(&stream("orders", Some(12))).starts_with(&lanes_of(&stream("orders", Some(1)))));
    }
}
