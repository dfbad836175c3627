//! The truth ledger: what was committed, what arrived, and a pure verdict over the two.
//!
//! ```text
//!   workload ──one transaction──▶ twinbox.outbox ──▶ twinbox ──▶ Kafka
//!       └──────same transaction──▶ ledger.truth                    │ observer (own client, from offset 0)
//!                                       └────────▶ checker ◀───────┤
//!   ledger.effect ◀── the handler's own row ── twinbox consume ◀────┘
//! ```

pub(crate) mod artefacts;
pub(crate) mod checker;
mod copy;
pub(crate) mod dice;
pub(crate) mod effects;
pub(crate) mod observer;
pub(crate) mod plain;
mod transaction;
pub(crate) mod trial;
pub(crate) mod workload;

use sha2::{Digest, Sha256};

/// What must arrive byte for byte: key, payload and the header `note`, each told apart from *absent*.
#[must_use]
pub(crate) fn fingerprint(key: Option<&[u8]>, payload: Option<&[u8]>, note: Option<&[u8]>) -> String {
    let mut digest = Sha256::new();
    for part in [key, payload, note] {
        match part {
            None => digest.update([0]),
            Some(bytes) => {
                digest.update([1]);
                digest.update((bytes.len() as u64).to_be_bytes());
                digest.update(bytes);
            }
        }
    }
    digest.finalize()[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
