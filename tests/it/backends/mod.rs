//! Adapters against real servers.

mod postgres_cursor;
mod postgres_ground;
