//! What a publisher knows beside its receipts: whether the broker is there, what must be told, what must be kept.

use std::sync::Arc;

use crate::delivery::{Destination, Failure};

/// Whether a broker can be reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Health {
    /// As far as is known.
    #[default]
    Up,
    /// Nobody there, or nobody who lets us in. What was handed over stays unanswered; what follows would too.
    Away(Arc<Failure>),
}

/// Something that threatens a promise from outside (G8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// The pinned kind (DESIGN §12), also the name of the log event.
    pub kind: &'static str,
    /// Where it happened.
    pub destination: Destination,
    /// What was expected, as the broker writes it.
    pub from: String,
    /// What was seen.
    pub to: String,
    /// What happened, and what to type.
    pub sentence: String,
    /// Where a stream that it stops goes on, once somebody accepts it.
    pub go_on: Option<i64>,
}

/// What must be known about a destination before the first message goes there again (S14).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// The destination.
    pub destination: Destination,
    /// The number of partitions that keys are spread over.
    pub partitions: u32,
    /// The last acknowledged offset of each partition, where there is one.
    pub offsets: Vec<Option<i64>>,
}

/// What a publisher has seen since it was last asked.
#[derive(Debug, Clone, Default)]
pub struct Outlook {
    /// Whether the broker can be reached, now.
    pub health: Health,
    /// What must be told; each once.
    pub incidents: Vec<Incident>,
    /// Destinations whose memory has changed; to be kept for [`Broker::remember`](super::Broker::remember).
    pub remember: Vec<Remembered>,
    /// How often the client had to be built anew without a message or destination to blame. The third time in
    /// ten minutes is a reason to halt (S10).
    pub rebuilds: u32,
    /// Headers of rows that gave way to those we write ourselves.
    pub gave_way: u64,
}
