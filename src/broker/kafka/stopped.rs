//! Keys that failed within a batch: what stands behind the failure is not attempted.

use std::collections::HashSet;

use crate::contract::Outbound;
use crate::delivery::Destination;
use crate::message::Key;

/// The keys, each at its destination.
#[derive(Debug, Default)]
pub(super) struct Stopped(HashSet<(Destination, Key)>);

// === impl Stopped ===

impl Stopped {
    /// Stops what comes behind this message. One without a key is a lane of its own.
    pub(super) fn behind(&mut self, outbound: Outbound) {
        let address = outbound.address;
        self.0.extend(address.key.map(|key| (address.destination, key)));
    }

    /// Whether this message stands behind a failure.
    pub(super) fn holds(&self, outbound: &Outbound) -> bool {
        !self.0.is_empty()
            && outbound
                .address
                .key
                .as_ref()
                .is_some_and(|key| self.0.contains(&(outbound.address.destination.clone(), key.clone())))
    }
}
