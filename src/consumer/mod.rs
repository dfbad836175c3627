//! The consumer engine: deliveries of a broker to an application, in order per key, settled after the effect.
//!
//! ```text
//!   Subscription ──Assigned──▶ run ── a task per stream ──┐
//!                                                         ▼
//!   Stream ──pages──▶ ┌──────┐ ──Publish──▶ queue ─▶ Processor   effect, inbox row, position: one transaction
//!     ▲               │ flow │                          │
//!     └─── settle ─── └──────┘ ◀──────── answers ───────┘
//!            ▲ mark in the position of record, then at the broker
//! ```
//!
//! Promises: G3–G7 of the design: `flow` decides, this floor does. A stream is read from the position of record, under a fence
//! that nobody of before passes; nothing is called for that is not signed (`care`); what all hold together is bounded (`budget`).

mod beside;
mod budget;
mod calls;
mod care;
mod dead;
mod queue;
mod run;
mod status;
mod stream;
mod tell;
mod term;
mod traced;
mod two_phase;
mod witness;

pub use budget::Limits;
pub use run::{Control, Engine, Outcome, Wanted, run};
pub use status::{ConsumerState, Status, StreamStatus};
pub use two_phase::TwoPhase;
