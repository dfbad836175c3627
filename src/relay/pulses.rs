//! The pulses of a relay's own loops, for liveness.
//!
//! Promises: a loop that turns, or waits for something outside, beats every second: an outage, a resting destination or a
//! standby is never silent. What is silent hangs in its own code: a blocked thread, a loop without an end, a wake that
//! nobody asked for.

use crate::telemetry::Pulse;

/// One pulse per loop; none beats before the relay runs.
#[derive(Debug, Clone, Default)]
pub struct Pulses {
    /// Standing by, leading, leaving: turns at least every second by itself while it leads.
    pub(super) turns: Pulse,
    /// Calls of the source.
    pub(super) reading: Pulse,
    /// Renewing the lease.
    pub(super) lease: Pulse,
    /// Tidying the store.
    pub(super) upkeep: Pulse,
}

// === impl Pulses ===

impl Pulses {
    /// By the names that people see.
    #[must_use]
    pub fn named(&self, relay: &str) -> [(String, Pulse); 4] {
        [
            (format!("relay {relay}"), self.turns.clone()),
            (format!("relay {relay}, reading"), self.reading.clone()),
            (format!("relay {relay}, its lease"), self.lease.clone()),
            (format!("relay {relay}, upkeep"), self.upkeep.clone()),
        ]
    }
}
