//! The reference broker, in memory.

pub mod config;
