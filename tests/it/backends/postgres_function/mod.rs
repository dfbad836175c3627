//! Effects in the database: the application's function, and a closure that gets the transaction.

mod conformance;
mod contention;
#[cfg(feature = "faults")]
mod crashes;
mod failures;
mod once;
mod rig;
mod signatures;
mod speed;
