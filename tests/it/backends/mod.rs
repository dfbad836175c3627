//! Adapters against real servers.

#[cfg(feature = "kafka")]
mod kafka;
mod memory;
mod postgres_cursor;
mod postgres_function;
pub(crate) mod postgres_ground;
mod postgres_inbox;
