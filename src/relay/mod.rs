//! The relay engine: committed outbox rows to a broker, in order per key.
//!
//! ```text
//!   Source ──Fetched──▶ ┌────────────────────────────┐ ──Publish──▶ Publisher
//!     ▲                 │ lanes: one run in flight   │                 │
//!     └────Confirm───── │ inflight: watermark, rest  │ ◀──Answered─────┘
//!                       │ places: rests and probes   │
//!   LetterStore ◀─Store │ desk: letters out, in, due │ ──Tell──▶ logs, meters
//!        └────Picked──▶ └────────────────────────────┘
//! ```
//!
//! Promises: G1–G3, G6, G7 of the design, as far as memory decides them, by the rules R1–R11. `step` decides, `run` does.

mod blocked;
mod census;
mod desk;
mod due;
mod event;
mod keeper;
mod lane;
mod lead;
mod lookout;
mod pinned;
mod place;
mod places;
mod plan;
mod pulses;
mod reader;
mod run;
mod state;
mod status;
mod step;
mod tell;
mod ticket;
mod traced;
mod upkeep;

pub use event::{Effect, Event, Notice};
pub use place::Tally;
pub use pulses::Pulses;
pub use run::{Control, Engine, Outcome, run};
pub use state::{DeadLetter, OnReject, Settings, State};
pub use status::{LaneCounts, LastError, Loss, RelayState, Status};
pub use step::step;
