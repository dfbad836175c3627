//! The ground that a relay stands on: connections, migrations, roles, the wake trigger, adopted tables.

mod adopt;
mod connect;
mod migrate;
mod operate;
mod preflight;
mod roles;
pub(crate) mod scratch;
mod wake;
