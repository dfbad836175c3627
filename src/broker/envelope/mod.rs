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

/// The headers of the `CloudEvents` binary mode: written by one side, spent by the other.
const CLOUDEVENTS: [&str; 8] = [
    "ce_specversion",
    "ce_id",
    "ce_source",
    "ce_type",
    "ce_time",
    "ce_subject",
    "ce_partitionkey",
    "content-type",
];
