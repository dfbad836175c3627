//! What a transaction that makes effects durable consists of, beside the effects.
//!
//! ```text
//!  enter     the generation's lock (shared), then the numbers of the two that are kept
//!  remember  an inbox row for each message; what it answers is new
//!    …       the effects, lanes and letters
//!  hold      the position row: fence, counter, mark; none = fenced: roll back
//!  commit    then Fence::committed
//! ```
//!
//! Each statement goes out typed: one round trip, several may go out together, and it is planned anew each time. A plan from
//! when a generation was empty would read it from end to end.
//!
//! This is the lock order of everything that is written for a consumer: generation, inbox rows by id, the handler's own
//! rows, lanes ascending, the position row as the last statement before COMMIT.

use std::collections::HashSet;

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, GenericClient, Transaction};
use uuid::Uuid;

use super::text::InboxText;
use crate::contract::{Fence, Identity, Known, StreamName};

/// A value and its type, as a typed statement takes them.
pub(in crate::postgres) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// The generations that are kept while a transaction that entered runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::postgres) struct Generations {
    /// The one that is written.
    pub(in crate::postgres) current: i32,
    /// The one before it, asked too.
    pub(in crate::postgres) previous: i32,
}

/// A stream's key in `consumer_position`.
#[derive(Debug, Clone, Copy)]
pub(in crate::postgres) struct Row<'a> {
    pub(in crate::postgres) consumer: &'a str,
    pub(in crate::postgres) stream: &'a StreamName,
}

// === impl Row ===

impl Row<'_> {
    /// As stored: −1 where there are no partitions.
    pub(in crate::postgres) fn partition(&self) -> i32 {
        self.stream.partition.unwrap_or(-1)
    }

    pub(in crate::postgres) fn topic(&self) -> &str {
        &self.stream.topic
    }
}

// === impl InboxText ===

impl InboxText {
    /// First statement of the transaction.
    pub(in crate::postgres) async fn enter(&self, transaction: &Transaction<'_>) -> Result<Generations, Error> {
        let row = transaction.query_typed_one(&self.enter, &[]).await?;
        Ok(Generations {
            current: row.try_get(0)?,
            previous: row.try_get(1)?,
        })
    }

    /// Remembers; answers those that neither generation had. Two statements that go out together.
    pub(in crate::postgres) async fn remember(
        &self,
        transaction: &Transaction<'_>,
        (consumer, generations): (&str, Generations),
        (identities, how): (&[Identity], Known),
    ) -> Result<HashSet<Identity>, Error> {
        let ids: Vec<Uuid> = identities.iter().map(|identity| identity.id).collect();
        let epochs: Vec<i32> = identities.iter().map(|identity| identity.replay_epoch).collect();
        let state = state(how);
        let Generations { current, previous } = generations;
        let before: [Parameter<'_>; 3] = [
            (&previous, Type::INT4),
            (&consumer, Type::TEXT),
            (&ids, Type::UUID_ARRAY),
        ];
        let remember: [Parameter<'_>; 5] = [
            (&current, Type::INT4),
            (&consumer, Type::TEXT),
            (&state, Type::TEXT),
            (&ids, Type::UUID_ARRAY),
            (&epochs, Type::INT4_ARRAY),
        ];
        let (before, new) = tokio::try_join!(
            transaction.query_typed(&self.before, &before),
            transaction.query_typed(&self.remember, &remember)
        )?;
        let mut new: HashSet<Identity> = new.iter().map(identity).collect::<Result<_, _>>()?;
        for row in &before {
            new.remove(&identity(row)?);
        }
        Ok(new)
    }

    /// Which are remembered, in whatever generation.
    pub(in crate::postgres) async fn known(
        &self,
        client: &impl GenericClient,
        consumer: &str,
        identities: &[Identity],
    ) -> Result<HashSet<Identity>, Error> {
        let ids: Vec<Uuid> = identities.iter().map(|identity| identity.id).collect();
        let asked: [Parameter<'_>; 2] = [(&consumer, Type::TEXT), (&ids, Type::UUID_ARRAY)];
        let rows = client.query_typed(&self.known, &asked).await?;
        let wanted: HashSet<Identity> = identities.iter().copied().collect();
        let known: HashSet<Identity> = rows.iter().map(identity).collect::<Result<_, _>>()?;
        Ok(known.intersection(&wanted).copied().collect())
    }

    /// Last statement before COMMIT: the counter to give to [`Fence::committed`] afterwards; none = fenced, or the database
    /// went back: roll back.
    pub(in crate::postgres) async fn hold(
        &self,
        transaction: &Transaction<'_>,
        (consumer, fence): (&str, &Fence),
        mark: Option<i64>,
    ) -> Result<Option<i64>, Error> {
        under(transaction, &self.hold, (consumer, fence, &[(&mark, Type::INT8)])).await
    }
}

/// A statement that changes the position row under its fence; `more` stands behind the fence's six parameters. None =
/// fenced.
pub(super) async fn under(
    client: &impl GenericClient,
    text: &str,
    (consumer, fence, more): (&str, &Fence, &[Parameter<'_>]),
) -> Result<Option<i64>, Error> {
    let row = Row {
        consumer,
        stream: &fence.stream,
    };
    let (topic, partition, seen) = (row.topic(), row.partition(), fence.seen());
    let mut parameters: Vec<Parameter<'_>> = vec![
        (&consumer, Type::TEXT),
        (&topic, Type::TEXT),
        (&partition, Type::INT4),
        (&fence.epoch, Type::INT8),
        (&fence.holder, Type::UUID),
        (&seen, Type::INT8),
    ];
    parameters.extend(more.iter().cloned());
    let held = client.query_typed_opt(text, &parameters).await?;
    held.map(|row| row.try_get(0)).transpose()
}

/// As the table spells it.
pub(super) fn state(how: Known) -> &'static str {
    match how {
        Known::Done => "done",
        Known::Dropped => "dropped",
    }
}

fn identity(row: &tokio_postgres::Row) -> Result<Identity, Error> {
    Ok(Identity {
        id: row.try_get(0)?,
        replay_epoch: row.try_get(1)?,
    })
}
