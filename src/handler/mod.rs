//! The application behind HTTP: an adapter of [`Handler`](crate::contract::Handler).

mod address;
pub mod config;
