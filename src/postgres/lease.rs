//! Who may act for a relay: a row by the database's clock, and beside it a session lock that only shortens a wait.
//!
//! ```text
//!  look ─ free or mine ───────────────▶ take: epoch + 1, lock of the new epoch, one statement
//!    │                                    ▲
//!    └─ another's, its time runs ─ lock of its epoch free? its session is gone ─┘      else: None
//! ```
//!
//! # Why the lock is keyed by epoch
//!
//! A frozen holder keeps its session, and with it the lock, long after its lease ran out. Its successor takes the lock of
//! the next epoch and is not blocked. A holder behind a pooler has no lock and says so in its id, or every standby would
//! take it for dead.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::answer::{away, reopen, unreachable};
use super::connect::{Connector, Direct};
use super::identifier::Schema;
use crate::contract::{Boxed, Held, Lease, StoreError};

/// The holder trusts two thirds of the lease: the last third is for the difference between two clocks' rates and for a
/// write that is on its way.
const TRUST_NUMERATOR: u32 = 2;
const TRUST_DENOMINATOR: u32 = 3;

/// Frees one lock of this session; says nothing if it is not held.
const UNLOCK: &str = "select pg_advisory_unlock(hashtextextended($1::text || $2::bigint, 0))";

type Value<'a> = &'a (dyn ToSql + Sync);
type Parameter<'a> = (Value<'a>, Type);

/// The texts of the lease's statements.
#[derive(Debug)]
pub(super) struct LeaseText {
    look: String,
    create: String,
    take: String,
    renew: String,
    resign: String,
}

/// A lease on one relay's row.
pub(super) struct RowLease {
    connector: Connector,
    text: Arc<LeaseText>,
    relay: String,
    /// Random, for the life of this object; the row holds it behind `direct-` or `pooled-`.
    id: Uuid,
    lease: Duration,
    /// First half of the text whose hash is the session lock's key; the epoch is the second.
    key: String,
    session: Option<Direct>,
    held: Option<(i64, String)>,
    /// Whether the present session holds the lock of the held epoch.
    locked: bool,
}

// === impl LeaseText ===

impl LeaseText {
    pub(super) fn new(schema: &Schema) -> Self {
        Self {
            look: schema.render(include_str!("../../sql/queries/lease/look.sql")),
            create: schema.render(include_str!("../../sql/queries/lease/create.sql")),
            take: schema.render(include_str!("../../sql/queries/lease/take.sql")),
            renew: schema.render(include_str!("../../sql/queries/lease/renew.sql")),
            resign: schema.render(include_str!("../../sql/queries/lease/resign.sql")),
        }
    }
}

// === impl RowLease ===

impl RowLease {
    pub(super) fn new(connector: Connector, text: Arc<LeaseText>, schema: &Schema, place: (&str, Duration)) -> Self {
        let (relay, lease) = place;
        Self {
            connector,
            text,
            relay: relay.to_owned(),
            id: Uuid::new_v4(),
            lease,
            key: format!("twinbox.lease/{schema}/{relay}/"),
            session: None,
            held: None,
            locked: false,
        }
    }

    fn trust(&self) -> Duration {
        self.lease * TRUST_NUMERATOR / TRUST_DENOMINATOR
    }

    /// No call may outlive the trust that it is about.
    fn patience(&self) -> Duration {
        self.lease / TRUST_DENOMINATOR
    }

    fn mine(&self) -> [String; 2] {
        [format!("direct-{}", self.id), format!("pooled-{}", self.id)]
    }

    /// The session, a new one if the last is gone. Its loss takes the lock with it.
    async fn session(&mut self) -> Result<&Direct, StoreError> {
        if self.session.as_ref().is_none_or(|session| session.client().is_closed()) {
            self.locked = false;
            self.session = None;
            self.session = Some(self.connector.direct().await.map_err(|error| unreachable(&error))?);
        }
        self.session.as_ref().ok_or_else(silent)
    }

    async fn try_acquire(&mut self) -> Result<Option<Held>, StoreError> {
        let (relay, key, text, mine) = (
            self.relay.clone(),
            self.key.clone(),
            Arc::clone(&self.text),
            self.mine(),
        );
        let (lease, trust) = (self.lease.as_secs_f64(), self.trust());
        let direct = self.session().await?;
        let pooled = direct.pooled();
        let client = direct.client();
        let holder = &mine[usize::from(pooled)];
        let mine = &&mine[..];
        let look = [
            (&relay as Value<'_>, Type::TEXT),
            (mine, Type::TEXT_ARRAY),
            (&key, Type::TEXT),
        ];
        let mut rows = ask(client, &text.look, &look).await?;
        if rows.is_empty() {
            ask(client, &text.create, &look[..1]).await?;
            rows = ask(client, &text.look, &look).await?;
        }
        let Some(row) = rows.pop() else { return Ok(None) };
        let (epoch, free, orphaned): (i64, bool, bool) = (row.get(0), row.get(1), row.get(2));
        if !free && !orphaned {
            return Ok(None);
        }
        let take: [Parameter<'_>; 7] = [
            (&relay, Type::TEXT),
            (holder, Type::TEXT),
            (&lease, Type::FLOAT8),
            (&epoch, Type::INT8),
            (&orphaned, Type::BOOL),
            (mine, Type::TEXT_ARRAY),
            (&key, Type::TEXT),
        ];
        let taken = ask(client, &text.take, &take).await?.pop();
        if orphaned || free && !pooled {
            // The old epoch's lock: the dead holder's that was just taken, or our own of before.
            ask(client, UNLOCK, &[(&key, Type::TEXT), (&epoch, Type::INT8)]).await?;
        }
        let Some(row) = taken else { return Ok(None) };
        crate::point!("epoch.bumped");
        let (epoch, locked): (i64, bool) = (row.get(0), row.get(1));
        let holder = holder.clone();
        self.locked = locked;
        self.held = Some((epoch, holder.clone()));
        Ok(Some(Held {
            epoch: epoch.unsigned_abs(),
            holder,
            trust,
        }))
    }

    async fn try_renew(&mut self) -> Result<Duration, StoreError> {
        let Some((epoch, holder)) = self.held.clone() else {
            return Err(StoreError::Fenced);
        };
        let (relay, key, text) = (self.relay.clone(), self.key.clone(), Arc::clone(&self.text));
        let (lease, trust) = (self.lease.as_secs_f64(), self.trust());
        self.session().await?;
        let locked = self.locked;
        let renew: [Parameter<'_>; 6] = [
            (&relay, Type::TEXT),
            (&epoch, Type::INT8),
            (&holder, Type::TEXT),
            (&lease, Type::FLOAT8),
            (&locked, Type::BOOL),
            (&key, Type::TEXT),
        ];
        let renewed = ask(self.session().await?.client(), &text.renew, &renew).await?.pop();
        self.locked = renewed.ok_or(StoreError::Fenced)?.get(0);
        Ok(trust)
    }

    async fn try_resign(&mut self) -> Result<(), StoreError> {
        let Some((epoch, holder)) = self.held.take() else {
            return Err(StoreError::Fenced);
        };
        let (relay, key, text) = (self.relay.clone(), self.key.clone(), Arc::clone(&self.text));
        let client = self.session().await?.client();
        let resign: [Parameter<'_>; 3] = [(&relay, Type::TEXT), (&epoch, Type::INT8), (&holder, Type::TEXT)];
        let resigned = ask(client, &text.resign, &resign).await?;
        ask(client, UNLOCK, &[(&key, Type::TEXT), (&epoch, Type::INT8)]).await?;
        self.locked = false;
        if resigned.is_empty() {
            Err(StoreError::Fenced)
        } else {
            Ok(())
        }
    }

    /// A session that did not answer in time is given up: its outcome is unknown.
    fn in_time<T>(
        &mut self,
        answered: Result<Result<T, StoreError>, tokio::time::error::Elapsed>,
    ) -> Result<T, StoreError> {
        answered.unwrap_or_else(|_| {
            self.session = None;
            Err(silent())
        })
    }
}

impl Lease for RowLease {
    fn acquire(&mut self) -> Boxed<'_, Result<Option<Held>, StoreError>> {
        Box::pin(async move {
            let answered = tokio::time::timeout(self.patience(), self.try_acquire()).await;
            self.in_time(answered)
        })
    }

    fn renew(&mut self) -> Boxed<'_, Result<Duration, StoreError>> {
        Box::pin(async move {
            let answered = tokio::time::timeout(self.patience(), self.try_renew()).await;
            self.in_time(answered)
        })
    }

    fn resign(&mut self) -> Boxed<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let answered = tokio::time::timeout(self.patience(), self.try_resign()).await;
            self.in_time(answered)
        })
    }
}

/// One round trip without a prepared statement: the lease must work through every pooler.
async fn ask(client: &Client, text: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, StoreError> {
    client.query_typed(text, parameters).await.map_err(|error| away(&error))
}

fn silent() -> StoreError {
    reopen("lease", "the database did not answer about the lease in time")
}
