//! The brokers, one folder each, and the table of them.
//!
//! A new broker is its folder and a line in [`BACKENDS`]: configuration, schema, route fields, capabilities and opening
//! are read from there.

mod context;
mod envelope;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod memory;
mod rejection;

pub use context::{Backend, DedupeBy, Environment, OpenContext, Reads, STALL_DEFAULT, Subscribe, SubscribeContext};
pub use envelope::{Encoder, Envelope, Reader, Received};
pub use rejection::Diagnosis;

use crate::setting::BackendConfig;

/// Every broker this build can speak to. A new one is its folder and a line here.
pub const BACKENDS: &[Backend] = &[
    memory::BACKEND,
    #[cfg(feature = "kafka")]
    kafka::BACKEND,
];

/// The configuration of every broker in this build.
pub const CONFIGS: &[BackendConfig] = &configs();

const fn configs() -> [BackendConfig; BACKENDS.len()] {
    let mut all = [BACKENDS[0].config; BACKENDS.len()];
    let mut index = 1;
    while index < all.len() {
        all[index] = BACKENDS[index].config;
        index += 1;
    }
    all
}

/// The backend of that name.
#[must_use]
pub fn backend(name: &str) -> Option<&'static Backend> {
    BACKENDS.iter().find(|backend| backend.config.name == name)
}
