//! Load, check and explain the configuration.
//!
//! Promises: all problems are reported at once, each with its path, the place it comes from (file, line and column;
//! variable; flag) and what to write instead; nothing here prints a secret; docs, defaults and bounds are written once, on
//! the structs, and everything else (schema, `explain`, the template, `show`) is derived from them.
//!
//! ```text
//!  files ──node──┐                     ┌─ validate (schema)
//!  variables ─env┼─ layer ── merge ────┼─ inspect  (secrets, `${X}`, brokers)   all problems ──▶ Problems
//!  flags ────────┘   strings become    └─ check    (typed, across fields)       none ──▶ Loaded
//!                    the wanted types
//! ```
//!
//! # Why layers carry their own places
//!
//! figment knows one origin per provider, not per value, and none for list items. So each layer keeps the place of every
//! path, and before merging the weaker layers lose what a stronger one replaces ([`layer`]): after that a path has one
//! place, and a one-of can be replaced as a whole.

mod broker;
mod check;
mod check_consumer;
mod consumer;
mod convert;
mod env;
mod explain;
mod init;
mod inspect;
mod layer;
mod load;
mod node;
mod origin;
mod problem;
mod reference;
mod relay;
mod retention;
mod root;
mod route;
mod schema;
mod show;
mod validate;

#[cfg(test)]
#[cfg(feature = "kafka")]
mod tests;

pub use crate::setting::{Duration, Secret, Size};
pub use broker::{FromConfig, ToConfig};
pub use consumer::{
    By, ConsumerConfig, ConsumerLimits, ConsumerRetry, DedupeConfig, HandlerConfig, ReadEnvelope, Scope, SqlConfig,
};
pub use env::Environment;
pub use explain::explain;
pub use init::{consumer_template, relay_template};
pub use load::{Loaded, load};
pub use origin::Origin;
pub use problem::{Problem, Problems};
pub use reference::reference;
pub use relay::{
    CursorConfig, Envelope, Limits, OnReject, RelayConfig, Require, RetryConfig, SourceConfig, Start, Wake,
};
pub use retention::Retention;
pub use root::{AdminConfig, DrainConfig, LogConfig, LogFormat, LogLevel, Readiness, Root, TelemetryConfig};
pub use route::RouteConfig;
pub use schema::published as schema;
pub use show::show;
