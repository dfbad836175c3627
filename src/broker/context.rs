//! What a line of the table of brokers consists of, and what a relay hands over when it opens one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Envelope;
use crate::contract::{Broker, Subscriber};
use crate::delivery::{Capabilities, Failure};
use crate::setting::{BackendConfig, Settings};

/// How long a destination may owe a report before it counts as stalled (S9).
pub const STALL_DEFAULT: Duration = Duration::from_secs(30);

/// Looks an environment variable up.
pub type Environment = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// One broker of this build.
#[derive(Debug, Clone, Copy)]
pub struct Backend {
    /// Its name, settings, checks and route fields.
    pub config: BackendConfig,
    /// What it can do.
    pub capabilities: Capabilities,
    /// Prepares a connection; does no I/O. Fails when the settings do not fit.
    pub open: fn(&Settings, OpenContext) -> Result<Arc<dyn Broker>, Failure>,
    /// Prepares a subscription, where it can be consumed from; does no I/O. Fails when the settings do not fit.
    pub subscribe: Option<Subscribe>,
}

/// How a broker is prepared for consuming.
pub type Subscribe = fn(&Settings, SubscribeContext) -> Result<Arc<dyn Subscriber>, Failure>;

/// Which envelope a consumer reads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reads {
    /// The first that fits: `CloudEvents`, Debezium's router, else the message as it is.
    #[default]
    Auto,
    /// This one; what does not fit is malformed.
    Only(Envelope),
}

/// What a message is remembered by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum DedupeBy {
    /// The event's id.
    #[default]
    Id,
    /// The value of that header.
    Header(String),
    /// The scalar at that JSON pointer (RFC 6901) into the payload.
    Payload(String),
}

/// Who subscribes to a broker, and within which limits.
#[derive(Clone)]
pub struct SubscribeContext {
    /// The consumer's name; the default of the group's.
    pub name: String,
    /// Which envelope is read.
    pub reads: Reads,
    /// What a message is remembered by.
    pub dedupe: DedupeBy,
    /// Whether equal ids of two topics are two messages (`dedupe.scope: topic`).
    pub per_topic: bool,
    /// Most messages in memory at once (`limits.in_flight`).
    pub in_flight: usize,
    /// Most bytes in memory at once (`limits.bytes`).
    pub bytes: usize,
    /// How long a drain may take (`drain.deadline`): bounds what a revoked stream waits for.
    pub drain: Duration,
    /// Where secrets are looked up, at each connect.
    pub environment: Environment,
}

/// Who opens a broker, and within which limits.
#[derive(Clone)]
pub struct OpenContext {
    /// The relay's name; the broker's logs and quotas see it.
    pub name: String,
    /// CloudEvents source.
    pub source: String,
    /// How a message is written.
    pub envelope: Envelope,
    /// Most messages in flight at once (`limits.in_flight`).
    pub in_flight: usize,
    /// Most bytes in flight at once (`limits.bytes`).
    pub bytes: usize,
    /// How long a destination may owe a report.
    pub stall: Duration,
    /// Where secrets are looked up, at each connect.
    pub environment: Environment,
}

impl fmt::Debug for OpenContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenContext")
            .field("name", &self.name)
            .field("source", &self.source)
            .field("envelope", &self.envelope)
            .field("in_flight", &self.in_flight)
            .field("bytes", &self.bytes)
            .field("stall", &self.stall)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SubscribeContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubscribeContext")
            .field("name", &self.name)
            .field("reads", &self.reads)
            .field("dedupe", &self.dedupe)
            .field("per_topic", &self.per_topic)
            .finish_non_exhaustive()
    }
}
