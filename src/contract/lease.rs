//! Who may act for a relay's name.

use std::time::Duration;

use super::{Boxed, StoreError};

/// A lease that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The number that fences whoever acted before.
    pub epoch: u64,
    /// A random name of this holder: epochs repeat after an asynchronous failover (S16).
    pub holder: String,
    /// For how long the holder may trust it, counted from before the request was sent.
    pub trust: Duration,
}

/// A lease on one relay's name, by the database's clock.
///
/// # Promises
/// * **P1** At most one holder's writes pass the fence (epoch, holder) at any time.
/// * **P2** `acquire` answers `None` while another holder's lease has time left and its session lives.
/// * **P3** After `resign`, the next `acquire` of anybody succeeds at once.
/// * **P4** The trust ends before the lease does: a holder that stops renewing distrusts itself first.
///
/// # The caller promises
/// It stops writing when the trust is over, renews at a third of the lease, and resigns last of all.
///
/// # Cancellation
/// A dropped `acquire` or `renew` has an unknown outcome: acquire again.
///
/// # Errors
/// [`StoreError::Fenced`] from `renew` and `resign`: the lease is somebody else's. Otherwise as for a source.
///
/// # What the suite checks
/// P1–P4 with two holders on one database.
pub trait Lease: Send {
    /// Tries to take the lease.
    fn acquire(&mut self) -> Boxed<'_, Result<Option<Held>, StoreError>>;

    /// Extends the lease; answers for how long it may be trusted, counted from before the call.
    fn renew(&mut self) -> Boxed<'_, Result<Duration, StoreError>>;

    /// Gives the lease up.
    fn resign(&mut self) -> Boxed<'_, Result<(), StoreError>>;
}
