//! The integration binary: one link, many suites; only `mod` lines.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests keep time, read the environment, spawn their own tasks, and end by a panic that says why"
)]

mod backends;
mod conformance;
#[cfg(test)]
mod consumer;
#[cfg(test)]
mod outside;
mod scenarios;
#[cfg(test)]
mod simulation;
mod support;
