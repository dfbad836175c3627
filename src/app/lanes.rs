//! The lanes of this process's relays and consumers, for the admin port; and what is held back, for their engines.
//!
//! Promises: an engine hears of a pause within [`LOOK_EVERY`] while its database is reachable; while it is not, what was known
//! last goes on to hold.

use deadpool::managed;
use tokio::sync::watch;

use super::desk::{entry, refused, unconnected};
use crate::contract::Boxed;
use crate::delivery::Failure;
use crate::flow::{Pause, Pauses};
use crate::message::Key;
use crate::operate::lanes::{Board, LOOK_EVERY, LaneEntry, LaneError, Order, PauseEntry};
use crate::operate::letters::Entry;
use crate::postgres::desk::{self, Blocked, Paused, Selection};
use crate::postgres::{Connector, Pool, Schema};

/// One for the engine's look, one for whoever asks.
const CONNECTIONS: usize = 2;

/// The lanes of one relay or consumer.
#[derive(Debug, Clone)]
pub struct PostgresBoard {
    side: &'static str,
    owner: String,
    pool: Pool,
    desk: desk::Desk,
}

// === impl PostgresBoard ===

impl PostgresBoard {
    /// Opens no connection yet. `whose` is `relay` or `consumer`, and its name.
    ///
    /// # Errors
    /// None in practice, as [`Connector::pool`].
    pub fn new(connector: &Connector, schema: Schema, whose: (&'static str, &str)) -> Result<Self, String> {
        let pool = connector.pool(CONNECTIONS).map_err(|error| error.to_string())?;
        let (side, owner) = (whose.0, whose.1.to_owned());
        let desk = desk::Desk::new(schema);
        Ok(Self {
            side,
            owner,
            pool,
            desk,
        })
    }

    fn whose(&self) -> desk::Whose<'_> {
        (self.side, &self.owner)
    }

    async fn client(&self) -> Result<managed::Object<Connector>, Failure> {
        Box::pin(self.pool.get()).await.map_err(unconnected)
    }

    async fn all_pauses(&self) -> Result<Vec<Paused>, Failure> {
        let client = self.client().await?;
        self.desk.pauses(&client, self.whose()).await.map_err(refused)
    }

    async fn entries(&self, key: Option<String>, limit: u32) -> Result<Vec<LaneEntry>, Failure> {
        let pauses = self.all_pauses().await?;
        let client = self.client().await?;
        let of = key.as_deref().map(Key::from);
        let blocked = self.desk.stored(&client, self.whose(), (of.as_ref(), i64::from(limit)));
        let blocked = blocked.await.map_err(refused)?;
        let whole = pauses.iter().find(|pause| pause.key.is_none());
        let wanted = |pause: &&Paused| of.is_none() || pause.key.is_none() || pause.key == of;
        // A pause of which nothing is stored is an entry of its own.
        let bare = pauses.iter().filter(wanted).filter(|pause| {
            let holds = |lane: &Blocked| pause.key.is_some() && lane.key.as_deref().map(Key::from) == pause.key;
            !blocked.iter().any(holds)
        });
        let bare = bare.map(|pause| self.of_pause(pause));
        let lanes = blocked.iter().map(|lane| {
            let own = lane.key.as_deref().map(Key::from);
            let own = pauses.iter().find(|pause| pause.key.is_some() && pause.key == own);
            self.of_lane(lane, (own, whole))
        });
        let mut entries: Vec<LaneEntry> = bare.chain(lanes).collect();
        for entry in &mut entries {
            entry.hint = entry.hint();
        }
        Ok(entries)
    }

    fn of_pause(&self, pause: &Paused) -> LaneEntry {
        LaneEntry {
            side: self.side.to_owned(),
            owner: self.owner.clone(),
            lane: None,
            key: pause.key.as_ref().map(text),
            state: "paused".to_owned(),
            cause: None,
            attempts: 0,
            letters: 0,
            since: Some(pause.since),
            next_try: None,
            error: None,
            paused: Some(told(pause)),
            hint: String::new(),
            stored: None,
        }
    }

    fn of_lane(&self, lane: &Blocked, (own, whole): (Option<&Paused>, Option<&Paused>)) -> LaneEntry {
        let pause = own.or(whole);
        let state = match lane.cause.as_str() {
            _ if own.is_some() => "paused",
            "rejected" => "parked",
            "destination" => "deferred",
            _ => "scheduled",
        };
        let error = lane.error.clone();
        LaneEntry {
            side: self.side.to_owned(),
            owner: self.owner.clone(),
            lane: Some(lane.lane.clone()),
            key: lane.key.as_deref().map(Key::from).as_ref().map(text),
            state: state.to_owned(),
            cause: Some(lane.cause.clone()),
            attempts: lane.attempts.unsigned_abs(),
            letters: lane.letters.unsigned_abs(),
            since: lane.since,
            next_try: lane.due.filter(|_| pause.is_none()),
            error: error.map(|(kind, code, message)| LaneError { kind, code, message }),
            paused: pause.map(told),
            hint: String::new(),
            stored: None,
        }
    }
}

fn text(key: &Key) -> String {
    super::desk::readable(key.as_bytes())
}

fn told(pause: &Paused) -> PauseEntry {
    PauseEntry {
        by: pause.by.clone(),
        reason: pause.reason.clone(),
        since: pause.since,
    }
}

fn split(order: Order) -> (Option<Key>, desk::Order) {
    let Order { key, by, reason, .. } = order;
    (key.as_deref().map(Key::from), desk::Order { actor: by, reason })
}

impl Board for PostgresBoard {
    fn pauses(&self) -> Boxed<'_, Result<Pauses, Failure>> {
        Box::pin(async {
            let mut held = Pauses::none();
            for pause in self.all_pauses().await? {
                let Paused { key, by, reason, since } = pause;
                match key {
                    Some(key) => drop(held.keys.insert(key)),
                    None => held.whole = Some(Pause { by, reason, since }),
                }
            }
            Ok(held)
        })
    }

    fn stored(&self, key: Option<String>, limit: u32) -> Boxed<'_, Result<Vec<LaneEntry>, Failure>> {
        Box::pin(self.entries(key, limit))
    }

    fn letters(&self, key: String, limit: u32) -> Boxed<'_, Result<Vec<(String, Entry)>, Failure>> {
        Box::pin(async move {
            let selection = Selection {
                owner: Some(self.owner.clone()),
                key: Some(key),
                ..Selection::default()
            };
            let client = self.client().await?;
            let listed = self.desk.list(&client, &selection, (0, i64::from(limit)));
            let listed = listed.await.map_err(refused)?.into_iter();
            let own = listed.filter(|letter| letter.side == self.side);
            Ok(own.map(|letter| (letter.lane.clone(), entry(letter))).collect())
        })
    }

    fn pause(&self, order: Order) -> Boxed<'_, Result<bool, Failure>> {
        Box::pin(async move {
            let (key, order) = split(order);
            let mut client = self.client().await?;
            let paused = self.desk.pause(&mut client, self.whose(), (key.as_ref(), &order));
            paused.await.map_err(refused)
        })
    }

    fn resume(&self, order: Order) -> Boxed<'_, Result<bool, Failure>> {
        Box::pin(async move {
            let (key, order) = split(order);
            let mut client = self.client().await?;
            let resumed = self.desk.resume(&mut client, self.whose(), (key.as_ref(), &order));
            resumed.await.map_err(refused)
        })
    }
}

/// Tells an engine what is held back, as long as it listens.
pub async fn tell(name: String, board: std::sync::Arc<dyn Board>, engine: watch::Sender<Pauses>) {
    let mut failing = false;
    while !engine.is_closed() {
        match board.pauses().await {
            Ok(pauses) => {
                failing = false;
                let changed = engine.send_if_modified(|known| {
                    let differs = *known != pauses;
                    *known = pauses;
                    differs
                });
                if changed {
                    say(&name, &engine.borrow());
                }
            }
            // Whoever works with the database tells that it is away.
            Err(failure) if !std::mem::replace(&mut failing, true) && !engine.borrow().known => {
                tracing::warn!(name, %failure, "what is paused cannot be read: nothing is handed over until it is");
            }
            Err(failure) => tracing::debug!(name, %failure, "what is paused cannot be read"),
        }
        tokio::select! {
            () = engine.closed() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

fn say(name: &str, pauses: &Pauses) {
    let keys = pauses.keys.len();
    match &pauses.whole {
        Some(Pause { by, reason, since }) => {
            let reason = reason.as_deref().unwrap_or_default();
            tracing::warn!(name, by, reason, %since, keys, "paused by an operator; `twinbox lanes resume` lets it go on");
        }
        None if keys > 0 => tracing::warn!(name, keys, "keys are paused by an operator"),
        None => tracing::debug!(name, "nothing is paused"),
    }
}
