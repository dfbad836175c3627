//! The ground that a relay stands on: connections, migrations, roles, the wake trigger, adopted tables.

mod adopt;
mod connect;
mod migrate;
mod preflight;
mod roles;
mod scratch;
mod wake;
