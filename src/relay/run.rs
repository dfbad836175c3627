//! The relay's life: standby, leading, leaving; standing by between terms.
//!
//! Promises: an engine never ends because of an outage; it ends drained, or halted with a sentence for a person. What was
//! handed over is answered or purged before the lease is given up, and the lease is given up last.
//!
//! # Cancellation
//!
//! [`run`] is awaited to its end; a process that is killed instead is what the write-ahead window is for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::keeper::{self, Keeper};
use super::lead::{self, Left};
use super::pulses::Pulses;
use super::status::{RelayState, Status};
use crate::contract::{Broker, Held, Lease, Outbox, StoreError};
use crate::delivery::{Failure, FailureKind};
use crate::flow::clock::{backoff, beating, now};
use crate::flow::{LastError, Loss, Pauses, Settings};
use crate::telemetry::{Meters, Running, Spans};

/// How often a standby tries for the lease: half of what a hand-over may take after the leader's session is gone.
const STANDBY_EVERY: Duration = Duration::from_millis(500);
/// The first and the longest wait between attempts while the database is away.
const AWAY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// What a relay needs of the world.
pub struct Engine {
    /// Its identity.
    pub name: String,
    /// Its place in the database.
    pub outbox: Arc<dyn Outbox>,
    /// Where it publishes.
    pub broker: Arc<dyn Broker>,
    /// New settings for each time it leads.
    pub settings: Box<dyn Fn() -> Settings + Send + Sync>,
    /// The lease's length.
    pub lease: Duration,
    /// What it counts and times.
    pub meters: Meters,
    /// What it does in batches, for a collector.
    pub spans: Spans,
    /// Whether its loops turn.
    pub pulses: Pulses,
}

/// How the process steers it and hears of it.
#[derive(Debug)]
pub struct Control {
    /// True = drain.
    pub drain: watch::Receiver<bool>,
    /// How long a drain may take.
    pub drain_deadline: Duration,
    /// What an operator holds back.
    pub pauses: watch::Receiver<Pauses>,
    /// What it tells about itself.
    pub status: watch::Sender<Status>,
}

/// How a relay ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Asked to, and done.
    Drained,
    /// Asked to, but the deadline came first: what was in flight is replayed by the next holder.
    DeadlinePassed,
    /// Only a person can decide how to go on.
    Halted {
        /// What happened and what to type.
        sentence: String,
    },
}

/// Runs a relay until it is drained or halts.
pub async fn run(engine: Engine, mut control: Control) -> Outcome {
    let turns = engine.pulses.turns.running(now());
    let mut failures = 0_u32;
    loop {
        let Some((lease, held, asked_at)) = stand_by(&engine, &turns, &mut control).await else {
            return Outcome::Drained;
        };
        crate::point!("lease.acquired");
        tracing::info!(relay = engine.name, epoch = held.epoch, "lease taken");
        let keeper = keeper::keep((lease, &engine.pulses.lease), engine.lease, asked_at + held.trust);
        let began = now();
        let left = lead::lead(&engine, &mut control, (&held, &keeper, &turns)).await;
        match beating(&turns, leave(&engine, &control, left, keeper)).await {
            Some(outcome) => return outcome,
            None if began.elapsed() < AWAY.1 => failures = failures.saturating_add(1),
            None => failures = 0,
        }
        if failures > 0 {
            beating(&turns, pause(&mut control, backoff(failures, AWAY))).await;
        }
    }
}

/// Ends a term: the lease is resigned only when nothing of ours can still write.
async fn leave(engine: &Engine, control: &Control, left: Left, keeper: Keeper) -> Option<Outcome> {
    control.status.send_modify(Status::forget_work);
    match left {
        Left::Drained => {
            crate::point!("drain.confirmed");
            keeper.resign().await;
            Some(Outcome::Drained)
        }
        Left::DeadlinePassed => {
            keeper.resign().await;
            Some(Outcome::DeadlinePassed)
        }
        Left::Accepted => {
            tracing::info!(relay = engine.name, "an operator accepted the change; going on");
            keeper.resign().await;
            None
        }
        Left::LeaseLost => {
            crate::point!("lease.lost");
            tracing::warn!(relay = engine.name, "lease lost; standing by");
            keeper.stop();
            None
        }
        Left::Away(failure) => {
            tell_failure(engine, control, &failure);
            keeper.resign().await;
            None
        }
        Left::Halted(sentence) => {
            keeper.resign().await;
            control.status.send_modify(|status| {
                status.state = RelayState::Halted;
                status.last_error = Some(LastError::now("halt", &sentence));
            });
            Some(Outcome::Halted { sentence })
        }
    }
}

/// Tries for the lease until it is ours; none when asked to drain.
async fn stand_by(engine: &Engine, turns: &Running, control: &mut Control) -> Option<(Box<dyn Lease>, Held, Instant)> {
    let mut lease = engine.outbox.lease();
    let mut failures = 0_u32;
    loop {
        if *control.drain.borrow() {
            return None;
        }
        let asked_at = now();
        let wait = match beating(turns, lease.acquire()).await {
            Ok(Some(held)) => return Some((lease, held, asked_at)),
            Ok(None) => {
                failures = 0;
                enter_standby(engine, control);
                STANDBY_EVERY
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                tell_store_error(engine, control, &error);
                backoff(failures, AWAY)
            }
        };
        beating(turns, pause(control, wait)).await;
    }
}

fn enter_standby(engine: &Engine, control: &Control) {
    control.status.send_if_modified(|status| {
        let entered = status.state != RelayState::Standby;
        if entered {
            tracing::info!(relay = engine.name, "standing by: another process leads");
            status.forget_work();
            (status.lanes, status.letters) = Default::default();
        }
        status.state = RelayState::Standby;
        status.ready = true;
        let had_error = status.last_error.take().is_some();
        entered || had_error
    });
}

/// Sleeps, but not into a drain.
async fn pause(control: &mut Control, wait: Duration) {
    let asked = control.drain.wait_for(|drain| *drain);
    // A closed channel means that nobody can ask any more: then time alone ends the pause.
    let _ = tokio::time::timeout(wait, asked).await;
}

/// Says a store's error once, and keeps it where `/status` shows it.
pub(super) fn tell_store_error(engine: &Engine, control: &Control, error: &StoreError) {
    match error {
        StoreError::Fenced => {}
        StoreError::Away(failure) => tell_failure(engine, control, failure),
        StoreError::Incident {
            kind,
            from,
            to,
            sentence,
        } => {
            control.status.send_modify(|status| {
                status.last_error = Some(LastError::now(kind, sentence));
                if Loss::keep(&mut status.loss_suspected, (*kind, from, to)) {
                    tracing::error!(relay = engine.name, event = kind, kind, from, to, "{sentence}");
                }
            });
        }
    }
}

/// Says a failure when it is news, and keeps it where `/status` shows it.
pub(super) fn tell_failure(engine: &Engine, control: &Control, failure: &Failure) {
    control.status.send_modify(|status| {
        if LastError::keep(&mut status.last_error, failure) {
            tracing::warn!(relay = engine.name, kind = failure.kind.as_str(), code = %failure.code, "{failure}");
        }
        status.ready &= !matches!(failure.kind, FailureKind::Unreachable | FailureKind::Transient);
        if status.state == RelayState::Standby {
            status.state = RelayState::Blocked;
        }
    });
}

/// Says that the broker is back.
pub(super) fn tell_broker_back(engine: &Engine, control: &Control) {
    tracing::info!(relay = engine.name, "broker reachable again");
    control.status.send_modify(|status| {
        status.ready = true;
        status.last_error = None;
    });
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("name", &self.name)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}
