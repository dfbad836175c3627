//! What the suites stand on: servers, processes, faults and the truth ledger.
//!
//! Nothing in here knows the inside of twinbox: the binary is driven by its files, its ports and its signals, and
//! judged by Postgres and Kafka read with clients of their own.

pub mod http;
pub mod kafka;
pub mod ledger;
pub mod live;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod relay;
pub mod servers;
pub mod stage;
pub mod wait;
