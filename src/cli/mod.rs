//! One file per verb.

pub mod config;
