//! Pure rules: order, watermark, rests, verdicts, routes. No I/O, no clock, no randomness.
//!
//! Floor 1. Time and chance are one argument, [`Moment`].

mod capability;
mod failure;
pub mod guarantee;
mod inflight;
mod lane;
mod moment;
mod rest;
mod route;
pub mod verdict;

pub use capability::{Capabilities, Order};
pub use failure::{Failure, FailureKind};
pub use inflight::Inflight;
pub use lane::{Address, Cause, Destination, LaneName};
pub use moment::Moment;
pub use rest::RestPolicy;
pub use route::{Route, Router, Template, TemplateError, TemplateUse};
