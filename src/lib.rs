//! twinbox: the outbox and the inbox, one binary.

pub mod app;
pub mod broker;
pub mod cli;
pub mod config;
pub mod contract;
pub mod delivery;
pub mod fault;
pub mod message;
pub mod operate;
pub mod postgres;
pub mod relay;
pub mod setting;
pub mod telemetry;
