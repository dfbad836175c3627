//! The integration binary: one link, many suites; only `mod` lines.

#![expect(
    clippy::disallowed_methods,
    reason = "tests keep time, read the environment and spawn their own tasks"
)]

mod backends;
mod conformance;
#[cfg(test)]
mod outside;
mod scenarios;
#[cfg(test)]
mod simulation;
mod support;
