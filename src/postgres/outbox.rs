//! One relay's place in a database: lease, cursor and letters, over the same row of `relay_cursor`.
//!
//! Promises: as [`Outbox`] says. The identity of the database is checked at every opening, so at every reconnect too.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::answer::{away, plain, unreachable};
use super::connect::{Connector, Direct, Pool};
use super::cursor::{
    CursorSource, CursorText, History, Identity, Parts, ROUTE, Shared, TIMELINE, floorless, route_changed,
};
use super::destinations::{DestinationsText, RelayDestinations};
use super::fence::Fence;
use super::identifier::Schema;
use super::lease::{LeaseText, RowLease};
use super::letters::{Letters, LettersText, RelaySide, Side, Whose};
use super::progress::{Window, Windows};
use super::retention::{Retention, RetentionText};
use super::wake::Wake;
use crate::contract::{Boxed, Held, Lease, Opened, Outbox, StoreError};

/// Where a relay begins that was never started before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// With the oldest row that is there.
    #[default]
    Earliest,
    /// With what commits from now on.
    Latest,
}

/// What a relay is to its database.
#[derive(Debug, Clone)]
pub struct RelayOptions {
    /// Its name, which is its identity for ever.
    pub name: String,
    /// Where our tables live.
    pub schema: Schema,
    /// Where it begins.
    pub start: Start,
    /// Whether it sleeps until a writer notifies, where the trigger is installed and the connection is direct.
    pub wake: bool,
    /// How long a holder that is not heard of keeps the lease.
    pub lease: Duration,
    /// Memory for messages: a message that costs more comes with its body withheld.
    pub bytes: usize,
    /// How long settled rows are kept; none = for ever. The longest of all relays wins.
    pub retention: Option<Duration>,
    /// Whether partitions are dropped instead of rows deleted; the outbox must be made of them.
    pub partitions: bool,
    /// The route as text: with open letters it must be the one under which they were stored (S36).
    pub route: Option<String>,
}

/// A relay's place in a PostgreSQL database.
#[derive(Debug, Clone)]
pub struct PostgresOutbox {
    connector: Connector,
    pool: Pool,
    options: Arc<RelayOptions>,
    texts: Arc<Texts>,
}

#[derive(Debug)]
struct Texts {
    cursor: CursorText,
    lease: Arc<LeaseText>,
    letters: Arc<LettersText>,
    destinations: Arc<DestinationsText>,
    retention: Arc<RetentionText>,
}

// === impl PostgresOutbox ===

impl PostgresOutbox {
    /// `connector` gives the lease and the source a connection each; letters take theirs from `pool`.
    #[must_use]
    pub fn new(connector: Connector, pool: Pool, options: RelayOptions) -> Self {
        let texts = Texts {
            cursor: CursorText::new(&options.schema),
            lease: Arc::new(LeaseText::new(&options.schema)),
            letters: Arc::new(LettersText::new(&options.schema)),
            destinations: Arc::new(DestinationsText::new(&options.schema)),
            retention: Arc::new(RetentionText::new(&options.schema)),
        };
        Self {
            connector,
            pool,
            options: Arc::new(options),
            texts: Arc::new(texts),
        }
    }

    /// Retention under a lease: the holder steps it beside its other work.
    #[must_use]
    pub fn retention(&self, held: &Held) -> Retention {
        Retention {
            pool: self.pool.clone(),
            text: Arc::clone(&self.texts.retention),
            fence: Fence::new(&self.options.name, held),
            retention: self.options.retention,
            partitions: self.options.partitions,
        }
    }

    async fn open_under(&self, held: &Held) -> Result<Opened, StoreError> {
        let fence = Fence::new(&self.options.name, held);
        let direct = self.connector.direct().await.map_err(|error| unreachable(&error))?;
        let identity = self.identify(direct.client(), &fence).await?;
        let history = self.history(direct.client(), &identity).await?;
        self.check_route(direct.client(), &identity).await?;
        if self.options.partitions && !identity.partitioned {
            return Err(plain(&self.options.schema));
        }
        self.bind(direct.client(), &fence, (&identity, &history)).await?;
        let shared = Shared::new(self.load(direct.client(), &history).await?);
        crate::point!("cursor.loaded");
        if shared.windows().has_open() {
            crate::point!("window.found");
        }
        let source = self.source(direct, &fence, (&identity, &shared)).await?;
        let letters = Letters {
            pool: self.pool.clone(),
            text: Arc::clone(&self.texts.letters),
            whose: Whose {
                side: "relay",
                owner: fence.relay.clone(),
                lanes: String::new(),
                holder: fence.holder.clone(),
            },
            side: Side::Relay(RelaySide {
                text: Arc::clone(&self.texts.letters),
                fence: fence.clone(),
                shared,
                columns: source.columns(),
            }),
            bytes_max: self.options.bytes,
        };
        let destinations = RelayDestinations {
            pool: self.pool.clone(),
            text: Arc::clone(&self.texts.destinations),
            fence,
        };
        Ok(Opened {
            source: Box::new(source),
            letters: Arc::new(letters),
            destinations: Arc::new(destinations),
            upkeep: Arc::new(self.retention(held)),
            told: history.told.into_iter().collect(),
        })
    }

    async fn identify(&self, client: &Client, fence: &Fence) -> Result<Identity, StoreError> {
        let Fence { relay, epoch, holder } = fence;
        let row = client
            .query_opt(&self.texts.cursor.identity, &[relay, epoch, holder])
            .await
            .map_err(|error| away(&error))?
            .ok_or(StoreError::Fenced)?;
        Identity::of(&row).map_err(|error| away(&error))
    }

    /// An old primary that came back is gone on with only when an operator said so.
    async fn history(&self, client: &Client, identity: &Identity) -> Result<History, StoreError> {
        match identity.history(&self.options.name) {
            Err(StoreError::Incident { kind, .. }) if kind == TIMELINE && self.accepted(client, kind).await? => {
                Ok(identity.history_accepted())
            }
            history => history,
        }
    }

    /// Whether an operator accepted that kind of incident since the last time it was asked.
    async fn accepted(&self, client: &Client, kind: &str) -> Result<bool, StoreError> {
        let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&self.options.name, Type::TEXT), (&kind, Type::TEXT)];
        let rows = client.query_typed(&self.texts.cursor.accepted, &parameters).await;
        Ok(!rows.map_err(|error| away(&error))?.is_empty())
    }

    /// S36: live messages of another route would overtake the open letters of their keys.
    async fn check_route(&self, client: &Client, identity: &Identity) -> Result<(), StoreError> {
        let (Some(configured), Some(stored)) = (&self.options.route, &identity.route) else {
            return Ok(());
        };
        if configured == stored || !identity.letters {
            return Ok(());
        }
        let name = &self.options.name;
        if !self.accepted(client, ROUTE).await? {
            return Err(route_changed(name, stored, configured));
        }
        Ok(())
    }

    async fn bind(
        &self,
        client: &Client,
        fence: &Fence,
        (identity, history): (&Identity, &History),
    ) -> Result<(), StoreError> {
        let Fence { relay, epoch, holder } = fence;
        if history.first {
            let latest = self.options.start == Start::Latest;
            client
                .execute(&self.texts.cursor.first_window, &[relay, epoch, holder, &latest])
                .await
                .map_err(|error| away(&error))?;
        }
        let own = identity.own();
        let route = self.options.route.as_ref().or(identity.route.as_ref());
        let retention = self.options.retention.map(|retention| retention.as_secs_f64());
        let bound = client
            .query_opt(
                &self.texts.cursor.bind,
                &[
                    relay,
                    epoch,
                    holder,
                    &own.system_id,
                    &own.database,
                    &own.timeline,
                    &history.position_epoch,
                    &route,
                    &retention,
                ],
            )
            .await
            .map_err(|error| away(&error))?;
        bound.map(drop).ok_or(StoreError::Fenced)
    }

    async fn load(&self, client: &Client, history: &History) -> Result<Windows, StoreError> {
        let name = &self.options.name;
        let rows = client
            .query(&self.texts.cursor.windows, &[name])
            .await
            .map_err(|error| away(&error))?
            .iter()
            .map(|row| Window::new(row.get(0), Arc::new(row.get(1)), row.get(2)))
            .collect();
        Windows::load(history.position_epoch.unsigned_abs(), rows).ok_or_else(|| floorless(name))
    }

    async fn source(
        &self,
        direct: Direct,
        fence: &Fence,
        (identity, shared): (&Identity, &Arc<Shared>),
    ) -> Result<CursorSource, StoreError> {
        let trigger = identity.trigger().filter(|_| self.options.wake);
        let wake = Wake::new(&direct, trigger).await.map_err(|error| away(&error))?;
        let parts = Parts {
            direct,
            fence: fence.clone(),
            shared: Arc::clone(shared),
            wake,
            bytes_max: self.options.bytes,
        };
        CursorSource::new(parts, &self.texts.cursor).await
    }
}

impl Outbox for PostgresOutbox {
    fn lease(&self) -> Box<dyn Lease> {
        let place = (self.options.name.as_str(), self.options.lease);
        Box::new(RowLease::new(
            self.connector.clone(),
            Arc::clone(&self.texts.lease),
            &self.options.schema,
            place,
        ))
    }

    fn open(&self, held: &Held) -> Boxed<'_, Result<Opened, StoreError>> {
        let held = held.clone();
        Box::pin(async move { self.open_under(&held).await })
    }
}
