//! The memory broker as a [`Broker`] and a [`Publisher`].
//!
//! Promises: a message that fails stops its lane inside its batch, and one that is held keeps its lane behind it; so runs
//! of many keep their order.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Cluster, Fault, Record};
use crate::broker::{Diagnosis, Encoder, OpenContext};
use crate::contract::{
    Answer, Boxed, Broker, Finding, Grade, Health, Outbound, Outlook, Publisher, Receipt, RejectionHeaders, Ticket,
};
use crate::delivery::{Capabilities, Destination, Failure, FailureKind, LaneName};
use crate::message::{Body, Key};

/// A configured memory broker.
#[derive(Debug)]
pub struct MemoryBroker {
    cluster: Cluster,
    encoder: Encoder,
    run_max: u32,
}

#[derive(Debug)]
struct MemoryPublisher {
    cluster: Cluster,
    encoder: Encoder,
    desk: Mutex<Desk>,
    ready: Notify,
    /// Headers of rows that gave way to ours, since somebody looked.
    gave_way: AtomicU64,
}

#[derive(Debug, Default)]
struct Desk {
    answers: Vec<Answer>,
    /// Answers that are slow.
    late: Vec<(Instant, Answer)>,
    /// In order; behind a broker that is away, or a held message of their lane.
    held: Vec<Outbound>,
    /// The cluster's version when the held ones were last tried.
    tried: u64,
    closed: bool,
}

/// What one pass over a batch remembers.
#[derive(Default)]
struct Pass {
    failed: HashSet<LaneName>,
    held: HashSet<LaneName>,
    broken: bool,
}

// === impl MemoryBroker ===

impl MemoryBroker {
    /// A broker that writes to that cluster.
    #[must_use]
    pub fn new(cluster: Cluster, context: &OpenContext) -> Self {
        Self {
            cluster,
            encoder: Encoder::new(context.envelope, &context.source),
            run_max: super::BACKEND.capabilities.run_max,
        }
    }

    /// The same broker with another length of run.
    #[must_use]
    pub fn with_run(mut self, run_max: u32) -> Self {
        self.run_max = run_max;
        self
    }
}

impl Broker for MemoryBroker {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            run_max: self.run_max,
            ..super::BACKEND.capabilities
        }
    }

    fn rejection_headers(&self) -> RejectionHeaders {
        |rejection| Diagnosis::of(rejection).into_headers()
    }

    fn publisher(&self) -> Boxed<'_, Result<Arc<dyn Publisher>, Failure>> {
        let publisher: Arc<dyn Publisher> = Arc::new(MemoryPublisher {
            cluster: self.cluster.clone(),
            encoder: self.encoder.clone(),
            desk: Mutex::default(),
            ready: Notify::new(),
            gave_way: AtomicU64::new(0),
        });
        Box::pin(std::future::ready(Ok(publisher)))
    }

    fn findings(&self, _: Vec<Destination>) -> Boxed<'_, Vec<Finding>> {
        Box::pin(std::future::ready(vec![volatile()]))
    }
}

// === impl MemoryPublisher ===

impl MemoryPublisher {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, desk: &mut Desk, batch: Vec<Outbound>) {
        let mut pass = Pass::default();
        for outbound in batch {
            let lane = LaneName::of(
                &outbound.address.destination,
                outbound.address.key.as_ref(),
                outbound.message.position,
            );
            if pass.failed.contains(&lane) {
                desk.answer(outbound.ticket, Receipt::NotAttempted);
            } else if self.cluster.is_down() || pass.held.contains(&lane) {
                pass.held.insert(lane);
                desk.held.push(outbound);
            } else if pass.broken {
                desk.fail(outbound.ticket, lost());
                pass.failed.insert(lane);
            } else {
                self.one(desk, &mut pass, (outbound, lane));
            }
        }
    }

    fn one(&self, desk: &mut Desk, pass: &mut Pass, (outbound, lane): (Outbound, LaneName)) {
        let topic = topic_of(&outbound);
        let record = match self.checked(topic, &outbound) {
            Ok(record) => record,
            Err(failure) => {
                pass.failed.insert(lane);
                return desk.fail(outbound.ticket, failure);
            }
        };
        let ticket = outbound.ticket;
        match self.cluster.fault(topic, &outbound) {
            None => {
                self.cluster.store(topic, record);
                desk.answer(ticket, Receipt::Durable);
            }
            Some(Fault::Slow(time)) => {
                self.cluster.store(topic, record);
                let receipt = Receipt::Durable;
                desk.late.push((now() + time, Answer { ticket, receipt }));
            }
            Some(Fault::Hold) => {
                pass.held.insert(lane);
                desk.held.push(outbound);
            }
            Some(Fault::DoneThenFailed) => {
                self.cluster.store(topic, record);
                pass.failed.insert(lane);
                desk.fail(ticket, lost());
            }
            Some(Fault::Reject(kind)) => {
                pass.failed.insert(lane);
                desk.fail(ticket, Failure::new(kind, "Scripted", "refused, as the script says"));
            }
            Some(Fault::Drop) => {
                pass.broken = true;
                pass.failed.insert(lane);
                desk.fail(ticket, lost());
            }
        }
    }

    fn checked(&self, topic: &str, outbound: &Outbound) -> Result<Record, Failure> {
        let Some(limit) = self.cluster.limit(topic) else {
            let what = format!("the topic {topic} does not exist");
            return Err(Failure::new(FailureKind::Destination, "UnknownTopic", what));
        };
        if let Body::Withheld { bytes } = outbound.message.body {
            let what = format!("the payload of {bytes} bytes was too large to be read");
            return Err(Failure::new(FailureKind::Message, "PayloadWithheld", what));
        }
        let record = self.record(outbound);
        let bytes = record.bytes();
        if bytes > limit {
            let what = format!("{bytes} bytes with key and headers, and the topic {topic} takes {limit}");
            return Err(Failure::new(FailureKind::Message, "MessageSizeTooLarge", what));
        }
        Ok(record)
    }

    fn record(&self, outbound: &Outbound) -> Record {
        let mut headers = Vec::new();
        let gave_way = self.encoder.headers(outbound, &mut |name, value| {
            headers.push((name.to_owned(), Bytes::copy_from_slice(value)));
        });
        self.gave_way.fetch_add(gave_way.into(), Ordering::Relaxed);
        Record {
            key: outbound
                .address
                .key
                .as_ref()
                .map(Key::as_bytes)
                .map(Bytes::copy_from_slice),
            value: match &outbound.message.body {
                Body::Bytes(bytes) => Some(bytes.clone()),
                Body::Null | Body::Withheld { .. } => None,
            },
            headers,
        }
    }

    /// What can be answered now, and when to look again.
    fn look(&self) -> (Option<Vec<Answer>>, Option<Instant>) {
        let mut desk = self.desk();
        if desk.closed {
            return (Some(Vec::new()), None);
        }
        let version = self.cluster.version();
        if desk.tried != version {
            desk.tried = version;
            let held = std::mem::take(&mut desk.held);
            self.work(&mut desk, held);
        }
        let now = now();
        let (due, late) = desk.late.drain(..).partition(|(at, _)| *at <= now);
        desk.late = late;
        let due: Vec<_> = due;
        desk.answers.extend(due.into_iter().map(|(_, answer)| answer));
        let answers = (!desk.answers.is_empty()).then(|| std::mem::take(&mut desk.answers));
        (answers, desk.late.iter().map(|(at, _)| *at).min())
    }
}

impl Publisher for MemoryPublisher {
    fn publish(&self, batch: Vec<Outbound>) -> Boxed<'_, ()> {
        Box::pin(async {
            let mut desk = self.desk();
            if desk.closed {
                desk.answers
                    .extend(batch.iter().map(|outbound| unsent(outbound.ticket)));
            } else {
                self.work(&mut desk, batch);
            }
            drop(desk);
            self.ready.notify_one();
        })
    }

    fn receipts(&self) -> Boxed<'_, Vec<Answer>> {
        Box::pin(async {
            let mut changes = self.cluster.changes();
            loop {
                let (answers, again) = self.look();
                if let Some(answers) = answers {
                    return answers;
                }
                let slow = async {
                    match again {
                        Some(at) => tokio::time::sleep_until(at).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = self.ready.notified() => {}
                    _ = changes.changed() => {}
                    () = slow => {}
                }
            }
        })
    }

    fn close(&self, _: Duration) -> Boxed<'_, Vec<Answer>> {
        Box::pin(async {
            let mut desk = self.desk();
            desk.closed = true;
            let held = std::mem::take(&mut desk.held);
            for outbound in held {
                desk.fail(outbound.ticket, lost());
            }
            let late = std::mem::take(&mut desk.late);
            desk.answers.extend(late.into_iter().map(|(_, answer)| answer));
            let answers = std::mem::take(&mut desk.answers);
            drop(desk);
            self.ready.notify_waiters();
            answers
        })
    }

    fn outlook(&self) -> Outlook {
        let health = if self.cluster.is_down() {
            let failure = Failure::new(FailureKind::Unreachable, "Down", "the memory broker was taken away");
            Health::Away(Arc::new(failure))
        } else {
            Health::Up
        };
        Outlook {
            health,
            gave_way: self.gave_way.swap(0, Ordering::Relaxed),
            ..Outlook::default()
        }
    }
}

// === impl Desk ===

impl Desk {
    fn answer(&mut self, ticket: Ticket, receipt: Receipt) {
        self.answers.push(Answer { ticket, receipt });
    }

    fn fail(&mut self, ticket: Ticket, failure: Failure) {
        self.answer(ticket, Receipt::Failed(Arc::new(failure)));
    }
}

// === impl Record ===

impl Record {
    /// Key, value and headers.
    fn bytes(&self) -> u64 {
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len());
        let key = self.key.as_ref().map_or(0, Bytes::len);
        (headers.sum::<usize>() + key + self.value.as_ref().map_or(0, Bytes::len)) as u64
    }
}

fn topic_of(outbound: &Outbound) -> &str {
    outbound.address.destination.parts().first().map_or("", |part| part)
}

fn lost() -> Failure {
    Failure::new(
        FailureKind::Transient,
        "ConnectionLost",
        "no acknowledgement; the outcome is unknown",
    )
}

fn unsent(ticket: Ticket) -> Answer {
    Answer {
        ticket,
        receipt: Receipt::NotAttempted,
    }
}

/// What is to be said of any memory broker.
pub(super) fn volatile() -> Finding {
    Finding {
        id: "MEMORY-VOLATILE",
        grade: Grade::Warn,
        observed: "the broker lives inside this process".into(),
        expected: "a broker that outlives it; what this one took is gone when the process ends".into(),
        fix: "to: { kafka: { brokers: [\"kafka:9092\"] } }".into(),
    }
}

/// Only slow answers and hand-overs need a clock.
#[expect(clippy::disallowed_methods, reason = "this is where the clock enters")]
pub(super) fn now() -> Instant {
    Instant::now()
}
