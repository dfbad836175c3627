//! Wiring, supervision, admin HTTP, exporters.
//!
//! Floor 6. Promises: every task has a name and an owner that joins it; the process lives exactly as long as its engines
//! do; what is seen from outside (`/status`, `/metrics`, the log) is read from what the engines say, never guessed.

pub mod admin;
pub mod assemble;
pub mod consuming;
#[cfg(feature = "kafka")]
pub mod demo;
pub mod desk;
pub mod drain;
pub mod export;
pub mod gauges;
pub mod lanes;
pub mod logs;
pub mod metered;
pub mod process;
pub mod signals;
pub mod status;
pub mod supervise;
mod verdict;
