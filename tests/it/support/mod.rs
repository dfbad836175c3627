//! What the suites stand on: servers, processes, faults and the truth ledger.
//!
//! Nothing in here knows the inside of twinbox: the binary is driven by its files, its ports and its signals, and
//! judged by Postgres and Kafka read with clients of their own.

pub(crate) mod application;
pub(crate) mod collector;
pub(crate) mod http;
pub(crate) mod kafka;
pub(crate) mod ledger;
pub(crate) mod live;
pub(crate) mod offsets;
pub(crate) mod otelcol;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod relay;
pub(crate) mod servers;
pub(crate) mod stage;
pub(crate) mod toy;
pub(crate) mod wait;
