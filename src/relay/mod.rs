//! The relay engine: committed outbox rows to a broker, in order per key.

mod status;

pub use status::{LaneCounts, LastError, Loss, RelayState, Status};
