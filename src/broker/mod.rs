//! The brokers, one folder each, and the table of them.

#[cfg(feature = "kafka")]
pub mod kafka;
pub mod memory;

use crate::setting::BackendConfig;

/// The configuration of every broker in this build, one line each.
pub const CONFIGS: &[BackendConfig] = &[
    memory::config::CONFIG,
    #[cfg(feature = "kafka")]
    kafka::config::CONFIG,
];
