//! The flow of messages through lanes: the reducer that both engines run, a relay once, a consumer once per partition.
//!
//! ```text
//!   a source ──Fetched──▶ ┌────────────────────────────┐ ──Publish──▶ who takes them: a broker, an application
//!     ▲                   │ lanes: one run in flight   │                 │
//!     └────Confirm─────── │ inflight: watermark, rest  │ ◀──Answered─────┘
//!                         │ places: rests and probes   │
//!   LetterStore ◀─Store── │ desk: letters out, in, due │ ──Tell──▶ logs, meters
//!        └────Picked────▶ └────────────────────────────┘
//! ```
//!
//! Promises: order per key, no early settling, isolation and bounds, as far as memory decides them, by the rules R1–R11 of
//! the design. `step` decides; the engines' shells do. Floor 3, beside `telemetry`; only `clock` knows time and chance.
//!
//! # Why one reducer for both directions
//!
//! A relay hands a key's rows to a broker in order and settles what is durable; a consumer hands a key's deliveries to the
//! application in order and settles what is done. Rests, parking, letters, the watermark and draining are the same rules
//! over other neighbours: a broker's receipt and a handler's verdict are both an [`Answer`](crate::contract::Answer).

mod blocked;
mod census;
pub mod clock;
mod dead;
mod desk;
mod due;
mod event;
mod lane;
mod paused;
mod pinned;
mod place;
mod places;
mod plan;
mod state;
mod status;
mod step;
mod ticket;

pub use census::{Census, by_state};
pub use event::{Effect, Event, LetterCall, Notice};
pub use paused::{Pause, Pauses, RESTING_SHOWN, RestingLane};
pub use place::Tally;
pub use state::{DeadLetter, OnReject, Settings, State};
pub use status::{LaneCounts, LastError, Loss};
pub use step::step;
