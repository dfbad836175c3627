//! The fence that every write of a relay carries: (relay, epoch, holder).

use crate::contract::Held;

/// Who writes, and under which epoch. The row in `relay_cursor` must say the same, or nothing is written.
#[derive(Debug, Clone)]
pub(super) struct Fence {
    pub(super) relay: String,
    pub(super) epoch: i64,
    pub(super) holder: String,
}

// === impl Fence ===

impl Fence {
    pub(super) fn new(relay: &str, held: &Held) -> Self {
        Self {
            relay: relay.to_owned(),
            // Epochs come from a bigint and go back into it.
            epoch: i64::try_from(held.epoch).unwrap_or(i64::MAX),
            holder: held.holder.clone(),
        }
    }
}
