//! What every implementation of a contract must show, one function per promise, named by its number.
//!
//! A backend adopts a suite in its file under `backends/`: it says how to reach its server, what it declares, and how to
//! read back with a client of its own.

pub(crate) mod desk;
pub(crate) mod destinations;
mod envelopes;
pub(crate) mod handler;
pub(crate) mod inbox;
pub(crate) mod inbox_letters;
pub(crate) mod lease;
pub(crate) mod letters;
pub(crate) mod place;
pub(crate) mod processor;
pub(crate) mod publisher;
pub(crate) mod source;
pub(crate) mod subscription;
