//! The ground that a relay stands on: connections, migrations, roles, the wake trigger, adopted tables.

mod migrate;
mod scratch;
