//! The database side of a consumer on a real PostgreSQL.

mod conformance;
mod desk;
mod generations;
mod rig;
mod schedules;
