//! Source, lease and letters of a relay on a real PostgreSQL.

mod conformance;
mod rig;
