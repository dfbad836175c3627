//! Adapters against real servers.

mod postgres_cursor;
#[cfg(feature = "kafka")]
mod kafka;
mod memory;
mod postgres_ground;
