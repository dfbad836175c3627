//! What a relay remembers of its destinations across restarts.

use super::{Boxed, Remembered, StoreError};

/// The memory behind S14: partition counts and last acknowledged offsets.
///
/// # Promises
/// * **P1** What was kept comes back from `known`, of every earlier holder.
/// * **P2** `accepted` answers yes once after an operator accepted that partitions changed or a topic was recreated, and
///   what was remembered of such destinations is forgotten by then.
///
/// # The caller promises
/// It holds the lease; `known` is read before the first message is published.
///
/// # Cancellation
/// A dropped `keep` or `accepted` may have happened; both may be called again.
///
/// # Errors
/// As for a source.
///
/// # What the suite checks
/// P1, P2.
pub trait Destinations: Send + Sync {
    /// Everything that is remembered.
    fn known(&self) -> Boxed<'_, Result<Vec<Remembered>, StoreError>>;

    /// Keeps what was seen, replacing what was known of the same destinations.
    fn keep(&self, seen: Vec<Remembered>) -> Boxed<'_, Result<(), StoreError>>;

    /// Whether an operator accepted a change since the last call.
    fn accepted(&self) -> Boxed<'_, Result<bool, StoreError>>;
}
