//! What every implementation of a contract must show, one function per promise, named by its number.
//!
//! A backend adopts a suite in its file under `backends/`: it says how to reach its server, what it declares, and how to
//! read back with a client of its own.

pub mod desk;
pub mod lease;
pub mod letters;
pub mod place;
pub mod publisher;
pub mod source;
