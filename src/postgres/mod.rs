//! The Postgres adapter: source, lease, letters, migrations.

pub mod config;
