//! Source, lease and letters of a relay on a real PostgreSQL.

mod conformance;
mod interleaved;
mod rig;
mod schedules;
