//! Kafka as a [`Broker`] and a [`Publisher`].
//!
//! Promises: `publish` never waits: what the client cannot take yet is kept in order, within what the caller has in
//! flight. One thread belongs to a publisher, its keeper; it ends with it.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::config::KafkaConfig;
use super::failure;
use super::findings;
use super::keeper::{self, Keeper};
use super::line::Line;
use super::properties;
use super::reports::Reports;
use super::topics::Topics;
use super::traffic::Traffic;
use crate::broker::{Encoder, OpenContext};
use crate::contract::{
    Answer, Boxed, Broker, Finding, Health, Outbound, Outlook, Publisher, RejectionHeaders, Remembered,
};
use crate::delivery::{Capabilities, Destination, Failure, FailureKind};
use crate::setting::Settings;

/// A configured cluster.
pub(super) struct KafkaBroker {
    config: KafkaConfig,
    context: OpenContext,
    remembered: Mutex<Vec<Remembered>>,
}

/// What a publisher and its keeper share.
#[derive(Debug)]
pub(super) struct Shared {
    traffic: Mutex<Traffic>,
    /// Where callbacks leave things.
    pub(super) reports: Arc<Reports>,
    stop: AtomicBool,
    silent: AtomicBool,
    rebuilds: AtomicU32,
    stall: Duration,
}

struct KafkaPublisher {
    shared: Arc<Shared>,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

// === impl KafkaBroker ===

impl KafkaBroker {
    /// A cluster with these settings. No I/O.
    ///
    /// # Errors
    /// Settings that do not fit.
    pub(super) fn open(settings: &Settings, context: OpenContext) -> Result<Self, Failure> {
        let config = settings
            .read()
            .map_err(|error| Failure::new(FailureKind::Destination, "Settings", error.to_string()))?;
        Ok(Self {
            config,
            context,
            remembered: Mutex::default(),
        })
    }

    fn start(&self) -> Result<Arc<dyn Publisher>, Failure> {
        let remembered = std::mem::take(&mut *self.remembered.lock().unwrap_or_else(PoisonError::into_inner));
        let (reports, bell) = Reports::new();
        let encoder = Encoder::new(self.context.envelope, &self.context.source);
        let traffic = Traffic::new(encoder, Topics::new(remembered), self.compresses(), keeper::now());
        let shared = Arc::new(Shared {
            traffic: Mutex::new(traffic),
            reports,
            stop: AtomicBool::new(false),
            silent: AtomicBool::new(false),
            rebuilds: AtomicU32::new(0),
            stall: self.context.stall,
        });
        let settings = (self.config.clone(), self.context.clone());
        let keeper = Keeper::new(Arc::clone(&shared), bell, settings);
        shared.reports.ring();
        let thread = std::thread::Builder::new()
            .name(format!("kafka-{}", self.context.name))
            .spawn(move || keeper.run())
            .map_err(|error| {
                Failure::new(FailureKind::Transient, "Thread", "the system gives us no thread")
                    .with_chain(vec![error.to_string()])
            })?;
        Ok(Arc::new(KafkaPublisher {
            shared,
            keeper: Mutex::new(Some(thread)),
        }))
    }

    fn compresses(&self) -> bool {
        let codec = ["compression.codec", "compression.type"];
        let mut options = self.config.options.iter();
        options.any(|(option, value)| codec.contains(&option.trim()) && value.0 != "none")
    }
}

impl Broker for KafkaBroker {
    fn capabilities(&self) -> Capabilities {
        super::BACKEND.capabilities
    }

    fn rejection_headers(&self) -> RejectionHeaders {
        super::rejection::headers
    }

    fn remember(&self, known: Vec<Remembered>) {
        *self.remembered.lock().unwrap_or_else(PoisonError::into_inner) = known;
    }

    fn publisher(&self) -> Boxed<'_, Result<Arc<dyn Publisher>, Failure>> {
        Box::pin(async { self.start() })
    }

    fn findings(&self, destinations: Vec<Destination>) -> Boxed<'_, Vec<Finding>> {
        let client = properties::client(&self.config, &self.context);
        Box::pin(async move {
            let client = match client {
                Ok(client) => client,
                Err(failure) => return vec![findings::not_connected(&failure.to_string())],
            };
            let runtime = tokio::runtime::Handle::current();
            let ask = move || findings::ask(&client, &runtime, &destinations);
            tokio::task::spawn_blocking(ask).await.unwrap_or_default()
        })
    }
}

impl fmt::Debug for KafkaBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaBroker")
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}

// === impl Shared ===

impl Shared {
    /// The traffic. Held only while computing.
    pub(super) fn traffic(&self) -> MutexGuard<'_, Traffic> {
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the keeper should end.
    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Everything on the way stands still.
    pub(super) fn set_silent(&self, silent: bool) {
        self.silent.store(silent, Ordering::Relaxed);
    }

    /// A line is gone.
    pub(super) fn buried(&self, line: &Line, nobody_to_blame: bool) {
        if nobody_to_blame {
            self.rebuilds.fetch_add(1, Ordering::Relaxed);
        }
        tracing::debug!(generation = line.generation, nobody_to_blame, "producer is gone");
    }

    fn health(&self) -> Health {
        match self.reports.health() {
            Health::Up if self.silent.load(Ordering::Relaxed) => Health::Away(Arc::new(silent(self.stall))),
            health => health,
        }
    }

    /// Answers everything: what was never sent, what reports in time, and the rest as unknown.
    fn close(&self, deadline: Duration) -> Vec<Answer> {
        let until = keeper::now() + deadline;
        let lines = self.traffic().close();
        // All of them before waiting for one: a lease may be gone already.
        lines.iter().for_each(|line| line.halt());
        for line in &lines {
            if !line.wind_up(until.saturating_duration_since(keeper::now())) {
                line.abandon();
            }
        }
        let mut traffic = self.traffic();
        traffic.settle(&self.reports);
        for line in &lines {
            traffic.give_up(line.generation);
        }
        let answers = std::mem::take(&mut traffic.answers);
        drop(traffic);
        self.reports.arrived.notify_one();
        answers
    }
}

fn silent(stall: Duration) -> Failure {
    let reason = format!("no acknowledgement within {} s", stall.as_secs());
    failure::away(rdkafka::types::RDKafkaErrorCode::RequestTimedOut, &reason)
}

// === impl KafkaPublisher ===

impl KafkaPublisher {
    fn end_keeper(&self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.reports.ring();
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A keeper that panicked has nothing more to say.
        keeper.map(JoinHandle::join);
    }
}

impl Publisher for KafkaPublisher {
    fn publish(&self, batch: Vec<Outbound>) -> Boxed<'_, ()> {
        Box::pin(async {
            let (keeper, answered) = {
                let mut traffic = self.shared.traffic();
                (traffic.submit(batch), !traffic.answers.is_empty())
            };
            crate::point!("batch.sent");
            if keeper {
                self.shared.reports.ring();
            }
            if answered {
                self.shared.reports.arrived.notify_one();
            }
        })
    }

    fn receipts(&self) -> Boxed<'_, Vec<Answer>> {
        Box::pin(async {
            loop {
                let arrived = self.shared.reports.arrived.notified();
                {
                    let mut traffic = self.shared.traffic();
                    if traffic.closed {
                        // For the next one who asks.
                        self.shared.reports.arrived.notify_one();
                        return Vec::new();
                    }
                    traffic.settle(&self.shared.reports);
                    if !traffic.answers.is_empty() {
                        return std::mem::take(&mut traffic.answers);
                    }
                }
                arrived.await;
            }
        })
    }

    fn close(&self, deadline: Duration) -> Boxed<'_, Vec<Answer>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            shared.stop.store(true, Ordering::Release);
            let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
            let work = move || {
                let answers = shared.close(deadline);
                // Last: it may be waiting for an answer, and what is queued must not wait for that.
                shared.reports.ring();
                keeper.map(JoinHandle::join);
                answers
            };
            tokio::task::spawn_blocking(work).await.unwrap_or_default()
        })
    }

    fn outlook(&self) -> Outlook {
        let mut traffic = self.shared.traffic();
        Outlook {
            incidents: traffic.topics.take_incidents(),
            remember: traffic.topics.take_changes(),
            health: self.shared.health(),
            rebuilds: self.shared.rebuilds.swap(0, Ordering::Relaxed),
            gave_way: std::mem::take(&mut traffic.gave_way),
        }
    }
}

impl Drop for KafkaPublisher {
    fn drop(&mut self) {
        self.end_keeper();
    }
}
