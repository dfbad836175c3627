//! PostgreSQL: where the outbox lives.
//!
//! | File | What it is for |
//! |---|---|
//! | `config` | the `database:` section |
//! | `target`, `tls` | what a URL says, and how far the server is verified |
//! | `session`, `connect` | settings that every connection must have; single connections and the pool |
//! | `failure` | SQLSTATE and lost connections → what happened and what to type |
//! | `identifier` | the one placeholder of SQL files |
//! | `migrate`, `adopt` | `sql/` applied once; tables of another shape |
//! | `preflight` | what is wrong with the tables before a relay starts |

pub mod config;
pub mod connect;
pub mod failure;
pub mod identifier;
pub mod migrate;
pub mod preflight;
pub mod session;
pub mod target;
mod tls;

pub use connect::{ConnectError, Connector, Direct, Pool};
pub use failure::{Failure, Kind};
pub use identifier::{Schema, TableName};
pub use session::Session;
pub use target::{Target, TargetError};
