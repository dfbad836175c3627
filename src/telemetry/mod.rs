//! Names of metrics and attributes, meters, spans, trace propagation, and the pulse of a loop.
//!
//! Floor 3. Nothing here exports anything: an engine records into what it is given, `app` decides where that goes.
//! Promises: never a key, an id, a payload or a secret as a label; nothing is recorded per message but its latency.

mod consumer_meters;
mod consumer_spans;
mod meters;
pub mod names;
mod propagate;
mod pulse;
mod spans;

pub use consumer_meters::ConsumerMeters;
pub use consumer_spans::{ConsumerSpans, Processing};
pub use meters::Meters;
pub use propagate::{LINKS_MAX, from_traceparent, to_traceparent};
pub use pulse::{Pulse, Running};
pub use spans::{Sending, Spans, throughout, within};
