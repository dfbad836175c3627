//! The demo: relay and consumer on this machine, in half a minute, judged by somebody else.
//!
//! ```text
//!  toy application ─▶ PostgreSQL (throwaway) ─▶ two relays ─▶ Kafka (librdkafka's mock cluster) ─▶ independent reader
//!         └── its own table of what it committed ──────────────▶ verdict ◀──────────┬────────────────────┘
//!                                       effects, as it has them itself ─────────────┘ ◀── consumer ◀── Kafka
//! ```
//!
//! Promises: needs no broker, no Docker and no argument; touches no database but its own; the verdict is counted from the
//! application's tables and from what the reader saw, and is bad when anything is lost, invented or out of order, or had its
//! effect twice.
//!
//! The mock cluster is no proof of durability, and no claim of this kind rests on it: the tests use a real Kafka.

mod effects;
mod picky;
mod postgres;
mod process;
mod reader;
mod relays;
mod stage;
mod story;
mod verdict;
mod view;
mod workload;

pub use stage::DemoError;
pub use story::{Options, Report, Told, run};
pub use verdict::Verdict;
