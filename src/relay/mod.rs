//! The relay engine: committed outbox rows to a broker, in order per key.
//!
//! ```text
//!   Source ──pages──▶ reader ──▶ ┌──────┐ ──▶ Publisher
//!     ▲                          │ flow │        │
//!     └──── confirm ──────────── └──────┘ ◀──────┘ receipts
//! ```
//!
//! Promises: G1–G3, G6, G7 of the design: `flow` decides, this floor does. One process leads, under a lease; `run` is its life
//! (standby, leading, leaving), `lead` one term of leading.

mod keeper;
mod lead;
mod lookout;
mod pulses;
mod reader;
mod run;
mod status;
mod tell;
mod traced;
mod upkeep;

pub use pulses::Pulses;
pub use run::{Control, Engine, Outcome, run};
pub use status::{RelayState, Status};
