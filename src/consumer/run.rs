//! The consumer's life: subscribed, working, leaving; what its streams share.
//!
//! Promises: an engine never ends because of an outage; it ends drained, or halted with a sentence for a person. The group is left
//! only after every stream is handed back.
//!
//! # Cancellation
//!
//! [`run`] is awaited to its end; a process that is killed instead is what claims and the inbox are for.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use super::beside;
use super::budget::{Budget, Limits};
use super::dead::Dead;
use super::status::{ConsumerState, Status, StreamStatus};
use super::stream::{self, Ended};
use crate::contract::{
    Boxed, Broker, Claim, Fence, Happening, Health, Inbox, Incident, Processor, Start, StoreError, StreamName,
    Subscriber, Subscription,
};
use crate::delivery::Failure;
use crate::flow::clock::{backoff, beating, now, wall_clock};
use crate::flow::{LastError, Loss, Pauses, Settings};
use crate::telemetry::{ConsumerSpans, Pulse, Running};

/// Waits between attempts to subscribe, and of claims that the database did not take.
const AWAY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// How often streams' parts become the consumer's status.
const REPORT_EVERY: Duration = Duration::from_millis(200);
/// How long leaving the group may take beside the drain.
const CLOSE_DEADLINE: Duration = Duration::from_secs(3);

/// What a consumer needs of the world.
pub struct Engine {
    /// Its identity.
    pub name: String,
    /// Where deliveries come from.
    pub subscriber: Arc<dyn Subscriber>,
    /// Its place in the database.
    pub inbox: Arc<dyn Inbox>,
    /// Who makes effects durable.
    pub processor: Arc<dyn Processor>,
    /// Where dead letters go, under `on_reject: dead_letter`.
    pub broker: Option<Arc<dyn Broker>>,
    /// New settings for each term of a stream.
    pub settings: Box<dyn Fn(&StreamName) -> Settings + Send + Sync>,
    /// Where a stream without a position of record begins.
    pub start: Start,
    /// What all streams may hold together.
    pub limits: Limits,
    /// How long a call may take whose effect nothing keeps out once its owner is fenced: what a successor waits for after a
    /// death.
    pub call: Duration,
    /// What it does, for a collector.
    pub spans: ConsumerSpans,
    /// Whether its loops turn.
    pub pulse: Pulse,
}

/// What a process wants of a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Consume.
    Consume,
    /// Leave the group, and stay.
    Drain,
    /// Leave the group, and end.
    Stop,
}

/// How the process steers it and hears of it.
#[derive(Debug)]
pub struct Control {
    /// What is wanted.
    pub wanted: watch::Receiver<Wanted>,
    /// How long a drain may take.
    pub drain_deadline: Duration,
    /// What an operator holds back.
    pub pauses: watch::Receiver<Pauses>,
    /// What it tells about itself.
    pub status: watch::Sender<Status>,
}

/// How a consumer ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Asked to, and done.
    Drained,
    /// Only a person can decide how to go on.
    Halted {
        /// What happened and what to type.
        sentence: String,
    },
}

/// What all streams of a consumer share.
pub(super) struct Shared {
    pub(super) engine: Engine,
    pub(super) budget: Budget,
    pub(super) dead: Dead,
    pub(super) drain_deadline: Duration,
    pub(super) processed: AtomicU64,
    pub(super) deduplicated: AtomicU64,
    pub(super) reordered: AtomicU64,
    /// Streams that an operator has moved, with their epochs.
    pub(super) moves: watch::Sender<BTreeMap<StreamName, i64>>,
    wanted: watch::Receiver<Wanted>,
    pub(super) pauses: watch::Receiver<Pauses>,
    /// Whether the application answers its probe.
    open: watch::Sender<bool>,
    permits: Arc<Semaphore>,
    streams: Mutex<BTreeMap<StreamName, StreamStatus>>,
    flows: Mutex<Option<Instant>>,
    status: watch::Sender<Status>,
}

/// How a membership ends.
enum Left {
    Asked,
    Ended(Failure),
    Halted(String),
}

/// Runs a consumer until it is stopped or halts.
pub async fn run(engine: Engine, control: Control) -> Outcome {
    let permits = engine.processor.capacity().concurrency.max(1);
    let shared = Arc::new(Shared {
        budget: Budget::new(engine.limits),
        dead: Dead::new(engine.broker.clone(), Arc::clone(&engine.inbox)),
        drain_deadline: control.drain_deadline,
        processed: AtomicU64::new(0),
        deduplicated: AtomicU64::new(0),
        reordered: AtomicU64::new(0),
        moves: watch::Sender::default(),
        wanted: control.wanted,
        pauses: control.pauses,
        open: watch::channel(true).0,
        permits: Arc::new(Semaphore::new(permits)),
        streams: Mutex::default(),
        flows: Mutex::default(),
        status: control.status,
        engine,
    });
    let outcome = tokio::select! {
        outcome = live(&shared) => outcome,
        never = beside::tidy(&shared) => match never {},
        never = beside::watch_health(&shared) => match never {},
        never = beside::watch_moves(&shared) => match never {},
    };
    shared.dead.close().await;
    outcome
}

/// Subscribed as long as that is wanted, and again after each end that nobody asked for.
async fn live(shared: &Arc<Shared>) -> Outcome {
    let turns = shared.turns();
    let mut wanted = shared.wanted.clone();
    let mut failures = 0;
    loop {
        let now_wanted = *wanted.borrow_and_update();
        match now_wanted {
            Wanted::Stop => return Outcome::Drained,
            Wanted::Drain => {
                shared
                    .status
                    .send_modify(|status| status.state = ConsumerState::Drained);
                // A closed channel means that nobody can ask any more.
                if beating(&turns, wanted.changed()).await.is_err() {
                    return Outcome::Drained;
                }
                continue;
            }
            Wanted::Consume => {}
        }
        let began = now();
        match join(shared, &turns).await {
            Left::Asked => {
                failures = 0;
                continue;
            }
            Left::Halted(sentence) => {
                shared.show_error("halt", &sentence);
                shared.status.send_modify(|status| status.state = ConsumerState::Halted);
                return Outcome::Halted { sentence };
            }
            Left::Ended(failure) => {
                shared.tell_failure(&failure);
                failures = if began.elapsed() < AWAY.1 { failures + 1 } else { 1 };
            }
        }
        // Whatever ends the wait, what is wanted is looked at.
        let _ = beating(&turns, tokio::time::timeout(backoff(failures, AWAY), wanted.changed())).await;
    }
}

/// One membership, from a look at the handler to the end of it.
async fn join(shared: &Arc<Shared>, turns: &Running) -> Left {
    if let Err(failure) = beating(turns, shared.engine.processor.check()).await {
        shared
            .status
            .send_modify(|status| status.state = ConsumerState::Blocked);
        return Left::Ended(failure);
    }
    let subscription = match beating(turns, shared.engine.subscriber.subscribe()).await {
        Ok(subscription) => subscription,
        Err(failure) => return Left::Ended(failure),
    };
    let left = member(shared, subscription.as_ref(), turns).await;
    crate::point!("group.leaving");
    beating(turns, subscription.close(CLOSE_DEADLINE)).await;
    crate::point!("group.left");
    left
}

/// A membership: tends what is assigned until it is to be left.
async fn member(shared: &Arc<Shared>, subscription: &dyn Subscription, turns: &Running) -> Left {
    let mut tasks = JoinSet::new();
    let mut left = None;
    let mut report = tokio::time::interval(REPORT_EVERY);
    loop {
        turns.beat(now());
        let leaving = left.is_some();
        if leaving && tasks.is_empty() {
            shared.report();
            return left.unwrap_or(Left::Asked);
        }
        tokio::select! {
            biased;
            () = shared.drain_asked(), if !leaving => {
                shared.status.send_modify(|status| status.state = ConsumerState::Draining);
                left = Some(Left::Asked);
            }
            Some(ended) = tasks.join_next() => match ended {
                Ok(Ended::Gone) => {}
                Ok(Ended::Halted(sentence)) => {
                    tasks.abort_all();
                    left = Some(Left::Halted(sentence));
                }
                Err(error) if error.is_cancelled() => {}
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            },
            happening = subscription.next() => match happening {
                Happening::Assigned(streams) => {
                    for stream in streams {
                        crate::point!("assigned");
                        tracing::info!(consumer = shared.engine.name, stream = %stream.name(), "stream assigned");
                        tasks.spawn(stream::tend(Arc::clone(shared), stream));
                    }
                    shared.running();
                }
                Happening::Told(incident) => shared.tell(&incident),
                Happening::Health(Health::Away(failure)) => shared.tell_failure(&failure),
                Happening::Health(Health::Up) => shared.clear_error(),
                Happening::Ended(failure) => {
                    tasks.abort_all();
                    left = Some(Left::Ended(failure));
                }
            },
            _ = report.tick() => shared.report(),
        }
    }
}

// === impl Shared ===

impl Shared {
    /// One more loop of this consumer turns.
    pub(super) fn turns(&self) -> Running {
        self.engine.pulse.running(now())
    }

    /// Everything is to be handed back.
    pub(super) fn drains(&self) -> bool {
        *self.wanted.borrow() != Wanted::Consume
    }

    /// Waits for that; a channel that is closed asks for nothing any more.
    pub(super) async fn drain_asked(&self) {
        let mut wanted = self.wanted.clone();
        if wanted.wait_for(|wanted| *wanted != Wanted::Consume).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until one more batch may be called for.
    pub(super) fn permit(&self) -> Boxed<'static, OwnedSemaphorePermit> {
        let (permits, mut open) = (Arc::clone(&self.permits), self.open.subscribe());
        Box::pin(async move {
            // Neither is closed while a stream is tended.
            let _ = open.wait_for(|open| *open).await;
            match permits.acquire_owned().await {
                Ok(permit) => permit,
                Err(_) => std::future::pending().await,
            }
        })
    }

    /// Signs a claim, however long the database is away.
    pub(super) async fn sign(&self, fence: &Fence, claim: Claim, time: Duration) -> Result<(), StoreError> {
        let mut failures = 0;
        loop {
            match self.engine.inbox.claim(fence, claim, time).await {
                Err(StoreError::Away(failure)) => {
                    self.tell_failure(&failure);
                    failures += 1;
                    tokio::time::sleep(backoff(failures, AWAY)).await;
                }
                answer => return answer,
            }
        }
    }

    /// When an effect became durable last, in any stream.
    pub(super) fn last_success(&self) -> Option<Instant> {
        *self.flows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn succeeded(&self, at: Instant) {
        *self.flows.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }

    /// The application's probe has answered.
    pub(super) fn application_is(&self, health: Result<(), Failure>) {
        let was_open = self.open.send_replace(health.is_ok());
        match health {
            Err(failure) => self.tell_failure(&failure),
            Ok(()) if !was_open => self.clear_error(),
            Ok(()) => {}
        }
    }

    /// Changes a stream's part of the status.
    pub(super) fn stream(&self, name: &StreamName, change: impl FnOnce(&mut StreamStatus)) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        change(streams.entry(name.clone()).or_default());
    }

    pub(super) fn forget(&self, name: &StreamName) {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Something was assigned, or works again.
    pub(super) fn running(&self) {
        self.status.send_if_modified(|status| {
            let starts = matches!(
                status.state,
                ConsumerState::Starting | ConsumerState::Drained | ConsumerState::Blocked
            );
            if starts {
                status.state = ConsumerState::Running;
            }
            std::mem::replace(&mut status.ready, true) || starts
        });
        // The state and the streams that it speaks of are shown together.
        self.report();
    }

    fn report(&self) {
        let streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let processed = self.processed.load(Ordering::Relaxed);
        let deduplicated = self.deduplicated.load(Ordering::Relaxed);
        let closed = !*self.open.borrow();
        let paused = self.pauses.borrow().whole.clone();
        self.status.send_modify(|status| {
            (status.streams, status.processed, status.deduplicated) = (streams, processed, deduplicated);
            status.reordered = self.reordered.load(Ordering::Relaxed);
            status.settle_state();
            status.breaker_open |= closed;
            if (closed || paused.is_some()) && status.state == ConsumerState::Running {
                status.state = ConsumerState::Paused;
            }
            status.paused = paused;
        });
    }

    /// How long ago that was, by people's clocks.
    pub(super) fn age(at: Timestamp) -> Option<Duration> {
        Duration::try_from(wall_clock().duration_since(at)).ok()
    }

    pub(super) fn show_error(&self, kind: &str, message: &str) {
        self.status
            .send_modify(|status| status.last_error = Some(LastError::now(kind, message)));
    }

    pub(super) fn clear_error(&self) {
        self.status.send_modify(|status| {
            status.ready = true;
            status.last_error = None;
        });
    }

    /// Says a failure when it is news, and keeps it where `/status` shows it.
    pub(super) fn tell_failure(&self, failure: &Failure) {
        self.status.send_modify(|status| {
            if LastError::keep(&mut status.last_error, failure) {
                tracing::warn!(consumer = self.engine.name, kind = failure.kind.as_str(), code = %failure.code, "{failure}");
            }
            status.ready = false;
        });
    }

    /// Says an incident once (G8), and shows the stream that it stops.
    pub(super) fn tell_incident(&self, stream: &StreamName, incident: &Incident) {
        self.stream(stream, |status| {
            status.stopped = Some(LastError::now(incident.kind, &incident.sentence));
        });
        self.tell(incident);
    }

    fn tell(&self, incident: &Incident) {
        let Incident {
            kind,
            from,
            to,
            sentence,
            ..
        } = incident;
        self.status.send_modify(|status| {
            status.last_error = Some(LastError::now(kind, sentence));
            if Loss::keep(&mut status.loss_suspected, (*kind, from, to)) {
                tracing::error!(consumer = self.engine.name, event = kind, kind, from, to, "{sentence}");
            }
        });
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
