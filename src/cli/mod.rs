//! The command line: one file per verb, each with its arguments, its work and how it looks.
//!
//! Floor 7. Promises: data on stdout, words on stderr; the same exit codes everywhere ([`Exit`]); nothing that destroys
//! runs without `--yes` or an answer.

pub mod accept;
pub mod completions;
pub mod config;
pub mod console;
pub mod database;
#[cfg(feature = "kafka")]
pub mod demo;
pub mod doctor;
pub mod drain;
pub mod enqueue;
pub mod exit;
pub mod explain;
pub mod forget;
pub mod lanes;
pub mod letters;
pub mod migrate;
mod port;
pub mod relay;
mod root;
pub mod status;
pub mod version;

pub use exit::{Exit, Stop};
pub use root::{Global, Root, Verb, run};
