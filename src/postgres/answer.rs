//! What the contracts' callers hear when the database does not do as asked.
//!
//! Promises: nothing here is fatal. A wrong password or a missing table can be repaired from outside, so it is told and
//! tried again, like a server that is away.

use deadpool::managed::PoolError;

use super::connect::ConnectError;
use super::failure::Failure;
use super::identifier::Schema;
use crate::contract::StoreError;
use crate::delivery::{self, FailureKind};

/// What to do about an outbox without partitions.
pub(super) const PLAIN: &str = "set `retention: 24h`, which deletes rows; or make another outbox with `twinbox migrate \
    --partitions --schema NAME`, let writers write there, and run a relay on each until the old one is empty";

/// A statement failed.
pub(super) fn away(error: &tokio_postgres::Error) -> StoreError {
    StoreError::Away(Failure::of(error).told())
}

/// No connection could be had.
pub(super) fn unreachable(error: &ConnectError) -> StoreError {
    StoreError::Away(error.told())
}

/// The pool had none to give.
#[expect(clippy::needless_pass_by_value, reason = "stands behind `map_err`")]
pub(super) fn pooled(error: PoolError<ConnectError>) -> StoreError {
    if let PoolError::Backend(error) = &error {
        return unreachable(error);
    }
    let sentence = format!("no database connection was free: {error}; raise `database.pool` if this goes on");
    StoreError::Away(delivery::Failure::new(FailureKind::Transient, "pool", sentence))
}

/// Something that is not the server's fault, to be tried again after a new opening.
pub(super) fn reopen(code: &'static str, sentence: &'static str) -> StoreError {
    StoreError::Away(delivery::Failure::new(FailureKind::Transient, code, sentence))
}

/// The outbox has no partitions to drop.
pub(super) fn plain(schema: &Schema) -> StoreError {
    let sentence =
        format!("{schema}.outbox is a plain table, and `retention: partitions` has nothing to drop there: {PLAIN}");
    StoreError::Away(delivery::Failure::new(
        FailureKind::Destination,
        "plain_outbox",
        sentence,
    ))
}
