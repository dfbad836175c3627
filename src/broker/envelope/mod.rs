//! Envelopes: how a message's meaning becomes headers, and headers become a message again.
//!
//! `write` and `read` are each other's inverse: what a relay wrote comes back field by field. `structured` reads the one
//! form that we do not write, `binary` carries bytes in headers that are texts here.

mod binary;
mod read;
mod structured;
mod write;

pub use read::{Reader, Received};
pub use write::{Encoder, Envelope};
