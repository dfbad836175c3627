//! The application behind HTTP: an adapter of [`Handler`](crate::contract::Handler).
//!
//! ```text
//!  request     a message becomes a request      attributes  what of it is an attribute, a header, or nobody's to write
//!      │
//!  http        one call: connection, deadline, at most 64 KiB of the reply      client   how connections are made
//!      │                                                                         address  and to whom never
//!  response    the reply becomes an outcome     statuses    the reply to a batch
//!  failure     no reply: what is known of it    retry_after when to come back
//!  health      the probe, on its own
//! ```
//!
//! Promises: those of the contract; one connection carries many requests; nothing here retries, but a request that is known
//! never to have left.

mod address;
mod attributes;
mod client;
pub mod config;
mod failure;
mod health;
mod http;
mod request;
mod response;
mod retry_after;
#[cfg(test)]
mod sample;
mod statuses;

pub use http::HttpHandler;
