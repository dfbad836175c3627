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
//! | `outbox` | one relay's place: lease, source and letters together |
//! | `lease`, `fence` | who may act, and what every write carries |
//! | `cursor`, `snapshot`, `progress`, `wake` | windows: read, replayed, settled, waited for |
//! | `letters` | blocked lanes and their messages |
//! | `function`, `transaction` | handlers in the database: a function of the application, a closure of a program |
//! | `desk` | what an operator does with letters and relays |
//! | `retention` | deleting, or dropping in partitions, what every relay has settled |
//! | `destinations` | partition counts and acknowledged offsets, across restarts |
//! | `inbox` | one consumer's place: what is done, positions of record, claims |
//! | `answer` | database trouble in the contracts' words |

pub mod adopt;
mod answer;
pub mod config;
pub mod connect;
mod cursor;
pub mod desk;
mod destinations;
pub mod failure;
mod fence;
pub mod function;
pub mod identifier;
mod inbox;
mod lease;
mod letters;
pub mod migrate;
mod outbox;
pub mod preflight;
mod progress;
pub mod retention;
pub mod session;
pub mod snapshot;
pub mod target;
mod tls;
pub mod transaction;
mod wake;

pub use connect::{ConnectError, Connector, Direct, Pool};
pub use failure::{Failure, Kind};
pub use identifier::{Schema, TableName};
pub use inbox::{InboxOptions, PostgresInbox};
pub use outbox::{PostgresOutbox, RelayOptions, Start};
pub use session::Session;
pub use target::{Target, TargetError};
