//! The brokers, one folder each, and the table of them.

#[cfg(feature = "kafka")]
pub mod kafka;
pub mod memory;

use crate::setting::BackendConfig;

/// One broker of this build.
#[derive(Debug, Clone, Copy)]
pub struct Backend {
    /// Its side of the configuration.
    pub config: BackendConfig,
}

/// Every broker of this build, one line each.
pub const BACKENDS: &[Backend] = &[
    Backend {
        config: memory::config::CONFIG,
    },
    #[cfg(feature = "kafka")]
    Backend {
        config: kafka::config::CONFIG,
    },
];
