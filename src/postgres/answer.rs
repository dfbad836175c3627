//! What the contracts' callers hear when the database does not do as asked.
//!
//! Promises: nothing here is fatal. A wrong password or a missing table can be repaired from outside, so it is told and
//! tried again, like a server that is away.

use super::connect::ConnectError;
use super::failure::{Failure, Kind};
use crate::contract::StoreError;
use crate::delivery::{self, FailureKind};

/// A statement failed.
pub(super) fn away(error: &tokio_postgres::Error) -> StoreError {
    failed(&Failure::of(error))
}

/// No connection could be had.
pub(super) fn unreachable(error: &ConnectError) -> StoreError {
    let kind = match error.kind() {
        Kind::Transient | Kind::RetryNow => FailureKind::Unreachable,
        other => kind_of(other),
    };
    StoreError::Away(delivery::Failure::new(kind, "connect", error.to_string()))
}

/// A classified failure.
pub(super) fn failed(failure: &Failure) -> StoreError {
    let code = failure.code.clone().unwrap_or_else(|| "connection".to_owned());
    StoreError::Away(delivery::Failure::new(kind_of(failure.kind), code, failure.to_string()))
}

/// The pool had no connection to give in time.
pub(super) fn busy(error: &dyn std::error::Error) -> StoreError {
    let sentence = format!("no database connection was free: {error}; raise `database.pool` if this goes on");
    StoreError::Away(delivery::Failure::new(FailureKind::Transient, "pool", sentence))
}

/// Something that is not the server's fault, to be tried again after a new opening.
pub(super) fn reopen(code: &'static str, sentence: &'static str) -> StoreError {
    StoreError::Away(delivery::Failure::new(FailureKind::Transient, code, sentence))
}

fn kind_of(kind: Kind) -> FailureKind {
    match kind {
        Kind::RetryNow | Kind::Transient => FailureKind::Transient,
        Kind::Authentication | Kind::Configuration => FailureKind::Destination,
        Kind::Message => FailureKind::Message,
        Kind::Unknown => FailureKind::Unknown,
    }
}
