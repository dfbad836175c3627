//! twinbox: the outbox and the inbox, one binary. This page is the map.
//!
//! # Floors
//!
//! A module imports only from floors below it; engines and adapters stand side by side and never see each other.
//! `tests/tidy` enforces this.
//!
//! ```text
//!  F7   main.rs · cli/                       process: arguments, exit codes
//!  F6   app/                                 wiring, supervision, admin HTTP, exporters, demo
//!  F5   config/                              load, check, schema
//!  F4   relay/ consumer/ operate/  │  postgres/ broker/* handler/
//!       engines: drive contracts   │  adapters: implement contracts
//!  F3   telemetry/ · flow/                   names, meters, trace propagation; the reducer of both engines
//!  F2   contract/                            traits and their numbered promises
//!  F1   delivery/                            pure rules
//!  F0   message/ · setting/                  values; values a configuration is written in
//! ```
//!
//! # How a row becomes a message
//!
//! ```text
//!  postgres::cursor   writes a window (a pair of snapshots) before anything of it is published, reads its rows by seq
//!        │ Page of Messages, positions strictly increasing
//!  flow::step         routes each into the lane of its (destination, key); one run per lane in flight
//!        │ Publish                                     ▲ Answered: one receipt per message
//!  broker::kafka      idempotent producer, partition chosen by us, a failure stops its lane
//!        │
//!  flow::step         durable: settled · failed: the verdict of delivery::verdict (rest, park, dead-letter, halt)
//!        │ Confirm: everything read is settled, except …        │ Store: a blocked lane, whole, from its head
//!  postgres::progress the window's rest                     postgres::letters   lane row and letters
//! ```
//!
//! # How a message becomes an effect
//!
//! ```text
//!  broker::kafka      a stream per assigned partition; nothing is read before its position of record was
//!        │ Page of Messages (broker::envelope has read them), positions are offsets
//!  flow::step         the same rules: the lane of its (topic, partition, key); one run per lane in flight
//!        │ batches that the stream's claim covers              ▲ one answer per message
//!  Processor          postgres::function: inbox rows, effects and position in one transaction
//!        │            consumer::two_phase: an inbox and a handler (HTTP)
//!  consumer::term     the mark in the position of record, then at the broker; blocked lanes become letters
//! ```
//!
//! # What holds, and where it is decided
//!
//! | Promise | Carried by |
//! |---|---|
//! | nothing committed is lost | `postgres::cursor` (snapshots, not sequence numbers), R3 and R6 in `flow::state` |
//! | nothing is settled without its effect | R3 in `flow::state`; `contract::Processor` P2; `consumer::term` marks before it settles |
//! | an effect happens once | `postgres::inbox`: effect and inbox row commit together, under the stream's fence |
//! | a message that kills the process is found | `consumer::care`: nothing is called for that is not signed (S23) |
//! | a key's order | `delivery` lanes, R1 and R2; `contract::Publisher` P3 and P4; R10 when a lane is stored |
//! | a failing key delays only itself | `delivery::verdict`, `relay` places and rests, R11 |
//! | one holder's writes at a time | `contract::Lease`; every statement carries (epoch, holder) |
//! | memory is bounded | R5: `limits`, reserved before a page is read |
//! | told, not hidden | `contract::StoreError::Incident`, `contract::Outlook` |
//!
//! # Reading order
//!
//! `message` → `contract` (the promises) → `delivery` → `flow` (start with its diagram, then `step`, `plan`, `blocked`) →
//! `relay` and `consumer` → `postgres::cursor`, `postgres::inbox` → `broker::kafka`. Tables and statements are in `sql/`, which suite proves what in `tests/README.md`.

pub mod app;
pub mod broker;
pub mod cli;
pub mod config;
pub mod consumer;
pub mod contract;
pub mod delivery;
pub mod fault;
pub mod flow;
pub mod handler;
pub mod message;
pub mod operate;
pub mod postgres;
pub mod relay;
pub mod setting;
pub mod telemetry;
