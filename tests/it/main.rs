//! The integration binary: one link, many suites; only `mod` lines.

mod backends;
mod conformance;
mod scenarios;
mod support;
