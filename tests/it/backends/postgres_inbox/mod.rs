//! The database side of a consumer on a real PostgreSQL.

mod generations;
