//! Whole stories on real servers: the binary, PostgreSQL, Kafka, faults, and the truth ledger as the judge.
//!
//! Each is small by default and full-size with `TWINBOX_CAMPAIGN=1`. A failing one prints where its configuration,
//! logs and verdict are.

mod accept_offsets;
mod backlog;
mod bad_rows;
mod both_halves;
mod config_check_five;
#[cfg(feature = "faults")]
mod consumer_crash_points;
mod consumer_dead_letters;
mod consumer_drain;
mod consumer_thin_path;
#[cfg(feature = "faults")]
mod crash_points;
mod demo;
mod doctor;
mod drain;
mod golden_debezium;
mod http_replies;
mod http_toy;
mod idle;
mod incidents;
mod last_window;
mod latency_with_a_long_transaction;
mod ledger_itself;
mod ledger_over_bad_links;
mod ledger_under_faults;
mod ledger_without_faults;
#[cfg(feature = "faults")]
mod liveness;
mod moved;
mod one_rejected_key;
mod one_trace;
mod outages;
mod paused;
mod take_over;
mod thin_path;
mod told;
mod traces;
mod two_relays_one_outbox;
mod woken;
