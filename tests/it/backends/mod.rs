//! Adapters against real servers.

mod postgres_ground;
