//! Effects in the database: the application's function, and a closure that gets the transaction.

mod conformance;
mod contention;
mod failures;
mod once;
mod rig;
mod signatures;
mod speed;
