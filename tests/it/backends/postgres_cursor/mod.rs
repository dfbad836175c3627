//! Source, lease and letters of a relay on a real PostgreSQL.

mod conformance;
mod identity;
mod interleaved;
mod large;
mod partitions;
mod plans;
mod retention;
mod rig;
mod rows;
mod schedules;
mod upkeep;
mod waking;
