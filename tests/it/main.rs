//! The integration binary: one link, many suites; only `mod` lines.

mod backends;
mod scenarios;
mod simulation;
mod support;
