//! What comes back from librdkafka's threads: delivery reports, and errors of the connection.
//!
//! Promises: a callback takes one short lock and wakes; it decides nothing. The list is bounded by what is on the way.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::ProducerContext;
use rdkafka::types::RDKafkaErrorCode as Code;
use tokio::sync::Notify;

use super::failure::{self, Mark};
use crate::contract::Health;

/// What became of one message, as librdkafka tells it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Report {
    /// Which message.
    pub(super) opaque: usize,
    /// Where it stands; negative when the broker did not say.
    pub(super) offset: i64,
    /// Why it does not stand anywhere.
    pub(super) error: Option<Code>,
}

/// Everything that came back and was not looked at yet.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// Delivery reports, in the order of arrival.
    pub(super) reports: Vec<Report>,
    /// A connection broke: perhaps nobody is there any more.
    pub(super) doubt: bool,
    /// What the client says of the connection.
    pub(super) health: Health,
    /// The last words about a single connection: they explain why *all* are down.
    last_words: String,
}

/// The place where callbacks leave things.
#[derive(Debug)]
pub(super) struct Reports {
    inbox: Mutex<Inbox>,
    /// Rung when there is something for `receipts`.
    pub(super) arrived: Notify,
    /// Rung when there is something for the keeper.
    bell: std::sync::mpsc::SyncSender<()>,
}

/// The ear of a line.
pub(super) struct Listener(pub(super) Arc<Reports>);

// === impl Reports ===

impl Reports {
    /// An empty place, and the receiving end of the keeper's bell. One ring is enough to remember: the keeper looks at
    /// everything when it wakes.
    pub(super) fn new() -> (Arc<Self>, std::sync::mpsc::Receiver<()>) {
        let (bell, heard) = std::sync::mpsc::sync_channel(1);
        let reports = Self {
            inbox: Mutex::default(),
            arrived: Notify::new(),
            bell,
        };
        (Arc::new(reports), heard)
    }

    /// Wakes the keeper.
    pub(super) fn ring(&self) {
        // Full: it is about to wake. Closed: it has ended.
        let _ = self.bell.try_send(());
    }

    /// Takes the delivery reports; `spare` becomes the next list, so that none is allocated in steady state.
    pub(super) fn take(&self, spare: &mut Vec<Report>) {
        debug_assert!(spare.is_empty(), "reports would be lost");
        mem::swap(&mut self.inbox().reports, spare);
    }

    /// Whether a connection broke since the last call.
    pub(super) fn take_doubt(&self) -> bool {
        mem::take(&mut self.inbox().doubt)
    }

    /// What the client says of the connection.
    pub(super) fn health(&self) -> Health {
        self.inbox().health.clone()
    }

    /// What is known better: by an answer, or by none.
    pub(super) fn set_health(&self, health: Health) {
        self.inbox().health = health;
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, code: Code, reason: &str) {
        let mut inbox = self.inbox();
        match (code, Mark::of(code)) {
            (_, Mark::Backend) => inbox.health = Health::Away(Arc::new(failure::away(code, reason))),
            (Code::AllBrokersDown, _) if inbox.health == Health::Up => {
                let words = if inbox.last_words.is_empty() {
                    reason
                } else {
                    &inbox.last_words
                };
                let away = failure::away(code, words);
                inbox.health = Health::Away(Arc::new(away));
            }
            (Code::AllBrokersDown, _) => {}
            // One broker of several may be down: only a question to the cluster tells.
            _ => {
                inbox.doubt = true;
                inbox.last_words.clear();
                inbox.last_words.push_str(reason);
            }
        }
        drop(inbox);
        // A line may have died of it.
        self.ring();
    }
}

// === impl Listener ===

impl ClientContext for Listener {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        // What matters arrives as an error or a report; the client's own lines are for those who look for them.
        match level {
            RDKafkaLogLevel::Debug | RDKafkaLogLevel::Info => tracing::trace!(facility, line, "librdkafka"),
            _ => tracing::debug!(facility, line, "librdkafka"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
        self.0.error(code, reason);
    }
}

impl ProducerContext for Listener {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: usize) {
        let report = match result {
            Ok(message) => Report {
                opaque,
                offset: message.offset(),
                error: None,
            },
            Err((error, _)) => Report {
                opaque,
                offset: -1,
                error: Some(error.rdkafka_error_code().unwrap_or(Code::Unknown)),
            },
        };
        let mut inbox = self.0.inbox();
        if report.error.is_none() && inbox.health != Health::Up {
            inbox.health = Health::Up;
        }
        let first = inbox.reports.is_empty();
        inbox.reports.push(report);
        drop(inbox);
        if first {
            self.0.arrived.notify_one();
        }
    }
}
